package prometheus

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// exporter is a metrics endpoint whose text the test changes.
type exporter struct {
	*httptest.Server

	hits chan struct{} // one element after each scrape, dropped if nobody looks

	mu     sync.Mutex
	text   string
	status int
}

func newExporter(t testing.TB, text string) *exporter {
	t.Helper()
	e := &exporter{text: text, status: http.StatusOK, hits: make(chan struct{}, 1)}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		text, status := e.text, e.status
		e.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
		select {
		case e.hits <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) set(status int, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status, e.text = status, text
}

// metrics is the address to scrape.
func (e *exporter) metrics() string { return e.URL + "/metrics" }

// until checks ok after every scrape of e until it holds; at last the test
// fails with what ok found.
func (e *exporter) until(t *testing.T, ok func() (bool, any)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		holds, got := ok()
		if holds {
			return
		}
		select {
		case <-e.hits:
		case <-ctx.Done():
			t.Fatalf("after a minute still %v", got)
		}
	}
}

const twoVolumes = `# HELP volume_num_read_ops Number of read operations on the volume
# TYPE volume_num_read_ops gauge
volume_num_read_ops{node="node-1",pv_name="pvc-a"} 10
volume_num_read_ops{node="node-1",pv_name="pvc-b"} 20
`

const oneVolume = `# TYPE volume_num_read_ops gauge
volume_num_read_ops{node="node-1",pv_name="pvc-a"} 11
`

// fixed lists targets that never change.
func fixed(targets ...Target) func() []Target {
	return func() []Target { return targets }
}

func TestScrapeOnceStoresUnderTheChosenTime(t *testing.T) {
	e := newExporter(t, twoVolumes)
	p := start(t, Config{Targets: fixed(Target{URL: e.metrics(), Labels: map[string]string{"instance": "n1"}})})
	must(t, p.ScrapeOnce(t.Context(), epoch))

	got := query(t, p, "volume_num_read_ops or up", epoch)
	want := map[string]float64{
		`volume_num_read_ops{instance="n1", job="mayastor", node="node-1", pv_name="pvc-a"}`: 10,
		`volume_num_read_ops{instance="n1", job="mayastor", node="node-1", pv_name="pvc-b"}`: 20,
		`up{instance="n1", job="mayastor"}`:                                                  1,
	}
	if diff := cmp.Diff(values(got), want); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
	for _, s := range got {
		if !s.Timestamp.Time().Equal(epoch) {
			t.Errorf("%s has time %s, want %s", s.Metric, s.Timestamp.Time(), epoch)
		}
	}
}

func TestScrapeOnceEndsWhatItNoLongerSees(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*exporter, *[]Target)
		want   map[string]float64
	}{
		{
			"a series that vanished",
			func(e *exporter, _ *[]Target) { e.set(200, oneVolume) },
			map[string]float64{"pvc-a": 11, "up": 1},
		},
		{
			"all series of an exporter that answers an error",
			func(e *exporter, _ *[]Target) { e.set(500, twoVolumes) },
			map[string]float64{"up": 0},
		},
		{
			"all series of an exporter that is gone",
			func(e *exporter, _ *[]Target) { e.Close() },
			map[string]float64{"up": 0},
		},
		{
			"all series of an exporter whose text breaks off",
			func(e *exporter, _ *[]Target) { e.set(200, twoVolumes+"volume_num_read_ops{no") },
			map[string]float64{"up": 0},
		},
		{
			"all series of a target that is no target any more",
			func(_ *exporter, targets *[]Target) { *targets = nil },
			map[string]float64{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newExporter(t, twoVolumes)
			targets := []Target{{URL: e.metrics()}}
			p := start(t, Config{Targets: func() []Target { return targets }})
			must(t, p.ScrapeOnce(t.Context(), epoch))
			c.change(e, &targets)
			must(t, p.ScrapeOnce(t.Context(), epoch.Add(time.Second)))

			got := map[string]float64{}
			for _, s := range query(t, p, "volume_num_read_ops or up", epoch.Add(time.Second)) {
				name := string(s.Metric["pv_name"])
				if name == "" {
					name = string(s.Metric["__name__"])
				}
				got[name] = float64(s.Value)
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Errorf("got - want:\n%s", diff)
			}
		})
	}
}

func TestScrapeOnceRefusesToGoBackInTime(t *testing.T) {
	e := newExporter(t, twoVolumes)
	p := start(t, Config{Targets: fixed(Target{URL: e.metrics()})})
	must(t, p.ScrapeOnce(t.Context(), epoch))
	if err := p.ScrapeOnce(t.Context(), epoch.Add(-time.Second)); err == nil {
		t.Error("a scrape before the last one was stored without an error")
	}
}

func TestScrapeOnceStoresNothingOnceItsContextIsDone(t *testing.T) {
	e := newExporter(t, twoVolumes)
	p := start(t, Config{Targets: fixed(Target{URL: e.metrics()})})
	must(t, p.ScrapeOnce(t.Context(), epoch))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.ScrapeOnce(ctx, epoch.Add(time.Second)); err == nil {
		t.Error("no error")
	}
	if got := query(t, p, "volume_num_read_ops", epoch.Add(time.Second)); len(got) != 2 {
		t.Errorf("found %v, want the two series of the first scrape", got)
	}
}

func TestTargetLabelsWinAndTheExportersAreKeptAsExported(t *testing.T) {
	e := newExporter(t, oneVolume)
	p := start(t, Config{Targets: fixed(Target{
		URL:    e.metrics(),
		Labels: map[string]string{"job": "io-engine", "instance": "10.0.0.1:9502", "node": "worker-1"},
	})})
	must(t, p.ScrapeOnce(t.Context(), epoch))
	want := map[string]float64{
		`volume_num_read_ops{exported_node="node-1", instance="10.0.0.1:9502", job="io-engine", node="worker-1", pv_name="pvc-a"}`: 11,
	}
	if diff := cmp.Diff(values(query(t, p, "volume_num_read_ops", epoch)), want); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
}

func TestATargetThatIsNoAddressIsReported(t *testing.T) {
	p := start(t, Config{Targets: fixed(Target{URL: "/metrics"})})
	err := p.ScrapeOnce(t.Context(), epoch)
	if err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("got %v, want an error about the address", err)
	}
}

func TestTheLoopScrapesAndEndsSeriesThatVanish(t *testing.T) {
	e := newExporter(t, twoVolumes)
	p := start(t, Config{ScrapeInterval: 100 * time.Millisecond, Targets: fixed(Target{URL: e.metrics()})})
	count := func(expr string, want int) func() (bool, any) {
		return func() (bool, any) {
			got := query(t, p, expr, time.Now())
			return len(got) == want, got
		}
	}
	e.until(t, count("volume_num_read_ops", 2))
	e.set(200, oneVolume)
	e.until(t, count("volume_num_read_ops", 1))
	e.set(500, "")
	e.until(t, count("volume_num_read_ops", 0))
	e.until(t, count("up == 0", 1))
	e.set(200, twoVolumes)
	e.until(t, count("volume_num_read_ops", 2))
}

func TestTheLoopFollowsTargetsThatComeAndGo(t *testing.T) {
	a, b := newExporter(t, twoVolumes), newExporter(t, oneVolume)
	var mu sync.Mutex
	targets := []Target{{URL: a.metrics()}}
	set := func(now ...Target) {
		mu.Lock()
		defer mu.Unlock()
		targets = now
	}
	p := start(t, Config{ScrapeInterval: 100 * time.Millisecond, Targets: func() []Target {
		mu.Lock()
		defer mu.Unlock()
		return targets
	}})
	count := func(want int) func() (bool, any) {
		return func() (bool, any) {
			got := query(t, p, "volume_num_read_ops", time.Now())
			return len(got) == want, got
		}
	}
	a.until(t, count(2))
	set(Target{URL: a.metrics()}, Target{URL: b.metrics()})
	b.until(t, count(3))
	set(Target{URL: b.metrics()}) // upstream ends a's series after a bit more than two intervals
	b.until(t, count(1))
}

func TestTheLoopGoesOnInTheDarkAndAfterARestart(t *testing.T) {
	e := newExporter(t, oneVolume)
	p := start(t, Config{ScrapeInterval: 100 * time.Millisecond, Targets: fixed(Target{URL: e.metrics()})})
	value := func(want float64) func() (bool, any) {
		return func() (bool, any) {
			got := query(t, p, "volume_num_read_ops", time.Now())
			return len(got) == 1 && float64(got[0].Value) == want, got
		}
	}
	e.until(t, value(11))

	p.Dark()
	e.set(200, strings.ReplaceAll(oneVolume, "11", "12"))
	for range 3 {
		<-e.hits
	}
	p.Light()
	e.until(t, value(12))

	must(t, p.Restart(t.Context(), func() { e.set(200, strings.ReplaceAll(oneVolume, "11", "13")) }))
	e.until(t, value(13))
}

func TestTheLoopEndsWithTheContextOfStart(t *testing.T) {
	e, clock := newExporter(t, oneVolume), newExporter(t, oneVolume)
	const interval = 100 * time.Millisecond
	start(t, Config{ScrapeInterval: interval, Targets: fixed(Target{URL: clock.metrics()})})
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, Config{Dir: t.TempDir(), ScrapeInterval: interval, Targets: fixed(Target{URL: e.metrics()})})
	must(t, err)
	<-e.hits

	cancel()
	p.core.scraper.loops.Wait() // hangs if the loop does not end
	select {
	case <-e.hits: // of before the end
	default:
	}
	for range 5 {
		<-clock.hits
	}
	select {
	case <-e.hits:
		t.Error("scraped after the context of Start was done")
	default:
	}
	must(t, p.Close())
}

// TestScrapeOnceWritesWhatUpstreamsLoopWrites guards the one piece that is not
// upstream's: same series, same labels, same values.
func TestScrapeOnceWritesWhatUpstreamsLoopWrites(t *testing.T) {
	e := newExporter(t, `# TYPE a counter
a{node="exposed",job="exposed",exported_node="too"} 1
a{node="",empty="no label",instance="x"} 2
# TYPE b histogram
b_bucket{le="1"} 1
b_bucket{le="+Inf"} 2
b_sum 3.5
b_count 2
# TYPE c gauge
c NaN
d{quantile="0.5"} +Inf
`)
	target := Target{URL: e.metrics() + "?collect=all", Labels: map[string]string{"node": "target", "extra": "1"}}
	const all = `{__name__=~".+", __name__!="scrape_duration_seconds"}`

	loop := start(t, Config{ScrapeInterval: 100 * time.Millisecond, Targets: fixed(target)})
	var want map[string]string
	e.until(t, func() (bool, any) {
		// scrape_series_added is 0 from the second scrape on
		want = texts(t, loop, all, time.Now())
		return len(want) > 8, want
	})

	once := start(t, Config{Targets: fixed(target)})
	must(t, once.ScrapeOnce(t.Context(), epoch))
	got := texts(t, once, all, epoch)
	for series, text := range want {
		if strings.HasPrefix(series, "scrape_series_added") && text == "0" {
			want[series] = got[series]
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
}

// texts is a query whose values are compared as text, so that NaN equals NaN.
func texts(t *testing.T, p *Prometheus, expr string, at time.Time) map[string]string {
	t.Helper()
	m := map[string]string{}
	for series, v := range values(query(t, p, expr, at)) {
		m[series] = fmt.Sprint(v)
	}
	return m
}
