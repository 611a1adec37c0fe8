package server

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/tiering"
)

// shown is a status whose history has the moves of these numbers.
func shown(at time.Time, numbers ...int) *tiering.StoragePolicyStatus {
	status := new(tiering.StoragePolicyStatus)
	for _, n := range numbers {
		status.MigrationHistory = append(status.MigrationHistory, tiering.HistoryEntry{
			JobName: fmt.Sprint("couchestor-", n), FromTier: "cold", ToTier: "hot", Outcome: "moved", Duration: "1s", Timestamp: metav1.NewTime(at),
		})
	}
	return status
}

func TestStartIsCountedOnceThoughNobodyAskedForDays(t *testing.T) {
	begin := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	status := shown(begin.Add(time.Minute), 1, 2)
	s := starts{}.seen(begin, begin.Add(time.Hour), "db", nil, status)
	s = s.seen(begin, begin.Add(72*time.Hour), "db", nil, status)
	if got := s.count[tiering.Directions()[0]] + s.count[tiering.Directions()[1]]; got != 2 {
		t.Errorf("got %d starts, want 2", got)
	}
}

func TestStartsThatAreNoLongerShownAreForgotten(t *testing.T) {
	begin := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	var s starts
	at := begin
	for n := range 1000 {
		at = at.Add(time.Minute)
		s = s.seen(begin, at, "db", nil, shown(at, n, n+1))
		if len(s.known) > 70 {
			t.Fatalf("%d Jobs are remembered after %d moves, one a minute", len(s.known), n)
		}
	}
	total := 0
	for _, n := range s.count {
		total += n
	}
	if total != 1001 {
		t.Errorf("got %d starts, want 1001", total)
	}
}
