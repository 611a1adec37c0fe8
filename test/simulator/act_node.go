package simulator

import (
	"fmt"
	"slices"
)

// NodeDown kills a node: its nexuses are gone, its replicas out of reach. The
// core notices after the keep-alive deadline.
func (s *Simulator) NodeDown(id string) error {
	return s.withNode(id, func(n *node) error {
		if !n.up {
			return fmt.Errorf("node %s is down already", id)
		}
		s.nodeDown(n)
		downs := n.downs
		s.after(s.cfg.KeepAlive, func() {
			if n.downs == downs && !n.up {
				n.status = "Offline"
				s.changed(nil, "node "+n.id+" went offline")
			}
		})
		return nil
	})
}

func (s *Simulator) nodeDown(n *node) {
	// What the core last saw of the node is what it goes on showing.
	if s.isFresh() {
		for _, v := range s.volumes.values {
			s.observeWithPools(v)
		}
		for _, p := range s.nodePools(n) {
			p.seen = s.observePool(p)
		}
	}
	for _, v := range s.volumes.values {
		s.accrue(v)
	}
	n.up = false
	n.downs++
	var hit []*volume // observers must see all of it or nothing
	for _, v := range s.volumes.values {
		if v.nexus != nil && v.nexus.node == n {
			s.dropNexus(v)
			v.clean = false
			hit = append(hit, v)
		} else if s.faultUnreachable(v) {
			hit = append(hit, v)
		}
	}
	for _, v := range hit {
		s.changed(v, "node "+n.id+" went down")
	}
	s.changed(nil, "node "+n.id+" down")
}

// faultUnreachable faults the children of v whose replica does not answer.
func (s *Simulator) faultUnreachable(v *volume) bool {
	if v.nexus == nil {
		// Unpublished replicas get out of reach without anybody faulting them.
		return len(v.own) > 0
	}
	hit := false
	for _, c := range slices.Clone(v.nexus.children) {
		if !c.replica.pool.online() && c.state != "Faulted" {
			s.fault(v, c, "")
			hit = true
		}
	}
	return hit
}

// NodeUp starts a node again. Its pools come back unless their import is
// cordoned; its counters begin at 0.
func (s *Simulator) NodeUp(id string) error {
	return s.withNode(id, func(n *node) error {
		if n.up {
			return fmt.Errorf("node %s is up already", id)
		}
		s.nodeUp(n)
		return nil
	})
}

func (s *Simulator) nodeUp(n *node) {
	n.up, n.status = true, "Online"
	for _, p := range s.nodePools(n) {
		p.imported = !p.cordon.Import
		p.io = ioCounters{}
		for _, r := range p.own {
			r.io = ioCounters{}
		}
		if !s.isCold() {
			p.seen = s.observePool(p)
		}
	}
	s.touchNode(n, "a node came up")
	s.nudgeHeal()
}

// touchNode settles every volume with something on n.
func (s *Simulator) touchNode(n *node, cause string) {
	for _, v := range s.volumes.values {
		if v.target == n || slices.ContainsFunc(v.own, func(r *replica) bool { return r.pool.node == n }) {
			s.observe(v)
			s.changed(v, cause)
		}
	}
	s.changed(nil, cause+": "+n.id)
}

// RestartIOEngine is a quick down and up: nexuses and counters of the node are
// lost, its replicas come back.
func (s *Simulator) RestartIOEngine(id string) error {
	return s.withNode(id, func(n *node) error {
		if !n.up {
			return fmt.Errorf("node %s is down", id)
		}
		s.nodeDown(n)
		s.nodeUp(n)
		return nil
	})
}

// UpgradeNode restarts a node's io-engine with another version.
func (s *Simulator) UpgradeNode(id, version string) error {
	if err := s.RestartIOEngine(id); err != nil {
		return err
	}
	return s.withNode(id, func(n *node) error {
		n.version = version
		s.changed(nil, "node "+id+" upgraded to "+version)
		return nil
	})
}

// Drain drains a node: its targets move away, replicas stay.
func (s *Simulator) Drain(id, label string) error {
	return s.withNode(id, func(n *node) error { return s.drain(n, label) })
}

func (s *Simulator) drain(n *node, label string) error {
	if slices.Contains(n.drains, label) {
		return fail("FailedPrecondition", "node '%s' is already draining with label '%s'", n.id, label)
	}
	n.drains = append(n.drains, label)
	n.drained = true
	for _, v := range s.volumes.values {
		if v.target != n {
			continue
		}
		n.drained = false
		for _, to := range s.nodes.values {
			if to != n && s.switchOver(v, to) == nil {
				s.changed(v, "target drained to "+to.id)
				break
			}
		}
	}
	n.drained = !slices.ContainsFunc(s.volumes.values, func(v *volume) bool { return v.target == n })
	s.changed(nil, "node "+n.id+" drained")
	return nil
}

// Undrain ends a drain and its cordon.
func (s *Simulator) Undrain(id, label string) error {
	return s.withNode(id, func(n *node) error {
		if !slices.Contains(n.drains, label) {
			return fmt.Errorf("node %s has no drain %q", id, label)
		}
		n.drains = without(n.drains, label)
		n.drained = n.drained && len(n.drains) > 0
		s.changed(nil, "node "+id+" undrained")
		return nil
	})
}
