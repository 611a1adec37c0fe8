package mayastor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// admit enters the move among those that run. A move that touched its volume
// already is never turned away; it is brought to rest instead, but not because
// for a moment nobody could say what the limits are: its rebuild runs on
// meanwhile.
func (r *run) admit(ctx context.Context) error {
	a := r.admission()
	deadline := time.Now().Add(r.AdmitWait)
	said := Cap("")
	for {
		err := r.ask(ctx, a)
		full, isFull := errors.AsType[*FullError](err)
		unread := isFull && full.Cap == CapLimits
		switch {
		case err == nil:
			r.say(ctx, ActionAdmitted, "entered among the moves that run", "bytes", a.Bytes)
			return nil
		case errors.Is(err, errAskAgain):
		case !errors.Is(err, ErrNotAdmitted):
			return err
		case r.j.Ending != nil:
			return nil
		case r.j.Touched && !(unread && time.Now().Before(deadline)):
			r.j.end(Aborted, ReasonNotAdmitted, err.Error())
			return nil
		}
		if r.j.Ending == nil {
			if r.j.Ending = r.stopped(ctx); r.j.Ending != nil {
				return nil
			}
			if errors.Is(err, ErrNotAdmitted) && time.Now().After(deadline) {
				r.j.end(Refused, ReasonNotAdmitted, err.Error())
				return nil
			}
		}
		if isFull && full.Cap != said {
			said = full.Cap
			r.say(ctx, ActionWaiting, "wait for a place among the moves that run", "cap", string(full.Cap), "error", err.Error())
		}
		if err := r.pause(ctx, r.PollInterval); err != nil {
			return err
		}
	}
}

// admission is the move as the caps see it: all that it may ever load, so that
// nothing it does later can exceed them.
func (r *run) admission() Admission {
	a := Admission{Volume: r.j.Volume, ToPools: r.j.Ask.Targets}
	for _, o := range r.j.Original {
		if !r.j.onTarget(o.Pool) {
			a.FromNodes = append(a.FromNodes, o.Node)
			a.Bytes += r.j.Bytes
		}
	}
	slices.Sort(a.FromNodes)
	return a
}

// errAskAgain is for an answer that took so long that the limits may have
// changed meanwhile.
var errAskAgain = errors.New("the ledger did not answer in time")

// ask asks for a place within what the limits are now.
func (r *run) ask(ctx context.Context, a Admission) error {
	if r.j.Ending != nil {
		// Nothing new is begun, and what is left must not wait for others.
		return r.lock.Admit(ctx, a)
	}
	a.Caps = r.Caps
	if r.Limits != nil {
		limits, err := r.Limits(ctx)
		if err != nil {
			return &FullError{Cap: CapLimits, Sentence: fmt.Sprintf("the limits of the cluster cannot be read, so nobody knows whether there is room: %v", err)}
		}
		a.Caps = r.Caps.Within(limits)
	}
	fresh, cancel := context.WithTimeoutCause(ctx, staleAfter, errAskAgain)
	defer cancel()
	err := r.lock.Admit(fresh, a)
	if err != nil && fresh.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrNotAdmitted) && !errors.Is(err, ErrLockLost) {
		return errAskAgain
	}
	return err
}
