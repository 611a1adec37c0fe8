package tiering

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestDirectionOfAMove(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"cold", "hot", "promotion"},
		{"warm", "hot", "promotion"},
		{"none", "hot", "promotion"},
		{"mixed", "hot", "promotion"},
		{"cold", "warm", "promotion"},
		{"none", "warm", "promotion"},
		{"hot", "warm", "demotion"},
		{"hot", "cold", "demotion"},
		{"warm", "cold", "demotion"},
		{"none", "cold", "demotion"},
		{"mixed", "cold", "demotion"},
		{"mixed", "warm", "other"},
		{"", "", "other"},
		{"cold", "none", "other"},
		{"", "what", "other"},
	} {
		e := HistoryEntry{FromTier: c.from, ToTier: c.to}
		if got := e.Direction(); got != c.want {
			t.Errorf("from %q to %q: got %s, want %s", c.from, c.to, got, c.want)
		}
	}
	if j := (LiveJob{From: Hot, To: Cold}); j.Direction() != DirectionDemotion {
		t.Errorf("a Job from hot to cold: got %s", j.Direction())
	}
}

func TestResultsAreCountedOnceByWhatTheyHaveInCommon(t *testing.T) {
	entries := []HistoryEntry{
		{JobName: "a", FromTier: "cold", ToTier: "hot", Outcome: OutcomeMoved, Trigger: TriggerAutomatic, Duration: "8m0s", LeadTime: "1h0m0s", Bytes: 100},
		{JobName: "b", FromTier: "cold", ToTier: "hot", Outcome: OutcomeMoved, Trigger: TriggerAutomatic, Duration: "2m30s", LeadTime: "0s", Bytes: 11, Reason: "None"},
		{JobName: "c", FromTier: "cold", ToTier: "hot", Outcome: OutcomeMoved, Trigger: TriggerByHand},
		{JobName: "d", FromTier: "cold", ToTier: "hot", Outcome: OutcomeFailed, Reason: "Stalled", Duration: "5m0s"},
		{JobName: "e", FromTier: "hot", ToTier: "cold", Outcome: OutcomeRefused, Reason: "not a word"},
		{JobName: "f", Outcome: OutcomeRecovered, Reason: "Recovered"},
		{JobName: "g", Outcome: OutcomeAborted, Duration: "-3s", Bytes: -4},
	}
	want := []ResultCount{
		{Direction: "demotion", Outcome: "refused", Reason: "Other", Trigger: "automatic", Count: 1},
		{Direction: "other", Outcome: "aborted", Reason: "Other", Trigger: "automatic", Count: 1},
		{Direction: "other", Outcome: "recovered", Reason: "Recovered", Trigger: "automatic", Count: 1},
		{Direction: "promotion", Outcome: "failed", Reason: "Stalled", Trigger: "automatic", Count: 1, Seconds: 300},
		{Direction: "promotion", Outcome: "moved", Trigger: "automatic", Count: 2, Seconds: 630, Bytes: 111, LeadTimes: 2, LeadSeconds: 3600},
		{Direction: "promotion", Outcome: "moved", Trigger: "by-hand", Count: 1},
	}
	var s StoragePolicyStatus
	for i := range entries {
		entries[i].Timestamp = metav1.NewTime(noon())
	}
	Record(&s, entries[:3]...)
	before := s.Results
	kept := slices.Clone(before)
	Record(&s, entries...)
	Record(&s, entries...)
	if diff := cmp.Diff(s.Results, want); diff != "" {
		t.Errorf("got (-) want (+):\n%s", diff)
	}
	if diff := cmp.Diff(before, kept); diff != "" {
		t.Errorf("the counts of the request were changed:\n%s", diff)
	}
	slices.Reverse(entries)
	var again StoragePolicyStatus
	Record(&again, entries...)
	if diff := cmp.Diff(again.Results, want); diff != "" {
		t.Errorf("in another order got (-) want (+):\n%s", diff)
	}
}

func TestKindsOfResultsAreBounded(t *testing.T) {
	var s StoragePolicyStatus
	const results = 1000
	for i := range results {
		Record(&s, HistoryEntry{
			JobName: fmt.Sprintf("j%d", i), Timestamp: metav1.NewTime(noon().Add(time.Duration(i) * time.Second)),
			FromTier: "cold", ToTier: "hot", Outcome: Outcomes()[1+i%4], Reason: fmt.Sprintf("R%d", i), Trigger: Triggers()[i%3],
		})
	}
	var count int64
	for _, c := range s.Results {
		count += c.Count
	}
	// 200 is what the schema takes.
	if count != results || len(s.Results) > 200 {
		t.Errorf("got %d results in %d kinds, want %d in at most 200", count, len(s.Results), results)
	}
}

func TestAWishKeepsItsAgeWhateverHoldsIt(t *testing.T) {
	cooling := func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }
	dry := with(func(s *StoragePolicySpec) { s.DryRun = new(true) })
	first := func(edits ...inputEdit) StoragePolicyStatus {
		return reread(t, decide(t, input(t, []Volume{volume("v", cooling, score(6000))}, edits...)).Status(StoragePolicyStatus{}))
	}
	later := noon().Add(time.Minute)
	tests := []struct {
		name  string
		prev  StoragePolicyStatus
		now   []inputEdit
		edits []volumeEdit
		want  time.Time
	}{
		{"the same gate", first(), nil, vol(cooling, score(7000)), noon()},
		{"another gate", first(), nil, vol(score(7000), func(v *Volume) { v.Snapshots = 1 }), noon()},
		{"no gate", first(), nil, vol(score(7000)), noon()},
		{"another direction", first(), nil, vol(cooling, on("hot-1"), score(7)), later},
		{"a dry run wants nothing", first(), inp(dry), vol(score(7000)), time.Time{}},
		{"nor does a wish that a dry run shows as held", first(), inp(dry), vol(cooling, score(7000)), time.Time{}},
		{"after a dry run it begins", first(dry), nil, vol(cooling, score(7000)), later},
		{"its Job says since when", first(), nil, vol(live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot, Started: later, Wanted: ago(time.Hour)})), ago(time.Hour)},
		{"a Job that does not say", first(), nil, vol(live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot, Started: later})), time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input(t, []Volume{volume("v", test.edits...)}, test.now...)
			in.Now = later
			s := decide(t, in).Status(test.prev)
			var got time.Time
			if at := s.Plan[0].WantedSince; at != nil {
				got = at.Time
			}
			if !got.Equal(test.want) {
				t.Errorf("%s is wanted since %v, want %v", brief(s.Plan[0]), got, test.want)
			}
			to, _ := ParseTier(s.Plan[0].ToTier)
			if at, ok := s.WantedSince("v", to); ok == test.want.IsZero() || ok && !at.Equal(test.want) {
				t.Errorf("the status says %v, %v, want %v", at, ok, test.want)
			}
		})
	}
}
