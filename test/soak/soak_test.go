package soak

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/billyronks/couchestor/test/budget"
)

const (
	// hours is how many are soaked where COUCHESTOR_SOAK_HOURS says nothing.
	hours = 3
	// warmUp is when all that is bounded has reached its bound: the longest takes the
	// hour for which a Job is remembered that is no longer shown. Until then the heap
	// grows as it should, and no line is fitted.
	warmUp = 2 * time.Hour
	weigh  = 15 * time.Minute
	// maxSlope is what the heap may grow by, in KiB an hour: three quarters of a MiB a
	// day, of the 100 MiB and more that 256 MiB leave. In this town 600 volumes
	// come an hour at most, so it is about what 60 bytes kept of each would be.
	maxSlope = 32
	// noise is by how much one weighing differs from the next, in KiB, as now more
	// and now fewer Jobs are there. What it may do to the slope is let pass: 10 KiB an
	// hour in a day.
	noise = 200
	// ending is the same of goroutines: one may be about to end while they are counted.
	ending = 1
)

func TestMemoryIsFlat(t *testing.T) {
	total := soakHours(t)
	// Garbage is weighed by nobody, and hours of it take their time.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := newTown(t)
		defer w.close()
		time.Sleep(10 * time.Second) // the sources are tried
		var heaps, goroutines []point
		next := start.Add(warmUp)
		w.nextWeighing = next
		for time.Since(start) <= total {
			time.Sleep(step)
			w.live()
			if time.Now().Before(next) {
				continue
			}
			next = next.Add(weigh)
			w.nextWeighing = next
			heap, running := w.weigh()
			profile(t, len(heaps))
			at := time.Since(start).Hours()
			heaps = append(heaps, point{at, float64(heap) / 1024})
			goroutines = append(goroutines, point{at, float64(running)})
		}
		heap, running := fit(heaps), fit(goroutines)
		m := w.migrators
		if len(heaps) > 0 {
			t.Logf("%s: heap %.0f KiB, slope %+.1f ± %.1f KiB/h; goroutines %.0f, slope %+.2f ± %.2f /h; %d points after a warm-up of %s",
				total, heap.mean, heap.slope, heap.deviation, running.mean, running.slope, running.deviation, len(heaps), warmUp)
		} else {
			t.Logf("%s: no longer than the warm-up, so nothing is said of the slope", total)
		}
		t.Logf("%d syncs, %d of them with an error; moves: %d moved, %d failed, %d refused, %d without a result, %d recoveries, %d of volumes that went; %d volumes created, %d policies, %d starts of Metacontroller; %d lines of log, %d of the audit trail",
			w.syncs, w.faults, m.moved, m.failed, m.refused, m.lost, m.recovered, m.gone, w.created, w.policiesMade, w.restarts, w.logged.n.Load(), w.audited.n.Load())
		for i, p := range heaps {
			t.Logf("after %5.2f h: %8.1f KiB, %.0f goroutines", p.x, p.y, goroutines[i].y)
		}
		if limit := maxSlope + 3*noise/heap.lever; heap.slope > limit {
			t.Errorf("the heap grows by %.1f KiB an hour, want at most %.1f", heap.slope, limit)
		}
		if limit := 0.1 + 3*ending/running.lever; running.slope > limit {
			t.Errorf("there are %.2f more goroutines each hour, want at most %.2f", running.slope, limit)
		}
		perHour := total.Hours()
		if float64(m.moved) < 20*perHour || float64(w.faults) > float64(w.syncs)/50 {
			t.Errorf("%d moves and %d failed of %d syncs are no usual time", m.moved, w.faults, w.syncs)
		}
		for _, v := range w.sim.Violations() {
			t.Error(v)
		}
	})
}

// soakHours reads how long it shall take.
func soakHours(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("COUCHESTOR_SOAK_HOURS")
	if s == "" {
		return hours * time.Hour
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("COUCHESTOR_SOAK_HOURS is %q, want a positive number", s)
	}
	return time.Duration(n) * time.Hour
}

// weigh returns what is held, in bytes, and how many goroutines there are, once
// all is at rest and collections free nothing more.
func (w *town) weigh() (heap int64, goroutines int) {
	w.sim.ForgetCalls()
	// All that is known is of now, and known once.
	time.Sleep(resync)
	for _, p := range w.policies {
		p.next = time.Now()
		w.sync(p, p.next)
	}
	for _, s := range w.services {
		w.restart(s)
		s.quiet()
	}
	synctest.Wait()
	return budget.Heap(), runtime.NumGoroutine()
}

// profile leaves a heap profile of each weighing in the directory that
// COUCHESTOR_SOAK_PROFILES names, to find out what grows.
func profile(t *testing.T, n int) {
	t.Helper()
	dir := os.Getenv("COUCHESTOR_SOAK_PROFILES")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("heap-%03d.pprof", n)))
	must(t, err)
	must(t, errors.Join(pprof.WriteHeapProfile(f), f.Close()))
}

type point struct{ x, y float64 }

// line is one fitted by least squares. deviation is the standard one of the slope,
// as it is seen, and lever by what the deviation of a point is divided in it.
type line struct{ slope, deviation, lever, mean float64 }

func fit(points []point) line {
	n := float64(len(points))
	if n < 3 {
		return line{}
	}
	var sx, sy, sxx, sxy float64
	for _, p := range points {
		sx, sy = sx+p.x, sy+p.y
	}
	mx, my := sx/n, sy/n
	for _, p := range points {
		sxx += (p.x - mx) * (p.x - mx)
		sxy += (p.x - mx) * (p.y - my)
	}
	slope := sxy / sxx
	var rest float64
	for _, p := range points {
		d := p.y - my - slope*(p.x-mx)
		rest += d * d
	}
	return line{slope, math.Sqrt(rest / (n - 2) / sxx), math.Sqrt(sxx), my}
}

func TestLineIsFitted(t *testing.T) {
	var exact, noisy []point
	for i := range 100 {
		exact = append(exact, point{float64(i), 3*float64(i) + 7})
		noisy = append(noisy, point{float64(i), 3*float64(i) + 7 + float64(i%2)})
	}
	if l := fit(exact); math.Abs(l.slope-3) > 1e-9 || l.deviation > 1e-6 || math.Abs(l.mean-155.5) > 1e-9 {
		t.Errorf("got %+v", l)
	}
	if l := fit(noisy); math.Abs(l.slope-3) > 3*l.deviation || l.deviation > 0.01 {
		t.Errorf("got %+v", l)
	}
}
