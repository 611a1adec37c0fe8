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

// place is where the entry of a decision belongs in a plan.
type place struct {
	order int
	class class
	score float64
	d     *Decision
}

// before reports whether an entry comes before another one. Of two that tie, the
// one of the volume whose name comes first does.
func (a *place) before(b *place) bool {
	if a.order != b.order {
		return a.order < b.order
	}
	if a.order <= orderRecover {
		return false
	}
	return byTurn(a.class, b.class, a.score, b.score) < 0
}

// The order of the entries, by action.
const (
	orderMoving = iota
	orderRecover
	orderMove
	orderHold
)

// entries returns the plan for the status: what moves, what is next, and which
// wishes are held and matter. An entry that was there before keeps its score
// and its time, and since entries are sorted by the score they show, their
// order does not change with each reading either.
func (p *Plan) entries(prev []PlanEntry) []PlanEntry {
	before, wanted := kept(prev), wantedBefore(prev)
	known := make(map[string]bool, len(prev))
	for i := range prev {
		known[prev[i].VolumeName] = true
	}
	first := make([]place, 0, mostEntries+1)
	for i := range p.Decisions {
		at, ok := p.place(&p.Decisions[i])
		if !ok {
			continue
		}
		if len(known) > 0 && known[at.d.Volume.Name] {
			e := p.entry(&at)
			before.keep(&e)
			at.score = e.ScoreIOPS
		}
		// After what ties, so that this stays in the order of names.
		k := len(first)
		for k > 0 && at.before(&first[k-1]) {
			k--
		}
		if k < mostEntries {
			first = slices.Insert(first, k, at)
			first = first[:min(len(first), mostEntries)]
		}
	}
	if len(first) == 0 {
		return nil
	}
	shown := make([]PlanEntry, len(first))
	for i := range shown {
		shown[i] = p.entry(&first[i])
		before.keep(&shown[i])
		wanted.keep(&shown[i])
		shown[i].Claim = first[i].d.Volume.Claim()
		shown[i].Reason = p.reason(first[i].d)
		before.keepReason(&shown[i])
	}
	return shown
}

// place returns where a decision belongs in the plan, if it has an entry there.
func (p *Plan) place(d *Decision) (place, bool) {
	at := place{class: d.class(), d: d}
	switch d.Act {
	case Moving:
		at.order, at.score = orderMoving, round(d.Volume.Live.ScoreIOPS)
		// The policy that wins the volume shows it.
		return at, d.Volume.Live.Policy == p.in.Policy.Name || d.Winner == ""
	case Recover:
		at.order = orderRecover
	case Move, WouldMove:
		at.order, at.score = orderMove, round(d.Volume.Sample.iops)
	case Hold:
		at.order, at.score = orderHold, round(d.Volume.Sample.iops)
		return at, d.matters(p.standing.verdict.Pass)
	case Stay:
		return place{}, false
	}
	return at, true
}

// entry returns the entry of one decision but for its claim and its reason.
func (p *Plan) entry(at *place) PlanEntry {
	d, v := at.d, at.d.Volume
	e := PlanEntry{
		VolumeName: v.Name, FromTier: d.FromWord(), ToTier: d.To.String(),
		ScoreIOPS: at.score, Since: inSeconds(p.in.Now),
	}
	switch d.Act {
	case Moving:
		j := v.Live
		e.Action, e.ToTier = actionMoving, j.To.String()
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
		e.Action, e.ToTier = actionRecover, NoTier.String()
	case Move:
		e.Action, e.WantedSince = actionMove, new(e.Since)
	case WouldMove:
		e.Action = actionWouldMove
	case Hold:
		e.Action, e.Gate = actionHold, d.Held.Gate.String()
		if !p.dryRun() {
			e.WantedSince = new(e.Since)
		}
	case Stay:
	}
	return e
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
