package hooks

import (
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

func TestVolumesMovedLongAgoCostASyncNothing(t *testing.T) {
	for mode, api := range map[string]bool{"related": false, "api": true} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t)
			if api {
				r.hooks.config.Cluster = newKube()
			}
			for i := range 100 {
				r.volume(i)
				r.remember(i, attempt(2, mayastor.Moved, noon.Add(-48*time.Hour)))
			}
			q, err := decodeScene(t, r.body())
			if err != nil {
				t.Fatal(err)
			}
			full := make([]tiering.HistoryEntry, historyEntries)
			for i := range full {
				full[i] = tiering.HistoryEntry{JobName: "newer", Timestamp: second(noon)}
			}
			rs, recorded := readRuns(q), readHistory(full)
			entries, _ := r.hooks.unrecorded(q, rs, recorded)
			if len(entries) > 0 {
				t.Errorf("got %d entries of what a full history has dropped, want none", len(entries))
			}
			if got := testing.AllocsPerRun(10, func() { r.hooks.unrecorded(q, rs, recorded) }); got > 5 {
				t.Errorf("got %v allocations, want none for each of 100 volumes", got)
			}
			if entries, _ := r.hooks.unrecorded(q, rs, readHistory(full[1:])); len(entries) != 100 {
				t.Errorf("got %d entries by a history with room, want all 100", len(entries))
			}
		})
	}
}

func TestAttemptsOfAPolicyAreThoseOfTheNewestView(t *testing.T) {
	r := newAPIRig(t)
	rival := newPolicy("rival", "r")
	r.policies["rival"] = rival
	a := attempt(2, mayastor.Moved, noon.Add(-time.Hour))
	r.remember(1, a)
	if got := r.ask(t).results(); len(got) != 1 {
		t.Fatalf("got %v, want the result that the volume remembers", got)
	}
	// The next attempt at the volume was the other policy's.
	a.N, a.Policy = 3, "rival"
	r.remember(1, a)
	if got := r.ask(t).results(); len(got) != 0 {
		t.Errorf("got %v of a view in which another policy attempted the volume, want none", got)
	}
	r.policy = rival
	if got := r.ask(t).results(); len(got) != 1 || got[0] != nameJob(uuid(1), 3)+": moved" {
		t.Errorf("got %v, want the result of the other policy", got)
	}
}
