package simulator

import (
	"encoding/json"
	"slices"
)

// or sets the flags that are true in f.
func (c PoolCordon) or(f PoolCordon) PoolCordon {
	return PoolCordon{c.Replicas || f.Replicas, c.Snapshots || f.Snapshots, c.Restores || f.Restores, c.Import || f.Import}
}

// andNot clears the flags that are true in f.
func (c PoolCordon) andNot(f PoolCordon) PoolCordon {
	return PoolCordon{c.Replicas && !f.Replicas, c.Snapshots && !f.Snapshots, c.Restores && !f.Restores, c.Import && !f.Import}
}

func putPoolCordon(s *Simulator, req *Request) *answer { return s.poolCordonCall(req, PoolCordon.or) }

func deletePoolCordon(s *Simulator, req *Request) *answer {
	return s.poolCordonCall(req, PoolCordon.andNot)
}

// poolCordonCall is MS 3.3: only true flags count, and a call that changes
// nothing is 422.
func (s *Simulator) poolCordonCall(req *Request, apply func(PoolCordon, PoolCordon) PoolCordon) *answer {
	var flags PoolCordon
	if err := json.Unmarshal(req.Body, &flags); err != nil {
		return refuse("Deserialize", "Json deserialize error: "+err.Error())
	}
	p, bad := s.poolOf(req)
	if bad != nil {
		return bad
	}
	if flags.Import {
		s.violate("%s %s with import:true: the pool would not come back after an io-engine restart", req.Method, req.Path)
	}
	next := apply(p.cordon, flags)
	if next == p.cordon {
		return refuse("AlreadyExists", "the cordon of pool '"+p.id+"' would not change")
	}
	p.cordon = next
	s.changed(nil, "pool "+p.id+": "+req.Method+" cordon")
	return ok(s.poolOut(p))
}

func putNodeCordon(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	label := req.params["label"]
	if slices.Contains(n.cordons, label) {
		return refuse("FailedPrecondition", "node '"+n.id+"' is already cordoned with label '"+label+"'")
	}
	n.cordons = append(n.cordons, label)
	s.changed(nil, "node "+n.id+": cordon "+label)
	return ok(s.nodeOut(n))
}

func deleteNodeCordon(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	label := req.params["label"]
	if !slices.Contains(n.cordons, label) {
		return refuse("FailedPrecondition", "node '"+n.id+"' has no cordon label '"+label+"'")
	}
	n.cordons = without(n.cordons, label)
	s.changed(nil, "node "+n.id+": uncordon "+label)
	return ok(s.nodeOut(n))
}
