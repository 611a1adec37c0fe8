package tiering

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Value is what a gate saw or asks for. It stays a number until somebody reads
// it, since nearly all verdicts are never read. The zero value says nothing.
type Value struct {
	// text is the subject of the number, or all there is to say.
	text string
	num  float64
	unit unit
}

type unit uint8

const (
	inWords unit = iota
	inPercent
	inFill
	inIOPS
	inNanoseconds
	inUnixSeconds
	inItems
	inPriority
	inAttempt
	inSetting
)

func words(s string) Value    { return Value{text: s} }
func percent(n float64) Value { return Value{num: n, unit: inPercent} }

// fill is how full a pool would be, in percent.
func fill(pool string, n float64) Value { return Value{text: pool, num: n, unit: inFill} }

func iops(n float64) Value             { return Value{num: n, unit: inIOPS} }
func span(d time.Duration) Value       { return Value{num: float64(d), unit: inNanoseconds} }
func items(n int64, what string) Value { return Value{text: what, num: float64(n), unit: inItems} }

func instant(of string, t time.Time) Value {
	return Value{text: of, num: float64(t.Unix()), unit: inUnixSeconds}
}

func priority(policy string, n int64) Value {
	return Value{text: policy, num: float64(n), unit: inPriority}
}

func unfinished(n int64, policy string) Value {
	return Value{text: policy, num: float64(n), unit: inAttempt}
}

func setting(name string, n int) Value { return Value{text: name, num: float64(n), unit: inSetting} }

// String returns the value in words, with its unit.
func (v Value) String() string {
	switch v.unit {
	case inWords:
		return v.text
	case inPercent:
		return formatPercent(v.num)
	case inFill:
		return "pool " + v.text + " would be " + formatPercent(v.num)
	case inIOPS:
		return formatIOPS(v.num)
	case inNanoseconds:
		return formatSpan(time.Duration(v.num))
	case inUnixSeconds:
		return v.text + " " + formatTime(time.Unix(int64(v.num), 0))
	case inItems:
		return whole(v.num) + " " + plural(v.num, v.text)
	case inPriority:
		if v.text != "" {
			return "policy " + v.text + " with priority " + whole(v.num)
		}
		return "priority " + whole(v.num)
	case inAttempt:
		if v.text != "" {
			return "attempt " + whole(v.num) + " of policy " + v.text
		}
		return "attempt " + whole(v.num) + " of nobody known"
	case inSetting:
		return v.text + " is " + whole(v.num)
	}
	return v.text
}

func whole(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// plural takes the s off the first word if there is one item only.
func plural(n float64, items string) string {
	first, rest, _ := strings.Cut(items, " ")
	if n == 1 {
		first = strings.TrimSuffix(first, "s")
	}
	if rest == "" {
		return first
	}
	return first + " " + rest
}

// round rounds to one decimal, which is as much as any figure for people needs.
func round(n float64) float64 { return math.Round(n*10) / 10 }

// decimal writes at most one decimal, and none when it would be 0.
func decimal(n float64) string { return strconv.FormatFloat(round(n), 'f', -1, 64) }

func formatIOPS(n float64) string { return decimal(n) + " IOPS" }

// formatPercent rounds down, so that what is not enough never reads as enough.
func formatPercent(n float64) string {
	return strconv.FormatFloat(math.Floor(n*10+1e-6)/10, 'f', -1, 64) + " %"
}

// formatSpan writes a duration the way a policy does: 45s, 1h30m, 24h, 7d.
func formatSpan(d time.Duration) string {
	d = d.Round(time.Second)
	if d <= 0 {
		return "0s"
	}
	var b []byte
	put := func(unit time.Duration, name byte) {
		if n := int64(d / unit); n > 0 {
			b = append(strconv.AppendInt(b, n, 10), name)
			d %= unit
		}
	}
	if d >= 2*day {
		put(day, 'd')
	}
	put(time.Hour, 'h')
	put(time.Minute, 'm')
	put(time.Second, 's')
	return string(b)
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
