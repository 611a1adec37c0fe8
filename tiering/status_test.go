package tiering

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func marshal(t prover, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// reread returns a status as it comes back in the next request.
func reread(t prover, s StoragePolicyStatus) StoragePolicyStatus {
	t.Helper()
	var back StoragePolicyStatus
	if err := json.Unmarshal([]byte(marshal(t, s)), &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// find returns the condition, or nil.
func find(s *StoragePolicyStatus, kind string) *metav1.Condition {
	if i := slices.IndexFunc(s.Conditions, func(c metav1.Condition) bool { return c.Type == kind }); i >= 0 {
		return &s.Conditions[i]
	}
	return nil
}

func TestStatusCounts(t *testing.T) {
	volumes := []Volume{
		volume("h1", on("hot-1"), score(6000)), volume("h2", on("hot-1"), score(6000)), volume("h3", on("hot-1"), unknown),
		volume("w1", on("warm-1"), score(3000)), volume("w2", on("warm-1"), score(3000)),
		volume("c1", on("cold-1"), score(1)),
		volume("m1", on("cold-1", "hot-1"), unknown), volume("m2", on("cold-1", "spare"), unknown),
		volume("n1", on("spare"), score(3000)), volume("u1", on("cold-1"), sampled(1, 10)),
		volume("gone", func(v *Volume) { v.Listed = false; v.Sample = Sample{} }),
		volume("lost", func(v *Volume) { v.Labels = map[string]string{"app": "db"} }),
		volume("live", on("cold-1"), live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot})),
		volume("foreign", on("cold-1"), live(LiveJob{Name: "j", Policy: "other"})),
	}
	p := decide(t, input(t, volumes, with(withWarm), rivalled(policy(t, "aaa", func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "db") }))))
	s := p.Status(StoragePolicyStatus{})
	got := []int64{s.WatchedVolumes, s.HotVolumes, s.WarmVolumes, s.ColdVolumes, s.MixedVolumes, s.UnknownVolumes, s.ActiveMigrations}
	if diff := cmp.Diff([]int64{13, 3, 2, 4, 2, 5, 1}, got); diff != "" {
		t.Errorf("watched, hot, warm, cold, mixed, unknown, active (-want +got):\n%s", diff)
	}
}

func TestCountsOfTiersAreKeptWhileMayastorIsDown(t *testing.T) {
	prev := StoragePolicyStatus{HotVolumes: 7, WarmVolumes: 6, ColdVolumes: 5, MixedVolumes: 4, WatchedVolumes: 99, UnknownVolumes: 99}
	p := decide(t, input(t, []Volume{volume("v")}, where(func(w *World) { w.Mayastor = Source{} })))
	s := p.Status(prev)
	got := []int64{s.WatchedVolumes, s.HotVolumes, s.WarmVolumes, s.ColdVolumes, s.MixedVolumes, s.UnknownVolumes}
	if diff := cmp.Diff([]int64{1, 7, 6, 5, 4, 0}, got); diff != "" {
		t.Errorf("watched, hot, warm, cold, mixed, unknown (-want +got):\n%s", diff)
	}
}

func TestBlindEveryVolumeIsUnknownAndItsTierStillShown(t *testing.T) {
	p := decide(t, input(t, []Volume{volume("a"), volume("b", on("hot-1"))}, where(func(w *World) { w.Metrics = Source{} })))
	s := p.Status(StoragePolicyStatus{})
	if s.UnknownVolumes != 2 || s.HotVolumes != 1 || s.ColdVolumes != 1 || len(s.Plan) != 0 {
		t.Errorf("got %d unknown, %d hot, %d cold, plan %v", s.UnknownVolumes, s.HotVolumes, s.ColdVolumes, s.Plan)
	}
	for i := range p.Decisions {
		if d := &p.Decisions[i]; d.To != NoTier || d.Act != Hold {
			t.Errorf("%s: %s to %s, want Hold to none", d.Volume.Name, d.Act, d.To)
		}
	}
}

func TestPhaseModeAndReady(t *testing.T) {
	blind := where(func(w *World) { w.Metrics = Source{Reason: "QueryFailed"} })
	down := where(func(w *World) { w.Mayastor = Source{Reason: "Unreachable"} })
	tests := []struct {
		name  string
		edits []inputEdit
		prev  Phase
		phase Phase
		mode  string
		ready string
	}{
		{"active", nil, "", PhaseActive, "Active", "True Active"},
		{"disabled", inp(with(disabled)), PhaseActive, PhaseDisabled, "Disabled", "False Disabled"},
		{"dry run", inp(with(dryRun)), "", PhaseDryRun, "DryRun", "True DryRun"},
		{"dry run of the service", inp(serviceDryRun), "", PhaseDryRun, "DryRun", "True DryRun"},
		{"disabled in dry run", inp(with(disabled, dryRun)), "", PhaseDisabled, "Disabled", "False Disabled"},
		{"blind from the start", inp(blind), "", PhasePending, "Blind", "False MetricsUnavailable"},
		{"still blind", inp(blind), PhasePending, PhasePending, "Blind", "False MetricsUnavailable"},
		{"blind later", inp(blind), PhaseActive, PhaseActive, "Blind", "False MetricsUnavailable"},
		{"blind in dry run", inp(blind, serviceDryRun), "", PhaseDryRun, "Blind", "False MetricsUnavailable"},
		{"without Mayastor", inp(down), PhaseActive, PhaseActive, "Waiting", "False MayastorUnavailable"},
		{"without Mayastor from the start", inp(down), "", PhasePending, "Waiting", "False MayastorUnavailable"},
		{"without Kubernetes", inp(unread), PhaseActive, PhaseActive, "Waiting", "False KubernetesUnavailable"},
		{"with Kubernetes", inp(where(func(w *World) { w.Kubernetes = &Source{OK: true} })), PhaseActive, PhaseActive, "Active", "True Active"},
		{"faults corrected", nil, PhaseError, PhaseActive, "Active", "True Active"},
		{"being deleted", inp(finalizing), PhaseActive, PhaseActive, "Deleting", "False Deleting"},
		{"an old server", inp(where(func(w *World) { w.Movable = "2.10 would do" })), PhaseActive, PhaseActive, "Waiting", "False MovesSuspended"},
		{"an old server in dry run", inp(serviceDryRun, where(func(w *World) { w.Movable = "2.10 would do" })), "", PhaseDryRun, "DryRun", "True DryRun"},
		{"an upgrade", inp(where(func(w *World) { w.Unsettled = "an upgrade runs" })), PhaseActive, PhaseActive, "Waiting", "False MovesSuspended"},
		{"a tier without pools", inp(with(func(s *StoragePolicySpec) { s.HotPoolSelector = nil })), PhaseActive, PhaseActive, "Active", "False NoPools"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := decide(t, input(t, []Volume{volume("v")}, test.edits...)).Status(StoragePolicyStatus{Phase: test.prev})
			ready := find(&s, ConditionReady)
			got := []string{string(s.Phase), s.Mode, string(ready.Status) + " " + ready.Reason}
			if diff := cmp.Diff([]string{string(test.phase), test.mode, test.ready}, got); diff != "" {
				t.Errorf("phase, mode, ready (-want +got):\n%s", diff)
			}
			if !strings.HasSuffix(s.ModeReason, ".") || !strings.HasSuffix(ready.Message, ".") {
				t.Errorf("no sentences: %q, %q", s.ModeReason, ready.Message)
			}
		})
	}
}

func TestConditionsSayWhatIsWrong(t *testing.T) {
	tests := []struct {
		name   string
		kind   string
		edits  []inputEdit
		status metav1.ConditionStatus
		reason string
		says   string
	}{
		{"accepted", ConditionPolicyAccepted, nil, "True", "Accepted", "no faults"},
		{"metrics", ConditionMetricsAvailable, nil, "True", "Available", "Scores are read"},
		{
			"no metrics", ConditionMetricsAvailable,
			inp(where(func(w *World) { w.Metrics = Source{Reason: "QueryFailed", Message: "Prometheus answers 503."} })),
			"False", "QueryFailed", "Prometheus answers 503.",
		},
		{
			"no metrics and no word why", ConditionMetricsAvailable,
			inp(where(func(w *World) { w.Metrics = Source{} })), "False", "Unavailable", "each volume keeps its tier",
		},
		{
			"a reason that is none", ConditionMetricsAvailable,
			inp(where(func(w *World) { w.Metrics = Source{Reason: "no reason!"} })), "False", "Unspecified", "each volume keeps its tier",
		},
		{
			"no Mayastor", ConditionMayastorAvailable,
			inp(where(func(w *World) { w.Mayastor = Source{Reason: "Unreachable", Message: "No route to host."} })),
			"False", "Unreachable", "No route to host.",
		},
		{
			"ignored fields", ConditionIgnoredFields,
			inp(with(func(s *StoragePolicySpec) { s.ECPolicyRef = &runtime.RawExtension{} })), "True", "OutOfScope", "ecPolicyRef",
		},
		{
			"ambiguous pools", ConditionPoolsAmbiguous,
			inp(where(func(w *World) {
				w.pool("hot-2").Conflict = "its label tier is hot here and cold there"
			})), "True", "InNoTier", "pool hot-2 (its label tier is hot here and cold there)",
		},
		{
			"tiers without pools", ConditionTiersWithoutPools,
			inp(with(withWarm, func(s *StoragePolicySpec) { s.WarmPoolSelector, s.ColdPoolSelector = &metav1.LabelSelector{}, nil })),
			"True", "NoPools", "tier warm, cold",
		},
		{
			"contested volumes", ConditionVolumesContested,
			inp(rivalled(policy(t, "aaa"))), "True", "OtherPolicyWins", "aaa",
		},
		{
			"an old server", ConditionMovesSuspended,
			inp(where(func(w *World) { w.Movable = "2.10 would do" })), "True", "NotMovable", "2.10 would do",
		},
		{
			"Kubernetes cannot be read", ConditionKubernetesAvailable,
			inp(unread), "False", "Unreachable", "cannot be reached",
		},
		{
			"an unsettled cluster", ConditionMovesSuspended,
			inp(where(func(w *World) { w.Unsettled = "an upgrade runs" })), "True", "NotMovable", "an upgrade runs",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := decide(t, input(t, []Volume{volume("v")}, test.edits...)).Status(StoragePolicyStatus{})
			c := find(&s, test.kind)
			if c == nil {
				t.Fatalf("there is no condition %s", test.kind)
			}
			if c.Status != test.status || c.Reason != test.reason || !strings.Contains(c.Message, test.says) {
				t.Errorf("got %s %s %q, want %s %s to say %q", c.Status, c.Reason, c.Message, test.status, test.reason, test.says)
			}
			if c.ObservedGeneration != 3 {
				t.Errorf("got generation %d, want 3", c.ObservedGeneration)
			}
		})
	}
	s := decide(t, input(t, []Volume{volume("v")})).Status(StoragePolicyStatus{})
	var kinds []string
	for _, c := range s.Conditions {
		kinds = append(kinds, c.Type)
	}
	if diff := cmp.Diff([]string{ConditionMayastorAvailable, ConditionMetricsAvailable, ConditionPolicyAccepted, ConditionReady}, kinds); diff != "" {
		t.Errorf("conditions while all is well (-want +got):\n%s", diff)
	}
}

func TestManyNamesAreCounted(t *testing.T) {
	s := decide(t, input(t, nil, where(func(w *World) {
		for i := range 14 {
			p := pool(fmt.Sprintf("torn-%02d", i), "node-1", "hot")
			p.Conflict = "labels differ"
			w.Pools = append(w.Pools, p)
		}
	}))).Status(StoragePolicyStatus{})
	c := find(&s, ConditionPoolsAmbiguous)
	if !strings.Contains(c.Message, "torn-09") || strings.Contains(c.Message, "torn-10") || !strings.Contains(c.Message, "and 4 more") {
		t.Errorf("got %q", c.Message)
	}
}

func TestConditionsOfTheCallerWin(t *testing.T) {
	in := input(t, []Volume{volume("v")})
	in.Conditions = []metav1.Condition{
		{Type: "Frozen", Status: "True", Reason: "Freeze", Message: "Frozen by hand."},
		{Type: ConditionReady, Status: "False", Reason: "Freeze", Message: "Frozen by hand.", ObservedGeneration: 77},
	}
	s := decide(t, in).Status(StoragePolicyStatus{})
	if c := find(&s, "Frozen"); c == nil || c.LastTransitionTime.IsZero() || c.ObservedGeneration != 3 {
		t.Errorf("got %+v", c)
	}
	if c := find(&s, ConditionReady); c.Reason != "Freeze" || c.ObservedGeneration != 3 {
		t.Errorf("got %+v", c)
	}
	if !slices.IsSortedFunc(s.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) }) || len(s.Conditions) != 5 {
		t.Errorf("got %d conditions, sorted or not: %v", len(s.Conditions), s.Conditions)
	}
}

func TestTheTimeOfAConditionMovesOnlyWithItsStatus(t *testing.T) {
	at := func(now time.Time, source Source, prev StoragePolicyStatus) StoragePolicyStatus {
		in := input(t, []Volume{volume("v")}, where(func(w *World) { w.Metrics = source }))
		in.Now = now
		return reread(t, decide(t, in).Status(prev))
	}
	up, down := Source{OK: true}, Source{Reason: "QueryFailed"}
	worse := Source{Reason: "Timeout", Message: "Prometheus did not answer in time."}
	s1 := at(noon(), up, StoragePolicyStatus{})
	s2 := at(noon().Add(time.Minute), down, s1)
	s3 := at(noon().Add(2*time.Minute), worse, s2)
	s4 := at(noon().Add(3*time.Minute), up, s3)
	for i, want := range []time.Time{noon(), noon().Add(time.Minute), noon().Add(time.Minute), noon().Add(3 * time.Minute)} {
		s := []StoragePolicyStatus{s1, s2, s3, s4}[i]
		if got := find(&s, ConditionMetricsAvailable).LastTransitionTime; !got.Time.Equal(want) {
			t.Errorf("status %d: got %v, want %v", i+1, got, want)
		}
	}
	if got := find(&s3, ConditionMetricsAvailable).Reason; got != "Timeout" {
		t.Errorf("the reason stayed %s", got)
	}
}

func TestLastReconcileTime(t *testing.T) {
	round := func(now time.Time, prev StoragePolicyStatus, edits ...inputEdit) StoragePolicyStatus {
		in := input(t, []Volume{volume("v", on("hot-1"))}, edits...)
		in.Now = now
		return reread(t, decide(t, in).Status(prev))
	}
	first := round(noon(), StoragePolicyStatus{})
	if !first.LastReconcileTime.Time.Equal(noon()) {
		t.Fatalf("got %v, want %v", first.LastReconcileTime, noon())
	}
	later := noon().Add(14*time.Minute + 59*time.Second)
	if got := round(later, first); marshal(t, got) != marshal(t, first) {
		t.Errorf("nothing happened and the status changed (-was +is):\n%s", cmp.Diff(first, got))
	}
	if got := round(noon().Add(15*time.Minute), first); !got.LastReconcileTime.Time.Equal(noon().Add(15 * time.Minute)) {
		t.Errorf("after 15 min: got %v", got.LastReconcileTime)
	}
	if got := round(noon().Add(-time.Hour), first); !got.LastReconcileTime.Time.Equal(noon().Add(-time.Hour)) {
		t.Errorf("a stamp from the future stays: %v", got.LastReconcileTime)
	}
	if got := round(later, first, with(disabled)); !got.LastReconcileTime.Time.Equal(later) {
		t.Errorf("the phase changed and the stamp did not: %v", got.LastReconcileTime)
	}
	recorded := first
	Record(&recorded, HistoryEntry{JobName: "j", Outcome: OutcomeMoved})
	if got := round(later, recorded); !got.LastReconcileTime.Time.Equal(later) {
		t.Errorf("something was recorded and the stamp did not change: %v", got.LastReconcileTime)
	}
}

// Each field of status, changed alone, has to renew the stamp, or is carried
// over and cannot change alone.
func TestTheStampKnowsEachField(t *testing.T) {
	carriedOver := []string{"TotalMigrations", "FailedMigrations", "LastReconcileTime", "MigrationHistory", "Results"}
	base := StoragePolicyStatus{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[StoragePolicyStatus]()) {
		if slices.Contains(carriedOver, f.Name) {
			continue
		}
		changed := base
		switch v := reflect.ValueOf(&changed).Elem().FieldByIndex(f.Index); v.Kind() {
		case reflect.Int64:
			v.SetInt(1)
		case reflect.String:
			v.SetString("x")
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			t.Fatalf("field %s is of a kind this test does not know", f.Name)
		}
		if same(&base, &changed) {
			t.Errorf("field %s changes and the stamp does not see it", f.Name)
		}
	}
}

// The same for each field of a condition and of a plan entry.
func TestTheStampKnowsEachFieldOfConditionsAndEntries(t *testing.T) {
	prove := func(name string, zero any, equal func(changed any) bool) {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(zero)) {
			changed := reflect.New(reflect.TypeOf(zero)).Elem()
			switch v := changed.FieldByIndex(f.Index); v.Interface().(type) {
			case bool:
				v.SetBool(true)
			case int64:
				v.SetInt(1)
			case float64:
				v.SetFloat(1)
			case metav1.Time:
				v.Set(reflect.ValueOf(metav1.NewTime(noon())))
			case *metav1.Time:
				v.Set(reflect.ValueOf(new(metav1.NewTime(noon()))))
			default:
				v.SetString("x")
			}
			if equal(changed.Interface()) {
				t.Errorf("%s.%s changes and the stamp does not see it", name, f.Name)
			}
		}
	}
	prove("Condition", metav1.Condition{}, func(c any) bool { return sameCondition(metav1.Condition{}, c.(metav1.Condition)) })
	prove("GovernanceStatus", GovernanceStatus{}, func(g any) bool {
		changed := g.(GovernanceStatus)
		return sameGovernance(&GovernanceStatus{}, &changed)
	})
	prove("PlanEntry", PlanEntry{}, func(e any) bool { return sameEntry(PlanEntry{}, e.(PlanEntry)) })
	zoned, plain := metav1.NewTime(noon().In(time.FixedZone("x", 3600))), metav1.NewTime(noon())
	if !sameEntry(PlanEntry{Since: zoned, WantedSince: &zoned}, PlanEntry{Since: plain, WantedSince: &plain}) {
		t.Error("the same time in another zone is another time")
	}
}

func TestReasonsOfConditions(t *testing.T) {
	pattern := regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)
	for _, s := range []string{
		"", "A", "z", "1", "_", "Aa9", "A_", "A,", "A:", "A,b", "A:b", "A_b", "9A", ",A", "A b", "A-b", "Aé", "QueryFailed", "A/", "A@", "A[", "A`", "A{",
	} {
		if got, want := isReason(s), pattern.MatchString(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
	if isReason(strings.Repeat("a", 1025)) || !isReason(strings.Repeat("a", 1024)) {
		t.Error("the length of a reason is at most 1024")
	}
}

func TestErrorStatusKeepsWhatTheFaultsDoNotConcern(t *testing.T) {
	prev := decide(t, input(t, []Volume{volume("a"), volume("b", on("hot-1"))})).Status(StoragePolicyStatus{})
	Record(&prev, HistoryEntry{JobName: "j", Outcome: OutcomeFailed, Timestamp: metav1.NewTime(noon())})
	prev.LastReconcileTime = new(metav1.NewTime(noon()))
	now := noon().Add(time.Minute)
	s := ErrorStatus(reread(t, prev), now, 4, []error{errors.New("spec.priority is 5; choose a value from 6 to 7"), errors.New("spec.samplingWindow is zero")})
	if s.Phase != PhaseError || s.Mode != "Error" || s.ObservedGeneration != 4 || !s.LastReconcileTime.Time.Equal(now) {
		t.Errorf("got phase %s, mode %s, generation %d, time %v", s.Phase, s.Mode, s.ObservedGeneration, s.LastReconcileTime)
	}
	accepted, ready := find(&s, ConditionPolicyAccepted), find(&s, ConditionReady)
	if accepted.Status != "False" || accepted.Message != "spec.priority is 5; choose a value from 6 to 7. spec.samplingWindow is zero." || !accepted.LastTransitionTime.Time.Equal(now) {
		t.Errorf("got %+v", accepted)
	}
	if ready.Status != "False" || ready.Reason != "NotAccepted" {
		t.Errorf("got %+v", ready)
	}
	if metrics := find(&s, ConditionMetricsAvailable); metrics.Status != "True" || !metrics.LastTransitionTime.Time.Equal(noon()) {
		t.Errorf("got %+v", metrics)
	}
	for _, c := range []struct{ got, want any }{
		{s.MigrationHistory, reread(t, prev).MigrationHistory},
		{s.Plan, reread(t, prev).Plan},
		{s.TotalMigrations, int64(1)},
		{s.FailedMigrations, int64(1)},
		{s.HotVolumes, int64(1)},
		{s.WatchedVolumes, int64(2)},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("carried over (-want +got):\n%s", diff)
		}
	}
	again := ErrorStatus(reread(t, s), now.Add(time.Minute), 4, []error{errors.New("spec.priority is 5; choose a value from 6 to 7"), errors.New("spec.samplingWindow is zero")})
	if marshal(t, again) != marshal(t, s) {
		t.Errorf("nothing happened and the status changed (-was +is):\n%s", cmp.Diff(s, again))
	}
	if s := decide(t, Input{Now: noon(), Policy: Policy{Name: "p"}}).Status(prev); s.Phase != PhaseError || len(s.MigrationHistory) != 1 {
		t.Errorf("a plan without a policy: got phase %s and %d results", s.Phase, len(s.MigrationHistory))
	}
}

func TestFaultsThatFillAMessage(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	s := ErrorStatus(StoragePolicyStatus{}, noon(), 1, []error{errors.New(long)})
	if m := find(&s, ConditionPolicyAccepted).Message; len(m) > maxMessage || !strings.HasSuffix(m, "...") || strings.ContainsRune(m, '�') {
		t.Errorf("got a message of %d bytes that ends in %q", len(m), m[len(m)-5:])
	}
}

func TestCountersAndHistoryAreInEveryStatus(t *testing.T) {
	prev := StoragePolicyStatus{TotalMigrations: 9, FailedMigrations: 4, MigrationHistory: []HistoryEntry{{JobName: "j"}}}
	for name, edits := range map[string][]inputEdit{
		"active": nil, "disabled": inp(with(disabled)), "dry run": inp(serviceDryRun), "finalizing": inp(finalizing),
		"blind":         inp(where(func(w *World) { w.Metrics = Source{} })),
		"Mayastor down": inp(where(func(w *World) { w.Mayastor = Source{} })),
		"no world":      inp(func(in *Input) { in.World = nil }),
		"no volumes":    inp(func(in *Input) { in.Volumes = nil }),
		"faults":        inp(func(in *Input) { in.Policy.Rules = Rules{} }),
	} {
		t.Run(name, func(t *testing.T) {
			s := decide(t, input(t, []Volume{volume("v")}, edits...)).Status(prev)
			if s.TotalMigrations != 9 || s.FailedMigrations != 4 || len(s.MigrationHistory) != 1 {
				t.Errorf("got %d, %d, %v", s.TotalMigrations, s.FailedMigrations, s.MigrationHistory)
			}
		})
	}
}
