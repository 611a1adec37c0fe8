package tiering

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The bounds of the dry-run clock.
const (
	// step is how much time is counted before the status is written, so that an
	// idle policy is written no more often than for its time stamp.
	step = restamp
	// longestGap is the most that is credited at once: a step, and two times the
	// longest time between two looks. What lies further back was not watched.
	longestGap = step + 2*latest
)

// trial is the dry run that a new or changed policy has to pass before it acts.
//
//	digest of the spec                     dry run                counts from
//	the accepted one                       none                   -
//	another, of the same selection         thresholdChangeDryRun  the change
//	another, of another selection          newPolicyDryRun        the change
//	no accepted one, or of another object  newPolicyDryRun        the first look
//
// Its clock is in the status and nowhere else. It counts the time between two
// looks that both found the policy enabled, of one generation, inside its
// approved ranges and with scores that were there all the while. What is in
// doubt is not counted: so the clock may be late by up to a step for each
// interruption, and is never early.
type trial struct {
	// next is what the status remembers; nil for nothing.
	next *GovernanceStatus
	// dry says why moves are only shown, and why is the sentence for the mode;
	// both are empty once the digest is accepted.
	dry, why string
	// left is how long the clock has to go, if it goes on; 0 if it does not.
	left time.Duration
}

// try looks at the clock.
func (p *Plan) try(outside bool) trial {
	var prev *GovernanceStatus
	if p.in.Previous != nil {
		prev = p.in.Previous.Governance
	}
	r, g := &p.in.Policy.Rules, p.in.Governed
	switch {
	case g == nil, p.in.Finalizing, !r.compiled:
		return trial{next: prev}
	case !g.Known:
		return trial{next: prev.paused()}
	}
	m := GovernanceStatus{PolicyUID: p.in.Policy.UID}
	if prev != nil && prev.PolicyUID == m.PolicyUID {
		m = *prev
	}
	digest, selection := r.Digest(), r.SelectionDigest()
	if m.AcceptedDigest == digest {
		return trial{next: m.accept(digest, m.AcceptedSelection)}
	}
	required := g.NewPolicyDryRun
	switch {
	case m.AcceptedDigest == "":
		m.Rule = RuleNewPolicy
	case m.AcceptedSelection != selection:
		m.Rule = RuleSelectionChange
	default:
		m.Rule, required = RuleThresholdChange, g.ThresholdChangeDryRun
	}
	counts := r.Enabled && p.in.World.Metrics.OK && !outside
	credit := p.count(&m, digest, counts)
	observed := spanOf(m.Observed)
	if observed+credit >= required {
		return trial{next: m.accept(digest, selection)}
	}
	m.Required = formatSpan(required)
	t := trial{next: &m}
	m.Until = nil
	if m.Counting {
		t.left = required - observed - credit
		until := metav1.NewTime(m.CountedTo.Add(required - observed).UTC())
		m.Until = &until
	}
	t.dry = m.Rule.subject() + " has a dry run of " + m.Required
	t.why = capital(m.sentence())
	return t
}

// count counts the time since the clock was looked at last. It returns what is
// to be credited and not yet worth a write of the status; what is, it enters.
func (p *Plan) count(m *GovernanceStatus, digest string, counts bool) (credit time.Duration) {
	now := inSeconds(p.in.Now)
	enter := func(observed time.Duration) {
		m.Observed, m.CountedTo, m.Counting = formatSpan(observed), &now, counts
	}
	if m.PendingDigest != digest || m.CountedTo == nil {
		m.PendingDigest, m.Since = digest, &now
		enter(0)
		return 0
	}
	if !m.Counting && !counts {
		return 0
	}
	gap := now.Sub(m.CountedTo.Time)
	one := p.in.Previous.ObservedGeneration == p.in.Policy.Generation
	sound := gap >= 0 && gap <= longestGap && one && m.Counting && counts
	if sound {
		credit = min(gap, p.scoredFor(now.Time))
	}
	if !sound || gap >= step {
		enter(spanOf(m.Observed) + credit)
		return 0
	}
	return credit
}

// scoredFor returns for how long there have been scores without a break, in
// whole seconds.
func (p *Plan) scoredFor(now time.Time) time.Duration {
	since := p.in.World.Metrics.Since
	if since.IsZero() || since.After(now) {
		return 0
	}
	return now.Sub(since).Truncate(time.Second)
}

// accept returns the memory of a policy that has no dry run to pass.
func (m *GovernanceStatus) accept(digest, selection string) *GovernanceStatus {
	return &GovernanceStatus{PolicyUID: m.PolicyUID, AcceptedDigest: digest, AcceptedSelection: selection}
}

// paused returns the memory with a clock that stands still.
func (m *GovernanceStatus) paused() *GovernanceStatus {
	if m == nil || !m.Counting {
		return m
	}
	next := *m
	next.Counting, next.Until = false, nil
	return &next
}

// sentence says until when moves are only shown, and by which rule. It names
// nothing that changes as long as the clock goes on.
func (m *GovernanceStatus) sentence() string {
	s := m.Rule.subject() + " only shows its moves"
	if m.Until != nil {
		return s + " until " + formatTime(m.Until.Time) + ", if there are scores all the time: a dry run of " + m.Required + "."
	}
	return s + ": of a dry run of " + m.Required + ", " + formatSpan(spanOf(m.Observed)) + " are over, and the clock stands still."
}

// subject says of whom the rule speaks.
func (r DryRunRule) subject() string {
	switch r {
	case RuleNewPolicy:
		return "a new policy"
	case RuleSelectionChange:
		return "a policy that selects other volumes than before"
	case RuleThresholdChange:
		return "a changed policy"
	}
	return "a policy"
}

// spanOf reads what [formatSpan] writes; what cannot be read is 0, so that it
// counts for nothing.
func spanOf(text string) time.Duration {
	d, err := Duration(text).Parse()
	if err != nil {
		return 0
	}
	return d
}

func sameGovernance(a, b *GovernanceStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Since, x.CountedTo, x.Until, y.Since, y.CountedTo, y.Until = nil, nil, nil, nil, nil, nil
	return x == y && a.Since.Equal(b.Since) && a.CountedTo.Equal(b.CountedTo) && a.Until.Equal(b.Until)
}
