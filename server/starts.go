package server

import (
	"maps"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// starts counts the moves that this process saw start. Jobs that are older than
// it were its predecessor's to count.
type starts struct {
	count map[string]int
	// known is when a round last showed a Job.
	known map[string]time.Time
}

// forgotten is how long a Job that no round shows any more is remembered, in
// case that one shows it again: the request of a Metacontroller that lags behind
// does. It bounds what is held: a policy may start a hundred moves an hour.
const forgotten = time.Hour

// seen returns the counts after a round at the time now; since is when counting
// began.
func (s starts) seen(since, now time.Time, policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) starts {
	next := starts{count: maps.Clone(s.count), known: maps.Clone(s.known)}
	if next.count == nil {
		next = starts{count: map[string]int{}, known: map[string]time.Time{}}
	}
	// In the end, so that nothing is forgotten that this round shows, however long
	// ago the last one was.
	defer maps.DeleteFunc(next.known, func(_ string, last time.Time) bool { return now.Sub(last) > forgotten })
	see := func(job, direction string, at time.Time) {
		// The API server's times are whole seconds.
		if _, known := next.known[job]; !known && !at.Before(since.Truncate(time.Second)) {
			next.count[direction]++
		}
		next.known[job] = now
	}
	for i := range status.MigrationHistory {
		if e := &status.MigrationHistory[i]; e.Trigger != tiering.TriggerByHand {
			see(e.JobName, e.Direction(), began(e))
		}
	}
	if plan == nil {
		return next
	}
	for i := range plan.Decisions {
		if j := plan.Decisions[i].Volume.Live; j != nil && j.Policy == policy {
			see(j.Name, j.Direction(), j.Started)
		}
	}
	return next
}

func (s starts) collect(x exposition, policy string) {
	for _, direction := range tiering.Directions() {
		x.counter("couchestor_moves_started_total", float64(s.count[direction]), direction, policy)
	}
}
