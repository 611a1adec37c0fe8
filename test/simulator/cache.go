package simulator

import "time"

// The core answers reads from a cache of what each io-engine last told it. The
// types below are that cache; spec fields are never cached, they are the core's
// own.

type nexusView struct {
	present    bool
	uuid, node string
	state      string
	rebuilds   int
	children   []childView
}

type childView struct {
	replica, uri, state, reason string
	progress                    int // percent; -1: no rebuild
}

type poolView struct {
	present                   bool
	status                    string
	used, committed, capacity int64
}

type replicaView struct {
	known     bool
	state     string
	allocated int64
}

// isCold says whether the core has just restarted and knows no state yet.
func (s *Simulator) isCold() bool { return s.clock.Before(s.cold) }

func (s *Simulator) isFresh() bool { return s.cfg.CachePeriod <= 0 && !s.isCold() }

// poll reads every io-engine that answers into the cache.
func (s *Simulator) poll() {
	for _, v := range s.volumes.values {
		s.observe(v)
	}
	for _, p := range s.pools.values {
		if p.node.up {
			p.seen = s.observePool(p)
		}
	}
	for _, r := range s.replicas.values {
		if r.volume == nil {
			s.observeReplica(r)
		}
	}
}

// observe refreshes what the core knows of v's nexus, replicas and their pools,
// as an operation on v does inline (MS 1.5).
func (s *Simulator) observe(v *volume) {
	if s.isCold() {
		return
	}
	switch {
	case v.nexus == nil && v.target != nil && !v.target.up:
		// Nobody told the core yet; the keep-alive will.
	case v.nexus == nil:
		v.seen = nexusView{}
	case v.nexus.node.up:
		v.seen = s.observeNexus(v)
	}
	for _, r := range v.own {
		s.observeReplica(r)
	}
}

// observeWithPools is observe, and the pools v's replicas are on as well.
func (s *Simulator) observeWithPools(v *volume) {
	s.observe(v)
	if s.isCold() {
		return
	}
	for _, r := range v.own {
		if r.pool.node.up {
			r.pool.seen = s.observePool(r.pool)
		}
	}
}

func (s *Simulator) observeReplica(r *replica) {
	if !r.pool.node.up {
		return
	}
	state := "Online"
	switch {
	case !r.pool.imported || !r.pool.up:
		state = "Faulted"
	case r.pool.degraded:
		state = "Degraded"
	}
	r.seen = replicaView{known: true, state: state, allocated: s.allocatedOf(r)}
}

func (s *Simulator) observePool(p *pool) poolView {
	w := poolView{present: p.imported, status: "Online", used: s.used(p), committed: s.committed(p), capacity: p.capacity}
	switch {
	case !p.up:
		w.status = "Faulted"
	case p.degraded && s.cfg.Profile.atLeast(V2_12):
		w.status = "Suspected"
	case p.degraded:
		w.status = "Degraded"
	}
	return w
}

func (s *Simulator) observeNexus(v *volume) nexusView {
	x := v.nexus
	w := nexusView{present: true, uuid: x.uuid, node: x.node.id, state: "Online"}
	online := 0
	for _, c := range x.children {
		cw := childView{replica: c.replica.uuid, uri: c.replica.uri(x.node == c.replica.pool.node), state: c.state, reason: c.reason, progress: -1}
		if c.job != nil {
			w.rebuilds++
			cw.progress = min(99, int(100*s.fraction(c.job)))
		}
		if c.state == "Online" {
			online++
		} else {
			w.state = "Degraded"
		}
		w.children = append(w.children, cw)
	}
	if online == 0 {
		w.state = "Faulted"
	}
	return w
}

// nexusSeen is the core's idea of v's nexus.
func (s *Simulator) nexusSeen(v *volume) nexusView {
	if s.isCold() {
		return nexusView{}
	}
	if s.isFresh() {
		s.observe(v)
	}
	w := v.seen
	if w.present {
		if n, ok := s.nodes.get(w.node); !ok || n.status != "Online" {
			return nexusView{}
		}
	}
	return w
}

// poolSeen is the core's idea of p.
func (s *Simulator) poolSeen(p *pool) poolView {
	if s.isCold() || p.node.status != "Online" {
		return poolView{}
	}
	if s.isFresh() && p.node.up {
		p.seen = s.observePool(p)
	}
	return p.seen
}

// replicaSeen is the core's idea of r.
func (s *Simulator) replicaSeen(r *replica) replicaView {
	if s.isCold() || r.pool.node.status != "Online" || !r.seen.known {
		return replicaView{state: "Unknown"}
	}
	if s.isFresh() && r.pool.node.up {
		s.observeReplica(r)
	}
	return r.seen
}

// childSeen is the core's idea of r as a nexus child.
func (w nexusView) childSeen(r *replica) (childView, bool) {
	for _, c := range w.children {
		if c.replica == r.uuid {
			return c, true
		}
	}
	return childView{}, false
}

// statusOf computes state.status (MS 2.2).
func (s *Simulator) statusOf(v *volume) string {
	if v.target != nil {
		w := s.nexusSeen(v)
		switch {
		case !w.present:
			return "Unknown"
		case w.state == "Online" && len(w.children) != v.want:
			return "Degraded"
		}
		return w.state
	}
	switch {
	case len(v.own) == 0:
		return "Faulted"
	case len(v.own) < v.want:
		return "Degraded"
	}
	if s.reportsHealth() {
		for _, r := range v.own {
			if !v.healthy(r) {
				return "Degraded"
			}
		}
	}
	return "Online"
}

func (s *Simulator) reportsHealth() bool { return s.cfg.Profile.atLeast(V2_9) && !s.cfg.NoHealth }

// stamp is the wire form of an instant.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
