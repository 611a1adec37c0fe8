package tiering

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func result(name, outcome string, ended time.Time) HistoryEntry {
	return HistoryEntry{JobName: name, Outcome: outcome, Timestamp: metav1.NewTime(ended), Success: outcome == OutcomeMoved}
}

func TestWhatCounts(t *testing.T) {
	tests := []struct {
		outcome       string
		total, failed int64
	}{
		{OutcomeMoved, 1, 0}, {OutcomeFailed, 1, 1}, {OutcomeAborted, 1, 0}, {OutcomeRefused, 0, 0}, {OutcomeRecovered, 0, 0}, {"", 0, 0},
	}
	for _, test := range tests {
		t.Run(test.outcome, func(t *testing.T) {
			s := StoragePolicyStatus{TotalMigrations: 10, FailedMigrations: 5}
			if got := Record(&s, result("j", test.outcome, noon())); got != 1 {
				t.Errorf("recorded %d, want 1", got)
			}
			if s.TotalMigrations != 10+test.total || s.FailedMigrations != 5+test.failed || len(s.MigrationHistory) != 1 {
				t.Errorf("got %d and %d, %d results", s.TotalMigrations, s.FailedMigrations, len(s.MigrationHistory))
			}
		})
	}
}

func TestAJobIsRecordedOnce(t *testing.T) {
	var s StoragePolicyStatus
	e := result("j", OutcomeFailed, noon())
	for _, want := range []int{1, 0, 0} {
		if got := Record(&s, e, e); got != want {
			t.Errorf("recorded %d, want %d", got, want)
		}
	}
	if s.TotalMigrations != 1 || s.FailedMigrations != 1 || len(s.MigrationHistory) != 1 {
		t.Errorf("got %+v", s)
	}
	if got := Record(&s, e, HistoryEntry{}, result("k", OutcomeMoved, noon())); got != 1 || s.TotalMigrations != 2 {
		t.Errorf("a new result behind a known one: recorded %d, total %d", got, s.TotalMigrations)
	}
	s.TotalMigrations = 1
	if got := Record(&s, HistoryEntry{Outcome: OutcomeMoved}); got != 0 || s.TotalMigrations != 1 {
		t.Errorf("a result without a Job was recorded")
	}
}

func TestTheNewestResultComesFirst(t *testing.T) {
	var s StoragePolicyStatus
	Record(&s, result("b", OutcomeMoved, ago(2*time.Minute)), result("d", OutcomeMoved, noon()))
	Record(&s, result("c", OutcomeMoved, ago(time.Minute)), result("a", OutcomeMoved, ago(2*time.Minute)))
	var got []string
	for _, e := range s.MigrationHistory {
		got = append(got, e.JobName)
	}
	if want := []string{"d", "c", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestHistoryHoldsFiftyResultsAndCountsAll(t *testing.T) {
	var s StoragePolicyStatus
	for i := range 120 {
		Record(&s, result(fmt.Sprintf("j%03d", i), OutcomeMoved, noon().Add(time.Duration(i)*time.Minute)))
	}
	if len(s.MigrationHistory) != 50 || s.MigrationHistory[0].JobName != "j119" || s.MigrationHistory[49].JobName != "j070" || s.TotalMigrations != 120 {
		t.Errorf("got %d results from %s to %s, total %d", len(s.MigrationHistory), s.MigrationHistory[0].JobName, s.MigrationHistory[49].JobName, s.TotalMigrations)
	}
	before := s.TotalMigrations
	for i := range 120 {
		Record(&s, result(fmt.Sprintf("j%03d", i), OutcomeMoved, noon().Add(time.Duration(i)*time.Minute)))
	}
	if s.TotalMigrations != before {
		t.Errorf("results that left the history were counted again: %d, want %d", s.TotalMigrations, before)
	}
}

func TestMoreResultsAtOnceThanTheHistoryHolds(t *testing.T) {
	var entries []HistoryEntry
	for i := range 80 {
		entries = append(entries, result(fmt.Sprintf("j%03d", i), OutcomeMoved, noon().Add(time.Duration(i)*time.Minute)))
	}
	var s StoragePolicyStatus
	if got := Record(&s, entries...); got != 80 || s.TotalMigrations != 80 || len(s.MigrationHistory) != 50 {
		t.Errorf("recorded %d, total %d, %d kept", got, s.TotalMigrations, len(s.MigrationHistory))
	}
	if got := Record(&s, entries...); got != 0 || s.TotalMigrations != 80 {
		t.Errorf("again: recorded %d, total %d", got, s.TotalMigrations)
	}
}

func TestRecordDoesNotWriteIntoTheRequest(t *testing.T) {
	request := StoragePolicyStatus{MigrationHistory: make([]HistoryEntry, 1, 60)}
	request.MigrationHistory[0] = result("old", OutcomeMoved, noon())
	request.LastReconcileTime = new(metav1.NewTime(noon()))
	s := request
	Record(&s, result("new", OutcomeMoved, noon().Add(time.Minute)))
	if request.MigrationHistory[0].JobName != "old" || request.MigrationHistory[:2][1].JobName != "" || request.LastReconcileTime == nil {
		t.Errorf("the request was changed: %+v", request)
	}
	if s.LastReconcileTime != nil {
		t.Error("the stamp is still there, so that nobody would renew it")
	}
}

func TestFiguresAreRoundedWhenTheyEnterTheHistory(t *testing.T) {
	var s StoragePolicyStatus
	e := result("j", OutcomeMoved, noon().Add(123*time.Millisecond))
	e.TriggerIOPS = 1234.5678
	Record(&s, e)
	if got := s.MigrationHistory[0]; got.TriggerIOPS != 1234.6 || !got.Timestamp.Time.Equal(noon()) {
		t.Errorf("got %v at %v", got.TriggerIOPS, got.Timestamp)
	}
}
