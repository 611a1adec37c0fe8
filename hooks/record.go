package hooks

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// unrecorded returns the results that the request's own status does not show,
// oldest first, and the volumes of which one is known from the volume alone:
// their next attempt would overwrite it, so that has to wait until it is
// recorded. As the entries are made from the request alone, and only those are
// let go that its status shows, a result is recorded exactly once, however old
// the status is.
func (h *Hooks) unrecorded(q *request, rs *runs, recorded *history) (entries []tiering.HistoryEntry, onlyThere map[string]bool) {
	for _, v := range h.attempted(q) {
		if e, ok := fromVolume(v, &q.Parent, rs, recorded); ok {
			entries = append(entries, e)
			if onlyThere == nil {
				onlyThere = make(map[string]bool)
			}
			onlyThere[v.Handle] = true
		}
	}
	var ended []*run
	volumes := make(map[string]*volume)
	for _, r := range rs.children {
		if r.n > 0 && !r.live() && !recorded.has(r.Name, r.at()) {
			ended = append(ended, r)
			volumes[r.volume] = nil
		}
	}
	if len(ended) > 0 {
		for _, v := range q.Related.Volumes {
			if _, ok := volumes[v.Handle]; ok {
				volumes[v.Handle] = v
			}
		}
	}
	for _, r := range ended {
		entries = append(entries, r.entry(volumes[r.volume]))
	}
	slices.SortFunc(entries, func(a, b tiering.HistoryEntry) int {
		return cmp.Or(a.Timestamp.Time.Compare(b.Timestamp.Time), cmp.Compare(a.JobName, b.JobName))
	})
	return entries, onlyThere
}

// fromVolume makes an entry of a volume's memory where the Job is gone. An
// attempt of an earlier policy of the same name is not this one's.
func fromVolume(v *volume, p *parent, rs *runs, h *history) (tiering.HistoryEntry, bool) {
	a := &v.Memory.Attempt
	if a.N == 0 || v.Memory.Fault != "" || a.Policy != p.Name || !terminal(a.State) || a.At.Before(p.Created) || !validUUID(v.Handle) {
		return tiering.HistoryEntry{}, false
	}
	if h.dropped(a.At) {
		return tiering.HistoryEntry{}, false // The most are long past, and need no name.
	}
	name := nameJob(v.Handle, a.N)
	if h.has(name, a.At) || slices.ContainsFunc(rs.byVolume[v.Handle], func(r *run) bool { return r.n == a.N }) {
		return tiering.HistoryEntry{}, false
	}
	e := tiering.HistoryEntry{JobName: name}
	describe(&e, v)
	return e, true
}

// entry is the result of a run that is no longer live. v is its
// PersistentVolume, or nil if that is gone.
func (r *run) entry(v *volume) tiering.HistoryEntry {
	e := tiering.HistoryEntry{
		JobName: r.Name, JobUID: r.UID, VolumeName: "pvc-" + r.volume,
		Timestamp: second(r.at()), FromTier: r.Labels[FromTierLabel], ToTier: r.Labels[ToTierLabel],
		TriggerIOPS: math.Round(r.score()*10) / 10, Trigger: r.trigger(),
	}
	if v != nil {
		e.VolumeName, e.Claim = v.Name, v.Claim.text()
	}
	if r.result == nil {
		if v != nil && v.Memory.Fault == "" && v.Memory.Attempt.N == r.n && terminal(v.Memory.Attempt.State) {
			// The pod died between its two records (DESIGN section 4, reporting).
			describe(&e, v)
			e.LeadTime = r.lead(e.Outcome)
			return e
		}
		e.Outcome, e.Reason, e.Error = string(mayastor.Failed), cmp.Or(r.Ended.Reason, r.Ended.Type), r.endedWithout()
		return e
	}
	result := r.result
	e.FromTier, e.ToTier = cmp.Or(result.From, e.FromTier), cmp.Or(result.To, e.ToTier)
	e.FromPool, e.ToPool = strings.Join(result.FromPools, ","), strings.Join(result.ToPools, ",")
	if took := result.Ended.Sub(result.Started); !result.Started.IsZero() && took >= 0 {
		e.Duration = took.Round(time.Second).String()
	}
	e.Outcome, e.Success, e.Error = string(result.State), result.State == mayastor.Moved, result.Error
	e.Reason, e.Bytes = result.Reason, result.Bytes
	if result.Recovered {
		e.Outcome = tiering.OutcomeRecovered
	}
	e.LeadTime = r.lead(e.Outcome)
	return e
}

// lead is the time from the wish to the verified end of a move; "" if it did not
// move, or nobody knows since when it was wanted.
func (r *run) lead(outcome string) string {
	wanted := r.wanted()
	if outcome != tiering.OutcomeMoved || wanted.IsZero() || r.at().Before(wanted) {
		return ""
	}
	return r.at().Sub(wanted).Round(time.Second).String()
}

// describe fills an entry from a volume and the attempt it remembers.
func describe(e *tiering.HistoryEntry, v *volume) {
	m := v.Memory
	a := &m.Attempt
	e.VolumeName, e.Claim = v.Name, v.Claim.text()
	e.Timestamp = second(a.At)
	e.FromTier, e.ToTier = cmp.Or(m.From, e.FromTier), cmp.Or(a.To, e.ToTier)
	e.Outcome, e.Success, e.Error = string(a.State), a.State == tiering.AttemptMoved, m.Error
	e.Reason, e.Trigger = a.Reason, cmp.Or(e.Trigger, tiering.TriggerAutomatic)
	if m.ByHand {
		e.Trigger = tiering.TriggerByHand
	}
}

// second is t as the API server keeps it.
func second(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }

// text is namespace/name, or "" for none.
func (r reference) text() string {
	if r.Name == "" {
		return ""
	}
	return r.Namespace + "/" + r.Name
}

// How many ended Jobs are kept for their logs, and for how long. Both are far
// below what the history holds, so that a kept Job is always in it.
const (
	keptJobs = 20
	keptFor  = 7 * 24 * time.Hour
)

// kept returns the children to keep: each that is not known to have ended, each
// whose result the request's own status does not show, each that is not ours to
// judge by its name, and the newest of the others. h is the history in the
// request, after is the one in the answer.
func kept(rs *runs, h, after *history, now time.Time) []*run {
	var keep, done []*run
	for _, r := range rs.children {
		if r.n == 0 || !r.over() || !h.has(r.Name, r.at()) {
			keep = append(keep, r)
		} else if after.byJob[r.Name] && now.Sub(r.at()) <= keptFor {
			done = append(done, r)
		}
	}
	slices.SortFunc(done, func(a, b *run) int {
		return cmp.Or(b.at().Compare(a.at()), cmp.Compare(a.Name, b.Name))
	})
	return append(keep, done[:min(len(done), keptJobs)]...)
}
