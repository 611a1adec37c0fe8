package mayastor

import (
	"cmp"
	"slices"
	"time"
)

// Journal is what a migrator must know after a crash. It is written before
// each side effect, so that what is found on the server is either the state
// before the intended step or the one after it (MS 5.4).
type Journal struct {
	Attempt Attempt `json:"attempt"`
	Volume  string  `json:"volume"`
	// N is num_replicas when the move began, and what it must be at the end.
	N int `json:"replicas"`
	// Bytes is the volume's size.
	Bytes int64 `json:"bytes"`
	// Original are the replicas when the move began, sorted by uuid.
	Original []ReplicaRef `json:"original"`
	Ask      Ask          `json:"ask"`

	Phase Phase `json:"phase"`
	// Victim is the replica that this step gives up.
	Victim ReplicaRef `json:"victim,omitzero"`
	// Before are the uuids of the replicas before this step's +1, sorted.
	Before []string `json:"before,omitempty"`
	// New is the replica that this step added, once it was seen.
	New ReplicaRef `json:"new,omitzero"`
	// StepStarted is when the +1 of this replica was first asked for;
	// PhaseSince is when the phase was entered.
	StepStarted time.Time `json:"stepStarted,omitzero"`
	PhaseSince  time.Time `json:"phaseSince,omitzero"`
	// Tries counts placements of this step's new replica.
	Tries int `json:"tries,omitempty"`
	// Unsteered is true if the last -1 was sent though nothing could say which
	// replica would go, because the move had to end.
	Unsteered bool `json:"unsteered,omitempty"`
	// LastError is the server's last answer to a replica count that did not
	// confirm it, or "".
	LastError string `json:"lastError,omitempty"`
	// Blind is true of a journal made from the mark on the volume, as the true
	// one is lost: of what it began with, N alone is known.
	Blind bool `json:"blind,omitempty"`
	// Doubt is the last one; it counts for its replica alone.
	Doubt Doubt `json:"doubt,omitzero"`
	// Touched is true once a replica count was asked for.
	Touched bool `json:"touched,omitempty"`
	// Finished counts replicas that reached a target pool.
	Finished int `json:"finished,omitempty"`
	// Ending is set once the move is to stop at the next safe place.
	Ending *Ending `json:"ending,omitempty"`
	// Result is set in phase done.
	Result  *Result   `json:"result,omitempty"`
	Started time.Time `json:"started"`
}

// Ending is how a move that was cut short is to be reported.
type Ending struct {
	State    State  `json:"state"`
	Reason   Reason `json:"reason"`
	Sentence string `json:"sentence"`
	// Seen is when the migrator first saw that it was to stop; zero where nobody
	// told it to.
	Seen time.Time `json:"seen,omitzero"`
}

// Phase is the side effect a migrator was about to cause or has caused.
type Phase string

// The phases. A step of kind AddFirst goes idle, up, down, idle; one that is
// taken back goes idle, up, undo, idle; RemoveFirst goes idle, reduce,
// restore, idle.
const (
	// PhaseIdle: num_replicas is N and nothing of ours is under way.
	PhaseIdle Phase = "idle"
	// PhaseUp: N to N+1, then the wait for sync.
	PhaseUp Phase = "up"
	// PhaseDown: N+1 to N, giving up the victim.
	PhaseDown Phase = "down"
	// PhaseUndo: N+1 to N, giving up the new replica.
	PhaseUndo Phase = "undo"
	// PhaseReduce: N to N-1, giving up the victim.
	PhaseReduce Phase = "reduce"
	// PhaseRestore: N-1 to N, then the wait for sync.
	PhaseRestore Phase = "restore"
	// PhaseDone: the volume is at rest; the result is being reported.
	PhaseDone Phase = "done"
)

// enter begins a phase.
func (j *Journal) enter(p Phase, now time.Time) {
	j.Phase, j.PhaseSince = p, now
}

// rebase makes the instants in a journal of another process our own. Its clock
// may have told another time, and ours may have jumped: what it began counts as
// begun within the timeout, with the grace of a fresh look left.
func (j *Journal) rebase(now time.Time, timeout, grace time.Duration) {
	j.PhaseSince = now
	if !j.StepStarted.IsZero() {
		spent := now.Sub(j.StepStarted)
		j.StepStarted = now.Add(-max(0, min(spent, timeout-grace)))
	}
}

// end decides how the move will be reported, unless that is decided already:
// the first reason is the true one.
func (j *Journal) end(s State, r Reason, sentence string) {
	if j.Ending == nil {
		j.Ending = &Ending{State: s, Reason: r, Sentence: sentence}
	}
}

// onTarget reports whether the pool is one the move was to reach.
func (j *Journal) onTarget(pool string) bool {
	return slices.Contains(j.Ask.Targets, pool)
}

// added returns the replicas of the volume that were not there before this
// step's +1, sorted by uuid.
func (j *Journal) added(v Volume) []ReplicaRef {
	return slices.DeleteFunc(v.replicas(), func(r ReplicaRef) bool {
		return slices.Contains(j.Before, r.UUID)
	})
}

// replicas returns the volume's replicas sorted by uuid.
func (v Volume) replicas() []ReplicaRef {
	refs := make([]ReplicaRef, 0, len(v.State.Replicas))
	for uuid, r := range v.State.Replicas {
		refs = append(refs, ReplicaRef{UUID: uuid, Pool: r.Pool, Node: r.Node})
	}
	slices.SortFunc(refs, func(a, b ReplicaRef) int { return cmp.Compare(a.UUID, b.UUID) })
	return refs
}

// uuids returns the uuids of the volume's replicas, sorted.
func (v Volume) uuids() []string {
	refs := v.replicas()
	uuids := make([]string, len(refs))
	for i, r := range refs {
		uuids[i] = r.UUID
	}
	return uuids
}
