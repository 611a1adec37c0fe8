package tiering

import (
	"cmp"
	"strings"
)

// The modes, as status shows them.
const (
	modeActive   = "Active"
	modeDryRun   = "DryRun"
	modeFrozen   = "Frozen"
	modeStopped  = "Stopped"
	modeRejected = "Rejected"
	modeDisabled = "Disabled"
	modeWaiting  = "Waiting"
	modeBlind    = "Blind"
	modeDeleting = "Deleting"
	modeError    = "Error"
)

// Modes lists them.
func Modes() []string {
	return []string{
		modeActive, modeDryRun, modeFrozen, modeStopped, modeRejected, modeDisabled, modeWaiting, modeBlind, modeDeleting, modeError,
	}
}

// standing is what a policy as a whole may do now.
type standing struct {
	// mode and why are for status; why is a sentence.
	mode, why string
	// notReady is the reason of the condition Ready if its sentence is why; ""
	// where other conditions say more.
	notReady string
	// dry says why moves are only shown; "" if they start.
	dry string
	// outside are the fields beyond their approved range.
	outside []string
	trial   trial
	// verdict is what the gate mode says of every volume.
	verdict Verdict
}

// stand finds the policy's standing. What others decided over it comes before
// what it decided itself.
//
//	held                      mode      in dry run, of whatever kind
//	being deleted             Deleting  held, too
//	disabled                  Disabled  held, too
//	governance not known      Waiting   held, too
//	outside an approved range Rejected  held, too
//	emergency stop            Stopped   moves are shown
//	freeze                    Frozen    moves are shown
func (p *Plan) stand() standing {
	var s standing
	if g := p.in.Governed; g != nil && g.Known {
		s.outside = g.Outside(&p.in.Policy)
	}
	s.trial = p.try(len(s.outside) > 0)
	s.dry = cmp.Or(p.runsDry(), s.trial.dry)
	s.verdict = p.holdsAll(&s)
	s.mode, s.why, s.notReady = p.mode(&s)
	return s
}

// runsDry says why moves are only shown, apart from the dry run of a new or
// changed policy; "" if they start.
func (p *Plan) runsDry() string {
	switch {
	case p.in.Limits.DryRun:
		return "the service runs dry"
	case p.in.Policy.Rules.DryRun:
		return "spec.dryRun is true"
	}
	return ""
}

// holdsAll is the answer of the gate mode before it looks at a volume.
func (p *Plan) holdsAll(s *standing) Verdict {
	g := p.in.Governed
	switch {
	case p.in.Finalizing:
		return holds(words("the policy is being deleted, and nothing new starts"), words("a policy that is not being deleted"))
	case g != nil && !g.Known:
		return holds(words("the governance configuration is not known"), words("one without faults; see the condition "+ConditionGovernanceAccepted))
	case len(s.outside) > 0:
		return holds(words(list(s.outside)), words("values inside the approved ranges, or an exception in ConfigMap "+GovernanceName))
	case s.dry != "":
		return passes(words("moves are only shown: "+s.dry), Value{})
	case g != nil && g.Stop.On:
		return holds(words("the emergency stop of the cluster is on"+because(g.Stop.Reason)), words("its end in ConfigMap "+GovernanceName))
	case g != nil && g.Freeze.Holds(p.in.Now):
		return holdsUntil(g.Freeze.Until, words("the cluster is frozen"+because(g.Freeze.Reason)), words("the end of the freeze"))
	}
	return passes(words("moves start"), Value{})
}

// because appends a reason that somebody gave, if it was given.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + strings.TrimRight(reason, ". ") + ")"
}

// mode says what the policy may do now and why, and which reason the condition
// Ready has for it, if it has this one.
func (p *Plan) mode(s *standing) (mode, why, notReady string) {
	r, w, g := &p.in.Policy.Rules, p.in.World, p.in.Governed
	switch {
	case p.in.Finalizing:
		return modeDeleting, "The policy is being deleted; moves that run come to their end.", "Deleting"
	case !r.Enabled:
		return modeDisabled, "spec.enabled is false; moves that run bring their volume to a safe end. Set it to true to let the policy move volumes.", "Disabled"
	case g != nil && g.Stop.On:
		return modeStopped, "The emergency stop of the cluster is on" + because(g.Stop.Reason) + ": nothing starts, and moves that run bring their volume to a safe end.", "EmergencyStop"
	case g != nil && !g.Known:
		return modeWaiting, "The governance configuration is not known, so nothing new starts; see the condition " + ConditionGovernanceAccepted + ".", "GovernanceUnknown"
	case len(s.outside) > 0:
		return modeRejected, "Outside of what is approved: " + list(s.outside) + ". Nothing new starts; correct the spec, or have an exception entered in ConfigMap " + GovernanceName + ".", "OutsideApprovedRanges"
	case g != nil && g.Freeze.Holds(p.in.Now):
		until := "the freeze is lifted, as its end cannot be read"
		if !g.Freeze.Until.IsZero() {
			until = formatTime(g.Freeze.Until)
		}
		return modeFrozen, "Nothing new starts until " + until + because(g.Freeze.Reason) + "; moves that run go on.", "Frozen"
	case !w.Metrics.OK:
		return modeBlind, "There are no scores; each volume keeps its tier.", ""
	case !w.Mayastor.OK:
		return modeWaiting, "Mayastor cannot be read; nothing new starts.", ""
	case w.Kubernetes != nil && !w.Kubernetes.OK:
		return modeWaiting, "Kubernetes cannot be read; nothing new starts.", ""
	case p.in.Limits.DryRun:
		return modeDryRun, "The service runs with dry run; moves are shown and not started.", ""
	case r.DryRun:
		return modeDryRun, "spec.dryRun is true; moves are shown and not started.", ""
	case s.trial.why != "":
		return modeDryRun, s.trial.why, ""
	case w.Movable != "":
		return modeWaiting, "This version of Mayastor lets no move be steered; nothing new starts.", ""
	case w.Unsettled != "":
		return modeWaiting, "The cluster is not at rest; nothing new starts.", ""
	}
	return modeActive, "Moves start as the plan says.", ""
}
