package tiering

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Explain makes the explanation of a whole policy. status is the one that came
// with the plan.
func (p *Plan) Explain(status *StoragePolicyStatus) Explanation {
	e := ExplainFaults(p.in.Policy.Name, p.in.Now, status)
	e.Generation = p.in.Policy.Generation
	e.Sources = p.explainSources()
	e.Tiers, e.Counts = p.explainTiers(), p.Counts()
	if r := &p.in.Policy.Rules; r.compiled {
		e.Watermarks = &Watermarks{High: r.HighWatermarkIOPS, Warm: r.WarmWatermarkIOPS, Low: r.LowWatermarkIOPS}
		e.MaxPoolUsedPercent = r.MaxPoolUsedPercent
	}
	order := p.orders()
	var moves []MoveExplanation
	for i := range p.Decisions {
		d := &p.Decisions[i]
		e.Volumes = append(e.Volumes, p.summary(i))
		if m := p.explainMove(d, order[i]); m != nil {
			moves = append(moves, *m)
		}
	}
	slices.SortStableFunc(moves, func(a, b MoveExplanation) int { return a.Order - b.Order })
	e.Moves = append(e.Moves, moves...)
	group := func(v *VolumeSummary) int {
		switch {
		case v.Decision != Hold.String() && v.Decision != Stay.String():
			return 0
		case v.Decision == Stay.String():
			return 3
		case v.Gate == GateCoverage.String():
			return 2
		}
		return 1
	}
	slices.SortStableFunc(e.Volumes, func(a, b VolumeSummary) int {
		return cmp.Or(group(&a)-group(&b), cmp.Compare(cmp.Or(a.Claim, a.Volume), cmp.Or(b.Claim, b.Volume)))
	})
	return e
}

// ExplainFaults makes the explanation of a policy that has no plan: its status
// says why.
func ExplainFaults(policy string, at time.Time, status *StoragePolicyStatus) Explanation {
	e := Explanation{
		Policy: policy, DecidedAt: at.UTC(),
		// Not nil, so that JSON has lists.
		Sources: []SourceExplanation{}, Volumes: []VolumeSummary{}, Moves: []MoveExplanation{}, Tiers: []TierExplanation{},
	}
	if status == nil {
		return e
	}
	e.Generation = status.ObservedGeneration
	e.Phase, e.Mode, e.ModeReason = status.Phase, status.Mode, status.ModeReason
	e.History, e.Results = status.MigrationHistory, status.Results
	for _, c := range status.Conditions {
		if remarkable(&c) {
			e.Notes = append(e.Notes, Note{c.Type, c.Message})
		}
	}
	return e
}

// remarkable reports whether a condition says something that is not so in
// ordinary times. Ready only sums the others up.
func remarkable(c *metav1.Condition) bool {
	switch c.Type {
	case ConditionReady:
		return false
	case ConditionPolicyAccepted, ConditionMetricsAvailable, ConditionMayastorAvailable,
		ConditionKubernetesAvailable, ConditionGovernanceAccepted:
		return c.Status != metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionTrue
}

// Counts returns how many volumes there are of each kind of decision.
func (p *Plan) Counts() Counts {
	var c Counts
	for i := range p.Decisions {
		c.add(&p.Decisions[i])
	}
	return c
}

// add counts one decision.
func (c *Counts) add(d *Decision) {
	c.Volumes++
	switch d.Act {
	case Hold:
		switch {
		case d.Held.Gate == GateCoverage:
			c.Unknown++
		case wishes(d.From, d.Mixed, d.To):
			c.Held++
		}
	case Stay:
		c.Stay++
	case Move, WouldMove:
		c.Moves++
	case Moving:
		c.Moving++
	case Recover:
		c.Recover++
	}
}

// The names of the sources that a plan knows of.
const (
	sourcePrometheus = "Prometheus"
	sourceMayastor   = "Mayastor"
	sourceKubernetes = "Kubernetes"
)

func (p *Plan) explainSources() []SourceExplanation {
	w := p.in.World
	of := func(name string, s Source, at time.Time, supports string) SourceExplanation {
		return SourceExplanation{Name: name, OK: s.OK, ReadAt: at.UTC(), Reason: s.Reason, Message: s.Message, Supports: supports}
	}
	supports := w.Movable
	if supports == "" && w.Mayastor.OK {
		supports = w.Steering
	}
	all := []SourceExplanation{
		of(sourcePrometheus, w.Metrics, w.ScoresReadAt, ""),
		of(sourceMayastor, w.Mayastor, w.ReadAt, supports),
	}
	if w.Kubernetes != nil {
		all = append(all, of(sourceKubernetes, *w.Kubernetes, time.Time{}, ""))
	}
	return all
}

// orders returns the place of each planned move in the order of start, from 1,
// by its place in Decisions.
func (p *Plan) orders() map[int]int {
	order := make(map[int]int, len(p.moves))
	for k, i := range p.moves {
		order[i] = k + 1
	}
	return order
}

func (p *Plan) summary(i int) VolumeSummary {
	d := &p.Decisions[i]
	v := d.Volume
	s := VolumeSummary{
		Volume: v.Name, Claim: v.Claim(), UUID: v.UUID, Tier: d.FromWord(), To: d.To.String(),
		Band: p.bandWord(d), Decision: d.Act.String(),
		Gate: d.Held.Gate.String(), OpensAt: d.Held.OpensAt.UTC(), Reason: p.why(d),
	}
	if v.Sample.Known() {
		s.ScoreIOPS, s.CoveragePercent = new(round(v.Sample.iops)), new(round(v.Sample.coverage))
	}
	return s
}

// why is the sentence of a row.
func (p *Plan) why(d *Decision) string {
	switch d.Act {
	case Moving, Recover, Move, WouldMove:
		return p.reason(d)
	case Stay:
		return capital(d.Held.Reason()) // Its score is in the row.
	case Hold:
	}
	return d.Held.Sentence()
}

// bandWord is where the score alone wants the volume.
func (p *Plan) bandWord(d *Decision) string {
	r := &p.in.Policy.Rules
	if !d.Selected || !p.trusts(&d.Volume.Sample) {
		return "unknown"
	}
	lean := d.From
	if d.Mixed {
		lean = p.Tiers.lean(r, d.Volume)
	}
	if to, _ := r.band(d.Volume.Sample.iops, lean); to != NoTier {
		return to.String()
	}
	return "stay"
}

// explainMove returns the decision's move; nil if it has none.
func (p *Plan) explainMove(d *Decision, order int) *MoveExplanation {
	v := d.Volume
	m := &MoveExplanation{
		Order: order, Volume: v.Name, Claim: v.Claim(), Action: d.Act.String(),
		From: d.FromWord(), To: d.To.String(), Reason: p.reason(d), SourcePools: []string{}, TargetPools: []string{},
	}
	switch d.Act {
	case Move, WouldMove:
		m.Replicas, m.TargetPools = d.Route.Replicas, d.Route.Landing
		m.CopyBytes = int64(d.Route.Replicas) * copied(v)
		if rate := p.in.Limits.RebuildBytesPerSecond; rate > 0 {
			m.ExpectedSeconds = round(float64(m.CopyBytes) / float64(rate))
		}
		m.SourcePools = p.poolsBut(v, d.To)
	case Moving:
		j := v.Live
		m.Job, m.Started, m.To = j.Name, j.Started.UTC(), j.To.String()
		if j.From != NoTier {
			m.From = j.From.String()
		}
		m.TargetPools = append(m.TargetPools, j.TargetPools...)
		m.SourcePools = p.poolsBut(v, j.To)
	case Recover:
		m.To = NoTier.String()
	case Hold, Stay:
		return nil
	}
	return m
}

// poolsBut returns, sorted, the pools of the volume's replicas that are not of
// the tier.
func (p *Plan) poolsBut(v *Volume, to Tier) []string {
	names := []string{}
	for i := range v.Replicas {
		if name := v.Replicas[i].Pool; p.Tiers.Of(name) != to {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// explainTiers says how full each tier is now, and after the planned moves.
func (p *Plan) explainTiers() []TierExplanation {
	ledger := p.base.clone()
	var change [Cold + 1]int64
	for _, i := range p.moves {
		d := &p.Decisions[i]
		v := d.Volume
		p.debit(ledger, v, d.To, d.Route.Landing)
		size := copied(v)
		change[d.To] += int64(d.Route.Replicas) * size
		for k := range v.Replicas {
			if t := p.Tiers.Of(v.Replicas[k].Pool); t != d.To && v.Snapshots == 0 {
				change[t] -= size
			}
		}
	}
	why := make(map[string]string)
	for _, a := range p.Tiers.Ambiguous() {
		why[a.Pool] = a.Why
	}
	all := []TierExplanation{}
	if len(p.in.World.Pools) == 0 && !p.in.World.Mayastor.OK {
		return all // It is not known which pools there are.
	}
	for _, t := range [...]Tier{Hot, Warm, Cold, NoTier} {
		e := TierExplanation{Tier: t.String(), Pools: []PoolExplanation{}}
		for place := range p.in.World.Pools {
			pool := &p.in.World.Pools[place]
			if p.Tiers.Of(pool.Name) != t {
				continue
			}
			e.CapacityBytes += pool.CapacityBytes
			e.UsedBytes += pool.UsedBytes
			e.Pools = append(e.Pools, PoolExplanation{
				Pool: pool.Name, Node: pool.Node, Online: pool.Online,
				CapacityBytes: pool.CapacityBytes, UsedBytes: pool.UsedBytes, UsedPercent: share(pool.UsedBytes, pool.CapacityBytes),
				ReservedBytes: ledger.reserved[place], Note: why[pool.Name],
			})
		}
		if len(e.Pools) == 0 && (t == NoTier || t == Warm && !p.in.Policy.Rules.HasWarm()) {
			continue
		}
		e.AfterBytes = max(e.UsedBytes+change[t], 0)
		e.UsedPercent, e.AfterPercent = share(e.UsedBytes, e.CapacityBytes), share(e.AfterBytes, e.CapacityBytes)
		all = append(all, e)
	}
	return all
}

// share is a part in percent, with one decimal; 0 of nothing.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return round(100 * float64(part) / float64(whole))
}

// ExplainVolume makes the explanation of the volume at place i of Decisions.
// status is the one that came with the plan.
func (p *Plan) ExplainVolume(i int, status *StoragePolicyStatus) VolumeExplanation {
	d := &p.Decisions[i]
	v, m := d.Volume, d.Volume.Remembered()
	e := VolumeExplanation{
		Policy: p.in.Policy.Name, Generation: p.in.Policy.Generation, DecidedAt: p.in.Now.UTC(),
		VolumeSummary: p.summary(i), Sentence: capital(d.Sentence()), Winner: d.Winner,
		Listed: v.Listed, SizeBytes: v.SizeBytes, AllocatedBytes: v.AllocatedBytes, Thin: v.Thin, Snapshots: v.Snapshots,
		Replicas: []ReplicaExplanation{},
		Move:     p.explainMove(d, p.orders()[i]),
		Memory: MemoryExplanation{
			Attempts: m.LastN, Policy: m.Attempt.Policy, State: m.Attempt.State, To: m.Attempt.To,
			Reason: m.Attempt.Reason, Failures: m.Attempt.Failures, At: m.Attempt.At.UTC(),
			LastMigration: m.LastMigration.UTC(), Fault: m.Fault,
		},
	}
	for _, r := range v.Replicas {
		e.Replicas = append(e.Replicas, ReplicaExplanation{r.UUID, r.Pool, r.Node, p.Tiers.Of(r.Pool).String()})
	}
	slices.SortFunc(e.Replicas, func(a, b ReplicaExplanation) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.UUID, b.UUID))
	})
	for _, verdict := range p.Verdicts(i) {
		e.Gates = append(e.Gates, GateExplanation{
			Gate: verdict.Gate.String(), Pass: verdict.Pass, Asked: verdict.asked(),
			Have: verdict.Have.String(), Want: verdict.Want.String(),
			OpensAt: verdict.OpensAt.UTC(), Sentence: verdict.Sentence(),
		})
	}
	if judge := p.candidates(i); judge != nil {
		e.Candidates = judge()
	}
	if status != nil {
		for k := range status.MigrationHistory {
			if status.MigrationHistory[k].VolumeName == v.Name {
				e.History = append(e.History, status.MigrationHistory[k])
			}
		}
	}
	return e
}

// asked reports whether the gate had something to ask of the volume.
func (v Verdict) asked() bool {
	return !v.Pass || v.Have.unit != inWords || !strings.HasPrefix(v.Have.text, unasked)
}

// candidates returns what judges the pools of the tier the volume at place i
// belongs on; nil if there is no such thing.
func (p *Plan) candidates(i int) func() []Candidate {
	if p.kept != nil {
		return p.kept[i]
	}
	d := &p.Decisions[i]
	if p.in.Candidates == nil || !d.Volume.Listed || !wishes(d.From, d.Mixed, d.To) {
		return nil
	}
	pools := p.Tiers.Pools(d.To)
	if len(pools) == 0 {
		return nil
	}
	return p.in.Candidates(d.Volume, pools)
}

// Lookup returns the place in Decisions of a volume by the name of its
// PersistentVolume, by its uuid, or by namespace/name of its claim.
func (p *Plan) Lookup(name string) (int, bool) {
	if i, ok := p.Find(name); ok {
		return i, true
	}
	i := slices.IndexFunc(p.Decisions, func(d Decision) bool {
		return d.Volume.UUID == name || d.Volume.ClaimName != "" && d.Volume.Claim() == name
	})
	return i, i >= 0
}

// Keep returns a plan for explanations that may be kept for a long time: it
// holds on to the volumes of the policy alone, and to what its Route and
// Candidates need of them, not to all that the input refers to. It explains the
// same as p.
func (p *Plan) Keep() *Plan {
	k := *p
	k.kept = make(map[int]func() []Candidate)
	for i := range p.Decisions {
		if judge := p.candidates(i); judge != nil {
			k.kept[i] = judge
		}
	}
	k.rivals = p.rivals.only(p.Decisions)
	k.in.Volumes, k.in.Others, k.in.Route, k.in.Candidates = nil, nil, nil, nil
	return &k
}

// only returns the rivals that win a volume.
func (r *rivals) only(decisions []Decision) *rivals {
	winners := make(map[string]bool)
	for i := range decisions {
		if w := decisions[i].Winner; w != "" {
			winners[w] = true
		}
	}
	few := &rivals{ranking: &ranking{}, name: r.name}
	if len(winners) == 0 {
		return few
	}
	for _, o := range r.ranked[:r.above] {
		if winners[o.Name] {
			few.anyhow = append(few.anyhow, len(few.ranked))
			few.ranked = append(few.ranked, o)
		}
	}
	few.above = len(few.ranked)
	return few
}
