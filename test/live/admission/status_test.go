package admission

import (
	stdjson "encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/billyronks/couchestor/tiering"
)

// sent is a status as Metacontroller sends it on.
func sent(t testing.TB, status tiering.StoragePolicyStatus) map[string]any {
	t.Helper()
	raw, err := stdjson.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// full has every field set, and as many entries as the lists may have.
func full() tiering.StoragePolicyStatus {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	status := tiering.StoragePolicyStatus{
		ObservedGeneration: 1, Phase: tiering.PhaseActive, Mode: "Active", ModeReason: "The policy is enabled.",
		WatchedVolumes: 6, HotVolumes: 1, WarmVolumes: 1, ColdVolumes: 1, MixedVolumes: 1, UnknownVolumes: 2,
		ActiveMigrations: 1, TotalMigrations: 60, FailedMigrations: 3, LastReconcileTime: &at,
		Conditions: []metav1.Condition{
			{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Active", Message: "", LastTransitionTime: at, ObservedGeneration: 1},
			{Type: "MetricsAvailable", Status: metav1.ConditionUnknown, Reason: "NotTried", Message: "No query was made yet.", LastTransitionTime: at},
		},
	}
	for range 20 {
		status.Plan = append(status.Plan, tiering.PlanEntry{
			VolumeName: "pvc-1", Claim: "shop/db", FromTier: "mixed", ToTier: "hot", Action: "Hold",
			Gate: "cooldown", Reason: "It moved a while ago.", ScoreIOPS: 5100.1, Since: at, WantedSince: &at,
		})
	}
	for range 50 {
		status.MigrationHistory = append(status.MigrationHistory, tiering.HistoryEntry{
			JobName: "couchestor-1-1", JobUID: "u", VolumeName: "pvc-1", Claim: "shop/db", Timestamp: at,
			FromTier: "cold", ToTier: "hot", FromPool: "a,b", ToPool: "c,d", TriggerIOPS: 5100,
			Duration: "12m", Outcome: "moved", Success: true, Error: "none",
			Trigger: "automatic", LeadTime: "1h0m0s", Bytes: 1 << 40, Reason: "Stalled",
		})
	}
	for range 200 {
		status.Results = append(status.Results, tiering.ResultCount{
			Direction: "promotion", Outcome: "failed", Reason: "Stalled", Trigger: "automatic",
			Count: 3, Seconds: 4000, Bytes: 1 << 50, LeadTimes: 2, LeadSeconds: 7200,
		})
	}
	return status
}

// A field that is pruned, or a default that is added, makes Metacontroller write
// the same status again at each sync (MC 5); one that is refused stops it.
func TestAFullStatusIsStoredAsItWasSent(t *testing.T) {
	s := newServer(t)
	status := sent(t, full())
	stored, refused := s.updateStatus(t, status)
	if len(refused) > 0 {
		t.Errorf("refused: %q", refused)
	}
	if diff := cmp.Diff(stored, status); diff != "" {
		t.Errorf("stored (-) and sent (+):\n%s", diff)
	}
}

func TestAnEmptyStatusIsStoredAsItWasSent(t *testing.T) {
	s := newServer(t)
	status := sent(t, tiering.StoragePolicyStatus{})
	stored, refused := s.updateStatus(t, status)
	if len(refused) > 0 {
		t.Errorf("refused: %q", refused)
	}
	if diff := cmp.Diff(stored, status); diff != "" {
		t.Errorf("stored (-) and sent (+):\n%s", diff)
	}
}

// What the service must never send: each is answered with 422 at every sync.
func TestAStatusOfTheWrongFormIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		wrong func(s *tiering.StoragePolicyStatus)
		want  string
	}{
		{"an unknown phase", func(s *tiering.StoragePolicyStatus) { s.Phase = "Busy" }, "status.phase: supported values"},
		{"no phase is no wrong one", func(s *tiering.StoragePolicyStatus) { s.Phase = "" }, ""},
		{"a plan entry since never", func(s *tiering.StoragePolicyStatus) { s.Plan[0].Since = metav1.Time{} }, "status.plan[0].since: Required value"},
		{"a plan entry of unknown action", func(s *tiering.StoragePolicyStatus) { s.Plan[0].Action = "Stay" }, "status.plan[0].action: supported values"},
		{"a result at no time", func(s *tiering.StoragePolicyStatus) { s.MigrationHistory[0].Timestamp = metav1.Time{} }, "status.migrationHistory[0].timestamp: Required value"},
		{"21 entries of the plan", func(s *tiering.StoragePolicyStatus) { s.Plan = append(s.Plan, s.Plan[0]) }, "status.plan: must have at most 20 items"},
		{"51 results", func(s *tiering.StoragePolicyStatus) {
			s.MigrationHistory = append(s.MigrationHistory, s.MigrationHistory[0])
		}, "status.migrationHistory: must have at most 50 items"},
		{"a condition twice", func(s *tiering.StoragePolicyStatus) { s.Conditions[1].Type = "Ready" }, "status.conditions[1]: Duplicate value"},
		{"a condition without a reason", func(s *tiering.StoragePolicyStatus) { s.Conditions[0].Reason = "" }, "status.conditions[0].reason: should be at least 1 chars long"},
		{"a condition whose reason is a sentence", func(s *tiering.StoragePolicyStatus) { s.Conditions[0].Reason = "It is down" }, "status.conditions[0].reason: should match"},
		{"a condition without a time", func(s *tiering.StoragePolicyStatus) { s.Conditions[0].LastTransitionTime = metav1.Time{} }, "status.conditions[0].lastTransitionTime: Required value"},
	}
	s := newServer(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status := full()
			test.wrong(&status)
			_, refused := s.updateStatus(t, sent(t, status))
			if got := strings.Join(refused, "; "); (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
