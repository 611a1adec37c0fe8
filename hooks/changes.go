package hooks

import (
	"log/slog"
	"sync"

	"github.com/billyronks/couchestor/tiering"
)

// The keys of the decision log.
const (
	keyPolicy   = "policy"
	keyVolume   = "volume"
	keyClaim    = "claim"
	keyDecision = "decision"
	keyFrom     = "from_tier"
	keyTo       = "to_tier"
	keyScore    = "score_iops"
	keyGate     = "gate"
	keyReason   = "reason"
	keyJob      = "job"
	keyOutcome  = "outcome"
	keyErr      = "err"
)

// maxPolicies bounds the memory of changes; beyond it all is forgotten, and
// what is still so is logged once more.
const maxPolicies = 1000

// changes logs decisions that are not what they were. What it remembers decides
// nothing, and is lost without harm.
type changes struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]remembered
}

// remembered are the decisions of one policy that are worth a line, and the
// Jobs whose end was logged when it was asked last.
type remembered struct {
	decisions map[string]kind
	ended     map[string]bool
}

// kind is what has to change to be worth a line.
type kind struct {
	act  tiering.Act
	to   tiering.Tier
	gate tiering.Gate
}

// decided logs what changed since the last request of the policy. plan is nil
// for a policy that does not compile.
func (c *changes) decided(p *parent, plan *tiering.Plan, entries []tiering.HistoryEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last[p.Name]
	now := remembered{decisions: before.decisions, ended: make(map[string]bool, len(entries))}
	for i := range entries {
		e := &entries[i]
		now.ended[e.JobName] = true
		if !before.ended[e.JobName] {
			c.log.Info("move ended", keyPolicy, p.Name, keyVolume, e.VolumeName, keyClaim, e.Claim,
				keyJob, e.JobName, keyOutcome, e.Outcome, keyFrom, e.FromTier, keyTo, e.ToTier, keyErr, e.Error)
		}
	}
	if plan != nil {
		now.decisions = make(map[string]kind)
		for i := range plan.Decisions {
			d := &plan.Decisions[i]
			is := worth(d)
			was := before.decisions[d.Volume.Name]
			if is != (kind{}) {
				now.decisions[d.Volume.Name] = is
			}
			if is != was {
				c.say(p.Name, d)
			}
		}
	}
	if c.last == nil || len(c.last) >= maxPolicies {
		c.last = make(map[string]remembered)
	}
	c.last[p.Name] = now
}

// worth returns the zero value for what is steady: a volume that stays, or
// whose tier is not known, needs no line of its own.
func worth(d *tiering.Decision) kind {
	if d.Act == tiering.Stay || d.Act == tiering.Hold && d.To == tiering.NoTier {
		return kind{}
	}
	return kind{d.Act, d.To, d.Held.Gate}
}

func (c *changes) say(policy string, d *tiering.Decision) {
	attrs := []any{
		keyPolicy, policy, keyVolume, d.Volume.Name, keyClaim, d.Volume.Claim(),
		keyDecision, d.Act.String(), keyFrom, d.FromWord(), keyTo, d.To.String(),
		keyScore, figure(d.Volume.Sample.IOPS()),
	}
	if d.Held.Gate != tiering.NoGate {
		attrs = append(attrs, keyGate, d.Held.Gate.String(), keyReason, d.Held.Sentence())
	}
	c.log.Info("decision changed", attrs...)
}

// gone forgets a policy.
func (c *changes) gone(policy string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, policy)
}
