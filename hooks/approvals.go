package hooks

import (
	"context"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// approval is what was last written of a policy's approval.
type approval struct {
	digest string
	state  tiering.ProposalState
	// ended is the digest of the proposal that ended last, refused one that the
	// policy carries in vain.
	ended, refused string
}

// approvals writes what changed about a policy's proposal since the request's
// status, and was not written before, as an old request is no change back. It
// returns what is to be remembered.
func (c *changes) approvals(ctx context.Context, r *round, before approval) (now approval) {
	was := before
	if q := r.before.Proposal; q != nil && was.digest == "" {
		was.digest, was.state = q.Digest, q.State
	}
	if l := r.before.LastProposal; l != nil && was.ended == "" {
		was.ended = l.Digest
	}
	now = was
	if l := r.after.LastProposal; l != nil && l.Digest != was.ended {
		now.ended = l.Digest
		if l.Outcome != tiering.ProposalUsed {
			audit(ctx, c.log, ActionApprovalExpired, "the proposal is void", keyPolicy, r.policy, keyDigest, l.Digest, keyReason, string(l.Outcome))
		}
	}
	q := r.after.Proposal
	if q == nil {
		now.digest, now.state = "", ""
	} else {
		now.digest, now.state = q.Digest, q.State
		if q.Digest != was.digest {
			audit(ctx, c.log, ActionApprovalProposed, "moves wait for approval", keyPolicy, r.policy, keyDigest, q.Digest,
				keyMoves, proposed(q), keyUntil, q.ExpiresAt.UTC().Format(time.RFC3339))
		}
		if q.State == tiering.ProposalApproved && (q.Digest != was.digest || was.state != q.State) {
			audit(ctx, c.log, ActionApprovalUsed, "moves are approved", keyPolicy, r.policy, keyDigest, q.Digest,
				keyMoves, proposed(q), keyUntil, q.ExpiresAt.UTC().Format(time.RFC3339))
		}
	}
	now.refused = ""
	if reason := notAccepted(r); reason != "" {
		now.refused = r.approve
		if r.approve != was.refused {
			audit(ctx, c.log, ActionApprovalNotAccepted, "the digest approves nothing", keyPolicy, r.policy, keyDigest, clip(r.approve), keyReason, reason)
		}
	}
	return now
}

// notAccepted is the reason for which the digest that a policy carries lets
// nothing start; "" also for one whose moves were all begun.
func notAccepted(r *round) string {
	for i := range r.after.Conditions {
		if k := &r.after.Conditions[i]; k.Type == tiering.ConditionApproved {
			switch k.Reason {
			case tiering.ReasonDigestExpired, tiering.ReasonDigestWithdrawn, tiering.ReasonDigestUnknown:
				return k.Reason
			}
		}
	}
	return ""
}

// proposed are the moves of a proposal, as volume>tier.
func proposed(q *tiering.Proposal) []string {
	all := make([]string, len(q.Moves))
	for i := range q.Moves {
		all[i] = q.Moves[i].VolumeName + ">" + q.Moves[i].ToTier
	}
	return all
}
