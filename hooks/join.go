package hooks

import (
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/tiering"
)

// join makes the volumes of a decision out of what Kubernetes, Mayastor and
// Prometheus say of them, in the order of names. A live Job of the policy whose
// PersistentVolume is gone is there as a volume that is being deleted, so that
// it still counts among what moves.
func join(q *request, rs *runs, f *facts, scores tiering.Scores, history *history) []tiering.Volume {
	claims := make(map[reference]*claim, len(q.Related.Claims))
	for _, c := range q.Related.Claims {
		claims[reference{Namespace: c.Namespace, Name: c.Name}] = c
	}
	handles := make(map[string]int, len(q.Related.Volumes))
	for _, pv := range q.Related.Volumes {
		handles[pv.Handle]++
	}
	volumes := make([]tiering.Volume, 0, len(q.Related.Volumes))
	known := make(map[string]bool, len(rs.byVolume))
	for _, pv := range q.Related.Volumes {
		var v tiering.Volume
		if fact := f.volume(pv.Handle); fact != nil {
			v = *fact
		}
		v.Name, v.UUID = pv.Name, pv.Handle
		v.ClaimNamespace, v.ClaimName = pv.Claim.Namespace, pv.Claim.Name
		v.StorageClass, v.Deleting = pv.StorageClass, pv.Deleting
		v.Labels = joinLabels(pv, claims)
		v.Sample = scores.Samples[pv.Name]
		look(&v, &pv.Memory, rs, history)
		switch {
		case !validUUID(pv.Handle):
			v.MemoryFault = fmt.Sprintf("the PersistentVolume's volumeHandle %q is no uuid, so its volume in Mayastor is not known; look at who made it", clip(pv.Handle))
		case handles[pv.Handle] > 1:
			v.MemoryFault = fmt.Sprintf("%d PersistentVolumes have the volumeHandle %s, so it is not known which one's memory counts; leave one of them", handles[pv.Handle], pv.Handle)
		}
		if len(rs.byVolume[pv.Handle]) > 0 {
			known[pv.Handle] = true
		}
		volumes = append(volumes, v)
	}
	for _, r := range rs.children {
		if r.live() && r.volume != "" && !known[r.volume] {
			known[r.volume] = true
			v := tiering.Volume{Name: "pvc-" + r.volume, UUID: r.volume, Deleting: true}
			look(&v, &memory{}, rs, history)
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// joinLabels returns the volume's labels joined with those of its claim, which
// win. A claim of the same name that is not the one the volume is bound to has
// no say.
func joinLabels(pv *volume, claims map[reference]*claim) labels.Set {
	c := claims[reference{Namespace: pv.Claim.Namespace, Name: pv.Claim.Name}]
	if c == nil || len(c.Labels) == 0 || pv.Claim.UID != "" && c.UID != "" && pv.Claim.UID != c.UID {
		return pv.Labels
	}
	if len(pv.Labels) == 0 {
		return c.Labels
	}
	joined := make(labels.Set, len(pv.Labels)+len(c.Labels))
	maps.Copy(joined, pv.Labels)
	maps.Copy(joined, c.Labels)
	return joined
}

// look adds what the volume's own memory, its Jobs and the history say.
func look(v *tiering.Volume, m *memory, rs *runs, history *history) {
	var ends []end
	for _, r := range rs.byVolume[v.UUID] {
		v.LastN = max(v.LastN, r.n)
		if r.live() && v.Live == nil {
			v.Live = r.liveJob()
		}
		if e, ok := r.end(); ok {
			ends = append(ends, e)
		}
	}
	for _, past := range history.byVolume[v.UUID] {
		v.LastN = max(v.LastN, past.n)
		ends = append(ends, past.end())
	}
	remember(v, m, ends)
}

// history is the policy's own record of what ended, as the request's status
// shows it.
type history struct {
	byJob    map[string]bool
	byVolume map[string][]past
	// oldest is the time of the oldest entry of a full history, before which
	// nothing can be told; zero while there is room.
	oldest time.Time
}

// past is one entry of the history.
type past struct {
	n     int64
	entry *tiering.HistoryEntry
}

// historyEntries is how many results the status holds.
const historyEntries = 50

func readHistory(entries []tiering.HistoryEntry) *history {
	h := &history{byJob: make(map[string]bool, len(entries)), byVolume: make(map[string][]past)}
	for i := range entries {
		e := &entries[i]
		h.byJob[e.JobName] = true
		if uuid, n, ok := parseJobName(e.JobName); ok {
			h.byVolume[uuid] = append(h.byVolume[uuid], past{n, e})
		}
		if len(entries) >= historyEntries && (h.oldest.IsZero() || e.Timestamp.Time.Before(h.oldest)) {
			h.oldest = e.Timestamp.Time
		}
	}
	return h
}

// has reports whether the end of a Job is recorded: it is in the history, or it
// is so old that a full history has dropped it.
func (h *history) has(job string, at time.Time) bool {
	return h.byJob[job] || !h.oldest.IsZero() && !at.Truncate(time.Second).After(h.oldest)
}

// end is how the attempt ended, as far as the history tells.
func (p past) end() end {
	e := end{n: p.n, attempt: tiering.Attempt{
		N: p.n, To: p.entry.ToTier, State: tiering.AttemptFailed, At: p.entry.Timestamp.Time,
	}}
	switch p.entry.Outcome {
	case tiering.OutcomeMoved:
		e.attempt.State = tiering.AttemptMoved
	case tiering.OutcomeRefused:
		e.attempt.State = tiering.AttemptRefused
	case tiering.OutcomeAborted, tiering.OutcomeRecovered:
		e.attempt.State = tiering.AttemptAborted
	}
	if p.entry.ToPool != "" {
		e.moved = p.entry.Timestamp.Time
	}
	return e
}
