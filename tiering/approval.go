package tiering

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ApproveAnnotation is the annotation of a policy that carries the digest of the
// proposal whose moves may start.
const ApproveAnnotation = Group + "/approve"

// The reasons of the condition Approved for a digest that a policy carries in
// vain.
const (
	ReasonDigestUsed      = "DigestUsed"
	ReasonDigestExpired   = "DigestExpired"
	ReasonDigestWithdrawn = "DigestWithdrawn"
	ReasonDigestUnknown   = "DigestUnknown"
)

const (
	// mostProposed is how many moves a proposal holds.
	mostProposed = 20
	// validFor is how long a proposal waits for its approval, and how long its
	// moves may be begun after that.
	validFor = 24 * time.Hour
)

// consent is what becomes of the approval that a policy with spec.approval
// Manual asks for. Its proposal is frozen in the status: a list of moves, each
// the next attempt at one volume towards one tier, under a digest. While the
// policy carries that digest, each of them may start once, when it passes all
// other gates; nothing else may.
//
//	state     becomes    when
//	none      Proposed   some moves pass all gates but windows, caps and this one
//	Proposed  Approved   the policy carries the digest
//	Approved  Proposed   it does not any more
//	either    none       nothing in it can start any more: all begun (used), or not
//	                     wanted any more (withdrawn); the spec changed (withdrawn);
//	                     24h after it was made, or first approved (expired)
type consent struct {
	// proposal is nil for none; last is what became of the one before.
	proposal *Proposal
	last     *PastProposal
	// left is how long the proposal is valid; 0 for none.
	left time.Duration
}

// manual reports whether moves need an approval now. What is only shown needs
// none.
func (p *Plan) manual() bool {
	r := &p.in.Policy.Rules
	return r.compiled && r.Approval == ManualApproval && !p.dryRun()
}

// consentNow looks at the proposal of the status, and asks for another one if
// there is none. While something holds the whole policy, or the world cannot be
// seen, nothing is proposed, and what is proposed only ages.
func (p *Plan) consentNow() consent {
	var c consent
	if prev := p.in.Previous; prev != nil {
		c.proposal, c.last = prev.Proposal, prev.LastProposal
	}
	if p.in.Finalizing || !p.in.Policy.Rules.compiled {
		return c
	}
	if p.in.Policy.Rules.Approval != ManualApproval {
		return consent{}
	}
	now := inSeconds(p.in.Now)
	seen := p.standing.verdict.Pass && p.in.Policy.Rules.Enabled && p.in.World.Metrics.OK && p.in.World.Mayastor.OK
	if c.proposal != nil {
		next := *c.proposal
		next.approve(p.in.Approve, now)
		c.proposal = &next
		if outcome := p.over(&next, seen); outcome != "" {
			c.last = &PastProposal{Digest: next.Digest, Outcome: outcome, At: now}
			c.proposal = nil
		}
	}
	if c.proposal == nil && seen && p.manual() {
		c.proposal = p.propose(now)
	}
	if c.proposal != nil {
		c.left = c.proposal.ExpiresAt.Sub(p.in.Now)
	}
	return c
}

// approve takes note of the digest that the policy carries.
func (q *Proposal) approve(digest string, now metav1.Time) {
	if digest != q.Digest || !now.Before(&q.ExpiresAt) {
		if q.State == ProposalApproved && digest != q.Digest {
			q.State = ProposalProposed
		}
		return
	}
	q.State = ProposalApproved
	if q.ApprovedAt == nil {
		q.ApprovedAt = &now
		q.ExpiresAt = metav1.NewTime(now.Add(validFor).UTC())
	}
}

// over says how a proposal ended, or "".
func (p *Plan) over(q *Proposal, seen bool) ProposalOutcome {
	switch {
	case q.Generation != p.in.Policy.Generation || q.PolicyUID != p.in.Policy.UID:
		return ProposalWithdrawn
	case !p.in.Now.Before(q.ExpiresAt.Time):
		return ProposalExpired
	case !seen:
		return ""
	}
	begun := 0
	for i := range q.Moves {
		open, begins := p.open(&q.Moves[i])
		if open {
			return ""
		}
		if begins {
			begun++
		}
	}
	if begun > 0 && q.ApprovedAt != nil {
		return ProposalUsed
	}
	return ProposalWithdrawn
}

// open reports whether a move of a proposal may still start, and if not,
// whether that is because an attempt at its volume was begun since.
func (p *Plan) open(m *ProposedMove) (open, begun bool) {
	i := slices.IndexFunc(p.in.Volumes, func(v *Volume) bool { return v.Name == m.VolumeName })
	if i < 0 {
		return false, false
	}
	v := p.in.Volumes[i]
	if next(v) != m.Attempt {
		return false, next(v) > m.Attempt
	}
	r := &p.in.Policy.Rules
	if v.Deleting || !r.Selects(v) || p.rivals.winner(v) != nil {
		return false, false
	}
	if !p.trusts(&v.Sample) {
		return true, false // its tier is not known now
	}
	var t turn
	p.begin(&t, v, true, nil)
	return t.wishes() && t.to.String() == m.ToTier, false
}

// propose returns the moves that would start if nobody had to approve them and
// no window or cap held them, in their order; nil if there are none.
func (p *Plan) propose(now metav1.Time) *Proposal {
	shadow := newPlan(p.in)
	shadow.proposing = true
	shadow.decide()
	if len(shadow.moves) == 0 {
		return nil
	}
	q := &Proposal{
		PolicyUID: p.in.Policy.UID, Generation: p.in.Policy.Generation, State: ProposalProposed,
		ProposedAt: now, ExpiresAt: metav1.NewTime(now.Add(validFor).UTC()),
	}
	for _, i := range shadow.moves[:min(len(shadow.moves), mostProposed)] {
		d := &shadow.Decisions[i]
		q.Moves = append(q.Moves, ProposedMove{
			VolumeName: d.Volume.Name, Claim: d.Volume.Claim(), FromTier: d.FromWord(), ToTier: d.To.String(), Attempt: next(d.Volume),
		})
	}
	q.Digest = q.digest()
	return q
}

// digest covers what is approved: each volume, its tier and attempt, for this
// generation of this policy. The time is in it so that no digest comes twice, and
// what was approved once is not approved for ever.
func (q *Proposal) digest() string {
	var b strings.Builder
	line := func(parts ...string) {
		for _, part := range parts {
			b.WriteString(strconv.Quote(part) + " ")
		}
		b.WriteByte('\n')
	}
	line(q.PolicyUID, strconv.FormatInt(q.Generation, 10), formatTime(q.ProposedAt.Time))
	for i := range q.Moves {
		m := &q.Moves[i]
		line(m.VolumeName, m.ToTier, strconv.FormatInt(m.Attempt, 10))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// find returns the volume's move in the proposal, or nil.
func (q *Proposal) find(v *Volume, to Tier) *ProposedMove {
	if q == nil {
		return nil
	}
	for i := range q.Moves {
		if m := &q.Moves[i]; m.VolumeName == v.Name && m.ToTier == to.String() && m.Attempt == next(v) {
			return m
		}
	}
	return nil
}

// approved: the move is in a proposal whose digest the policy carries.
func approved(t *turn) Verdict {
	p := t.plan
	if p.proposing || !p.manual() {
		return passes(Value{}, Value{})
	}
	q := p.consent.proposal
	in := q.find(t.v, t.to)
	switch {
	case in != nil && q.State == ProposalApproved:
		return passes(Value{}, Value{})
	case in != nil:
		return holds(words("it is in proposal "+q.Digest+", which is not approved"), words("the annotation "+ApproveAnnotation+": "+q.Digest+" on the policy"))
	case q != nil:
		return holds(words("it is not in proposal "+q.Digest+" of status.proposal"), words("a later proposal that holds it"))
	}
	return holds(words("it is in no proposal yet"), words("an approved proposal that holds it"))
}

// approval says how the approval stands, where one is needed.
func (p *Plan) approval() []metav1.Condition {
	if p.in.Policy.Rules.Approval != ManualApproval {
		return nil
	}
	q, carried := p.consent.proposal, p.in.Approve
	if q != nil && q.State == ProposalApproved {
		return []metav1.Condition{condition(ConditionApproved, true, "Approved",
			"The moves of proposal "+q.Digest+" may start until "+formatTime(q.ExpiresAt.Time)+", each once, when they pass the other gates.")}
	}
	reason, message := "NothingProposed", "No move is proposed now, so there is nothing to approve."
	if q != nil {
		reason = "AwaitingApproval"
		message = "Proposal " + q.Digest + " of " + strconv.Itoa(len(q.Moves)) + " " + plural(float64(len(q.Moves)), "moves") + " waits until " + formatTime(q.ExpiresAt.Time) +
			". Look at status.proposal; to let its moves start, annotate the policy with " + ApproveAnnotation + ": " + q.Digest + "."
	}
	if why, what := p.consent.refused(carried); why != "" {
		reason, message = why, what+" "+message
	}
	return []metav1.Condition{condition(ConditionApproved, false, reason, message)}
}

// refused says why the digest that a policy carries lets nothing start; "" if it
// carries none, or the right one.
func (c *consent) refused(carried string) (reason, message string) {
	switch {
	case carried == "" || c.proposal != nil && c.proposal.Digest == carried:
		return "", ""
	case c.last != nil && c.last.Digest == carried:
		switch c.last.Outcome {
		case ProposalUsed:
			return ReasonDigestUsed, "The moves of the approved proposal " + carried + " were all begun or are not wanted any more."
		case ProposalExpired:
			return ReasonDigestExpired, "The proposal " + carried + " that the policy carries expired at " + formatTime(c.last.At.Time) + "; nothing starts for it."
		case ProposalWithdrawn:
			return ReasonDigestWithdrawn, "The proposal " + carried + " that the policy carries was withdrawn at " + formatTime(c.last.At.Time) + ", as its moves are not wanted any more or the spec changed; nothing starts for it."
		}
	}
	return ReasonDigestUnknown, "The policy carries the digest " + quoted(carried) + ", which is not that of its proposal; nothing starts for it."
}

func sameProposal(a, b *Proposal) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.PolicyUID == b.PolicyUID && a.Generation == b.Generation && a.Digest == b.Digest && a.State == b.State &&
		a.ProposedAt.Equal(&b.ProposedAt) && a.ApprovedAt.Equal(b.ApprovedAt) && a.ExpiresAt.Equal(&b.ExpiresAt) &&
		slices.Equal(a.Moves, b.Moves)
}

func samePast(a, b *PastProposal) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Digest == b.Digest && a.Outcome == b.Outcome && a.At.Equal(&b.At)
}
