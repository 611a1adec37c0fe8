package simulator

import (
	"fmt"
	"slices"
	"time"
)

// HASwitchover moves a volume's target to another node, as HA does.
func (s *Simulator) HASwitchover(id, node string) error {
	return s.withVolume(id, func(v *volume) error {
		n, found := s.nodes.get(node)
		if !found {
			return fmt.Errorf("no node %q", node)
		}
		if err := s.switchOver(v, n); err != nil {
			return err
		}
		s.changed(v, "target switched over to "+node)
		return nil
	})
}

// Publish publishes a volume on a node as CSI does; an empty node lets the core
// decide.
func (s *Simulator) Publish(id, node string) error {
	return s.withVolume(id, func(v *volume) error {
		n, err := s.targetFor(v, node)
		if err != nil {
			return err
		}
		if err := s.publish(v, n); err != nil {
			return err
		}
		s.nudgeHeal()
		s.changed(v, "published on "+n.id)
		return nil
	})
}

// Unpublish takes a volume's target down as CSI does.
func (s *Simulator) Unpublish(id string) error {
	return s.withVolume(id, func(v *volume) error {
		if err := s.unpublish(v); err != nil {
			return err
		}
		s.changed(v, "unpublished")
		return nil
	})
}

// UserScale changes num_replicas as a user would, with all of upstream's checks.
func (s *Simulator) UserScale(id string, n int) error {
	return s.withVolume(id, func(v *volume) error {
		if bad := s.guard(v); bad != nil {
			return fmt.Errorf("volume %s is busy", id)
		}
		if err := s.checkScale(v, n); err != nil {
			return err
		}
		return s.scale(v, n)
	})
}

// Resize grows a volume.
func (s *Simulator) Resize(id string, size int64) error {
	return s.withVolume(id, func(v *volume) error {
		if bad := s.guard(v); bad != nil {
			return fmt.Errorf("volume %s is busy", id)
		}
		return s.resize(v, size)
	})
}

func (s *Simulator) resize(v *volume, size int64) error {
	if size <= v.size {
		return fail("InvalidArgument", "a volume can only grow")
	}
	v.size = size
	for _, r := range v.own {
		r.size = size
		if !r.thin {
			r.written = size
		}
	}
	if !v.thin {
		v.allocated = size
	}
	s.observeWithPools(v)
	s.changed(v, "resized")
	return nil
}

// TakeSnapshot takes a snapshot; it needs num_replicas healthy replicas.
func (s *Simulator) TakeSnapshot(id string) error {
	return s.withVolume(id, func(v *volume) error {
		good := 0
		for _, r := range v.own {
			if v.healthy(r) && r.pool.online() {
				good++
			}
		}
		if good != v.want || len(v.own) != v.want || v.op != nil {
			return fail("FailedPrecondition", "%d of %d replicas are healthy", good, v.want)
		}
		s.takeSnapshot(v)
		s.observeWithPools(v)
		s.changed(v, "snapshot taken")
		return nil
	})
}

// DeleteVolume deletes a volume with all its replicas and snapshots.
func (s *Simulator) DeleteVolume(id string) error {
	return s.withVolume(id, func(v *volume) error { s.deleteVolume(v); return nil })
}

func (s *Simulator) deleteVolume(v *volume) {
	s.dropNexus(v)
	for _, r := range slices.Clone(v.own) {
		if r.pool.online() {
			s.dropReplica(r)
		} else {
			s.disown(r)
		}
	}
	for _, snap := range v.snapshots {
		for _, c := range snap.copies {
			c.pool.snapshots -= c.bytes
		}
	}
	v.status = "Deleted"
	s.volumes.remove(v.uuid)
	s.changed(nil, "volume "+v.uuid+" deleted")
}

// HideFromList leaves a volume out of the list for a while, as upstream does
// when it cannot compute a state (MS 1.4).
func (s *Simulator) HideFromList(id string, d time.Duration) error {
	return s.withVolume(id, func(v *volume) error { v.hiddenUntil = s.clock.Add(d); return nil })
}

// OpenOperation lets somebody else's operation of an upstream kind ("Resize",
// "CreateSnapshot", ...) hold a volume for a while: calls of others get 409.
func (s *Simulator) OpenOperation(id, kind string, d time.Duration) error {
	return s.openOperation(id, &operation{kind: kind}, d)
}

// DirtyOperation leaves an operation in the store that could not be closed:
// calls get 507 FailedPersist until the reconciler clears it, at its first tick
// after d.
func (s *Simulator) DirtyOperation(id, kind string, d time.Duration) error {
	return s.openOperation(id, &operation{kind: kind, dirty: true}, d)
}

func (s *Simulator) openOperation(id string, op *operation, d time.Duration) error {
	return s.withVolume(id, func(v *volume) error {
		if v.op != nil {
			return fmt.Errorf("volume %s is busy", id)
		}
		v.op, op.until = op, s.clock.Add(d)
		s.schedule(op.until, func() {
			if v.op == op && !op.dirty {
				v.op = nil
			}
			s.changed(v, "operation "+op.kind+" ended")
		})
		s.changed(v, "operation "+op.kind+" begun")
		return nil
	})
}

// PoolDrainMarker begins (on) or ends a pool drain's work on a volume: a hidden
// spare, N+1 replicas with num_replicas N (MS 5.8).
func (s *Simulator) PoolDrainMarker(id string, on bool) error {
	return s.withVolume(id, func(v *volume) error {
		if v.draining == on {
			return fmt.Errorf("volume %s: the drain marker is so already", id)
		}
		if !on {
			v.draining = false
			if r := s.victim(v, v.want); r != nil && len(v.own) > v.want {
				if err := s.remove(v, r); err != nil {
					return err
				}
			}
		} else {
			v.draining = true
			if err := s.grow(v); err != nil {
				v.draining = false
				return err
			}
		}
		s.observeWithPools(v)
		s.changed(v, "pool drain marker")
		return nil
	})
}
