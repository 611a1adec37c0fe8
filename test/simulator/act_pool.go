package simulator

import "slices"

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
		var hit []*volume
		for _, v := range s.volumes.values {
			if slices.ContainsFunc(v.own, func(r *replica) bool { return r.pool == p }) {
				s.faultUnreachable(v)
				s.observe(v)
				hit = append(hit, v)
			}
		}
		for _, v := range hit {
			s.changed(v, "pool "+id+" "+what)
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
