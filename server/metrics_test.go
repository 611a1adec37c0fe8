package server

import (
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// busy returns metrics after each of them was used.
func busy() *metrics {
	m := newMetrics(Build{Version: "v1.2.3", Revision: "abc", Go: "go1.26"})
	read := time.Now().Add(-90 * time.Second)
	m.registry.MustRegister(newSourceCollector(func() map[string]world.State {
		return map[string]world.State{
			world.SourcePrometheus: {Tried: true, Up: true, Read: read},
			world.SourceMayastor:   {Tried: true},
		}
	}))
	o := observer{m, slog.New(slog.DiscardHandler)}
	o.Request("sync", 200, 3000, 20*time.Millisecond)
	o.Request("sync", 429, 0, 5*time.Second)
	m.observer().Query(world.SourcePrometheus, 80*time.Millisecond, nil)
	m.observer().Reading(world.SourcePrometheus, "")
	m.observer().Reading(world.SourceMayastor, world.Unreachable)
	known, err := tiering.NewSample(10, 100)
	if err != nil {
		panic(err)
	}
	volume := func(s tiering.Sample) *tiering.Volume { return &tiering.Volume{Sample: s} }
	o.Decided("db", &tiering.Plan{Decisions: []tiering.Decision{
		{Volume: volume(known), From: tiering.Hot, Act: tiering.Stay, Held: tiering.Verdict{Gate: tiering.GateBand}},
		{Volume: volume(known), From: tiering.Hot, Act: tiering.Hold, Held: tiering.Verdict{Gate: tiering.GateCooldown}},
		{Volume: volume(known), From: tiering.Cold, Act: tiering.Hold, Held: tiering.Verdict{Gate: tiering.GateCooldown}},
		{Volume: volume(tiering.UnknownSample("")), Mixed: true, Act: tiering.Hold, Held: tiering.Verdict{Gate: tiering.GateCoverage}},
		{Volume: volume(known), From: tiering.Cold, Act: tiering.Moving},
	}}, &tiering.StoragePolicyStatus{ActiveMigrations: 1, TotalMigrations: 7, FailedMigrations: 2})
	o.Decided("broken", nil, &tiering.StoragePolicyStatus{TotalMigrations: 1})
	o.Decided("left", nil, nil)
	o.Gone("left")
	return m
}

// names are those of all metrics of ours.
func names() []string {
	var all []string
	for _, m := range Metrics() {
		all = append(all, m.Name)
	}
	return all
}

func TestExposition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const golden = "testdata/metrics.txt"
		m := busy()
		if *update {
			code, text := get(m.handler(), "GET", "/metrics")
			if code != 200 {
				t.Fatalf("got %d", code)
			}
			var lines []string
			for line := range strings.Lines(text) {
				if strings.Contains(line, "couchestor_") {
					lines = append(lines, line)
				}
			}
			if err := os.WriteFile(golden, []byte(strings.Join(lines, "")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.Open(golden)
		if err != nil {
			t.Fatal(err)
		}
		defer want.Close()
		if err := testutil.GatherAndCompare(m.registry, want, names()...); err != nil {
			t.Errorf("%v\nrun with -update if that is meant", err)
		}
	})
}

func TestMetricsAreAsTheLinterWantsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		problems, err := testutil.GatherAndLint(busy().registry, names()...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	})
}

func TestTableDocumentsExactlyWhatTheRegistryHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		families, err := busy().registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []Metric
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "couchestor_") {
				continue
			}
			m := Metric{Name: f.GetName(), Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp()}
			for _, l := range f.GetMetric()[0].GetLabel() {
				m.Labels = append(m.Labels, l.GetName())
			}
			got = append(got, m)
		}
		if diff := cmp.Diff(got, Metrics()); diff != "" {
			t.Errorf("got (-) table (+):\n%s", diff)
		}
	})
}

func TestKnownLabelsBeginAtZero(t *testing.T) {
	m := newMetrics(Build{})
	for name, want := range map[string]int{
		"couchestor_hook_requests_total":           len(hookNames) * len(hookCodes),
		"couchestor_hook_rejections_total":         len(hookNames),
		"couchestor_panics_total":                  len(listeners),
		"couchestor_source_queries_total":          len(world.Sources()),
		"couchestor_source_failures_total":         len(world.Sources()) * len(world.Reasons()),
		"couchestor_source_query_duration_seconds": len(world.Sources()),
	} {
		got, err := testutil.GatherAndCount(m.registry, name)
		if err != nil || got != want {
			t.Errorf("%s has %d series at the start (%v), want %d", name, got, err, want)
		}
	}
}

func TestAgeOfASourceNeverReadIsInfinite(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(newSourceCollector(func() map[string]world.State {
		return map[string]world.State{world.SourceMayastor: {}}
	}))
	want := `
# HELP couchestor_source_snapshot_age_seconds ` + metric("couchestor_source_snapshot_age_seconds").Help + `
# TYPE couchestor_source_snapshot_age_seconds gauge
couchestor_source_snapshot_age_seconds{source="mayastor"} +Inf
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "couchestor_source_snapshot_age_seconds"); err != nil {
		t.Error(err)
	}
}
