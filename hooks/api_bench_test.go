package hooks

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// apiCity is a city whose volumes are read by the service itself. The body is that
// of a request.
func apiCity(t testing.TB, n int) (r *rig, body []byte) {
	t.Helper()
	r = city(t, 0)
	r.populate(n)
	k := newKube()
	k.stream(t, Volumes, n, func(s *scene) map[string]object { return s.volumes })
	k.stream(t, Claims, n, func(s *scene) map[string]object { return s.claims })
	k.show(t, Policies, map[string]json.RawMessage{"db": json.RawMessage(text(r.policy))})
	r.hooks.config.Cluster = k
	tree := r.tree()
	tree["related"] = object{}
	return r, []byte(text(tree))
}

// stream lists n objects as an API server does, none of which is held whole.
func (k *kube) stream(t testing.TB, kind Kind, n int, of func(*scene) map[string]object) {
	t.Helper()
	body, sent := io.Pipe()
	go func() {
		_, err := io.WriteString(sent, `{"metadata":{"resourceVersion":"7"},"items":[`)
		for i := 1; i <= n && err == nil; i++ {
			s := newScene()
			s.bulky(i)
			for _, o := range of(s) {
				_, err = io.WriteString(sent, text(o)+strings.Repeat(",", min(1, n-i)))
			}
		}
		_, _ = io.WriteString(sent, "]}")
		_ = sent.CloseWithError(err)
	}()
	var all []Object
	if _, _, err := ReadList(kind, body, func(o Object) { all = append(all, o) }); err != nil {
		t.Fatal(err)
	}
	k.mirror.Replace(kind, all)
}

// BenchmarkSyncAPI answers requests of a service that reads Kubernetes itself.
// In "steady" nothing changes between two requests; in "churn" a volume does, and
// Mayastor is read anew, which is the most that can. The budget is a p99 of 50 ms at
// 10 000 volumes.
func BenchmarkSyncAPI(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		r, body := apiCity(b, n)
		k, _ := r.hooks.config.Cluster.(*kube)
		changed := k.mirror.View().Volumes[n/2]
		churn := func() {
			k.mirror.Put(changed)
			r.mayastor.Inventory = new(*r.mayastor.Inventory)
		}
		for name, before := range map[string]func(){"steady": func() {}, "churn": churn} {
			b.Run(fmt.Sprintf("%d PVs, %s", n, name), func(b *testing.B) {
				var took []time.Duration
				b.ReportAllocs()
				for b.Loop() {
					start := time.Now()
					before()
					r.serve(b, body)
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
			})
		}
	}
}
