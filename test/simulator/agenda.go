package simulator

import (
	"container/heap"
	"time"
)

// event is something that happens by itself at an instant.
type event struct {
	at   time.Time
	seq  uint64 // order among events of one instant
	fire func()
}

// agenda is a heap of events, earliest first.
type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push and Pop are heap's; use [Simulator.schedule].
func (a *agenda) Push(x any) { *a = append(*a, x.(event)) }

func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*a = old[:len(old)-1]
	return e
}

// schedule makes fire run when the world reaches at. An instant in the past
// runs at the next advance.
func (s *Simulator) schedule(at time.Time, fire func()) {
	s.seq++
	heap.Push(&s.agenda, event{at: at, seq: s.seq, fire: fire})
}

// after is schedule relative to the instant the world is at.
func (s *Simulator) after(d time.Duration, fire func()) { s.schedule(s.clock.Add(d), fire) }

// advance brings the world to the clock's instant, event by event. A clock that
// went back changes nothing.
func (s *Simulator) advance() {
	now := s.cfg.Now()
	for len(s.agenda) > 0 && !s.agenda[0].at.After(now) {
		e := heap.Pop(&s.agenda).(event)
		s.pollUntil(e.at)
		if e.at.After(s.clock) {
			s.clock = e.at
		}
		e.fire()
	}
	s.pollUntil(now)
	if now.After(s.clock) {
		s.clock = now
	}
}

// pollUntil refreshes the core's cache as of its last tick at or before t. Ticks
// between two events see the same world but for rebuild progress, so only the
// last of them is played.
func (s *Simulator) pollUntil(t time.Time) {
	if s.cfg.CachePeriod <= 0 {
		return
	}
	ticks := int64(t.Sub(s.started) / s.cfg.CachePeriod)
	if ticks <= s.polls {
		return
	}
	s.polls = ticks
	if at := s.started.Add(time.Duration(ticks) * s.cfg.CachePeriod); at.After(s.clock) {
		s.clock = at
	}
	if !s.isCold() {
		s.poll()
	}
}

// locked runs f on a world that is up to date.
func (s *Simulator) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	f()
}

// Now is the instant the world is at.
func (s *Simulator) Now() (now time.Time) {
	s.locked(func() { now = s.clock })
	return now
}
