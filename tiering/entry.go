package tiering

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostEntries is how many entries of a plan the status holds.
const mostEntries = 20

// The actions of a plan entry.
const (
	actionMoving    = "Moving"
	actionRecover   = "Recover"
	actionMove      = "Move"
	actionWouldMove = "WouldMove"
	actionHold      = "Hold"
)

// draft is an entry with what it is sorted by.
type draft struct {
	PlanEntry
	order int
	class class
}

// entries returns the plan for the status: what moves, what is next, and which
// wishes are held and matter. An entry that was there before keeps its score
// and its time, and since entries are sorted by the score they show, their
// order does not change with each reading either.
func (p *Plan) entries(prev []PlanEntry) []PlanEntry {
	var drafts []draft
	for i := range p.Decisions {
		if e, ok := p.draft(&p.Decisions[i]); ok {
			drafts = append(drafts, e)
		}
	}
	keep(drafts, prev)
	slices.SortFunc(drafts, func(a, b draft) int {
		if c := cmp.Compare(a.order, b.order); c != 0 {
			return c
		}
		name := cmp.Compare(a.VolumeName, b.VolumeName)
		if a.Action == actionMoving || a.Action == actionRecover {
			return name
		}
		return byTurn(a.class, b.class, a.ScoreIOPS, b.ScoreIOPS, name)
	})
	if len(drafts) == 0 {
		return nil
	}
	shown := make([]PlanEntry, 0, min(len(drafts), mostEntries))
	for i := range drafts[:cap(shown)] {
		shown = append(shown, drafts[i].PlanEntry)
	}
	return shown
}

// draft returns the entry of one decision, if it has one.
func (p *Plan) draft(d *Decision) (draft, bool) {
	v := d.Volume
	e := draft{class: d.class(), PlanEntry: PlanEntry{
		VolumeName: v.Name, Claim: v.Claim(), FromTier: d.FromWord(), ToTier: d.To.String(),
		ScoreIOPS: round(v.Sample.iops), Since: inSeconds(p.in.Now),
	}}
	switch d.Act {
	case Moving:
		j := v.Live
		if j.Policy != p.in.Policy.Name && d.Winner != "" {
			return draft{}, false // The policy that wins the volume shows it.
		}
		e.order, e.Action, e.Reason = 0, actionMoving, "Job "+j.Name+" of policy "+j.Policy+" moves it."
		e.FromTier, e.ToTier, e.ScoreIOPS = j.From.String(), j.To.String(), round(j.ScoreIOPS)
		if j.From == NoTier {
			e.FromTier = d.FromWord()
		}
		if j.Recovery {
			e.Reason = "Job " + j.Name + " of policy " + j.Policy + " undoes or finishes what an attempt left behind."
		}
		if !j.Started.IsZero() {
			e.Since = inSeconds(j.Started)
		}
	case Recover:
		e.order, e.Action, e.ToTier, e.ScoreIOPS = 1, actionRecover, NoTier.String(), 0
		e.Reason = "An attempt was started and left unfinished; a Job undoes or finishes it."
	case Move:
		e.order, e.Action, e.Reason = 2, actionMove, capital(d.Why())
	case WouldMove:
		e.order, e.Action, e.Reason = 2, actionWouldMove, capital(d.Why())
	case Hold:
		if !d.matters() {
			return draft{}, false
		}
		e.order, e.Action, e.Gate, e.Reason = 3, actionHold, d.Held.Gate.String(), capital(d.Held.Reason())
	case Stay:
		return draft{}, false
	}
	return e, true
}

// matters reports whether a hold belongs into the plan: there is a wish, and
// what holds it is about the volume. What holds the whole policy is its mode,
// and who wins volumes from it is a condition.
func (d *Decision) matters() bool {
	if !wishes(d.From, d.Mixed, d.To) {
		return false
	}
	switch d.Held.Gate {
	case NoGate, GateAccepted, GateEnabled, GateMode, GateWins, GateCoverage, GateBand, GateNotLive:
		return false
	case GatePublished, GateHealthy, GateContent, GateSnapshots, GateCalm, GateSettled, GateClean,
		GateBackOff, GateCooldown, GateRoute, GateCapacity, GateFits, GateCaps:
	}
	return true
}

// keep gives entries the score and the time of the same entry in prev: that
// with the same volume, direction and gate. The gate route also keeps its
// sentence while its machine-readable beginning is the same, since what a
// route refuses may be told with figures.
func keep(drafts []draft, prev []PlanEntry) {
	if len(prev) == 0 {
		return
	}
	type key struct{ volume, from, to, gate string }
	of := func(e *PlanEntry) key { return key{e.VolumeName, e.FromTier, e.ToTier, e.Gate} }
	before := make(map[key]*PlanEntry, len(prev))
	for i := range prev {
		before[of(&prev[i])] = &prev[i]
	}
	for i := range drafts {
		e := &drafts[i].PlanEntry
		was, ok := before[of(e)]
		if !ok {
			continue
		}
		if e.Action != actionMoving {
			e.ScoreIOPS = was.ScoreIOPS
		}
		e.Since = metav1.NewTime(was.Since.UTC())
		if e.Gate == GateRoute.String() && code(e.Reason) == code(was.Reason) {
			e.Reason = was.Reason
		}
	}
}

// code returns what stands before the first colon.
func code(sentence string) string {
	for i := range len(sentence) {
		if sentence[i] == ':' {
			return sentence[:i]
		}
	}
	return ""
}

// capital makes a sentence begin with a capital letter.
func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
