package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// freed is what moves took from the hot tier, and what they brought, summed up
// over time. Sizes are those of the copies: a thin volume takes less.
type freed struct {
	LeftText, CameText, Note string
	Lines                    []segment
	Ends                     []lineEnd
	Ticks                    []tick
	Zero, Height             px
	Summary                  string
	// Unclear says of how many results it is not known whether the copies they
	// moved were on the hot tier, "" if of none.
	Unclear string
	Rows    []freedRow
}

// segment is a straight piece of a line.
type segment struct {
	Kind   string
	X1, X2 pct
	Y1, Y2 px
}

// lineEnd names a line beside its end.
type lineEnd struct {
	Value, Label string
	X            pct
	Y            px
}

// freedRow is what one result changed.
type freedRow struct{ Ended, Volume, Left, Came string }

// flow is what one result took from the hot tier or brought to it, in bytes.
type flow struct {
	at         time.Time
	job, name  string
	left, came int64
}

const (
	linesTall = 110
	// linesWide leaves room for the names of the lines, in percent.
	linesWide = 84
)

func free(plans []tiering.Explanation, at time.Time) freed {
	f := freed{LeftText: "–", CameText: "–", Note: "no move to or from it is recorded"}
	flows, unclear := flowsOf(plans)
	if unclear > 0 {
		f.Unclear = fmt.Sprintf("Left out: %s of volumes that were on several tiers, as it is not recorded which of their copies were on the hot one.", plural(unclear, "result"))
	}
	if len(flows) == 0 {
		return f
	}
	var left, came int64
	for _, w := range flows {
		left, came = left+w.left, came+w.came
		row := freedRow{Ended: timeText(w.at), Volume: w.name, Left: "–", Came: "–"}
		if w.left > 0 {
			row.Left = size(w.left)
		}
		if w.came > 0 {
			row.Came = size(w.came)
		}
		f.Rows = append(f.Rows, row)
	}
	f.LeftText, f.CameText = size(left), size(came)
	net := size(max(left-came, came-left))
	switch {
	case left > came:
		f.Note = fmt.Sprintf("and %s came, so %s less is on it", f.CameText, net)
	case came > left:
		f.Note = fmt.Sprintf("and %s came, so %s more is on it", f.CameText, net)
	default:
		f.Note = "and as much came"
	}
	f.draw(flows, at, float64(max(left, came)))
	f.Summary = fmt.Sprintf("Copies that moves took from the hot tier and brought to it, added up from %s to %s: %s left, %s came.",
		timeText(flows[0].at), timeText(at), f.LeftText, f.CameText)
	return f
}

// draw draws the two lines as stairs.
func (f *freed) draw(flows []flow, at time.Time, most float64) {
	f.Zero = linesTall + labelLine
	f.Height = f.Zero + labelLine
	width := binFor(at.Sub(flows[0].at))
	axis := timeScale{flows[0].at.UTC().Truncate(time.Duration(width)), at}
	if !axis.from.Before(at) {
		axis.from = at.Add(-time.Hour)
	}
	stairs := func(kind, words string, of func(flow) int64) {
		x, y, sum := pct(0), f.Zero, int64(0)
		for _, w := range flows {
			if of(w) == 0 {
				continue
			}
			sum += of(w)
			nx, ny := linesWide*axis.at(w.at)/100, f.Zero-px(linesTall*float64(sum)/most)
			f.Lines = append(f.Lines, segment{kind, x, nx, y, y}, segment{kind, nx, nx, y, ny})
			x, y = nx, ny
		}
		f.Lines = append(f.Lines, segment{kind, x, linesWide, y, y})
		f.Ends = append(f.Ends, lineEnd{size(sum), words, linesWide + 1.5, y - 2})
	}
	stairs("left", "left", func(w flow) int64 { return w.left })
	stairs("came", "came", func(w flow) int64 { return w.came })
	// The two names of two lines each must not lie on each other, nor on the axis.
	high, low := &f.Ends[0], &f.Ends[1]
	if low.Y < high.Y {
		high, low = low, high
	}
	low.Y = min(max(low.Y, high.Y+2*labelLine), f.Zero-labelLine)
	high.Y = min(high.Y, low.Y-2*labelLine)
	const ticks = 3
	for k := range ticks {
		t := axis.from.Add(axis.to.Sub(axis.from) * time.Duration(k) / ticks).Truncate(time.Duration(min(width, bin(day))))
		if t.Before(axis.from) {
			t = axis.from
		}
		f.Ticks = append(f.Ticks, tick{X: linesWide * axis.at(t) / 100, Label: min(width, bin(day)).label(t), Anchor: "start"})
	}
}

// flowsOf are the results that moved copies to the hot tier or away from it,
// oldest first, and how many there are of which that is not known.
func flowsOf(plans []tiering.Explanation) (flows []flow, unclear int) {
	each(plans, func(e *tiering.Explanation, h *tiering.HistoryEntry) {
		if h.Bytes <= 0 {
			return
		}
		w := flow{at: h.Timestamp.UTC(), job: h.JobName, name: cmp.Or(h.Claim, h.VolumeName)}
		hot, known := fromHot(e, h)
		switch {
		case h.ToTier == "hot":
			w.came = h.Bytes
		case !known:
			unclear++
		case hot:
			w.left = h.Bytes
		}
		if w.left > 0 || w.came > 0 {
			flows = append(flows, w)
		}
	})
	slices.SortFunc(flows, func(a, b flow) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.job, b.job)) })
	return flows, unclear
}

// fromHot tells whether the copies that were moved were on the hot tier, by the
// tier the volume was on, else by the pools they left; known is false if neither
// tells.
func fromHot(e *tiering.Explanation, h *tiering.HistoryEntry) (hot, known bool) {
	switch h.FromTier {
	case "hot", "warm", "cold", "none":
		return h.FromTier == "hot", true
	}
	if h.FromPool == "" {
		return false, false
	}
	on := map[bool]int{}
	for pool := range strings.SplitSeq(h.FromPool, ",") {
		tier := tierOf(e, pool)
		if tier == "" {
			return false, false
		}
		on[tier == "hot"]++
	}
	return on[true] > 0, len(on) == 1
}

// tierOf is the tier of a pool, "" if it is not known.
func tierOf(e *tiering.Explanation, pool string) string {
	for i := range e.Tiers {
		for k := range e.Tiers[i].Pools {
			if e.Tiers[i].Pools[k].Pool == pool {
				return e.Tiers[i].Tier
			}
		}
	}
	return ""
}
