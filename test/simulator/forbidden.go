package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// The routes here are recorded as violations by the dispatcher; what they answer
// and do is as upstream's (MS 3.6, 3.7).

// forbiddenConflict stands for calls whose effect nobody needs modelled.
func forbiddenConflict(*Simulator, *Request) *answer {
	return refuse("Conflict", "the simulator does not carry out this call")
}

func deleteVolumeCall(s *Simulator, req *Request) *answer {
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	s.deleteVolume(v)
	return &answer{status: http.StatusNoContent}
}

func putTarget(s *Simulator, req *Request) *answer {
	var body struct {
		Node string `json:"node"`
	}
	if err := json.Unmarshal(req.Body, &body); err != nil {
		return refuse("Deserialize", "Json deserialize error: "+err.Error())
	}
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	if bad := s.guard(v); bad != nil {
		return bad
	}
	n, err := s.targetFor(v, body.Node)
	if err == nil {
		err = s.publish(v, n)
	}
	if err != nil {
		return answerOf(err)
	}
	s.changed(v, "published by the caller")
	return ok(s.volumeOut(v))
}

// targetFor picks the node of a target: the one asked for, else a replica's.
func (s *Simulator) targetFor(v *volume, id string) (*node, error) {
	if id != "" {
		n, found := s.nodes.get(id)
		if !found {
			return nil, fail("NotFound", "Node '%s' not found", id)
		}
		return n, nil
	}
	for _, r := range s.owned(v) {
		if n := r.pool.node; v.healthy(r) && n.up && n.status == "Online" && !n.cordoned() {
			return n, nil
		}
	}
	return nil, fail("ResourceExhausted", "no node can take the target of volume %s", v.uuid)
}

func deleteTarget(s *Simulator, req *Request) *answer {
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	if bad := s.guard(v); bad != nil {
		return bad
	}
	if err := s.unpublish(v); err != nil {
		return answerOf(err)
	}
	s.changed(v, "unpublished by the caller")
	return ok(s.volumeOut(v))
}

func putSize(s *Simulator, req *Request) *answer {
	var body struct {
		Size *int64 `json:"size"`
	}
	if err := json.Unmarshal(req.Body, &body); err != nil || body.Size == nil {
		return refuse("Deserialize", "Json deserialize error: size must be a number")
	}
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	if bad := s.guard(v); bad != nil {
		return bad
	}
	if err := s.resize(v, *body.Size); err != nil {
		return answerOf(err)
	}
	return ok(s.volumeOut(v))
}

func putDrain(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	if err := s.drain(n, req.params["label"]); err != nil {
		return answerOf(err)
	}
	return ok(s.nodeOut(n))
}

// deleteReplicaCall refuses what a volume owns.
func deleteReplicaCall(s *Simulator, req *Request) *answer {
	id, bad := uuidOf(req, "replica_id")
	if bad != nil {
		return bad
	}
	r, found := s.replicas.get(id)
	if !found || r.pool.id != req.params["pool_id"] {
		return refuse("NotFound", "Replica '"+id+"' not found")
	}
	if r.volume != nil {
		return refuse("InUse", fmt.Sprintf("Replica '%s' is in use by volume '%s'", id, r.volume.uuid))
	}
	s.dropReplica(r)
	s.changed(nil, "ownerless replica "+id+" deleted by the caller")
	return &answer{status: http.StatusNoContent}
}

// deleteChildCall is not ownership-checked: the child goes, the replica stays.
func deleteChildCall(s *Simulator, req *Request) *answer {
	id, bad := uuidOf(req, "nexus_id")
	if bad != nil {
		return bad
	}
	for _, v := range s.volumes.values {
		if v.nexus == nil || v.nexus.uuid != id {
			continue
		}
		for _, c := range v.nexus.children {
			if !strings.HasPrefix(c.replica.uri(v.local(c.replica)), req.params["child_id"]) {
				continue
			}
			if err := s.detach(v, c.replica); err != nil {
				return answerOf(err)
			}
			v.info[c.replica.uuid] = false
			s.observe(v)
			s.nudgeHeal()
			s.changed(v, "child deleted by the caller")
			return &answer{status: http.StatusNoContent}
		}
		return refuse("NotFound", "Child '"+req.params["child_id"]+"' not found")
	}
	return refuse("NotFound", "Nexus '"+id+"' not found")
}
