package mayastor

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// walk looks for an order of steps that brings every replica to a target pool.
//
// A replica can only land on a node without one, and gives its own node free
// when it goes, so the order matters: with one free node, a replica whose node
// has a target pool must move before one whose node has none. The server
// chooses among the pools of a Landing; so that no choice leads nowhere, a pool
// is in it only if the rest can be walked from there.
type walk struct {
	*placement
	removal    removal
	ask        Ask
	capability Capability
	targets    map[string]bool
	// usable are the target pools that qualify whatever the other replicas do.
	usable []*Pool
	start  position

	// reduce allows RemoveFirst; blind takes every removal for steerable, to
	// find out what is in the way.
	reduce, blind bool
	// failed are positions from which there is no way.
	failed map[string]bool
	budget int
	// fewest replicas left to move in any position reached, to explain.
	fewest int
}

// maxPositions bounds the search. The positions that matter are few: pools
// that make no difference are looked at once.
const maxPositions = 4000

// position is one moment between two steps.
type position struct {
	// left are still to be moved, in order of preference; there are those that
	// are on target pools.
	left, there []ReplicaRef
}

// all replicas of the position.
func (p position) all() []ReplicaRef { return slices.Concat(p.there, p.left) }

// key of the position for one walk.
func (p position) key() string {
	var names []string
	for _, r := range p.left {
		names = append(names, r.UUID)
	}
	for _, r := range p.there {
		names = append(names, r.Pool)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// without is the position when victim is gone.
func (p position) without(victim ReplicaRef) position {
	return position{
		left:  slices.DeleteFunc(slices.Clone(p.left), func(r ReplicaRef) bool { return r == victim }),
		there: p.there,
	}
}

// with is the position when a new replica is on the pool and in sync.
func (p position) with(pool *Pool) position {
	return position{left: p.left, there: append(slices.Clone(p.there), landed(pool))}
}

// landed is a replica that does not exist yet.
func landed(pool *Pool) ReplicaRef { return ReplicaRef{Pool: pool.ID, Node: pool.home()} }

func walkOf(p *placement, r removal, ask Ask, capability Capability) *walk {
	w := &walk{placement: p, removal: r, ask: ask, capability: capability, targets: map[string]bool{}}
	for _, id := range ask.Targets {
		w.targets[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(w.targets)) {
		if pool := p.pools[id]; pool != nil && p.fixed(pool) == nil && p.overfull(pool, ask.MaxUsedPercent) == nil {
			w.usable = append(w.usable, pool)
		}
	}
	for _, ref := range p.placed() {
		if w.targets[ref.Pool] {
			w.start.there = append(w.start.there, ref)
		} else {
			w.start.left = append(w.start.left, ref)
		}
	}
	slices.SortFunc(w.start.left, r.preference)
	return w
}

// arrived says whether every wanted replica is on a target pool.
func (w *walk) arrived() bool {
	return len(w.start.left) == 0 && len(w.start.there) > 0 && len(w.start.there) == w.v.Spec.NumReplicas
}

// find returns the steps of the whole move. A way that never lowers the number
// of copies goes before one that does.
func (w *walk) find() ([]Step, bool) {
	if steps, ok := w.search(false, false); ok {
		return steps, true
	}
	if !w.ask.AllowReduced {
		return nil, false
	}
	return w.search(true, false)
}

func (w *walk) search(reduce, blind bool) ([]Step, bool) {
	w.reduce, w.blind = reduce, blind
	w.failed, w.budget, w.fewest = map[string]bool{}, maxPositions, len(w.start.left)
	return w.from(w.start)
}

// from returns the steps that are left from a position.
func (w *walk) from(p position) ([]Step, bool) {
	w.fewest = min(w.fewest, len(p.left))
	if len(p.left) == 0 {
		return nil, true
	}
	key := p.key()
	if w.failed[key] || w.budget == 0 {
		return nil, false
	}
	w.budget--
	for _, victim := range p.left {
		if s, rest, ok := w.step(p, victim); ok {
			return append([]Step{s}, rest...), true
		}
	}
	w.failed[key] = true
	return nil, false
}

// step moves one replica, if the rest can be walked then.
func (w *walk) step(p position, victim ReplicaRef) (Step, []Step, bool) {
	if landing := w.landing(p.all()); len(landing) > 0 {
		return w.addFirst(p, victim, landing)
	}
	if w.reduce && w.mayReduce(p) {
		return w.removeFirst(p, victim)
	}
	return Step{}, nil, false
}

// landing are the usable pools beside the replicas that are there.
func (w *walk) landing(all []ReplicaRef) []*Pool {
	var pools []*Pool
	for _, pool := range w.usable {
		if w.beside(pool, all) == nil {
			pools = append(pools, pool)
		}
	}
	return pools
}

// addFirst is +1, wait for sync, -1.
func (w *walk) addFirst(p position, victim ReplicaRef, landing []*Pool) (Step, []Step, bool) {
	s := Step{Kind: AddFirst, Victim: victim}
	rest, ok := w.choose(&s, landing, func(pool *Pool) (steering, position) {
		next := p.with(pool)
		return w.steering(victim, next.all()), next.without(victim)
	})
	s.Cordon = w.hazards(p.all(), s.Landing)
	return s, rest, ok
}

// mayReduce says whether a copy may be given up first: two others stay, and it
// is not that a free node with a target pool is only down, closed or full, as
// then it is better to wait (MS 5.4.2).
func (w *walk) mayReduce(p position) bool {
	all := p.all()
	if len(all) < 3 {
		return false
	}
	for id := range w.targets {
		pool := w.pools[id]
		if pool == nil || w.beside(pool, all) != nil {
			continue
		}
		if f := w.fixed(pool); f == nil || f.passing {
			return false
		}
	}
	return true
}

// removeFirst is -1, then +1 on what became free.
func (w *walk) removeFirst(p position, victim ReplicaRef) (Step, []Step, bool) {
	s := Step{Kind: RemoveFirst, Victim: victim}
	steer := w.steering(victim, p.all())
	after := p.without(victim)
	rest, ok := w.choose(&s, w.landing(after.all()), func(pool *Pool) (steering, position) {
		return steer, after.with(pool)
	})
	s.Cordon = w.hazards(after.all(), s.Landing)
	return s, rest, ok
}

// choose puts into s the pools of landing from which the rest can be walked,
// and returns that rest from the first of them. Pools that are alike in all
// that matters to the rest are tried once.
func (w *walk) choose(s *Step, landing []*Pool, outcome func(*Pool) (steering, position)) ([]Step, bool) {
	type verdict struct {
		ok    bool
		steps []Step
	}
	tried := map[string]verdict{}
	var rest []Step
	for _, pool := range landing {
		steer, next := outcome(pool)
		if steer == astray {
			continue
		}
		kind := w.kind(pool)
		t, seen := tried[kind]
		if !seen {
			t.steps, t.ok = w.from(next)
			tried[kind] = t
		}
		if !t.ok {
			continue
		}
		if len(s.Landing) == 0 {
			rest = t.steps
		}
		s.Landing = append(s.Landing, pool.ID)
		if steer == byOurCordon {
			s.CordonNode = s.Victim.Node
		}
	}
	return rest, len(s.Landing) > 0
}

// steering of a -1 that leaves the victim's rivals in place.
func (w *walk) steering(victim ReplicaRef, all []ReplicaRef) steering {
	s, _ := w.removal.steer(victim, all)
	if w.blind {
		s = cmp.Or(s, byItself)
	}
	return s
}

// kind is the same for pools that make no difference to the rest of a walk:
// each takes one node of many, and only labels by which replicas are spread and
// being local to the target tell them apart.
func (w *walk) kind(pool *Pool) string {
	var b strings.Builder
	if pool.home() == w.removal.targetNode() {
		b.WriteString("local")
	}
	if !w.spreads {
		return b.String()
	}
	for _, t := range []struct {
		topology *LabelledTopology
		labels   map[string]string
	}{{w.nodeIn, w.nodes[pool.home()].labels()}, {w.poolIn, pool.labels()}} {
		if t.topology == nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(t.topology.Exclusion)) {
			b.WriteString("\x00" + t.labels[key])
		}
		for _, key := range t.topology.AffinityKey {
			b.WriteString("\x00" + t.labels[key])
		}
	}
	return b.String()
}

// hazards are the pools the server might choose and must not. Without pool
// cordons there is no keeping them out, only looking afterwards (MS 5.2).
func (w *walk) hazards(all []ReplicaRef, landing []string) []string {
	if !w.capability.PoolCordon {
		return nil
	}
	var ids []string
	for i := range w.sorted {
		pool := &w.sorted[i]
		if !slices.Contains(landing, pool.ID) && w.may(pool, all) {
			ids = append(ids, pool.ID)
		}
	}
	return ids
}
