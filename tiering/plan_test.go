package tiering

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// moves names what a plan moves, in order.
func moves(p *Plan) (names []string) {
	for _, i := range p.Moves() {
		names = append(names, p.Decisions[i].Volume.Name)
	}
	return names
}

func roomy(in *Input) {
	in.Limits.MaxConcurrentMigrations = 25
	in.Policy.Rules.MaxConcurrentMigrations = 25
}

func TestTheOrderOfMoves(t *testing.T) {
	volumes := []Volume{
		volume("idle", on("hot-1"), score(100)),
		volume("idler", on("hot-2"), score(50)),
		volume("busy", score(6000)),
		volume("busier", score(7000)),
		volume("busy-too", score(6000)),
		volume("mixed-b", on("hot-1", "cold-1"), score(100)),
		volume("mixed-a", on("hot-1", "cold-1"), score(9000)),
		volume("stray-up", on("spare"), score(6500)),
		volume("stray-down", on("spare"), score(60)),
	}
	want := []string{"mixed-a", "mixed-b", "busier", "stray-up", "busy", "busy-too", "idler", "stray-down", "idle"}
	if diff := cmp.Diff(want, moves(decide(t, input(t, volumes, roomy)))); diff != "" {
		t.Errorf("moves (-want +got):\n%s", diff)
	}
}

func TestDecisionsAreSortedByVolume(t *testing.T) {
	p := decide(t, input(t, []Volume{volume("b"), volume("c"), volume("a")}))
	for i, want := range []string{"a", "b", "c"} {
		if got := p.Decisions[i].Volume.Name; got != want {
			t.Errorf("decision %d is of %s, want %s", i, got, want)
		}
		if at, ok := p.Find(want); !ok || at != i {
			t.Errorf("%s is found at %d, %v, want %d", want, at, ok, i)
		}
	}
	if at, ok := p.Find("bb"); ok {
		t.Errorf("a volume that is not there is found at %d", at)
	}
}

func TestCaps(t *testing.T) {
	three := []Volume{volume("a", score(9000)), volume("b", score(8000)), volume("c", score(7000))}
	running := func(policy string) Volume {
		return volume("zz-"+policy, live(LiveJob{Name: "j", Policy: policy, To: Hot}))
	}
	both := func(ours, all int) inputEdit {
		return func(in *Input) {
			in.Policy.Rules.MaxConcurrentMigrations, in.Limits.MaxConcurrentMigrations = ours, all
		}
	}
	tests := []struct {
		name    string
		volumes []Volume
		caps    inputEdit
		want    []string
	}{
		{"the policy's cap", three, both(2, 25), []string{"a", "b"}},
		{"the cluster's cap", three, both(25, 1), []string{"a"}},
		{"a Job of the policy counts for both", append(slices.Clone(three), running("gold")), both(2, 25), []string{"a"}},
		{"a Job of another policy counts for the cluster", append(slices.Clone(three), running("other")), both(25, 2), []string{"a"}},
		{"a Job of another policy does not count for the policy", append(slices.Clone(three), running("other")), both(1, 25), []string{"a"}},
		{"caps that were lowered below what runs", append(slices.Clone(three), running("gold"), running("other")), both(1, 1), nil},
		{
			"a recovery that starts now counts", append(slices.Clone(three),
				volume("zz", attempt(Attempt{N: 1, Policy: "gold", State: AttemptStarted, At: ago(time.Hour)}))),
			both(2, 25),
			[]string{"a"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := decide(t, input(t, test.volumes, test.caps))
			if diff := cmp.Diff(test.want, moves(p)); diff != "" {
				t.Errorf("moves (-want +got):\n%s", diff)
			}
			for i := range p.Decisions {
				if d := &p.Decisions[i]; d.Act == Hold && d.Held.Gate != GateCaps {
					t.Errorf("%s is held by %q, want caps", d.Volume.Name, d.Held.Gate)
				}
			}
		})
	}
}

func TestAVolumeOfAnotherClassCountsInTheCaps(t *testing.T) {
	other := volume("z", live(LiveJob{Name: "j", Policy: "other", To: Hot}), func(v *Volume) { v.StorageClass = "other" })
	p := decide(t, input(t, []Volume{volume("a"), other}, limits(func(l *Limits) { l.MaxConcurrentMigrations = 1 })))
	if len(p.Decisions) != 1 || p.Decisions[0].Held.Gate != GateCaps {
		t.Errorf("got %d decisions, the first held by %q, want one held by caps", len(p.Decisions), p.Decisions[0].Held.Gate)
	}
}

func TestTheNumberOfAMove(t *testing.T) {
	tests := []struct {
		name string
		edit volumeEdit
		want int64
	}{
		{"the first", func(*Volume) {}, 1},
		{"after the last seen anywhere", func(v *Volume) { remember(v).LastN = 7 }, 8},
		{"after the one in the memory", func(v *Volume) { v.Memory = &Memory{LastN: 3, Attempt: Attempt{N: 9, State: AttemptMoved}} }, 10},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, d := one(t, volume("v", test.edit))
			if d.Act != Move || d.N != test.want {
				t.Errorf("got %s number %d, want Move number %d", d.Act, d.N, test.want)
			}
		})
	}
	if _, d := one(t, volume("v"), inputEdit(serviceDryRun)); d.N != 0 {
		t.Errorf("a dry run has number %d", d.N)
	}
}

func TestAMoveKnowsItsPoolsItsRouteAndItsEdge(t *testing.T) {
	_, d := one(t, volume("v", on("cold-1", "cold-2")))
	want := Decision{
		Volume: d.Volume, Selected: true, From: Cold, To: Hot, Act: Move, ThresholdIOPS: 5000, N: 1,
		TargetPools: []string{"hot-1", "hot-2", "hot-3"},
		Route:       &Route{Landing: []string{"hot-1", "hot-2", "hot-3"}, Replicas: 2},
	}
	if diff := cmp.Diff(want, *d, cmp.AllowUnexported(Value{}), cmpopts.EquateComparable(Sample{})); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

// What an attempt left is cleaned up whatever else is the matter.
func TestRecoveryInEveryMode(t *testing.T) {
	unfinished := attempt(Attempt{N: 4, Policy: "gold", State: AttemptStarted, At: ago(time.Minute)})
	modes := map[string]inputEdit{
		"active":                         func(*Input) {},
		"disabled":                       with(disabled),
		"dry run":                        with(dryRun),
		"service dry run":                serviceDryRun,
		"finalizing":                     finalizing,
		"blind":                          where(func(w *World) { w.Metrics = Source{} }),
		"Mayastor down":                  where(func(w *World) { w.Mayastor = Source{} }),
		"Kubernetes down":                unread,
		"an upgrade":                     where(func(w *World) { w.Unsettled = "an upgrade runs" }),
		"no caps":                        limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 }),
		"no route":                       func(in *Input) { in.Route = func(*Volume, Tier, []string) Route { return Route{} } },
		"another policy wins the volume": rivalled(policy(t, "aaa", ranked(1))),
		"not selected any more":          with(func(s *StoragePolicySpec) { s.VolumeSelector = selector("a", "b") }),
		"of another class":               with(func(s *StoragePolicySpec) { s.StorageClassName = new("other") }),
		"does not compile": func(in *Input) {
			in.Policy, _ = Compile("gold", 4, ago(day), spec(func(s *StoragePolicySpec) { s.Priority = new(int64(1 << 50)) }))
		},
	}
	states := map[string]volumeEdit{
		"":            func(*Volume) {},
		", unlisted":  func(v *Volume) { v.Listed = false },
		", deleting":  func(v *Volume) { v.Deleting = true },
		", unknown":   unknown,
		", unhealthy": func(v *Volume) { v.Unhealthy = "r1 rebuilds"; remember(v).LastMigration = ago(time.Second) },
	}
	for mode, edit := range modes {
		for state, change := range states {
			t.Run(mode+state, func(t *testing.T) {
				_, d := one(t, volume("v", unfinished, change), edit)
				if d.Act != Recover || d.N != 5 {
					t.Errorf("got %s number %d, want Recover number 5", d.Act, d.N)
				}
			})
		}
	}
}

func TestWhoRecovers(t *testing.T) {
	by := func(policy string) volumeEdit {
		return attempt(Attempt{N: 4, Policy: policy, State: AttemptStarted, At: ago(time.Minute)})
	}
	low, high := policy(t, "other", ranked(-1)), policy(t, "aaa", ranked(1))
	tests := []struct {
		name   string
		policy string
		edits  []inputEdit
		want   Act
	}{
		{"the policy that started it", "gold", nil, Recover},
		{"not another one while that exists", "other", inp(rivalled(low)), Hold},
		{"not another one while that exists and has faults", "other", inp(func(in *Input) { in.Broken = []string{"other"} }), Hold},
		{"the one that wins the volume once that is gone", "gone", inp(rivalled(low)), Recover},
		{"not the one that loses the volume", "gone", inp(rivalled(high)), Hold},
		{"the one that wins the volume if nobody is named", "", nil, Recover},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, d := one(t, volume("v", by(test.policy)), test.edits...); d.Act != test.want {
				t.Errorf("got %s, want %s", d.Act, test.want)
			}
		})
	}
	in := input(t, []Volume{volume("v", by("gone"), func(v *Volume) { v.StorageClass = "other" })})
	if p := decide(t, in); len(p.Decisions) != 0 {
		t.Errorf("a volume that the policy does not select is recovered for a policy that is gone")
	}
}

func TestNoRecoveryWhileAJobIsLiveOrTheMemoryCannotBeRead(t *testing.T) {
	started := attempt(Attempt{N: 4, Policy: "gold", State: AttemptStarted, At: ago(time.Minute)})
	if _, d := one(t, volume("v", started, live(LiveJob{Policy: "other"}))); d.Act != Moving {
		t.Errorf("with a live Job: got %s, want Moving", d.Act)
	}
	_, d := one(t, volume("v", started, func(v *Volume) { remember(v).Fault = "two annotations" }))
	if d.Act != Hold || d.Held.Gate != GateClean {
		t.Errorf("with a memory fault: got %s by %q, want Hold by clean", d.Act, d.Held.Gate)
	}
}

func TestAJobOfThePolicyIsMovingThoughTheVolumeIsNoLongerSelected(t *testing.T) {
	v := volume("v", live(LiveJob{Name: "j", Policy: "gold"}), func(v *Volume) { v.StorageClass = "other" })
	if _, d := one(t, v); d.Act != Moving || d.Selected {
		t.Errorf("got %s, selected %v", d.Act, d.Selected)
	}
	v.Live.Policy = "other"
	if p := decide(t, input(t, []Volume{v})); len(p.Decisions) != 0 {
		t.Errorf("another policy's Job on another class: got %d decisions, want none", len(p.Decisions))
	}
}

func TestNextLook(t *testing.T) {
	cooling := func(left time.Duration) Volume {
		return volume(fmt.Sprint("v-", left), func(v *Volume) { remember(v).LastMigration = noon().Add(left - day) })
	}
	tried := volume("tried", attempt(Attempt{N: 1, Policy: "gold", State: AttemptMoved, At: ago(time.Minute)}))
	tests := []struct {
		name    string
		volumes []Volume
		later   time.Duration
		want    time.Duration
	}{
		{"nothing to wait for", nil, 0, 300 * time.Second},
		{"the next gate opens", []Volume{cooling(90 * time.Second), cooling(40 * time.Second)}, 0, 40 * time.Second},
		{"a gate that opens late", []Volume{cooling(time.Hour)}, 0, 300 * time.Second},
		{"a gate that opens in a moment", []Volume{cooling(time.Millisecond)}, 0, time.Second},
		{"a gate that has opened meanwhile", []Volume{cooling(time.Minute)}, time.Hour, time.Second},
		{"from the time that is asked", []Volume{cooling(time.Minute)}, 20 * time.Second, 40 * time.Second},
		// Time has opened it; what holds it is the age of a reading.
		{"a gate that waits for another reading", []Volume{tried}, 0, 30 * time.Second},
		{"a gate that opens before another reading", []Volume{tried, cooling(10 * time.Second)}, 0, 10 * time.Second},
		{"a gate that waits for another reading and one that opens late", []Volume{tried, cooling(time.Hour)}, 0, 30 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := decide(t, input(t, test.volumes, where(func(w *World) { w.ReadAt = ago(2 * time.Minute) })))
			if got := p.NextLook(noon().Add(test.later)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestVerdictsSeeCapacityAndCapsAsTheyStoodAtTheTurn(t *testing.T) {
	nine := 10 * tib / 10 * 9
	in := input(t, []Volume{volume("a", score(9000)), volume("b", score(8000)), volume("c", score(7000))}, roomy,
		where(func(w *World) {
			for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
				w.pool(name).UsedBytes = nine - 15*gib
			}
		}))
	p := decide(t, in)
	verdict := func(volume string, g Gate) Verdict {
		i, _ := p.Find(volume)
		return p.Verdicts(i)[slices.Index(Gates(), g)]
	}
	for volume, want := range map[string]string{
		"a": "0 moves in the cluster", "b": "1 move in the cluster", "c": "1 move in the cluster",
	} {
		if got := verdict(volume, GateCaps).Have.String(); got != want {
			t.Errorf("caps of %s: got %q, want %q", volume, got, want)
		}
	}
	if a, b := verdict("a", GateCapacity), verdict("b", GateCapacity); !a.Pass || b.Pass {
		t.Errorf("capacity: a %q, b %q, want a to pass and b not", a.Sentence(), b.Sentence())
	}
}

func TestDecideDoesNotChangeItsInput(t *testing.T) {
	build := func() Input {
		return input(t, []Volume{
			volume("b"), volume("a", on("hot-1", "cold-1")), volume("c", live(LiveJob{Policy: "other", To: Hot})),
		}, rivalled(policy(t, "z"), policy(t, "a")), where(func(w *World) { slices.Reverse(w.Pools); slices.Reverse(w.Nodes) }))
	}
	in, want := build(), build()
	p := decide(t, in)
	p.Status(StoragePolicyStatus{})
	in.Route, want.Route = nil, nil
	ignoreRules := cmp.Comparer(func(a, b Rules) bool { return a.Priority == b.Priority && a.StorageClass == b.StorageClass })
	if diff := cmp.Diff(want, in, ignoreRules, cmp.AllowUnexported(Policies{}, ranking{}), cmpopts.EquateComparable(Sample{})); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func TestAnEmptyWorldHoldsEverything(t *testing.T) {
	for name, w := range map[string]*World{"nil": nil, "zero": {}} {
		in := input(t, []Volume{volume("v")})
		in.World = w
		if d := decide(t, in).Decisions[0]; d.Act != Hold || d.Held.Gate != GateCoverage {
			t.Errorf("%s: got %s by %q, want Hold by coverage", name, d.Act, d.Held.Gate)
		}
	}
	if p := decide(t, Input{}); len(p.Decisions) != 0 {
		t.Errorf("no input: got %d decisions", len(p.Decisions))
	}
}
