package mayastor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// superseded reports that a later attempt was made already, and leaves the
// volume, its memory and its journal alone.
func (r *run) superseded(ctx context.Context, later int64) (Result, error) {
	a := r.attempt(Refused)
	a.Reason, a.Error = string(ReasonSuperseded), fmt.Sprintf("attempt %d of the volume was made already, so attempt %d is not", later, r.order.N)
	r.name(a)
	r.say(ctx, ActionRefused, "move refused", "reason", a.Reason, "error", a.Error)
	result := resultOf(r.order.Volume, a, time.Now().UTC())
	if err := r.lock.Report(ctx, result); err != nil {
		return Result{}, err
	}
	if r.j != nil {
		r.lock.Abandon()
		return result, nil
	}
	return result, r.lock.Release(ctx)
}

// adopt takes over what another attempt left: it is brought to rest and
// nothing new is begun.
func (r *run) adopt(ctx context.Context) {
	r.name(r.attempt(Started))
	if r.j.Phase != PhaseDone {
		r.j.end(Aborted, ReasonRecovered, fmt.Sprintf("attempt %d was cut short; the volume was brought to rest, and the next attempt starts afresh", r.j.Attempt.N))
	}
	r.say(ctx, ActionResumed, "bring to rest what another attempt left", "left_by", r.j.Attempt.N, "phase", string(r.j.Phase))
}

// markTrust is how long the replica count in a mark is believed. A mark that is
// older may have come back with a backup, and nobody knows what was done with
// the volume since.
const markTrust = 24 * time.Hour

// recoverWithoutJournal deals with an attempt of which only the mark on the
// volume is left. Where the mark says with how many replicas it began, and the
// volume has one more, that one can be taken back; all else is reported only, as
// nobody knows what would be ours to undo.
func (r *run) recoverWithoutJournal(ctx context.Context) (result Result, over bool, err error) {
	r.name(r.attempt(Started))
	if err := r.lift(ctx); err != nil {
		return Result{}, false, err
	}
	if r.memory.State != Started {
		result, err = r.nothingToRecover(ctx)
		return result, true, err
	}
	if r.order.To == "" {
		r.order.From, r.order.To = r.memory.From, r.memory.To
	}
	vol, err := r.Client.Volume(ctx, r.order.Volume)
	if IsGone(err) {
		// Believed on the second word only: nobody comes back to a volume that was
		// reported as gone.
		if err := r.pause(ctx, r.PollInterval); err != nil {
			return Result{}, false, err
		}
		vol, err = r.Client.Volume(ctx, r.order.Volume)
	}
	if err != nil && !IsGone(err) {
		return Result{}, false, err
	}
	now := time.Now().UTC()
	r.j = &Journal{
		Attempt: r.attempt(Started), Volume: r.order.Volume, Bytes: vol.Spec.Size, Started: now,
		Original: vol.replicas(), N: vol.Spec.NumReplicas, Ask: r.order.Ask,
	}
	r.j.enter(PhaseIdle, now)
	n := r.memory.Replicas
	known := n > 0 && elapsed(r.memory.At, now) < markTrust && elapsed(now, r.memory.At) < time.Hour
	var sentence string
	switch {
	case err != nil:
		sentence = "the volume is gone"
	case known && vol.Spec.NumReplicas == n+1:
		r.j.N, r.j.Blind, r.j.Touched, r.j.Attempt.Replicas = n, true, true, n
		r.j.end(Aborted, ReasonRecovered, fmt.Sprintf("attempt %d ended without a record and its journal is lost; it began with num_replicas %d, to which the volume was brought back", r.memory.N, n))
		return Result{}, false, r.lock.Write(ctx, r.j)
	case len(vol.State.Replicas) != vol.Spec.NumReplicas || len(Healthy(vol)) > 0:
		sentence = fmt.Sprintf("its journal is lost and the volume is not at rest (num_replicas %d, %d replicas), so it is left as it is; compare num_replicas with the StorageClass", vol.Spec.NumReplicas, len(vol.State.Replicas))
	case known && vol.Spec.NumReplicas == n:
		sentence = fmt.Sprintf("its journal is lost; num_replicas is %d, as when it began, and the volume is at rest", n)
	default:
		sentence = fmt.Sprintf("its journal is lost, so nothing was undone; num_replicas is %d, compare it with the StorageClass", vol.Spec.NumReplicas)
	}
	r.j.end(Aborted, ReasonRecovered, fmt.Sprintf("attempt %d ended without a record; %s", r.memory.N, sentence))
	if err := r.finish(ctx, vol); err != nil {
		return Result{}, false, err
	}
	result, err = r.report(ctx)
	return result, true, err
}

// nothingToRecover reports that the last attempt is over and recorded; its
// record stays.
func (r *run) nothingToRecover(ctx context.Context) (Result, error) {
	a := r.memory
	a.N, a.Move = r.order.N, r.attempt(Started).Move
	a.State = cmp.Or(a.State, Aborted)
	a.Reason, a.Error, a.At = string(ReasonNoRecovery), "nothing of an earlier attempt is left to bring to rest", time.Now().UTC().Truncate(time.Second)
	result := resultOf(r.order.Volume, a, a.At)
	result.Recovered = true
	r.say(ctx, ActionRecovered, "nothing to recover", "outcome", string(a.State), "reason", a.Reason, "duration_ms", 0)
	if err := r.lock.Report(ctx, result); err != nil {
		return Result{}, err
	}
	return result, r.lock.Release(ctx)
}

// blindVictim is a replica to give up of a volume in sync of which nobody knows
// which one is new: each may go. One off the targets is the best guess, if they
// are known, then one that the server can be made to give up, then one that the
// target does not read from its own node.
func (r *run) blindVictim(w world, label string) ReplicaRef {
	refs := w.vol.replicas()
	rank := func(x ReplicaRef) (n int) {
		if r.j.onTarget(x.Pool) {
			n += 4
		}
		if _, ok := w.steer(x, label, r.cap); !ok {
			n += 2
		}
		if t := w.vol.State.Target; t != nil && t.Node == x.Node {
			n++
		}
		return n
	}
	return slices.MinFunc(refs, func(a, b ReplicaRef) int { return cmp.Compare(rank(a), rank(b)) })
}
