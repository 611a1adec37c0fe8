package tiering

import "fmt"

// Sentence names the gate and says in words what it found, what it asks for,
// when it opens, and what to do next.
func (v Verdict) Sentence() string {
	if v.Gate == NoGate {
		return ""
	}
	if v.Pass {
		s := v.Gate.String() + ": " + v.Have.String()
		if want := v.Want.String(); want != "" && want != v.Have.String() {
			s += ", asked for " + want
		}
		return s + "."
	}
	return v.Gate.String() + ": " + v.because(true)
}

// Reason is the sentence for status: it names no figure that changes from
// minute to minute, so that status changes only when something happened.
func (v Verdict) Reason() string {
	if v.Gate == NoGate || v.Pass {
		return ""
	}
	return v.because(false)
}

// because says why a gate holds the volume; with figures, or without those
// that change all the time.
func (v Verdict) because(figures bool) string {
	what, next := v.cause(figures)
	if !v.OpensAt.IsZero() {
		what += "; opens at " + formatTime(v.OpensAt)
	}
	if next != "" {
		what += ". " + next
	}
	return what + "."
}

// cause says what holds the volume, and what to do next.
func (v Verdict) cause(figures bool) (what, next string) {
	have, want := v.Have.String(), v.Want.String()
	switch v.Gate {
	case GateAccepted:
		return have, "Correct what the condition PolicyAccepted names"
	case GateEnabled:
		return have, "Set spec.enabled to true to let the policy move volumes"
	case GateMode:
		return have + ", and nothing new starts", "Moves that run come to their end"
	case GateWins:
		if v.Have.unit == inWords {
			return have, "It is here for a Job of the policy, or for a recovery"
		}
		return have + " selects this volume too and ranks above this policy's " + want,
			"Raise spec.priority of this policy, or narrow one of the two selectors"
	case GateCoverage:
		return v.uncovered(figures, have, want), "The volume keeps its tier until there are enough samples"
	case GateBand:
		return v.inBand(figures, have, want), ""
	case GatePublished:
		return "it has no live target: " + have, "It can move once a pod uses it"
	case GateHealthy:
		return have + ", and it takes " + want, "It can move once that is over"
	case GateContent:
		return have + ", and it takes " + want, "It can move once a pod has used it"
	case GateSnapshots:
		return "it has snapshots, " + have + ", and it takes " + want,
			"Delete them, or set spec.volumesWithSnapshots to Move to leave them behind on the old pools"
	case GateCalm:
		return have + ", and it takes " + want, "It can move once that is over"
	case GateSettled:
		return v.unsettled(have, want)
	case GateNotLive:
		return have + " works on it", "Wait for the Job to end"
	case GateClean:
		return have + ", and it takes " + want,
			"A recovery Job cleans up after an attempt; what cannot be read has to be mended in the volume's annotations"
	case GateBackOff:
		return v.backingOff(have, want)
	case GateCooldown:
		return have + ", and cooldownPeriod is " + want, "Wait, or shorten spec.cooldownPeriod"
	case GateRoute:
		return have, ""
	case GateCapacity:
		return v.full(figures, have, want), "Add space to the tier, or raise spec.maxPoolUsedPercent"
	case GateFits:
		if v.Have.unit == inWords {
			return have + ", and migrationTimeout is " + want, ""
		}
		if !figures {
			return "to copy a replica would take longer than migrationTimeout, which is " + want, "Raise spec.migrationTimeout"
		}
		return "to copy a replica takes about " + have + ", and migrationTimeout is " + want, "Raise spec.migrationTimeout"
	case GateCaps:
		return v.capped(figures, have, want), "Its turn comes when a move ends"
	case NoGate:
	}
	return have, ""
}

func (v Verdict) uncovered(figures bool, have, want string) string {
	switch {
	case v.Have.unit == inWords:
		return "its score is unknown: " + have + "; it takes samples in " + want + " of samplingWindow"
	case !figures:
		return "too little of samplingWindow holds samples, and minCoverage is " + want
	}
	return "samples cover " + have + " of samplingWindow, and minCoverage is " + want
}

func (v Verdict) inBand(figures bool, have, want string) string {
	s := "it is where it belongs"
	if figures {
		s += " with " + have
	}
	if want == "" {
		return s
	}
	return s + "; it would take a score " + want
}

func (v Verdict) unsettled(have, want string) (what, next string) {
	if v.OpensAt.IsZero() {
		return have + ", and it takes pools and nodes that are Online for " + want, "Bring them back"
	}
	return have + ", and it takes " + want, "Wait"
}

func (v Verdict) backingOff(have, want string) (what, next string) {
	switch {
	case v.OpensAt.IsZero():
		return have + ", and it takes " + want, "Find the cause in status.migrationHistory, then change the policy to try again"
	case v.Have.unit == inItems:
		return have + ", and the next attempt waits " + want, "Find the cause in status.migrationHistory"
	}
	return "the last attempt was " + have + ", and the next one waits " + want, "Find the cause in status.migrationHistory"
}

func (v Verdict) full(figures bool, have, want string) string {
	if v.Have.unit == inWords {
		return have + ", and maxPoolUsedPercent is " + want
	}
	if !figures {
		return v.Have.text + " would be filled beyond maxPoolUsedPercent, which is " + want
	}
	return have + " full with this move, those in flight and those planned before, and maxPoolUsedPercent is " + want
}

func (v Verdict) capped(figures bool, have, want string) string {
	if !figures {
		return "other moves come first: " + want
	}
	return have + " run or come first: " + want
}

// Sentence says what becomes of the volume and why.
func (d *Decision) Sentence() string {
	switch d.Act {
	case Hold:
		return fmt.Sprintf("Holds %s by gate %s", d.where(), d.Held.Sentence())
	case Stay:
		return fmt.Sprintf("Stays %s by gate %s", d.where(), d.Held.Sentence())
	case Move:
		return fmt.Sprintf("Moves from %s to %s: %s", d.FromWord(), d.To, d.Why())
	case WouldMove:
		return fmt.Sprintf("Would move from %s to %s: %s", d.FromWord(), d.To, d.Why())
	case Moving:
		return fmt.Sprintf("Moves already by gate %s", d.Held.Sentence())
	case Recover:
		return fmt.Sprintf("Is cleaned up by gate %s", d.Held.Sentence())
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
		s = "its replicas are on several tiers; "
	}
	switch {
	case d.ThresholdIOPS == 0:
		return s + "it is finished on " + d.To.String() + ", where it leans to."
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
