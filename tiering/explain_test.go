package tiering

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/test/golden"
)

// open is a policy with one maintenance window each day.
func open(start, end string) inputEdit {
	return func(in *Input) {
		with(func(s *StoragePolicySpec) { s.MaintenanceWindows = []MaintenanceWindow{{Start: start, End: end}} })(in)
		ResolveZones(in.Policy.Rules.Windows, time.LoadLocation)
	}
}

// runs lets another volume of node-1 move.
func runs(in *Input) {
	in.Volumes = append(in.Volumes, new(volume("w", live(LiveJob{Name: "j", Policy: "other", From: Cold, To: Hot, TargetPools: []string{"hot-2"}}))))
}

// holdCases has one case for each kind of hold.
func holdCases(t prover) []gateCase {
	nine := 10 * tib / 10 * 9
	failed := func(k int64) volumeEdit {
		return attempt(Attempt{N: 5, Policy: "gold", State: AttemptFailed, Failures: k, Generation: 3, At: ago(time.Minute)})
	}
	return []gateCase{
		{name: "a disabled policy", input: inp(with(disabled))},
		{name: "a policy that is being deleted", input: inp(finalizing)},
		{name: "a policy that ranks higher", input: inp(rivalled(policy(t, "silver", ranked(10))))},
		{name: "Prometheus down", input: inp(where(func(w *World) { w.Metrics = Source{Message: "Prometheus did not answer within 30s"} }))},
		{name: "no sample", volume: vol(unknown)},
		{name: "no sample, as no pod uses it", volume: vol(unknown, func(v *Volume) { v.Unpublished = "it has no target" })},
		{name: "a one-sided score", volume: vol(func(v *Volume) { v.Sample = UnknownSample("there are reads and no writes") })},
		{name: "little coverage", volume: vol(sampled(6000, 31.26))},
		{name: "coverage just short", volume: vol(sampled(6000, 79.99))},
		{name: "where it belongs, two tiers", volume: vol(on("hot-1"), score(4711.26))},
		{name: "where it belongs, three tiers, hot", volume: vol(on("hot-1"), score(4711.26)), input: inp(with(withWarm))},
		{name: "where it belongs, three tiers, warm", volume: vol(on("warm-1"), score(2222)), input: inp(with(withWarm))},
		{name: "where it belongs, three tiers, cold", volume: vol(score(22)), input: inp(with(withWarm))},
		{name: "on no tier", volume: vol(on("spare"), score(1000))},
		{name: "unpublished", volume: vol(func(v *Volume) { v.Unpublished = "no pod uses it" })},
		{name: "being deleted", volume: vol(func(v *Volume) { v.Deleting = true })},
		{name: "Mayastor down", input: inp(where(func(w *World) { w.Mayastor = Source{Message: "Mayastor's REST API answers 503"} }))},
		{name: "not listed", volume: vol(func(v *Volume) { v.Listed = false })},
		{name: "unhealthy", volume: vol(func(v *Volume) { v.Unhealthy = "replica r1 on pool cold-1 is rebuilding" })},
		{name: "content", volume: vol(func(v *Volume) { v.Content = "it is a clone that was never published" })},
		{name: "snapshots", volume: vol(func(v *Volume) { v.Snapshots = 3 })},
		{name: "an upgrade", input: inp(where(func(w *World) { w.Unsettled = "io-engines of versions 2.9 and 2.10 run side by side" }))},
		{name: "an old server", input: inp(where(func(w *World) { w.Movable = "moves need Mayastor 2.10 or newer" }))},
		{name: "a drained node", input: inp(where(func(w *World) { w.node("node-1").Draining = true }))},
		{name: "a pool that came back", input: inp(where(func(w *World) { w.pool("hot-2").OnlineSince = ago(3 * time.Minute) }))},
		{name: "a tier that is offline", input: inp(where(func(w *World) {
			for i := range w.Pools {
				w.Pools[i].Online = false
			}
		}))},
		{name: "a live Job", volume: vol(live(LiveJob{Name: "couchestor-uuid-v-4", Policy: "gold"}))},
		{name: "memory that cannot be read", volume: vol(func(v *Volume) { remember(v).Fault = "annotation storage.billyronks.io/attempt is not JSON" })},
		{name: "unfinished, of another policy", volume: vol(attempt(Attempt{N: 4, Policy: "other", State: AttemptStarted, At: ago(time.Minute)})), input: inp(rivalled(policy(t, "other", ranked(-1))))},
		{name: "unfinished", volume: vol(attempt(Attempt{N: 4, Policy: "gold", State: AttemptStarted, At: ago(time.Minute)}))},
		{name: "three failures", volume: vol(failed(3))},
		{name: "five failures", volume: vol(failed(5))},
		{name: "refused", volume: vol(attempt(Attempt{N: 4, Policy: "gold", State: AttemptRefused, Reason: "NoFreeNode", At: ago(time.Minute)}))},
		{name: "aborted", volume: vol(attempt(Attempt{N: 4, Policy: "gold", State: AttemptAborted, At: ago(time.Minute)}))},
		{name: "cooling down", volume: vol(func(v *Volume) { remember(v).LastMigration = ago(90 * time.Minute) })},
		{name: "a tier without pools", input: inp(with(func(s *StoragePolicySpec) { s.HotPoolSelector = nil }))},
		{name: "no route", volume: vol(on("cold-1", "cold-2", "cold-3"), func(v *Volume) {
			for i, name := range []string{"node-4", "node-5", "node-6"} {
				v.Replicas[i].Node = name
			}
		})},
		{
			name: "an old reading", volume: vol(attempt(Attempt{N: 4, Policy: "gold", State: AttemptMoved, At: ago(time.Minute)})),
			input: inp(where(func(w *World) { w.ReadAt = ago(2 * time.Minute) })),
		},
		{name: "several refusals", input: inp(func(in *Input) {
			in.Route = func(*Volume, Tier, []string) Route {
				return Route{Reason: "SelfHealOff", Refusals: []string{"self_heal is off; switch it on", "b", "c"}}
			}
		})},
		{name: "a pool too full", input: inp(where(func(w *World) { w.pool("hot-2").UsedBytes = nine }))},
		{name: "a pool of unknown fill", input: inp(where(func(w *World) { w.pool("hot-2").CapacityBytes = 0 }))},
		{name: "too large for the timeout", volume: vol(func(v *Volume) { v.SizeBytes = 400 * gib })},
		{name: "no rate", input: inp(limits(func(l *Limits) { l.RebuildBytesPerSecond = 0 }))},
		{name: "the cluster's cap", input: inp(limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 }))},
		{name: "the policy's cap", input: inp(func(in *Input) {
			in.Policy.Rules.MaxConcurrentMigrations = 1
			in.Volumes = append(in.Volumes, new(volume("w", live(LiveJob{Policy: "gold", To: Hot}))))
		})},
		{name: "a freeze", input: inp(governed(t, free(frozenUntil(noon().Add(time.Hour))...)))},
		{name: "a freeze without an end", input: inp(func(in *Input) {
			in.Governed = &Governed{Known: true, Governance: Governance{Freeze: Freeze{Set: true, Reason: "year end"}}}
		})},
		{name: "the emergency stop", input: inp(governed(t, free(keyStop, "true", keyStopReason, "array burns")))},
		{name: "a governance that was never read", input: inp(func(in *Input) { in.Governed = &Governed{} })},
		{name: "a field outside its range", input: inp(governed(t, free("highWatermarkIOPS.max", "4999")))},
		{name: "promotions are paused", input: inp(with(func(s *StoragePolicySpec) { s.PausePromotions = new(true) }))},
		{name: "demotions are paused", volume: vol(on("hot-1"), score(1)), input: inp(with(func(s *StoragePolicySpec) { s.PauseDemotions = new(true) }))},
		{name: "the governance's cap", input: inp(governed(t, free(keyLimitMoves, "1")), runs)},
		{name: "the governance's bytes", input: inp(governed(t, free(keyLimitBytes, "10737418240")), runs)},
		{name: "the governance's moves to a pool", input: inp(governed(t, free(keyLimitPerPool, "1")), runs)},
		{name: "the governance's moves from a node", input: inp(governed(t, free(keyLimitPerNode, "1")), runs)},
		{name: "outside of the windows", input: inp(open("13:00", "14:00"))},
		{name: "a window that closes too soon", input: inp(open("11:00", "12:01"))},
		{name: "windows that are all too short", input: inp(open("13:00", "13:01"))},
		{name: "a proposal that waits", input: inp(with(manual))},
		{name: "a later wish than the proposal", input: inp(with(manual), func(in *Input) {
			b := newBoard(t, volume("first"))
			b.look(0)
			b.approve = b.status.Proposal.Digest
			b.look(time.Minute)
			in.Previous, in.Approve, in.Policy.UID = &b.status, b.approve, b.uid
			in.Now, in.Volumes = b.now, append(in.Volumes, each(b.volumes)...)
		})},
		{name: "an old view of Kubernetes", input: inp(where(func(w *World) { w.Kubernetes = &Source{Reason: "TooOld"} }))},
	}
}

func TestExplanationOfEachKindOfHold(t *testing.T) {
	var out strings.Builder
	seen := map[Gate]bool{}
	for _, c := range holdCases(t) {
		p := decide(t, input(t, []Volume{volume("v", c.volume...)}, c.input...))
		i, ok := p.Find("v")
		if !ok {
			t.Fatalf("%s: no decision", c.name)
		}
		d := &p.Decisions[i]
		seen[d.Held.Gate] = true
		fmt.Fprintf(&out, "# %s\n%s\nstatus: %s\n\n", c.name, d.Sentence(), d.Held.Reason())
	}
	golden.Check(t, "testdata/holds.golden", out.String())
	for _, g := range Gates() {
		// A policy that does not compile selects nothing, so it holds no volume.
		if !seen[g] && g != GateAccepted {
			t.Errorf("no case is held by %q", g)
		}
	}
}

func TestExplanationOfAllGatesOfAVolume(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		name   string
		volume []volumeEdit
		input  []inputEdit
	}{
		{name: "moves to hot"},
		{name: "would move to warm", volume: vol(score(3000)), input: inp(with(withWarm, dryRun))},
		{name: "moves down to warm", volume: vol(on("hot-1"), score(3000)), input: inp(with(withWarm))},
		{name: "moves to cold", volume: vol(on("hot-1"), score(30.04), attempt(Attempt{N: 8, State: AttemptMoved, At: ago(2 * day)}), func(v *Volume) { remember(v).LastMigration = ago(2 * day) })},
		{name: "mixed, finished", volume: vol(on("hot-1", "cold-2", "cold-3"), score(1000))},
		{name: "stays", volume: vol(on("hot-1"), score(1000))},
		{name: "unknown, disabled, unlisted", volume: vol(unknown, func(v *Volume) { v.Listed = false }), input: inp(with(disabled))},
		{name: "moving", volume: vol(live(LiveJob{Name: "couchestor-uuid-v-4", Policy: "gold", To: Hot}))},
	} {
		p, d := one(t, volume("v", c.volume...), c.input...)
		fmt.Fprintf(&out, "# %s\n%s\n", c.name, d.Sentence())
		for _, v := range p.Verdicts(0) {
			mark := "+"
			if !v.Pass {
				mark = "-"
			}
			fmt.Fprintf(&out, "%s %s\n", mark, v.Sentence())
		}
		out.WriteByte('\n')
	}
	golden.Check(t, "testdata/verdicts.golden", out.String())
}

// Whatever holds a volume, its sentence names the gate, and the time it opens
// if there is one; and the reason for status never names less than a cause.
func TestSentencesNameGateAndTime(t *testing.T) {
	for _, c := range holdCases(t) {
		t.Run(c.name, func(t *testing.T) {
			p := decide(t, input(t, []Volume{volume("v", c.volume...)}, c.input...))
			i, _ := p.Find("v")
			held := p.Decisions[i].Held
			s := held.Sentence()
			if !strings.HasPrefix(s, held.Gate.String()+": ") || !strings.HasSuffix(s, ".") || strings.Contains(s, "..") {
				t.Errorf("got %q", s)
			}
			if !held.OpensAt.IsZero() && !strings.Contains(s, held.OpensAt.UTC().Format(time.RFC3339)) {
				t.Errorf("%q does not say that it opens at %v", s, held.OpensAt)
			}
			if r := held.Reason(); r == "" || !strings.HasSuffix(r, ".") {
				t.Errorf("got the reason %q", r)
			}
		})
	}
}

func TestAnEmptyVerdictSaysNothing(t *testing.T) {
	if s, r := (Verdict{}).Sentence(), (Verdict{}).Reason(); s != "" || r != "" {
		t.Errorf("got %q and %q", s, r)
	}
}
