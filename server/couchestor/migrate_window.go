package main

import (
	"context"
	"fmt"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// reasonWindowClosed is why a move does not begin that was planned for a
// maintenance window.
const reasonWindowClosed mayastor.Reason = "WindowClosed"

// window returns when the move has to have begun; zero for whenever.
func (o *migrateOptions) window() (time.Time, error) {
	if o.startBy == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, o.startBy)
	if err != nil {
		return at, fmt.Errorf("--start-by is %q, which is no time; write one such as 2026-12-28T05:30:00Z", o.startBy)
	}
	return at, nil
}

// mind has a move refused that touched nothing by its time: what kept its pod
// waiting is no reason to move a volume outside of its maintenance window.
func (o *migrateOptions) mind(m *mayastor.Migrator) {
	at, err := o.window()
	if err != nil || at.IsZero() || o.recoverOnly {
		return
	}
	others := m.Stop
	m.Stop = func(ctx context.Context, begun bool) *mayastor.Ending {
		if !begun && time.Now().After(at) {
			return &mayastor.Ending{
				State: mayastor.Refused, Reason: reasonWindowClosed,
				Sentence: "the move had to begin by " + at.UTC().Format(time.RFC3339) + " to end before its maintenance window closes, and waited for longer; the planner begins it anew in the next window",
			}
		}
		if others == nil {
			return nil
		}
		return others(ctx, begun)
	}
}
