package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/billyronks/couchestor/tiering"
)

// latency is how long an operation of moved volumes took, before and after.
type latency struct {
	// First are the newest moves, Rest the older ones.
	First, Rest latencyRows
	// Faster and Slower sum up the moves to a faster and to a slower tier.
	Faster, Slower change2
	// Without counts the moves of which one side is missing, by why.
	Without []reasonCount
	// Missing says why there is nothing at all, "" if there is something.
	Missing string
}

// latencyRows are moves on one axis.
type latencyRows struct {
	Rows  []latencyRow
	Ticks []tick
}

// change2 is a sum of changes.
type change2 struct {
	Value, Note string
	Known       bool
}

// latencyRow is one move. Places are those of the latencies; Has is false where
// one is missing, and Why says why.
type latencyRow struct {
	Volume, Ended, From, To string
	Has                     bool
	BeforeX, AfterX         pct
	Left, Right             pct
	Before, After, Change   string
	IOPS                    string
	Why                     string
}

// reasonCount is a reason with how often there is one.
type reasonCount struct {
	Reason string
	Count  int
}

// noChange is what is known without a move that has a figure before and after.
var noChange = change2{Value: "–", Note: "no such move has a figure before and after"} //nolint:gochecknoglobals // a constant in all but name

func measure(in *Input) latency {
	l := latency{Faster: noChange}
	if len(in.Effects) == 0 {
		l.Missing = "No move that came to its end is recorded, so there is nothing to compare."
		if in.Measured.Reason == NotAsked || !in.Measured.OK {
			l.Missing = in.Measured.Message
		}
		return l
	}
	scale := logScale{math.Inf(1), 0}
	both := 0
	for i := range in.Effects {
		e := &in.Effects[i]
		if e.Before.known() && e.After.known() {
			both++
			scale.low = min(scale.low, e.Before.LatencyMicroseconds, e.After.LatencyMicroseconds)
			scale.high = max(scale.high, e.Before.LatencyMicroseconds, e.After.LatencyMicroseconds)
		}
	}
	if both > 0 {
		scale.low, scale.high = below(scale.low*0.95), above(scale.high*1.05)
		l.First.Ticks = scale.ticks(span)
		l.Rest.Ticks = l.First.Ticks
	}
	for i := range in.Effects {
		e := &in.Effects[i]
		row := latencyRow{Volume: e.Name(), Ended: timeText(e.Ended), From: e.From, To: e.To}
		row.fill(e, scale)
		if row.Why != "" {
			l.without(row.Why)
		}
		if part := &l.First; len(part.Rows) < mostShown {
			part.Rows = append(part.Rows, row)
		} else {
			l.Rest.Rows = append(l.Rest.Rows, row)
		}
	}
	l.Faster, l.Slower = sum(in.Effects, 1), sum(in.Effects, -1)
	if both == 0 && (in.Measured.Reason == NotAsked || !in.Measured.OK) {
		l.Missing = in.Measured.Message
	}
	return l
}

func (r *latencyRow) fill(e *Effect, scale logScale) {
	r.Before, r.After = stretchText(&e.Before), stretchText(&e.After)
	if e.Before.Missing == "" && e.After.Missing == "" {
		r.IOPS = iops(e.Before.IOPS) + " → " + iops(e.After.IOPS)
	}
	switch {
	case e.Before.Missing != "":
		r.Why = "before: " + e.Before.Missing
	case e.After.Missing != "":
		r.Why = "after: " + e.After.Missing
	case !e.Before.known():
		r.Why = "before: the volume was idle"
	case !e.After.known():
		r.Why = "after: the volume was idle"
	default:
		r.Has = true
		r.BeforeX, r.AfterX = scale.at(e.Before.LatencyMicroseconds), scale.at(e.After.LatencyMicroseconds)
		r.Left, r.Right = min(r.BeforeX, r.AfterX), max(r.BeforeX, r.AfterX)
		r.Change = change(e.Before.LatencyMicroseconds, e.After.LatencyMicroseconds)
	}
}

// stretchText is the latency of a stretch, or a dash.
func stretchText(s *Stretch) string {
	if !s.known() {
		return "–"
	}
	return span(s.LatencyMicroseconds)
}

func (l *latency) without(why string) {
	at := slices.IndexFunc(l.Without, func(c reasonCount) bool { return c.Reason == why })
	if at < 0 {
		l.Without = append(l.Without, reasonCount{why, 1})
		return
	}
	l.Without[at].Count++
}

// sum is the middle of the changes of one direction.
func sum(effects []Effect, direction int) change2 {
	var before, after []float64
	worse := 0
	for i := range effects {
		e := &effects[i]
		if e.direction() != direction || !e.Before.known() || !e.After.known() {
			continue
		}
		before, after = append(before, e.Before.LatencyMicroseconds), append(after, e.After.LatencyMicroseconds)
		if e.After.LatencyMicroseconds > e.Before.LatencyMicroseconds {
			worse++
		}
	}
	if len(before) == 0 {
		return noChange
	}
	b, a := median(before), median(after)
	c := change2{span(b) + " → " + span(a), fmt.Sprintf("median of %s, %s", plural(len(before), "move"), change(b, a)), true}
	if direction > 0 && worse > 0 {
		c.Note += fmt.Sprintf("; %d got slower", worse)
	}
	return c
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	if n%2 == 1 {
		return all[n/2]
	}
	return (all[n/2-1] + all[n/2]) / 2
}

// latencyOf returns the latencies around a move, "" where they are not known.
func latencyOf(effects []Effect, h *tiering.HistoryEntry) (before, after string) {
	for i := range effects {
		if e := &effects[i]; e.Job == h.JobName {
			if e.Before.known() {
				before = span(e.Before.LatencyMicroseconds)
			}
			if e.After.known() {
				after = span(e.After.LatencyMicroseconds)
			}
		}
	}
	return before, after
}
