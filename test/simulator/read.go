package simulator

import (
	"fmt"
	"strconv"
)

// uuidOf parses a path parameter; actix answers 400 for what is no uuid.
func uuidOf(req *Request, name string) (string, *answer) {
	id := req.params[name]
	if !isUUID(id) {
		return "", refuse("Deserialize", fmt.Sprintf("%s: cannot parse %q as a uuid", name, id))
	}
	return id, nil
}

func (s *Simulator) volumeOf(req *Request) (*volume, *answer) {
	id, bad := uuidOf(req, "volume_id")
	if bad != nil {
		return nil, bad
	}
	v, found := s.volumes.get(id)
	if !found {
		return nil, refuse("NotFound", "Volume '"+id+"' not found")
	}
	return v, nil
}

func (s *Simulator) poolOf(req *Request) (*pool, *answer) {
	p, found := s.pools.get(req.params["pool_id"])
	if !found {
		return nil, refuse("NotFound", "Pool '"+req.params["pool_id"]+"' not found")
	}
	return p, nil
}

func (s *Simulator) nodeOf(req *Request) (*node, *answer) {
	n, found := s.nodes.get(req.params["node_id"])
	if !found {
		return nil, refuse("NotFound", "Node '"+req.params["node_id"]+"' not found")
	}
	return n, nil
}

// page reads max_entries and starting_token.
func page(req *Request) (size, start int, bad *answer) {
	size, err := strconv.Atoi(req.Query.Get("max_entries"))
	if err != nil || size < 0 {
		return 0, 0, refuse("Deserialize", "Query deserialize error: max_entries must be a number")
	}
	if t := req.Query.Get("starting_token"); t != "" {
		start, err = strconv.Atoi(t)
		if err != nil || start < 0 {
			return 0, 0, refuse("Deserialize", "Query deserialize error: starting_token must be a number")
		}
	}
	return size, start, nil
}

// slice cuts [start, start+size) out of n elements; next is nil on the last page.
func slice(n, size, start int) (from, to int, next *int) {
	if size == 0 {
		return 0, n, nil
	}
	from = min(start, n)
	to = from + min(size, n-from)
	if to < n {
		next = new(to)
	}
	return from, to, next
}

func getVolumes(s *Simulator, req *Request) *answer {
	size, start, bad := page(req)
	if bad != nil {
		return bad
	}
	list := volumesJSON{Entries: []volumeJSON{}}
	if req.Query.Has("volume_id") {
		id := req.Query.Get("volume_id")
		if !isUUID(id) {
			return refuse("Deserialize", "volume_id is no uuid")
		}
		if v, found := s.volumes.get(id); found {
			list.Entries = append(list.Entries, s.volumeOut(v))
		}
		return ok(list)
	}
	from, to, next := slice(s.volumes.len(), size, start)
	list.NextToken = next
	for _, v := range s.volumes.values[from:to] {
		if !s.clock.Before(v.hiddenUntil) {
			list.Entries = append(list.Entries, s.volumeOut(v))
		}
	}
	return ok(list)
}

func getVolume(s *Simulator, req *Request) *answer {
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	return ok(s.volumeOut(v))
}

func getRebuildHistory(s *Simulator, req *Request) *answer {
	v, bad := s.volumeOf(req)
	switch {
	case bad != nil:
		return bad
	case v.target == nil:
		return refuse("FailedPrecondition", "Volume '"+v.uuid+"' is not published")
	case v.nexus == nil || !s.nexusSeen(v).present:
		return refuse("NotFound", "the nexus of volume '"+v.uuid+"' was not found")
	}
	return ok(rebuildHistoryJSON{TargetUUID: v.nexus.uuid, Records: append([]rebuildRecord{}, v.nexus.history...)})
}

func getPools(s *Simulator, req *Request) *answer {
	list := []poolJSON{}
	var v *volume
	if req.Query.Has("volume_id") {
		id := req.Query.Get("volume_id")
		if !isUUID(id) {
			return refuse("Deserialize", "volume_id is no uuid")
		}
		var found bool
		if v, found = s.volumes.get(id); !found {
			return refuse("NotFound", "Volume '"+id+"' not found")
		}
	}
	for _, p := range s.pools.values {
		if v == nil || s.suits(v, p) {
			list = append(list, s.poolOut(p))
		}
	}
	return ok(list)
}

func getPool(s *Simulator, req *Request) *answer {
	p, bad := s.poolOf(req)
	if bad != nil {
		return bad
	}
	if on, asked := req.params["node_id"]; asked && p.node.id != on {
		return refuse("NotFound", "Pool '"+p.id+"' not found on node '"+on+"'")
	}
	return ok(s.poolOut(p))
}

func getNodes(s *Simulator, _ *Request) *answer {
	list := []nodeJSON{}
	for _, n := range s.nodes.values {
		list = append(list, s.nodeOut(n))
	}
	return ok(list)
}

func getNode(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	return ok(s.nodeOut(n))
}

func getNodePools(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	list := []poolJSON{}
	for _, p := range s.nodePools(n) {
		list = append(list, s.poolOut(p))
	}
	return ok(list)
}

// getReplicas lists what the io-engines hold: replicas on nodes the core does
// not reach are absent.
func getReplicas(s *Simulator, req *Request) *answer {
	var on *node
	if _, asked := req.params["node_id"]; asked {
		n, bad := s.nodeOf(req)
		if bad != nil {
			return bad
		}
		on = n
	}
	list := []replicaJSON{}
	for _, r := range s.replicas.values {
		if (on == nil || r.pool.node == on) && s.replicaSeen(r).known {
			list = append(list, s.replicaOut(r))
		}
	}
	return ok(list)
}

func getReplica(s *Simulator, req *Request) *answer {
	id, bad := uuidOf(req, "replica_id")
	if bad != nil {
		return bad
	}
	r, found := s.replicas.get(id)
	if !found || !s.replicaSeen(r).known {
		return refuse("NotFound", "Replica '"+id+"' not found")
	}
	return ok(s.replicaOut(r))
}

func getNexuses(s *Simulator, _ *Request) *answer {
	list := []nexusJSON{}
	for _, v := range s.volumes.values {
		if w := s.nexusSeen(v); w.present {
			list = append(list, *s.nexusOut(v, w))
		}
	}
	return ok(list)
}

func getNexus(s *Simulator, req *Request) *answer {
	id, bad := uuidOf(req, "nexus_id")
	if bad != nil {
		return bad
	}
	for _, v := range s.volumes.values {
		if w := s.nexusSeen(v); w.present && w.uuid == id {
			return ok(*s.nexusOut(v, w))
		}
	}
	return refuse("NotFound", "Nexus '"+id+"' not found")
}

func getSpecs(s *Simulator, _ *Request) *answer {
	specs := specsJSON{Volumes: []volumeSpecJSON{}, Nexuses: []nexusSpecJSON{}, Pools: []poolSpecJSON{}, Replicas: []replicaSpecJSON{}}
	for _, v := range s.volumes.values {
		specs.Volumes = append(specs.Volumes, s.volumeSpec(v))
		if v.nexus == nil {
			continue
		}
		n := nexusSpecJSON{
			UUID: v.nexus.uuid, Children: []string{}, Managed: true, Node: v.nexus.node.id, Owner: v.uuid,
			Share: "nvmf", Size: v.size, Status: "Created",
		}
		for _, c := range v.nexus.children {
			n.Children = append(n.Children, c.replica.uri(c.replica.pool.node == v.nexus.node))
		}
		specs.Nexuses = append(specs.Nexuses, n)
	}
	for _, p := range s.pools.values {
		specs.Pools = append(specs.Pools, s.poolSpec(p))
	}
	for _, r := range s.replicas.values {
		specs.Replicas = append(specs.Replicas, s.replicaSpec(r))
	}
	return ok(specs)
}
