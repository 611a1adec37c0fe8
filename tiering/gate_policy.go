package tiering

import "time"

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
	if v := inWindow(t); !v.Pass {
		return v
	}
	if v := approved(t); !v.Pass {
		return v
	}
	return t.plan.standing.verdict
}

// inWindow: the move is expected to end before the maintenance windows of policy
// and cluster close, one replica after the other.
func inWindow(t *turn) Verdict {
	if !t.plan.windowed || t.plan.proposing {
		return passes(Value{}, Value{})
	}
	now, took := t.plan.in.Now, t.plan.expected(t.v, t.to)
	want := words("a window in which it fits")
	have := "no maintenance window is open"
	for _, o := range t.plan.openings {
		begins := latter(o.from, now)
		switch fits := !begins.Add(took).After(o.to); {
		case fits && o.from.After(now):
			return holdsUntil(o.from, words(have), want)
		case fits:
			return passes(Value{}, Value{})
		case !o.from.After(now):
			have = "it would not end before the maintenance window closes at " + formatTime(o.to)
		}
	}
	return holds(words(have+", and none of the next "+formatSpan(horizon)+" is long enough"), want)
}

// startBy is when a move has to have started at the latest to end before the
// window that is open now closes; zero where there are no windows.
func (p *Plan) startBy(v *Volume, to Tier) time.Time {
	if !p.windowed || len(p.openings) == 0 || p.openings[0].from.After(p.in.Now) {
		return time.Time{}
	}
	return p.openings[0].to.Add(-p.expected(v, to))
}

// expected is how long a move should take, one replica after the other; 0 if
// that is not known, which another gate says.
func (p *Plan) expected(v *Volume, to Tier) time.Duration {
	rate := p.in.Limits.RebuildBytesPerSecond
	if rate <= 0 {
		return 0
	}
	replicas := max(1, len(leaving(v, p.Tiers.Pools(to))))
	seconds := float64(copied(v)) / float64(rate) * float64(replicas)
	return time.Duration(min(seconds*float64(time.Second), float64(longest)))
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
