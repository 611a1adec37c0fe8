package tiering

import (
	"time"
)

// Gate is one of the conditions that a move has to meet.
type Gate uint8

// The gates. Their order is that of [Gates].
const (
	NoGate Gate = iota
	GateAccepted
	GateEnabled
	GateMode
	GateWins
	GateCoverage
	GateBand
	GatePublished
	GateHealthy
	GateContent
	GateSnapshots
	GateCalm
	GateSettled
	GateNotLive
	GateClean
	GateBackOff
	GateCooldown
	GateRoute
	GateCapacity
	GateFits
	GateCaps

	numGates = int(GateCaps)
)

// gate is a gate with the question it asks. A question looks at one volume at
// its turn, changes nothing, and answers the same again.
type gate struct {
	Gate
	name string
	ask  func(*turn) Verdict
}

// gates returns all gates in the order in which they are asked. The first that
// does not pass holds the volume, so those that speak for more volumes come
// first, and those that cost most come last.
func gates() [numGates]gate {
	return [numGates]gate{
		{GateAccepted, "accepted", accepted},
		{GateEnabled, "enabled", enabled},
		{GateMode, "mode", mode},
		{GateWins, "policy wins", wins},
		{GateCoverage, "coverage", coverage},
		{GateBand, "band", band},
		{GatePublished, "published", published},
		{GateHealthy, "healthy", healthy},
		{GateContent, "content", content},
		{GateSnapshots, "snapshots", snapshots},
		{GateCalm, "calm", calm},
		{GateSettled, "settled", settled},
		{GateNotLive, "not live", notLive},
		{GateClean, "clean", clean},
		{GateBackOff, "back-off", backOff},
		{GateCooldown, "cooldown", cooldown},
		{GateRoute, "route", route},
		{GateCapacity, "capacity", capacity},
		{GateFits, "fits", fits},
		{GateCaps, "caps", caps},
	}
}

// firstInTurn is the first gate whose answer depends on the moves chosen
// before; it and those after it are asked in the order of the moves.
const firstInTurn = GateCapacity

// Gates returns all gates in the order in which they are asked.
func Gates() []Gate {
	order := gates()
	all := make([]Gate, len(order))
	for i, g := range order {
		all[i] = g.Gate
	}
	return all
}

// String returns the gate's documented name, such as back-off; empty for
// NoGate.
func (g Gate) String() string {
	all := gates()
	for i := range all {
		if all[i].Gate == g {
			return all[i].name
		}
	}
	return ""
}

// Verdict is what one gate says of one volume.
type Verdict struct {
	Gate Gate
	Pass bool
	// Have is what the gate saw, Want what it asks for.
	Have, Want Value
	// OpensAt is when the gate opens by itself; zero if time alone does not
	// open it, or not at a time that is known.
	OpensAt time.Time
}

func passes(have, want Value) Verdict { return Verdict{Pass: true, Have: have, Want: want} }

func holds(have, want Value) Verdict { return Verdict{Have: have, Want: want} }

func holdsUntil(opens time.Time, have, want Value) Verdict {
	return Verdict{Have: have, Want: want, OpensAt: opens}
}

func answer(pass bool, have, want Value) Verdict {
	return Verdict{Pass: pass, Have: have, Want: want}
}

// notAsked is the verdict of a gate that has nothing to ask of a volume: it has
// no wish to move, or an earlier gate holds it.
func notAsked(why string) Verdict { return passes(words(unasked+why), Value{}) }

// unasked begins what such a verdict has.
const unasked = "not asked: "

// turn is what a gate looks at: one volume, when its turn in the plan comes.
type turn struct {
	plan     *Plan
	v        *Volume
	selected bool
	winner   *Policy
	// trusted is true if the score may be acted on.
	trusted bool
	from    Tier
	mixed   bool
	// lean is the tier the volume counts as being on; to is the tier it
	// belongs on.
	lean, to  Tier
	threshold float64
	// clear is true while no gate has held the volume; route is asked only
	// then, and nil before.
	clear  bool
	route  *Route
	ledger *ledger
	// nodes are those of the first replicas, as far as they were looked up.
	nodes [3]*Node
}

// node returns the node of replica i, or nil if Mayastor does not list it.
func (t *turn) node(i int) *Node {
	name := t.v.Replicas[i].Node
	if i >= len(t.nodes) {
		return t.plan.nodes[name]
	}
	if t.nodes[i] == nil {
		t.nodes[i] = t.plan.nodes[name]
	}
	return t.nodes[i]
}

// wishes reports whether the volume should be somewhere else than it is.
func (t *turn) wishes() bool { return wishes(t.from, t.mixed, t.to) }

func wishes(from Tier, mixed bool, to Tier) bool { return to != NoTier && (mixed || to != from) }

// ask asks gates in order and returns the first verdict that holds the volume;
// true if none does.
func (t *turn) ask(gates []gate) (Verdict, bool) {
	for i := range gates {
		if v := gates[i].ask(t); !v.Pass {
			v.Gate = gates[i].Gate
			return v, false
		}
	}
	return Verdict{}, true
}
