package tiering

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// The traps are those that others fell into; the numbers are from the list the
// project keeps of them. Those about moving and about hooks are tested there.

// Trap 1: the CRD is spelled otherwise than the Go tags, so that the server
// prunes a field or the service never sees it.
func TestTrap01SpellingOfTheCRDEqualsTheGoTags(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "manifests", "base", "crd", "storage.billyronks.io_storagepolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type props struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties struct {
							Spec, Status props
						} `json:"properties"`
					} `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil || len(crd.Spec.Versions) != 1 {
		t.Fatalf("%d versions, %v", len(crd.Spec.Versions), err)
	}
	of := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties
	for name, pair := range map[string]struct {
		have props
		from reflect.Type
	}{
		"spec":   {of.Spec, reflect.TypeFor[StoragePolicySpec]()},
		"status": {of.Status, reflect.TypeFor[StoragePolicyStatus]()},
	} {
		var want, got []string
		for _, f := range reflect.VisibleFields(pair.from) {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			want = append(want, tag)
		}
		for field := range pair.have.Properties {
			got = append(got, field)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-Go +CRD):\n%s", name, diff)
		}
	}
	var back StoragePolicySpec
	if err := json.Unmarshal([]byte(`{"highWatermarkIOPS":7,"nvmePoolSelector":{"matchLabels":{"a":"b"}}}`), &back); err != nil {
		t.Fatal(err)
	}
	if back.HighWatermarkIOPS == nil || *back.HighWatermarkIOPS != 7 || back.NVMePoolSelector == nil {
		t.Errorf("the documented spelling is not read: %+v", back)
	}
}

// Trap 2 is in mutation_test.go.

// Trap 3: an empty selector selects everything where it should select nothing.
func TestTrap03AnEmptyPoolSelectorSelectsNoPool(t *testing.T) {
	for name, s := range map[string]*metav1.LabelSelector{"missing": nil, "empty": {}, "empty lists": {MatchLabels: map[string]string{}}} {
		t.Run(name, func(t *testing.T) {
			p, d := one(t, volume("v"), with(func(sp *StoragePolicySpec) { sp.HotPoolSelector = s }))
			if got := p.Tiers.Pools(Hot); len(got) != 0 || starts(d.Act) {
				t.Errorf("got the pools %v and %s", got, d.Act)
			}
		})
	}
}

// Trap 4: matchExpressions are accepted and never read.
func TestTrap04MatchExpressionsOfPoolSelectorsAreHonoured(t *testing.T) {
	p, _ := one(t, volume("v"), with(func(s *StoragePolicySpec) {
		s.HotPoolSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "tier", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"cold", "warm"}},
		}}
	}))
	if diff := cmp.Diff([]string{"hot-1", "hot-2", "hot-3"}, p.Tiers.Pools(Hot)); diff != "" {
		t.Errorf("pools (-want +got):\n%s", diff)
	}
}

// Trap 5: trouble with the metrics counts as a score of zero, and the whole
// cluster is demoted.
func TestTrap05TroubleWithMetricsMovesNothingAndIsNamed(t *testing.T) {
	tests := map[string]struct {
		edit  volumeEdit
		world func(*World)
		says  string
	}{
		"error":      {world: func(w *World) { w.Metrics = Source{Message: "Prometheus answers 503"} }, says: "Prometheus answers 503"},
		"empty":      {edit: unknown, says: "no sample"},
		"NaN":        {edit: func(v *Volume) { v.Sample, _ = NewSample(math.NaN(), 100) }, says: "no sample"},
		"infinite":   {edit: func(v *Volume) { v.Sample, _ = NewSample(math.Inf(1), 100) }, says: "no sample"},
		"partial":    {edit: sampled(0, 30), says: "30 %"},
		"one-sided":  {edit: func(v *Volume) { v.Sample = UnknownSample("there are writes and no reads") }, says: "no reads"},
		"stale":      {world: func(w *World) { w.Metrics = Source{Message: "the last answer is too old"} }, says: "too old"},
		"duplicated": {edit: func(v *Volume) { v.Sample = UnknownSample("two series name the volume") }, says: "two series"},
		"never read": {world: func(w *World) { w.Metrics = Source{} }, says: "no scores"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, at := range []string{"hot-1", "cold-1"} {
				v := volume("v", on(at), score(0))
				if test.edit != nil {
					test.edit(&v)
				}
				in := input(t, []Volume{v})
				if test.world != nil {
					test.world(in.World)
				}
				d := decide(t, in).Decisions[0]
				if d.Act != Hold || d.To != NoTier || d.Held.Gate != GateCoverage || !strings.Contains(d.Held.Sentence(), test.says) {
					t.Errorf("on %s: %s to %s, %q; want Hold and %q", at, d.Act, d.To, d.Held.Sentence(), test.says)
				}
			}
		})
	}
}

// Trap 7: a volume that is on the right tier is moved to another pool of it.
func TestTrap07AVolumeOnItsTierInAnyPoolStays(t *testing.T) {
	for _, at := range []string{"hot-1", "hot-2", "hot-3"} {
		if _, d := one(t, volume("v", on(at))); d.Act != Stay {
			t.Errorf("on %s: %s", at, d.Act)
		}
	}
}

// Trap 8: only the first replica is looked at, or a volume is left half-way.
func TestTrap08EachReplicaIsPlacedAndAMixedVolumeIsFinished(t *testing.T) {
	_, d := one(t, volume("v", on("hot-1", "cold-1", "cold-2")))
	if d.Act != Move || !d.Mixed || d.To != Hot || d.Route.Replicas != 2 {
		t.Errorf("busy: %s", line(d))
	}
	_, d = one(t, volume("v", on("hot-1", "hot-2", "cold-2"), score(1000), func(v *Volume) { remember(v).LastMigration = ago(time.Minute) }))
	if d.Act != Move || d.To != Hot || d.Route.Replicas != 1 {
		t.Errorf("in between: %s", line(d))
	}
}

// Trap 17: two policies select one volume, and both move it or neither says so.
func TestTrap17OfTwoPoliciesOneWinsAndTheOtherSaysSo(t *testing.T) {
	first, second := policy(t, "first", ranked(1)), policy(t, "second")
	v := volume("v")
	decideFor := func(p, other Policy) *Plan {
		in := input(t, []Volume{v}, rivalled(other))
		in.Policy = p
		return decide(t, in)
	}
	won, lost := decideFor(first, second), decideFor(second, first)
	if won.Decisions[0].Act != Move || won.Decisions[0].Winner != "" {
		t.Errorf("the winner: %s", line(&won.Decisions[0]))
	}
	d := &lost.Decisions[0]
	if d.Act != Hold || d.Winner != "first" || !strings.Contains(d.Sentence(), "policy first with priority 1") {
		t.Errorf("the loser: %s", d.Sentence())
	}
	s := lost.Status(StoragePolicyStatus{})
	if c := find(&s, ConditionVolumesContested); c == nil || !strings.Contains(c.Message, "first") || s.WatchedVolumes != 0 {
		t.Errorf("the loser watches %d volumes and says %+v", s.WatchedVolumes, c)
	}
}

// Trap 19: map order, or a clock, in the status.
func TestTrap19SameInputSameBytes(t *testing.T) {
	build := func() string {
		var volumes []Volume
		for i := range 40 {
			volumes = append(volumes, volume(fmt.Sprintf("v%02d", i), score(6000), func(v *Volume) {
				v.Labels = labels.Set{"a": "1", "b": "2", "c": "3"}
			}))
		}
		others := []Policy{
			policy(t, "x", func(s *StoragePolicySpec) { s.VolumeSelector = selector("a", "1") }),
			policy(t, "aa", func(s *StoragePolicySpec) { s.VolumeSelector = selector("b", "2") }),
			policy(t, "ab", func(s *StoragePolicySpec) { s.VolumeSelector = selector("c", "3") }),
		}
		return marshal(t, decide(t, input(t, volumes, rivalled(others...))).Status(StoragePolicyStatus{}))
	}
	first := build()
	for range 20 {
		if again := build(); again != first {
			t.Fatalf("got\n%s\nand\n%s", first, again)
		}
	}
}

// Trap 21: the history is lost when something else fails, or grows for ever.
func TestTrap21HistoryKeepsFiftyAndNeverShrinksOnError(t *testing.T) {
	var s StoragePolicyStatus
	for i := range 60 {
		Record(&s, result(fmt.Sprintf("j%02d", i), OutcomeFailed, noon().Add(time.Duration(i)*time.Minute)))
	}
	worlds := []*World{nil, {}, world(func(w *World) { w.Metrics = Source{} }), world()}
	for range 3 {
		for _, w := range worlds {
			in := input(t, nil)
			in.World = w
			s = reread(t, Decide(in).Status(s))
		}
		s = reread(t, ErrorStatus(s, noon(), 9, []error{fmt.Errorf("spec.priority is wrong")}))
		if len(s.MigrationHistory) != 50 || s.TotalMigrations != 60 || s.FailedMigrations != 60 || s.MigrationHistory[0].JobName != "j59" {
			t.Fatalf("got %d results, %d total, %d failed", len(s.MigrationHistory), s.TotalMigrations, s.FailedMigrations)
		}
	}
}

// Trap 22: to stop a policy stops the moves that run, or lets new ones begin.
func TestTrap22AStopInTheMiddleStartsNothingAndForgetsNothing(t *testing.T) {
	volumes := []Volume{volume("running", live(LiveJob{Name: "j", Policy: "gold", To: Hot})), volume("waiting")}
	for name, edit := range map[string]inputEdit{"disabled": with(disabled), "dry run": with(dryRun), "finalizing": finalizing} {
		p := decide(t, input(t, volumes, edit))
		if got := []Act{p.Decisions[0].Act, p.Decisions[1].Act}; got[0] != Moving || got[1] == Move {
			t.Errorf("%s: %v", name, got)
		}
		if s := p.Status(StoragePolicyStatus{}); s.ActiveMigrations != 1 {
			t.Errorf("%s: %d active", name, s.ActiveMigrations)
		}
	}
}
