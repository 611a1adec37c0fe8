package tiering

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/test/golden"
)

// told is what the sentence of one case of holdCases has to say: the gate that
// holds, the value it saw, the bound it asks for ("" where the value says it
// already), and whether it opens by itself.
type told struct {
	gate         Gate
	value, bound string
	opens        bool
}

func toldByCase() map[string]told {
	return map[string]told{
		"a disabled policy":                    {GateEnabled, "the policy is disabled", "spec.enabled to true", false},
		"a policy that is being deleted":       {GateMode, "the policy is being deleted", "", false},
		"a policy that ranks higher":           {GateWins, "policy silver with priority 10", "priority 0", false},
		"Prometheus down":                      {GateCoverage, "Prometheus did not answer within 30s", "80 %", false},
		"no sample":                            {GateCoverage, "no sample of this volume", "80 %", false},
		"no sample, as no pod uses it":         {GateCoverage, "no sample of this volume, which no pod uses now", "80 %", false},
		"a one-sided score":                    {GateCoverage, "there are reads and no writes", "80 %", false},
		"little coverage":                      {GateCoverage, "31.2 %", "minCoverage is 80 %", false},
		"coverage just short":                  {GateCoverage, "79.9 %", "minCoverage is 80 %", false},
		"where it belongs, two tiers":          {GateBand, "4711.3 IOPS", "below 450 IOPS for cold", false},
		"where it belongs, three tiers, hot":   {GateBand, "4711.3 IOPS", "from 2000 to below 4500 IOPS for warm", false},
		"where it belongs, three tiers, warm":  {GateBand, "2222 IOPS", "above 5000 IOPS for hot", false},
		"where it belongs, three tiers, cold":  {GateBand, "22 IOPS", "from 2000 to 5000 IOPS for warm", false},
		"on no tier":                           {GateBand, "1000 IOPS", "above 5000 IOPS for hot, below 500 IOPS for cold", false},
		"unpublished":                          {GatePublished, "no pod uses it", "no live target", false},
		"being deleted":                        {GateHealthy, "the PersistentVolume is being deleted", "a volume that stays", false},
		"Mayastor down":                        {GateHealthy, "Mayastor's REST API answers 503", "online and in sync", false},
		"not listed":                           {GateHealthy, "Mayastor does not list the volume", "online and in sync", false},
		"unhealthy":                            {GateHealthy, "replica r1 on pool cold-1 is rebuilding", "online and in sync", false},
		"content":                              {GateContent, "a clone that was never published", "content that a rebuild copies whole", false},
		"snapshots":                            {GateSnapshots, "3 snapshots", "none, as volumesWithSnapshots is Skip", false},
		"an upgrade":                           {GateCalm, "versions 2.9 and 2.10 run side by side", "a cluster at rest", false},
		"an old server":                        {GateCalm, "moves need Mayastor 2.10 or newer", "a version that lets it be steered", false},
		"a drained node":                       {GateCalm, "node node-1, which has a replica, is being drained", "a cluster at rest", false},
		"a pool that came back":                {GateSettled, "pool hot-2 is Online only since 2026-11-23T11:57:00Z", "Online for 10m", true},
		"a tier that is offline":               {GateSettled, "no pool of tier hot is Online", "Online for 10m", false},
		"a live Job":                           {GateNotLive, "Job couchestor-uuid-v-4 of policy gold", "Wait for the Job to end", false},
		"memory that cannot be read":           {GateClean, "storage.billyronks.io/attempt is not JSON", "", false},
		"unfinished, of another policy":        {GateClean, "attempt 4 of policy other", "no unfinished attempt", false},
		"unfinished":                           {GateClean, "attempt 4 of policy gold", "no unfinished attempt", false},
		"three failures":                       {GateBackOff, "3 failures in a row", "waits 1h", true},
		"five failures":                        {GateBackOff, "5 failures in a row", "the policy has not changed since", false},
		"refused":                              {GateBackOff, "refused (NoFreeNode) at 2026-11-23T11:59:00Z", "waits 15m", true},
		"aborted":                              {GateBackOff, "aborted at 2026-11-23T11:59:00Z", "waits 15m", true},
		"cooling down":                         {GateCooldown, "pools changed at 2026-11-23T10:30:00Z", "cooldownPeriod is 24h", true},
		"a tier without pools":                 {GateRoute, "no pool is in tier hot", "label one", false},
		"no route":                             {GateRoute, "NoFreeNode: each node of the tier has a replica", "add a node", false},
		"an old reading":                       {GateRoute, "Mayastor was read before the last attempt was over", "", true},
		"several refusals":                     {GateRoute, "SelfHealOff: self_heal is off", "switch it on", false},
		"a pool too full":                      {GateCapacity, "pool hot-2 would be 90.1 % full", "maxPoolUsedPercent is 90 %", false},
		"a pool of unknown fill":               {GateCapacity, "the fill of pool hot-2 is not known", "maxPoolUsedPercent is 90 %", false},
		"too large for the timeout":            {GateFits, "1h8m16s", "migrationTimeout is 30m", false},
		"no rate":                              {GateFits, "the expected rate of a rebuild is not known", "migrationTimeout is 30m", false},
		"the cluster's cap":                    {GateCaps, "0 moves in the cluster", "--max-concurrent-migrations is 0", false},
		"the policy's cap":                     {GateCaps, "1 move of this policy", "spec.maxConcurrentMigrations is 1", false},
		"a freeze":                             {GateMode, "the cluster is frozen (year end)", "the end of the freeze", true},
		"a freeze without an end":              {GateMode, "the cluster is frozen (year end)", "the end of the freeze", false},
		"the emergency stop":                   {GateMode, "the emergency stop of the cluster is on (array burns)", "its end in ConfigMap couchestor-governance", false},
		"a governance that was never read":     {GateMode, "the governance configuration is not known", "see the condition GovernanceAccepted", false},
		"a field outside its range":            {GateMode, "spec.highWatermarkIOPS is 5000", "the approved range is at most 4999", false},
		"promotions are paused":                {GateMode, "moves to a faster tier are paused", "spec.pausePromotions: false", false},
		"demotions are paused":                 {GateMode, "moves to a slower tier are paused", "spec.pauseDemotions: false", false},
		"the governance's cap":                 {GateCaps, "1 move in the cluster", "limit.moves is 1", false},
		"the governance's bytes":               {GateCaps, "10737418240 bytes", "limit.bytesInFlight is 10737418240", false},
		"the governance's moves to a pool":     {GateCaps, "1 move to pool hot-2", "limit.movesPerPool is 1", false},
		"the governance's moves from a node":   {GateCaps, "1 move from node node-1", "limit.movesPerNode is 1", false},
		"outside of the windows":               {GateMode, "no maintenance window is open", "a window in which it fits", true},
		"a window that closes too soon":        {GateMode, "it would not end before the maintenance window closes at 2026-11-23T12:01:00Z", "a window in which it fits", true},
		"windows that are all too short":       {GateMode, "is long enough", "a window in which it fits", false},
		"a proposal that waits":                {GateMode, "which is not approved", "the annotation storage.billyronks.io/approve: ", false},
		"a later wish than the proposal":       {GateMode, "it is not in proposal ", "a later proposal that holds it", false},
		"an old view of Kubernetes":            {GateCalm, "what is known of volumes and Jobs is too old to act on", "a fresh view of Kubernetes", false},
		"a policy with faults (its Job works)": {GateAccepted, "the policy has faults", "PolicyAccepted", false},
	}
}

// Whoever adds a gate, or a case of a hold, says here what its sentence tells.
func TestEachHoldNamesGateValueBoundAndTime(t *testing.T) {
	rows := toldByCase()
	seen := map[Gate]bool{}
	check := func(t *testing.T, name string, e *GateExplanation) {
		t.Helper()
		want, ok := rows[name]
		if !ok {
			t.Fatalf("no row says what has to be told; the sentence is %q", e.Sentence)
		}
		delete(rows, name)
		seen[want.gate] = true
		if e.Gate != want.gate.String() || e.Pass || !e.Asked {
			t.Errorf("got gate %q, pass %t, asked %t, want %q to hold", e.Gate, e.Pass, e.Asked, want.gate)
		}
		for what, part := range map[string]string{"gate": want.gate.String() + ": ", "value": want.value, "bound": want.bound} {
			if !strings.Contains(e.Sentence, part) {
				t.Errorf("%q does not name the %s, %q", e.Sentence, what, part)
			}
		}
		if e.OpensAt.IsZero() == want.opens {
			t.Errorf("opens at %v, want a time: %t", e.OpensAt, want.opens)
		}
		if said := strings.Contains(e.Sentence, "opens at "+e.OpensAt.Format(time.RFC3339)); said != want.opens {
			t.Errorf("%q says when it opens: %t, want %t", e.Sentence, said, want.opens)
		}
	}
	for _, c := range holdCases(t) {
		t.Run(c.name, func(t *testing.T) {
			p := decide(t, input(t, []Volume{volume("v", c.volume...)}, c.input...))
			i, _ := p.Find("v")
			e := p.ExplainVolume(i, nil)
			k := slices.IndexFunc(e.Gates, func(g GateExplanation) bool { return g.Gate == e.Gate })
			if k < 0 {
				t.Fatalf("no gate explains the hold by %q", e.Gate)
			}
			check(t, c.name, &e.Gates[k])
		})
	}
	const faulty = "a policy with faults (its Job works)"
	t.Run(faulty, func(t *testing.T) {
		in := input(t, []Volume{volume("v", live(LiveJob{Name: "j", Policy: "gold"}))})
		in.Policy.Rules = Rules{}
		p := decide(t, in)
		e := p.ExplainVolume(0, nil)
		check(t, faulty, &e.Gates[0])
	})
	for name := range rows {
		t.Errorf("no hold is called %q any more", name)
	}
	for _, g := range Gates() {
		if !seen[g] {
			t.Errorf("gate %q holds in no case, so nobody knows what it says", g)
		}
	}
}

// judged are candidates as the hooks would give them.
func judged(v *Volume, pools []string) func() []Candidate {
	uuid := v.UUID
	return func() []Candidate {
		var all []Candidate
		for k, name := range pools {
			c := Candidate{Pool: name, Node: "of " + name}
			if k == 0 {
				c.Reject, c.Reason = "is cordoned against new replicas of "+uuid, "PoolCordoned"
			}
			all = append(all, c)
		}
		return all
	}
}

// town has one volume for each thing that may become of one.
func town(t prover) Input {
	t.Helper()
	in := input(t, []Volume{
		volume("moves", on("cold-1")),
		volume("moves-too", on("cold-2", "cold-3"), score(9000.25)),
		volume("capped", on("cold-1"), score(5500)),
		volume("goes-down", on("hot-1"), score(3), func(v *Volume) { v.Thin, v.AllocatedBytes, remember(v).LastMigration = true, 3*gib, ago(3*day) }),
		volume("stays", on("hot-1"), score(4000)),
		volume("unknown", unknown, func(v *Volume) { v.Unpublished = "no pod uses it" }),
		volume("idle-but-snapped", on("hot-2"), score(1), func(v *Volume) { v.Snapshots = 2 }),
		volume("cooling", func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }),
		volume("moving", live(LiveJob{Name: "couchestor-uuid-moving-3", Policy: "gold", From: Cold, To: Hot, TargetPools: []string{"hot-3"}, Started: ago(time.Minute), ScoreIOPS: 8000})),
		volume("unclean", attempt(Attempt{N: 4, Policy: "gold", State: AttemptStarted, At: ago(time.Hour)})),
		volume("elsewhere", func(v *Volume) { v.Labels = map[string]string{"app": "vip"} }),
		volume("unbound", func(v *Volume) { v.ClaimName, v.ClaimNamespace = "", "" }, on("hot-1", "cold-1"), score(700)),
	}, func(in *Input) {
		in.World = world(func(w *World) {
			w.Steering = "the server's API has the pool cordon"
			w.ReadAt = ago(10 * time.Second)
			w.Metrics = Source{OK: true, Reason: "Available", Message: "Prometheus answers."}
			w.ScoresReadAt = ago(5 * time.Second)
			w.Pools = append(w.Pools, pool("spare", "node-1", "none"), pool("torn", "node-2", "none"))
			w.pool("torn").Conflict = "label tier is \"hot\" in Mayastor and \"cold\" on the DiskPool object"
		})
		in.Limits.MaxConcurrentMigrations = 5
		in.Others = together(policy(t, "vip", ranked(9), func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "vip") }))
		in.Candidates = judged
	})
	in.Policy.Rules.MaxConcurrentMigrations = 5
	return in
}

func past() StoragePolicyStatus {
	return StoragePolicyStatus{Phase: PhaseActive, MigrationHistory: []HistoryEntry{
		{JobName: "couchestor-uuid-cooling-1", VolumeName: "cooling", Claim: "shop/cooling", Timestamp: metav1.NewTime(ago(time.Hour)), FromTier: "hot", ToTier: "cold", FromPool: "hot-1", ToPool: "cold-1", Duration: "3m0s", Outcome: OutcomeMoved, Success: true},
		{JobName: "couchestor-uuid-stays-1", VolumeName: "stays", Timestamp: metav1.NewTime(ago(day)), Outcome: OutcomeFailed, Error: "a sentence"},
	}}
}

func pretty(t *testing.T, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// The JSON is what scripts read: it changes by fields added, and by nothing
// else.
func TestTheExplanationsJSONIsStable(t *testing.T) {
	p := decide(t, town(t))
	s := p.Status(past())
	golden.Check(t, "testdata/explanation.golden.json", pretty(t, p.Explain(&s)))
	var volumes []VolumeExplanation
	for _, name := range []string{"moves", "cooling", "unknown", "elsewhere"} {
		i, ok := p.Lookup("shop/" + name)
		if !ok {
			t.Fatalf("claim shop/%s is not found", name)
		}
		volumes = append(volumes, p.ExplainVolume(i, &s))
	}
	golden.Check(t, "testdata/volumes.golden.json", pretty(t, volumes))
}

// What is kept must say what the plan said, whatever the plan referred to.
func TestAKeptPlanExplainsTheSame(t *testing.T) {
	for _, c := range holdCases(t) {
		in := input(t, []Volume{volume("v", c.volume...)}, c.input...)
		in.Candidates = judged
		// Others make the volume one of few.
		for _, name := range []string{"a", "b", "c"} {
			in.Volumes = append(in.Volumes, new(volume(name, func(v *Volume) { v.StorageClass = "other" })))
		}
		t.Run(c.name, func(t *testing.T) {
			p := decide(t, in)
			s := p.Status(past())
			want := []any{p.Explain(&s)}
			for i := range p.Decisions {
				want = append(want, p.ExplainVolume(i, &s))
			}
			k := p.Keep()
			// Whoever still looked at the input would see this.
			clear(in.Volumes)
			if k.in.Volumes != nil || k.in.Others != nil || k.in.Route != nil || k.in.Candidates != nil {
				t.Error("the kept plan holds on to the whole cluster")
			}
			got := []any{k.Explain(&s)}
			for i := range k.Decisions {
				got = append(got, k.ExplainVolume(i, &s))
			}
			if diff := cmp.Diff(pretty(t, want), pretty(t, got)); diff != "" {
				t.Errorf("plan and kept plan differ (-plan +kept):\n%s", diff)
			}
		})
	}
}

func TestAPlanIsKeptWithItsVolumesAsTheyAre(t *testing.T) {
	p := decide(t, town(t))
	s := p.Status(past())
	k := p.Keep()
	if k.Decisions[0].Volume != p.Decisions[0].Volume {
		t.Error("the volumes were copied, though nobody changes them")
	}
	if diff := cmp.Diff(pretty(t, p.Explain(&s)), pretty(t, k.Explain(&s))); diff != "" {
		t.Errorf("plan and kept plan differ (-plan +kept):\n%s", diff)
	}
	for i := range p.Decisions {
		if diff := cmp.Diff(pretty(t, p.ExplainVolume(i, &s)), pretty(t, k.ExplainVolume(i, &s))); diff != "" {
			t.Errorf("plan and kept plan differ (-plan +kept):\n%s", diff)
		}
	}
}

func TestAnExplanationAsksNothingAgain(t *testing.T) {
	in := town(t)
	p := Decide(in)
	p.in.Route = func(*Volume, Tier, []string) Route {
		t.Error("the way was asked for again")
		return Route{}
	}
	for i := range p.Decisions {
		p.ExplainVolume(i, nil)
	}
}

func TestAPolicyWithFaultsIsExplainedByItsStatus(t *testing.T) {
	s := ErrorStatus(past(), noon(), 4, []error{Fault{Field: "spec.minCoverage", Problem: "is 1; write 50 to 100"}})
	e := ExplainFaults("gold", noon(), &s)
	if e.Phase != PhaseError || len(e.Notes) != 1 || !strings.Contains(e.Notes[0].Message, "spec.minCoverage is 1") {
		t.Errorf("got %+v", e)
	}
	if got := pretty(t, e); strings.Contains(got, "null") {
		t.Errorf("a list is null:\n%s", got)
	}
}

func TestAVolumeIsFoundByEachOfItsNames(t *testing.T) {
	p := decide(t, town(t))
	want, _ := p.Find("moves")
	for _, name := range []string{"moves", "uuid-moves", "shop/moves"} {
		if got, ok := p.Lookup(name); !ok || got != want {
			t.Errorf("%s: got %d, %t, want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "/", "shop/", "move", "shop/none"} {
		if got, ok := p.Lookup(name); ok {
			t.Errorf("%q: got volume %s", name, p.Decisions[got].Volume.Name)
		}
	}
}

// A tier's fill after the plan counts what comes and what goes.
func TestFillAfterThePlan(t *testing.T) {
	p := decide(t, input(t, []Volume{
		volume("up", on("cold-1", "cold-2")),
		volume("down", on("hot-3"), score(1), func(v *Volume) { v.Thin, v.AllocatedBytes = true, 4*gib }),
	}))
	got := map[string][2]int64{}
	for _, e := range p.Explain(nil).Tiers {
		got[e.Tier] = [2]int64{e.UsedBytes - 3*tib, e.AfterBytes - e.UsedBytes}
	}
	// Warm has no watermark, so its pools are in no tier.
	want := map[string][2]int64{"hot": {0, 20*gib - 4*gib}, "cold": {0, 4*gib - 20*gib}, "none": {0, 0}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("used and change (-want +got):\n%s", diff)
	}

	kept := decide(t, input(t, []Volume{volume("up", func(v *Volume) { v.Snapshots = 1 })},
		with(func(s *StoragePolicySpec) { s.VolumesWithSnapshots = new(MoveSnapshots) })))
	for _, e := range kept.Explain(nil).Tiers {
		if e.Tier == "cold" && e.AfterBytes != e.UsedBytes {
			t.Errorf("snapshots keep the space on the old pools, but it changes by %d", e.AfterBytes-e.UsedBytes)
		}
	}
}
