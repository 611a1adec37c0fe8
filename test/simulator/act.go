package simulator

import (
	"fmt"
	"slices"
	"time"
)

// The acts below are what others than the caller do to the world: hardware,
// users, CSI, other operators. They return an error when the world does not
// allow them, which a test that meant them must check.

// withVolume, withNode and withPool find the object of an act and run it on
// behalf of somebody foreign.
func (s *Simulator) withVolume(uuid string, act func(*volume) error) (err error) {
	s.locked(func() {
		v, found := s.volumes.get(uuid)
		if !found {
			err = fmt.Errorf("no volume %q", uuid)
			return
		}
		s.as(foreign, func() { err = act(v) })
	})
	return err
}

func (s *Simulator) withNode(id string, act func(*node) error) (err error) {
	s.locked(func() {
		n, found := s.nodes.get(id)
		if !found {
			err = fmt.Errorf("no node %q", id)
			return
		}
		s.as(foreign, func() { err = act(n) })
	})
	return err
}

func (s *Simulator) withPool(id string, act func(*pool) error) (err error) {
	s.locked(func() {
		p, found := s.pools.get(id)
		if !found {
			err = fmt.Errorf("no pool %q", id)
			return
		}
		s.as(foreign, func() { err = act(p) })
	})
	return err
}

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
	for _, v := range s.volumes.values {
		if v.nexus != nil && v.nexus.node == n {
			s.dropNexus(v)
			v.clean = false
			s.changed(v, "its target's node went down")
		} else if s.faultUnreachable(v) {
			s.changed(v, "a replica's node went down")
		}
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

// PoolDown makes a pool fail: it is Faulted and its replicas are out of reach.
func (s *Simulator) PoolDown(id string) error {
	return s.setPool(id, "down", func(p *pool) { p.up = false })
}

// PoolUp brings a failed pool back, also one that was not imported.
func (s *Simulator) PoolUp(id string) error {
	return s.setPool(id, "up", func(p *pool) { p.up, p.imported = true, true })
}

// DegradePool turns a pool Degraded (on V2_12: Suspected, a value no client
// knows) or back to Online. It serves either way.
func (s *Simulator) DegradePool(id string, degraded bool) error {
	return s.setPool(id, "degraded", func(p *pool) { p.degraded = degraded })
}

// FillPool uses up what is free on a pool but for leave bytes; thin rebuilds
// onto it fail where the space ends. Negative makes room: so many bytes of
// foreign use go.
func (s *Simulator) FillPool(id string, leave int64) error {
	return s.setPool(id, "filled", func(p *pool) {
		if leave < 0 {
			p.other = max(0, p.other+leave)
		} else {
			p.other += max(0, p.capacity-s.used(p)-leave)
		}
		for _, r := range p.own {
			if v := r.volume; v != nil {
				if c := v.child(r); c != nil && c.job != nil {
					s.accrue(v)
					c.job.done, c.job.since = s.copied(c.job), s.clock
					s.plan(v, c.job)
				}
			}
		}
	})
}

func (s *Simulator) setPool(id, what string, change func(*pool)) error {
	return s.withPool(id, func(p *pool) error {
		for _, r := range p.own {
			if r.volume != nil {
				s.accrue(r.volume)
			}
		}
		change(p)
		if p.node.up && !s.isCold() {
			p.seen = s.observePool(p)
		}
		for _, v := range s.volumes.values {
			if slices.ContainsFunc(v.own, func(r *replica) bool { return r.pool == p }) {
				s.faultUnreachable(v)
				s.observe(v)
				s.changed(v, "pool "+id+" "+what)
			}
		}
		s.nudgeHeal()
		s.changed(nil, "pool "+id+" "+what)
		return nil
	})
}

// FailCreates makes the next n replica creations on a pool fail.
func (s *Simulator) FailCreates(id string, n int) error {
	return s.withPool(id, func(p *pool) error { p.failCreates = n; return nil })
}

// FailAttaches makes the next n attachments of a child to a volume's nexus
// fail: a +1 then leaves an extra replica behind (MS 4.2).
func (s *Simulator) FailAttaches(id string, n int) error {
	return s.withVolume(id, func(v *volume) error { v.failAttach = n; return nil })
}

// StallRebuild stops a volume's rebuilds where they are, also those to come,
// until ResumeRebuild.
func (s *Simulator) StallRebuild(id string) error { return s.stall(id, true) }

// ResumeRebuild lets stalled rebuilds go on.
func (s *Simulator) ResumeRebuild(id string) error { return s.stall(id, false) }

func (s *Simulator) stall(id string, stalled bool) error {
	return s.withVolume(id, func(v *volume) error {
		v.stalled = stalled
		s.eachRebuild(v, func(j *rebuild) {
			j.done, j.since, j.running = s.copied(j), s.clock, !stalled
			s.plan(v, j)
		})
		s.changed(v, "rebuild stalled or resumed")
		return nil
	})
}

// FailRebuildAt makes the running or next rebuild of a volume fail once it
// copied so many percent.
func (s *Simulator) FailRebuildAt(id string, percent float64) error {
	return s.withVolume(id, func(v *volume) error {
		v.failRebuild = percent
		s.eachRebuild(v, func(j *rebuild) { s.plan(v, j) })
		return nil
	})
}

// RestartRebuild starts a volume's rebuilds over.
func (s *Simulator) RestartRebuild(id string) error {
	return s.withVolume(id, func(v *volume) error {
		if v.rebuilds() == 0 {
			return fmt.Errorf("volume %s has no rebuild", id)
		}
		s.accrue(v)
		s.restartRebuilds(v)
		s.changed(v, "rebuild restarted")
		return nil
	})
}

func (s *Simulator) eachRebuild(v *volume, f func(*rebuild)) {
	if v.nexus == nil {
		return
	}
	s.accrue(v)
	for _, c := range v.nexus.children {
		if c.job != nil {
			f(c.job)
		}
	}
}

// CoreRestart restarts the core agent: operations under way end as failed, maybe
// half done, the cache is empty for a while, maps are in uuid order (MS 4.5).
func (s *Simulator) CoreRestart() {
	s.locked(func() {
		s.as(foreign, func() {
			for _, v := range s.volumes.values {
				op := v.op
				if op == nil {
					continue
				}
				v.op, op.cancel = nil, true
				if op.kind == "SetReplica" && op.answer == nil && s.rng.IntN(2) == 0 {
					// It died between creating the replica and adding it to the nexus.
					_, _ = s.create(v)
				}
				s.changed(v, "operation cleared by a core restart")
			}
			s.volumes.sort()
			s.replicas.sort()
			s.pools.sort()
			s.nodes.sort()
			s.cold = s.clock.Add(s.cfg.WarmUp)
			for _, n := range s.nodes.values {
				n.status = "Unknown"
			}
			s.schedule(s.cold, s.warm)
			s.changed(nil, "core restarted")
		})
	})
}

// warm ends the time after a core restart in which it knows no state.
func (s *Simulator) warm() {
	if s.isCold() {
		return // restarted again meanwhile
	}
	for _, n := range s.nodes.values {
		if n.status = "Offline"; n.up {
			n.status = "Online"
		}
	}
	s.poll()
	s.changed(nil, "core knows the cluster again")
}

// CoreDown makes the core unreachable for REST: every /v0 call gets 503. What
// runs in the io-engines goes on.
func (s *Simulator) CoreDown(d time.Duration) {
	s.locked(func() { s.coreDown = s.clock.Add(d) })
}

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

// ForeignPoolCordon sets and clears flags of a pool's cordon for somebody else.
func (s *Simulator) ForeignPoolCordon(id string, set, clear PoolCordon) error {
	return s.withPool(id, func(p *pool) error {
		p.cordon = p.cordon.andNot(clear).or(set)
		s.changed(nil, "pool "+id+": foreign cordon")
		return nil
	})
}

// ForeignNodeCordon sets a cordon label of somebody else on a node.
func (s *Simulator) ForeignNodeCordon(id, label string) error {
	return s.withNode(id, func(n *node) error {
		if slices.Contains(n.cordons, label) {
			return fmt.Errorf("node %s has label %q already", id, label)
		}
		n.cordons = append(n.cordons, label)
		s.changed(nil, "node "+id+": foreign cordon")
		return nil
	})
}

// ForeignNodeUncordon removes a cordon label, whoever set it.
func (s *Simulator) ForeignNodeUncordon(id, label string) error {
	return s.withNode(id, func(n *node) error {
		if !slices.Contains(n.cordons, label) {
			return fmt.Errorf("node %s has no label %q", id, label)
		}
		n.cordons = without(n.cordons, label)
		s.changed(nil, "node "+id+": foreign uncordon")
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
