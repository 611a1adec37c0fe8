package report

import (
	"math"
	"time"
)

// tick is a place on an axis with what stands there.
type tick struct {
	X     pct
	Label string
	// Anchor is where of its text the tick is: start, middle or end.
	Anchor string
}

// logScale is an axis of powers of ten between two values above zero.
type logScale struct{ low, high float64 }

// at is the place of a value; what lies beyond an end is at it.
func (s logScale) at(v float64) pct {
	if v <= s.low {
		return 0
	}
	return pct(min(100, 100*math.Log(v/s.low)/math.Log(s.high/s.low)))
}

// ticks are at the powers of ten.
func (s logScale) ticks(label func(float64) string) []tick {
	var all []tick
	for e := math.Ceil(math.Log10(s.low) - 1e-9); ; e++ {
		v := math.Pow(10, e)
		if v > s.high*(1+1e-9) {
			return all
		}
		t := tick{X: s.at(v), Label: label(v), Anchor: "middle"}
		switch {
		case t.X < 3:
			t.Anchor = "start"
		case t.X > 97:
			t.Anchor = "end"
		}
		all = append(all, t)
	}
}

// above is the least of 1, 2 and 5 times a power of ten that is not below v.
func above(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*base >= v*(1-1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// below is the greatest of 1, 2 and 5 times a power of ten that is not above v.
func below(v float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*base <= v*(1+1e-9) {
			return m * base
		}
	}
	return base
}

// timeScale is an axis of time.
type timeScale struct{ from, to time.Time }

func (s timeScale) at(t time.Time) pct {
	return pct(100 * float64(t.Sub(s.from)) / float64(s.to.Sub(s.from)))
}

// bin is as long as a column of a chart lasts.
type bin time.Duration

const day = 24 * time.Hour

// mostBins is how many columns a chart has at most.
const mostBins = 32

// binFor is the least of a few usual lengths of which not too many make up the
// time.
func binFor(d time.Duration) bin {
	for _, b := range []time.Duration{time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day, 14 * day} {
		if d <= (mostBins-1)*b {
			return bin(b)
		}
	}
	b := 28 * day
	for d > (mostBins-1)*b {
		b *= 2
	}
	return bin(b)
}

// label names the column that begins at t.
func (b bin) label(t time.Time) string {
	if time.Duration(b) < day {
		return t.UTC().Format("2 Jan 15:04")
	}
	if time.Duration(b) > 7*day {
		return t.UTC().Format("2 Jan 2006")
	}
	return t.UTC().Format("2 Jan")
}

// word names the length.
func (b bin) word() string {
	switch d := time.Duration(b); {
	case d == time.Hour:
		return "hour"
	case d < day:
		return plural(int(d/time.Hour), "hour")
	case d == day:
		return "day"
	case d == 7*day:
		return "week"
	case d < 7*day:
		return plural(int(d/day), "day")
	default:
		return plural(int(d/(7*day)), "week")
	}
}
