package tiering

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// route: the tier has pools, and every replica of the volume has a step to one
// of them. The whole move is judged, not its beginning.
func route(t *turn) Verdict {
	want := words(aStepForEach)
	switch {
	case !t.wishes():
		return notAsked("the volume has no other tier to go to")
	case !t.clear:
		return notAsked("an earlier gate holds the volume")
	case t.route != nil:
		return stepped(t.route)
	}
	pools := t.plan.Tiers.Pools(t.to)
	if len(pools) == 0 {
		return holds(words("NoPools: no pool is in tier "+t.to.String()+"; label one so that the policy's selector matches it"), want)
	}
	if t.plan.in.Route == nil {
		return holds(words("NoRoute: nothing can tell whether the volume could move"), want)
	}
	if next, stale := t.readBefore(); stale {
		return holdsUntil(next, words("Mayastor was read before the last attempt was over"), words("a reading after it"))
	}
	r := t.plan.in.Route(t.v, t.to, pools)
	switch {
	case len(r.Refusals) > 0:
		return holds(words(refusal(&r)), want)
	case r.Replicas <= 0 || len(r.Landing) == 0:
		return holds(words("NoRoute: no replica has a pool to go to"), want)
	}
	for _, name := range r.Landing {
		if _, ok := slices.BinarySearch(pools, name); !ok {
			return holds(words("NoRoute: it leads to pool "+name+", which is not in tier "+t.to.String()), want)
		}
	}
	way := r // The others are not kept.
	t.route = &way
	return stepped(t.route)
}

// stepped is the verdict on a route that leads somewhere.
func stepped(r *Route) Verdict {
	return passes(items(int64(r.Replicas), "replicas with a step"), words(aStepForEach))
}

const aStepForEach = "a step for every replica"

// readBefore reports whether the reading of Mayastor is older than the end of
// the volume's last attempt, and from when on one would do. Such a reading may
// show a replica that is gone by now, and so a volume that is half moved.
// Attempts are timed in whole seconds, by their migrator's clock.
func (t *turn) readBefore() (next time.Time, stale bool) {
	a, read := &t.v.Remembered().Attempt, t.plan.in.World.ReadAt
	if a.State == "" || a.State == AttemptStarted || a.At.IsZero() || read.IsZero() {
		return time.Time{}, false
	}
	next = a.At.Truncate(time.Second).Add(time.Second)
	return next, read.Before(next)
}

func refusal(r *Route) string {
	s := r.Refusals[0]
	if r.Reason != "" {
		s = r.Reason + ": " + s
	}
	if more := len(r.Refusals) - 1; more > 0 {
		s += " (and " + strconv.Itoa(more) + " more)"
	}
	return s
}

// capacity: each pool that a replica may land on stays within
// maxPoolUsedPercent, counting what moves in flight and moves planned before
// may put there. Which of them it will be is Mayastor's choice, so each must do.
func capacity(t *turn) Verdict {
	if t.route == nil {
		return notAsked("there is no route")
	}
	most := t.rules().MaxPoolUsedPercent
	want := percent(float64(most))
	space := need(t.v)
	if space <= 0 {
		return holds(words("the volume's size is not known"), want)
	}
	fullest, have := -1.0, Value{}
	for _, name := range t.route.Landing {
		place, ok := t.plan.pools[name]
		if !ok {
			return holds(words("pool "+name+" is not known"), want)
		}
		pool := &t.plan.in.World.Pools[place]
		if pool.CapacityBytes <= 0 || pool.UsedBytes < 0 {
			return holds(words("the fill of pool "+name+" is not known"), want)
		}
		reserved := t.ledger.reserved[place]
		after := 100 * (float64(pool.UsedBytes) + float64(reserved) + float64(space)) / float64(pool.CapacityBytes)
		if t.ledger.room(pool, place, most) < space {
			// Rounded up, so that what is too much never reads as enough.
			return holds(fill(name, math.Ceil(after*10-1e-6)/10), want)
		}
		if after > fullest {
			fullest, have = after, fill(name, after)
		}
	}
	return passes(have, want)
}

// fits: a replica can be copied within migrationTimeout at the expected rate.
func fits(t *turn) Verdict {
	want := span(t.rules().MigrationTimeout)
	rate, size := t.plan.in.Limits.RebuildBytesPerSecond, copied(t.v)
	switch {
	case rate <= 0:
		return holds(words("the expected rate of a rebuild is not known"), want)
	case size <= 0:
		return holds(words("the volume's size is not known"), want)
	}
	seconds := float64(size) / float64(rate)
	expected := time.Duration(min(seconds*float64(time.Second), float64(longest)))
	return answer(seconds <= t.rules().MigrationTimeout.Seconds(), span(expected), want)
}
