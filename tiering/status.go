package tiering

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// restamp is how old LastReconcileTime may become while nothing else changes.
const restamp = 15 * time.Minute

// Status returns the policy's status after this plan. Counters and history are
// carried over from prev, which is the status in the request with the results
// added by [Record]. The same plan and prev give the same bytes, and while
// nothing happens a status is its own successor.
func (p *Plan) Status(prev StoragePolicyStatus) StoragePolicyStatus {
	if !p.in.Policy.Rules.compiled {
		return ErrorStatus(prev, p.in.Now, p.in.Policy.Generation, nil)
	}
	s := carried(prev)
	s.ObservedGeneration = p.in.Policy.Generation
	s.Phase = p.phase(prev.Phase)
	s.Mode, s.ModeReason = p.standing.mode, p.standing.why
	s.Governance = p.standing.trial.next
	s.Proposal, s.LastProposal = p.consent.proposal, p.consent.last
	p.counts(&s)
	s.Conditions = settle(prev.Conditions, p.conditions(), p.in.Policy.Generation, p.in.Now)
	s.Plan = p.entries(prev.Plan)
	return stamp(s, prev, p.in.Now)
}

// ErrorStatus returns the status of a policy that does not compile. All that
// the faults do not concern is carried over from prev.
func ErrorStatus(prev StoragePolicyStatus, now time.Time, generation int64, faults []error) StoragePolicyStatus {
	s := carried(prev)
	s.ObservedGeneration = generation
	s.Phase = PhaseError
	s.Mode, s.ModeReason = modeError, "The policy has faults; it starts no move until they are corrected."
	s.Governance = prev.Governance.paused()
	s.Conditions = settle(prev.Conditions, faulty(prev.Conditions, faults), generation, now)
	s.Plan = slices.Clone(prev.Plan)
	return stamp(s, prev, now)
}

// carried returns what every status takes over: the counts, the counters and
// the history.
func carried(prev StoragePolicyStatus) StoragePolicyStatus {
	s := prev
	s.MigrationHistory = slices.Clone(prev.MigrationHistory)
	s.Results = slices.Clone(prev.Results)
	s.Conditions, s.Plan = nil, nil
	return s
}

// phase sums the policy up. It is Pending until the sources were read once with
// success; later a source that is down is a condition.
func (p *Plan) phase(prev Phase) Phase {
	r, w := &p.in.Policy.Rules, p.in.World
	switch {
	case !r.Enabled:
		return PhaseDisabled
	case p.standing.mode == modeRejected:
		return PhaseError
	case p.dryRun():
		return PhaseDryRun
	case prev != PhaseActive && !(w.Metrics.OK && w.Mayastor.OK):
		return PhasePending
	}
	return PhaseActive
}

// counts fills the counts. What Mayastor does not say now is what it said last.
func (p *Plan) counts(s *StoragePolicyStatus) {
	var watched, hot, warm, cold, mixed, unknown int64
	for i := range p.Decisions {
		d := &p.Decisions[i]
		if !d.Selected || d.Winner != "" {
			continue
		}
		watched++
		if !p.trusts(&d.Volume.Sample) {
			unknown++
		}
		switch {
		case d.Mixed:
			mixed++
		case d.From == Hot:
			hot++
		case d.From == Warm:
			warm++
		case d.From == Cold:
			cold++
		}
	}
	s.WatchedVolumes, s.UnknownVolumes = watched, unknown
	if p.in.World.Mayastor.OK {
		s.HotVolumes, s.WarmVolumes, s.ColdVolumes, s.MixedVolumes = hot, warm, cold, mixed
	}
	s.ActiveMigrations = int64(p.active)
}

// stamp renews LastReconcileTime if the status says anything new or the stamp
// is old, and else keeps it, so that an idle policy is not written each round.
func stamp(s, prev StoragePolicyStatus, now time.Time) StoragePolicyStatus {
	s.LastReconcileTime = prev.LastReconcileTime
	if last := prev.LastReconcileTime; last == nil || !same(&s, &prev) || now.Sub(last.Time).Abs() >= restamp {
		t := inSeconds(now)
		s.LastReconcileTime = &t
	}
	return s
}

// same compares all that a plan writes. What is only carried over is the same
// by itself: Record, which alone adds to it, takes the stamp away.
func same(a, b *StoragePolicyStatus) bool {
	return a.ObservedGeneration == b.ObservedGeneration &&
		a.Phase == b.Phase && a.Mode == b.Mode && a.ModeReason == b.ModeReason &&
		a.WatchedVolumes == b.WatchedVolumes && a.HotVolumes == b.HotVolumes &&
		a.WarmVolumes == b.WarmVolumes && a.ColdVolumes == b.ColdVolumes &&
		a.MixedVolumes == b.MixedVolumes && a.UnknownVolumes == b.UnknownVolumes &&
		a.ActiveMigrations == b.ActiveMigrations &&
		sameGovernance(a.Governance, b.Governance) &&
		sameProposal(a.Proposal, b.Proposal) && samePast(a.LastProposal, b.LastProposal) &&
		slices.EqualFunc(a.Conditions, b.Conditions, sameCondition) &&
		slices.EqualFunc(a.Plan, b.Plan, sameEntry)
}

func sameCondition(a, b metav1.Condition) bool {
	at, bt := a.LastTransitionTime, b.LastTransitionTime
	a.LastTransitionTime, b.LastTransitionTime = metav1.Time{}, metav1.Time{}
	return a == b && at.Equal(&bt)
}

func sameEntry(a, b PlanEntry) bool {
	at, bt := a.Since, b.Since
	a.Since, b.Since = metav1.Time{}, metav1.Time{}
	aw, bw := a.WantedSince, b.WantedSince
	a.WantedSince, b.WantedSince = nil, nil
	return a == b && at.Equal(&bt) && aw.Equal(bw)
}

// inSeconds returns the time as JSON will have it, so that what was written is
// equal to what is read back.
func inSeconds(t time.Time) metav1.Time {
	return metav1.NewTime(t.UTC().Truncate(time.Second))
}
