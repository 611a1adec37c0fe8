package tiering

import (
	"fmt"
	"strings"
)

// Sentence names the gate and says in words what it found, what it asks for,
// when it opens, and what to do next.
func (v Verdict) Sentence() string {
	if v.Gate == NoGate {
		return ""
	}
	return v.Gate.String() + ": " + v.because(true)
}

// Reason is the sentence for status, of a gate that holds: it names no figure
// that changes from minute to minute, so that status changes only when
// something happened.
func (v Verdict) Reason() string {
	if v.Gate == NoGate || v.Pass {
		return ""
	}
	return v.because(false)
}

// because says what the gate found; with figures, or without those that change
// all the time.
func (v Verdict) because(figures bool) string {
	what, next := v.found(figures)
	if !v.OpensAt.IsZero() {
		what += "; opens at " + formatTime(v.OpensAt)
	}
	if next != "" && !v.Pass {
		what += ". " + next
	}
	return what + "."
}

// again ends the sentences about what passes without anybody's doing.
const again = "It is looked at again each round"

// found says what a gate found and asks for, and what to do next if it holds.
func (v Verdict) found(figures bool) (what, next string) {
	// What others wrote may end as a sentence of its own.
	have := strings.TrimRight(v.Have.String(), ". ")
	if v.Pass && v.Have.unit == inWords {
		return have, ""
	}
	switch v.Gate {
	case GateAccepted:
		return have, "Correct what the condition PolicyAccepted names"
	case GateEnabled:
		return have, "Set spec.enabled to true to let the policy move volumes"
	case GateMode:
		return have + v.needs(), ""
	case GateWins:
		return v.won(have)
	case GateCoverage:
		return v.covered(figures, have), "The volume keeps its tier until there are enough samples"
	case GateBand:
		return v.inBand(figures, have), ""
	case GatePublished:
		return "it has no live target: " + have, "It can move once a pod uses it"
	case GateHealthy, GateCalm:
		return have + v.needs(), again
	case GateContent:
		return have + v.needs(), "It can move once a pod has used it"
	case GateSnapshots:
		if !figures {
			have = "snapshots"
		}
		return "it has " + have + v.needs(), "Delete them, or set spec.volumesWithSnapshots to Move to leave them behind on the old pools"
	case GateSettled:
		return v.settledFor(have)
	case GateNotLive:
		return have + " works on it", "Wait for the Job to end"
	case GateClean:
		if v.Have.unit == inAttempt {
			return have + " was started and left unfinished" + v.needs(), "A recovery Job cleans up first"
		}
		return have, ""
	case GateBackOff:
		return v.backedOff(have)
	case GateCooldown:
		return "its " + have + "; cooldownPeriod is " + v.Want.String(), "Wait, or shorten spec.cooldownPeriod"
	case GateRoute:
		return have, ""
	case GateCapacity:
		return v.filled(figures, have)
	case GateFits:
		return v.fitted(figures, have)
	case GateCaps:
		if figures {
			return have + " in flight or planned before; " + v.Want.String(), "Its turn comes when a move ends"
		}
		return "other moves come first; " + v.Want.String(), "Its turn comes when a move ends"
	case NoGate:
	}
	return have, ""
}

// needs says what the gate asks for.
func (v Verdict) needs() string {
	if v.Pass || v.Want == (Value{}) {
		return ""
	}
	return "; a move needs " + v.Want.String()
}

func (v Verdict) won(have string) (what, next string) {
	if v.Have.unit == inWords {
		return have, "It is here for a Job of the policy, or for a recovery"
	}
	return have + " selects it too and ranks above this policy's " + v.Want.String(),
		"Raise spec.priority of this policy, or narrow one of the two selectors"
}

func (v Verdict) covered(figures bool, have string) string {
	switch want := v.Want.String(); {
	case v.Have.unit == inWords:
		return "its score is unknown: " + have + "; a move needs samples in " + want + " of samplingWindow"
	case !figures:
		return "too little of samplingWindow has samples; minCoverage is " + want
	default:
		return "samples cover " + have + " of samplingWindow; minCoverage is " + want
	}
}

func (v Verdict) inBand(figures bool, have string) string {
	s := "it belongs elsewhere"
	if !v.Pass {
		s = "it is where it belongs"
	}
	if figures {
		s += " with " + have
	}
	if want := v.Want.String(); want != "" {
		s += "; bands that lead away: " + want
	}
	return s
}

func (v Verdict) settledFor(have string) (what, next string) {
	what = have + "; a move needs it Online for " + v.Want.String()
	if v.OpensAt.IsZero() {
		return what, "Bring it back"
	}
	return what, "Wait"
}

func (v Verdict) backedOff(have string) (what, next string) {
	const cause = "Find the cause in status.migrationHistory"
	switch {
	case v.Have.unit != inItems:
		return "the last attempt was " + have + "; the next one waits " + v.Want.String(), cause
	case v.Want.unit == inNanoseconds:
		return have + "; the next attempt waits " + v.Want.String(), cause
	case v.Pass:
		return have + "; the policy has changed since", ""
	default:
		return have + ", and the policy has not changed since", cause + ", then change the policy's spec to try again"
	}
}

func (v Verdict) filled(figures bool, have string) (what, next string) {
	next = "Add space to the tier, or raise spec.maxPoolUsedPercent"
	limit := "; maxPoolUsedPercent is " + v.Want.String()
	switch {
	case v.Have.unit == inWords:
		return have + limit, again
	case !figures:
		return "pool " + v.Have.text + " would be filled beyond the limit" + limit, next
	default:
		return have + " full with this move, those in flight and those planned before" + limit, next
	}
}

func (v Verdict) fitted(figures bool, have string) (what, next string) {
	limit := "; migrationTimeout is " + v.Want.String()
	switch {
	case v.Have.unit == inWords:
		return have + limit, ""
	case !figures:
		return "a copy of a replica would take too long" + limit, "Raise spec.migrationTimeout"
	default:
		return "a copy of a replica takes about " + have + limit, "Raise spec.migrationTimeout"
	}
}

// Sentence says what becomes of the volume and why.
func (d *Decision) Sentence() string {
	switch d.Act {
	case Hold:
		return fmt.Sprintf("Held %s by gate %s", d.where(), d.Held.Sentence())
	case Stay:
		return fmt.Sprintf("Stays %s by gate %s", d.where(), d.Held.Sentence())
	case Move:
		return fmt.Sprintf("Moves from %s to %s: %s", d.FromWord(), d.To, d.Why())
	case WouldMove:
		return fmt.Sprintf("Would move from %s to %s: %s", d.FromWord(), d.To, d.Why())
	case Moving:
		return fmt.Sprintf("Is moving, gate %s", d.Held.Sentence())
	case Recover:
		return fmt.Sprintf("Is recovered, gate %s", d.Held.Sentence())
	}
	return ""
}

func (d *Decision) where() string {
	switch {
	case d.Mixed:
		return "as it is, mixed,"
	case d.From == NoTier:
		return "where it is, on no tier,"
	}
	return "on " + d.From.String()
}

// FromWord returns the tier the volume is on, mixed, or none.
func (d *Decision) FromWord() string {
	if d.Mixed {
		return "mixed"
	}
	return d.From.String()
}

// Why says what makes the volume belong on its tier To. It holds no live
// figure; empty if the volume has no wish to move.
func (d *Decision) Why() string {
	if !wishes(d.From, d.Mixed, d.To) {
		return ""
	}
	s := ""
	if d.Mixed {
		s = "its replicas are not all on one tier; "
	}
	switch {
	case d.ThresholdIOPS == 0:
		return s + "it leans to " + d.To.String() + "."
	case d.To == Warm && d.lessThan():
		return s + "its score fell below " + formatIOPS(d.ThresholdIOPS) + "."
	case d.To == Warm:
		return s + "its score reached " + formatIOPS(d.ThresholdIOPS) + "."
	case d.To == Cold:
		return s + "its score fell below " + formatIOPS(d.ThresholdIOPS) + "."
	}
	return s + "its score rose above " + formatIOPS(d.ThresholdIOPS) + "."
}

// lessThan reports whether the score lies below the edge it crossed.
func (d *Decision) lessThan() bool { return d.Volume.Sample.iops < d.ThresholdIOPS }
