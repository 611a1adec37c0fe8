package tiering

import (
	"cmp"
	"slices"
	"time"
)

// horizon is how far ahead windows are looked at. Each of them comes every week,
// and where one falls out with a change of clocks it comes the week after.
const horizon = 15 * day

// opening is a time from when up to when, end excluded, moves may start and run.
type opening struct{ from, to time.Time }

// openings are the times within the horizon in which all sets of windows are
// open, in order, without overlap and apart from each other. A set is open where
// one of its allow windows is, or anywhere if it has none, and none of its deny
// windows is.
func openings(now time.Time, sets ...[]Window) []opening {
	from := now.UTC().Truncate(time.Second)
	all := []opening{{from, from.Add(horizon)}}
	for _, set := range sets {
		if len(set) == 0 {
			continue
		}
		allow, deny, restricted := []opening(nil), []opening(nil), false
		for i := range set {
			w := &set[i]
			switch {
			case w.zone == nil:
				return nil
			case w.Deny:
				deny = append(deny, w.within(from, from.Add(horizon))...)
			default:
				restricted = true
				allow = append(allow, w.within(from, from.Add(horizon))...)
			}
		}
		if restricted {
			all = intersect(all, union(allow))
		}
		all = intersect(all, complement(union(deny), from, from.Add(horizon)))
	}
	return all
}

const secondsOfDay = 24 * 60 * 60

// within returns when a clock on the wall of the zone shows a time of the
// window. Between two changes of the zone's offset from UTC, that clock runs
// evenly, so that each such stretch is plain arithmetic.
func (w *Window) within(from, to time.Time) []opening {
	var all []opening
	for at := from; at.Before(to); {
		stretch := to
		if _, end := at.In(w.zone).ZoneBounds(); !end.IsZero() && end.Before(to) {
			stretch = end.UTC()
		}
		_, offset := at.In(w.zone).Zone()
		instant := func(wall int64) time.Time { return time.Unix(wall-int64(offset), 0).UTC() }
		length := int64(w.End-w.Start) * 60
		if length <= 0 {
			length += secondsOfDay
		}
		first := floorDiv(at.Unix()+int64(offset), secondsOfDay) - 1 // it may have begun yesterday
		for d := first; ; d++ {
			begin := d*secondsOfDay + int64(w.Start)*60
			if !instant(begin).Before(stretch) {
				break
			}
			if !w.on(d) {
				continue
			}
			if o := (opening{latter(instant(begin), at), former(instant(begin+length), stretch)}); o.from.Before(o.to) {
				all = append(all, o)
			}
		}
		at = stretch
	}
	return all
}

// on reports whether the window begins on a day, counted from 1 January 1970,
// which was a Thursday.
func (w *Window) on(d int64) bool {
	if w.Days == ([7]bool{}) {
		return true
	}
	return w.Days[((d+4)%7+7)%7]
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func latter(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func former(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// union puts times in order and joins those that touch.
func union(all []opening) []opening {
	slices.SortFunc(all, func(a, b opening) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	var joined []opening
	for _, o := range all {
		if n := len(joined); n > 0 && !o.from.After(joined[n-1].to) {
			joined[n-1].to = latter(joined[n-1].to, o.to)
			continue
		}
		joined = append(joined, o)
	}
	return joined
}

// complement returns what is left of a stretch.
func complement(all []opening, from, to time.Time) []opening {
	var left []opening
	for _, o := range all {
		if from.Before(o.from) {
			left = append(left, opening{from, o.from})
		}
		from = latter(from, o.to)
	}
	if from.Before(to) {
		left = append(left, opening{from, to})
	}
	return left
}

// intersect returns what is in both; each is in order and without overlap.
func intersect(a, b []opening) []opening {
	var both []opening
	for len(a) > 0 && len(b) > 0 {
		if o := (opening{latter(a[0].from, b[0].from), former(a[0].to, b[0].to)}); o.from.Before(o.to) {
			both = append(both, o)
		}
		if a[0].to.Before(b[0].to) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return both
}
