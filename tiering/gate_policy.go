package tiering

// accepted: the policy compiled.
func accepted(t *turn) Verdict {
	if !t.rules().compiled {
		return holds(words("the policy has faults"), words("no faults"))
	}
	return passes(words("the policy has no faults"), words("no faults"))
}

// enabled: the policy is not stopped.
func enabled(t *turn) Verdict {
	if !t.rules().Enabled {
		return holds(words("the policy is disabled"), words("spec.enabled: true"))
	}
	return passes(words("the policy is enabled"), words("spec.enabled: true"))
}

// mode: the policy may start something, and moves in the direction of this one.
// Dry run passes, of the policy as well as of the service: it decides in the
// same way and only does not act.
func mode(t *turn) Verdict {
	if v := t.plan.standing.verdict; !v.Pass {
		return v
	}
	if !t.wishes() {
		return t.plan.standing.verdict
	}
	switch r := t.rules(); {
	case r.PausePromotions && !demotes(t.from, t.to):
		return holds(words("moves to a faster tier are paused"), words("spec.pausePromotions: false"))
	case r.PauseDemotions && demotes(t.from, t.to):
		return holds(words("moves to a slower tier are paused"), words("spec.pauseDemotions: false"))
	}
	return t.plan.standing.verdict
}

// wins: the policy selects the volume, and none that ranks higher does.
func wins(t *turn) Verdict {
	want := priority("", t.rules().Priority)
	switch {
	case !t.selected:
		return holds(words("the policy does not select the volume"), want)
	case t.winner != nil:
		return holds(priority(t.winner.Name, t.winner.Rules.Priority), want)
	}
	return passes(words("no policy that ranks higher selects it"), want)
}

func (t *turn) rules() *Rules { return &t.plan.in.Policy.Rules }
