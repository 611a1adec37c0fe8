package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/tiering"
)

func history(entries ...tiering.HistoryEntry) []tiering.Explanation {
	return []tiering.Explanation{{Policy: "db", History: recorded(entries...).MigrationHistory, Tiers: []tiering.TierExplanation{
		{Tier: "hot", Pools: []tiering.PoolExplanation{{Pool: "h"}, {Pool: "i"}}},
		{Tier: "cold", Pools: []tiering.PoolExplanation{{Pool: "c"}}},
	}}}
}

func TestTheTimesAroundAMove(t *testing.T) {
	at := noon()
	ago := func(d time.Duration) time.Time { return at.Add(-d) }
	took := func(d string) func(*tiering.HistoryEntry) {
		return func(h *tiering.HistoryEntry) { h.Duration = d }
	}
	// The move in question took from 5 h to 4 h before now.
	move := result(7, "a/b", "cold", "hot", ago(4*time.Hour), took("1h"))
	for _, c := range []struct {
		name                        string
		others                      []tiering.HistoryEntry
		move                        tiering.HistoryEntry
		live                        time.Time
		from, to                    time.Duration // before now, of the time before
		afterFrom, afterTo          time.Duration
		missingBefore, missingAfter string
	}{
		{name: "an hour on either side", move: move, from: 6 * time.Hour, to: 5 * time.Hour, afterFrom: 4 * time.Hour, afterTo: 3 * time.Hour},
		{
			name: "without the time of another move before", move: move,
			others: []tiering.HistoryEntry{result(6, "a/b", "hot", "cold", ago(5*time.Hour+20*time.Minute))},
			from:   5*time.Hour + 20*time.Minute, to: 5 * time.Hour, afterFrom: 4 * time.Hour, afterTo: 3 * time.Hour,
		},
		{
			name: "without the time of a failed one after", move: move,
			others: []tiering.HistoryEntry{result(8, "a/b", "hot", "cold", ago(3*time.Hour), took("30m"), ended(tiering.OutcomeFailed, "Stalled", "x"))},
			from:   6 * time.Hour, to: 5 * time.Hour, afterFrom: 4 * time.Hour, afterTo: 3*time.Hour + 30*time.Minute,
		},
		{
			name: "one that was refused touched nothing", move: move,
			others: []tiering.HistoryEntry{result(8, "a/b", "hot", "cold", ago(3*time.Hour+50*time.Minute), ended(tiering.OutcomeRefused, "Full", "x"))},
			from:   6 * time.Hour, to: 5 * time.Hour, afterFrom: 4 * time.Hour, afterTo: 3 * time.Hour,
		},
		{
			name: "that of another volume does not matter", move: move,
			others: []tiering.HistoryEntry{result(8, "a/c", "hot", "cold", ago(3*time.Hour+50*time.Minute))},
			from:   6 * time.Hour, to: 5 * time.Hour, afterFrom: 4 * time.Hour, afterTo: 3 * time.Hour,
		},
		{
			name: "too little is left between moves", move: move,
			others: []tiering.HistoryEntry{
				result(6, "a/b", "hot", "cold", ago(5*time.Hour+4*time.Minute)),
				result(8, "a/b", "hot", "cold", ago(3*time.Hour+50*time.Minute), took("6m")),
			},
			from: 5*time.Hour + 4*time.Minute, to: 5 * time.Hour, missingBefore: "another move of the volume ended just before",
			afterFrom: 4 * time.Hour, afterTo: 3*time.Hour + 56*time.Minute, missingAfter: "another move of the volume began just after",
		},
		{
			name: "up to now", move: result(7, "a/b", "cold", "hot", ago(20*time.Minute), took("10m")),
			from: 90 * time.Minute, to: 30 * time.Minute, afterFrom: 20 * time.Minute, afterTo: 0,
		},
		{
			name: "up to a move that runs", move: result(7, "a/b", "cold", "hot", ago(20*time.Minute), took("10m")), live: ago(8 * time.Minute),
			from: 90 * time.Minute, to: 30 * time.Minute, afterFrom: 20 * time.Minute, afterTo: 8 * time.Minute,
		},
		{
			name: "just now", move: result(7, "a/b", "cold", "hot", ago(time.Minute), took("10m")),
			from: 71 * time.Minute, to: 11 * time.Minute, afterFrom: time.Minute, afterTo: 0, missingAfter: "the move ended just now",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans := history(append(c.others, c.move)...)
			if !c.live.IsZero() {
				plans[0].DecidedAt = at
				plans[0].Moves = []tiering.MoveExplanation{{Volume: c.move.VolumeName, Action: "Moving", Job: "j", Started: c.live}}
			}
			for _, e := range Effects(plans, at, 5*time.Minute, 10) {
				if e.Job != c.move.JobName {
					continue
				}
				want := Effect{
					Policy: "db", Job: e.Job, Volume: "pvc-a-b", Claim: "a/b", From: "cold", To: "hot", Ended: c.move.Timestamp.UTC(),
					Before: Stretch{From: ago(c.from), To: ago(c.to), Missing: c.missingBefore},
					After:  Stretch{From: ago(c.afterFrom), To: ago(c.afterTo), Missing: c.missingAfter},
				}
				if diff := cmp.Diff(want, e); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			t.Error("the move is not there")
		})
	}
}

func TestEffectsAreTheLastMovesNewestFirst(t *testing.T) {
	var all []tiering.HistoryEntry
	for i := range 9 {
		all = append(all, result(i, "a/b", "cold", "hot", noon().Add(time.Duration(i-20)*24*time.Hour)))
	}
	all = append(all, result(10, "a/b", "cold", "hot", noon().Add(-time.Hour), ended(tiering.OutcomeFailed, "Stalled", "x")))
	got := Effects(history(all...), noon(), time.Minute, 4)
	if len(got) != 4 || got[0].Job != all[8].JobName || got[3].Job != all[5].JobName {
		t.Errorf("got %+v", got)
	}
}

func TestWhatLeftTheHotTier(t *testing.T) {
	at := noon().Add(-time.Hour)
	edit := func(from, pools string) func(*tiering.HistoryEntry) {
		return func(h *tiering.HistoryEntry) { h.FromTier, h.FromPool, h.Bytes = from, pools, 10*gib }
	}
	for _, c := range []struct {
		name       string
		entry      tiering.HistoryEntry
		left, came int64
		unclear    int
	}{
		{name: "from hot", entry: result(1, "a/b", "hot", "cold", at, edit("hot", "h")), left: 10},
		{name: "to hot", entry: result(1, "a/b", "cold", "hot", at, edit("cold", "c")), came: 10},
		{name: "between others", entry: result(1, "a/b", "warm", "cold", at, edit("warm", "w"))},
		{name: "from several tiers to hot", entry: result(1, "a/b", "mixed", "hot", at, edit("mixed", "c")), came: 10},
		{name: "from several tiers, by pools of hot", entry: result(1, "a/b", "mixed", "cold", at, edit("mixed", "h,i")), left: 10},
		{name: "from several tiers, by other pools", entry: result(1, "a/b", "mixed", "cold", at, edit("mixed", "c"))},
		{name: "from several tiers, by both", entry: result(1, "a/b", "mixed", "cold", at, edit("mixed", "h,c")), unclear: 1},
		{name: "from several tiers, by a pool that is gone", entry: result(1, "a/b", "mixed", "cold", at, edit("mixed", "h,gone")), unclear: 1},
		{name: "from several tiers, by nothing", entry: result(1, "a/b", "mixed", "cold", at, edit("mixed", "")), unclear: 1},
		{name: "an attempt that moved one copy and failed", entry: result(1, "a/b", "hot", "cold", at, ended("failed", "X", "x"), edit("hot", "h")), left: 10},
		{name: "an attempt that moved nothing", entry: result(1, "a/b", "hot", "cold", at, ended("failed", "X", "x"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			plans := history(c.entry)
			flows, unclear := flowsOf(plans)
			var left, came int64
			for _, f := range flows {
				left, came = left+f.left/gib, came+f.came/gib
			}
			if left != c.left || came != c.came || unclear != c.unclear {
				t.Errorf("got %d left, %d came, %d unclear; want %d, %d, %d", left, came, unclear, c.left, c.came, c.unclear)
			}
			if f := free(plans, noon()); (f.Unclear != "") != (c.unclear > 0) {
				t.Errorf("it says %q", f.Unclear)
			}
		})
	}
}

func TestTheStairsEndAtTheirSums(t *testing.T) {
	f := New(city(t)).Freed
	if len(f.Ends) != 2 || f.Ends[0].Value != f.LeftText || f.Ends[1].Value != f.CameText {
		t.Errorf("got ends %+v, %s left, %s came", f.Ends, f.LeftText, f.CameText)
	}
	for i, s := range f.Lines {
		if s.X1 < 0 || s.X2 > linesWide || s.Y2 < 0 || s.Y2 > f.Zero {
			t.Errorf("segment %d leaves the chart: %+v", i, s)
		}
		if i > 0 && f.Lines[i-1].Kind == s.Kind && (f.Lines[i-1].X2 != s.X1 || f.Lines[i-1].Y2 != s.Y1) {
			t.Errorf("segment %d does not begin where the one before ends", i)
		}
	}
	if gap := f.Ends[1].Y - f.Ends[0].Y; gap < 2*labelLine && gap > -2*labelLine {
		t.Errorf("the names of the lines are %v apart", gap)
	}
}

func TestTheColumnsCountEveryResult(t *testing.T) {
	for name, of := range inputs() {
		t.Run(name, func(t *testing.T) {
			in := of(t)
			total := 0
			each(in.Plans, func(*tiering.Explanation, *tiering.HistoryEntry) { total++ })
			l := New(in).Timeline
			sum := 0
			for _, r := range l.Rows {
				sum += r.Hot + r.Warm + r.Cold + r.Other
			}
			if sum != total || l.Hot+l.Warm+l.Cold+l.Other != total {
				t.Errorf("got %d in the table and %d in the sums of %d results", sum, l.Hot+l.Warm+l.Cold+l.Other, total)
			}
			for _, c := range l.Columns {
				if c.X < 0 || c.X+c.Width > 100 || c.Y < 0 || c.Y+c.Height > l.Height {
					t.Errorf("%+v leaves the chart", c)
				}
				if above := c.Kind != unmoved; above == (c.Y >= l.Zero) {
					t.Errorf("%+v is on the wrong side of the line at %v", c, l.Zero)
				}
			}
		})
	}
}

func TestWhatTheStatusNoLongerHoldsIsSaid(t *testing.T) {
	got := New(city(t)).Timeline.Short
	if len(got) != 1 || !strings.HasPrefix(got[0], "Of the 210 results of policy databases only the last 50 are kept, back to 2026-11-06") {
		t.Errorf("got %q", got)
	}
	if got := New(town(t)).Timeline.Short; len(got) > 0 {
		t.Errorf("got %q where all are there", got)
	}
}

func TestColumnsAreFew(t *testing.T) {
	for d := time.Duration(0); d < 40*365*day; d = d*2 + time.Hour {
		b := time.Duration(binFor(d))
		if d > (mostBins-1)*b || bin(b).word() == "" {
			t.Errorf("columns of %s for %s", b, d)
		}
	}
}

func TestLatencyIsSummedUpByDirection(t *testing.T) {
	known := func(us float64) Stretch { return Stretch{IOPS: 10, LatencyMicroseconds: us} }
	in := Input{At: noon(), Measured: tiering.SourceExplanation{OK: true}, Effects: []Effect{
		{Volume: "a", From: "cold", To: "hot", Before: known(4000), After: known(200)},
		{Volume: "b", From: "cold", To: "warm", Before: known(2000), After: known(3000)},
		{Volume: "c", From: "hot", To: "cold", Before: known(300), After: known(5000)},
		{Volume: "d", From: "hot", To: "cold", Before: known(300), After: Stretch{Missing: "gone"}},
		{Volume: "e", From: "hot", To: "cold", Before: known(300), After: Stretch{}},
	}}
	l := measure(&in)
	if got, want := strings.ReplaceAll(l.Faster.Value+", "+l.Faster.Note, thin, " "), "3 ms → 1.6 ms, median of 2 moves, −47 %; 1 got slower"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := strings.ReplaceAll(l.Slower.Value+", "+l.Slower.Note, thin, " "), "300 µs → 5 ms, median of 1 move, × 16.7"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if l.First.Rows[3].Why != "after: gone" || l.First.Rows[4].Why != "after: the volume was idle" || l.First.Rows[3].Has {
		t.Errorf("got %+v", l.First.Rows[3:])
	}
	for _, r := range l.First.Rows[:3] {
		if !r.Has || r.Left < 0 || r.Right > 100 || r.Left > r.Right {
			t.Errorf("got %+v", r)
		}
	}
}
