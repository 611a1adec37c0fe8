package tiering

import (
	"cmp"
	"slices"
	"time"
)

// mostHistory is how many results the status holds. Finished Jobs are kept in
// smaller numbers, so that a Job is gone before its result is.
const mostHistory = 50

// The outcomes of a history entry.
const (
	OutcomeMoved     = "moved"
	OutcomeFailed    = "failed"
	OutcomeRefused   = "refused"
	OutcomeAborted   = "aborted"
	OutcomeRecovered = "recovered"
)

// Record adds results to the history and counts them, and returns how many
// were new. A Job is recorded exactly once: one that the history names already,
// or that has no name, is passed over; so is one that ended no later than the
// last entry of a full history, since that one may have left it before. The
// newest comes first, and only the oldest leave.
//
// Moves and failures and aborts count as migrations; refusals, which touched
// nothing, and recoveries do not. Results counts all of them. Call Record on the request's status before
// [Plan.Status] or [ErrorStatus]: it takes LastReconcileTime away if anything
// was new, so that they renew it. The slices that status came with are not
// changed.
func Record(status *StoragePolicyStatus, entries ...HistoryEntry) (recorded int) {
	before := status.MigrationHistory
	known := make(map[string]bool, len(before)+len(entries))
	for i := range before {
		known[before[i].JobName] = true
	}
	all := slices.Clone(before)
	for _, e := range entries {
		e.Timestamp = inSeconds(e.Timestamp.Time)
		if e.JobName == "" || known[e.JobName] || len(before) >= mostHistory && !e.Timestamp.After(oldest(before)) {
			continue
		}
		known[e.JobName] = true
		e.TriggerIOPS = round(e.TriggerIOPS)
		all = append(all, e)
		recorded++
		status.Results = tally(status.Results, &e)
		switch e.Outcome {
		case OutcomeFailed:
			status.FailedMigrations++
			status.TotalMigrations++
		case OutcomeMoved, OutcomeAborted:
			status.TotalMigrations++
		}
	}
	if recorded == 0 {
		return 0
	}
	slices.SortStableFunc(all, func(a, b HistoryEntry) int {
		return cmp.Or(b.Timestamp.Compare(a.Timestamp.Time), cmp.Compare(a.JobName, b.JobName))
	})
	status.MigrationHistory = slices.Clip(all[:min(len(all), mostHistory)])
	status.LastReconcileTime = nil
	return recorded
}

func oldest(history []HistoryEntry) time.Time {
	return slices.MinFunc(history, func(a, b HistoryEntry) int {
		return a.Timestamp.Compare(b.Timestamp.Time)
	}).Timestamp.Time
}
