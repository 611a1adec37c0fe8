package hooks

import (
	"cmp"

	"github.com/billyronks/couchestor/tiering"
)

// joining is what the volumes of a view are joined with for one decision.
type joining struct {
	policy  *tiering.Policy
	runs    *runs
	facts   *facts
	samples map[string]tiering.Sample
	history *history
}

// mark is what is known of a volume before it is joined.
type mark uint8

const (
	unconcerned mark = iota
	concerned
	// touched is a volume that a Job or the history knows, so that more than its
	// own memory says what was done with it.
	touched
)

// join makes those volumes of a decision that concern the policy out of what
// Kubernetes, Mayastor and Prometheus say of them, in the order of names. A live
// Job of the policy whose PersistentVolume is gone is there as a volume that is
// being deleted, so that it still counts among what moves.
func (b *bound) join(j *joining) []*tiering.Volume {
	marks := make([]mark, len(b.volumes))
	for uuid := range j.runs.byVolume {
		b.touch(marks, uuid)
	}
	for uuid := range j.history.byVolume {
		b.touch(marks, uuid)
	}
	n := 0
	var probe tiering.Volume
	for i, pv := range b.volumes {
		if marks[i] == unconcerned && b.concerns(j.policy, pv, &probe) {
			marks[i] = concerned
		}
		if marks[i] != unconcerned {
			n++
		}
	}
	volumes := make([]*tiering.Volume, 0, n)
	var all []tiering.Volume
	if !b.remembers {
		all = make([]tiering.Volume, n)
	}
	for i, pv := range b.volumes {
		if marks[i] == unconcerned {
			continue
		}
		var v *tiering.Volume
		if b.remembers {
			v = pv.joined(j)
		} else {
			v = &all[len(volumes)]
			pv.join(v, j, true)
		}
		if why, shares := b.shares(pv.Handle); shares || marks[i] == touched {
			if b.remembers {
				v = new(*v) // The other is remembered.
			}
			look(v, pv.Memory, j.runs, j.history)
			doubt(v, cmp.Or(pv.fault, why))
		}
		volumes = append(volumes, v)
	}
	known := make(map[string]bool)
	for _, r := range j.runs.children {
		if _, ok := b.first[r.volume]; !ok && r.live() && r.volume != "" && !known[r.volume] {
			known[r.volume] = true
			v := &tiering.Volume{Name: "pvc-" + r.volume, UUID: r.volume, Deleting: true}
			look(v, new(memory), j.runs, j.history)
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// concerns reports whether a volume that no Job and no history knows concerns the
// policy. The probe is for its use alone.
func (b *bound) concerns(policy *tiering.Policy, pv *boundVolume, probe *tiering.Volume) bool {
	probe.StorageClass, probe.ClaimNamespace, probe.Labels = pv.StorageClass, pv.Claim.Namespace, pv.labels
	if probe.Memory = nil; pv.Memory.Attempt.State == tiering.AttemptStarted {
		probe.Memory = recall(pv.Memory, nil, 0)
	}
	if policy.Concerns(probe) {
		return true
	}
	_, shares := b.shares(pv.Handle)
	return shares
}

// joined returns the volume with what is known of it, apart from Jobs and
// history. It is shared, and the same one while nothing has changed.
func (pv *boundVolume) joined(j *joining) *tiering.Volume {
	if j.facts.reading == 0 {
		v := new(tiering.Volume)
		pv.join(v, j, false)
		return v
	}
	if pv.reading != j.facts.reading {
		says := j.facts.says(pv.Handle)
		if pv.last == nil || pv.said != says {
			pv.last, pv.said = new(tiering.Volume), says
			pv.join(pv.last, j, false)
		}
		pv.reading = j.facts.reading
	}
	if sample := j.samples[pv.Name]; pv.last.Sample != sample {
		v := new(*pv.last)
		v.Sample = sample
		pv.last = v
	}
	return pv.last
}

// join makes what is known of the volume, apart from Jobs and history; forgotten
// is true if it is not remembered.
func (pv *boundVolume) join(v *tiering.Volume, j *joining, forgotten bool) {
	*v = j.facts.volume(pv.Handle, forgotten)
	v.Name, v.UUID = pv.Name, pv.Handle
	v.ClaimNamespace, v.ClaimName = pv.Claim.Namespace, pv.Claim.Name
	v.StorageClass, v.Deleting = pv.StorageClass, pv.Deleting
	v.Labels = pv.labels
	v.Sample = j.samples[pv.Name]
	v.Memory = recall(pv.Memory, nil, 0)
	doubt(v, pv.fault)
}

// doubt adds why it is not known which memory is the volume's; "" for nothing.
func doubt(v *tiering.Volume, why string) {
	if why == "" {
		return
	}
	m := *v.Remembered()
	m.Fault = why
	v.Memory = &m
}

// look adds what the volume's own memory, its Jobs and the history say.
func look(v *tiering.Volume, m *memory, rs *runs, history *history) {
	var ends []end
	var lastN int64
	for _, r := range rs.byVolume[v.UUID] {
		lastN = max(lastN, r.n)
		if r.live() && v.Live == nil {
			v.Live = r.liveJob()
		}
		if e, ok := r.end(); ok {
			ends = append(ends, e)
		}
	}
	for _, past := range history.byVolume[v.UUID] {
		lastN = max(lastN, past.n)
		ends = append(ends, past.end())
	}
	v.Memory = recall(m, ends, lastN)
}
