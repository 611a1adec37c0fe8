package tiering

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestDefaults(t *testing.T) {
	created := ago(day)
	p, faults := Compile("p", 7, created, StoragePolicySpec{})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if p.Name != "p" || p.Generation != 7 || !p.Created.Equal(created) || !p.Rules.Compiled() {
		t.Errorf("got %+v", p)
	}
	got := p.Rules
	for _, s := range []labels.Selector{got.HotPools, got.WarmPools, got.ColdPools} {
		if s.Matches(labels.Set{"tier": "hot"}) || s.Matches(nil) {
			t.Errorf("a missing pool selector matches a pool: %s", s)
		}
	}
	if !got.Volumes.Matches(nil) {
		t.Error("a missing volume selector does not match every volume")
	}
	got.Volumes, got.HotPools, got.WarmPools, got.ColdPools = nil, nil, nil, nil
	want := Rules{
		Enabled: true, Approval: AutoApproval, StorageClass: "mayastor", HighWatermarkIOPS: 5000, LowWatermarkIOPS: 500,
		SamplingWindow: time.Hour, MinCoveragePercent: 80, CooldownPeriod: 24 * time.Hour,
		MaxConcurrentMigrations: 2, MigrationTimeout: 30 * time.Minute, VolumesWithSnapshots: SkipSnapshots,
		MaxPoolUsedPercent: 90, compiled: true,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Rules{})); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestEmptySelectors(t *testing.T) {
	none := &metav1.LabelSelector{}
	p, faults := Compile("p", 1, time.Time{}, StoragePolicySpec{
		VolumeSelector: none, NVMePoolSelector: none, WarmPoolSelector: none, SATAPoolSelector: none,
		WarmWatermarkIOPS: new(int64(2000)),
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if !p.Rules.Volumes.Matches(labels.Set{"a": "b"}) {
		t.Error("an empty volume selector does not select every volume")
	}
	for _, tier := range []Tier{Hot, Warm, Cold} {
		if p.Rules.poolSelector(tier).Matches(labels.Set{"a": "b"}) {
			t.Errorf("an empty selector of %s selects a pool", tier)
		}
	}
}

func TestFormerNamesOfThePoolSelectors(t *testing.T) {
	p, faults := Compile("p", 1, time.Time{}, StoragePolicySpec{
		NVMePoolSelector: selector("disk", "nvme"), SATAPoolSelector: selector("disk", "sata"),
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if !p.Rules.HotPools.Matches(labels.Set{"disk": "nvme"}) || !p.Rules.ColdPools.Matches(labels.Set{"disk": "sata"}) {
		t.Errorf("got hot %s and cold %s", p.Rules.HotPools, p.Rules.ColdPools)
	}
}

func TestIgnoredFieldsAreNamed(t *testing.T) {
	p, faults := Compile("p", 1, time.Time{}, StoragePolicySpec{
		ECPolicyRef: &runtime.RawExtension{Raw: []byte(`{"name":"4+2"}`)}, ECMinVolumeSizeBytes: new(int64(1)),
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if diff := cmp.Diff([]string{"ecMinVolumeSizeBytes", "ecPolicyRef"}, p.Rules.Ignored); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestClaimNamespacesAreSorted(t *testing.T) {
	names := []string{"web", "db"}
	p := policy(t, "p", func(s *StoragePolicySpec) { s.ClaimNamespaces = names })
	if diff := cmp.Diff([]string{"db", "web"}, p.Rules.ClaimNamespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if names[0] != "web" {
		t.Error("the spec was changed")
	}
	inDB, inShop := volume("v", func(v *Volume) { v.ClaimNamespace = "db" }), volume("w")
	unbound := volume("x", func(v *Volume) { v.ClaimNamespace, v.ClaimName = "", "" })
	if !p.Rules.Selects(&inDB) || p.Rules.Selects(&inShop) || p.Rules.Selects(&unbound) {
		t.Error("claimNamespaces does not narrow the volumes")
	}
}

// Each field is wrong in turn, and the fault names it, says what is wrong and
// what to do.
func TestEachFaultNamesItsField(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	expression := func(key string, op metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: op, Values: values}}}
	}
	many := make([]string, 257)
	for i := range many {
		many[i] = "ns-" + strings.Repeat("x", i%40) + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	tests := []struct {
		name  string
		edit  specEdit
		field string
		says  string
	}{
		{"empty class", func(s *StoragePolicySpec) { s.StorageClassName = new("") }, "spec.storageClassName", "leave the field out"},
		{"long class", func(s *StoragePolicySpec) { s.StorageClassName = new(strings.Repeat("c", 254)) }, "spec.storageClassName", "254 characters"},
		{"volume selector's key", func(s *StoragePolicySpec) { s.VolumeSelector = selector("no key", "x") }, "spec.volumeSelector.matchLabels", "correct it"},
		{"volume selector's value", func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "no value!") }, "spec.volumeSelector.matchLabels", "correct it"},
		{"unknown operator", func(s *StoragePolicySpec) { s.VolumeSelector = expression("app", "Gt", "1") }, "spec.volumeSelector.matchExpressions", "write In, NotIn, Exists or DoesNotExist"},
		{"In without values", func(s *StoragePolicySpec) { s.HotPoolSelector = expression("tier", "In") }, "spec.hotPoolSelector.matchExpressions", "can't be empty"},
		{"Exists with values", func(s *StoragePolicySpec) { s.ColdPoolSelector = expression("tier", "Exists", "x") }, "spec.coldPoolSelector.matchExpressions", "must be empty"},
		{"too many namespaces", func(s *StoragePolicySpec) { s.ClaimNamespaces = many }, "spec.claimNamespaces", "257 namespaces"},
		{"a namespace twice", func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"a", "b", "a"} }, "spec.claimNamespaces", "list it once"},
		{"an empty namespace", func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{""} }, "spec.claimNamespaces", "remove it"},
		{"high too low", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(0) }, "spec.highWatermarkIOPS", "from 1 to 1000000000"},
		{"high too high", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(1_000_000_001) }, "spec.highWatermarkIOPS", "from 1 to 1000000000"},
		{"low negative", func(s *StoragePolicySpec) { s.LowWatermarkIOPS = n(-1) }, "spec.lowWatermarkIOPS", "from 0"},
		{"warm negative", func(s *StoragePolicySpec) { s.WarmWatermarkIOPS = n(-1) }, "spec.warmWatermarkIOPS", "from 0"},
		{"low equals high", func(s *StoragePolicySpec) { s.LowWatermarkIOPS = n(5000) }, "spec.lowWatermarkIOPS", "hot and cold at once"},
		{"low above the default of high", func(s *StoragePolicySpec) { s.LowWatermarkIOPS = n(9000) }, "spec.lowWatermarkIOPS", "hot and cold at once"},
		{"warm equals low", func(s *StoragePolicySpec) { withWarm(s); s.WarmWatermarkIOPS = n(500) }, "spec.warmWatermarkIOPS", "between"},
		{"warm equals high", func(s *StoragePolicySpec) { withWarm(s); s.WarmWatermarkIOPS = n(5000) }, "spec.warmWatermarkIOPS", "between"},
		{"warm without pools", func(s *StoragePolicySpec) { s.WarmWatermarkIOPS = n(2000) }, "spec.warmWatermarkIOPS", "set both"},
		{"warm pools without watermark", func(s *StoragePolicySpec) { s.WarmPoolSelector = selector("a", "b") }, "spec.warmPoolSelector", "set both"},
		{"both names of hot", func(s *StoragePolicySpec) { s.NVMePoolSelector = selector("a", "b") }, "spec.nvmePoolSelector", "keep hotPoolSelector only"},
		{"both names of cold", func(s *StoragePolicySpec) { s.SATAPoolSelector = selector("a", "b") }, "spec.sataPoolSelector", "keep coldPoolSelector only"},
		{"former name's value", func(s *StoragePolicySpec) { s.HotPoolSelector, s.NVMePoolSelector = nil, selector("a", "-") }, "spec.nvmePoolSelector.matchLabels", "correct it"},
		{"window zero", func(s *StoragePolicySpec) { s.SamplingWindow = new(Duration("0m")) }, "spec.samplingWindow", "longer than zero"},
		{"window too long", func(s *StoragePolicySpec) { s.SamplingWindow = new(Duration("25h")) }, "spec.samplingWindow", "longest window is 24h"},
		{"coverage too low", func(s *StoragePolicySpec) { s.MinCoverage = n(49) }, "spec.minCoverage", "from 50 to 100"},
		{"coverage too high", func(s *StoragePolicySpec) { s.MinCoverage = n(101) }, "spec.minCoverage", "from 50 to 100"},
		{"cooldown zero", func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("0s")) }, "spec.cooldownPeriod", "longer than zero"},
		{"cooldown in weeks", func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("1w")) }, "spec.cooldownPeriod", "units are d, h, m and s"},
		{"no migration", func(s *StoragePolicySpec) { s.MaxConcurrentMigrations = n(0) }, "spec.maxConcurrentMigrations", "from 1 to 25"},
		{"26 migrations", func(s *StoragePolicySpec) { s.MaxConcurrentMigrations = n(26) }, "spec.maxConcurrentMigrations", "from 1 to 25"},
		{"timeout without unit", func(s *StoragePolicySpec) { s.MigrationTimeout = new(Duration("30")) }, "spec.migrationTimeout", "without a unit"},
		{"snapshot rule", func(s *StoragePolicySpec) { s.VolumesWithSnapshots = new(SnapshotRule("skip")) }, "spec.volumesWithSnapshots", "write Skip"},
		{"fill of 0", func(s *StoragePolicySpec) { s.MaxPoolUsedPercent = n(0) }, "spec.maxPoolUsedPercent", "from 1 to 100"},
		{"fill of 101", func(s *StoragePolicySpec) { s.MaxPoolUsedPercent = n(101) }, "spec.maxPoolUsedPercent", "from 1 to 100"},
		{"priority", func(s *StoragePolicySpec) { s.Priority = n(1_000_001) }, "spec.priority", "from -1000000 to 1000000"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, faults := Compile("p", 1, time.Time{}, spec(test.edit))
			if len(faults) != 1 {
				t.Fatalf("got faults %q, want one", faults)
			}
			f, ok := errors.AsType[Fault](faults[0])
			if !ok {
				t.Fatalf("got a %T, want a Fault", faults[0])
			}
			if f.Field != test.field || !strings.Contains(f.Error(), test.says) || !strings.HasPrefix(f.Error(), f.Field+" ") {
				t.Errorf("got %q of %s, want it of %s to say %q", f, f.Field, test.field, test.says)
			}
			if p.Rules.Compiled() || p.Name != "p" {
				t.Errorf("got a policy with rules: %+v", p)
			}
		})
	}
}

func TestALongNameIsAFault(t *testing.T) {
	if _, faults := Compile(strings.Repeat("n", 63), 1, time.Time{}, spec()); len(faults) != 0 {
		t.Errorf("63 characters: %v", faults)
	}
	_, faults := Compile(strings.Repeat("n", 64), 1, time.Time{}, spec())
	if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "metadata.name has 64 characters") {
		t.Errorf("64 characters: %v", faults)
	}
}

func TestAllFaultsAtOnceInTheOrderOfTheFields(t *testing.T) {
	bad := spec(func(s *StoragePolicySpec) {
		s.Priority = new(int64(1 << 40))
		s.StorageClassName = new("")
		s.MinCoverage = new(int64(0))
		s.SamplingWindow = new(Duration("1x"))
		s.HotPoolSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"z z": "1", "a a": "2", "m": "ok"}}
		s.VolumeSelector = selector("b b", "x")
		s.HighWatermarkIOPS = new(int64(-4))
	})
	want := []string{
		"spec.storageClassName", "spec.volumeSelector.matchLabels", "spec.highWatermarkIOPS",
		"spec.hotPoolSelector.matchLabels", "spec.hotPoolSelector.matchLabels",
		"spec.samplingWindow", "spec.minCoverage", "spec.priority",
	}
	var first []string
	for range 20 {
		var got, text []string
		for _, err := range Faults("p", bad) {
			f, _ := errors.AsType[Fault](err)
			got, text = append(got, f.Field), append(text, f.Error())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("fields (-want +got):\n%s", diff)
		}
		if first == nil {
			first = text
		}
		if diff := cmp.Diff(first, text); diff != "" {
			t.Fatalf("the faults change from call to call:\n%s", diff)
		}
	}
}

func TestASelectorKeepsItsExpressionsWhenTheSpecChanges(t *testing.T) {
	values := []string{"a", "b"}
	p := policy(t, "p", func(s *StoragePolicySpec) {
		s.VolumeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: metav1.LabelSelectorOpIn, Values: values}}}
	})
	values[0] = "c"
	if !p.Rules.Volumes.Matches(labels.Set{"k": "a"}) {
		t.Error("the compiled selector shares memory with the spec")
	}
}

// A selector from any JSON compiles or is refused in a sentence, and what it
// compiles to agrees with apimachinery's own conversion.
func FuzzSelector(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"matchLabels":{"a":"b"}}`, `{"matchExpressions":[{"key":"a","operator":"In","values":["b","c"]}]}`,
		`{"matchExpressions":[{"key":"a","operator":"Exists","values":["b"]}]}`, `{"matchLabels":{"-":"\u0000"}}`,
		`{"matchExpressions":[{"key":"a","operator":"DoesNotExist"},{"key":"b","operator":"NotIn","values":[""]}]}`,
	} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, text, key, value string) {
		var s metav1.LabelSelector
		if json.Unmarshal([]byte(text), &s) != nil {
			return
		}
		theirs, err := metav1.LabelSelectorAsSelector(&s)
		sp := StoragePolicySpec{VolumeSelector: &s, HotPoolSelector: &s}
		p, faults := Compile("p", 1, time.Time{}, sp)
		if (err != nil) != (len(faults) > 0) {
			t.Fatalf("apimachinery says %v, we say %v", err, faults)
		}
		if err != nil {
			for _, fault := range faults {
				if !strings.HasPrefix(fault.Error(), "spec.") {
					t.Errorf("got the fault %q", fault)
				}
			}
			return
		}
		for _, set := range []labels.Set{nil, {key: value}, {key: ""}, s.MatchLabels} {
			if got, want := p.Rules.Volumes.Matches(set), theirs.Matches(set); got != want {
				t.Errorf("volumes: got %v for %v, want %v", got, set, want)
			}
			if got, want := p.Rules.HotPools.Matches(set), theirs.Matches(set) && !empty(&s); got != want {
				t.Errorf("pools: got %v for %v, want %v", got, set, want)
			}
		}
	})
}
