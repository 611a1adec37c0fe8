package tiering

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// The builders below make a cluster in which nothing is in the way of a move:
// one node for each of nine pools, three a tier, and volumes that wish to go
// from cold to hot. A test changes only what its case is about.

const (
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// prover is what tests, benchmarks and rapid's checks have in common.
type prover interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) time.Time { return noon().Add(-d) }

type specEdit func(*StoragePolicySpec)

func selector(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func spec(edits ...specEdit) StoragePolicySpec {
	s := StoragePolicySpec{
		HotPoolSelector:  selector("tier", "hot"),
		ColdPoolSelector: selector("tier", "cold"),
	}
	for _, edit := range edits {
		edit(&s)
	}
	return s
}

func withWarm(s *StoragePolicySpec) {
	s.WarmWatermarkIOPS, s.WarmPoolSelector = new(int64(2000)), selector("tier", "warm")
}

func ranked(priority int64) specEdit {
	return func(s *StoragePolicySpec) { s.Priority = &priority }
}

func policy(t prover, name string, edits ...specEdit) Policy {
	t.Helper()
	p, faults := Compile(name, 3, ago(30*day), spec(edits...))
	if len(faults) > 0 {
		t.Fatalf("policy %s: %v", name, faults)
	}
	return p
}

func pool(name, node, tier string) Pool {
	return Pool{
		Name: name, Node: node, Labels: labels.Set{"tier": tier}, Online: true, OnlineSince: ago(day),
		CapacityBytes: 10 * tib, UsedBytes: 1 * tib,
	}
}

func node(name string) Node {
	return Node{Name: name, Online: true, OnlineSince: ago(day), Version: "v2.10.0"}
}

func world(edits ...func(*World)) *World {
	w := &World{
		Metrics:  Source{OK: true},
		Mayastor: Source{OK: true},
	}
	n := 0
	for _, tier := range []string{"cold", "hot", "warm"} {
		for i := 1; i <= 3; i++ {
			n++
			host := fmt.Sprintf("node-%d", n)
			w.Pools = append(w.Pools, pool(fmt.Sprintf("%s-%d", tier, i), host, tier))
			w.Nodes = append(w.Nodes, node(host))
		}
	}
	for _, edit := range edits {
		edit(w)
	}
	return w
}

func (w *World) pool(name string) *Pool {
	return &w.Pools[slices.IndexFunc(w.Pools, func(p Pool) bool { return p.Name == name })]
}

func (w *World) node(name string) *Node {
	return &w.Nodes[slices.IndexFunc(w.Nodes, func(n Node) bool { return n.Name == name })]
}

type volumeEdit func(*Volume)

// volume is on cold and busy enough for hot.
func volume(name string, edits ...volumeEdit) Volume {
	v := Volume{
		Name: name, UUID: "uuid-" + name, ClaimNamespace: "shop", ClaimName: name, StorageClass: "mayastor",
		Listed: true, SizeBytes: 10 * gib, AllocatedBytes: 10 * gib,
	}
	on("cold-1")(&v)
	score(6000)(&v)
	for _, edit := range edits {
		edit(&v)
	}
	return v
}

// on puts a replica on each pool; the node is the one that world gives it.
func on(pools ...string) volumeEdit {
	return func(v *Volume) {
		v.Replicas = nil
		w := world()
		for _, name := range pools {
			r := Replica{UUID: v.UUID + "-" + name, Pool: name}
			if i := slices.IndexFunc(w.Pools, func(p Pool) bool { return p.Name == name }); i >= 0 {
				r.Node = w.Pools[i].Node
			} else {
				r.Node = w.Nodes[0].Name
			}
			v.Replicas = append(v.Replicas, r)
		}
	}
}

func score(iops float64) volumeEdit { return sampled(iops, 100) }

func sampled(iops, coverage float64) volumeEdit {
	return func(v *Volume) {
		s, err := NewSample(iops, coverage)
		if err != nil {
			panic(err)
		}
		v.Sample = s
	}
}

func unknown(v *Volume) { v.Sample = Sample{} }

func attempt(a Attempt) volumeEdit {
	return func(v *Volume) {
		m := remember(v)
		m.Attempt, m.LastN = a, a.N
	}
}

// remember gives the volume a memory of its own, to be changed.
func remember(v *Volume) *Memory {
	m := *v.Remembered()
	v.Memory = &m
	return v.Memory
}

func live(job LiveJob) volumeEdit {
	return func(v *Volume) { v.Live = &job }
}

// anyRoute lets each replica that is not on a target pool go to any target pool
// on a node without a replica.
func anyRoute(w *World) func(*Volume, Tier, []string) Route {
	return func(v *Volume, _ Tier, pools []string) Route {
		var r Route
		for _, rep := range v.Replicas {
			if !slices.Contains(pools, rep.Pool) {
				r.Replicas++
			}
		}
		for _, name := range pools {
			p := w.pool(name)
			taken := slices.ContainsFunc(v.Replicas, func(rep Replica) bool { return rep.Node == p.Node })
			if p.Online && !taken {
				r.Landing = append(r.Landing, name)
			}
		}
		if r.Replicas > len(r.Landing) {
			return Route{Reason: "NoFreeNode", Refusals: []string{"each node of the tier has a replica; add a node"}}
		}
		return r
	}
}

type inputEdit func(*Input)

// together arranges policies.
func together(policies ...Policy) *Policies {
	all := make([]*Policy, len(policies))
	for i := range policies {
		all[i] = &policies[i]
	}
	return Arrange(all...)
}

// each returns the places of volumes.
func each(volumes []Volume) []*Volume {
	all := make([]*Volume, len(volumes))
	for i := range volumes {
		all[i] = &volumes[i]
	}
	return all
}

func input(t prover, volumes []Volume, edits ...inputEdit) Input {
	t.Helper()
	in := Input{
		Now: noon(), Policy: policy(t, "gold"), World: world(), Volumes: each(volumes),
		Limits: Limits{MaxConcurrentMigrations: 2, RebuildBytesPerSecond: 100 << 20, Settle: 10 * time.Minute},
	}
	for _, edit := range edits {
		edit(&in)
	}
	if in.Route == nil && in.World != nil {
		in.Route = anyRoute(in.World)
	}
	return in
}

func with(edits ...specEdit) inputEdit {
	return func(in *Input) {
		p, faults := Compile("gold", 3, ago(30*day), spec(edits...))
		if len(faults) > 0 {
			panic(fmt.Sprint(faults))
		}
		in.Policy = p
	}
}

func where(edits ...func(*World)) inputEdit {
	return func(in *Input) { in.World = world(edits...) }
}

func rivalled(others ...Policy) inputEdit {
	return func(in *Input) { in.Others = together(others...) }
}

func limits(edit func(*Limits)) inputEdit {
	return func(in *Input) { edit(&in.Limits) }
}

// decide decides, and proves of each plan what must hold of every plan.
func decide(t prover, in Input) *Plan {
	t.Helper()
	p := Decide(in)
	for i := range p.Decisions {
		checkDecision(t, p, i)
	}
	return p
}

// one decides on a single volume.
func one(t prover, v Volume, edits ...inputEdit) (*Plan, *Decision) {
	t.Helper()
	p := decide(t, input(t, []Volume{v}, edits...))
	if len(p.Decisions) != 1 {
		t.Fatalf("got %d decisions, want 1", len(p.Decisions))
	}
	return p, &p.Decisions[0]
}

// checkDecision proves that a decision agrees with the full list of verdicts,
// and holds what its act promises.
func checkDecision(t prover, p *Plan, i int) {
	t.Helper()
	d := &p.Decisions[i]
	all := p.Verdicts(i)
	if len(all) != len(Gates()) {
		t.Fatalf("%s: got %d verdicts, want %d", d.Volume.Name, len(all), len(Gates()))
	}
	first := Verdict{}
	for k, v := range all {
		if v.Gate != Gates()[k] {
			t.Errorf("%s: verdict %d is of gate %q, want %q", d.Volume.Name, k, v.Gate, Gates()[k])
		}
		if v.Sentence() == "" {
			t.Errorf("%s: gate %q has no sentence", d.Volume.Name, v.Gate)
		}
		if !v.Pass && first.Gate == NoGate {
			first = v
		}
	}
	switch d.Act {
	case Hold, Stay:
		if d.Held != first {
			t.Errorf("%s: held by %+v, but the first verdict that does not pass is %+v", d.Volume.Name, d.Held, first)
		}
		if (d.Act == Stay) != (d.Held.Gate == GateBand) {
			t.Errorf("%s: %s by gate %q", d.Volume.Name, d.Act, d.Held.Gate)
		}
	case Move, WouldMove:
		if first.Gate != NoGate {
			t.Errorf("%s: %s though gate %q says %q", d.Volume.Name, d.Act, first.Gate, first.Sentence())
		}
		if len(d.TargetPools) == 0 || len(d.Route.Landing) == 0 {
			t.Errorf("%s: %s without a pool to go to", d.Volume.Name, d.Act)
		}
	case Moving:
		if d.Volume.Live == nil || d.Held.Gate != GateNotLive {
			t.Errorf("%s: Moving, held by %q", d.Volume.Name, d.Held.Gate)
		}
	case Recover:
		if d.Volume.Remembered().Attempt.State != AttemptStarted || d.Volume.Live != nil || d.Held.Gate != GateClean {
			t.Errorf("%s: Recover, held by %q", d.Volume.Name, d.Held.Gate)
		}
	}
	if starts := d.Act == Move || d.Act == Recover; starts != (d.N > 0) {
		t.Errorf("%s: %s has number %d", d.Volume.Name, d.Act, d.N)
	}
}

// unread is a service that reads Kubernetes itself, and cannot.
func unread(in *Input) {
	where(func(w *World) {
		w.Kubernetes = &Source{Reason: "Unreachable", Message: "Kubernetes cannot be reached."}
	})(in)
}
