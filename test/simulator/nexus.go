package simulator

// publish creates v's first nexus on n, or the next one after an unpublish.
func (s *Simulator) publish(v *volume, n *node) error {
	switch {
	case v.target != nil:
		return fail("AlreadyPublished", "the volume is published on node %s", v.target.id)
	case !n.up || n.status != "Online":
		return fail("FailedPrecondition", "node %s is not online", n.id)
	case n.cordoned():
		return fail("FailedPrecondition", "node %s is cordoned", n.id)
	}
	if v.info == nil {
		// All replicas count as healthy: a blank one is served as a good copy.
		for _, r := range v.own {
			if r.blank && !v.empty && v.scaledBy == caller {
				s.violate("volume %s: it was scaled up before its first publish, which now serves the blank replica %s as a good copy", v.uuid, r.uuid)
			}
		}
	}
	return s.build(v, n, v.clean || v.info == nil)
}

// build makes a nexus on n from the healthy replicas within reach; after an
// unclean stop from one of them only (MS 4.8). The rest is the reconciler's.
func (s *Simulator) build(v *volume, n *node, clean bool) error {
	var good []*replica
	for _, r := range s.owned(v) {
		if v.healthy(r) && r.pool.online() {
			good = append(good, r)
		}
	}
	if len(good) == 0 {
		return fail("FailedPrecondition", "no healthy replica of volume %s is within reach", v.uuid)
	}
	if !clean {
		one := good[0]
		for _, r := range good {
			if r.pool.node == n {
				one = r
			}
		}
		good = []*replica{one}
	}
	v.target, v.clean = n, false
	v.nexus = &nexus{uuid: s.newUUID(), node: n, since: s.clock}
	v.nexus.io.at = s.clock
	v.info = map[string]bool{}
	for _, r := range v.own {
		v.info[r.uuid] = false
	}
	for _, r := range good {
		v.nexus.children = append(v.nexus.children, &child{replica: r, state: "Online", since: s.clock})
		v.info[r.uuid] = true
	}
	if v.empty {
		// Nobody has bytes yet, so each replica is as good as any. Otherwise a blank
		// one stays blank, whatever the nexus takes it for.
		v.empty = false
		for _, r := range good {
			r.blank, r.version = false, v.version
		}
	}
	s.observe(v)
	return nil
}

// dropNexus ends v's nexus, with all its counters, history and rebuilds.
func (s *Simulator) dropNexus(v *volume) {
	if v.nexus == nil {
		return
	}
	s.accrue(v)
	for _, c := range v.nexus.children {
		if c.job != nil {
			c.replica.written = s.allocatedOf(c.replica)
			c.job = nil
		}
	}
	v.nexus = nil
}

// unpublish takes the target down in order.
func (s *Simulator) unpublish(v *volume) error {
	if v.target == nil {
		return fail("NotPublished", "the volume is not published")
	}
	v.clean = v.nexus != nil && v.nexus.node.up
	s.dropNexus(v)
	v.target = nil
	s.observe(v)
	return nil
}

// switchOver moves v's target to n: in order when the old node still runs,
// unclean otherwise.
func (s *Simulator) switchOver(v *volume, n *node) error {
	switch {
	case v.target == nil:
		return fail("NotPublished", "the volume is not published")
	case !n.up || n.status != "Online" || n.cordoned():
		return fail("FailedPrecondition", "node %s cannot take a target", n.id)
	}
	clean := v.nexus != nil && v.nexus.node.up
	s.dropNexus(v)
	if err := s.build(v, n, clean); err != nil {
		return err
	}
	s.nudgeHeal()
	return nil
}
