package tiering

import (
	"cmp"
	"slices"
	"time"
)

// The directions of a move.
const (
	// DirectionPromotion is to a faster tier, or from no tier to hot or warm.
	DirectionPromotion = "promotion"
	// DirectionDemotion is to a slower tier, or from no tier to cold.
	DirectionDemotion = "demotion"
	// DirectionOther is that of a recovery, which may have been either, and of a
	// volume left mixed that goes to warm.
	DirectionOther = "other"
)

// Directions lists them.
func Directions() []string {
	return []string{DirectionPromotion, DirectionDemotion, DirectionOther}
}

// Outcomes lists the outcomes of a history entry.
func Outcomes() []string {
	return []string{OutcomeMoved, OutcomeFailed, OutcomeRefused, OutcomeAborted, OutcomeRecovered}
}

// What set a move off.
const (
	// TriggerAutomatic: nobody was asked.
	TriggerAutomatic = "automatic"
	// TriggerApproved: a person approved it before it started.
	TriggerApproved = "approved"
	// TriggerByHand: a person ran it, and named the policy.
	TriggerByHand = "by-hand"
)

// Triggers lists them.
func Triggers() []string { return []string{TriggerAutomatic, TriggerApproved, TriggerByHand} }

// directionOf tells which way a move between two tiers goes, by their words;
// from may be mixed.
func directionOf(from, to string) string {
	source, known := ParseTier(from)
	target, ok := ParseTier(to)
	switch {
	case !ok || target == NoTier:
		return DirectionOther
	case target == Hot:
		return DirectionPromotion
	case target == Cold:
		return DirectionDemotion
	case !known:
		return DirectionOther
	case source == Hot:
		return DirectionDemotion
	}
	return DirectionPromotion
}

// Direction tells which way the move went, or was to go.
func (e *HistoryEntry) Direction() string { return directionOf(e.FromTier, e.ToTier) }

// Direction tells which way the Job moves its volume.
func (j *LiveJob) Direction() string { return directionOf(j.From.String(), j.To.String()) }

// mostReasons bounds the kinds of results that are told apart; beyond it those
// of a kind not seen before lose their reason.
const (
	mostReasons = 100
	otherReason = "Other"
)

// tally counts one result. The slice it was given is not changed.
func tally(counts []ResultCount, e *HistoryEntry) []ResultCount {
	key := ResultCount{Direction: e.Direction(), Outcome: e.Outcome, Reason: e.Reason, Trigger: cmp.Or(e.Trigger, TriggerAutomatic)}
	if key.Outcome == OutcomeMoved {
		key.Reason = ""
	} else if !isReason(key.Reason) || len(key.Reason) > 63 {
		key.Reason = otherReason
	}
	at, known := slices.BinarySearchFunc(counts, key, compareCounts)
	if !known && len(counts) >= mostReasons && key.Reason != "" {
		key.Reason = otherReason
		at, known = slices.BinarySearchFunc(counts, key, compareCounts)
	}
	counts = slices.Clone(counts)
	if !known {
		counts = slices.Insert(counts, at, key)
	}
	c := &counts[at]
	c.Count++
	c.Seconds += wholeSeconds(e.Duration)
	c.Bytes += max(0, e.Bytes)
	if lead := e.LeadTime; lead != "" {
		c.LeadTimes++
		c.LeadSeconds += wholeSeconds(lead)
	}
	return counts
}

func compareCounts(a, b ResultCount) int {
	return cmp.Or(
		cmp.Compare(a.Direction, b.Direction), cmp.Compare(a.Outcome, b.Outcome),
		cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Trigger, b.Trigger),
	)
}

// wholeSeconds reads a duration in Go syntax; 0 for what is none.
func wholeSeconds(text string) int64 {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return int64(max(0, d) / time.Second)
}
