package tiering

// coverage: there is a score, and enough samples stand behind it. Without, the
// volume belongs on no tier, and holds the one it has.
func coverage(t *turn) Verdict {
	want := percent(float64(t.rules().MinCoveragePercent))
	metrics, s := &t.plan.in.World.Metrics, &t.v.Sample
	switch {
	case !metrics.OK:
		return holds(words(or(text(metrics.Message), "no scores could be read from Prometheus")), want)
	case *s == Sample{} && t.seen() && t.v.Unpublished != "":
		// Mayastor counts at the target, and there is none (MS 7).
		return holds(words(s.Why()+", which no pod uses now"), want)
	case !s.Known():
		return holds(words(s.Why()), want)
	case s.coverage < float64(t.rules().MinCoveragePercent):
		return holds(percent(s.coverage), want)
	}
	return passes(percent(s.coverage), want)
}

// Trusts reports whether a score may be acted on, as the gate coverage asks.
func (p *Plan) Trusts(s *Sample) bool { return p.trusts(s) }

// trusts reports whether the gate coverage passes.
func (p *Plan) trusts(s *Sample) bool {
	return p.in.World.Metrics.OK && s.Known() && s.coverage >= float64(p.in.Policy.Rules.MinCoveragePercent)
}

// band: the score wants the volume somewhere else than it is.
func band(t *turn) Verdict {
	if !t.trusted {
		return notAsked("the score is unknown")
	}
	return answer(t.wishes(), iops(t.v.Sample.iops), words(t.plan.edges[t.lean]))
}

// text returns a pointer for or: nil for the empty string.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
