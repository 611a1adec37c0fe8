package tiering

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	day = 24 * time.Hour
	// longest is far beyond any sensible setting, and small enough that sums
	// of a few such durations do not overflow.
	longest       = 3650 * day
	longestText   = "3650d"
	durationChars = 32
)

// Parse returns the duration, which is longer than zero and at most 3650 days.
// It accepts ^([0-9]+(d|h|m|s))+$ in at most 32 characters; each error is the
// rest of a sentence that begins with the field's name.
func (d Duration) Parse() (time.Duration, error) {
	if d == "" {
		return 0, errors.New("is empty; write a duration such as 30m, 24h or 7d")
	}
	if len(d) > durationChars {
		return 0, fmt.Errorf("has more than %d characters; write a duration such as 30m, 24h or 7d", durationChars)
	}
	var sum time.Duration
	for rest := string(d); rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		switch {
		case digits == 0:
			return 0, fmt.Errorf("is %q, which is not whole numbers each followed by d, h, m or s; write for example 30m, 24h or 7d", string(d))
		case digits == len(rest):
			return 0, fmt.Errorf("is %q, which ends without a unit; add d, h, m or s", string(d))
		}
		unit, ok := unitOf(rest[digits])
		if !ok {
			return 0, fmt.Errorf("is %q, which has an unknown unit; the units are d, h, m and s", string(d))
		}
		n := int64(0)
		for _, c := range []byte(rest[:digits]) {
			if n > (math.MaxInt64-9)/10 {
				n = math.MaxInt64
				break
			}
			n = n*10 + int64(c-'0')
		}
		if n > int64((longest-sum)/unit) {
			return 0, fmt.Errorf("is %q, which is too long; the longest duration is %s", string(d), longestText)
		}
		sum += time.Duration(n * int64(unit))
		rest = rest[digits+1:]
	}
	if sum == 0 {
		return 0, fmt.Errorf("is %q, which is zero; it must be longer than zero", string(d))
	}
	return sum, nil
}

func unitOf(c byte) (time.Duration, bool) {
	switch c {
	case 'd':
		return day, true
	case 'h':
		return time.Hour, true
	case 'm':
		return time.Minute, true
	case 's':
		return time.Second, true
	}
	return 0, false
}
