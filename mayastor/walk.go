package mayastor

import (
	"cmp"
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
	removal    *removal
	ask        Ask
	capability Capability
	targets    map[string]bool
	// usable are the target pools that qualify whatever the other replicas do.
	usable []place
	start  position

	// reduce allows RemoveFirst; blind takes every removal for steerable, to
	// find out what is in the way.
	reduce, blind bool
	// walkable says of each position looked at whether the rest can be walked.
	walkable map[string]bool
	budget   int
	// fewest replicas left to move in any position reached, to explain.
	fewest int
}

// maxPositions bounds the search. The positions that matter are few: pools that
// make no difference are looked at once.
const maxPositions = 4000

// place is a pool to land on. Places of one kind make no difference to the rest
// of a walk: each takes one node of many, and only being local to the target,
// and labels by which replicas are spread or kept together, tell them apart.
type place struct {
	*Pool
	ref  ReplicaRef // of the replica to come
	kind string
}

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
	names := make([]string, 0, len(p.left)+len(p.there))
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

// with is the position when a new replica is there and in sync.
func (p position) with(r ReplicaRef) position {
	return position{left: p.left, there: append(slices.Clip(p.there), r)}
}

func walkOf(p *placement, r *removal, ask Ask, capability Capability) *walk {
	w := &walk{placement: p, removal: r, ask: ask, capability: capability, targets: make(map[string]bool, len(ask.Targets))}
	for _, id := range ask.Targets {
		w.targets[id] = true
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

// survey finds the usable pools.
func (w *walk) survey() {
	for _, pool := range w.sorted {
		if w.targets[pool.ID] && w.fixed(pool) == nil && w.overfull(pool, w.ask.MaxUsedPercent) == nil {
			w.usable = append(w.usable, place{pool, ReplicaRef{Pool: pool.ID, Node: pool.home()}, w.kind(pool)})
		}
	}
}

// kind of a place on the pool.
func (w *walk) kind(pool *Pool) string {
	local := ""
	if pool.home() == w.removal.targetNode() {
		local = "local"
	}
	if !w.nodeSpread.any() && !w.poolSpread.any() {
		return local
	}
	var b strings.Builder
	b.WriteString(local)
	for _, t := range []struct {
		spread
		labels map[string]string
	}{{w.nodeSpread, w.nodes[pool.home()].labels()}, {w.poolSpread, pool.labels()}} {
		for _, key := range slices.Concat(t.differ, t.share) {
			b.WriteString("\x00" + t.labels[key])
		}
	}
	return b.String()
}

// arrived says whether every wanted replica is on a target pool.
func (w *walk) arrived() bool {
	return len(w.start.left) == 0 && len(w.start.there) > 0 && len(w.start.there) == w.v.Spec.NumReplicas
}

// find returns the steps of the whole move. A way that never lowers the number
// of copies goes before one that does.
func (w *walk) find() ([]Step, bool) {
	if !w.search(false, false) && !(w.ask.AllowReduced && w.search(true, false)) {
		return nil, false
	}
	var steps []Step
	for p := w.start; len(p.left) > 0; {
		// Each Landing is looked at whole, not with what the search left over.
		w.budget = maxPositions
		s, next := w.step(p)
		if len(s.Landing) == 0 {
			return nil, false
		}
		steps = append(steps, s)
		p = next
	}
	return steps, true
}

// search says whether the whole move can be walked.
func (w *walk) search(reduce, blind bool) bool {
	w.reduce, w.blind = reduce, blind
	w.walkable, w.budget, w.fewest = map[string]bool{}, maxPositions, len(w.start.left)
	return w.from(w.start)
}

// from says whether the rest can be walked from a position.
func (w *walk) from(p position) bool {
	w.fewest = min(w.fewest, len(p.left))
	if len(p.left) == 0 {
		return true
	}
	key := p.key()
	if ok, known := w.walkable[key]; known {
		return ok
	}
	if w.budget == 0 {
		return false
	}
	w.budget--
	kind, places := w.moves(p)
	ok := slices.ContainsFunc(p.left, func(victim ReplicaRef) bool {
		for range w.outcomes(p, kind, victim, places) {
			return true
		}
		return false
	})
	w.walkable[key] = ok
	return ok
}

// moves says how a replica can be moved in a position, whichever it is, and for
// AddFirst the places the new one may take. No kind works if the second result
// is empty and RemoveFirst is not the first.
func (w *walk) moves(p position) (StepKind, []place) {
	places := w.landing(p.all())
	if len(places) == 0 && w.reduce && w.mayReduce(p) {
		return RemoveFirst, nil
	}
	return AddFirst, places
}

// landing are the usable places beside the replicas that are there.
func (w *walk) landing(all []ReplicaRef) []place {
	places := make([]place, 0, len(w.usable))
	for _, u := range w.usable {
		if !taken(u.Pool, all) && w.beside(u.Pool, all) == nil {
			places = append(places, u)
		}
	}
	return places
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

// outcome is what comes of moving a victim to places of one kind.
type outcome struct {
	places []place
	steer  steering
	next   position // with the new replica on the first of the places
}

// outcomes yields those from which the rest can be walked, kind by kind.
func (w *walk) outcomes(p position, kind StepKind, victim ReplicaRef, places []place) func(yield func(outcome) bool) {
	return func(yield func(outcome) bool) {
		rest := p.without(victim)
		if kind == RemoveFirst {
			if w.steering(victim, p.all()) == astray {
				return
			}
			places = w.landing(rest.all())
		}
		for _, alike := range byKind(places) {
			ref := alike[0].ref
			o := outcome{places: alike, next: rest.with(ref)}
			if kind == RemoveFirst {
				o.steer = w.steering(victim, p.all())
			} else {
				o.steer = w.steering(victim, p.with(ref).all())
			}
			if o.steer != astray && w.from(o.next) && !yield(o) {
				return
			}
		}
	}
}

// byKind groups places, in the order of the first of each kind.
func byKind(places []place) [][]place {
	var groups [][]place
	index := map[string]int{}
	for _, p := range places {
		i, ok := index[p.kind]
		if !ok {
			i = len(groups)
			index[p.kind] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], p)
	}
	return groups
}

// step is the next one from a position, and where it leads if the new replica
// lands on the first pool of its Landing. The Landing is empty if the rest
// cannot be walked.
func (w *walk) step(p position) (Step, position) {
	kind, places := w.moves(p)
	for _, victim := range p.left {
		s := Step{Kind: kind, Victim: victim}
		var next position
		for o := range w.outcomes(p, kind, victim, places) {
			// Places come in the order of their pools, within a kind and the first
			// of each kind.
			if len(s.Landing) == 0 {
				next = o.next
			}
			for _, u := range o.places {
				s.Landing = append(s.Landing, u.ID)
			}
			if o.steer == byOurCordon {
				s.CordonNode = victim.Node
			}
		}
		if len(s.Landing) > 0 {
			slices.Sort(s.Landing)
			all := p.all()
			if kind == RemoveFirst {
				all = p.without(victim).all()
			}
			s.Cordon = w.hazards(all, s.Landing)
			return s, next
		}
	}
	return Step{}, position{}
}

// steering of a -1 that leaves the victim's rivals in place.
func (w *walk) steering(victim ReplicaRef, all []ReplicaRef) steering {
	s, _ := w.removal.steer(victim, all)
	// A server that cannot be steered at all is a refusal of its own.
	if w.blind || !w.steerable() {
		s = cmp.Or(s, byItself)
	}
	return s
}

// steerable says whether a node cordon steers removals.
func (w *walk) steerable() bool { return w.capability.Removal || w.capability.PoolCordon }

// hazards are the pools the server might choose and must not. Without pool
// cordons there is no keeping them out, only looking afterwards (MS 5.2).
func (w *walk) hazards(all []ReplicaRef, landing []string) []string {
	if !w.capability.PoolCordon {
		return nil
	}
	var ids []string
	for _, pool := range w.sorted {
		_, wanted := slices.BinarySearch(landing, pool.ID)
		if !wanted && !taken(pool, all) && (w.may(pool, all) || w.roomAgain(pool)) {
			ids = append(ids, pool.ID)
		}
	}
	return ids
}

// roomAgain says whether only the room taken by a replica of this volume keeps
// new ones off the pool: once it is gone, the pool may be chosen.
func (w *walk) roomAgain(pool *Pool) bool {
	f := w.fixed(pool)
	return f != nil && (f.reason == ReasonPoolFull || f.reason == ReasonPoolOvercommit) &&
		slices.ContainsFunc(w.start.left, func(r ReplicaRef) bool { return r.Pool == pool.ID })
}
