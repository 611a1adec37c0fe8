package simulator

import (
	"cmp"
	"slices"
)

// standing is what the removal order knows of a replica.
type standing struct {
	replica  *replica
	healthy  bool
	online   bool
	used     bool // is a nexus child
	state    int  // of the child: Faulted < Unknown < Degraded < Online
	progress int  // of its rebuild; 101 without one
	invalid  bool // node topology does not match
	mismatch bool // pool labels do not match
	clashes  int  // of the node spread
	cordoned bool
	local    bool
	group    int
}

// victim is the replica a -1 to n removes, nil for none (MS 4.5).
func (s *Simulator) victim(v *volume, n int) *replica {
	order := s.removalOrder(v)
	available := 0
	for _, x := range order {
		if x.healthy && x.online {
			available++
		}
	}
	switch {
	case len(order) == 0:
		return nil
	case !order[0].healthy:
		return order[0].replica
	case available > n:
		return order[0].replica
	}
	return nil
}

// removalOrder sorts the replicas of v, first to go first.
func (s *Simulator) removalOrder(v *volume) []standing {
	w := s.nexusSeen(v)
	var list []standing
	for _, r := range s.owned(v) {
		x := standing{
			replica: r, healthy: v.healthy(r), online: s.replicaSeen(r).state == "Online", progress: 101,
			invalid: len(v.nodeInclusion) > 0 && !includes(v.nodeInclusion, r.pool.node.labels), mismatch: !includes(v.poolInclusion, r.pool.labels),
			cordoned: r.pool.node.cordoned(), local: v.target == nil || v.local(r), group: s.groupReplicas(v, r.pool),
		}
		if c, isChild := w.childSeen(r); isChild {
			x.used = true
			x.state = slices.Index([]string{"Faulted", "Unknown", "Degraded", "Online"}, c.state)
			if c.progress >= 0 {
				x.progress = c.progress
			}
		}
		for _, key := range v.nodeExclusion {
			for _, other := range v.own {
				if other != r && other.pool.node.labels[key] == r.pool.node.labels[key] {
					x.clashes++
				}
			}
		}
		list = append(list, x)
	}
	order := newRemoval
	if !s.cfg.Profile.atLeast(V2_9) {
		order = oldRemoval
	}
	slices.SortStableFunc(list, order)
	return list
}

// oldRemoval is the order up to 2.7.1.
func oldRemoval(a, b standing) int {
	return cmp.Or(
		falseFirst(a.healthy, b.healthy),
		trueFirst(a.used, b.used), // a quirk: children go before what is no child
		cmp.Compare(a.state, b.state),
		falseFirst(a.local, b.local),
		cmp.Compare(b.group, a.group),
	)
}

// newRemoval is the order since 2.9. No version looks at pool cordons.
func newRemoval(a, b standing) int {
	return cmp.Or(
		falseFirst(a.healthy, b.healthy),
		falseFirst(a.used, b.used),
		cmp.Compare(a.state, b.state),
		cmp.Compare(a.progress, b.progress),
		trueFirst(a.invalid, b.invalid),
		trueFirst(a.mismatch, b.mismatch),
		cmp.Compare(b.clashes, a.clashes),
		trueFirst(a.cordoned, b.cordoned),
		falseFirst(a.local, b.local),
		cmp.Compare(b.group, a.group),
	)
}

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func trueFirst(a, b bool) int { return falseFirst(b, a) }
