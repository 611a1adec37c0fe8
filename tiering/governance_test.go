package tiering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// governance parses data that must have no faults, with its time zones looked
// up.
func governance(t prover, data map[string]string) Governance {
	t.Helper()
	g, faults := ParseGovernance(data)
	if len(faults) > 0 {
		t.Fatalf("faults: %v", faults)
	}
	if unknown := ResolveZones(g.Windows, time.LoadLocation); len(unknown) > 0 {
		t.Fatalf("time zones %v are not known", unknown)
	}
	return g
}

// documentedKeys reads the table in the doc comment of ParseGovernance: each
// key, with <field>, <policy> and <name> filled in, and a value that fits.
func documentedKeys(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "governance_parse.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"duration": "2h", "duration, or 0s for none": "0s", "whole number": "7", "whole number from 1": "3",
		"whole number, not asked of 0": "7", "whole number, in percent": "70", "quantity such as 500Gi": "500Gi",
		"RFC 3339 time, or nothing": "2026-12-28T06:00:00Z", `"true" or "false"`: "true",
		"the reason, which must be given": "CHG-1", "text": "why", "text, which a freeze must have": "why",
		"Mon-Fri 22:00-06:00 Europe/Berlin": "Mon-Fri 22:00-06:00 Europe/Berlin",
		"daily 08:00-09:00 UTC":             "daily 08:00-09:00 UTC",
	}
	keys := map[string]string{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "ParseGovernance" {
			continue
		}
		for line := range strings.SplitSeq(fn.Doc.Text(), "\n") {
			if !strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "\tkey ") {
				continue
			}
			var cells []string
			for cell := range strings.SplitSeq(line, "  ") {
				if cell = strings.TrimSpace(cell); cell != "" {
					cells = append(cells, cell)
				}
			}
			value, known := values[cells[1]]
			if !known {
				t.Fatalf("no value for a key that takes %q", cells[1])
			}
			key := strings.NewReplacer("<field>", "minCoverage", "<policy>", "gold.db", "<name>", "night").Replace(cells[0])
			first, alsoMax := strings.CutSuffix(key, ", .max")
			keys[first] = value
			if alsoMax {
				keys[strings.TrimSuffix(first, minSuffix)+maxSuffix] = value
			}
		}
	}
	return keys
}

func TestEachDocumentedGovernanceKeyIsReadAndNoOther(t *testing.T) {
	keys := documentedKeys(t)
	base, _ := ParseGovernance(nil)
	for key, value := range keys {
		data := map[string]string{key: value}
		if key == keyFreezeUntil || key == keyFreezeReason {
			data = map[string]string{keyFreezeUntil: keys[keyFreezeUntil], keyFreezeReason: keys[keyFreezeReason]}
		}
		g, faults := ParseGovernance(data)
		if len(faults) > 0 {
			t.Errorf("%s: %v", key, faults)
		}
		if cmp.Equal(g, base, cmp.AllowUnexported(Window{})) {
			t.Errorf("%s: %s changes nothing", key, value)
		}
	}
	for _, f := range rangedFields() {
		for _, key := range []string{f.name + minSuffix, f.name + maxSuffix} {
			if _, ok := keys[key]; !ok {
				t.Errorf("%s is read and not documented", key)
			}
			delete(keys, key)
		}
	}
	want := []string{
		"emergencyStop", "emergencyStop.reason", "exception.minCoverage.gold.db", "freeze.reason", "freeze.until",
		"limit.bytesInFlight", "limit.moves", "limit.movesPerNode", "limit.movesPerPool",
		"maintenanceWindow.allow.night", "maintenanceWindow.deny.night", "newPolicyDryRun", "thresholdChangeDryRun",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Errorf("documented keys apart from ranges (-want +got):\n%s", diff)
	}
}

func TestAnEmptyGovernanceHasTheDocumentedDefaults(t *testing.T) {
	g, faults := ParseGovernance(map[string]string{})
	want := Governance{NewPolicyDryRun: 168 * time.Hour, ThresholdChangeDryRun: 24 * time.Hour}
	if diff := cmp.Diff(want, g); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v (-want +got):\n%s", faults, diff)
	}
}

func TestParseGovernanceReadsAllOfIt(t *testing.T) {
	got, faults := ParseGovernance(map[string]string{
		"newPolicyDryRun": "2d", "thresholdChangeDryRun": "0s",
		"cooldownPeriod.min": "12h", "lowWatermarkIOPS.max": "800", "highWatermarkIOPS.min": "1000", "highWatermarkIOPS.max": "8000",
		"exception.highWatermarkIOPS.gold.db": " CHG-7: hot trading days ", "exception.cooldownPeriod.logs": "CHG-8",
		"limit.moves": "4", "limit.bytesInFlight": "2Ti", "limit.movesPerPool": "2", "limit.movesPerNode": "1",
		"freeze.until": "2026-12-28T06:00:00+01:00", "freeze.reason": "year end\n",
		"emergencyStop": "false", "emergencyStop.reason": "",
		"maintenanceWindow.deny.payday": "Fri 00:00-24:00", "maintenanceWindow.allow.night": "Mon-Wed,Sat 22:00-06:00 Europe/Berlin",
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	bound := func(n int64, text string) Bound { return Bound{true, n, text} }
	want := Governance{
		NewPolicyDryRun: 48 * time.Hour,
		Ranges: []Range{
			{"highWatermarkIOPS", bound(1000, "1000"), bound(8000, "8000")},
			{"lowWatermarkIOPS", Bound{}, bound(800, "800")},
			{"cooldownPeriod", bound(int64(12*time.Hour), "12h"), Bound{}},
		},
		Exceptions: []Exception{
			{"cooldownPeriod", "logs", "CHG-8"},
			{"highWatermarkIOPS", "gold.db", "CHG-7: hot trading days"},
		},
		Caps: Caps{Moves: 4, Bytes: 2 << 40, PerPool: 2, PerNode: 1},
		Windows: []Window{
			{Name: "night", Days: [7]bool{1: true, 2: true, 3: true, 6: true}, Start: 22 * 60, End: 6 * 60, TimeZone: "Europe/Berlin"},
			{Name: "payday", Deny: true, Days: [7]bool{5: true}, End: 24 * 60, TimeZone: "UTC"},
		},
		Freeze: Freeze{Set: true, Until: time.Date(2026, 12, 28, 5, 0, 0, 0, time.UTC), Reason: "year end"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Window{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGovernanceFaultsSayWhatToDo(t *testing.T) {
	tests := []struct {
		name, key, value string
		says             string
	}{
		{"a misspelt key names the near one", "freeze.untill", "", "the nearest is freeze.until"},
		{"case counts", "emergencystop", "true", "the nearest is emergencyStop"},
		{"another misspelt key", "limit.move", "3", "the nearest is limit.moves"},
		{"a field without an end of its range", "minCoverage", "70", "the nearest is minCoverage.min or minCoverage.max"},
		{"an end that a range has not", "minCoverage.most", "70", "the nearest is minCoverage.min or minCoverage.max"},
		{"a window without a name", "maintenanceWindow.allow.", "daily 01:00-02:00", "maintenanceWindow.allow.<name>"},
		{"a window of the wrong kind", "maintenanceWindow.forbid.x", "daily 01:00-02:00", "is no key of the governance configuration"},
		{"a key of nothing known", "colour", "blue", "is no key of the governance configuration; remove it"},
		{"an exception from no field", "exception.highWatermark.db", "CHG", `names "highWatermark"`},
		{"an exception of no policy", "exception.minCoverage", "CHG", "names no policy"},
		{"an exception without a reason", "exception.minCoverage.db", " ", "has no reason"},
		{"a duration without a unit", "newPolicyDryRun", "168", "ends without a unit"},
		{"a dry run of zero without a unit", "newPolicyDryRun", "0", "ends without a unit"},
		{"an empty duration", "thresholdChangeDryRun", "", "is empty"},
		{"a bound with space around it", "minCoverage.min", "70\n", "write a whole number"},
		{"a bound that is a word", "priority.max", "high", "write a whole number"},
		{"a bound that is no duration", "cooldownPeriod.min", "12", "ends without a unit"},
		{"a limit of nothing", "limit.moves", "0", "from 1"},
		{"bytes that are none", "limit.bytesInFlight", "lots", "such as 500Gi"},
		{"bytes below zero", "limit.bytesInFlight", "-5Gi", "such as 500Gi"},
		{"parts of a byte", "limit.bytesInFlight", "500m", "such as 500Gi"},
		{"a day that is none", "maintenanceWindow.allow.n", "Mo 22:00-06:00 UTC", `has the days "Mo"`},
		{"a time that is none", "maintenanceWindow.allow.n", "Mon 22:60-06:00 UTC", `"22:60", which is no time of day`},
		{"a time with one digit", "maintenanceWindow.allow.n", "Mon 9:00-11:00 UTC", `"9:00", which is no time of day`},
		{"a time after the day's end", "maintenanceWindow.allow.n", "Mon 23:00-24:01 UTC", `"24:01", which is no time of day`},
		{"a window that ends when it starts", "maintenanceWindow.allow.n", "Mon 22:00-22:00 UTC", "at the same time"},
		{"a window that starts after the day", "maintenanceWindow.allow.n", "Mon 24:00-02:00 UTC", "write 00:00 of the next day"},
		{"a window without times", "maintenanceWindow.allow.n", "Mon", "such as Mon-Fri 22:00-06:00 Europe/Berlin"},
		{"times without an end", "maintenanceWindow.allow.n", "Mon 22:00 UTC", "from when to when"},
		{"the zone of the machine", "maintenanceWindow.allow.n", "Mon 22:00-23:00 Local", `has the time zone "Local"`},
		{"a zone that leads elsewhere", "maintenanceWindow.allow.n", "Mon 22:00-23:00 ../etc", `has the time zone "../etc"`},
		{"a freeze without a time", "freeze.until", "tomorrow", "which is no time"},
		{"a stop that is neither", "emergencyStop", "yes", "neither true nor false"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := map[string]string{test.key: test.value}
			if test.key == keyFreezeUntil {
				data[keyFreezeReason] = "why"
			}
			g, faults := ParseGovernance(data)
			if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.key+" ") || !strings.Contains(faults[0].Error(), test.says) {
				t.Errorf("faults are %q, want one of %s that says %q", faults, test.key, test.says)
			}
			if g.NewPolicyDryRun != 0 || g.Ranges != nil || g.Windows != nil || g.Caps != (Caps{}) {
				t.Errorf("got %+v, want nothing but the stop and the freeze", g)
			}
		})
	}
}

func TestAllGovernanceFaultsAreToldAtOnceInTheOrderOfKeys(t *testing.T) {
	_, faults := ParseGovernance(map[string]string{
		"priority.max": "x", "limit.moves": "-1", "freeze.until": "soon", "minCoverage.min": "90", "minCoverage.max": "80", "a": "b",
	})
	var got []string
	for _, f := range faults {
		key, _, _ := strings.Cut(f.Error(), " ")
		got = append(got, key)
	}
	want := []string{"a", "freeze.reason", "freeze.until", "limit.moves", "minCoverage.min", "priority.max"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A line that cannot be read must not undo a stop.
func TestInDoubtTheStopAndTheFreezeAreOn(t *testing.T) {
	end := time.Date(2026, 12, 28, 6, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		data   map[string]string
		stop   bool
		freeze Freeze
		faults int
	}{
		{"true stops", map[string]string{"emergencyStop": "true"}, true, Freeze{}, 0},
		{"false does not", map[string]string{"emergencyStop": "false"}, false, Freeze{}, 0},
		{"nothing does not", map[string]string{"emergencyStop": ""}, false, Freeze{}, 0},
		{"another word stops", map[string]string{"emergencyStop": "True"}, true, Freeze{}, 1},
		{"a fault elsewhere leaves the stop", map[string]string{"emergencyStop": "true", "x": "y"}, true, Freeze{}, 1},
		{"no end of a freeze is no freeze", map[string]string{"freeze.until": " ", "freeze.reason": "CHG"}, false, Freeze{}, 0},
		{"an end that is no time has no end", map[string]string{"freeze.until": "2026-12-32", "freeze.reason": "CHG"}, false, Freeze{Set: true, Reason: "CHG"}, 1},
		{"a freeze without a reason still freezes", map[string]string{"freeze.until": "2026-12-28T06:00:00Z"}, false, Freeze{Set: true, Until: end}, 1},
		{
			"a fault elsewhere leaves the freeze",
			map[string]string{"freeze.until": "2026-12-28T06:00:00Z", "freeze.reason": "CHG", "x": "y"},
			false,
			Freeze{Set: true, Until: end, Reason: "CHG"},
			1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, faults := ParseGovernance(test.data)
			if g.Stop.On != test.stop || g.Freeze != test.freeze || len(faults) != test.faults {
				t.Errorf("got stop %v, freeze %+v, faults %v; want %v, %+v and %d", g.Stop.On, g.Freeze, faults, test.stop, test.freeze, test.faults)
			}
		})
	}
}

func TestAFreezeHoldsUntilItsEndAndNotAtIt(t *testing.T) {
	f := Freeze{Set: true, Until: noon()}
	if !f.Holds(noon().Add(-time.Second)) || f.Holds(noon()) || f.Holds(noon().Add(time.Second)) {
		t.Error("a freeze until noon holds one second before, and no longer at noon")
	}
	if !(Freeze{Set: true}).Holds(noon()) {
		t.Error("a freeze without an end ended")
	}
	if (Freeze{}).Holds(noon()) {
		t.Error("no freeze holds")
	}
}

func TestAConfigurationWithFaultsAddsItsStopToTheLastGoodOne(t *testing.T) {
	early, late := noon(), noon().Add(time.Hour)
	tests := []struct {
		name            string
		last, bad, want Governance
	}{
		{"nothing is lost", Governance{Caps: Caps{Moves: 3}}, Governance{}, Governance{Caps: Caps{Moves: 3}}},
		{"a stop is added", Governance{}, Governance{Stop: Stop{true, "fire"}}, Governance{Stop: Stop{true, "fire"}}},
		{"a stop stays", Governance{Stop: Stop{true, "fire"}}, Governance{}, Governance{Stop: Stop{true, "fire"}}},
		{"a freeze is added", Governance{}, Governance{Freeze: Freeze{true, early, "a"}}, Governance{Freeze: Freeze{true, early, "a"}}},
		{"the longer freeze wins", Governance{Freeze: Freeze{true, early, "a"}}, Governance{Freeze: Freeze{true, late, "b"}}, Governance{Freeze: Freeze{true, late, "b"}}},
		{"the longer freeze stays", Governance{Freeze: Freeze{true, late, "b"}}, Governance{Freeze: Freeze{true, early, "a"}}, Governance{Freeze: Freeze{true, late, "b"}}},
		{"a freeze without an end is the longest", Governance{Freeze: Freeze{true, late, "b"}}, Governance{Freeze: Freeze{Set: true}}, Governance{Freeze: Freeze{Set: true}}},
		{"and stays", Governance{Freeze: Freeze{Set: true}}, Governance{Freeze: Freeze{true, late, "b"}}, Governance{Freeze: Freeze{Set: true}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.bad.Keeping(test.last)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRangesHoldAtBothEnds(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	data := map[string]string{
		"highWatermarkIOPS.min": "1000", "highWatermarkIOPS.max": "8000", "warmWatermarkIOPS.min": "1500",
		"cooldownPeriod.min": "12h", "exception.highWatermarkIOPS.free": "CHG-7",
	}
	tests := []struct {
		name   string
		policy string
		edit   specEdit
		want   []string
	}{
		{"the defaults are inside", "gold", func(*StoragePolicySpec) {}, nil},
		{"the least is inside", "gold", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(1000) }, nil},
		{"one below is outside", "gold", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(999) }, []string{"spec.highWatermarkIOPS is 999 and the approved range is 1000 to 8000"}},
		{"the most is inside", "gold", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(8000) }, nil},
		{"one above is outside", "gold", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(8001) }, []string{"spec.highWatermarkIOPS is 8001 and the approved range is 1000 to 8000"}},
		{"an exception frees one policy", "free", func(s *StoragePolicySpec) { s.HighWatermarkIOPS = n(9000) }, nil},
		{"and no other field of it", "free", func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("11h59m59s")) }, []string{"spec.cooldownPeriod is 11h59m59s and the approved range is at least 12h"}},
		{"another spelling of the least is inside", "gold", func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("720m")) }, nil},
		{"a warm tier is in its range or not", "gold", func(s *StoragePolicySpec) { withWarm(s); s.WarmWatermarkIOPS = n(1499) }, []string{"spec.warmWatermarkIOPS is 1499 and the approved range is at least 1500"}},
		{
			"all are told, in the order of the spec", "gold",
			func(s *StoragePolicySpec) { s.HighWatermarkIOPS, s.CooldownPeriod = n(999), new(Duration("1h")) },
			[]string{"spec.highWatermarkIOPS is 999 and the approved range is 1000 to 8000", "spec.cooldownPeriod is 1h and the approved range is at least 12h"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g, p := governance(t, data), policy(t, test.policy, test.edit)
			if diff := cmp.Diff(test.want, g.Outside(&p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	g := governance(t, data)
	if diff := cmp.Diff([]string{"spec.highWatermarkIOPS (CHG-7)"}, g.Excepted("free")); diff != "" {
		t.Errorf("exceptions (-want +got):\n%s", diff)
	}
}

// Each field with a range is read, and from the field of its name.
func TestEachRangedFieldIsItsOwn(t *testing.T) {
	edits := map[string]specEdit{
		"highWatermarkIOPS":       func(s *StoragePolicySpec) { s.HighWatermarkIOPS = new(int64(5001)) },
		"lowWatermarkIOPS":        func(s *StoragePolicySpec) { s.LowWatermarkIOPS = new(int64(501)) },
		"warmWatermarkIOPS":       withWarm,
		"samplingWindow":          func(s *StoragePolicySpec) { s.SamplingWindow = new(Duration("2h")) },
		"minCoverage":             func(s *StoragePolicySpec) { s.MinCoverage = new(int64(81)) },
		"cooldownPeriod":          func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("25h")) },
		"maxConcurrentMigrations": func(s *StoragePolicySpec) { s.MaxConcurrentMigrations = new(int64(3)) },
		"migrationTimeout":        func(s *StoragePolicySpec) { s.MigrationTimeout = new(Duration("31m")) },
		"maxPoolUsedPercent":      func(s *StoragePolicySpec) { s.MaxPoolUsedPercent = new(int64(91)) },
		"priority":                func(s *StoragePolicySpec) { s.Priority = new(int64(1)) },
	}
	before := policy(t, "gold")
	for _, f := range rangedFields() {
		edit, ok := edits[f.name]
		if !ok {
			t.Errorf("field %s is not in the table", f.name)
			continue
		}
		after := policy(t, "gold", edit)
		for _, other := range rangedFields() {
			if changed := other.of(&before.Rules) != other.of(&after.Rules); changed != (other.name == f.name) {
				t.Errorf("a change of %s changes the range's view of %s: %v", f.name, other.name, changed)
			}
		}
	}
}

func FuzzParseGovernance(f *testing.F) {
	f.Add("freeze.until", "2026-12-28T06:00:00Z", "maintenanceWindow.allow.n", "Mon-Fri 22:00-06:00 Europe/Berlin")
	f.Add("emergencyStop", "true", "exception.priority.a.b", "why")
	f.Add("limit.bytesInFlight", "1e3", "cooldownPeriod.max", "9d")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		data := map[string]string{k1: v1, k2: v2}
		a, faults := ParseGovernance(data)
		b, again := ParseGovernance(data)
		if !cmp.Equal(a, b, cmp.AllowUnexported(Window{})) || len(faults) != len(again) {
			t.Errorf("the same data gave %+v %v and %+v %v", a, faults, b, again)
		}
		for i := range a.Windows {
			w, err := parseWindow(a.Windows[i].String())
			w.Name, w.Deny = a.Windows[i].Name, a.Windows[i].Deny
			// All seven days and no days at all are the same.
			if err != nil || w.String() != a.Windows[i].String() {
				t.Errorf("%+v is written %q, which reads as %+v, %v", a.Windows[i], a.Windows[i].String(), w, err)
			}
		}
	})
}
