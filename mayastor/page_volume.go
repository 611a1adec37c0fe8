package mayastor

import "encoding/json"

// volumeReader reads one volume after the other into the same memory. It reads
// the fields of [Volume] as encoding/json would, or has its scanner give up.
type volumeReader struct {
	*scanner
	words *words

	v         Volume
	target    TargetSpec
	group     AffinityGroup
	encrypted bool
	nexus     Nexus
	children  []Child
	replicas  map[string]ReplicaTopology
	usage     struct {
		Capacity  int64 `json:"capacity"`
		Allocated int64 `json:"allocated"`
	}
}

func newVolumeReader(s *scanner, w *words) *volumeReader {
	return &volumeReader{scanner: s, words: w, children: make([]Child, 0, 8), replicas: map[string]ReplicaTopology{}}
}

// volume reads a volume, which is valid until the next call. w.mu is held.
func (r *volumeReader) volume() *Volume {
	r.v = Volume{}
	r.object([]string{"spec", "state"}, func(i int) {
		if i == 0 {
			r.spec(&r.v.Spec)
		} else {
			r.state(&r.v.State)
		}
	})
	return &r.v
}

func (r *volumeReader) spec(s *VolumeSpec) {
	r.object([]string{
		"uuid", "size", "num_replicas", "status", "policy", "thin", "as_thin", "operation", "target",
		"topology", "affinity_group", "content_source", "num_snapshots", "encrypted",
	}, func(i int) {
		switch i {
		case 0:
			s.UUID = r.string()
		case 1:
			s.Size = r.integer()
		case 2:
			s.NumReplicas = int(r.integer())
		case 3:
			s.Status = Status(r.string())
		case 4:
			r.object([]string{"self_heal"}, func(int) { s.Policy.SelfHeal = r.boolean() })
		case 5:
			s.Thin = r.boolean()
		case 6:
			s.AsThin = r.boolean()
		case 7:
			s.Operation = r.operation()
		case 8:
			s.Target = r.targetSpec()
		case 9:
			s.Topology = r.topology()
		case 10:
			s.AffinityGroup = r.affinityGroup()
		case 11:
			// Null is kept here, as encoding/json does.
			s.ContentSource = json.RawMessage(r.raw())
		case 12:
			s.NumSnapshots = int(r.integer())
		case 13:
			if !r.null() {
				r.encrypted = r.boolean()
				s.Encrypted = &r.encrypted
			}
		}
	})
}

func (r *volumeReader) operation() *Operation {
	if r.null() {
		return nil
	}
	o := new(Operation)
	r.object([]string{"operation", "result"}, func(i int) {
		switch {
		case i == 0:
			o.Operation = r.string()
		case !r.null():
			o.Result = new(r.boolean())
		}
	})
	return o
}

func (r *volumeReader) targetSpec() *TargetSpec {
	if r.null() {
		return nil
	}
	r.target = TargetSpec{}
	r.object([]string{"node", "protocol"}, func(i int) {
		if i == 0 {
			r.target.Node = r.string()
		} else {
			r.target.Protocol = r.string()
		}
	})
	return &r.target
}

func (r *volumeReader) affinityGroup() *AffinityGroup {
	if r.null() {
		return nil
	}
	r.group = AffinityGroup{}
	r.object([]string{"id"}, func(int) { r.group.ID = r.string() })
	return &r.group
}

func (r *volumeReader) topology() *Topology {
	text := r.raw()
	if r.gaveUp {
		return nil
	}
	t, err := r.words.topology(text)
	if err != nil {
		r.giveUp()
	}
	return t
}

func (r *volumeReader) state(s *VolumeState) {
	r.object([]string{"size", "status", "target", "replica_topology", "usage"}, func(i int) {
		switch i {
		case 0:
			s.Size = r.integer()
		case 1:
			s.Status = Status(r.string())
		case 2:
			s.Target = r.liveTarget()
		case 3:
			s.Replicas = r.replicaTopology()
		case 4:
			if r.null() {
				return
			}
			r.usage.Capacity, r.usage.Allocated = 0, 0
			s.Usage = &r.usage
			r.object([]string{"capacity", "allocated"}, func(i int) {
				if i == 0 {
					r.usage.Capacity = r.integer()
				} else {
					r.usage.Allocated = r.integer()
				}
			})
		}
	})
}

func (r *volumeReader) liveTarget() *Nexus {
	if r.null() {
		return nil
	}
	r.nexus = Nexus{}
	n := &r.nexus
	r.object([]string{"uuid", "node", "state", "protocol", "rebuilds", "children"}, func(i int) {
		switch i {
		case 0:
			n.UUID = r.string()
		case 1:
			n.Node = r.string()
		case 2:
			n.State = Status(r.string())
		case 3:
			n.Protocol = r.string()
		case 4:
			n.Rebuilds = int(r.integer())
		case 5:
			if r.null() {
				return
			}
			r.children = r.children[:0]
			r.array(func() { r.children = append(r.children, r.child()) })
			n.Children = r.children
		}
	})
	return n
}

func (r *volumeReader) child() (c Child) {
	r.object([]string{"uri", "state", "state_reason", "rebuildProgress"}, func(i int) {
		switch i {
		case 0:
			c.URI = r.string()
		case 1:
			c.State = Status(r.string())
		case 2:
			c.StateReason = r.string()
		case 3:
			c.RebuildProgress = r.progress()
		}
	})
	return c
}

func (r *volumeReader) replicaTopology() map[string]ReplicaTopology {
	if r.null() {
		return nil
	}
	clear(r.replicas)
	// Of one that is there twice the last counts.
	r.members(func(id string) { r.replicas[id] = r.replica() })
	return r.replicas
}

func (r *volumeReader) replica() (t ReplicaTopology) {
	r.object([]string{"node", "pool", "state", "child-status", "child-status-reason", "rebuild-progress"}, func(i int) {
		switch i {
		case 0:
			t.Node = r.string()
		case 1:
			t.Pool = r.string()
		case 2:
			t.State = Status(r.string())
		case 3:
			t.ChildStatus = Status(r.string())
		case 4:
			t.ChildStatusReason = r.string()
		case 5:
			t.RebuildProgress = r.progress()
		}
	})
	return t
}

func (r *volumeReader) progress() *int {
	if r.null() {
		return nil
	}
	return new(int(r.integer()))
}
