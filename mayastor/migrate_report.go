package mayastor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// finish fixes the result of a volume at rest in the journal, from where the
// move can only be reported.
func (r *run) finish(ctx context.Context, v Volume) error {
	now := time.Now().UTC()
	e := r.j.Ending
	if e == nil {
		return fmt.Errorf("volume %s is at rest and nothing says how the move ended", r.j.Volume)
	}
	left, reached := r.changes(v)
	if r.j.Blind {
		left, reached = nil, nil // nobody knows what the replicas were
	}
	done := r.j.Touched && !r.j.Blind && e.Reason != ReasonNotWhole && len(v.State.Replicas) == r.j.N && v.Spec.NumReplicas == r.j.N &&
		!slices.ContainsFunc(v.replicas(), func(x ReplicaRef) bool { return !r.j.onTarget(x.Pool) })
	a := r.attempt(e.State)
	switch {
	case done:
		// Whatever was to cut the move short came too late to matter.
		a.State, a.Reason, a.Error, a.Failures = Moved, "", "", 0
	case e.State == Failed || e.Reason == ReasonRecovered:
		a.Failures++
		fallthrough
	default:
		a.Reason, a.Error = string(e.Reason), e.Sentence
	}
	if a.Policy == "" {
		a.Policy, a.Generation = r.j.Attempt.Policy, r.j.Attempt.Generation
	}
	if a.To == "" {
		a.From, a.To = r.j.Attempt.From, r.j.Attempt.To
	}
	result := resultOf(r.order.Volume, a, r.j.Started)
	result.Recovered = r.j.Attempt.N != r.order.N || e.Reason == ReasonRecovered || r.j.Blind
	result.FromPools, result.ToPools, result.Replicas = pools(left), pools(reached), min(len(left), len(reached))
	result.Bytes, result.Ended = v.Spec.Size*int64(result.Replicas), now
	r.j.Result = &result
	r.j.Attempt = a
	r.j.enter(PhaseDone, now)
	return r.lock.Write(ctx, r.j)
}

// changes returns the replicas that were there when the move began and are
// gone, and those that came.
func (r *run) changes(v Volume) (left, reached []ReplicaRef) {
	has := func(refs []ReplicaRef, uuid string) bool {
		return slices.ContainsFunc(refs, func(x ReplicaRef) bool { return x.UUID == uuid })
	}
	now := v.replicas()
	if len(now) == 0 {
		return nil, nil // the volume is gone
	}
	for _, o := range r.j.Original {
		if !has(now, o.UUID) {
			left = append(left, o)
		}
	}
	for _, n := range now {
		if !has(r.j.Original, n.UUID) {
			reached = append(reached, n)
		}
	}
	return left, reached
}

// pools returns the distinct pools of the replicas, sorted; nil for none.
func pools(refs []ReplicaRef) []string {
	if len(refs) == 0 {
		return nil
	}
	ids := make([]string, len(refs))
	for i, x := range refs {
		ids[i] = x.Pool
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// resultOf is the result that says what the attempt's record says.
func resultOf(volume string, a Attempt, started time.Time) Result {
	return Result{
		N: a.N, Move: a.Move, Volume: volume, Policy: a.Policy, From: a.From, To: a.To,
		State: a.State, Reason: a.Reason, Error: a.Error, Failures: a.Failures,
		Started: started, Ended: a.At,
	}
}

// report is the last phase: the record on the volume, then the result where
// the planner looks, then the locks. Each part may be repeated.
func (r *run) report(ctx context.Context) (Result, error) {
	result, a := *r.j.Result, r.j.Attempt
	if a.N < r.order.N {
		// A recovery that found everything done but the report.
		a.N, result.N, result.Recovered = r.order.N, r.order.N, true
	}
	var moved time.Time
	if result.Replicas > 0 {
		moved = result.Ended
	}
	if err := r.lock.Remember(ctx, a, moved); err != nil {
		return Result{}, fmt.Errorf("record the result on the volume: %w", err)
	}
	if err := r.lock.Report(ctx, result); err != nil {
		return Result{}, fmt.Errorf("report the result: %w", err)
	}
	r.sayEnd(ctx, result)
	r.tell(ctx, lastAction(result), result)
	if err := r.lock.Release(ctx); err != nil {
		return Result{}, err
	}
	return result, nil
}
