package hooks

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// apiCity is a city whose volumes are read by the service itself. The body is that
// of a request.
func apiCity(t testing.TB, n int) (r *rig, body []byte) {
	t.Helper()
	r, bodies := quarters(t, n, 1)
	return r, bodies[0]
}

// quarters is a city read by the service itself, with a policy for each of so many
// quarters; volume i is in the namespace and of the class of quarter i modulo
// that number. The bodies are those of requests of the policies, in turn.
func quarters(t testing.TB, n, policies int) (r *rig, bodies [][]byte) {
	t.Helper()
	r = city(t, 0)
	r.populate(n)
	k := newKube()
	k.stream(t, Volumes, n, func(i int, s *scene) map[string]object {
		if policies > 1 {
			s.quarter(i, policies)
		}
		return s.volumes
	})
	k.stream(t, Claims, n, func(i int, s *scene) map[string]object {
		if policies > 1 {
			s.quarter(i, policies)
		}
		return s.claims
	})
	if policies > 1 {
		r.rule(policies)
	}
	k.show(t, Policies, raw(r.policies))
	r.hooks.config.Cluster = k
	for _, name := range sortedKeys(r.policies) {
		r.policy = r.policies[name]
		tree := r.tree()
		tree["related"] = object{}
		bodies = append(bodies, []byte(text(tree)))
	}
	return r, bodies
}

// quarter moves volume i and its claim to their quarter of so many.
func (s *scene) quarter(i, of int) {
	ns := fmt.Sprintf("quarter-%d", i%of)
	for _, v := range s.volumes {
		v.at("spec", "claimRef")["namespace"] = ns
	}
	for _, c := range s.claims {
		c.at("metadata")["namespace"] = ns
	}
}

// rule has a policy for each of so many quarters, and no other.
func (s *scene) rule(quarters int) {
	clear(s.policies)
	for i := range quarters {
		name := fmt.Sprintf("quarter-%d", i)
		p := newPolicy(name, uuid(i))
		p.at("spec")["claimNamespaces"] = []any{name}
		s.policies[name], s.policy = p, p
	}
}

// stream lists n objects as an API server does, none of which is held whole.
func (k *kube) stream(t testing.TB, kind Kind, n int, of func(int, *scene) map[string]object) {
	t.Helper()
	body, sent := io.Pipe()
	go func() {
		_, err := io.WriteString(sent, `{"metadata":{"resourceVersion":"7"},"items":[`)
		for i := 1; i <= n && err == nil; i++ {
			s := newScene()
			s.bulky(i)
			for _, o := range of(i, s) {
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
// In "steady" nothing changes between two requests; in "churn" a PersistentVolume
// does, and Mayastor is read anew. The budget is a p99 of 50 ms at
// 10 000 volumes.
func BenchmarkSyncAPI(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		r, body := apiCity(b, n)
		for _, name := range []string{"steady", "churn"} {
			before := map[string]func(){"steady": func() {}, "churn": r.churn()}[name]
			b.Run(fmt.Sprintf("%d PVs, %s", n, name), func(b *testing.B) { r.measure(b, [][]byte{body}, before) })
		}
	}
}

// BenchmarkSyncPolicies answers requests of 20 and of 1 000 policies in turn, each
// with a part of 10 000 volumes. In "churn" a volume changes and Mayastor is read
// anew before each.
func BenchmarkSyncPolicies(b *testing.B) {
	const n = 10_000
	for _, policies := range []int{20, 1_000} {
		r, bodies := quarters(b, n, policies)
		for _, name := range []string{"steady", "churn"} {
			before := map[string]func(){"steady": func() {}, "churn": r.churn()}[name]
			b.Run(fmt.Sprintf("%d policies, %s", policies, name), func(b *testing.B) { r.measure(b, bodies, before) })
		}
	}
	b.Run("1000 policies, related", func(b *testing.B) {
		r := city(b, n)
		for i := range n {
			ns := fmt.Sprintf("quarter-%d", (i+1)%1_000)
			r.volumes["pvc-"+uuid(i+1)].at("spec", "claimRef")["namespace"] = ns
		}
		clear(r.claims)
		r.rule(1_000)
		r.measure(b, [][]byte{r.body()}, func() {})
	})
}

// churn returns what has a PersistentVolume change and Mayastor read anew: the busy
// volumes and all pools are fuller than they were.
func (r *rig) churn() func() {
	k, _ := r.hooks.config.Cluster.(*kube)
	volumes := k.mirror.View().Volumes
	changed, n := volumes[len(volumes)/2], len(volumes)
	inv := r.mayastor.Inventory
	one := inv.Volumes[0].Volume()
	packed := mayastor.Pack(slices.Concat(listed(one, n, 1<<20), listed(one, n, 2<<20))...)
	round := 0
	return func() {
		round++
		k.mirror.Put(changed)
		next := *inv
		next.Volumes = packed[round%2*n:][:n]
		next.Pools = slices.Clone(inv.Pools)
		for i := range next.Pools {
			next.Pools[i].State = new(*next.Pools[i].State)
			next.Pools[i].State.Used += int64(round)
		}
		r.mayastor.Inventory = &next
	}
}

// fewest is of how many answers a p99 is told at least.
const fewest = 100

// measure answers requests in turn and reports the p99 of at least [fewest], after
// some that are not counted, as caches and the heap have to grow first.
func (r *rig) measure(b *testing.B, bodies [][]byte, before func()) {
	b.Helper()
	for i := range 5 {
		before()
		r.serve(b, bodies[i%len(bodies)])
	}
	var took []time.Duration
	answer := func() {
		start := time.Now()
		before()
		r.serve(b, bodies[len(took)%len(bodies)])
		took = append(took, time.Since(start))
	}
	b.ReportAllocs()
	for b.Loop() {
		answer()
	}
	b.StopTimer()
	for len(took) < fewest {
		answer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
}
