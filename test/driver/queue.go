package driver

import (
	"sync"
	"time"
)

// The back-off of client-go's default rate limiter (MC 2.6).
const (
	backoffBase   = 5 * time.Millisecond
	backoffCap    = 1000 * time.Second
	bucketPeriod  = time.Second / 10
	bucketBurst   = 100
	notAppointed  = time.Duration(-1)
	maxBackoffExp = 40 // beyond it 5 ms * 2^n is above the cap, and far below overflow
)

// queue is a work queue of parents. A parent is worked on by one at a time;
// what is added meanwhile is kept for once after. The zero value is not ready.
type queue struct {
	mu      sync.Mutex
	entries map[string]*entry
	wake    chan struct{}
	bucket  time.Time // when the bucket would be full again
}

type entry struct {
	queued, working bool
	appointment     time.Time // zero is none
	failures        int
}

func newQueue() *queue {
	return &queue{entries: map[string]*entry{}, wake: make(chan struct{}, 1)}
}

func (q *queue) entry(name string) *entry {
	if q.entries[name] == nil {
		q.entries[name] = new(entry)
	}
	return q.entries[name]
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// add queues the parent at once, past any back-off (MC 2.6).
func (q *queue) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entry(name).queued = true
	q.poke()
}

// addAfter makes an appointment; of two the earlier one holds (MC 5).
func (q *queue) addAfter(name string, wait time.Duration) {
	if wait <= 0 {
		q.add(name)
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	e, at := q.entry(name), time.Now().Add(wait)
	if e.appointment.IsZero() || at.Before(e.appointment) {
		e.appointment = at
	}
	q.poke()
}

// addLater makes an appointment after the back-off, and returns that.
func (q *queue) addLater(name string) time.Duration {
	q.mu.Lock()
	e := q.entry(name)
	wait := max(backoff(e.failures), q.reserve())
	e.failures++
	q.mu.Unlock()
	q.addAfter(name, wait)
	return wait
}

// backoff after this many failures before.
func backoff(failures int) time.Duration {
	if failures > maxBackoffExp {
		return backoffCap
	}
	return min(backoffBase<<failures, backoffCap)
}

// reserve takes a token of the queue-wide bucket, 10 a second and 100 at once,
// and returns how long it takes to get it.
func (q *queue) reserve() time.Duration {
	now := time.Now()
	if q.bucket.Before(now) {
		q.bucket = now
	}
	q.bucket = q.bucket.Add(bucketPeriod)
	return max(0, q.bucket.Sub(now)-bucketBurst*bucketPeriod)
}

// forget ends the back-off.
func (q *queue) forget(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entry(name).failures = 0
}

// next takes a parent to work on, if there is one, and tells how long until the
// next appointment; notAppointed is none.
func (q *queue) next() (name string, found bool, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, wait := time.Now(), notAppointed
	for candidate, e := range q.entries {
		if !e.appointment.IsZero() && !e.appointment.After(now) {
			e.queued, e.appointment = true, time.Time{}
		}
		if e.queued && !e.working && (!found || candidate < name) {
			name, found = candidate, true
		}
		if !e.appointment.IsZero() {
			if left := e.appointment.Sub(now); wait == notAppointed || left < wait {
				wait = left
			}
		}
	}
	if found {
		q.entries[name].queued, q.entries[name].working = false, true
	}
	return name, found, wait
}

// done ends the work on a parent.
func (q *queue) done(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entry(name).working = false
	q.poke()
}
