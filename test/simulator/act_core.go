package simulator

import "time"

// CoreRestart restarts the core agent: operations under way end as failed, maybe
// half done, the cache is empty for a while, maps are in uuid order (MS 4.5).
func (s *Simulator) CoreRestart() { s.locked(func() { s.as(foreign, s.restartCore) }) }

func (s *Simulator) restartCore() {
	for _, v := range s.volumes.values {
		op := v.op
		if op == nil {
			continue
		}
		v.op, op.cancel = nil, true
		if op.grows && op.answer == nil && s.rng.IntN(2) == 0 {
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
