package server

import (
	"math"
	"strconv"

	"github.com/billyronks/couchestor/tiering"
)

// The values of the labels tier and state of couchestor_volumes.
var (
	volumeTiers  = []string{"hot", "warm", "cold", "mixed", "none"}
	volumeStates = []string{"unknown", "hold", "stay", "move", "would_move", "moving", "recover"}
)

// scoreBounds are the values of the label at_most, in IOPS, without the last,
// +Inf.
var scoreBounds = [...]float64{1, 5, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000}

// failing is how many failures in a row make a volume fail repeatedly.
const failing = 3

// volumeNumbers are those of the volumes of one policy.
type volumeNumbers struct {
	// by tier and state, held by gate.
	by   map[[2]string]int
	held map[tiering.Gate]int
	// failing counts volumes by their failures in a row.
	failing int
	// scored counts volumes by the first of scoreBounds that holds their score,
	// and iops sums the scores by tier; both are of scores that may be acted on.
	scored [len(scoreBounds) + 1]int
	iops   map[string]float64
	// watermarks in IOPS; that of warm is 0 if there is no warm tier.
	high, warm, low int64
}

func volumesOf(plan *tiering.Plan) volumeNumbers {
	rules := plan.Rules()
	n := volumeNumbers{
		by: map[[2]string]int{}, held: map[tiering.Gate]int{}, iops: map[string]float64{},
		high: rules.HighWatermarkIOPS, warm: rules.WarmWatermarkIOPS, low: rules.LowWatermarkIOPS,
	}
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		trusted := plan.Trusts(&d.Volume.Sample)
		n.by[[2]string{d.FromWord(), stateOf(d, trusted)}]++
		if d.Act == tiering.Hold && d.Held.Gate != tiering.NoGate {
			n.held[d.Held.Gate]++
		}
		if !d.Selected || d.Winner != "" {
			continue // It counts for the policy that wins it.
		}
		if d.Volume.Remembered().Attempt.Failures >= failing {
			n.failing++
		}
		if trusted {
			n.scored[bound(d.Volume.Sample.IOPS())]++
			n.iops[d.FromWord()] += d.Volume.Sample.IOPS()
		}
	}
	return n
}

// stateOf is what became of the volume; a hold for want of a score is unknown.
func stateOf(d *tiering.Decision, trusted bool) string {
	switch d.Act {
	case tiering.Hold:
		if !trusted {
			return "unknown"
		}
		return "hold"
	case tiering.Stay:
		return "stay"
	case tiering.Move:
		return "move"
	case tiering.WouldMove:
		return "would_move"
	case tiering.Moving:
		return "moving"
	case tiering.Recover:
		return "recover"
	}
	return "unknown"
}

// bound is the place of the first bound that is not below the score.
func bound(iops float64) int {
	for i, b := range scoreBounds {
		if iops <= b {
			return i
		}
	}
	return len(scoreBounds)
}

func (n *volumeNumbers) collect(x exposition, policy string) {
	for _, tier := range volumeTiers {
		for _, state := range volumeStates {
			x.gauge("couchestor_volumes", float64(n.by[[2]string{tier, state}]), policy, state, tier)
		}
		x.gauge("couchestor_tier_score_iops", n.iops[tier], policy, tier)
	}
	for _, gate := range tiering.Gates() {
		x.gauge("couchestor_held_volumes", float64(n.held[gate]), gate.String(), policy)
	}
	x.gauge("couchestor_failing_volumes", float64(n.failing), policy)
	sum := 0
	for i, here := range n.scored {
		sum += here
		x.gauge("couchestor_scored_volumes", float64(sum), atMost(i), policy)
	}
	x.gauge("couchestor_watermark_iops", float64(n.high), policy, "high")
	x.gauge("couchestor_watermark_iops", float64(n.low), policy, "low")
	if n.warm > 0 {
		x.gauge("couchestor_watermark_iops", float64(n.warm), policy, "warm")
	}
}

// atMost is a bound as the value of a label, the way Prometheus writes le.
func atMost(i int) string {
	b := math.Inf(1)
	if i < len(scoreBounds) {
		b = scoreBounds[i]
	}
	return strconv.FormatFloat(b, 'f', -1, 64)
}
