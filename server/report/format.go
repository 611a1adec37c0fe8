package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/server/explain"
)

// thin keeps the groups of a number, and its unit, together on one line.
const thin = "\u202f"

// group is a whole number in groups of three digits.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0 && len(s) > 4; i -= 3 {
		s = s[:i] + thin + s[i:]
	}
	return sign + s
}

// iops is a score as people read it: without decimals from 100.
func iops(f float64) string {
	if f >= 99.95 {
		return group(int64(math.Round(f)))
	}
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

// span is a latency given in microseconds.
func span(us float64) string {
	switch {
	case us >= 999_500:
		return three(us/1e6) + thin + "s"
	case us >= 999.5:
		return three(us/1e3) + thin + "ms"
	}
	return three(us) + thin + "µs"
}

// three is a number below 1000 in three figures, without zeros that say nothing.
func three(f float64) string {
	decimals := 2
	switch {
	case f >= 99.95:
		decimals = 0
	case f >= 9.995:
		decimals = 1
	}
	s := strconv.FormatFloat(f, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// part is a part of a whole in percent; a dash of nothing. It says 100 % of the
// whole alone, and 0 % of nothing alone.
func part(n, of float64) string {
	if of <= 0 {
		return "–"
	}
	p := math.Round(100 * n / of)
	switch {
	case p == 100 && n < of:
		p = 99
	case p == 0 && n > 0:
		p = 1
	}
	return fmt.Sprintf("%.0f"+thin+"%%", p)
}

// percent is a share that is given in percent.
func percent(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0") + thin + "%"
}

// change is how much more the second is than the first: in percent up to twice as
// much, above that as a factor.
func change(from, to float64) string {
	if from <= 0 {
		return "–"
	}
	p := math.Round(100 * (to - from) / from)
	switch {
	case to >= 2*from:
		return "×" + thin + three(to/from)
	case p < 0:
		return fmt.Sprintf("−%.0f"+thin+"%%", -p)
	case p > 0:
		return fmt.Sprintf("+%.0f"+thin+"%%", p)
	}
	return "0" + thin + "%"
}

// size is a number of bytes that stays on one line.
func size(n int64) string { return strings.Replace(explain.Bytes(n), " ", thin, 1) }

// plural is n of something; what is its singular.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return group(int64(n)) + " " + what + "s"
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// pct is a place or a width across, in percent of the width.
type pct float64

// String has at most two decimals, so that a place has one way to be written.
func (p pct) String() string {
	s := strings.TrimRight(strconv.FormatFloat(float64(p), 'f', 2, 64), "0")
	return strings.TrimSuffix(s, ".") + "%"
}

// px is a place down, in pixels.
type px float64

// String has at most one decimal.
func (p px) String() string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(p), 'f', 1, 64), ".0")
}
