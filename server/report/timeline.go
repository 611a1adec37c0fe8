package report

import (
	"fmt"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// timeline is how many moves ended when: above the line those that came to their
// end, by the tier they led to, below it the others.
type timeline struct {
	Columns []column
	Ticks   []tick
	Lines   []gridLine
	// Zero is the line, Height is all of it.
	Zero, Height px
	// Bin names how long a column lasts.
	Bin                    string
	Legend                 []legendItem
	Share, Note            string
	Summary                string
	Short                  []string
	Rows                   []timelineRow
	Hot, Warm, Cold, Other int
}

// column is a part of a column.
type column struct {
	X, Width  pct
	Y, Height px
	Kind      string
	Title     string
}

// gridLine is a line across with its value.
type gridLine struct {
	Y, Text px
	Label   string
}

// legendItem is a kind of mark with how many there are.
type legendItem struct{ Kind, Label string }

// timelineRow is one column as text.
type timelineRow struct {
	Label                  string
	Hot, Warm, Cold, Other int
}

// unmoved is the kind of a result that is no move.
const unmoved = "other"

// columnsTall is how high the tallest column is, above and below the line.
const columnsTall = 110

func timelineOf(plans []tiering.Explanation, at time.Time) timeline {
	t := timeline{Share: "–", Note: "no result is recorded"}
	first := at
	total := 0
	outcomes := map[string]int{}
	each(plans, func(_ *tiering.Explanation, h *tiering.HistoryEntry) {
		if h.Timestamp.Time.Before(first) {
			first = h.Timestamp.Time
		}
		total++
		outcomes[h.Outcome]++
	})
	t.Short = shortened(plans)
	if total == 0 {
		return t
	}
	t.tell(outcomes, total)

	width := binFor(at.Sub(first))
	t.Bin = width.word()
	from := first.UTC().Truncate(time.Duration(width))
	n := int(at.Sub(from)/time.Duration(width)) + 1
	counts := make([]map[string]int, n)
	each(plans, func(_ *tiering.Explanation, h *tiering.HistoryEntry) {
		b := min(int(h.Timestamp.Sub(from)/time.Duration(width)), n-1)
		if counts[b] == nil {
			counts[b] = map[string]int{}
		}
		counts[b][kindOf(h)]++
	})
	most, least := 0, 0
	for _, c := range counts {
		most, least = max(most, c["hot"]+c["warm"]+c["cold"]), max(least, c[unmoved])
	}
	unit := columnsTall / float64(most+least)
	t.Zero = px(float64(most)*unit) + 8
	t.Height = t.Zero + px(float64(least)*unit) + 8 + labelLine
	for b, c := range counts {
		begin := from.Add(time.Duration(b) * time.Duration(width))
		t.column(pct(100*float64(b)/float64(n)), pct(100/float64(n)), unit, c, width.label(begin))
		if len(c) > 0 {
			t.Rows = append(t.Rows, timelineRow{width.label(begin), c["hot"], c["warm"], c["cold"], c[unmoved]})
		}
	}
	t.grid(most, least, unit)
	every := (n + 3) / 4
	for b := 0; b < n && 5*b <= 4*n; b += every { // The last label needs room.
		t.Ticks = append(t.Ticks, tick{X: pct(100 * float64(b) / float64(n)), Label: width.label(from.Add(time.Duration(b) * time.Duration(width))), Anchor: "start"})
	}
	t.Summary = fmt.Sprintf("Results of moves from %s to %s, by %s: %d to hot, %d to warm, %d to cold, %d that did not move the volume.",
		timeText(first), timeText(at), t.Bin, t.Hot, t.Warm, t.Cold, t.Other)
	return t
}

// tell fills in the figures in words.
func (t *timeline) tell(outcomes map[string]int, total int) {
	moved := outcomes[tiering.OutcomeMoved]
	t.Share = group(int64(moved))
	t.Note = "of the last " + plural(total, "result")
	for _, o := range tiering.Outcomes() {
		if n := outcomes[o]; n > 0 && o != tiering.OutcomeMoved {
			t.Note += fmt.Sprintf(", %d %s", n, o)
		}
	}
}

// column stacks the parts of one column.
func (t *timeline) column(x, width pct, unit float64, c map[string]int, label string) {
	y := t.Zero
	part := func(kind, words string, n int) {
		if n == 0 {
			return
		}
		tall := px(float64(n) * unit)
		top := y - tall
		if kind == unmoved {
			top = t.Zero
		} else {
			y = top
		}
		t.Columns = append(t.Columns, column{
			X: x + width*0.12, Width: width * 0.76, Y: top, Height: tall, Kind: kind,
			Title: fmt.Sprintf("%s: %d %s", label, n, words),
		})
	}
	part("cold", "to cold", c["cold"])
	part("warm", "to warm", c["warm"])
	part("hot", "to hot", c["hot"])
	part(unmoved, "not moved", c[unmoved])
	t.Hot, t.Warm, t.Cold, t.Other = t.Hot+c["hot"], t.Warm+c["warm"], t.Cold+c["cold"], t.Other+c[unmoved]
}

// grid draws a line at the highest column and, where there is room, at half of it.
func (t *timeline) grid(most, least int, unit float64) {
	line := func(n int, y px) {
		t.Lines = append(t.Lines, gridLine{y, y - 3, group(int64(n))})
	}
	if most > 0 {
		line(most, t.Zero-px(float64(most)*unit))
	}
	if half := most / 2; most >= 4 {
		line(half, t.Zero-px(float64(half)*unit))
	}
	if least > 0 && float64(least)*unit > labelLine {
		line(least, t.Zero+px(float64(least)*unit))
	}
	for _, k := range []struct {
		kind, words string
		n           int
	}{{"hot", "to hot", t.Hot}, {"warm", "to warm", t.Warm}, {"cold", "to cold", t.Cold}, {unmoved, "did not move", t.Other}} {
		if k.n > 0 {
			t.Legend = append(t.Legend, legendItem{k.kind, fmt.Sprintf("%d %s", k.n, k.words)})
		}
	}
}

// kindOf is the tier that a move led to, or unmoved.
func kindOf(h *tiering.HistoryEntry) string {
	if tier, ok := tiering.ParseTier(h.ToTier); ok && tier != tiering.NoTier && h.Outcome == tiering.OutcomeMoved {
		return h.ToTier
	}
	return unmoved
}

// each calls f with each result.
func each(plans []tiering.Explanation, f func(*tiering.Explanation, *tiering.HistoryEntry)) {
	for i := range plans {
		for k := range plans[i].History {
			f(&plans[i], &plans[i].History[k])
		}
	}
}

// shortened says of which policies there were more results than the status holds.
func shortened(plans []tiering.Explanation) []string {
	var all []string
	for i := range plans {
		e := &plans[i]
		total := int64(0)
		for _, r := range e.Results {
			total += r.Count
		}
		if n := len(e.History); n > 0 && total > int64(n) {
			all = append(all, fmt.Sprintf("Of the %s results of policy %s only the last %d are kept, back to %s.",
				group(total), e.Policy, n, timeText(e.History[n-1].Timestamp.Time)))
		}
	}
	return all
}
