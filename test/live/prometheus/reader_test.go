package prometheus

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// read is one reading by the product's reader, which judges by the clock: the
// samples of these tests are fed around now.
func read(t *testing.T, p *Prometheus, window time.Duration) tiering.Scores {
	t.Helper()
	reader, err := world.NewPrometheus(world.PrometheusConfig{
		URL:            p.URL(),
		ScrapeInterval: time.Minute,
		Limits:         world.Limits{TTL: time.Minute, Timeout: 30 * time.Second},
		Log:            slog.New(slog.DiscardHandler),
	})
	must(t, err)
	defer reader.Close()
	return reader.Scores(t.Context(), window)
}

func TestTheProductsReader(t *testing.T) {
	p := start(t, Config{})
	if got := read(t, p, time.Hour); got.Source.OK {
		t.Errorf("an empty Prometheus is a good source: %+v", got.Source)
	}

	const future = -5 * time.Minute // samples go on while the test runs
	now := time.Now()
	for pv, s := range map[string]seen{
		"pvc-steady":    {from: always, to: future},
		"pvc-idle":      {from: always, to: future, idle: true},
		"pvc-only-read": {from: always, to: future, only: world.ReadOps},
		"pvc-nan":       {from: always, to: future, nan: true},
		"pvc-single":    {from: time.Minute, to: 0},
	} {
		s.every = time.Minute
		s.feed(t, p, pv, now)
	}
	scores := read(t, p, time.Hour)
	if !scores.Source.OK {
		t.Fatalf("source: %+v", scores.Source)
	}

	for _, c := range []struct {
		pv    string
		known bool
		iops  float64
	}{
		{"pvc-steady", true, 500},
		{"pvc-idle", true, 0},
		{"pvc-only-read", false, 0},
		{"pvc-nan", false, 0},
		{"pvc-single", false, 0},
		{"pvc-never-seen", false, 0},
	} {
		t.Run(c.pv, func(t *testing.T) {
			s := scores.Samples[c.pv]
			if s.Known() != c.known {
				t.Fatalf("known is %t, want %t: %s", s.Known(), c.known, s.Why())
			}
			if !c.known {
				return
			}
			if math.Abs(s.IOPS()-c.iops) > 1e-6 || s.Coverage() != 100 {
				t.Errorf("%v IOPS at %v %% coverage, want %v at 100 %%", s.IOPS(), s.Coverage(), c.iops)
			}
		})
	}

	t.Run("in the dark no volume has a score", func(t *testing.T) {
		p.Dark()
		got := read(t, p, time.Hour)
		if got.Source.OK || len(got.Samples) > 0 {
			t.Errorf("got %+v", got)
		}
		p.Light()
		if got := read(t, p, time.Hour); !got.Source.OK {
			t.Errorf("after Light: %+v", got.Source)
		}
	})
}
