package prometheus

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/server/world"
)

// questions are the three queries a policy's window is judged by.
type questions struct {
	score, reads, writes string
}

// product are the questions as the product asks them, for a window and the
// scrape interval the service was told of.
func product(window, scrapeInterval time.Duration) questions {
	step := world.Step(window, scrapeInterval)
	return questions{
		score:  world.ScoreQuery(window, step, scrapeInterval),
		reads:  world.CoverageQuery(world.ReadOps, window, step),
		writes: world.CoverageQuery(world.WriteOps, window, step),
	}
}

// figures are the answers for one volume, as text with two decimals: "NaN", or
// "" where the volume is not in the answer.
type figures struct {
	Score, Reads, Writes string
}

// ask evaluates the questions at one instant and returns the figures by volume.
func ask(t testing.TB, p *Prometheus, q questions, at time.Time) map[string]figures {
	t.Helper()
	all := map[string]figures{}
	for i, expr := range []string{q.score, q.reads, q.writes} {
		for _, s := range query(t, p, expr, at) {
			if len(s.Metric) != 1 {
				t.Fatalf("%s has other labels than pv_name", s.Metric)
			}
			pv := string(s.Metric["pv_name"])
			f := all[pv]
			*[]*string{&f.Score, &f.Reads, &f.Writes}[i] = fmt.Sprintf("%.2f", float64(s.Value))
			all[pv] = f
		}
	}
	return all
}

// The load of every volume in these tests, in operations per second: the score
// that a volume deserves is 500, whatever happens to its samples.
const (
	readsPerSecond  = 300.0
	writesPerSecond = 200.0
)

// phase is when in each interval the exporters are scraped: nothing may rely on
// scrapes at whole minutes.
const phase = 7 * time.Second

// seen is a stretch of samples of a volume's two counters, by one scraper from
// one exporter. All times are before now.
type seen struct {
	from, to time.Duration     // the first scrape, and what would be the next after the last
	zero     time.Duration     // when the counters were at 0; by default ten hours ago
	labels   map[string]string // beside and instead of the usual ones
	every    time.Duration     // the scrape interval; by default the case's
	phase    time.Duration     // of the scrapes; by default as above
	only     string            // just this counter
	idle     bool              // the counters do not move
	nan      bool              // the exporter tells NaN
	stale    bool              // ends with a stale marker, at to
}

// usual are labels as the exporter's ServiceMonitor makes them.
var usual = map[string]string{
	"job": "metrics-exporter-io-engine", "instance": "10.0.0.1:9502", "namespace": "mayastor",
	"pod": "io-engine-x7k2p", "node": "node-1",
}

// feed stores the stretch for a volume.
func (s seen) feed(t testing.TB, p *Prometheus, pv string, now time.Time) {
	t.Helper()
	began := now.Add(-cmp.Or(s.zero, 10*time.Hour))
	shift := cmp.Or(s.phase, phase)
	first, end := now.Add(-s.from+shift), now.Add(-s.to+shift)
	for name, rate := range map[string]float64{world.ReadOps: readsPerSecond, world.WriteOps: writesPerSecond} {
		if s.only != "" && s.only != name {
			continue
		}
		switch {
		case s.nan:
			rate = math.NaN()
		case s.idle:
			rate = 0
		}
		series := maps.Clone(usual)
		maps.Copy(series, s.labels)
		series["__name__"], series["pv_name"] = name, pv
		must(t, p.AppendSeries(series, counter(first, end, s.every, func(at time.Time) float64 {
			return rate * at.Sub(began).Seconds()
		})))
		if s.stale {
			must(t, p.AppendStale(series, end))
		}
	}
}

// counter are the samples of a function from first until before end.
func counter(first, end time.Time, every time.Duration, value func(time.Time) float64) iter.Seq2[time.Time, float64] {
	return func(yield func(time.Time, float64) bool) {
		for at := first; at.Before(end); at = at.Add(every) {
			if !yield(at, value(at)) {
				return
			}
		}
	}
}

const (
	always = 3 * time.Hour // longer than the windows of the cases
	full   = "100.00"
)

func label(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// oneInFiveMissed are stretches of a scrape every minute of which each fifth
// was not answered.
func oneInFiveMissed() []seen {
	var all []seen
	for from := always; from > 0; from -= 5 * time.Minute {
		all = append(all, seen{from: from, to: from - 4*time.Minute})
	}
	return all
}

// cases are what can happen to a volume's samples within an hour, scraped every
// minute, or as the case says. want are the figures.
var cases = []struct {
	name string
	seen []seen
	want figures
}{
	{
		name: "steady counters",
		seen: []seen{{from: always}},
		want: figures{"500.00", full, full},
	},
	{
		name: "an idle volume has a score, and it is 0",
		seen: []seen{{from: always, idle: true}},
		want: figures{"0.00", full, full},
	},
	{
		// What happened in the 53 s between the last scrape and the reset is
		// lost with the counter: 53/3600 of 500.
		name: "counter reset, nexus re-created: no spike, no cold",
		seen: []seen{
			{from: always, to: 20 * time.Minute},
			{from: 20 * time.Minute, zero: 20 * time.Minute},
		},
		want: figures{"492.64", full, full},
	},
	{
		name: "target moves to another node: adds up, no gap",
		seen: []seen{
			{from: always, to: 30 * time.Minute},
			{from: 30 * time.Minute, zero: 30 * time.Minute, labels: label("node", "node-2")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "target moves to another node, the old series is marked stale: adds up, no gap",
		seen: []seen{
			{from: always, to: 30 * time.Minute, stale: true},
			{from: 30 * time.Minute, zero: 30 * time.Minute, labels: label("node", "node-2")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "target moves away and back: three stretches add up",
		seen: []seen{
			{from: always, to: 40 * time.Minute, stale: true},
			{from: 40 * time.Minute, to: 20 * time.Minute, zero: 40 * time.Minute, labels: label("node", "node-2"), stale: true},
			{from: 20 * time.Minute, zero: 20 * time.Minute},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "two scrapers of one exporter: not doubled",
		seen: []seen{
			{from: always},
			{from: always, phase: 31 * time.Second, labels: label("job", "pods", "instance", "10.0.0.1", "prometheus", "second")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "two scrapers of one exporter at different intervals: not doubled",
		seen: []seen{
			{from: always},
			{from: always, every: 15 * time.Second, phase: 3 * time.Second, labels: label("job", "pods")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "two scrapers, one of them down for half an hour: no gap",
		seen: []seen{
			{from: always},
			{from: always, to: 45 * time.Minute, labels: label("job", "pods")},
			{from: 15 * time.Minute, labels: label("job", "pods")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "half a gap, scrapes stopped half an hour ago: half the coverage",
		seen: []seen{{from: always, to: 30 * time.Minute}},
		want: figures{"500.00", "50.00", "50.00"},
	},
	{
		name: "half a gap in the middle: half the coverage",
		seen: []seen{{from: always, to: 45 * time.Minute}, {from: 15 * time.Minute}},
		want: figures{"500.00", "50.00", "50.00"},
	},
	{
		name: "one scrape in five is missed: a fifth of the coverage",
		seen: oneInFiveMissed(),
		want: figures{"500.00", "80.00", "80.00"},
	},
	{
		name: "only reads: no score, coverage of one side",
		seen: []seen{{from: always, only: world.ReadOps}},
		want: figures{"", full, ""},
	},
	{
		name: "only writes: no score, coverage of one side",
		seen: []seen{{from: always, only: world.WriteOps}},
		want: figures{"", "", full},
	},
	{
		name: "writes stopped half an hour ago: the lower coverage tells",
		seen: []seen{
			{from: always, only: world.ReadOps},
			{from: always, to: 30 * time.Minute, only: world.WriteOps},
		},
		want: figures{"500.00", full, "50.00"},
	},
	{
		name: "volume unpublished 10 min ago, marked stale: coverage ends there",
		seen: []seen{{from: always, to: 10 * time.Minute, stale: true}},
		want: figures{"500.00", "83.33", "83.33"},
	},
	{
		name: "volume unpublished before the window: in no answer",
		seen: []seen{{from: always, to: 62 * time.Minute, stale: true}},
		want: figures{},
	},
	{
		name: "NaN throughout: no figure but NaN",
		seen: []seen{{from: always, nan: true}},
		want: figures{"NaN", full, full},
	},
	{
		name: "NaN in the newest sample: no figure but NaN",
		seen: []seen{{from: always, to: time.Minute}, {from: time.Minute, nan: true}},
		want: figures{"NaN", full, full},
	},
	{
		name: "newly published, 5 min of an hour: next to no coverage",
		seen: []seen{{from: 5 * time.Minute, zero: 5 * time.Minute}},
		want: figures{"500.00", "8.33", "8.33"},
	},
	{
		name: "a single sample: no score",
		seen: []seen{{from: time.Minute, zero: time.Minute}},
		want: figures{"", "1.67", "1.67"},
	},
	{
		name: "the exporter's node label is renamed to exported_node",
		seen: []seen{{from: always, labels: label("node", "worker-1", "exported_node", "node-1")}},
		want: figures{"500.00", full, full},
	},
	{
		name: "target moves, its node is in exported_node: adds up, no gap",
		seen: []seen{
			{from: always, to: 30 * time.Minute, labels: label("node", "worker", "exported_node", "node-1")},
			{from: 30 * time.Minute, zero: 30 * time.Minute, labels: label("node", "worker", "exported_node", "node-2")},
		},
		want: figures{"500.00", full, full},
	},

	// From here on the two scores differ, and the rate over the window is
	// wrong: half or twice of what the volume does at full coverage, or less by
	// what is missing of the window, where it should be missing from the
	// coverage only.
	{
		name: "the exporter's pod is replaced on its node: not halved",
		seen: []seen{
			{from: always, to: 30 * time.Minute, stale: true},
			{from: 30 * time.Minute, zero: 30 * time.Minute, labels: label("pod", "io-engine-9qq4z")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "the scrape gets another label: not halved",
		seen: []seen{
			{from: always, to: 30 * time.Minute, stale: true},
			{from: 30 * time.Minute, labels: label("team", "storage")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "two scrapers, one of them renames the node label: not doubled",
		seen: []seen{
			{from: always},
			{from: always, phase: 31 * time.Second, labels: label("job", "pods", "node", "worker-1", "exported_node", "node-1")},
		},
		want: figures{"500.00", full, full},
	},
	{
		name: "published 48 min ago, as much coverage as needed: a whole score",
		seen: []seen{{from: 48 * time.Minute, zero: 48 * time.Minute}},
		want: figures{"500.00", "80.00", "80.00"},
	},
	{
		name: "scrapes stopped 12 min ago, as much coverage as needed: a whole score",
		seen: []seen{{from: always, to: 12 * time.Minute}},
		want: figures{"500.00", "80.00", "80.00"},
	},
}

// pv names the volume of a case.
func pv(i int) string { return fmt.Sprintf("pvc-%08d", i) }

func TestScoreAndCoverage(t *testing.T) {
	p := start(t, Config{})
	for i, c := range cases {
		for _, s := range c.seen {
			s.every = cmp.Or(s.every, time.Minute)
			s.feed(t, p, pv(i), epoch)
		}
	}
	got := ask(t, p, product(time.Hour, time.Minute), epoch)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := gocmp.Diff(got[pv(i)], c.want); diff != "" {
				t.Errorf("the product's questions, got - want:\n%s", diff)
			}
		})
	}
}

func TestWholeSamplesAreFullCoverageAtAnyInstant(t *testing.T) {
	p := start(t, Config{})
	intervals := []time.Duration{15 * time.Second, time.Minute}
	for i, every := range intervals {
		seen{from: 26 * time.Hour, zero: 30 * time.Hour, every: every}.feed(t, p, pv(i), epoch.Add(2*time.Minute))
	}
	for _, window := range []time.Duration{5 * time.Minute, time.Hour, 24 * time.Hour} {
		for i, every := range intervals {
			t.Run(fmt.Sprintf("scraped every %s over %s", every, window), func(t *testing.T) {
				// The edges of the slots, of the scrapes at second 7, and between.
				for _, second := range []int{0, 1, 6, 7, 8, 30, 59} {
					at := epoch.Add(time.Duration(second) * time.Second)
					want := figures{"500.00", full, full}
					if got := ask(t, p, product(window, time.Minute), at)[pv(i)]; got != want {
						t.Errorf("at second %d: %v, want %v", second, got, want)
					}
				}
			})
		}
	}
}

func TestASlotThatDoesNotDivideTheWindowIsNoError(t *testing.T) {
	p := start(t, Config{})
	seen{from: 2 * time.Hour, zero: 3 * time.Hour, every: 45 * time.Second}.feed(t, p, pv(0), epoch.Add(2*time.Minute))
	for second := range 50 {
		want := figures{"500.00", full, full}
		if got := ask(t, p, product(5*time.Minute, 45*time.Second), epoch.Add(time.Duration(second)*time.Second))[pv(0)]; got != want {
			t.Errorf("at second %d: %v, want %v", second, got, want)
		}
	}
}

func TestScrapesOnTheEdgeOfTheSlotsLeaveNoneEmpty(t *testing.T) {
	p := start(t, Config{})
	for _, counter := range []string{world.ReadOps, world.WriteOps} {
		l := map[string]string{"__name__": counter, "pv_name": pv(0), "node": "node-1"}
		for i := range 100 {
			jitter := time.Duration(i%3-1) * 200 * time.Millisecond // early, in time, late
			must(t, p.Append(l, epoch.Add(jitter-time.Duration(99-i)*time.Minute), float64(i)))
		}
	}
	got := ask(t, p, product(time.Hour, time.Minute), epoch)[pv(0)]
	if got.Reads != full || got.Writes != full {
		t.Errorf("coverage %s and %s, want %s", got.Reads, got.Writes, full)
	}
}

func TestPrometheusRestarts(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []seen // what is in the TSDB when it goes down; nil: it comes back empty
		after  []seen
		want   figures
	}{
		{
			name:   "down for 20 min, TSDB kept: a gap in the coverage, not in the score",
			before: []seen{{from: always, to: 40 * time.Minute}},
			after:  []seen{{from: 20 * time.Minute}},
			want:   figures{"500.00", "66.67", "66.67"},
		},
		{
			name:  "TSDB lost 10 min ago: low coverage",
			after: []seen{{from: 10 * time.Minute}},
			want:  figures{"500.00", "16.67", "16.67"},
		},
		{
			name:   "restarted without missing a scrape: nothing to see",
			before: []seen{{from: always, to: 20 * time.Minute}},
			after:  []seen{{from: 20 * time.Minute}},
			want:   figures{"500.00", full, full},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, Config{})
			for _, s := range c.before {
				s.every = time.Minute
				s.feed(t, p, pv(0), epoch)
			}
			must(t, p.Restart(t.Context(), nil))
			for _, s := range c.after {
				s.every = time.Minute
				s.feed(t, p, pv(0), epoch)
			}
			if diff := gocmp.Diff(ask(t, p, product(time.Hour, time.Minute), epoch)[pv(0)], c.want); diff != "" {
				t.Errorf("got - want:\n%s", diff)
			}
		})
	}
}

// TestTheScoreBySlotsLosesLittleAtTheEndsOfAStretch holds what the score by
// slots costs: where scrapes are more frequent than the service was told, the
// slots at either end of a stretch of samples count as less than they were,
// together at most one slot for each stretch that begins or ends in the window.
func TestTheScoreBySlotsLosesLittleAtTheEndsOfAStretch(t *testing.T) {
	stretches := []struct {
		name string
		seen []seen
		want figures
	}{
		{
			name: "no end in the window",
			seen: []seen{{from: always}},
			want: figures{"500.00", full, full},
		},
		{
			name: "published 48 min ago",
			seen: []seen{{from: 48 * time.Minute, zero: 48 * time.Minute}},
			want: figures{"494.79", "80.00", "80.00"},
		},
		{
			name: "target moved",
			seen: []seen{
				{from: always, to: 30 * time.Minute, stale: true},
				{from: 30 * time.Minute, zero: 30 * time.Minute, labels: label("node", "node-2")},
			},
			want: figures{"495.83", full, full},
		},
		{
			name: "a gap in the middle",
			seen: []seen{{from: always, to: 30 * time.Minute}, {from: 18 * time.Minute}},
			want: figures{"489.80", "80.00", "80.00"},
		},
		{
			name: "twelve gaps of a minute: the worst that full enough coverage allows",
			seen: oneInFiveMissed(),
			want: figures{"400.00", "80.00", "80.00"},
		},
	}
	p := start(t, Config{})
	for i, c := range stretches {
		for _, s := range c.seen {
			s.every = 15 * time.Second
			s.feed(t, p, pv(i), epoch)
		}
	}
	got := ask(t, p, product(time.Hour, time.Minute), epoch)
	for i, c := range stretches {
		t.Run(c.name, func(t *testing.T) {
			if diff := gocmp.Diff(got[pv(i)], c.want); diff != "" {
				t.Errorf("got - want:\n%s", diff)
			}
		})
	}
}
