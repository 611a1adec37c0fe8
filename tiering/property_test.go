package tiering

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// one of several values.
func pick[T any](t *rapid.T, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, label)
}

// rarely is true once in n times.
func rarely(t *rapid.T, label string, n int) bool {
	return rapid.IntRange(1, n).Draw(t, label) == n
}

func drawPolicy(t *rapid.T, name string) Policy {
	p, faults := Compile(name, int64(rapid.IntRange(1, 4).Draw(t, "generation")), ago(30*day), spec(func(s *StoragePolicySpec) {
		if rapid.Bool().Draw(t, "warm") {
			withWarm(s)
		}
		s.Priority = new(int64(rapid.IntRange(-1, 1).Draw(t, "priority")))
		s.MaxConcurrentMigrations = new(int64(rapid.IntRange(1, 4).Draw(t, "cap")))
		s.MaxPoolUsedPercent = new(int64(pick(t, "percent", 1, 50, 90, 100)))
		s.Enabled = new(!rarely(t, "disabled", 8))
		s.DryRun = new(rarely(t, "dry run", 4))
		s.VolumesWithSnapshots = new(pick(t, "snapshots", SkipSnapshots, MoveSnapshots))
		switch pick(t, "selects", "all", "all", "app", "namespace") {
		case "app":
			s.VolumeSelector = selector("app", pick(t, "app", "db", "web"))
		case "namespace":
			s.ClaimNamespaces = []string{pick(t, "namespace", "shop", "bank")}
		}
	}))
	if len(faults) > 0 {
		t.Fatalf("policy: %v", faults)
	}
	return p
}

func drawWorld(t *rapid.T) *World {
	w := world()
	w.Metrics.OK = !rarely(t, "blind", 12)
	w.Mayastor.OK = !rarely(t, "no Mayastor", 12)
	if rarely(t, "no Kubernetes", 12) {
		w.Kubernetes = new(Source)
	}
	if rarely(t, "unsettled", 12) {
		w.Unsettled = "an upgrade runs"
	}
	if rarely(t, "unmovable", 12) {
		w.Movable = "2.10 would do"
	}
	for i := range w.Pools {
		p := &w.Pools[i]
		p.CapacityBytes = rapid.Int64Range(0, 400).Draw(t, "capacity") * gib
		p.UsedBytes = rapid.Int64Range(0, 300).Draw(t, "used") * gib
		p.Online = !rarely(t, "pool offline", 10)
		if rarely(t, "pool fresh", 10) {
			p.OnlineSince = ago(time.Minute)
		}
		if rarely(t, "pool torn", 15) {
			p.Conflict = "labels differ"
		}
		n := &w.Nodes[i]
		n.Online, n.Draining = !rarely(t, "node offline", 15), rarely(t, "node drained", 15)
	}
	return w
}

func drawVolume(t *rapid.T, name string) Volume {
	pools := []string{"cold-1", "cold-2", "cold-3", "hot-1", "hot-2", "hot-3", "warm-1", "warm-2", "warm-3"}
	v := volume(name)
	v.Labels = map[string]string{"app": pick(t, "app", "db", "web")}
	v.ClaimNamespace = pick(t, "namespace", "shop", "bank")
	v.StorageClass = pick(t, "class", "mayastor", "mayastor", "mayastor", "other")
	n := rapid.IntRange(1, 3).Draw(t, "replicas")
	base := pick(t, "where", 0, 3, 6)
	var at []string
	for i := range n {
		k := base + i
		if rarely(t, "mixed", 5) {
			k = rapid.IntRange(0, 8).Draw(t, "pool")
		}
		if !slices.Contains(at, pools[k]) {
			at = append(at, pools[k])
		}
	}
	on(at...)(&v)
	v.SizeBytes = rapid.Int64Range(0, 60).Draw(t, "size") * gib
	v.AllocatedBytes = rapid.Int64Range(0, 60).Draw(t, "allocated") * gib
	v.Thin = rapid.Bool().Draw(t, "thin")
	if rarely(t, "no sample", 6) {
		v.Sample = Sample{}
	} else {
		sampled(rapid.Float64Range(0, 9000).Draw(t, "iops"), pick(t, "coverage", 100.0, 100, 81, 79))(&v)
	}
	v.Listed = !rarely(t, "unlisted", 20)
	v.Deleting = rarely(t, "deleting", 20)
	v.Snapshots = pick(t, "snapshots", 0, 0, 0, 2)
	for _, why := range []*string{&v.Unpublished, &v.Unhealthy, &v.Content} {
		if rarely(t, "why not", 15) {
			*why = "for a reason"
		}
	}
	if rarely(t, "unreadable", 15) {
		remember(&v).Fault = "for a reason"
	}
	if rarely(t, "cooldown", 6) {
		remember(&v).LastMigration = ago(time.Hour)
	}
	if rarely(t, "attempt", 4) {
		remember(&v).Attempt = Attempt{
			N: 3, Policy: pick(t, "by", "gold", "other", "gone", ""), To: pick(t, "to", "hot", "cold", "warm", ""),
			State:    pick(t, "state", AttemptStarted, AttemptMoved, AttemptFailed, AttemptRefused, AttemptAborted, "odd"),
			Failures: rapid.Int64Range(0, 6).Draw(t, "failures"), Generation: 2, At: ago(20 * time.Minute),
		}
		remember(&v).LastN = 3
	}
	if rarely(t, "live", 6) {
		v.Live = &LiveJob{
			Name: "job-" + name, Policy: pick(t, "live of", "gold", "other", "gone"), From: Cold, To: pick(t, "live to", Hot, Cold),
			Recovery: rarely(t, "recovery", 4), Started: ago(time.Minute),
		}
		if rapid.Bool().Draw(t, "says where") {
			v.Live.TargetPools = []string{"hot-1", "hot-2"}
		}
	}
	return v
}

func drawInput(t *rapid.T) Input {
	in := Input{
		Now: noon(), Policy: drawPolicy(t, "gold"), World: drawWorld(t),
		Limits: Limits{
			MaxConcurrentMigrations: rapid.IntRange(0, 6).Draw(t, "cluster cap"), RebuildBytesPerSecond: 100 << 20,
			Settle: 10 * time.Minute, DryRun: rarely(t, "service dry run", 6),
		},
		Finalizing: rarely(t, "finalizing", 12),
	}
	if rapid.Bool().Draw(t, "rival") {
		in.Others = Arrange(new(drawPolicy(t, "other")), new(drawPolicy(t, "another")))
	}
	for i := range rapid.IntRange(0, 14).Draw(t, "volumes") {
		in.Volumes = append(in.Volumes, new(drawVolume(t, fmt.Sprintf("v%02d", i))))
	}
	in.Route = anyRoute(in.World)
	return in
}

// all returns the policies in the order of names.
func (all *Policies) all() (list []*Policy) {
	if all == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(all.byName)) {
		list = append(list, all.byName[name])
	}
	return list
}

// line writes all of a decision but its addresses.
func line(d *Decision) string {
	return fmt.Sprintf("%s %s %s>%s selected=%v winner=%q n=%d edge=%v pools=%v route=%v held=%+v",
		d.Volume.Name, d.Act, d.FromWord(), d.To, d.Selected, d.Winner, d.N, d.ThresholdIOPS, d.TargetPools, d.Route, d.Held)
}

func lines(p *Plan) string {
	var b strings.Builder
	for i := range p.Decisions {
		b.WriteString(line(&p.Decisions[i]) + "\n")
	}
	fmt.Fprintln(&b, p.Moves(), p.NextLook(noon()))
	return b.String()
}

// planOf decides, and checks each decision against its verdicts.
func planOf(t *rapid.T, in Input) *Plan {
	p := Decide(in)
	for i := range p.Decisions {
		checkDecision(t, p, i)
	}
	return p
}

func starts(a Act) bool { return a == Move || a == WouldMove }

func TestSameInputTwiceGivesTheSamePlanAndBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		a, b := planOf(t, in), planOf(t, in)
		if diff := cmp.Diff(lines(a), lines(b)); diff != "" {
			t.Fatalf("plans differ:\n%s", diff)
		}
		if x, y := marshalRapid(t, a), marshalRapid(t, b); x != y {
			t.Fatalf("status differs:\n%s", cmp.Diff(x, y))
		}
	})
}

func marshalRapid(t *rapid.T, p *Plan) string { return marshal(t, p.Status(StoragePolicyStatus{})) }

func TestTheOrderOfTheInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		want := planOf(t, in)
		random := rand.New(rand.NewPCG(1, uint64(rapid.IntRange(0, 1000).Draw(t, "seed"))))
		other := in
		other.Volumes, other.World = slices.Clone(in.Volumes), new(*in.World)
		other.World.Pools, other.World.Nodes = slices.Clone(in.World.Pools), slices.Clone(in.World.Nodes)
		random.Shuffle(len(other.Volumes), func(i, j int) { other.Volumes[i], other.Volumes[j] = other.Volumes[j], other.Volumes[i] })
		others := append(in.Others.all(), &in.Policy)
		random.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
		other.Others = Arrange(others...)
		random.Shuffle(len(other.World.Pools), func(i, j int) {
			other.World.Pools[i], other.World.Pools[j] = other.World.Pools[j], other.World.Pools[i]
		})
		slices.Reverse(other.World.Nodes)
		got := planOf(t, other)
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Fatalf("plans differ:\n%s", diff)
		}
		if x, y := marshalRapid(t, want), marshalRapid(t, got); x != y {
			t.Fatalf("status differs:\n%s", cmp.Diff(x, y))
		}
	})
}

// To drop a volume's samples, all of them or those of one of its two counters,
// removes its wish and gives no other volume one.
func TestNoDataNeverMovesData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		if len(in.Volumes) == 0 {
			return
		}
		before := planOf(t, in)
		blind := rapid.IntRange(0, len(in.Volumes)-1).Draw(t, "which")
		other := in
		other.Volumes = slices.Clone(in.Volumes)
		other.Volumes[blind] = new(*in.Volumes[blind])
		other.Volumes[blind].Sample = pick(t, "how", Sample{}, UnknownSample("reads only"), UnknownSample("writes only"))
		after := planOf(t, other)
		if len(before.Decisions) != len(after.Decisions) {
			t.Fatalf("%d volumes were decided on, now %d", len(before.Decisions), len(after.Decisions))
		}
		for i := range after.Decisions {
			was, is := &before.Decisions[i], &after.Decisions[i]
			if is.Volume.Name == in.Volumes[blind].Name {
				if is.To != NoTier || starts(is.Act) || is.Act == Stay {
					t.Fatalf("without samples: %s", line(is))
				}
			} else if was.To != is.To {
				t.Fatalf("another volume's wish changed from %s to %s", line(was), line(is))
			}
		}
		other.World = new(*in.World)
		other.World.Metrics = Source{}
		for _, d := range planOf(t, other).Decisions {
			if d.To != NoTier || starts(d.Act) || d.Act == Stay {
				t.Fatalf("blind: %s", line(&d))
			}
		}
	})
}

func TestNeverMoreMovesThanCaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p := planOf(t, in)
		ours, all, begun := 0, 0, 0
		for i := range in.Volumes {
			if j := in.Volumes[i].Live; j != nil {
				all++
				if j.Policy == "gold" {
					ours++
				}
			}
		}
		for i := range p.Decisions {
			switch a := p.Decisions[i].Act; {
			case starts(a):
				begun++
			case a == Recover:
				ours, all = ours+1, all+1
			}
		}
		if begun != len(p.Moves()) {
			t.Fatalf("%d moves begin, %d are listed", begun, len(p.Moves()))
		}
		if begun > 0 && (begun+ours > in.Policy.Rules.MaxConcurrentMigrations || begun+all > in.Limits.MaxConcurrentMigrations) {
			t.Fatalf("%d begin beside %d of the policy and %d in the cluster; caps are %d and %d",
				begun, ours, all, in.Policy.Rules.MaxConcurrentMigrations, in.Limits.MaxConcurrentMigrations)
		}
	})
}

// Whatever Mayastor chooses among the pools a plan allows, no pool is filled
// beyond its limit; counted here in another way than in the code.
func TestCapacityIsNeverPromisedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p := planOf(t, in)
		space := func(v *Volume) float64 {
			if !v.Thin || v.AllocatedBytes == 0 {
				return float64(v.SizeBytes)
			}
			return min(float64(v.SizeBytes), float64(v.AllocatedBytes)+0.4*float64(v.SizeBytes)) - 1
		}
		for _, pool := range in.World.Pools {
			used, lands := float64(pool.UsedBytes), false
			for _, i := range p.Moves() {
				if d := &p.Decisions[i]; slices.Contains(d.Route.Landing, pool.Name) {
					used, lands = used+space(d.Volume), true
				}
			}
			for _, v := range in.Volumes {
				if v.Live != nil && !v.Live.Recovery && slices.Contains(v.Live.TargetPools, pool.Name) && (v.Thin || !isOn(v, pool.Name)) {
					used += space(v)
				}
			}
			if most := float64(pool.CapacityBytes) * float64(in.Policy.Rules.MaxPoolUsedPercent) / 100; lands && used > most {
				t.Fatalf("pool %s may be filled to %v, the limit is %v", pool.Name, used, most)
			}
		}
	})
}

func TestAPlanNeverMovesAVolumeThatIsOnItsTier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p := planOf(t, in)
		for _, i := range p.Moves() {
			d := &p.Decisions[i]
			elsewhere := slices.ContainsFunc(d.Volume.Replicas, func(r Replica) bool { return !slices.Contains(d.TargetPools, r.Pool) })
			if !elsewhere || d.From == d.To && !d.Mixed {
				t.Fatalf("moves for nothing: %s", line(d))
			}
			if diff := cmp.Diff(p.Tiers.Pools(d.To), d.TargetPools); diff != "" {
				t.Fatalf("target pools: %s", diff)
			}
		}
	})
}

func TestWhatIsLiveIsMovingAndWhatIsUncleanIsRecoveredOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		plans := []*Plan{planOf(t, in)}
		everybody := Arrange(append(in.Others.all(), &in.Policy)...)
		for _, p := range in.Others.all() {
			other := in
			other.Policy, other.Others = *p, everybody
			plans = append(plans, planOf(t, other))
		}
		for _, v := range in.Volumes {
			recoveries, begun := 0, 0
			for _, p := range plans {
				k, ok := p.Find(v.Name)
				if !ok {
					continue
				}
				d := &p.Decisions[k]
				if d.Act == Recover {
					recoveries++
				}
				if d.Act == Move {
					begun++
				}
				if (v.Live != nil) != (d.Act == Moving) {
					t.Fatalf("live %v: %s", v.Live != nil, line(d))
				}
			}
			if recoveries+begun > 1 {
				t.Fatalf("%s: %d policies recover it and %d move it", v.Name, recoveries, begun)
			}
			if want := unclean(v) && v.Remembered().Attempt.Policy == "gold"; want && recoveries != 1 {
				t.Fatalf("%s is unclean and nobody recovers it", v.Name)
			}
		}
	})
}

func TestAStatusIsItsOwnSuccessor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		prev := StoragePolicyStatus{Phase: pick(t, "phase", PhaseActive, PhasePending, "")}
		first := reread(t, planOf(t, in).Status(prev))
		second := reread(t, planOf(t, in).Status(first))
		if x, y := marshal(t, first), marshal(t, second); x != y {
			t.Fatalf("nothing happened and the status changed:\n%s", cmp.Diff(first, second))
		}
		if len(first.Plan) > 20 || !slices.IsSortedFunc(first.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) }) {
			t.Fatalf("%d entries, conditions %v", len(first.Plan), first.Conditions)
		}
	})
}

// Nothing that only reads differently from minute to minute may write status.
func TestStatusDoesNotFollowFiguresThatChangeAllTheTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Limits.MaxConcurrentMigrations = 0 // Which of two wishes comes first may depend on scores.
		first := reread(t, planOf(t, in).Status(StoragePolicyStatus{}))
		other := in
		other.Now = in.Now.Add(17 * time.Second)
		other.Volumes = slices.Clone(in.Volumes)
		for i := range other.Volumes {
			v := new(*in.Volumes[i])
			other.Volumes[i] = v
			if v.Sample.Known() {
				// By so little that it stays in its band.
				if moved := v.Sample.iops * 1.000001; in.Policy.bandOf(v.Sample.iops) == in.Policy.bandOf(moved) {
					v.Sample.iops = moved
				}
			}
		}
		second := reread(t, planOf(t, other).Status(first))
		if x, y := marshal(t, first), marshal(t, second); x != y {
			t.Fatalf("the status changed:\n%s", cmp.Diff(first, second))
		}
	})
}

// bandOf names the band of a score, whichever tier a volume is on.
func (p *Policy) bandOf(score float64) string {
	var s []string
	for t := NoTier; t <= Cold; t++ {
		to, _ := p.Rules.band(score, t)
		s = append(s, to.String())
	}
	return strings.Join(s, " ")
}

func TestVolumesThatDoNotConcernThePolicyAreOfNoEffect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		all := planOf(t, in)
		kept := in
		kept.Volumes = slices.DeleteFunc(slices.Clone(in.Volumes), func(v *Volume) bool { return !in.Policy.Concerns(v) })
		few := planOf(t, kept)
		if a, b := marshalRapid(t, all), marshalRapid(t, few); a != b {
			t.Errorf("with all volumes\n%s\nwith those that concern the policy\n%s", a, b)
		}
		if diff := cmp.Diff(outline(all), outline(few)); diff != "" {
			t.Errorf("decisions: -all +concerned\n%s", diff)
		}
	})
}

// outline is what a plan decides, by volume.
func outline(p *Plan) []string {
	var lines []string
	for i := range p.Decisions {
		d := &p.Decisions[i]
		lines = append(lines, fmt.Sprintf("%s %s to %s, attempt %d, held by %s", d.Volume.Name, d.Act, d.To, d.N, d.Held.Gate))
	}
	return lines
}
