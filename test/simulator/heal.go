package simulator

import "time"

// eventDelay is how soon the reconciler looks after an event.
const eventDelay = time.Second

// wakeHeal makes sure that the reconciler ticks again. While nothing changes
// its idle ticks would find nothing, so they are not played.
func (s *Simulator) wakeHeal() {
	if s.nextHeal.IsZero() {
		idle := s.cfg.SelfHealIdle
		s.healAt(s.lastHeal.Add(s.clock.Sub(s.lastHeal).Truncate(idle) + idle))
	}
}

// nudgeHeal makes the reconciler tick soon.
func (s *Simulator) nudgeHeal() {
	if at := s.clock.Add(eventDelay); s.nextHeal.IsZero() || at.Before(s.nextHeal) {
		s.healAt(at)
	}
}

func (s *Simulator) healAt(at time.Time) {
	s.nextHeal = at
	s.schedule(at, func() {
		if s.nextHeal.Equal(at) {
			s.heal()
		}
	})
}

// heal is one tick of the reconcilers (MS 4.8).
func (s *Simulator) heal() {
	s.lastHeal, s.nextHeal = s.clock, time.Time{}
	s.healTicks++
	busy := false
	if !s.isCold() && !s.clock.Before(s.coreDown) {
		for _, v := range append([]*volume(nil), s.volumes.values...) {
			if s.pending(v) {
				busy = true
				s.healVolume(v)
			}
		}
		if s.collect() {
			busy = true
		}
	} else {
		busy = true
	}
	if busy {
		if at := s.clock.Add(s.cfg.SelfHealBusy); s.nextHeal.IsZero() || at.Before(s.nextHeal) {
			s.healAt(at)
		}
	}
}

// pending says whether the reconciler has anything to look at in v.
func (s *Simulator) pending(v *volume) bool {
	if v.status != "Created" {
		return false
	}
	if v.op != nil {
		return v.op.dirty
	}
	if len(v.own) != v.want {
		return true
	}
	if v.target == nil {
		return false
	}
	if v.nexus == nil || len(v.nexus.children) != v.want {
		return true
	}
	for _, c := range v.nexus.children {
		if c.state != "Online" {
			return true
		}
	}
	return false
}

func (s *Simulator) healVolume(v *volume) {
	if v.op != nil {
		if v.op.dirty && !s.clock.Before(v.op.until) {
			v.op = nil
			s.changed(v, "unfinished operation cleared")
		}
		return
	}
	s.restoreNexus(v)
	if !v.selfHeal || v.target != nil && v.nexus == nil {
		return
	}
	s.healFaulted(v)
	s.reattach(v)
	switch {
	case len(v.own) < v.want && (v.nexus == nil || v.onlineChildren() > 0):
		if s.grow(v) == nil {
			s.observeWithPools(v)
			s.changed(v, "self-heal added a replica")
		}
	case len(v.own) > v.want && !v.draining:
		s.trim(v)
	}
}

// restoreNexus brings back a target whose io-engine restarted, or one whose
// children all faulted and now have a good replica again.
func (s *Simulator) restoreNexus(v *volume) {
	if v.target == nil || !v.target.up || v.target.status != "Online" {
		return
	}
	if v.nexus != nil && v.onlineChildren() > 0 {
		return
	}
	for _, r := range v.own {
		if v.healthy(r) && r.pool.online() {
			s.dropNexus(v)
			if s.build(v, v.target, false) == nil {
				s.changed(v, "nexus created again")
			}
			return
		}
	}
}

// healFaulted rebuilds children that came back and replaces those that will not.
func (s *Simulator) healFaulted(v *volume) {
	if v.nexus == nil || v.onlineChildren() == 0 {
		return
	}
	for _, c := range append([]*child(nil), v.nexus.children...) {
		if c.state != "Faulted" {
			continue
		}
		r, waited := c.replica, s.clock.Sub(c.since) >= s.cfg.FaultedWait
		back := r.pool.online() && r.pool.node.status == "Online"
		switch {
		case back && c.partial && !waited:
			s.accrue(v)
			s.startRebuild(v, c)
			s.observe(v)
			s.changed(v, "faulted child is back, partial rebuild")
		case back:
			if s.remove(v, r) == nil {
				s.changed(v, "faulted child removed")
			}
		case waited:
			if s.detach(v, r) == nil {
				s.disown(r)
				s.changed(v, "faulted child given up")
			}
		}
	}
}

// reattach adds owned replicas the nexus lacks.
func (s *Simulator) reattach(v *volume) {
	if v.nexus == nil || v.onlineChildren() == 0 {
		return
	}
	for _, r := range s.owned(v) {
		if len(v.nexus.children) >= v.want {
			return
		}
		if v.child(r) != nil || !r.pool.online() || r.pool.node.status != "Online" {
			continue
		}
		if s.attach(v, r) == nil {
			s.observe(v)
			s.changed(v, "self-heal attached a replica")
		}
	}
}

// trim removes replicas beyond num_replicas that no nexus uses. What the caller
// made surplus, the caller lost.
func (s *Simulator) trim(v *volume) {
	who := s.actor
	if v.owes {
		who = caller
	}
	order := s.removalOrder(v)
	for _, x := range order {
		r := x.replica
		if len(v.own) <= v.want {
			return
		}
		if v.child(r) != nil || r.pool.node.status != "Online" || !r.pool.online() {
			continue
		}
		if v.target == nil && s.goodReplicas(v, r) == 0 {
			continue
		}
		s.as(who, func() {
			if s.remove(v, r) == nil {
				s.observe(v)
				s.changed(v, "self-heal removed a surplus replica")
			}
		})
	}
}

// goodReplicas counts the healthy replicas of v besides r.
func (s *Simulator) goodReplicas(v *volume, r *replica) int {
	n := 0
	for _, other := range v.own {
		if other != r && v.healthy(other) && other.pool.online() {
			n++
		}
	}
	return n
}

// collect is the garbage collection of every fifth tick: what is unhealthy,
// offline and unused is disowned, and what nobody owns is destroyed once its
// node answers. It says whether anything is left to do.
func (s *Simulator) collect() bool {
	left := false
	due := s.healTicks%5 == 0
	for _, r := range append([]*replica(nil), s.replicas.values...) {
		v := r.volume
		if v != nil {
			if due && v.target != nil && !v.healthy(r) && v.child(r) == nil && r.pool.node.status != "Online" && v.op == nil {
				s.disown(r)
				s.changed(v, "offline replica disowned")
			}
			continue
		}
		left = true
		if due && r.pool.online() && r.pool.node.status == "Online" {
			s.dropReplica(r)
			s.changed(nil, "ownerless replica "+r.uuid+" destroyed")
		}
	}
	return left
}
