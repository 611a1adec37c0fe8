package tiering

import (
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// mutation changes one field of a spec that is otherwise that of spec(), on a
// volume and a world where the field is what matters.
type mutation struct {
	base, change specEdit
	volume       []volumeEdit
	input        []inputEdit
	// elsewhere says who reads the field, if no decision does; then the rules
	// have to differ.
	elsewhere string
}

func mutations() map[string]mutation {
	set := func(edit specEdit) mutation { return mutation{change: edit} }
	n := func(v int64) *int64 { return &v }
	cooled := vol(func(v *Volume) { remember(v).LastMigration = ago(2 * time.Hour) })
	inApp := vol(func(v *Volume) { v.Labels = map[string]string{"app": "db"} })
	return map[string]mutation{
		"Enabled":         set(func(s *StoragePolicySpec) { s.Enabled = new(false) }),
		"DryRun":          set(func(s *StoragePolicySpec) { s.DryRun = new(true) }),
		"PausePromotions": set(func(s *StoragePolicySpec) { s.PausePromotions = new(true) }),
		"PauseDemotions":  {change: func(s *StoragePolicySpec) { s.PauseDemotions = new(true) }, volume: vol(on("hot-1"), score(1))},
		"MaintenanceWindows": set(func(s *StoragePolicySpec) {
			s.MaintenanceWindows = []MaintenanceWindow{{Start: "01:00", End: "02:00"}}
		}),
		"Approval":          set(manual),
		"StorageClassName":  set(func(s *StoragePolicySpec) { s.StorageClassName = new("other") }),
		"VolumeSelector":    {change: func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "web") }, volume: inApp},
		"ClaimNamespaces":   set(func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"bank"} }),
		"HighWatermarkIOPS": set(func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(7000) }),
		"LowWatermarkIOPS":  {change: func(s *StoragePolicySpec) { s.LowWatermarkIOPS = n(50) }, volume: vol(on("hot-1"), score(100))},
		"WarmWatermarkIOPS": {base: withWarm, change: func(s *StoragePolicySpec) { s.WarmWatermarkIOPS = n(3500) }, volume: vol(score(3000))},
		"HotPoolSelector":   set(func(s *StoragePolicySpec) { s.HotPoolSelector = selector("tier", "warm") }),
		"WarmPoolSelector":  {base: withWarm, change: func(s *StoragePolicySpec) { s.WarmPoolSelector = selector("tier", "none") }, volume: vol(score(3000))},
		"ColdPoolSelector":  {change: func(s *StoragePolicySpec) { s.ColdPoolSelector = selector("tier", "warm") }, volume: vol(on("hot-1"), score(1))},
		"NVMePoolSelector": {
			base:   func(s *StoragePolicySpec) { s.HotPoolSelector = nil },
			change: func(s *StoragePolicySpec) { s.NVMePoolSelector = selector("tier", "hot") },
		},
		"SATAPoolSelector": {
			base:   func(s *StoragePolicySpec) { s.ColdPoolSelector = nil },
			change: func(s *StoragePolicySpec) { s.SATAPoolSelector = selector("tier", "cold") },
		},
		"SamplingWindow": {change: func(s *StoragePolicySpec) { s.SamplingWindow = new(Duration("2h")) }, elsewhere: "the reader of scores"},
		"MinCoverage":    {change: func(s *StoragePolicySpec) { s.MinCoverage = n(90) }, volume: vol(sampled(6000, 85))},
		"CooldownPeriod": {change: func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("1h")) }, volume: cooled},
		"MaxConcurrentMigrations": {
			change: func(s *StoragePolicySpec) { s.MaxConcurrentMigrations = n(1) },
			input:  inp(func(in *Input) { in.Volumes = append(in.Volumes, new(volume("w"))) }),
		},
		"MigrationTimeout":       set(func(s *StoragePolicySpec) { s.MigrationTimeout = new(Duration("1s")) }),
		"AllowReducedRedundancy": {change: func(s *StoragePolicySpec) { s.AllowReducedRedundancy = new(true) }, elsewhere: "the route and the Job"},
		"VolumesWithSnapshots":   {change: func(s *StoragePolicySpec) { s.VolumesWithSnapshots = new(MoveSnapshots) }, volume: vol(func(v *Volume) { v.Snapshots = 1 })},
		"MaxPoolUsedPercent":     set(func(s *StoragePolicySpec) { s.MaxPoolUsedPercent = n(5) }),
		"Priority": {
			change: func(s *StoragePolicySpec) { s.Priority = n(5) },
			input: inp(func(in *Input) {
				other, _ := Compile("aaa", 1, ago(day), spec())
				in.Others = together(other)
			}),
		},
		"ECPolicyRef":          set(func(s *StoragePolicySpec) { s.ECPolicyRef = &runtime.RawExtension{Raw: []byte(`{}`)} }),
		"ECMinVolumeSizeBytes": set(func(s *StoragePolicySpec) { s.ECMinVolumeSizeBytes = n(1) }),
	}
}

// Trap 2: a field that is documented and never read.
func TestTrap02EachSpecFieldChangesSomeOutput(t *testing.T) {
	table := mutations()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[StoragePolicySpec]()) {
		m, ok := table[f.Name]
		if !ok {
			t.Errorf("field %s is not in the table", f.Name)
			continue
		}
		delete(table, f.Name)
		t.Run(f.Name, func(t *testing.T) {
			base := m.base
			if base == nil {
				base = func(*StoragePolicySpec) {}
			}
			output := func(edits ...specEdit) (string, Rules) {
				in := input(t, []Volume{volume("v", m.volume...)}, append([]inputEdit{with(edits...)}, m.input...)...)
				p := decide(t, in)
				return lines(p) + marshal(t, p.Status(StoragePolicyStatus{})), in.Policy.Rules
			}
			before, rules := output(base)
			after, changed := output(base, m.change)
			if m.elsewhere != "" {
				if reflect.DeepEqual(rules, changed) {
					t.Errorf("%s would not see it", m.elsewhere)
				}
				if before != after {
					t.Errorf("a decision reads it after all: take %q out of the table", m.elsewhere)
				}
			} else if before == after {
				t.Error("nothing reads it")
			}
		})
	}
	for name := range table {
		t.Errorf("the table has %s, which is no field", name)
	}
}

// The same for what the operator of the service decides, and for what is known
// of the policy itself.
func TestEachLimitChangesSomeOutput(t *testing.T) {
	changes := map[string]inputEdit{
		"MaxConcurrentMigrations": limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 }),
		"RebuildBytesPerSecond":   limits(func(l *Limits) { l.RebuildBytesPerSecond = 1 }),
		"Settle":                  limits(func(l *Limits) { l.Settle = 48 * time.Hour }),
		"DryRun":                  limits(func(l *Limits) { l.DryRun = true }),
	}
	want := lines(decide(t, input(t, []Volume{volume("v")})))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Limits]()) {
		if changes[f.Name] == nil {
			t.Errorf("limit %s is not in the table", f.Name)
		} else if got := lines(decide(t, input(t, []Volume{volume("v")}, changes[f.Name]))); got == want {
			t.Errorf("nothing reads %s", f.Name)
		}
	}
}

func TestTheWorldsFieldsChangeSomeOutput(t *testing.T) {
	for name, edit := range map[string]func(*World){
		"Metrics":            func(w *World) { w.Metrics.OK = false },
		"Mayastor":           func(w *World) { w.Mayastor.OK = false },
		"Kubernetes":         func(w *World) { w.Kubernetes = new(Source) },
		"Movable":            func(w *World) { w.Movable = "no" },
		"Unsettled":          func(w *World) { w.Unsettled = "no" },
		"Pool.Node":          func(w *World) { w.pool("hot-1").Node = "node-99" },
		"Pool.Labels":        func(w *World) { w.pool("hot-1").Labels = nil },
		"Pool.Conflict":      func(w *World) { w.pool("hot-1").Conflict = "no" },
		"Pool.Online":        func(w *World) { w.pool("hot-1").Online = false },
		"Pool.OnlineSince":   func(w *World) { w.pool("hot-1").OnlineSince = noon() },
		"Pool.CapacityBytes": func(w *World) { w.pool("hot-1").CapacityBytes = 0 },
		"Pool.UsedBytes":     func(w *World) { w.pool("hot-1").UsedBytes = 10 * tib },
		"Node.Online":        func(w *World) { w.node("node-1").Online = false },
		"Node.OnlineSince":   func(w *World) { w.node("node-1").OnlineSince = noon() },
		"Node.Draining":      func(w *World) { w.node("node-1").Draining = true },
	} {
		out := func(edits ...func(*World)) string {
			p := decide(t, input(t, []Volume{volume("v")}, where(edits...)))
			said := []string{lines(p)}
			for _, v := range p.Verdicts(0) {
				said = append(said, v.Sentence())
			}
			return strings.Join(said, "")
		}
		if name == "Pool.Node" {
			// A landing pool on a node that nobody knows is no usable pool.
			edit = func(w *World) {
				for _, p := range []string{"hot-1", "hot-2", "hot-3"} {
					w.pool(p).Node = "node-99"
				}
			}
		}
		if out() == out(edit) {
			t.Errorf("nothing reads %s", name)
		}
	}
}

func TestEmptyAndMissingVolumeSelectorsMeanTheSame(t *testing.T) {
	missing := policy(t, "p")
	none := policy(t, "p", func(s *StoragePolicySpec) { s.VolumeSelector = &metav1.LabelSelector{} })
	if missing.Rules.Volumes.String() != none.Rules.Volumes.String() {
		t.Errorf("got %s and %s", missing.Rules.Volumes, none.Rules.Volumes)
	}
}
