package tiering

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
)

// Inputs that try to talk a gate into a move. Each is one that some reader could
// really come to, by a fault, a race or a clock that jumps.
func TestNoInputTalksAGateIntoAMove(t *testing.T) {
	future := noon().Add(365 * day)
	runGates(t, []gateCase{
		{name: "coverage: a score without its coverage", volume: vol(sampled(1e9, 0)), held: GateCoverage},
		{name: "coverage: good samples of a source that is down", input: inp(where(func(w *World) { w.Metrics.OK = false })), held: GateCoverage},
		{name: "band: the largest score on the hot tier", volume: vol(on("hot-1"), score(math.MaxFloat64)), held: GateBand, act: Stay},
		{name: "published: a space is a reason", volume: vol(func(v *Volume) { v.Unpublished = " " }), held: GatePublished},
		{name: "healthy: a good reading of a source that is down", input: inp(where(func(w *World) { w.Mayastor.OK = false })), held: GateHealthy},
		{name: "healthy: deletion while all is well", volume: vol(func(v *Volume) { v.Deleting = true }), held: GateHealthy},
		{name: "snapshots: a negative number", volume: vol(func(v *Volume) { v.Snapshots = -1 }), held: GateSnapshots},
		{name: "calm: a replica on no node", volume: vol(func(v *Volume) { v.Replicas[0].Node = "" }), held: GateCalm},
		{name: "calm: the last of three nodes drains", volume: vol(on("cold-1", "cold-2", "cold-3")), input: inp(where(func(w *World) { w.node("node-3").Draining = true })), held: GateCalm},
		{name: "settled: a clock that jumped back", input: inp(where(func(w *World) { w.pool("hot-1").OnlineSince = future })), held: GateSettled, opens: future.Add(10 * time.Minute)},
		{name: "settled: offline with an old time", input: inp(where(func(w *World) {
			for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
				w.pool(name).Online = false
			}
		})), held: GateSettled},
		{name: "settled: pools on nodes that are gone", input: inp(where(func(w *World) {
			for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
				w.pool(name).Node = "gone"
			}
		})), held: GateSettled},
		{name: "clean: a started attempt that says it moved before", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(48 * time.Hour) }, attempt(Attempt{N: 1, Policy: "gold", State: AttemptStarted, At: ago(365 * day)})), held: GateClean, act: Recover},
		{name: "clean: capital letters are another state", volume: vol(attempt(Attempt{N: 1, State: "Moved", At: ago(day)})), held: GateClean},
		{name: "back-off: a failure in the future", volume: vol(attempt(Attempt{N: 1, State: AttemptFailed, Failures: 1, At: future})), held: GateBackOff, opens: future.Add(15 * time.Minute)},
		{name: "back-off: negative failures", volume: vol(attempt(Attempt{N: 1, State: AttemptFailed, Failures: -7, At: ago(time.Minute)})), held: GateBackOff, opens: ago(-14 * time.Minute)},
		{name: "back-off: more failures than bits", volume: vol(attempt(Attempt{N: 1, State: AttemptFailed, Failures: math.MaxInt64, At: ago(time.Minute)})), held: GateBackOff, opens: ago(time.Minute - day)},
		{name: "cooldown: the longest period", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(3649 * day) }), input: inp(with(func(s *StoragePolicySpec) { s.CooldownPeriod = new(Duration("3650d")) })), held: GateCooldown, opens: ago(-day)},
		{name: "route: refused and shown all the same", held: GateRoute, input: inp(func(in *Input) {
			in.Route = func(*Volume, Tier, []string) Route {
				return Route{Replicas: 1, Landing: []string{"hot-1"}, Refusals: []string{""}}
			}
		})},
		{name: "capacity: the largest volume", volume: vol(func(v *Volume) { v.SizeBytes = math.MaxInt64 }), held: GateCapacity},
		{name: "capacity: a volume of less than nothing", volume: vol(func(v *Volume) { v.SizeBytes = -1 }), held: GateCapacity},
		{name: "capacity: a pool of the largest size is not full", input: inp(where(func(w *World) { w.pool("hot-1").CapacityBytes = math.MaxInt64 }))},
		{name: "capacity: a pool that uses all there is", input: inp(where(func(w *World) { w.pool("hot-1").UsedBytes = math.MaxInt64 })), held: GateCapacity},
		{name: "fits: a rate of less than nothing", input: inp(limits(func(l *Limits) { l.RebuildBytesPerSecond = -1 })), held: GateFits},
		{name: "caps: a cap of less than nothing", input: inp(limits(func(l *Limits) { l.MaxConcurrentMigrations = -1 })), held: GateCaps},
	})
}

func TestAPoolLabelledForTwoTiersIsNoTargetAndNoHome(t *testing.T) {
	both := where(func(w *World) { w.pool("hot-1").Labels = labels.Set{"tier": "hot", "disk": "sata"} })
	cold := func(s *StoragePolicySpec) { s.ColdPoolSelector = selector("disk", "sata") }
	in := input(t, []Volume{volume("v", on("hot-1"))}, with(cold), both)
	p := decide(t, in)
	if d := &p.Decisions[0]; d.From != NoTier || d.Mixed {
		t.Errorf("a volume on it is on %s", d.FromWord())
	}
	if diff := cmp.Diff([]string{"hot-2", "hot-3"}, p.Tiers.Pools(Hot)); diff != "" {
		t.Errorf("pools (-want +got):\n%s", diff)
	}
}

func TestAPolicyCannotOutrankByItsNameAlone(t *testing.T) {
	for _, name := range []string{"", " gold", "GOLD", "a"} {
		rival := policy(t, "x", ranked(-1))
		rival.Name = name
		if _, d := one(t, volume("v"), rivalled(rival)); d.Act != Move {
			t.Errorf("policy %q with a lower priority: %s by %q", name, d.Act, d.Held.Gate)
		}
	}
}

func TestALiveJobIsNeverDoubled(t *testing.T) {
	for name, job := range map[string]LiveJob{
		"of nobody":              {},
		"of another policy":      {Name: "j", Policy: "other"},
		"a recovery":             {Name: "j", Policy: "gold", Recovery: true},
		"to where it is":         {Name: "j", Policy: "gold", From: Cold, To: Cold},
		"in the other direction": {Name: "j", Policy: "gold", From: Hot, To: Cold},
	} {
		for _, state := range []AttemptState{"", AttemptStarted, AttemptMoved, AttemptFailed} {
			_, d := one(t, volume("v", live(job), attempt(Attempt{N: 3, Policy: "gold", State: state, At: ago(time.Hour)})))
			if d.Act != Moving || d.N != 0 {
				t.Errorf("%s, %q: %s number %d", name, state, d.Act, d.N)
			}
		}
	}
}

// Whoever writes sentences for us may end them or not.
func TestSentencesOfOthersEndOnce(t *testing.T) {
	for _, why := range []string{"the query failed", "the query failed.", "the query failed. "} {
		_, d := one(t, volume("v", func(v *Volume) { v.Sample = UnknownSample(why) }))
		if s := d.Held.Sentence(); strings.Contains(s, ".;") || strings.Contains(s, " ;") || !strings.Contains(s, "the query failed; ") {
			t.Errorf("got %q", s)
		}
	}
}
