package mayastor

import (
	"cmp"
	"iter"
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
	// targets says of each site whether its pool is one to move to.
	targets []bool
	// usable are the target pools that qualify whatever the other replicas do.
	usable []place
	kinds  map[string]int
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
	*site
	kind int // a number among the kinds of the walk
}

// ref is the replica to come.
func (p place) ref() ReplicaRef { return ReplicaRef{Pool: p.ID, Node: p.node} }

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
	w := &walk{placement: p, removal: r, ask: ask, capability: capability, targets: make([]bool, len(p.sites))}
	for _, id := range ask.Targets {
		w.aim(id)
	}
	for _, ref := range p.placed() {
		if w.onTarget(ref.Pool) {
			w.start.there = append(w.start.there, ref)
		} else {
			w.start.left = append(w.start.left, ref)
		}
	}
	slices.SortFunc(w.start.left, r.preference)
	return w
}

// aim makes every site of a pool a target.
func (w *walk) aim(id string) {
	if s := w.pools[id]; s != nil {
		for i := s.index; i >= 0 && w.sites[i].ID == id; i-- {
			w.targets[i] = true
		}
	}
}

// onTarget says whether a pool, which need not be known, is a target.
func (w *walk) onTarget(id string) bool {
	if s := w.pools[id]; s != nil {
		return w.targets[s.index]
	}
	return slices.Contains(w.ask.Targets, id)
}

// survey finds the usable pools.
func (w *walk) survey() {
	w.kinds = map[string]int{}
	w.usable = make([]place, 0, len(w.ask.Targets))
	for i := range w.sites {
		pool := &w.sites[i]
		if w.targets[i] && w.fixed(pool) == nil && w.overfull(pool, w.ask.MaxUsedPercent) == nil {
			w.usable = append(w.usable, place{pool, w.kind(pool)})
		}
	}
}

// kind of a place on the pool.
func (w *walk) kind(pool *site) int {
	name := ""
	if pool.node == w.removal.targetNode() {
		name = "local"
	}
	if w.nodeSpread.any() || w.poolSpread.any() {
		name += w.nodeSpread.values(pool.on.labels()) + w.poolSpread.values(pool.labels())
	}
	kind, ok := w.kinds[name]
	if !ok {
		kind = len(w.kinds)
		w.kinds[name] = kind
	}
	return kind
}

// values of the labels that matter to s, as one text.
func (s spread) values(labels map[string]string) string {
	var b strings.Builder
	for _, keys := range [][]string{s.differ, s.share} {
		for _, key := range keys {
			b.WriteString("\x00" + labels[key])
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
	kind := w.move(p)
	ok := slices.ContainsFunc(p.left, func(victim ReplicaRef) bool {
		for range w.outcomes(p, kind, victim) {
			return true
		}
		return false
	})
	w.walkable[key] = ok
	return ok
}

// move says how a replica can be moved in a position, whichever it is.
func (w *walk) move(p position) StepKind {
	if w.reduce && !w.lands(p.all()) && w.mayReduce(p) {
		return RemoveFirst
	}
	return AddFirst
}

// lands says whether there is a place beside the replicas that are there.
func (w *walk) lands(all []ReplicaRef) bool {
	for range w.landing(all) {
		return true
	}
	return false
}

// landing yields the usable places beside the replicas that are there.
func (w *walk) landing(all []ReplicaRef) iter.Seq[place] {
	return func(yield func(place) bool) {
		c := w.beside(all)
		for _, u := range w.usable {
			if w.clash(u.site, c) == nil && !yield(u) {
				return
			}
		}
	}
}

// firsts yields the first place of each kind.
func (w *walk) firsts(all []ReplicaRef) iter.Seq[place] {
	return func(yield func(place) bool) {
		c := w.beside(all)
		seen, left := make([]bool, len(w.kinds)), len(w.kinds)
		for _, u := range w.usable {
			if seen[u.kind] || w.clash(u.site, c) != nil {
				continue
			}
			seen[u.kind] = true
			if left--; !yield(u) || left == 0 {
				return
			}
		}
	}
}

// mayReduce says whether a copy may be given up first: two others stay, and it
// is not that a free node with a target pool is only down, closed or full, as
// then it is better to wait (MS 5.4.2).
func (w *walk) mayReduce(p position) bool {
	all := p.all()
	if len(all) < 3 {
		return false
	}
	c := w.beside(all)
	for i := range w.sites {
		pool := &w.sites[i]
		if !w.targets[i] || w.clash(pool, c) != nil {
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
	kind  int // of the places
	steer steering
	next  position // with the new replica on the first of the places
}

// outcomes yields those from which the rest can be walked, kind by kind.
func (w *walk) outcomes(p position, kind StepKind, victim ReplicaRef) iter.Seq[outcome] {
	return func(yield func(outcome) bool) {
		rest := p.without(victim)
		beside := p.all()
		if kind == RemoveFirst {
			if w.steering(victim, beside) == astray {
				return
			}
			beside = rest.all()
		}
		for first := range w.firsts(beside) {
			ref := first.ref()
			o := outcome{kind: first.kind, next: rest.with(ref)}
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

// step is the next one from a position, and where it leads if the new replica
// lands on the first pool of its Landing. The Landing is empty if the rest
// cannot be walked.
func (w *walk) step(p position) (Step, position) {
	kind := w.move(p)
	for _, victim := range p.left {
		s := Step{Kind: kind, Victim: victim}
		var next position
		good := make([]bool, len(w.kinds))
		some := false
		for o := range w.outcomes(p, kind, victim) {
			// Places come in the order of their pools, the first of each kind.
			if !some {
				next = o.next
			}
			some, good[o.kind] = true, true
			if o.steer == byOurCordon {
				s.CordonNode = victim.Node
			}
		}
		if !some {
			continue
		}
		beside := p.all()
		if kind == RemoveFirst {
			beside = p.without(victim).all()
		}
		s.Landing = make([]string, 0, len(w.usable))
		for u := range w.landing(beside) {
			if good[u.kind] {
				s.Landing = append(s.Landing, u.ID)
			}
		}
		s.Cordon = w.hazards(beside, s.Landing)
		return s, next
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
	ids := make([]string, 0, max(len(w.sites)-len(landing), 0))
	c := w.beside(all)
	for i := range w.sites {
		pool := &w.sites[i]
		// Both are sorted.
		for len(landing) > 0 && landing[0] < pool.ID {
			landing = landing[1:]
		}
		wanted := len(landing) > 0 && landing[0] == pool.ID
		if !wanted && !pool.taken(all) && (w.may(pool, c) || w.roomAgain(pool)) {
			ids = append(ids, pool.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return ids
}

// roomAgain says whether only the room taken by a replica of this volume keeps
// new ones off the pool: once it is gone, the pool may be chosen.
func (w *walk) roomAgain(pool *site) bool {
	f := w.fixed(pool)
	return f != nil && (f.reason == ReasonPoolFull || f.reason == ReasonPoolOvercommit) &&
		slices.ContainsFunc(w.start.left, func(r ReplicaRef) bool { return r.Pool == pool.ID })
}
