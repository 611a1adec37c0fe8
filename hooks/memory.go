package hooks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// memory is what a PersistentVolume's annotations say. It outlives Jobs,
// policies and this service.
type memory struct {
	// Memory is what decisions depend on, and shared with them. A volume whose
	// memory cannot be read stays where it is, and has no attempt.
	tiering.Memory
	// From, Error and ByHand are what else it says of the attempt, for the history.
	From, Error string
	ByHand      bool
}

// none reports whether there is nothing to remember.
func (m *memory) none() bool {
	return m.Attempt.N == 0 && m.LastMigration.IsZero() && m.Fault == ""
}

// readMemory reads the two annotations; either may be "".
func readMemory(attempt, lastMigration string) (m memory) {
	if attempt != "" {
		var a mayastor.Attempt
		if err := json.Unmarshal([]byte(attempt), &a); err != nil {
			m.Fault = unreadable(mayastor.AttemptAnnotation, "is not the JSON of an attempt")
		} else if why := implausible(a); why != "" {
			m.Fault = unreadable(mayastor.AttemptAnnotation, why)
		} else {
			m.Attempt = tiering.Attempt{
				N: a.N, Policy: a.Policy, To: a.To, State: tiering.AttemptState(a.State), Failures: a.Failures,
				Generation: a.Generation, Reason: a.Reason, At: a.At,
			}
			m.LastN, m.From, m.Error, m.ByHand = a.N, a.From, a.Error, a.ByHand
		}
	}
	if lastMigration != "" {
		at, err := time.Parse(time.RFC3339, lastMigration)
		if err != nil {
			m.Fault = cmp.Or(m.Fault, unreadable(mayastor.LastMigrationAnnotation, "is no time such as 2026-01-02T15:04:05Z"))
		}
		m.LastMigration = at.UTC()
	}
	return m
}

func unreadable(annotation, why string) string {
	return fmt.Sprintf("annotation %s of the PersistentVolume %s, so what was done with the volume is not known; see that no move of it runs, then remove the annotation", annotation, why)
}

func implausible(a mayastor.Attempt) string {
	switch {
	case a.N < 1 || a.N >= maxN:
		return fmt.Sprintf("has the number %d", a.N)
	case a.State != mayastor.Started && !terminal(tiering.AttemptState(a.State)):
		return fmt.Sprintf("has the unknown state %q", clip(string(a.State)))
	case a.Failures < 0:
		return fmt.Sprintf("counts %d failures", a.Failures)
	case a.At.IsZero():
		return "has no time"
	case a.Replicas < 0:
		return fmt.Sprintf("says that it began with %d replicas", a.Replicas)
	}
	return ""
}

// terminal reports whether a state is that of an attempt that is over and left
// nothing to clean up.
func terminal(s tiering.AttemptState) bool {
	switch s {
	case tiering.AttemptMoved, tiering.AttemptFailed, tiering.AttemptRefused, tiering.AttemptAborted:
		return true
	case tiering.AttemptStarted:
	}
	return false
}

// end is how one attempt at a volume ended, wherever that is written.
type end struct {
	n int64
	// said is true if the migrator itself said so; it then wrote the same to
	// the volume before.
	said bool
	// counted is true if failures is its count.
	counted bool
	attempt tiering.Attempt
	// moved is when a replica changed pool; zero if none did.
	moved time.Time
}

// recall puts together what the volume, its Jobs of all policies and the
// policy's history say of the last attempt. They are read through caches of
// different age (MC 0.7), so the greatest number wins, and of the same number
// the later state:
//
//	volume says     a Job of it                 taken
//	n, any          n+1 has a result            n+1 as the Job says
//	n, any          n+1 ended without one       n+1 failed: it never began, or the volume is read late
//	started n       n has a result              n as the Job says
//	started n       n ended without one         started n: somebody has to clean up
//	n, terminal     n, anything                 n as the volume says
//
// lastN is the greatest number that is known from elsewhere. The result is nil if
// there is nothing to remember, and the volume's own memory if nobody else knows
// more.
func recall(m *memory, ends []end, lastN int64) *tiering.Memory {
	if len(ends) == 0 && lastN <= m.LastN {
		if m.none() {
			return nil
		}
		return &m.Memory
	}
	t := new(m.Memory)
	t.LastN = max(t.LastN, lastN)
	a := t.Attempt
	slices.SortStableFunc(ends, func(a, b end) int { return cmp.Compare(a.n, b.n) })
	for _, e := range ends {
		if e.moved.After(t.LastMigration) {
			t.LastMigration = e.moved
		}
		switch {
		case e.n > a.N:
			failures := a.Failures
			a = e.attempt
			if !e.counted {
				a.Failures = countFailure(failures, a.State)
			}
		case e.n == a.N && e.said && a.State == tiering.AttemptStarted:
			generation := a.Generation
			a = e.attempt
			a.Generation = cmp.Or(a.Generation, generation)
		}
	}
	t.Attempt = a
	return t
}

// countFailure is how an attempt's state changes the failures in a row.
func countFailure(failures int64, s tiering.AttemptState) int64 {
	switch s {
	case tiering.AttemptFailed:
		return failures + 1
	case tiering.AttemptMoved:
		return 0
	case tiering.AttemptRefused, tiering.AttemptAborted, tiering.AttemptStarted:
	}
	return failures
}
