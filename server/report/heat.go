package report

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/billyronks/couchestor/tiering"
)

// heat is how busy the volumes of one policy are, by the tier they are on.
type heat struct {
	ID, Policy, Summary string
	Rows                []heatRow
	Marks               []mark
	Ticks               []tick
	// Top is where the rows begin, Axis where they end; Height is all of it.
	Top, Axis, Height px
	// Dense is true where volumes are too many for a dot each.
	Dense  bool
	Matrix []matrixRow
}

// heatRow is one tier.
type heatRow struct {
	Tier            string
	Label, Unscored string
	// Y is the top of the row, Text the line of its label, Middle that of dots.
	Y, Text, Middle, Bottom px
	Dots                    []dot
	Bars                    []bar
}

// dot is one volume. Wants is the tier it should be on, "" if that is its own.
type dot struct {
	X     pct
	Y     px
	Wants string
	Title string
}

// bar is the volumes of a narrow range of scores.
type bar struct {
	X, Width  pct
	Y, Height px
	Wants     bool
	Title     string
}

// mark is a watermark.
type mark struct {
	X     pct
	Y     px
	Label string
	Text  px
}

// matrixRow counts the volumes of one tier by what their score asks for.
type matrixRow struct {
	Tier                           string
	Hot, Warm, Stay, Cold, Unknown int
}

const (
	// mostDots is for how many volumes a dot each is drawn.
	mostDots = 600
	// bins is how many ranges of scores there are on the axis: those of a phone's
	// width, in which dots lie beside each other.
	bins = 48
	// labelLine is the height of a line of text.
	labelLine = 17
	dotStep   = 6.5
	barsTall  = 44
)

// places are the words for where a volume is, hottest first.
func places() []string { return []string{"hot", "warm", "cold", "mixed", "none"} }

// placeText is a place in words.
func placeText(tier string) string {
	switch tier {
	case "mixed":
		return "on several tiers"
	case "none":
		return "on no tier"
	}
	return tier
}

func heatOf(s subject, n int) heat {
	h := heat{ID: fmt.Sprintf("heat-%d", n+1), Policy: s.Policy, Dense: len(s.volumes) > mostDots}
	scale := logScale{1, 1000}
	if w := s.Watermarks; w != nil {
		scale.high = max(scale.high, above(1.2*float64(w.High)))
	}
	byTier := make(map[string][]*tiering.VolumeSummary)
	for i := range s.volumes {
		v := &s.volumes[i]
		byTier[v.Tier] = append(byTier[v.Tier], v)
		if v.ScoreIOPS != nil {
			scale.high = max(scale.high, above(*v.ScoreIOPS))
		}
	}
	h.Ticks = scale.ticks(func(v float64) string { return group(int64(v + 0.5)) })
	if len(h.Ticks) > 0 {
		h.Ticks[0].Label = "≤ " + h.Ticks[0].Label
	}
	h.marks(s.Watermarks, scale)
	y := h.Top
	unscored := 0
	for _, tier := range places() {
		volumes := byTier[tier]
		usual := tier == "hot" || tier == "cold" || tier == "warm" && s.Watermarks != nil && s.Watermarks.Warm > 0
		if len(volumes) == 0 && !usual {
			continue
		}
		row, missing := heatRowOf(tier, volumes, scale, y, h.Dense)
		unscored += missing
		y = row.Bottom
		h.Rows = append(h.Rows, row)
		h.Matrix = append(h.Matrix, matrixOf(tier, volumes))
	}
	h.Axis, h.Height = y, y+2*labelLine+4
	h.Summary = fmt.Sprintf("%s of policy %s by their score, %s to %s IOPS on a logarithmic axis, in a row for each tier; %d have no score.",
		plural(len(s.volumes), "volume"), s.Policy, group(int64(scale.low)), group(int64(scale.high)), unscored)
	return h
}

// marks places the watermarks. The highest has the highest label, so that no line
// crosses the label of another.
func (h *heat) marks(w *tiering.Watermarks, scale logScale) {
	if w == nil {
		return
	}
	add := func(name string, at int64) {
		if at > 0 {
			h.Top += labelLine
			h.Marks = append(h.Marks, mark{scale.at(float64(at)), h.Top - labelLine, name + " " + group(at), h.Top - 5})
		}
	}
	add("high", w.High)
	add("warm", w.Warm)
	add("low", w.Low)
	h.Top += 4
}

func heatRowOf(tier string, volumes []*tiering.VolumeSummary, scale logScale, y px, dense bool) (row heatRow, unscored int) {
	row = heatRow{Tier: tier, Y: y, Text: y + labelLine - 4}
	scored := make([]*tiering.VolumeSummary, 0, len(volumes))
	for _, v := range volumes {
		if v.ScoreIOPS != nil {
			scored = append(scored, v)
		}
	}
	slices.SortFunc(scored, func(a, b *tiering.VolumeSummary) int {
		return cmp.Or(cmp.Compare(*a.ScoreIOPS, *b.ScoreIOPS), cmp.Compare(a.Volume, b.Volume))
	})
	unscored = len(volumes) - len(scored)
	row.Label = placeText(tier) + ", " + plural(len(volumes), "volume")
	if unscored > 0 {
		row.Unscored = group(int64(unscored)) + " without a score"
	}
	if dense {
		row.Bottom = y + labelLine + barsTall + 8
		row.Bars = barsOf(scored, scale, row.Bottom)
	} else {
		row.dots(scored, scale)
	}
	return row, unscored
}

// wants is the tier where a volume should be and is not, or "".
func wants(v *tiering.VolumeSummary) string {
	if v.To == v.Tier || v.To == "none" {
		return ""
	}
	return v.To
}

// dots places a dot for each volume, those of nearly the same score above each
// other around the middle of the row.
func (r *heatRow) dots(scored []*tiering.VolumeSummary, scale logScale) {
	var in [bins + 1]int
	most := 1
	for _, v := range scored {
		b := binOf(*v.ScoreIOPS, scale)
		in[b]++
		most = max(most, in[b])
	}
	// A crowd is drawn closer together.
	step := min(dotStep, 72/float64(most))
	tall := max(20, float64(most)*step+8)
	r.Middle, r.Bottom = r.Y+labelLine+px(tall/2), r.Y+labelLine+px(tall)+6
	var placed [bins + 1]int
	for _, v := range scored {
		b := binOf(*v.ScoreIOPS, scale)
		off := float64(shuffled(placed[b], in[b])) - float64(in[b]-1)/2
		placed[b]++
		d := dot{X: scale.at(*v.ScoreIOPS), Y: r.Middle + px(off*step), Wants: wants(v)}
		d.Title = name(v) + ": " + iops(*v.ScoreIOPS) + " IOPS, " + placeText(v.Tier) + "; " + decision(v)
		r.Dots = append(r.Dots, d)
	}
}

// shuffled gives the places below n another order, so that dots sorted by score do
// not line up: steps of about the golden section of n, which meets every place.
func shuffled(i, n int) int {
	step := max(1, int(0.618*float64(n)+0.5))
	for gcd(step, n) > 1 {
		step++
	}
	return i * step % n
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

func binOf(score float64, scale logScale) int { return int(float64(scale.at(score)) * bins / 100) }

// barsOf counts the volumes in each range of scores: those that are where they
// belong, and on top of them those that are not.
func barsOf(scored []*tiering.VolumeSummary, scale logScale, bottom px) []bar {
	var stay, leave [bins + 1]int
	most := 1
	for _, v := range scored {
		b := binOf(*v.ScoreIOPS, scale)
		if wants(v) == "" {
			stay[b]++
		} else {
			leave[b]++
		}
		most = max(most, stay[b]+leave[b])
	}
	var bars []bar
	base := bottom - 6
	for b := range stay {
		x := pct(100 * float64(b) / bins)
		high := func(n int) px { return px(max(2, barsTall*float64(n)/float64(most))) }
		over := px(0)
		if n := stay[b]; n > 0 {
			over = high(n)
			bars = append(bars, bar{X: x, Width: 100.0/bins - 0.3, Y: base - high(n), Height: high(n), Title: plural(n, "volume") + " where they belong"})
		}
		if n := leave[b]; n > 0 {
			bars = append(bars, bar{X: x, Width: 100.0/bins - 0.3, Y: base - high(n) - over, Height: high(n), Wants: true, Title: plural(n, "volume") + " that belong elsewhere"})
		}
	}
	return bars
}

func matrixOf(tier string, volumes []*tiering.VolumeSummary) matrixRow {
	m := matrixRow{Tier: placeText(tier)}
	for _, v := range volumes {
		switch v.Band {
		case "hot":
			m.Hot++
		case "warm":
			m.Warm++
		case "cold":
			m.Cold++
		case "stay":
			m.Stay++
		default:
			m.Unknown++
		}
	}
	return m
}

// name is what people call a volume.
func name(v *tiering.VolumeSummary) string { return cmp.Or(v.Claim, v.Volume) }

// decision is what becomes of a volume, in a few words.
func decision(v *tiering.VolumeSummary) string {
	switch v.Decision {
	case tiering.Move.String():
		return "moves to " + v.To
	case tiering.WouldMove.String():
		return "would move to " + v.To
	case tiering.Moving.String():
		return "moving"
	case tiering.Recover.String():
		return "to be recovered"
	case tiering.Stay.String():
		return "stays"
	}
	text := "held by " + v.Gate
	if to := wants(v); to != "" {
		text = "belongs on " + to + ", " + text
	}
	return text
}
