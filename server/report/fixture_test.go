package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/tiering"
)

const gib = int64(1) << 30

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// policy has three tiers, or two where warm is 0.
func policy(t *testing.T, name string, warm int64, edits ...func(*tiering.StoragePolicySpec)) tiering.Policy {
	t.Helper()
	tier := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": name}}
	}
	spec := tiering.StoragePolicySpec{
		HotPoolSelector: tier("hot"), ColdPoolSelector: tier("cold"), MaxConcurrentMigrations: new(int64(4)),
	}
	if warm > 0 {
		spec.WarmWatermarkIOPS, spec.WarmPoolSelector = new(warm), tier("warm")
	}
	for _, edit := range edits {
		edit(&spec)
	}
	p, faults := tiering.Compile(name, 3, noon().Add(-1000*time.Hour), spec)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

func selecting(namespaces ...string) func(*tiering.StoragePolicySpec) {
	return func(s *tiering.StoragePolicySpec) { s.ClaimNamespaces = namespaces }
}

func sample(iops, coverage float64) tiering.Sample {
	s, err := tiering.NewSample(iops, coverage)
	if err != nil {
		panic(err)
	}
	return s
}

func nodeOf(pool string) string { return "node-" + pool[strings.LastIndex(pool, "-")+1:] }

func volume(claim string, iops float64, pools []string, edits ...func(*tiering.Volume)) tiering.Volume {
	v := tiering.Volume{
		Name: "pvc-" + strings.ReplaceAll(claim, "/", "-"), UUID: "uuid-" + claim, StorageClass: "mayastor",
		Listed: true, SizeBytes: 40 * gib, AllocatedBytes: 25 * gib, Thin: true, Sample: sample(iops, 100),
	}
	v.ClaimNamespace, v.ClaimName, _ = strings.Cut(claim, "/")
	for i, pool := range pools {
		v.Replicas = append(v.Replicas, tiering.Replica{UUID: fmt.Sprintf("r%d", i), Pool: pool, Node: nodeOf(pool)})
	}
	for _, edit := range edits {
		edit(&v)
	}
	return v
}

// world has n nodes with a pool of each tier.
func world(now time.Time, n int) *tiering.World {
	w := &tiering.World{
		Metrics:      tiering.Source{OK: true, Message: "Prometheus answers."},
		ScoresReadAt: now.Add(-5 * time.Second),
		Mayastor:     tiering.Source{OK: true, Message: "Mayastor answers."},
		ReadAt:       now.Add(-10 * time.Second),
		Steering:     "the server's API has the pool cordon, so it is Mayastor 2.10 or newer",
	}
	used := map[string]int64{"hot": 56, "warm": 33, "cold": 41}
	for i := 1; i <= n; i++ {
		w.Nodes = append(w.Nodes, tiering.Node{Name: fmt.Sprintf("node-%d", i), Online: true})
		for tier, size := range map[string]int64{"hot": 1600, "warm": 4000, "cold": 8000} {
			w.Pools = append(w.Pools, tiering.Pool{
				Name: fmt.Sprintf("%s-%d", tier, i), Node: fmt.Sprintf("node-%d", i), Labels: labels.Set{"tier": tier},
				Online: true, CapacityBytes: size * gib, UsedBytes: size * (used[tier] + int64(4*i)) / 100 * gib,
			})
		}
	}
	slices.SortFunc(w.Pools, func(a, b tiering.Pool) int { return strings.Compare(a.Name, b.Name) })
	return w
}

// routed finds a place for every volume but those called no-way.
func routed(v *tiering.Volume, to tiering.Tier, pools []string) tiering.Route {
	if strings.HasPrefix(v.ClaimName, "no-way") {
		return tiering.Route{Reason: "NoFreeNode", Refusals: []string{"each node with a pool of tier " + to.String() + " has a replica of it already; add a node, or wait"}}
	}
	r := tiering.Route{Replicas: len(v.Replicas)}
	for _, p := range pools {
		if !slices.ContainsFunc(v.Replicas, func(r tiering.Replica) bool { return r.Node == nodeOf(p) }) {
			r.Landing = append(r.Landing, p)
		}
	}
	return r
}

func input(now time.Time, p tiering.Policy, w *tiering.World, volumes []tiering.Volume, others ...tiering.Policy) tiering.Input {
	var rivals []*tiering.Policy
	for i := range others {
		rivals = append(rivals, &others[i])
	}
	each := make([]*tiering.Volume, len(volumes))
	for i := range volumes {
		each[i] = &volumes[i]
	}
	return tiering.Input{
		Now: now, Policy: p, World: w, Volumes: each, Others: tiering.Arrange(rivals...),
		Limits: tiering.Limits{MaxConcurrentMigrations: 6, RebuildBytesPerSecond: 100 << 20}, Route: routed,
	}
}

func explained(in tiering.Input, past tiering.StoragePolicyStatus) tiering.Explanation {
	p := tiering.Decide(in)
	s := p.Status(past)
	return p.Explain(&s)
}

// recorded is the status with these results.
func recorded(entries ...tiering.HistoryEntry) tiering.StoragePolicyStatus {
	s := tiering.StoragePolicyStatus{Phase: tiering.PhaseActive}
	for _, e := range entries {
		tiering.Record(&s, e)
	}
	return s
}

func result(n int, claim, from, to string, at time.Time, edits ...func(*tiering.HistoryEntry)) tiering.HistoryEntry {
	h := tiering.HistoryEntry{
		JobName: fmt.Sprintf("couchestor-uuid-%s-%d", claim, n), VolumeName: "pvc-" + strings.ReplaceAll(claim, "/", "-"), Claim: claim,
		Timestamp: metav1.NewTime(at), FromTier: from, ToTier: to, FromPool: from + "-1", ToPool: to + "-2",
		TriggerIOPS: 6100, Duration: "4m12s", Bytes: 80 * gib, Outcome: tiering.OutcomeMoved, Success: true,
	}
	for _, edit := range edits {
		edit(&h)
	}
	return h
}

func ended(outcome, reason, text string) func(*tiering.HistoryEntry) {
	return func(h *tiering.HistoryEntry) {
		h.Outcome, h.Reason, h.Error, h.Success, h.Bytes, h.ToPool = outcome, reason, text, false, 0, ""
	}
}

// kubernetes is the source that a command adds.
func kubernetes(e tiering.Explanation, at time.Time) tiering.Explanation {
	e.Sources = append(e.Sources, tiering.SourceExplanation{
		Name: "Kubernetes", OK: true, ReadAt: at.Add(-time.Minute), Message: "From the API server https://10.0.0.1:6443: 220 PersistentVolumes of Mayastor, 220 claims, 2 policies, 20 Jobs.",
	})
	return e
}

// measured fills in the effects: operations take a few ms on cold and fractions of
// one on hot.
func measured(plans []tiering.Explanation, at time.Time) ([]Effect, tiering.SourceExplanation) {
	random := rand.New(rand.NewPCG(7, 7))
	latency := map[string]float64{"hot": 260, "warm": 1100, "cold": 5200, "mixed": 3000}
	effects := Effects(plans, at, 5*time.Minute, 40)
	for i := range effects {
		e := &effects[i]
		for _, side := range []struct {
			s    *Stretch
			tier string
		}{{&e.Before, e.From}, {&e.After, e.To}} {
			switch {
			case side.s.Missing != "":
			case i%9 == 4 && side.s == &e.Before:
				side.s.Missing = "Prometheus has no samples of that hour"
			case i%11 == 7 && side.s == &e.After:
				side.s.IOPS = 0
			default:
				side.s.IOPS = math.Exp(random.NormFloat64()*0.2) * 5200
				side.s.LatencyMicroseconds = latency[side.tier] * math.Exp(random.NormFloat64()*0.35)
			}
		}
	}
	return effects, tiering.SourceExplanation{Name: "Prometheus", OK: true, Message: "Prometheus answered for each of them."}
}

// town is two policies with a volume of each kind.
func town(t *testing.T) Input {
	t.Helper()
	now := noon()
	db, web := policy(t, "db", 2000, selecting("shop", "web")), policy(t, "web", 0, selecting("web"))
	web.Rules.Priority = 5
	w := world(now, 4)
	w.Pools = append(w.Pools, tiering.Pool{Name: "torn", Node: "node-9", Conflict: `label tier is "hot" in Mayastor and "cold" on the DiskPool object`})
	volumes := []tiering.Volume{
		volume("shop/busy", 6120.5, []string{"cold-1", "cold-2"}),
		volume("shop/idle", 3, []string{"hot-2"}),
		volume("shop/cooling", 9000, []string{"cold-2"}, func(v *tiering.Volume) {
			v.Memory = &tiering.Memory{LastMigration: now.Add(-time.Hour), LastN: 2, Attempt: tiering.Attempt{N: 2, State: tiering.AttemptMoved, Policy: "db", To: "cold", At: now.Add(-time.Hour)}}
		}),
		volume("shop/detached", 0, []string{"hot-1"}, func(v *tiering.Volume) {
			v.Sample = tiering.Sample{}
		}),
		volume("shop/quiet", 4800, []string{"hot-3"}),
		volume("shop/loud", 12000, []string{"hot-3", "hot-4"}),
		volume("shop/half", 7000, []string{"hot-1", "cold-2"}),
		volume("shop/running", 8000, []string{"cold-3"}, func(v *tiering.Volume) {
			v.Live = &tiering.LiveJob{Name: "couchestor-uuid-running-1", Policy: "db", From: tiering.Cold, To: tiering.Hot, TargetPools: []string{"hot-1"}, Started: now.Add(-90 * time.Second)}
		}),
		volume("web/front", 900, []string{"cold-1"}),
		volume("web/back", 5600, []string{"hot-1"}),
	}
	volumes[6].Memory = &tiering.Memory{LastMigration: now.Add(-2 * time.Hour)}
	plans := []tiering.Explanation{
		kubernetes(explained(input(now, db, w, volumes, web), recorded(
			result(1, "shop/cooling", "hot", "cold", now.Add(-60*time.Hour)),
			result(1, "shop/loud", "cold", "hot", now.Add(-30*time.Hour)),
			result(1, "shop/half", "cold", "hot", now.Add(-26*time.Hour), ended(tiering.OutcomeFailed, "Stalled", "the rebuild made no progress for 5m0s; it was undone")),
			result(2, "shop/half", "mixed", "cold", now.Add(-25*time.Hour), func(h *tiering.HistoryEntry) { h.FromPool = "hot-1,warm-1" }),
			result(2, "shop/cooling", "hot", "cold", now.Add(-time.Hour)),
			result(1, "shop/quiet", "cold", "hot", now.Add(-2*time.Minute)),
		)), now),
		kubernetes(explained(input(now, web, w, volumes, db), recorded(
			result(1, "web/back", "cold", "hot", now.Add(-5*time.Hour), func(h *tiering.HistoryEntry) { h.Duration = "" }),
		)), now),
	}
	effects, source := measured(plans, now)
	return Input{At: now.Add(42 * time.Second), Version: "v1.2.3", Plans: plans, Effects: effects, Measured: source}
}

// city is one policy with 240 volumes on three tiers, 50 results and many holds.
func city(t *testing.T) Input {
	t.Helper()
	now := noon()
	random := rand.New(rand.NewPCG(1, 2))
	p := policy(t, "databases", 2000)
	w := world(now, 6)
	at := func(tier string, i int) []string {
		return []string{fmt.Sprintf("%s-%d", tier, i%6+1), fmt.Sprintf("%s-%d", tier, (i+2)%6+1)}
	}
	// How busy volumes usually are, by the tier they are on.
	usual := map[string]float64{"hot": 9.2, "warm": 8.0, "cold": 4.2}
	var volumes []tiering.Volume
	for i := range 240 {
		tier := []string{"hot", "hot", "warm", "cold", "cold", "cold"}[i%6]
		busy := math.Exp(usual[tier] + random.NormFloat64()*[]float64{0.6, 0.6, 0.35, 1.3, 1.3, 1.6}[i%6])
		if i%40 == 0 {
			busy = 0
		}
		name := []string{"orders/postgres", "billing/postgres", "search/elastic", "logs/loki", "shop/redis", "mail/imap"}[i/40]
		volumes = append(volumes, volume(fmt.Sprintf("%s-%d", name, i%40), busy, at(tier, i), func(v *tiering.Volume) {
			v.SizeBytes, v.AllocatedBytes = int64(10+i%50)*gib, int64(5+i%20)*gib
			switch i % 17 {
			case 5, 7, 8, 9, 11, 13, 15:
				// They want to move, and something is in the way.
				v.Sample = sample(map[string]float64{"hot": 30, "warm": 9000, "cold": 7000}[tier]*math.Exp(random.NormFloat64()*0.5), 100)
			}
			switch i % 17 {
			case 3:
				v.Sample = tiering.UnknownSample("Prometheus has no sample of volume_num_read_ops in the window")
			case 5:
				v.Memory = &tiering.Memory{LastMigration: now.Add(-time.Duration(1+i%20) * time.Hour)}
			case 7:
				v.Snapshots = 2
			case 8:
				v.Unhealthy = "replica r1 on pool " + v.Replicas[1].Pool + " is rebuilding"
			case 9:
				v.Unpublished = "no pod uses it"
			case 11:
				v.Memory = &tiering.Memory{Attempt: tiering.Attempt{N: 3, State: tiering.AttemptFailed, Policy: "databases", To: "hot", Failures: 3, Generation: 3, At: now.Add(-10 * time.Minute)}}
			case 13:
				v.ClaimName = "no-way-" + v.ClaimName
			case 15:
				v.SizeBytes, v.Thin = 900*gib, false
			case 16:
				v.Sample = sample(busy, 40)
			}
			if i%60 == 30 {
				v.Replicas[1].Pool, v.Replicas[1].Node = "warm-5", "node-5"
			}
			if i == 27 || i == 34 {
				v.Live = &tiering.LiveJob{Name: "couchestor-x-1", Policy: "databases", From: tiering.Cold, To: tiering.Hot, TargetPools: []string{"hot-1", "hot-4"}, Started: now.Add(-time.Duration(i) * time.Minute)}
			}
		}))
	}
	var history []tiering.HistoryEntry
	for i := range 50 {
		v := &volumes[(i*7)%240]
		from, to := "cold", "hot"
		switch i % 5 {
		case 0, 3:
			from, to = "hot", "cold"
		case 1:
			from, to = "hot", "warm"
		}
		h := result(i, v.Claim(), from, to, now.Add(-time.Duration(50-i)*8*time.Hour-time.Duration(i*i%97)*6*time.Minute))
		h.VolumeName, h.Bytes, h.TriggerIOPS = v.Name, int64(20+i*13%90)*gib, float64(5000+i*137)
		switch i {
		case 12, 31:
			ended(tiering.OutcomeFailed, "Stalled", "the rebuild made no progress for 5m0s; it was undone, and the volume is as it was")(&h)
		case 20:
			ended(tiering.OutcomeRefused, "PoolTooFull", "pool hot-2 would be 94 % full, more than 90 %; nothing was touched")(&h)
		case 40:
			ended(tiering.OutcomeAborted, "Stopped", "the policy was disabled; the volume was brought back to where it was")(&h)
		}
		history = append(history, h)
	}
	s := recorded(history...)
	s.Results[0].Count += 160 // Older ones than the status holds.
	plans := []tiering.Explanation{kubernetes(explained(input(now, p, w, volumes), s), now)}
	effects, source := measured(plans, now)
	return Input{At: now.Add(3 * time.Second), Version: "v1.2.3", Plans: plans, Effects: effects, Measured: source}
}

// empty is a cluster with a policy and no volume.
func empty(t *testing.T) Input {
	t.Helper()
	now := noon()
	plans := []tiering.Explanation{kubernetes(explained(input(now, policy(t, "db", 0), world(now, 3), nil), tiering.StoragePolicyStatus{}), now)}
	return Input{At: now, Version: "v1.2.3", Plans: plans, Measured: tiering.SourceExplanation{OK: true, Message: "There is no move to ask for."}}
}

// bare is a cluster without a policy.
func bare(*testing.T) Input {
	return Input{At: noon(), Version: "v1.2.3", Measured: tiering.SourceExplanation{OK: true, Message: "There is no move to ask for."}}
}

const promDown = "Prometheus at prometheus:9090 cannot be reached (connection refused), so scores are unknown and no new move starts; check --prometheus-url and that Prometheus runs."

// blind is the town while Prometheus is down.
func blind(t *testing.T) Input {
	t.Helper()
	in := town(t)
	now := noon()
	w := world(now, 4)
	w.Metrics = tiering.Source{Reason: "Unreachable", Message: promDown}
	w.ScoresReadAt = time.Time{}
	volumes := []tiering.Volume{volume("shop/busy", 0, []string{"cold-1", "cold-2"}), volume("shop/idle", 0, []string{"hot-2"})}
	for i := range volumes {
		volumes[i].Sample = tiering.Sample{}
	}
	in.Plans = []tiering.Explanation{kubernetes(explained(input(now, policy(t, "db", 2000, selecting("shop")), w, volumes), recorded(in.Plans[0].History...)), now)}
	in.Effects = Effects(in.Plans, now, 5*time.Minute, 40)
	for i := range in.Effects {
		for _, s := range []*Stretch{&in.Effects[i].Before, &in.Effects[i].After} {
			if s.Missing == "" {
				s.Missing = "Prometheus was not reached"
			}
		}
	}
	in.Measured = tiering.SourceExplanation{Reason: "Unreachable", Message: "Prometheus was not reached for the scores, so it was not asked again."}
	return in
}

// crowd is one policy with more volumes than dots.
func crowd(t *testing.T) Input {
	t.Helper()
	now := noon()
	random := rand.New(rand.NewPCG(3, 4))
	var volumes []tiering.Volume
	for i := range 3000 {
		tier := []string{"hot", "cold", "cold"}[i%3]
		busy := math.Exp(map[string]float64{"hot": 9, "cold": 4}[tier] + random.NormFloat64()*1.2)
		volumes = append(volumes, volume(fmt.Sprintf("many/data-%d", i), busy, []string{fmt.Sprintf("%s-%d", tier, i%6+1)}))
	}
	plans := []tiering.Explanation{kubernetes(explained(input(now, policy(t, "all", 0), world(now, 6), volumes), tiering.StoragePolicyStatus{}), now)}
	return Input{At: now, Version: "v1.2.3", Plans: plans, Measured: tiering.SourceExplanation{Reason: NotAsked, Message: "The service was asked alone (--server), and it keeps no latencies; give --prometheus-url, too, to have them."}}
}
