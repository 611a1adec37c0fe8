package hooks

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// maxPolicies bounds the memory of changes; beyond it all is forgotten, and
// what is still so is written once more.
const maxPolicies = 1000

// changes writes to the audit trail what is not what it was. What it remembers
// decides nothing, and is lost without harm.
type changes struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]remembered
	// frozen and stopped are how the cluster stood when it was looked at last.
	frozen, stopped bool
}

// remembered are the decisions of one policy that are worth a line, the Jobs
// whose end was written when it was asked last, and its mode.
type remembered struct {
	decisions map[string]kind
	ended     map[string]bool
	mode      string
	approval  approval
}

// kind is what has to change to be worth a line.
type kind struct {
	act  tiering.Act
	to   tiering.Tier
	gate tiering.Gate
}

// round is what one request led to.
type round struct {
	policy string
	// plan is nil for a policy that does not compile.
	plan *tiering.Plan
	// entries are the results that were recorded.
	entries []tiering.HistoryEntry
	// approve is the digest that the policy carries.
	approve string
	// before and after are the status of request and answer.
	before, after *tiering.StoragePolicyStatus
	// governed is nil where no governance is configured.
	governed *tiering.Governed
	now      time.Time
}

// decided writes what changed since the last request of the policy.
func (c *changes) decided(ctx context.Context, r *round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cluster(ctx, r)
	before := c.last[r.policy]
	now := remembered{decisions: before.decisions, ended: make(map[string]bool, len(r.entries)), mode: r.after.Mode}
	for i := range r.entries {
		e := &r.entries[i]
		now.ended[e.JobName] = true
		if !before.ended[e.JobName] {
			c.recorded(ctx, r.policy, e)
		}
	}
	// The request's status knows the former mode also after a restart; an old
	// request is not a change back.
	if former := r.before.Mode; former != now.mode && before.mode != now.mode {
		audit(ctx, c.log, ActionModeChanged, "mode changed", keyPolicy, r.policy,
			keyFormerMode, former, keyMode, now.mode, keyReason, r.after.ModeReason)
	}
	now.approval = c.approvals(ctx, r, before.approval)
	if r.plan != nil {
		now.decisions = c.decisions(ctx, r, before.decisions)
	}
	if c.last == nil || len(c.last) >= maxPolicies {
		c.last = make(map[string]remembered)
	}
	c.last[r.policy] = now
}

// decisions writes the decisions that are not what they were, and returns what is
// worth a line now: the same map if nothing has changed, as it mostly has not.
func (c *changes) decisions(ctx context.Context, r *round, before map[string]kind) map[string]kind {
	same, changed := 0, false
	for i := range r.plan.Decisions {
		d := &r.plan.Decisions[i]
		is := worth(d)
		switch was := before[d.Volume.Name]; {
		case is != was:
			changed = true
			c.say(ctx, r.policy, d)
		case is != (kind{}):
			same++
		}
	}
	if !changed && same == len(before) {
		return before
	}
	now := make(map[string]kind)
	for i := range r.plan.Decisions {
		d := &r.plan.Decisions[i]
		if is := worth(d); is != (kind{}) {
			now[d.Volume.Name] = is
		}
	}
	return now
}

// cluster writes what changed for all policies at once.
func (c *changes) cluster(ctx context.Context, r *round) {
	if r.governed == nil {
		return
	}
	f, s := r.governed.Freeze, r.governed.Stop
	if is := f.Holds(r.now); is != c.frozen {
		c.frozen = is
		if is {
			until := ""
			if !f.Until.IsZero() {
				until = f.Until.UTC().Format(time.RFC3339)
			}
			audit(ctx, c.log, ActionFreezeBegan, "the cluster is frozen", keyUntil, until, keyReason, f.Reason)
		} else {
			audit(ctx, c.log, ActionFreezeEnded, "the freeze is over")
		}
	}
	if s.On != c.stopped {
		c.stopped = s.On
		if s.On {
			audit(ctx, c.log, ActionStopBegan, "the emergency stop is on", keyReason, s.Reason)
		} else {
			audit(ctx, c.log, ActionStopEnded, "the emergency stop was lifted")
		}
	}
}

// recorded writes a result that was entered in the history.
func (c *changes) recorded(ctx context.Context, policy string, e *tiering.HistoryEntry) {
	audit(ctx, c.log, ActionMoveRecorded, "move recorded", keyOutcome, e.Outcome, keyMove, e.JobName, keyPolicy, policy,
		keyVolume, e.VolumeName, keyClaim, e.Claim,
		keyFrom, e.FromTier, keyTo, e.ToTier, keyFromPool, e.FromPool, keyToPool, e.ToPool,
		keyScore, e.TriggerIOPS, keyError, e.Error)
}

// worth returns the zero value for what is steady: a volume that stays, or
// whose tier is not known, needs no line of its own.
func worth(d *tiering.Decision) kind {
	if d.Act == tiering.Stay || d.Act == tiering.Hold && d.To == tiering.NoTier {
		return kind{}
	}
	return kind{d.Act, d.To, d.Held.Gate}
}

// say writes a decision. A move that starts has the id that all its later lines
// have, too.
func (c *changes) say(ctx context.Context, policy string, d *tiering.Decision) {
	attrs := []any{
		keyOutcome, outcome(d.Act), keyPolicy, policy,
		keyVolume, d.Volume.Name, keyVolumeUUID, d.Volume.UUID, keyClaim, d.Volume.Claim(),
		keyDecision, d.Act.String(), keyFrom, d.FromWord(), keyTo, d.To.String(),
		keyScore, d.Volume.Sample.IOPS(),
	}
	switch {
	case d.N > 0:
		attrs = append(attrs, keyMove, nameJob(d.Volume.UUID, d.N))
	case d.Volume.Live != nil:
		attrs = append(attrs, keyMove, d.Volume.Live.Name)
	}
	if d.Held.Gate != tiering.NoGate {
		attrs = append(attrs, keyGate, d.Held.Gate.String(), keyReason, d.Held.Sentence())
	} else if why := d.Why(); why != "" {
		attrs = append(attrs, keyReason, why)
	}
	audit(ctx, c.log, ActionDecisionChanged, "decision changed", attrs...)
}

// outcome is what a decision comes to, in the words of the audit trail.
func outcome(a tiering.Act) string {
	switch a {
	case tiering.Move, tiering.Recover:
		return "started"
	case tiering.Moving:
		return "moving"
	case tiering.WouldMove:
		return "shown"
	case tiering.Hold:
		return "held"
	case tiering.Stay:
		return "stays"
	}
	return "held"
}

// gone forgets a policy.
func (c *changes) gone(policy string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, policy)
}
