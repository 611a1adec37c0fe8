package hooks

import (
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// history is the policy's own record of what ended, as the request's status
// shows it.
type history struct {
	byJob    map[string]bool
	byVolume map[string][]past
	// oldest is the time of the oldest entry of a full history, before which
	// nothing can be told; zero while there is room.
	oldest time.Time
}

// past is one entry of the history.
type past struct {
	n     int64
	entry *tiering.HistoryEntry
}

// historyEntries is how many results the status holds.
const historyEntries = 50

func readHistory(entries []tiering.HistoryEntry) *history {
	h := &history{byJob: make(map[string]bool, len(entries)), byVolume: make(map[string][]past)}
	for i := range entries {
		e := &entries[i]
		h.byJob[e.JobName] = true
		if uuid, n, ok := parseJobName(e.JobName); ok {
			h.byVolume[uuid] = append(h.byVolume[uuid], past{n, e})
		}
		if len(entries) >= historyEntries && (h.oldest.IsZero() || e.Timestamp.Time.Before(h.oldest)) {
			h.oldest = e.Timestamp.Time
		}
	}
	return h
}

// has reports whether the end of a Job is recorded: it is in the history, or it
// is so old that a full history has dropped it.
func (h *history) has(job string, at time.Time) bool {
	return h.byJob[job] || h.dropped(at)
}

// dropped reports whether an end is so old that a full history has dropped it.
func (h *history) dropped(at time.Time) bool {
	return !h.oldest.IsZero() && !at.Truncate(time.Second).After(h.oldest)
}

// end is how the attempt ended, as far as the history tells.
func (p past) end() end {
	e := end{n: p.n, attempt: tiering.Attempt{
		N: p.n, To: p.entry.ToTier, State: tiering.AttemptFailed, At: p.entry.Timestamp.Time,
	}}
	switch p.entry.Outcome {
	case tiering.OutcomeMoved:
		e.attempt.State = tiering.AttemptMoved
	case tiering.OutcomeRefused:
		e.attempt.State = tiering.AttemptRefused
	case tiering.OutcomeAborted, tiering.OutcomeRecovered:
		e.attempt.State = tiering.AttemptAborted
	}
	if p.entry.ToPool != "" {
		e.moved = p.entry.Timestamp.Time
	}
	return e
}
