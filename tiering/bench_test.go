package tiering

import (
	"fmt"
	"testing"
	"time"
)

// sizes are the numbers of volumes that are measured; the budget is 1 us for
// each, and 10 ms for 10 000.
func sizes() []int { return []int{100, 1_000, 10_000, 100_000} }

// cluster makes n volumes of which most stay, one in 20 wishes to move, and a
// few are unknown, cooling down or moving.
func cluster(n int) []Volume {
	volumes := make([]Volume, n)
	for i := range volumes {
		v := volume(fmt.Sprintf("pvc-%06d", i), on("cold-1", "cold-2"), score(float64(i%400)))
		switch i % 100 {
		case 0, 20, 40, 60:
			score(6000 + float64(i%997))(&v)
		case 1:
			v.Sample = Sample{}
		case 2:
			score(7000)(&v)
			remember(&v).LastMigration = ago(time.Hour)
		}
		if i%5000 == 4203 {
			v.Live = &LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot, TargetPools: []string{"hot-1"}}
		}
		volumes[i] = v
	}
	return volumes
}

func steady(w *World) func(*Volume, Tier, []string) Route {
	r := anyRoute(w)
	known := map[Tier]Route{}
	return func(v *Volume, to Tier, pools []string) Route {
		got, ok := known[to]
		if !ok {
			got = r(v, to, pools)
			known[to] = got
		}
		return got
	}
}

func benchmarkDecide(b *testing.B, in Input) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		Decide(in)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(in.Volumes)), "ns/volume")
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := input(b, cluster(n))
			in.Route = steady(in.World)
			benchmarkDecide(b, in)
		})
	}
}

// Every volume wishes to move at once: each is routed, sorted and refused.
func BenchmarkDecideAllWish(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			volumes := cluster(n)
			for i := range volumes {
				score(6000 + float64(i*7919%n))(&volumes[i])
				volumes[i].Memory, volumes[i].Live = nil, nil
			}
			in := input(b, volumes)
			in.Route = steady(in.World)
			benchmarkDecide(b, in)
		})
	}
}

func BenchmarkDecideAllUnknown(b *testing.B) {
	in := input(b, cluster(10_000), where(func(w *World) { w.Metrics = Source{} }))
	benchmarkDecide(b, in)
}

// A thousand policies: each of a class of its own, each of a label of its own,
// each of a namespace of its own, or all for the same volumes.
func BenchmarkDecideThousandPolicies(b *testing.B) {
	for name, edit := range map[string]func(*StoragePolicySpec, int){
		"by class":     func(s *StoragePolicySpec, i int) { s.StorageClassName = new(fmt.Sprintf("class-%d", i)) },
		"by label":     func(s *StoragePolicySpec, i int) { s.VolumeSelector = selector("tenant", fmt.Sprint(i)) },
		"by namespace": func(s *StoragePolicySpec, i int) { s.ClaimNamespaces = []string{fmt.Sprintf("ns-%d", i)} },
		"the same":     func(*StoragePolicySpec, int) {},
	} {
		b.Run(name, func(b *testing.B) {
			in := input(b, cluster(10_000))
			in.Route = steady(in.World)
			for i := range in.Volumes {
				in.Volumes[i].Labels = map[string]string{"tenant": fmt.Sprint(i)}
			}
			var others []Policy
			for i := range 1000 {
				others = append(others, policy(b, fmt.Sprintf("other-%d", i), ranked(int64(1+i%5)), func(s *StoragePolicySpec) { edit(s, i) }))
			}
			in.Others = together(others...)
			benchmarkDecide(b, in)
		})
	}
}

func BenchmarkStatus(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := input(b, cluster(n))
			in.Route = steady(in.World)
			p := Decide(in)
			prev := p.Status(StoragePolicyStatus{})
			b.ReportAllocs()
			for b.Loop() {
				p.Status(prev)
			}
		})
	}
}

func BenchmarkVerdicts(b *testing.B) {
	in := input(b, cluster(10_000))
	in.Route = steady(in.World)
	p := Decide(in)
	i, ok := p.Find("pvc-000020")
	if !ok {
		b.Fatal("no decision")
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Verdicts(i)
	}
}

func BenchmarkCompile(b *testing.B) {
	s := spec(withWarm)
	b.ReportAllocs()
	for b.Loop() {
		Compile("p", 1, time.Time{}, s)
	}
}
