package tiering

import (
	"slices"
	"time"

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
	d     *Decision
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
	before := kept(prev)
	for i := range drafts {
		before.keep(&drafts[i].PlanEntry)
	}
	wanted := wantedBefore(prev)
	for i := range drafts {
		wanted.keep(&drafts[i].PlanEntry)
	}
	// Stable, so that what ties stays in the order of names.
	slices.SortStableFunc(drafts, func(a, b draft) int {
		if a.order != b.order {
			return a.order - b.order
		}
		if a.Action == actionMoving || a.Action == actionRecover {
			return 0
		}
		return byTurn(a.class, b.class, a.ScoreIOPS, b.ScoreIOPS)
	})
	if len(drafts) == 0 {
		return nil
	}
	shown := make([]PlanEntry, min(len(drafts), mostEntries))
	for i := range shown {
		shown[i] = drafts[i].PlanEntry
		shown[i].Claim = drafts[i].d.Volume.Claim()
		shown[i].Reason = p.reason(drafts[i].d)
		before.keepReason(&shown[i])
	}
	return shown
}

// draft returns the entry of one decision, if it has one, but for what is
// written out for those entries alone that are shown.
func (p *Plan) draft(d *Decision) (draft, bool) {
	v := d.Volume
	e := draft{class: d.class(), d: d, PlanEntry: PlanEntry{
		VolumeName: v.Name, FromTier: d.FromWord(), ToTier: d.To.String(),
		ScoreIOPS: round(v.Sample.iops), Since: inSeconds(p.in.Now),
	}}
	switch d.Act {
	case Moving:
		j := v.Live
		if j.Policy != p.in.Policy.Name && d.Winner != "" {
			return draft{}, false // The policy that wins the volume shows it.
		}
		e.order, e.Action = 0, actionMoving
		e.ToTier, e.ScoreIOPS = j.To.String(), round(j.ScoreIOPS)
		if j.From != NoTier {
			e.FromTier = j.From.String()
		}
		if !j.Started.IsZero() {
			e.Since = inSeconds(j.Started)
		}
		if !j.Wanted.IsZero() {
			e.WantedSince = new(inSeconds(j.Wanted))
		}
	case Recover:
		e.order, e.Action, e.ToTier, e.ScoreIOPS = 1, actionRecover, NoTier.String(), 0
	case Move:
		e.order, e.Action, e.WantedSince = 2, actionMove, new(e.Since)
	case WouldMove:
		e.order, e.Action = 2, actionWouldMove
	case Hold:
		if !d.matters(p.standing.verdict.Pass) {
			return draft{}, false
		}
		e.order, e.Action, e.Gate = 3, actionHold, d.Held.Gate.String()
		if !p.dryRun() {
			e.WantedSince = new(e.Since)
		}
	case Stay:
		return draft{}, false
	}
	return e, true
}

// reason is the sentence of an entry.
func (p *Plan) reason(d *Decision) string {
	switch d.Act {
	case Moving:
		j := d.Volume.Live
		if j.Recovery {
			return "Job " + j.Name + " of policy " + j.Policy + " undoes or finishes what an attempt left behind."
		}
		return "Job " + j.Name + " of policy " + j.Policy + " moves it."
	case Recover:
		return "An attempt was started and left unfinished; a Job undoes or finishes it."
	case Move, WouldMove:
		return capital(d.Why())
	case Hold, Stay:
	}
	return capital(d.Held.Reason())
}

// matters reports whether a hold belongs into the plan: there is a wish, and
// what holds it is about the volume. What holds the whole policy is its mode,
// and who wins volumes from it is a condition. free is true while the gate mode
// lets some moves through.
func (d *Decision) matters(free bool) bool {
	if !wishes(d.From, d.Mixed, d.To) {
		return false
	}
	switch d.Held.Gate {
	case GateMode:
		return free
	case NoGate, GateAccepted, GateEnabled, GateWins, GateCoverage, GateBand, GateNotLive:
		return false
	case GatePublished, GateHealthy, GateContent, GateSnapshots, GateCalm, GateSettled, GateClean,
		GateBackOff, GateCooldown, GateRoute, GateCapacity, GateFits, GateCaps:
	}
	return true
}

// entryKey is what makes an entry of one status the same as one of the next:
// the volume, the direction and the gate.
type entryKey struct{ volume, from, to, gate string }

func (e *PlanEntry) key() entryKey {
	return entryKey{e.VolumeName, e.FromTier, e.ToTier, e.Gate}
}

// earlier are the entries of the status before.
type earlier map[entryKey]*PlanEntry

func kept(prev []PlanEntry) earlier {
	before := make(earlier, len(prev))
	for i := range prev {
		before[prev[i].key()] = &prev[i]
	}
	return before
}

// keep gives an entry the score and the time it had.
func (b earlier) keep(e *PlanEntry) {
	was, ok := b[e.key()]
	if !ok {
		return
	}
	if e.Action != actionMoving {
		e.ScoreIOPS = was.ScoreIOPS
	}
	e.Since = metav1.NewTime(was.Since.UTC())
}

// keepReason gives an entry of the gate route the sentence it had while its
// machine-readable beginning is the same, since what a route refuses may be
// told with figures.
func (b earlier) keepReason(e *PlanEntry) {
	if was, ok := b[e.key()]; ok && e.Gate == GateRoute.String() && code(e.Reason) == code(was.Reason) {
		e.Reason = was.Reason
	}
}

// wishKey is what makes a wish the same, whatever holds it.
type wishKey struct{ volume, from, to string }

func (e *PlanEntry) wish() wishKey { return wishKey{e.VolumeName, e.FromTier, e.ToTier} }

// wanted is since when the status before knew each wish.
type wanted map[wishKey]metav1.Time

func wantedBefore(prev []PlanEntry) wanted {
	w := make(wanted, len(prev))
	for i := range prev {
		if at := prev[i].WantedSince; at != nil {
			w[prev[i].wish()] = metav1.NewTime(at.UTC())
		}
	}
	return w
}

// keep lets a wish that is still there keep its time; the Job of a move has its
// own.
func (w wanted) keep(e *PlanEntry) {
	if at, ok := w[e.wish()]; ok && e.WantedSince != nil && e.Action != actionMoving {
		e.WantedSince = new(at)
	}
}

// WantedSince returns since when the plan in a status knows the wish of a volume
// for a tier; false if it does not show it.
func (s *StoragePolicyStatus) WantedSince(volume string, to Tier) (time.Time, bool) {
	for i := range s.Plan {
		if e := &s.Plan[i]; e.VolumeName == volume && e.ToTier == to.String() && e.WantedSince != nil {
			return e.WantedSince.Time, true
		}
	}
	return time.Time{}, false
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
