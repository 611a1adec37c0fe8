package hooks

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/budget"
	"github.com/billyronks/couchestor/tiering"
)

// city is a rig of n volumes as large as those of a real cluster, one in ten of
// them busy on cold pools, the rest quiet.
func city(t testing.TB, n int) *rig {
	t.Helper()
	r := newRig(t)
	r.scene = crowd(n, true)
	r.populate(n)
	return r
}

// populate has Mayastor list the volumes, and Prometheus know them.
func (r *rig) populate(n int) {
	inv := *r.mayastor.Inventory
	r.mayastor.Inventory = &inv
	r.place(1, "cold-1", "cold-2")
	one := r.mayastor.Inventory.Volumes[0].Volume()
	if err := jsonInto(object{"usage": object{"capacity": one.Spec.Size, "allocated": one.Spec.Size / 2}}, &one.State); err != nil {
		panic(err)
	}
	for i := 1; i <= n; i++ {
		iops := float64(middle)
		if i%10 == 0 {
			iops = busy + float64(i)
		}
		r.score(i, iops)
	}
	inv.Volumes = mayastor.Pack(listed(one, n, 0)...)
	r.mayastor.Inventory = &inv
}

// listed are n volumes as Mayastor lists them, of which the busy ones have this
// many bytes more than a while ago.
func listed(one mayastor.Volume, n int, written int64) []mayastor.Volume {
	all := make([]mayastor.Volume, n)
	for i := range all {
		v := one
		v.Spec.UUID = uuid(i + 1)
		v.State.Usage = new(*one.State.Usage)
		if (i+1)%10 == 0 {
			v.State.Usage.Allocated += written
		}
		all[i] = v
	}
	return all
}

func (r *rig) serve(t testing.TB, body []byte) {
	t.Helper()
	w := httptest.NewRecorder()
	r.hooks.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+"/sync", bytes.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
}

// BenchmarkSync answers whole requests. x-token-scan compares with the bare
// token scan of encoding/json over the same body in the same run; 1.5 is the
// budget.
func BenchmarkSync(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d PVs", n), func(b *testing.B) {
			r := city(b, n)
			body := r.body()
			var bare time.Duration
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r.serve(b, body)
				b.StopTimer()
				bare += budget.TokenScan(body)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-token-scan")
			b.ReportMetric(float64(len(body))/float64(n), "B/PV")
		})
	}
}

// weighing is an observer that weighs the heap at the heaviest moment: the
// request is decoded and decided upon, and the answer is encoded.
type weighing struct{ heap int64 }

func (*weighing) Request(string, int, int64, time.Duration) {}
func (*weighing) Gone(string)                               {}
func (w *weighing) Decided(_ string, plan *tiering.Plan, _ *tiering.StoragePolicyStatus) {
	w.heap = budget.Heap()
	runtime.KeepAlive(plan)
}

func TestSyncOfTenThousandVolumesHoldsLessThan64MiB(t *testing.T) {
	r := city(t, 10_000)
	body := r.body()
	r.scene = nil
	w := &weighing{}
	r.hooks.config.Observer = w
	r.serve(t, body) // Mayastor's facts are worked out once and kept.
	idle := budget.Heap()
	r.serve(t, body)
	extra := w.heap - idle
	t.Logf("%.1f MiB beyond idle for a body of %.1f MiB", float64(extra)/(1<<20), float64(len(body))/(1<<20))
	if extra > 64<<20 {
		t.Errorf("got %d MiB beyond idle, want at most 64", extra>>20)
	}
	runtime.KeepAlive(body)
}
