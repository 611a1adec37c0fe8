package simulator

import (
	"slices"
)

// Thin provisioning limits of the core's defaults (MS 1.5, 4.3).
const (
	freeWatermark       = 16 * mib
	volumeCommitment    = 40  // percent of the size a thin replica must find free beyond its data
	overCommitment      = 250 // percent of a pool that may be promised
	weightFew           = 40
	weightFree          = 60
	weightThinFew       = 25
	weightThinFree      = 40
	weightThinCommitted = 35
)

// candidates lists the pools a new replica of v may land on, best first (MS 4.3,
// 4.4), as the core sees them.
func (s *Simulator) candidates(v *volume) []*pool {
	var list []*pool
	for _, p := range s.pools.values {
		if s.placeable(v, p) {
			list = append(list, p)
		}
	}
	s.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b *pool) int { return s.comparePools(v, a, b) })
	return list
}

// placeable is suits plus what only holds for a replica that does not exist yet.
func (s *Simulator) placeable(v *volume, p *pool) bool {
	n := p.node
	for _, r := range v.own {
		if r.pool.node == n {
			return false // one replica per node, even a broken or excess one
		}
	}
	return !n.cordoned() && !p.cordon.Replicas && s.suits(v, p) && s.spreads(v, n) && s.hasRoom(v, p) && s.groupAllows(v, p)
}

// suits says whether topology and state allow v on p.
func (s *Simulator) suits(v *volume, p *pool) bool {
	w := s.poolSeen(p)
	if p.node.status != "Online" || !w.present || w.status == "Unknown" || w.status == "Faulted" {
		return false
	}
	if len(v.allowedNodes) > 0 && !slices.Contains(v.allowedNodes, p.node.id) {
		return false
	}
	return includes(v.nodeInclusion, p.node.labels) && includes(v.poolInclusion, p.labels)
}

// includes says whether labels satisfy an inclusion: every key is there, and
// with its value unless that is empty.
func includes(inclusion, labels map[string]string) bool {
	for k, want := range inclusion {
		got, found := labels[k]
		if !found || want != "" && want != got {
			return false
		}
	}
	return true
}

// spreads checks the node spread of v on a +1; 2.7 looked at it at creation only.
func (s *Simulator) spreads(v *volume, n *node) bool {
	if !s.cfg.Profile.atLeast(V2_9) {
		return true
	}
	for _, key := range v.nodeExclusion {
		value, found := n.labels[key]
		if !found {
			return false
		}
		for _, r := range v.own {
			if r.pool.node.labels[key] == value {
				return false
			}
		}
	}
	return true
}

func (s *Simulator) hasRoom(v *volume, p *pool) bool {
	w := s.poolSeen(p)
	free := w.capacity - w.used
	switch {
	case w.capacity <= v.size:
		return false
	case !v.thin:
		return free > v.size
	case free <= freeWatermark:
		return false
	}
	var allocated int64
	for _, r := range v.own {
		allocated = max(allocated, s.replicaSeen(r).allocated+r.snapshotBytes(v))
	}
	return free > min(allocated+v.size*volumeCommitment/100, v.size) && (v.size+w.committed)*100 < overCommitment*w.capacity
}

// groupAllows keeps single-replica volumes of an affinity group apart.
func (s *Simulator) groupAllows(v *volume, p *pool) bool {
	if v.group == "" || v.want != 1 {
		return true
	}
	for _, other := range s.volumes.values {
		if other == v || other.group != v.group {
			continue
		}
		for _, r := range other.own {
			if r.pool.node == p.node {
				return false
			}
		}
	}
	return true
}

// groupReplicas counts the replicas of v's affinity group on p.
func (s *Simulator) groupReplicas(v *volume, p *pool) int {
	if v.group == "" {
		return 0
	}
	n := 0
	for _, r := range p.own {
		if r.volume != nil && r.volume.group == v.group {
			n++
		}
	}
	return n
}

// comparePools is upstream's sort: a Degraded pool comes before Online ones (its
// rank is lower and the list is taken from the front), then the pool with the
// greater pairwise score.
func (s *Simulator) comparePools(v *volume, a, b *pool) int {
	wa, wb := s.poolSeen(a), s.poolSeen(b)
	if d := statusRank(wa.status) - statusRank(wb.status); d != 0 {
		return d
	}
	var sa, sb float64
	score := func(weight, x, y float64, lessIsBetter bool) {
		if lessIsBetter {
			x, y = y, x
		}
		if x+y == 0 {
			x, y = 1, 1
		}
		sa += weight * x / (x + y)
		sb += weight * y / (x + y)
	}
	few := float64(weightFew)
	if v.thin {
		few = weightThinFew
	}
	if v.group != "" {
		// The weight of few replicas is shared with few replicas of the group.
		group := 25.0
		if few = 15; v.thin {
			few, group = 10, 15
		}
		score(group, float64(s.groupReplicas(v, a)), float64(s.groupReplicas(v, b)), true)
	}
	score(few, float64(len(a.own)), float64(len(b.own)), true)
	if v.thin {
		score(weightThinFree, float64(wa.capacity-wa.used), float64(wb.capacity-wb.used), false)
		score(weightThinCommitted, share100(wa), share100(wb), true)
	} else {
		score(weightFree, float64(wa.capacity-wa.used), float64(wb.capacity-wb.used), false)
	}
	switch {
	case sa > sb:
		return -1
	case sa < sb:
		return 1
	}
	return 0
}

func share100(w poolView) float64 { return 100 * float64(w.committed) / float64(max(w.capacity, 1)) }

// statusRank orders pool states as upstream's enum does.
func statusRank(status string) int {
	return slices.Index([]string{"Unknown", "Faulted", "Suspected", "Degraded", "Online"}, status)
}
