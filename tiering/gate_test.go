package tiering

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestGatesAreAskedInTheDocumentedOrder(t *testing.T) {
	var got []string
	for _, g := range Gates() {
		got = append(got, g.String())
	}
	want := []string{
		"accepted", "enabled", "mode", "policy wins", "coverage", "band", "published", "healthy", "content",
		"snapshots", "calm", "settled", "not live", "clean", "back-off", "cooldown", "route", "capacity", "fits", "caps",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	if got := NoGate.String(); got != "" {
		t.Errorf("no gate is called %q", got)
	}
}

// gateCase is a volume that wishes to go from cold to hot, with one thing
// changed. held is the gate that holds it; NoGate means that it moves.
type gateCase struct {
	name   string
	volume []volumeEdit
	input  []inputEdit
	held   Gate
	act    Act
	opens  time.Time
}

func (c *gateCase) run(t *testing.T) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		t.Helper()
		_, d := one(t, volume("v", c.volume...), c.input...)
		if d.Held.Gate != c.held {
			t.Errorf("held by %q (%s), want %q", d.Held.Gate, d.Held.Sentence(), c.held)
		}
		want := c.act
		if want == Hold && c.held == NoGate {
			want = Move
		}
		if d.Act != want {
			t.Errorf("act is %s, want %s", d.Act, want)
		}
		if !d.Held.OpensAt.Equal(c.opens) {
			t.Errorf("opens at %v, want %v", d.Held.OpensAt, c.opens)
		}
	})
}

func runGates(t *testing.T, cases []gateCase) {
	t.Helper()
	for i := range cases {
		cases[i].run(t)
	}
}

func vol(edits ...volumeEdit) []volumeEdit { return edits }
func inp(edits ...inputEdit) []inputEdit   { return edits }

func finalizing(in *Input)    { in.Finalizing = true }
func serviceDryRun(in *Input) { in.Limits.DryRun = true }
func dryRun(s *StoragePolicySpec) {
	s.DryRun = new(true)
}
func disabled(s *StoragePolicySpec) { s.Enabled = new(false) }

func TestGatesOfThePolicy(t *testing.T) {
	runGates(t, []gateCase{
		{name: "a volume that wishes to move and that nothing is in the way of moves"},
		{name: "a disabled policy starts nothing", input: inp(with(disabled)), held: GateEnabled},
		{name: "a policy that is being deleted starts nothing", input: inp(finalizing), held: GateMode},
		{name: "a dry run of the policy shows the move", input: inp(with(dryRun)), act: WouldMove},
		{name: "a dry run of the service shows the move", input: inp(serviceDryRun), act: WouldMove},
		{name: "a disabled policy in dry run shows nothing", input: inp(with(disabled, dryRun)), held: GateEnabled},
		{name: "deletion outranks dry run", input: inp(finalizing, serviceDryRun), held: GateMode},
		{
			name: "a policy with a higher priority wins", held: GateWins,
			input: inp(rivalled(policy(t, "silver", ranked(1)))),
		},
		{
			name: "a policy with a lower priority loses", act: Move,
			input: inp(rivalled(policy(t, "a", ranked(-1)))),
		},
		{
			name: "of equal priorities the name that sorts first wins", held: GateWins,
			input: inp(rivalled(policy(t, "aaa"))),
		},
		{
			name: "of equal priorities the name that sorts last loses", act: Move,
			input: inp(rivalled(policy(t, "zzz"))),
		},
		{
			name: "a policy of another class is no rival", act: Move,
			input: inp(rivalled(policy(t, "aaa", func(s *StoragePolicySpec) { s.StorageClassName = new("other") }))),
		},
		{
			name: "a rival that does not select the volume is none", act: Move,
			input: inp(rivalled(policy(t, "aaa", func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "db") }))),
		},
		{
			name: "to disable a policy does not hand its volumes to the next", held: GateWins,
			input: inp(rivalled(policy(t, "aaa", disabled))),
		},
		{
			name: "the policy itself among the others is no rival", act: Move,
			input: inp(rivalled(policy(t, "gold", ranked(9)))),
		},
	})
}

func TestGatesOfTheScore(t *testing.T) {
	runGates(t, []gateCase{
		{name: "no sample holds the tier", volume: vol(unknown), held: GateCoverage},
		{name: "an unknown sample holds the tier", volume: vol(func(v *Volume) { v.Sample = UnknownSample("a warning") }), held: GateCoverage},
		{name: "a busy volume with 79 % coverage holds its tier", volume: vol(sampled(6000, 79)), held: GateCoverage},
		{name: "a hair below the coverage is not enough", volume: vol(sampled(6000, 79.9999)), held: GateCoverage},
		{name: "80 % coverage is enough", volume: vol(sampled(6000, 80)), act: Move},
		{name: "an idle volume without coverage is not cold", volume: vol(sampled(0, 10), on("hot-1")), held: GateCoverage},
		{name: "a volume whose counters say 0 with full coverage is cold", volume: vol(score(0), on("hot-1")), act: Move},
		{
			name: "Prometheus down makes every score unknown", held: GateCoverage,
			input: inp(where(func(w *World) { w.Metrics = Source{Reason: "QueryFailed", Message: "no answer"} })),
		},
		{name: "where it belongs it stays", volume: vol(on("hot-1")), held: GateBand, act: Stay},
		{name: "between the watermarks it stays", volume: vol(score(3000)), held: GateBand, act: Stay},
	})
}

func TestGatesOfTheVolume(t *testing.T) {
	moveSnapshots := with(func(s *StoragePolicySpec) { s.VolumesWithSnapshots = new(MoveSnapshots) })
	runGates(t, []gateCase{
		{name: "an unpublished volume stays", volume: vol(func(v *Volume) { v.Unpublished = "no pod uses it" }), held: GatePublished},
		{name: "a volume that is being deleted stays", volume: vol(func(v *Volume) { v.Deleting = true }), held: GateHealthy},
		{name: "a volume that Mayastor does not list stays", volume: vol(func(v *Volume) { v.Listed = false }), held: GateHealthy},
		{name: "a volume without replicas stays", volume: vol(on()), held: GateHealthy},
		{name: "a degraded volume stays", volume: vol(func(v *Volume) { v.Unhealthy = "replica r1 is rebuilding" }), held: GateHealthy},
		{
			name: "Mayastor down holds every volume, whatever was seen last", held: GateHealthy,
			volume: vol(func(v *Volume) { v.Unpublished = "an old reading" }),
			input:  inp(where(func(w *World) { w.Mayastor = Source{} })),
		},
		{name: "content that cannot be copied stays", volume: vol(func(v *Volume) { v.Content = "a clone that was never published" }), held: GateContent},
		{name: "a volume with snapshots stays", volume: vol(func(v *Volume) { v.Snapshots = 1 }), held: GateSnapshots},
		{name: "with Move it leaves them behind", volume: vol(func(v *Volume) { v.Snapshots = 1 }), input: inp(moveSnapshots)},
	})
}

func TestGatesOfTheCluster(t *testing.T) {
	minutesAgo := func(m int) time.Time { return ago(time.Duration(m) * time.Minute) }
	runGates(t, []gateCase{
		{name: "an old view of Kubernetes holds", input: inp(unread), held: GateCalm},
		{name: "mixed versions hold", input: inp(where(func(w *World) { w.Unsettled = "an upgrade runs" })), held: GateCalm},
		{name: "a server that cannot be steered holds", input: inp(where(func(w *World) { w.Movable = "2.10 would do" })), held: GateCalm},
		{
			name: "a dry run shows what a server that can be steered would do", act: WouldMove,
			input: inp(serviceDryRun, where(func(w *World) { w.Movable = "2.10 would do" })),
		},
		{name: "a dry run does not look past an upgrade", input: inp(serviceDryRun, where(func(w *World) { w.Unsettled = "an upgrade runs" })), held: GateCalm},
		{name: "a node of the volume that is offline holds", input: inp(where(func(w *World) { w.node("node-1").Online = false })), held: GateCalm},
		{name: "a node of the volume that is drained holds", input: inp(where(func(w *World) { w.node("node-1").Draining = true })), held: GateCalm},
		{name: "a node that nobody knows holds", input: inp(where(func(w *World) { w.Nodes = w.Nodes[1:] })), held: GateCalm},
		{name: "a drained node elsewhere does not hold", input: inp(where(func(w *World) { w.node("node-9").Draining = true }))},
		{
			name: "a node of the volume that came back holds", held: GateSettled, opens: minutesAgo(-8),
			input: inp(where(func(w *World) { w.node("node-1").OnlineSince = minutesAgo(2) })),
		},
		{
			name: "a target pool that came back holds", held: GateSettled, opens: minutesAgo(-1),
			input: inp(where(func(w *World) { w.pool("hot-2").OnlineSince = minutesAgo(9) })),
		},
		{
			name: "a node of a target pool that came back holds", held: GateSettled, opens: minutesAgo(-5),
			input: inp(where(func(w *World) { w.node("node-6").OnlineSince = minutesAgo(5) })),
		},
		{
			name: "the last of them to settle says when", held: GateSettled, opens: minutesAgo(-7),
			input: inp(where(func(w *World) {
				w.node("node-1").OnlineSince = minutesAgo(4)
				w.pool("hot-1").OnlineSince = minutesAgo(9)
				w.pool("hot-2").OnlineSince = minutesAgo(3)
				w.node("node-6").OnlineSince = minutesAgo(6)
			})),
		},
		{name: "after the settle time it moves", input: inp(where(func(w *World) { w.pool("hot-2").OnlineSince = minutesAgo(10) }))},
		{
			name: "what opens at no known time opens last, a pool", held: GateSettled,
			input: inp(where(func(w *World) {
				w.pool("hot-1").OnlineSince, w.pool("hot-2").OnlineSince = time.Time{}, minutesAgo(3)
				w.node("node-1").OnlineSince = minutesAgo(2)
			})),
		},
		{
			name: "what opens at no known time opens last, a node", held: GateSettled,
			input: inp(where(func(w *World) {
				w.pool("hot-2").OnlineSince, w.node("node-1").OnlineSince = minutesAgo(3), time.Time{}
			})),
		},
		{name: "a target pool that is Online since nobody knows when holds", input: inp(where(func(w *World) { w.pool("hot-2").OnlineSince = time.Time{} })), held: GateSettled},
		{name: "one dead pool of the tier does not hold the others", input: inp(where(func(w *World) { w.pool("hot-2").Online = false }))},
		{name: "one dead node of the tier does not hold the others", input: inp(where(func(w *World) { w.node("node-5").Online = false }))},
		{
			name: "a tier whose pools are all offline holds", held: GateSettled,
			input: inp(where(func(w *World) {
				for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
					w.pool(name).Online = false
				}
			})),
		},
		{name: "a pool of another tier may do what it likes", input: inp(where(func(w *World) { w.pool("cold-2").OnlineSince = minutesAgo(1) }))},
		{
			name: "without a settle time Online is enough",
			input: inp(limits(func(l *Limits) { l.Settle = 0 }), where(func(w *World) {
				w.pool("hot-2").OnlineSince, w.node("node-1").OnlineSince = noon(), time.Time{}
			})),
		},
	})
}

func TestGatesOfTheMemory(t *testing.T) {
	at := func(a Attempt) []volumeEdit { return vol(attempt(a)) }
	failed := func(k int64, since time.Duration) Attempt {
		return Attempt{N: 5, Policy: "gold", State: AttemptFailed, Failures: k, Generation: 3, At: ago(since)}
	}
	const m = time.Minute
	runGates(t, []gateCase{
		{name: "a live Job moves the volume", volume: vol(live(LiveJob{Name: "j", Policy: "gold"})), held: GateNotLive, act: Moving},
		{name: "a live Job of another policy moves the volume", volume: vol(live(LiveJob{Name: "j", Policy: "other"})), held: GateNotLive, act: Moving},
		{name: "memory that cannot be read holds", volume: vol(func(v *Volume) { remember(v).Fault = "no JSON" }), held: GateClean},
		{name: "memory with an unknown state holds", volume: at(Attempt{N: 1, State: "paused", At: ago(day)}), held: GateClean},
		{name: "memory of a failure without a time holds", volume: at(Attempt{N: 1, State: AttemptFailed, Failures: 1}), held: GateClean},
		{name: "an unfinished attempt is recovered", volume: at(Attempt{N: 1, Policy: "gold", State: AttemptStarted, At: ago(m)}), held: GateClean, act: Recover},
		{
			name: "an unfinished attempt of a policy that exists is left to it", held: GateClean,
			volume: at(Attempt{N: 1, Policy: "other", State: AttemptStarted, At: ago(m)}),
			input:  inp(rivalled(policy(t, "other", ranked(-1)))),
		},
		{name: "a success needs no wait", volume: at(Attempt{N: 1, State: AttemptMoved, At: ago(m)})},
		{name: "one failure waits 15m", volume: at(failed(1, 14*m)), held: GateBackOff, opens: ago(-m)},
		{name: "one failure is over after 15m", volume: at(failed(1, 15*m))},
		{name: "two failures wait 30m", volume: at(failed(2, 29*m)), held: GateBackOff, opens: ago(-m)},
		{name: "three failures wait 1h", volume: at(failed(3, 59*m)), held: GateBackOff, opens: ago(-m)},
		{name: "four failures wait 2h", volume: at(failed(4, 119*m)), held: GateBackOff, opens: ago(-m)},
		{name: "four failures are over after 2h", volume: at(failed(4, 120*m))},
		{name: "five failures wait for another generation", volume: at(failed(5, 29*day)), held: GateBackOff},
		{name: "another generation tries again at once", volume: at(failed(5, m)), input: inp(func(in *Input) { in.Policy.Generation = 4 })},
		{name: "a policy created again tries again", volume: at(failed(5, 2*m)), input: inp(func(in *Input) { in.Policy.Created = ago(m) })},
		{
			name: "another policy tries again", input: inp(rivalled(policy(t, "other", ranked(-1)))),
			volume: at(Attempt{N: 5, Policy: "other", State: AttemptFailed, Failures: 9, Generation: 3, At: ago(m)}),
		},
		{
			name: "five failures of nobody known wait for time", held: GateBackOff, opens: ago(-3 * time.Hour),
			volume: at(Attempt{N: 5, State: AttemptFailed, Failures: 5, At: ago(time.Hour)}),
		},
		{
			name: "the wait never exceeds a day", held: GateBackOff, opens: ago(-time.Hour),
			volume: at(Attempt{N: 5, State: AttemptFailed, Failures: 1 << 60, At: ago(23 * time.Hour)}),
		},
		{name: "a failure that was never counted counts", volume: at(failed(0, m)), held: GateBackOff, opens: ago(-14 * m)},
		{name: "what was refused waits 15m", volume: at(Attempt{N: 1, State: AttemptRefused, Failures: 7, At: ago(m)}), held: GateBackOff, opens: ago(-14 * m)},
		{name: "what was refused is no failure", volume: at(Attempt{N: 1, State: AttemptRefused, Failures: 7, At: ago(15 * m)})},
		{name: "what was not admitted waits 15m", volume: at(Attempt{N: 1, State: AttemptFailed, Reason: "NotAdmitted", Failures: 4, At: ago(m)}), held: GateBackOff, opens: ago(-14 * m)},
		{name: "what was aborted waits 15m", volume: at(Attempt{N: 1, State: AttemptAborted, At: ago(m)}), held: GateBackOff, opens: ago(-14 * m)},
		{name: "cooldown holds", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(23 * time.Hour) }), held: GateCooldown, opens: ago(-time.Hour)},
		{name: "cooldown is over after its period", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(24 * time.Hour) })},
		{name: "a move in the future still cools down", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(-time.Hour) }), held: GateCooldown, opens: ago(-25 * time.Hour)},
		{
			name:   "a volume left mixed is finished in its cooldown",
			volume: vol(on("hot-1", "cold-2"), func(v *Volume) { remember(v).LastMigration = ago(m) }),
		},
		{
			name: "a volume left mixed is held by back-off", held: GateBackOff, opens: ago(-14 * m),
			volume: vol(on("hot-1", "cold-2"), attempt(failed(1, m)), func(v *Volume) { remember(v).LastMigration = ago(m) }),
		},
	})
}

func TestGatesOfTheTarget(t *testing.T) {
	refuse := func(r Route) inputEdit {
		return func(in *Input) { in.Route = func(*Volume, Tier, []string) Route { return r } }
	}
	fill := func(name string, used int64) inputEdit {
		return where(func(w *World) { w.pool(name).UsedBytes = used })
	}
	nine := 10 * tib / 10 * 9
	thin := func(allocated int64) volumeEdit {
		return func(v *Volume) { v.Thin, v.AllocatedBytes = true, allocated }
	}
	timeout := func(d Duration) inputEdit {
		return with(func(s *StoragePolicySpec) { s.MigrationTimeout = &d })
	}
	runGates(t, []gateCase{
		{name: "a tier without pools has no route", held: GateRoute, input: inp(with(func(s *StoragePolicySpec) { s.HotPoolSelector = nil }))},
		{
			name: "a volume whose attempt ended after Mayastor was read has no route until the next reading", held: GateRoute, opens: ago(2*day - time.Second),
			volume: vol(func(v *Volume) { remember(v).Attempt = Attempt{N: 1, State: AttemptMoved, At: ago(2 * day)} }),
			input:  inp(where(func(w *World) { w.ReadAt = ago(2*day - 999*time.Millisecond) })),
		},
		{
			name: "and moves by that", act: Move,
			volume: vol(func(v *Volume) { remember(v).Attempt = Attempt{N: 1, State: AttemptMoved, At: ago(2 * day)} }),
			input:  inp(where(func(w *World) { w.ReadAt = ago(2*day - time.Second) })),
		},
		{name: "a refused route holds", held: GateRoute, input: inp(refuse(Route{Reason: "Clone", Refusals: []string{"a", "b"}}))},
		{name: "a route without a pool holds", held: GateRoute, input: inp(refuse(Route{Replicas: 1}))},
		{name: "a route without a replica holds", held: GateRoute, input: inp(refuse(Route{Landing: []string{"hot-1"}}))},
		{name: "a route that leads out of the tier holds", held: GateRoute, input: inp(refuse(Route{Replicas: 1, Landing: []string{"hot-1", "cold-2"}}))},
		{name: "a route to a pool that nobody knows holds", held: GateRoute, input: inp(refuse(Route{Replicas: 1, Landing: []string{"ghost"}}))},
		{name: "a pool filled to the limit by the move takes it", input: inp(fill("hot-1", nine-10*gib))},
		{name: "a pool filled a byte beyond does not", held: GateCapacity, input: inp(fill("hot-1", nine-10*gib+1))},
		{name: "each pool it may land on must do", held: GateCapacity, input: inp(fill("hot-3", nine))},
		{name: "a pool that is beyond its limit does not", held: GateCapacity, input: inp(fill("hot-1", 20*tib))},
		{name: "a pool of unknown size does not", held: GateCapacity, input: inp(where(func(w *World) { w.pool("hot-2").CapacityBytes = 0 }))},
		{name: "a pool of impossible fill does not", held: GateCapacity, input: inp(fill("hot-2", -1))},
		{name: "a volume of unknown size does not go", held: GateCapacity, volume: vol(func(v *Volume) { v.SizeBytes = 0 })},
		{name: "a thin volume needs its allocation and 40 % of its size", volume: vol(thin(1 * gib)), input: inp(fill("hot-1", nine-5*gib))},
		{name: "a thin volume needs no byte less", held: GateCapacity, volume: vol(thin(1*gib + 1)), input: inp(fill("hot-1", nine-5*gib))},
		{name: "a thin volume needs at most its size", volume: vol(thin(9 * gib)), input: inp(fill("hot-1", nine-10*gib))},
		{name: "a thin volume of unknown allocation needs its size", held: GateCapacity, volume: vol(thin(0)), input: inp(fill("hot-1", nine-9*gib))},
		{name: "what takes exactly the timeout fits", volume: vol(func(v *Volume) { v.SizeBytes = 60 * 100 << 20 }), input: inp(timeout("1m"))},
		{name: "what takes longer does not", held: GateFits, volume: vol(func(v *Volume) { v.SizeBytes = 60*100<<20 + 1 }), input: inp(timeout("1m"))},
		{name: "unwritten ranges of a thin volume take no time", volume: vol(thin(1 * gib)), input: inp(timeout("11s"))},
		{name: "an unknown rate fits nothing", held: GateFits, input: inp(limits(func(l *Limits) { l.RebuildBytesPerSecond = 0 }))},
		{name: "a huge volume at a tiny rate does not overflow", held: GateFits, volume: vol(func(v *Volume) { v.SizeBytes = 4 * tib }), input: inp(limits(func(l *Limits) { l.RebuildBytesPerSecond = 1 }))},
		{name: "no room in the cluster holds", held: GateCaps, input: inp(limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 }))},
	})
}

func TestRouteIsAskedOnlyForWishesThatNothingElseHolds(t *testing.T) {
	asked := map[string]int{}
	in := input(t, []Volume{
		volume("wish"),
		volume("stay", on("hot-1")),
		volume("unknown", unknown),
		volume("cooling", func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }),
		volume("moving", live(LiveJob{Policy: "gold"})),
	})
	inner := in.Route
	in.Route = func(v *Volume, to Tier, pools []string) Route {
		asked[v.Name]++
		if to != Hot {
			t.Errorf("asked for tier %s, want hot", to)
		}
		if diff := cmp.Diff([]string{"hot-1", "hot-2", "hot-3"}, pools); diff != "" {
			t.Errorf("pools (-want +got):\n%s", diff)
		}
		return inner(v, to, pools)
	}
	Decide(in)
	if diff := cmp.Diff(map[string]int{"wish": 1}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestNoRouteFunctionRefusesEveryMove(t *testing.T) {
	in := input(t, []Volume{volume("v")})
	in.Route = nil
	if d := decide(t, in).Decisions[0]; d.Act != Hold || d.Held.Gate != GateRoute {
		t.Errorf("got %s by %q, want Hold by route", d.Act, d.Held.Gate)
	}
}

func TestAPolicyThatDoesNotCompileSelectsNothing(t *testing.T) {
	in := input(t, []Volume{volume("v")})
	broken, faults := Compile("gold", 3, ago(day), spec(func(s *StoragePolicySpec) { s.MinCoverage = new(int64(1)) }))
	if len(faults) != 1 {
		t.Fatalf("got faults %v, want one", faults)
	}
	in.Policy = broken
	if p := decide(t, in); len(p.Decisions) != 0 {
		t.Errorf("got %d decisions, want none", len(p.Decisions))
	}
	in.Policy.Rules = Rules{Enabled: true, StorageClass: "mayastor"}
	if p := decide(t, in); len(p.Decisions) != 0 {
		t.Errorf("rules made by hand: got %d decisions, want none", len(p.Decisions))
	}
}

func TestMatchExpressionsSelectVolumes(t *testing.T) {
	expression := func(op metav1.LabelSelectorOperator, values ...string) inputEdit {
		return with(func(s *StoragePolicySpec) {
			s.VolumeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: op, Values: values}}}
		})
	}
	labelled := func(v *Volume) { v.Labels = map[string]string{"app": "db"} }
	tests := []struct {
		name     string
		selector inputEdit
		want     int
	}{
		{"In", expression(metav1.LabelSelectorOpIn, "web", "db"), 1},
		{"In, another", expression(metav1.LabelSelectorOpIn, "web"), 0},
		{"NotIn", expression(metav1.LabelSelectorOpNotIn, "web"), 1},
		{"NotIn, this", expression(metav1.LabelSelectorOpNotIn, "db"), 0},
		{"Exists", expression(metav1.LabelSelectorOpExists), 1},
		{"DoesNotExist", expression(metav1.LabelSelectorOpDoesNotExist), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := decide(t, input(t, []Volume{volume("v", labelled)}, test.selector))
			if len(p.Decisions) != test.want {
				t.Errorf("got %d volumes selected, want %d", len(p.Decisions), test.want)
			}
		})
	}
}
