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

// mode: the policy may start something. Dry run passes, of the policy as well
// as of the service: it decides in the same way and only does not act.
func mode(t *turn) Verdict {
	want := words("a policy that is not being deleted")
	switch {
	case t.plan.in.Finalizing:
		return holds(words("the policy is being deleted"), want)
	case t.plan.in.Limits.DryRun:
		return passes(words("moves are only shown: the service runs dry"), want)
	case t.rules().DryRun:
		return passes(words("moves are only shown: spec.dryRun is true"), want)
	}
	return passes(words("moves start"), want)
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
