package prometheus

import (
	"log/slog"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/billyronks/couchestor/server/world"
)

// work is what a volume does from one time to another, before now: 300 reads and
// 200 writes a second that take so long each, in microseconds.
type work struct {
	from, to    time.Duration
	read, write float64
	labels      map[string]string
	idle        bool
}

// feed stores the four counters of the work.
func (w work) feed(t *testing.T, p *Prometheus, pv string) {
	t.Helper()
	first, end := epoch.Add(-w.from+phase), epoch.Add(-w.to+phase)
	for name, rate := range map[string]float64{
		world.ReadOps: readsPerSecond, world.WriteOps: writesPerSecond,
		world.ReadLatency: readsPerSecond * w.read, world.WriteLatency: writesPerSecond * w.write,
	} {
		if w.idle {
			rate = 0
		}
		series := map[string]string{"__name__": name, "pv_name": pv, "node": "node-1", "job": "exporter"}
		maps.Copy(series, w.labels)
		must(t, p.AppendSeries(series, counter(first, end, time.Minute, func(at time.Time) float64 {
			return rate * at.Sub(first).Seconds()
		})))
	}
}

// The mean time of an operation around a move that ended an hour before now, as
// the product asks the real engine for it.
func TestIOAroundAMove(t *testing.T) {
	p := start(t, Config{})
	before := work{from: 4 * time.Hour, to: 70 * time.Minute, read: 4000, write: 6000}
	after := work{from: time.Hour, to: 0, read: 200, write: 300, labels: label("node", "node-2")}
	for pv, all := range map[string][]work{
		"pvc-moved": {before, after},
		"pvc-twice": {before, after, {from: 4 * time.Hour, to: 70 * time.Minute, read: 4000, write: 6000, labels: label("job", "second")}},
		"pvc-idle":  {{from: 4 * time.Hour, to: 0, idle: true}},
		"pvc-short": {{from: 4 * time.Hour, to: 100 * time.Minute, read: 1000, write: 1000}},
		"pvc-other": {{from: 4 * time.Hour, to: 0, read: 9e6, write: 9e6}},
	} {
		for _, w := range all {
			w.feed(t, p, pv)
		}
	}
	reader, err := world.NewPrometheus(world.PrometheusConfig{
		URL: p.URL(), ScrapeInterval: time.Minute,
		Limits: world.Limits{TTL: time.Minute, Timeout: 30 * time.Second}, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	defer reader.Close()

	began, ended := epoch.Add(-70*time.Minute), epoch.Add(-time.Hour)
	for _, c := range []struct {
		name, pv string
		from, to time.Time
		want     world.IO
	}{
		{"before the move", "pvc-moved", began.Add(-time.Hour), began, world.IO{CoveragePercent: 100, IOPS: 500, LatencyMicroseconds: 4800}},
		{"after the move, with its target elsewhere", "pvc-moved", ended.Add(2 * time.Minute), epoch, world.IO{CoveragePercent: 100, IOPS: 500, LatencyMicroseconds: 240}},
		{"two scrapers are one volume", "pvc-twice", began.Add(-time.Hour), began, world.IO{CoveragePercent: 100, IOPS: 500, LatencyMicroseconds: 4800}},
		{"a shorter time", "pvc-moved", began.Add(-5 * time.Minute), began, world.IO{CoveragePercent: 100, IOPS: 500, LatencyMicroseconds: 4800}},
		{"an idle volume", "pvc-idle", began.Add(-time.Hour), began, world.IO{CoveragePercent: 100}},
		{"half an hour of the hour", "pvc-short", began.Add(-time.Hour), began, world.IO{CoveragePercent: 50, IOPS: 500, LatencyMicroseconds: 1000}},
		{"no samples in that hour", "pvc-short", ended, epoch, world.IO{}},
		{"a volume that nobody knows", `pvc-"nobody`, began.Add(-time.Hour), began, world.IO{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := reader.IO(t.Context(), c.pv, c.from, c.to)
			must(t, err)
			for _, f := range [][2]float64{
				{got.CoveragePercent, c.want.CoveragePercent}, {got.IOPS, c.want.IOPS}, {got.LatencyMicroseconds, c.want.LatencyMicroseconds},
			} {
				if math.Abs(f[0]-f[1]) > 0.001*max(1, f[1]) {
					t.Fatalf("got %+v, want %+v", got, c.want)
				}
			}
		})
	}
}
