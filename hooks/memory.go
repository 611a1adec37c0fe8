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
	// Attempt is the zero value if nothing was ever attempted, or it cannot be
	// read.
	Attempt mayastor.Attempt
	// LastMigration is zero if no replica ever changed pool.
	LastMigration time.Time
	// Fault is empty, or why the memory cannot be read. A volume whose memory
	// cannot be read stays where it is.
	Fault string
}

// none reports whether there is nothing to remember.
func (m *memory) none() bool {
	return m.Attempt.N == 0 && m.LastMigration.IsZero() && m.Fault == ""
}

// readMemory reads the two annotations; either may be "".
func readMemory(attempt, lastMigration string) (m memory) {
	if attempt != "" {
		if err := json.Unmarshal([]byte(attempt), &m.Attempt); err != nil {
			m.Fault = unreadable(mayastor.AttemptAnnotation, "is not the JSON of an attempt")
		} else if why := implausible(m.Attempt); why != "" {
			m.Fault = unreadable(mayastor.AttemptAnnotation, why)
		}
		if m.Fault != "" {
			m.Attempt = mayastor.Attempt{}
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
	case a.State != mayastor.Started && !terminal(a.State):
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
func terminal(s mayastor.State) bool {
	switch s {
	case mayastor.Moved, mayastor.Failed, mayastor.Refused, mayastor.Aborted:
		return true
	case mayastor.Started:
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
// lastN is the greatest number that is known from elsewhere. It is nil if there is
// nothing to remember.
func recall(m *memory, ends []end, lastN int64) *tiering.Memory {
	if m.none() && len(ends) == 0 && lastN == 0 {
		return nil
	}
	a := tiering.Attempt{
		N: m.Attempt.N, Move: m.Attempt.Move, Policy: m.Attempt.Policy, To: m.Attempt.To,
		State: tiering.AttemptState(m.Attempt.State), Failures: m.Attempt.Failures,
		Generation: m.Attempt.Generation, Reason: m.Attempt.Reason, At: m.Attempt.At,
	}
	t := &tiering.Memory{LastMigration: m.LastMigration, Fault: m.Fault, LastN: max(lastN, a.N)}
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
