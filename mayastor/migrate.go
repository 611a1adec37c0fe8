package mayastor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Migrator moves one volume at a time, one replica after the other, so that no
// call of it lowers the number of copies in sync (MS 5.4 to 5.7). It may be
// killed at any instant: the next Move of the volume goes on from the journal.
type Migrator struct {
	Client *Client
	Ledger Ledger
	// Log receives the audit trail, one record for each action.
	Log *slog.Logger
	// Progress, if not nil, is told how the rebuild under way goes.
	Progress func(Progress)
	// Stop, if not nil, is asked at each poll and before each side effect
	// whether the move is to end at the next safe place. begun is false while
	// the volume is untouched: then the move is refused, and what only keeps
	// moves from starting counts as well. It is asked by one goroutine at a time.
	Stop func(ctx context.Context, begun bool) *Ending
	// Tell, if not nil, lets people know of a move that started (its result has
	// no end then) and of one that ended, with the action of its last record. It
	// may hear the same again from the process that resumes a move.
	Tell func(ctx context.Context, action string, r Result) error
	// Limits, if not nil, is asked whenever the move asks for a place, and binds
	// beside Caps. While it fails there is no place.
	Limits func(context.Context) (Caps, error)

	// CachePeriod is how old the server's view of a rebuild may be
	// (--cache-period of its core agent, 30 s upstream).
	CachePeriod time.Duration
	// PollInterval is the time between two looks at the volume.
	PollInterval time.Duration
	// Timeout bounds each replica, from its first +1.
	Timeout time.Duration
	// StallAfter is how long a rebuild may make no progress.
	StallAfter time.Duration
	// AdmitWait is how long to wait for a place among the moves that run, and
	// for a server that does not answer before anything was begun.
	AdmitWait time.Duration
	// Claimed is the server's version as the operator vouches for it, or "".
	Claimed string
	// Caps bound what may move at once, whatever Limits says.
	Caps Caps
	// Jitter spreads the time until something is tried again; nil takes a
	// random half to whole of it.
	Jitter func(time.Duration) time.Duration
}

// Order is one move as asked for.
type Order struct {
	// Volume is the volume's uuid.
	Volume string
	Ask    Ask
	// N numbers the attempt; 0 takes the next number.
	N int64
	// Policy, Generation, From and To are recorded with the attempt.
	Policy     string
	Generation int64
	From, To   string
	// Recover only brings to rest what an earlier attempt left.
	Recover bool
}

// run is one Move under way.
type run struct {
	*Migrator
	order  Order
	lock   Lock
	j      *Journal
	log    *slog.Logger
	memory Attempt
	// byHand is true if no Job runs this.
	byHand bool
	cap    Capability
	stop   <-chan struct{}
	// proof is of a whole volume, loose of its data alone.
	proof, loose proof
	rate         rate
	// adrift is since when the volume has no target; zero while it has one.
	adrift time.Time
	// unlifted is true while cordons of ours could not be lifted.
	unlifted bool
	// complaint is the last trouble told of, and complained when.
	complaint  string
	complained time.Time
	// retryAt holds back the next side effect after one that did not take.
	retryAt time.Time
	retries int
	// unsupported counts pool cordons that were answered as an unknown route.
	unsupported int
	// woken is true once stop was seen to be closed.
	woken bool
	// stopSeen is when a stop was first seen; zero while there is none.
	stopSeen time.Time
	last     string
}

// Move brings the volume's replicas to the target pools, or to a safe rest if
// that cannot be. It returns the result once it is recorded in the ledger; an
// error means that nothing final is recorded and Move must be called again
// with the same order. Closing stop ends the move at the next safe place;
// ending ctx ends it at once, to be resumed.
func (m *Migrator) Move(ctx context.Context, stop <-chan struct{}, o Order) (Result, error) {
	r := &run{Migrator: m, order: o, stop: stop, log: m.Log.With("volume", "pvc-"+o.Volume, "volume_uuid", o.Volume)}
	var err error
	if r.lock, err = r.takeLock(ctx); err != nil {
		r.say(ctx, ActionInterrupted, "nothing was done, as the volume could not be locked", "error", err.Error())
		return Result{}, err
	}
	result, err := r.move(ctx)
	if err != nil {
		r.lock.Abandon()
		r.say(ctx, ActionInterrupted, "the attempt ended without a record; the next one resumes it", "error", err.Error())
		return Result{}, err
	}
	return result, nil
}

// takeLock waits for the lock of the volume, but not beyond a stop: who holds
// it works on the volume, so there is nothing of ours to bring to rest.
func (r *run) takeLock(ctx context.Context) (Lock, error) {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.stop:
			cancel(errStopped)
		case <-waiting.Done():
		}
	}()
	return r.Ledger.Lock(waiting, r.order.Volume)
}

func (r *run) move(ctx context.Context) (Result, error) {
	var err error
	if r.memory, err = r.lock.Memory(ctx); err != nil {
		return Result{}, fmt.Errorf("read the memory of volume %s: %w", r.order.Volume, err)
	}
	if r.order.N == 0 {
		r.byHand = true
		r.order.N = r.memory.N + 1
		if r.j = r.lock.Journal(); r.j != nil && r.memory.State == Started {
			r.order.N = r.memory.N
		}
	}
	r.j = r.lock.Journal()
	began := false
	switch {
	case r.j != nil && r.j.Attempt.N == r.order.N:
		r.name(r.j.Attempt)
		r.say(ctx, ActionResumed, "resume the move from its journal", "phase", string(r.j.Phase))
		if r.j.Phase != PhaseDone && (r.memory.N != r.order.N || r.memory.State != Started) {
			if err := r.mark(ctx); err != nil {
				return Result{}, err
			}
		}
	case r.j != nil && r.j.Attempt.N > r.order.N:
		// The volume is a later attempt's, journal and all.
		return r.superseded(ctx, r.j.Attempt.N)
	case r.j != nil:
		r.adopt(ctx)
	case r.memory.N > r.order.N:
		// The record of a later attempt is the truth; ours never began.
		return r.superseded(ctx, r.memory.N)
	case r.memory.N == r.order.N && r.memory.State != Started:
		return r.reportAgain(ctx)
	case r.order.Recover || r.memory.State == Started:
		if result, over, err := r.recoverWithoutJournal(ctx); err != nil || over {
			return result, err
		}
	default:
		began = true
		if result, refused, err := r.begin(ctx); err != nil || refused {
			return result, err
		}
	}
	if r.j.Phase == PhaseDone {
		return r.report(ctx)
	}
	r.order.Ask = r.j.Ask
	if !began {
		r.j.rebase(time.Now(), r.Timeout, r.StallAfter)
		// What the last holder asked for may still be under way on the server.
		if err := r.settle(ctx); err != nil {
			return Result{}, err
		}
		if err := r.lift(ctx); err != nil {
			return Result{}, err
		}
	}
	if err := r.admit(ctx); err != nil {
		return Result{}, err
	}
	if r.j.Ending == nil {
		r.tell(ctx, ActionStarted, resultOf(r.order.Volume, r.j.Attempt, r.j.Started))
	}
	if err := r.loop(ctx); err != nil {
		return Result{}, err
	}
	return r.report(ctx)
}

// tell lets people know. That they cannot be told hinders no move.
func (r *run) tell(ctx context.Context, action string, result Result) {
	if r.Tell == nil {
		return
	}
	if err := r.Tell(ctx, action, result); err != nil {
		r.say(ctx, ActionUntold, "people could not be told; the move goes on", "error", err.Error())
	}
}

// name fixes the identity under which everything is logged.
func (r *run) name(a Attempt) {
	r.log = r.log.With("move", a.Move, "policy", a.Policy, "attempt", a.N)
	if a.From != "" || a.To != "" {
		r.log = r.log.With("from_tier", a.From, "to_tier", a.To)
	}
}

// attempt is the record of this order in the given state.
func (r *run) attempt(s State) Attempt {
	return Attempt{
		N: r.order.N, Move: fmt.Sprintf("%s%s-%d", LabelPrefix, r.order.Volume, r.order.N),
		Policy: r.order.Policy, Generation: r.order.Generation, From: r.order.From, To: r.order.To,
		State: s, Failures: r.memory.Failures, At: time.Now().UTC().Truncate(time.Second), ByHand: r.byHand,
	}
}

// begin checks everything before the first side effect and makes the attempt
// known. It returns a result only if the move is refused.
func (r *run) begin(ctx context.Context) (result Result, refused bool, err error) {
	a := r.attempt(Started)
	r.name(a)
	var vol Volume
	var steps []Step
	var refusals []Refusal
	deadline := time.Now().Add(r.AdmitWait)
	for wait := time.Second; ; wait = min(2*wait, maxBackoff) {
		vol, steps, refusals, err = r.route(ctx)
		if err == nil {
			break
		}
		if IsGone(err) {
			return r.refused(ctx, Refusal{ReasonVolumeGone, "Mayastor knows no such volume; check the uuid, and whether the volume was deleted"})
		}
		if s := r.stopped(ctx); s != nil {
			return r.refused(ctx, Refusal{s.Reason, s.Sentence})
		}
		r.warn(ctx, "Mayastor could not be read", "error", err.Error())
		if IsDenied(err) || time.Now().After(deadline) {
			return r.refused(ctx, Refusal{ReasonUnreachable, fmt.Sprintf("Mayastor could not be read: %v", err)})
		}
		if err := r.pause(ctx, r.jitter(wait)); err != nil {
			return Result{}, false, err
		}
	}
	switch {
	case len(refusals) > 0:
		return r.refused(ctx, refusals...)
	case len(steps) == 0:
		return r.refused(ctx, Refusal{ReasonNothingToDo, "every replica is on a target pool already"})
	}
	if s := r.stopped(ctx); s != nil {
		return r.refused(ctx, Refusal{s.Reason, s.Sentence})
	}
	now := time.Now().UTC()
	a.Replicas = vol.Spec.NumReplicas
	r.j = &Journal{
		Attempt: a, Volume: r.order.Volume, N: vol.Spec.NumReplicas, Bytes: vol.Spec.Size,
		Original: vol.replicas(), Ask: r.order.Ask, Started: now,
	}
	r.j.enter(PhaseIdle, now)
	if err := r.lock.Write(ctx, r.j); err != nil {
		return Result{}, false, err
	}
	if err := r.mark(ctx); err != nil {
		return Result{}, false, err
	}
	r.say(ctx, ActionStarted, "move started", "replicas", len(steps), "bytes", vol.Spec.Size, "capability", r.cap.Source)
	return Result{}, false, nil
}

// mark makes the attempt known on the volume. Where that cannot be done nothing
// is, and nothing is left behind.
func (r *run) mark(ctx context.Context) error {
	err := r.lock.Remember(ctx, r.j.Attempt, time.Time{})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("record the start on the volume, without which nothing is done: %w", err)
	if r.j.Touched {
		return err
	}
	return errors.Join(err, r.lock.Release(ctx))
}

// refused is refuse as begin wants it.
func (r *run) refused(ctx context.Context, refusals ...Refusal) (Result, bool, error) {
	result, err := r.refuse(ctx, refusals...)
	return result, true, err
}

// refuse records that nothing was touched and why; the first of the refusals
// gives the reason.
func (r *run) refuse(ctx context.Context, refusals ...Refusal) (Result, error) {
	a := r.attempt(Refused)
	a.Reason, a.Error = string(refusals[0].Reason), sentences(refusals)
	result := resultOf(r.order.Volume, a, time.Now().UTC())
	r.say(ctx, ActionRefused, "move refused", "reason", a.Reason, "error", a.Error)
	if err := r.lock.Remember(ctx, a, time.Time{}); err != nil {
		return Result{}, err
	}
	if err := r.lock.Report(ctx, result); err != nil {
		return Result{}, err
	}
	r.tell(ctx, ActionRefused, result)
	return result, r.lock.Release(ctx)
}

// reportAgain reports an attempt whose record reached the volume and perhaps
// not its Job.
func (r *run) reportAgain(ctx context.Context) (Result, error) {
	r.name(r.memory)
	result := resultOf(r.order.Volume, r.memory, r.memory.At)
	if err := r.lock.Report(ctx, result); err != nil {
		return Result{}, err
	}
	r.tell(ctx, lastAction(result), result)
	return result, r.lock.Release(ctx)
}
