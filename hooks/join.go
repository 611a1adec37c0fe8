package hooks

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/tiering"
)

// bound are the volumes of a view joined with their claims: what of a decision's
// volumes depends on Kubernetes alone, and is the same for all policies. It is
// never changed.
type bound struct {
	volumes []boundVolume
	// first is the place of the first volume of a handle.
	first map[string]int
	// of is the view it was made of.
	of *View
}

type boundVolume struct {
	*volume
	// labels are the volume's joined with its claim's.
	labels labels.Set
	// fault is empty, or why it is not known which volume of Mayastor this is.
	fault string
	// shares is true if another volume has the same handle.
	shares bool
}

func bind(view *View) *bound {
	claims := make(map[reference]*claim, len(view.Claims))
	for _, c := range view.Claims {
		claims[reference{Namespace: c.Namespace, Name: c.Name}] = c
	}
	b := &bound{of: view, volumes: make([]boundVolume, len(view.Volumes)), first: make(map[string]int, len(view.Volumes))}
	many := make(map[string]int)
	for i, pv := range view.Volumes {
		b.volumes[i] = boundVolume{volume: pv, labels: joinLabels(pv, claims)}
		if _, ok := b.first[pv.Handle]; !ok {
			b.first[pv.Handle] = i
		} else {
			many[pv.Handle] = max(many[pv.Handle], 1) + 1
		}
		if !validUUID(pv.Handle) {
			b.volumes[i].fault = fmt.Sprintf("the PersistentVolume's volumeHandle %q is no uuid, so its volume in Mayastor is not known; look at who made it", clip(pv.Handle))
		}
	}
	if len(many) == 0 {
		return b
	}
	for i := range b.volumes {
		v := &b.volumes[i]
		if n := many[v.Handle]; n > 1 {
			v.shares = true
			v.fault = cmp.Or(v.fault, fmt.Sprintf("%d PersistentVolumes have the volumeHandle %s, so it is not known which one's memory counts; leave one of them", n, v.Handle))
		}
	}
	return b
}

// has reports whether it is that of the view's volumes and claims; other kinds
// may have changed since.
func (b *bound) has(view *View) bool {
	return b != nil && same(b.of.Volumes, view.Volumes) && same(b.of.Claims, view.Claims)
}

// same reports whether two lists that are never changed are one.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// boundCache keeps what the last view of the service's own came to. What comes
// with a request is not kept, as no other request has it.
type boundCache struct {
	mu   sync.Mutex
	last *bound
}

func (c *boundCache) of(view *View) *bound {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.has(view) {
		c.last = bind(view)
	}
	return c.last
}

// join makes those volumes of a decision that concern the policy out of what
// Kubernetes, Mayastor and Prometheus say of them, in the order of names. A live
// Job of the policy whose PersistentVolume is gone is there as a volume that is
// being deleted, so that it still counts among what moves.
func join(policy *tiering.Policy, b *bound, rs *runs, f *facts, scores tiering.Scores, history *history) []tiering.Volume {
	// Of those that a Job or the history knows, more than the volume's own memory
	// says whom it concerns.
	touched := make([]bool, len(b.volumes))
	for uuid := range rs.byVolume {
		b.touch(touched, uuid)
	}
	for uuid := range history.byVolume {
		b.touch(touched, uuid)
	}
	concerned, n := slices.Clone(touched), 0
	var probe tiering.Volume
	for i := range b.volumes {
		pv := &b.volumes[i]
		probe.StorageClass, probe.ClaimNamespace, probe.Labels = pv.StorageClass, pv.Claim.Namespace, pv.labels
		remember(&probe, pv.Memory, nil)
		if concerned[i] = concerned[i] || pv.shares || policy.Concerns(&probe); concerned[i] {
			n++
		}
	}
	volumes := make([]tiering.Volume, 0, n)
	for i := range b.volumes {
		if !concerned[i] {
			continue
		}
		pv := &b.volumes[i]
		var v tiering.Volume
		if fact := f.volume(pv.Handle); fact != nil {
			v = *fact
		}
		v.Name, v.UUID = pv.Name, pv.Handle
		v.ClaimNamespace, v.ClaimName = pv.Claim.Namespace, pv.Claim.Name
		v.StorageClass, v.Deleting = pv.StorageClass, pv.Deleting
		v.Labels = pv.labels
		v.Sample = scores.Samples[pv.Name]
		if touched[i] || pv.shares {
			look(&v, pv.Memory, rs, history)
		} else {
			remember(&v, pv.Memory, nil)
		}
		v.MemoryFault = cmp.Or(pv.fault, v.MemoryFault)
		volumes = append(volumes, v)
	}
	known := make(map[string]bool)
	for _, r := range rs.children {
		if _, ok := b.first[r.volume]; !ok && r.live() && r.volume != "" && !known[r.volume] {
			known[r.volume] = true
			v := tiering.Volume{Name: "pvc-" + r.volume, UUID: r.volume, Deleting: true}
			look(&v, new(memory), rs, history)
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// touch marks the first volume of a handle.
func (b *bound) touch(marks []bool, handle string) {
	if i, ok := b.first[handle]; ok {
		marks[i] = true
	}
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
