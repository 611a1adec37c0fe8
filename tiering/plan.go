package tiering

import (
	"cmp"
	"slices"
	"time"
)

// Plan is what [Decide] decided. It refers to its input, which must not change
// as long as the plan is in use; a plan may be read by several goroutines.
type Plan struct {
	// Decisions, sorted by volume name, are those for each volume that the
	// policy selects, that a Job of the policy works on, or that the policy
	// has to recover.
	Decisions []Decision
	// Tiers of the policy's pools.
	Tiers *TierMap

	in     Input
	gates  []gate
	rivals *rivals
	// pools holds the place of each pool in World.Pools.
	pools map[string]int
	nodes map[string]*Node
	// settledPools is the verdict of the gate settled on each tier's pools,
	// edges the text of the bands around each tier.
	settledPools [Cold + 1]Verdict
	edges        [Cold + 1]string
	// base is the ledger before any move was chosen; moves are the decisions
	// that were chosen, in order.
	base     *ledger
	moves    []int
	standing standing
	consent  consent
	// proposing is true for the plan that a proposal is made of: windows, caps
	// and approval hold nothing in it.
	proposing bool
	// openings are when the maintenance windows let moves run; they say nothing
	// where windowed is false, as there are no windows.
	windowed bool
	openings []opening
	// active counts the live Jobs of the policy.
	active int
	// kept holds, by place in Decisions, what judges the pools that a volume
	// could go to; nil in a plan that can still ask for it. See Keep.
	kept map[int]func() []Candidate
}

// Decide decides for each volume that concerns the policy. The same input,
// with its slices in any order, gives the same plan. A policy that does not
// compile selects no volume, and still recovers what it started.
func Decide(in Input) *Plan {
	p := newPlan(in)
	p.consent = p.consentNow()
	p.decide()
	return p
}

// decide decides what newPlan prepared.
func (p *Plan) decide() {
	mine := p.concerned()
	p.Decisions = make([]Decision, len(mine))
	inTurn := slices.IndexFunc(p.gates, func(g gate) bool { return g.Gate == firstInTurn })

	running := p.base.clone()
	var waiting queue
	var t turn // One for all volumes: gates are called through pointers.
	for i, m := range mine {
		d := &p.Decisions[i]
		p.begin(&t, m.v, m.selected, m.winner)
		*d = Decision{
			Volume: m.v, Selected: m.selected, From: t.from, Mixed: t.mixed, To: t.to,
			ThresholdIOPS: t.threshold,
		}
		if m.winner != nil {
			d.Winner = m.winner.Name
		}
		switch {
		case m.v.Live != nil:
			d.Act, d.Held = Moving, p.verdict(GateNotLive, &t)
		case m.recover:
			d.Act, d.Held, d.N = Recover, p.verdict(GateClean, &t), next(m.v)
			running.policy++
			running.cluster++
		default:
			held, ok := t.ask(p.gates[:inTurn])
			switch {
			case ok:
				d.Route = t.route
				waiting = append(waiting, p.wish(i))
			case held.Gate == GateBand:
				d.Act, d.Held = Stay, held
			default:
				d.Held = held
			}
		}
	}
	p.base = running.clone()

	waiting.arrange()
	for len(waiting) > 0 && !p.full(running) {
		p.choose(&t, waiting.next().at, running, inTurn)
	}
	if len(waiting) == 0 {
		return
	}
	// Nothing moves any more, so that the order of the others is of no effect.
	for i := range p.Decisions {
		if d := &p.Decisions[i]; d.Act == Hold && d.Held.Gate == NoGate {
			p.choose(&t, i, running, inTurn)
		}
	}
}

// choose asks the gates from inTurn on about the decision at place i, which passed
// those before, and enters the move if there is one. t is for its use alone.
func (p *Plan) choose(t *turn, i int, running *ledger, inTurn int) {
	d := &p.Decisions[i]
	*t = turn{
		plan: p, v: d.Volume, from: d.From, mixed: d.Mixed, to: d.To,
		route: d.Route, ledger: running,
	}
	held, ok := t.ask(p.gates[inTurn:])
	if !ok {
		d.Held = held
		return
	}
	p.debit(running, d.Volume, d.To, d.Route.Landing)
	p.moves = append(p.moves, i)
	d.TargetPools = p.Tiers.Pools(d.To)
	d.Act = WouldMove
	if !p.dryRun() {
		d.Act, d.N, d.StartBy = Move, next(d.Volume), p.startBy(d.Volume, d.To)
	}
}

func newPlan(in Input) *Plan {
	if in.World == nil {
		in.World = &World{}
	}
	p := &Plan{in: in, rivals: rivalsOf(&in.Policy, in.Others)}
	all := gates()
	p.gates = all[:]
	p.Tiers = Tiers(&p.in.Policy.Rules, in.World.Pools)
	p.pools = make(map[string]int, len(in.World.Pools))
	for i := range in.World.Pools {
		p.pools[in.World.Pools[i].Name] = i
	}
	p.nodes = make(map[string]*Node, len(in.World.Nodes))
	for i := range in.World.Nodes {
		p.nodes[in.World.Nodes[i].Name] = &in.World.Nodes[i]
	}
	for t := NoTier; t <= Cold; t++ {
		p.settledPools[t] = p.settleTier(t)
		p.edges[t] = p.in.Policy.Rules.edges(t)
	}
	p.standing = p.stand()
	p.lookAtWindows()
	p.base = p.inFlight()
	p.active = p.base.policy
	return p
}

// World is what the sources said of the cluster when the plan was made.
func (p *Plan) World() *World { return p.in.World }

// Rules are those of the policy that asked.
func (p *Plan) Rules() *Rules { return &p.in.Policy.Rules }

// Places returns how many moves may run in the cluster at once, and how many
// did, recoveries that are to start now included, before this plan chose any.
func (p *Plan) Places() (taken, all int) {
	if p.base == nil {
		return 0, p.mostMoves()
	}
	return p.base.cluster, p.mostMoves()
}

// lookAtWindows works out when moves may run.
func (p *Plan) lookAtWindows() {
	sets := [][]Window{p.in.Policy.Rules.Windows, nil}
	if g := p.in.Governed; g != nil {
		sets[1] = g.Windows
	}
	if p.windowed = len(sets[0])+len(sets[1]) > 0; p.windowed {
		p.openings = openings(p.in.Now, sets...)
	}
}

// dryRun reports whether moves are only shown.
func (p *Plan) dryRun() bool { return p.standing.dry != "" }

// Concerns reports whether a decision of the policy may depend on the volume: the
// policy selects it, a Job of whichever policy works on it, or the policy has to
// recover it. What [Input] has of other volumes is of no effect.
func (p *Policy) Concerns(v *Volume) bool {
	return p.Rules.Selects(v) || v.Live != nil || unclean(v) && v.Memory.Attempt.Policy == p.Name
}

// concern is a volume that the policy has something to say about.
type concern struct {
	v        *Volume
	winner   *Policy
	selected bool
	recover  bool
}

// concerned returns those volumes, sorted by name.
func (p *Plan) concerned() []concern {
	mine := make([]concern, 0, len(p.in.Volumes))
	for _, v := range p.in.Volumes {
		c := concern{v: v, selected: p.in.Policy.Rules.Selects(v)}
		if c.selected {
			c.winner = p.rivals.winner(v)
		}
		if unclean(v) {
			by := v.Memory.Attempt.Policy
			c.recover = by == p.in.Policy.Name || c.selected && c.winner == nil && !p.owned(by)
		}
		if c.selected || c.recover || v.Live != nil && v.Live.Policy == p.in.Policy.Name {
			mine = append(mine, c)
		}
	}
	byName := func(a, b concern) int {
		if c := cmp.Compare(a.v.Name, b.v.Name); c != 0 {
			return c
		}
		return cmp.Compare(a.v.UUID, b.v.UUID)
	}
	if !slices.IsSortedFunc(mine, byName) {
		slices.SortFunc(mine, byName)
	}
	return mine
}

// unclean reports whether an attempt began and nobody works on it any more.
func unclean(v *Volume) bool {
	m := v.Memory
	return m != nil && m.Attempt.State == AttemptStarted && v.Live == nil && m.Fault == ""
}

// owned reports whether another policy of that name exists, and so recovers what
// it started.
func (p *Plan) owned(policy string) bool {
	return policy != p.in.Policy.Name && p.in.Others.find(policy) != nil || slices.Contains(p.in.Broken, policy)
}

// begin begins the turn of a volume: where it is, and where it belongs.
func (p *Plan) begin(t *turn, v *Volume, selected bool, winner *Policy) {
	*t = turn{plan: p, v: v, selected: selected, winner: winner, clear: true, ledger: p.base}
	r := &p.in.Policy.Rules
	if v.Listed {
		t.from, t.mixed = p.Tiers.Place(v.Replicas)
	}
	t.lean = t.from
	if t.mixed {
		t.lean = p.Tiers.lean(r, v)
	}
	if !selected || !p.trusts(&v.Sample) {
		return
	}
	t.trusted = true
	if t.to, t.threshold = r.band(v.Sample.iops, t.lean); t.to == NoTier {
		t.to = t.lean
	}
	if !t.wishes() {
		t.threshold = 0
	}
}

// verdict asks one gate by name.
func (p *Plan) verdict(g Gate, t *turn) Verdict {
	for i := range p.gates {
		if p.gates[i].Gate == g {
			v := p.gates[i].ask(t)
			v.Gate = g
			return v
		}
	}
	return Verdict{}
}

// next numbers the volume's next attempt.
func next(v *Volume) int64 {
	m := v.Remembered()
	return max(m.LastN, m.Attempt.N) + 1
}

// debit enters a chosen move.
func (p *Plan) debit(l *ledger, v *Volume, to Tier, landing []string) {
	l.policy++
	l.cluster++
	space := need(v)
	for _, name := range landing {
		l.reserve(p.pools[name], space)
	}
	l.load.add(p.caps(), v, p.Tiers.Pools(to))
}

// Verdicts asks all gates about one decision, in order, on the same input, with
// capacity and caps as they stood at that volume's turn. For a decision that a
// gate holds, the first verdict that does not pass is the decision's own.
func (p *Plan) Verdicts(i int) []Verdict {
	d := &p.Decisions[i]
	var winner *Policy
	if d.Winner != "" {
		winner = p.rivals.winner(d.Volume)
	}
	var t turn
	p.begin(&t, d.Volume, d.Selected, winner)
	t.ledger = p.base.clone()
	for _, m := range p.moves {
		if inOrder(p.wish(m), p.wish(i)) < 0 {
			before := &p.Decisions[m]
			p.debit(t.ledger, before.Volume, before.To, before.Route.Landing)
		}
	}
	// The way is not asked for again: it was decided on what it was then.
	t.route = d.Route
	all := make([]Verdict, len(p.gates))
	for k := range p.gates {
		if p.gates[k].Gate == d.Held.Gate && d.Held.Gate == GateRoute {
			all[k] = d.Held
		} else {
			all[k] = p.gates[k].ask(&t)
		}
		all[k].Gate = p.gates[k].Gate
		t.clear = t.clear && all[k].Pass
	}
	return all
}

// Moves returns the places in Decisions of the moves chosen (Move, or
// WouldMove), in their order.
func (p *Plan) Moves() []int { return slices.Clone(p.moves) }

// Find returns the place of a volume in Decisions.
func (p *Plan) Find(volume string) (int, bool) {
	return slices.BinarySearchFunc(p.Decisions, volume, func(d Decision, name string) int {
		return cmp.Compare(d.Volume.Name, name)
	})
}

const (
	soonest = time.Second
	// renewal is how long a source's reading is used by default (DESIGN section 7):
	// there is no other one sooner.
	renewal = 30 * time.Second
	latest  = 300 * time.Second
)

// NextLook returns the time until the next gate opens by itself, at least one
// second and at most 300. A gate that still held when its time was over waits for
// a source to be read again, for which it looks 30 seconds later.
func (p *Plan) NextLook(now time.Time) time.Duration {
	wait := latest
	for i := range p.Decisions {
		switch opens := p.Decisions[i].Held.OpensAt; {
		case opens.IsZero():
		case opens.After(p.in.Now):
			wait = min(wait, opens.Sub(now))
		default:
			wait = min(wait, renewal)
		}
	}
	for _, left := range [...]time.Duration{p.standing.trial.left, p.consent.left} {
		if left > 0 {
			wait = min(wait, left)
		}
	}
	return max(wait, soonest)
}
