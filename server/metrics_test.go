package server

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/test/golden"
	"github.com/billyronks/couchestor/tiering"
)

// busy returns metrics after each of them was used.
func busy() *metrics {
	m := newMetrics(Build{Version: "v1.2.3", Revision: "abc", Go: "go1.26"})
	read := time.Now().Add(-90 * time.Second)
	m.registry.MustRegister(newSourceCollector(func() map[string]world.State {
		return map[string]world.State{
			world.SourcePrometheus: {Tried: true, Up: true, Read: read},
			world.SourceMayastor:   {Tried: true, Reason: world.Unreachable},
		}
	}))
	m.registry.MustRegister(newGovernanceCollector(&governance{
		current: &tiering.Governed{Source: tiering.Source{OK: true}}, looked: time.Now(),
	}))
	m.registry.MustRegister(newObjectCollector(func() (objects, lists map[string]int) {
		return map[string]int{"persistentvolumes": 70, "jobs": 0}, map[string]int{"persistentvolumes": 1, "jobs": 2}
	}))
	o := observer{m, new(explain.Book), slog.New(slog.DiscardHandler)}
	o.Request("sync", 200, 3000, 20*time.Millisecond)
	o.Request("sync", 429, 0, 5*time.Second)
	m.observer().Query(world.SourcePrometheus, 80*time.Millisecond, nil)
	m.observer().Reading(world.SourcePrometheus, "")
	m.observer().Reading(world.SourceMayastor, world.Unreachable)

	plan, status := decided(time.Now())
	o.Decided("db", plan, status)
	o.Decided("broken", nil, &tiering.StoragePolicyStatus{
		Mode: "Error", ActiveMigrations: 1,
		Results: []tiering.ResultCount{{Direction: "demotion", Outcome: "moved", Trigger: "automatic", Count: 1, Seconds: 60, Bytes: 1 << 30}},
	})
	o.Decided("left", nil, nil)
	o.Gone("left")
	return m
}

// decided is one round of the policy db at a time: of its volumes one stays, two
// cool down, one fails again and again, one is unknown and one moves.
func decided(now time.Time) (*tiering.Plan, *tiering.StoragePolicyStatus) {
	tier := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": name}}
	}
	policy, faults := tiering.Compile("db", 1, now.Add(-time.Hour), tiering.StoragePolicySpec{
		HotPoolSelector: tier("hot"), ColdPoolSelector: tier("cold"), MaxPoolUsedPercent: new(int64(80)),
	})
	if len(faults) > 0 {
		panic(faults)
	}
	long := now.Add(-time.Hour)
	pool := func(name, tier string, used int64, online bool) tiering.Pool {
		return tiering.Pool{
			Name: name, Node: "n-" + name, Labels: map[string]string{"tier": tier}, Online: online, OnlineSince: long,
			CapacityBytes: 1000, UsedBytes: used, CommittedBytes: 2 * used,
		}
	}
	node := func(pool string) tiering.Node {
		return tiering.Node{Name: "n-" + pool, Online: true, OnlineSince: long, Version: "2.10.0"}
	}
	volume := func(n int, iops float64, pools ...string) *tiering.Volume {
		v := &tiering.Volume{
			Name: fmt.Sprintf("pvc-%d", n), UUID: fmt.Sprint(n), StorageClass: "mayastor", ClaimNamespace: "shop", ClaimName: fmt.Sprintf("data-%d", n),
			Listed: true, SizeBytes: 10,
		}
		for _, p := range pools {
			v.Replicas = append(v.Replicas, tiering.Replica{UUID: p, Pool: p, Node: "n-" + p})
		}
		if iops >= 0 {
			var err error
			if v.Sample, err = tiering.NewSample(iops, 100); err != nil {
				panic(err)
			}
		}
		return v
	}
	volumes := []*tiering.Volume{
		volume(1, 6000, "hot-1"), volume(2, 10, "hot-1"), volume(3, 9000, "cold-1"),
		volume(4, 200000, "cold-1"), volume(5, -1, "hot-1", "cold-1"), volume(6, 7000, "cold-1"),
	}
	volumes[1].Memory = &tiering.Memory{LastMigration: long}
	volumes[2].Memory = volumes[1].Memory
	volumes[3].Memory = &tiering.Memory{Attempt: tiering.Attempt{N: 3, Policy: "db", State: tiering.AttemptFailed, Failures: 3, At: now.Add(-time.Minute)}}
	volumes[5].Live = &tiering.LiveJob{
		Name: "couchestor-6-1", Policy: "db", From: tiering.Cold, To: tiering.Hot, Started: now,
		Wanted: now.Add(-2 * time.Hour), Deadline: now.Add(-time.Second),
	}
	plan := tiering.Decide(tiering.Input{
		Now: now, Policy: policy, Volumes: volumes,
		Limits: tiering.Limits{MaxConcurrentMigrations: 2, RebuildBytesPerSecond: 100, Settle: time.Minute},
		World: &tiering.World{
			Metrics: tiering.Source{OK: true}, Mayastor: tiering.Source{OK: true}, ReadAt: now,
			Pools: []tiering.Pool{pool("cold-1", "cold", 300, true), pool("cold-2", "cold", 400, false), pool("hot-1", "hot", 700, true), pool("hot-2", "hot", 100, true)},
			Nodes: []tiering.Node{node("cold-1"), node("hot-1"), node("hot-2")},
		},
	})
	var before tiering.StoragePolicyStatus
	result := func(job, volume, from, to, outcome, reason, trigger string, ago time.Duration) tiering.HistoryEntry {
		return tiering.HistoryEntry{
			JobName: job, VolumeName: volume, Claim: "shop/data", Timestamp: metav1.NewTime(now.Add(-ago)), FromTier: from, ToTier: to,
			Duration: "5m0s", LeadTime: "1h0m0s", Bytes: 10, Outcome: outcome, Reason: reason, Trigger: trigger,
		}
	}
	tiering.Record(
		&before,
		result("a", "pvc-1", "hot", "cold", "moved", "", "automatic", 3*time.Hour),
		result("b", "pvc-1", "cold", "hot", "moved", "", "automatic", 2*time.Hour),
		result("c", "pvc-2", "cold", "hot", "moved", "", "by-hand", time.Hour),
		result("d", "pvc-4", "cold", "hot", "failed", "Stalled", "automatic", time.Minute),
		result("e", "pvc-4", "cold", "hot", "refused", "PoolFull", "automatic", time.Minute),
	)
	status := plan.Status(before)
	return plan, &status
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
		code, text := get(busy().handler(), "GET", "/metrics")
		if code != 200 {
			t.Fatalf("got %d", code)
		}
		var ours strings.Builder
		for line := range strings.Lines(text) {
			if strings.Contains(line, "couchestor_") {
				ours.WriteString(line)
			}
		}
		golden.Check(t, "testdata/metrics.txt", ours.String())
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

// The page for people is the same table.
func TestPageListsTheTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

The service shows these on ` + "`/metrics`" + ` of its ops port (8081), besides those of the Go runtime and the process.
This page is made from the table in the code: ` + "`go test ./server -run TestPageListsTheTable -update`" + `.

Counters that are said to come from the policy's status survive restarts, and each replica of the service shows the same.
So add nothing up over pods: ` + "`increase(max by (policy, outcome) (couchestor_moves_ended_total)[1d:5m])`" + `.

| metric | type | labels | meaning |
|---|---|---|---|
`)
	for _, m := range Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Help)
	}
	golden.Check(t, "../docs/metrics.md", b.String())
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
