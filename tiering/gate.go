package tiering

import "time"

// Gate is one of the conditions a move has to meet.
type Gate uint8

// The gates, in the order in which they are asked.
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
)

// String returns the gate's documented name; empty for NoGate.
func (g Gate) String() string {
	switch g {
	case NoGate:
		return ""
	case GateAccepted:
		return "accepted"
	case GateEnabled:
		return "enabled"
	case GateMode:
		return "mode"
	case GateWins:
		return "policy wins"
	case GateCoverage:
		return "coverage"
	case GateBand:
		return "band"
	case GatePublished:
		return "published"
	case GateHealthy:
		return "healthy"
	case GateContent:
		return "content"
	case GateSnapshots:
		return "snapshots"
	case GateCalm:
		return "calm"
	case GateSettled:
		return "settled"
	case GateNotLive:
		return "not live"
	case GateClean:
		return "clean"
	case GateBackOff:
		return "back-off"
	case GateCooldown:
		return "cooldown"
	case GateRoute:
		return "route"
	case GateCapacity:
		return "capacity"
	case GateFits:
		return "fits"
	case GateCaps:
		return "caps"
	}
	return ""
}

// Gates returns all gates in the order in which they are asked.
func Gates() []Gate {
	all := make([]Gate, 0, GateCaps)
	for g := GateAccepted; g <= GateCaps; g++ {
		all = append(all, g)
	}
	return all
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

// Value is what a gate saw or asks for, put into words only when it is read.
type Value struct {
	text string
}

// String returns the value in words.
func (v Value) String() string { return v.text }

// Sentence says in words what the gate found, what it asks for, when it opens
// and what to do next.
func (v Verdict) Sentence() string { return v.Gate.String() }

// Reason is the sentence for status: it holds no figure that changes from
// minute to minute.
func (v Verdict) Reason() string { return v.Gate.String() }
