package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// Effect is a move with what its volume did before it and after it.
type Effect struct {
	Policy, Job string
	// Volume is the name of the PersistentVolume, Claim that of its claim.
	Volume, Claim string
	From, To      string
	Ended         time.Time
	Before, After Stretch
}

// Name is what people call the volume.
func (e *Effect) Name() string { return cmp.Or(e.Claim, e.Volume) }

// Stretch is a time over which a volume was watched.
type Stretch struct {
	From, To time.Time
	// Missing says why nothing is known of it, "" if something is.
	Missing string
	// IOPS is the mean; LatencyMicroseconds is the mean time of one operation,
	// reads and writes together, 0 where there was no operation.
	IOPS, LatencyMicroseconds float64
}

// known reports whether the stretch has a latency.
func (s *Stretch) known() bool { return s.Missing == "" && s.LatencyMicroseconds > 0 }

// Around is how long before and after a move its volume is watched.
const Around = time.Hour

// Effects returns the last n moves that came to their end, newest first, with the
// times over which their volumes are to be watched: [Around] before the move began
// and after it ended, without the time of other moves of that volume, and no
// longer than to at. What is shorter than least is called missing.
func Effects(plans []tiering.Explanation, at time.Time, least time.Duration, n int) []Effect {
	busy := busyTimes(plans)
	var all []Effect
	for i := range plans {
		for k := range plans[i].History {
			h := &plans[i].History[k]
			if h.Outcome != tiering.OutcomeMoved {
				continue
			}
			e := Effect{
				Policy: plans[i].Policy, Job: h.JobName, Volume: h.VolumeName, Claim: h.Claim,
				From: h.FromTier, To: h.ToTier, Ended: h.Timestamp.UTC(),
			}
			e.Before, e.After = around(h, busy[h.VolumeName], at, least)
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Effect) int {
		return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(a.Job, b.Job))
	})
	return all[:min(n, len(all))]
}

// stint is when a volume was moved, or was tried to be. began is ended where
// nobody knows when that was.
type stint struct {
	job          string
	began, ended time.Time
}

// busyTimes are those of each volume, whichever policy moved it.
func busyTimes(plans []tiering.Explanation) map[string][]stint {
	busy := make(map[string][]stint)
	for i := range plans {
		for k := range plans[i].History {
			h := &plans[i].History[k]
			if h.Outcome == tiering.OutcomeRefused {
				continue // Nothing was touched.
			}
			s := stint{job: h.JobName, began: h.Timestamp.Time, ended: h.Timestamp.Time}
			if began, ok := began(h); ok {
				s.began = began
			}
			busy[h.VolumeName] = append(busy[h.VolumeName], s)
		}
		for k := range plans[i].Moves {
			if m := &plans[i].Moves[k]; m.Action == tiering.Moving.String() && !m.Started.IsZero() {
				busy[m.Volume] = append(busy[m.Volume], stint{job: m.Job, began: m.Started, ended: plans[i].DecidedAt})
			}
		}
	}
	return busy
}

// began is when a move began; false if that was not recorded.
func began(h *tiering.HistoryEntry) (time.Time, bool) {
	took, err := time.ParseDuration(h.Duration)
	if err != nil || took < 0 {
		return time.Time{}, false
	}
	return h.Timestamp.Add(-took), true
}

func around(h *tiering.HistoryEntry, busy []stint, at time.Time, least time.Duration) (before, after Stretch) {
	ended := h.Timestamp.UTC()
	after = Stretch{From: ended, To: ended.Add(Around)}
	start, ok := began(h)
	if ok {
		before = Stretch{From: start.UTC().Add(-Around), To: start.UTC()}
	} else {
		before.Missing = "when the move began was not recorded"
	}
	for _, s := range busy {
		switch {
		case s.job == h.JobName:
		case s.ended.After(ended) && s.began.Before(after.To):
			after.To = s.began.UTC()
		case ok && !s.ended.After(before.To) && s.ended.After(before.From):
			before.From = s.ended.UTC()
		}
	}
	cut := after.To.Sub(after.From) < Around
	if after.To.After(at) {
		after.To = at.UTC()
	}
	if before.Missing == "" && before.To.Sub(before.From) < least {
		before.Missing = "another move of the volume ended just before"
	}
	switch {
	case after.To.Sub(after.From) >= least:
	case cut:
		after.Missing = "another move of the volume began just after"
	default:
		after.Missing = "the move ended just now"
	}
	return before, after
}

// direction is -1 for a move to a slower tier, 1 to a faster one, 0 for others.
func (e *Effect) direction() int {
	h := tiering.HistoryEntry{FromTier: e.From, ToTier: e.To}
	switch h.Direction() {
	case tiering.DirectionPromotion:
		return 1
	case tiering.DirectionDemotion:
		return -1
	}
	return 0
}
