package main

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestAMoverCrossesItsWatermarkWhenItIsToldTo(t *testing.T) {
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name      string
		load      load
		watermark float64
	}{
		{"an idle volume that turned busy", load{before: 100, after: 10_000}, 5000},
		{"a busy volume that turned idle", load{before: 8000, after: 20}, 450},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := &volume{policy: &policy{window: time.Hour}, load: c.load}
			v.crossing(at)
			score := func(now time.Time) float64 { return v.load.ops(now.Add(-time.Hour), now) / 3600 }
			if got := score(at); math.Abs(got-c.watermark) > 0.01 {
				t.Errorf("at the crossing the score is %f, want %f", got, c.watermark)
			}
			before, after := score(at.Add(-time.Minute)), score(at.Add(time.Minute))
			if (before < c.watermark) == (after < c.watermark) {
				t.Errorf("a minute before it is %f, after %f: that crosses nothing", before, after)
			}
		})
	}
}

func TestARequestIsTheJSONThatItsPartsAre(t *testing.T) {
	k := newKube()
	for _, name := range []string{"b", "a"} {
		k.put(volumesPath, name, func(int64) []byte { return []byte(`{"metadata":{"name":"` + name + `"}}`) })
	}
	b := newBody([]byte(`{"metadata":{"name":"db"}}`), []*entry{newEntry("n/job", []byte(`{}`))}, k.list)
	// A reader that takes little at a time meets every seam.
	text, err := io.ReadAll(io.LimitReader(&oneByOne{b}, b.length+1))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != b.length {
		t.Errorf("%d bytes, and %d were said", len(text), b.length)
	}
	var got struct {
		Parent            map[string]any
		Children, Related map[string]map[string]any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var keys []string
	for key, objects := range got.Related {
		keys = append(keys, key+" "+strconv.Itoa(len(objects)))
	}
	slices.Sort(keys)
	want := []string{"DiskPool.openebs.io/v1beta3 0", "Job.batch/v1 0", "PersistentVolume.v1 2", "PersistentVolumeClaim.v1 0", "StoragePolicy.storage.billyronks.io/v1 0"}
	if diff := cmp.Diff(keys, want); diff != "" {
		t.Error(diff)
	}
	if len(got.Children["Job.batch/v1"]) != 1 || got.Parent == nil {
		t.Errorf("children %v, parent %v", got.Children, got.Parent)
	}
	if strings.Index(string(text), `"a":`) > strings.Index(string(text), `"b":`) {
		t.Error("the objects are not in the order of their keys")
	}
}

type oneByOne struct{ io.Reader }

func (o *oneByOne) Read(p []byte) (int, error) { return o.Reader.Read(p[:1]) }

func TestAPolicyIsWorkedOnByOneAtATimeAndOnceMoreIfItChangedMeanwhile(t *testing.T) {
	q := newQueue()
	q.add("db")
	q.add("db")
	q.add("logs")
	first, _ := q.take()
	q.add("db")
	second, _ := q.take()
	if _, ok := q.take(); ok || first != "db" || second != "logs" {
		t.Fatalf("got %s, %s and more: %v", first, second, ok)
	}
	q.done("db")
	if again, ok := q.take(); !ok || again != "db" {
		t.Errorf("after it was done: got %q, %v", again, ok)
	}
	if _, ok := q.take(); ok {
		t.Error("it was queued twice for one change")
	}
}

func TestAWatchGoesOnWhereTheLastOneEndedOrIsTurnedAway(t *testing.T) {
	k := newKube()
	object := func(version int64) []byte { return strconv.AppendInt([]byte(`{"v":`), version, 10) }
	k.put(volumesPath, "a", object)
	_, from := k.snapshot(volumesPath)
	k.put(volumesPath, "b", object)
	k.remove(volumesPath, "a")
	w, ok := k.resume(volumesPath, from)
	if !ok {
		t.Fatal("two events are no gap")
	}
	got := strings.Count(string(w.take()), "\n")
	if got != 2 {
		t.Errorf("%d events since, want 2", got)
	}
	for range remembered {
		k.put(volumesPath, "b", object)
	}
	if _, ok := k.resume(volumesPath, from); ok {
		t.Error("it goes on over events that are forgotten")
	}
}

func TestQuantileIsThatOfTheSyncsBetweenTwoLooks(t *testing.T) {
	look := func(counts ...int) exposed {
		var b strings.Builder
		b.WriteString("# TYPE couchestor_hook_request_duration_seconds histogram\n")
		for i, le := range []string{"0.1", "1", "+Inf"} {
			b.WriteString(`couchestor_hook_request_duration_seconds_bucket{hook="sync",le="` + le + `"} ` + strconv.Itoa(counts[i]) + "\n")
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		return families
	}
	for _, c := range []struct {
		name          string
		before, after exposed
		part, want    float64
	}{
		{"what was before does not count", look(1000, 1000, 1000), look(1000, 1010, 1010), 0.5, 550},
		{"the first bucket begins at zero", look(0, 0, 0), look(10, 10, 10), 0.5, 50},
		{"beyond the last bound it is that bound", look(0, 0, 0), look(0, 0, 10), 0.5, 1000},
		{"of none there is none", look(1, 2, 3), look(1, 2, 3), 0.5, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := quantile(c.before, c.after, c.part); math.Abs(got-c.want) > 1e-9 {
				t.Errorf("got %f, want %f", got, c.want)
			}
		})
	}
}

func TestTheHeapAfterACollectionIsRead(t *testing.T) {
	heap, ok := readCollection("gc 22 @9.645s 10%: 2.1+203+0.006 ms clock, 4.2+204/114/0+0.012 ms cpu, 195->201->185 MB, 202 MB goal, 0 MB stacks, 0 MB globals, 2 P\n")
	if !ok || heap != 185*mib {
		t.Errorf("got %d MiB, %v", heap/mib, ok)
	}
	if _, ok := readCollection(`{"level":"INFO","msg":"gc 22 is no collection"}`); ok {
		t.Error("a line of the log is taken for a collection")
	}
}

func TestWithoutCgroupsTheGoRuntimeIsAskedAndTheTableSaysSo(t *testing.T) {
	l, err := newLimits(t.Context(), 256*mib, 0.5, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.command(t.Context(), "couchestor", "serve").Args, []string{"couchestor", "serve"}; !slices.Equal(got, want) {
		t.Errorf("it runs %q, want %q", got, want)
	}
	if got, want := l.environment(), []string{"GOMAXPROCS=1", "GOMEMLIMIT=268435456"}; !slices.Equal(got, want) {
		t.Errorf("its environment is %q, want %q", got, want)
	}
	var table strings.Builder
	printTable(&table, []*figures{{Mode: apiMode, Limits: l.kind, Proof: l.proof}})
	if !strings.Contains(table.String(), "NOT enforced") {
		t.Errorf("the table does not say that nothing is enforced:\n%s", &table)
	}
}

func TestTheServiceGetsWhatItsDeploymentAndOverlaySet(t *testing.T) {
	for _, c := range []struct {
		volumes           int
		overlay, cacheTTL string
	}{
		{99, "small", "30s"},
		{500, "medium", "30s"},
		{501, "large", "60s"},
	} {
		t.Run(c.overlay, func(t *testing.T) {
			d, err := readDeployment(c.volumes)
			if err != nil {
				t.Fatal(err)
			}
			if d.overlay != c.overlay || d.env["COUCHESTOR_CACHE_TTL"] != c.cacheTTL {
				t.Errorf("overlay %s with a TTL of %s, want %s with %s", d.overlay, d.env["COUCHESTOR_CACHE_TTL"], c.overlay, c.cacheTTL)
			}
			if d.memory != 256*mib || d.cores != 0.5 {
				t.Errorf("limits %d MiB and %g, want 256 and 0.5", d.memory/mib, d.cores)
			}
			if !slices.ContainsFunc(d.settings(), func(s string) bool { return strings.HasPrefix(s, "GOMEMLIMIT=") }) {
				t.Errorf("no GOMEMLIMIT in %q", d.settings())
			}
		})
	}
}
