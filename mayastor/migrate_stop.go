package mayastor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// stopped returns why the move is to end at the next safe place, or nil. A move
// that touched nothing yet is refused, not aborted.
func (r *run) stopped(ctx context.Context) *Ending {
	e := r.switched(ctx)
	if e == nil {
		if r.j == nil || r.j.Ending == nil {
			r.stopSeen = time.Time{} // taken back before it did anything
		}
		return nil
	}
	seen := *e
	if !r.begun() {
		seen.State = Refused
	}
	if r.stopSeen.IsZero() {
		r.stopSeen = time.Now()
		// What did not take while the move was to go on is tried at once now.
		r.retries, r.retryAt = 0, time.Time{}
		r.say(ctx, ActionStopSeen, "the move is to stop; bring the volume to a safe place", "reason", string(e.Reason), "error", e.Sentence)
	}
	seen.Seen = r.stopSeen
	return &seen
}

// switched returns what the signal or one of the switches says.
func (r *run) switched(ctx context.Context) *Ending {
	select {
	case <-r.stop:
		return &Ending{State: Aborted, Reason: ReasonStopped, Sentence: "the migrator was told to stop"}
	default:
	}
	if r.Stop == nil {
		return nil
	}
	return r.Stop(ctx, r.begun())
}

// unlessEnding returns an error once the move is to stop: nothing new is begun
// then. It fixes how the move ends.
func (r *run) unlessEnding(ctx context.Context) error {
	s := r.stopped(ctx)
	if s == nil {
		return nil
	}
	r.j.Ending = orEnding(r.j.Ending, s)
	return retry{fmt.Errorf("stopped: %s", s.Sentence)}
}

// begun reports whether a replica count was asked for.
func (r *run) begun() bool { return r.j != nil && r.j.Touched }

// errStopped ends a wait that a stop has made pointless.
var errStopped = errors.New("stopped while waiting")

// unlessStopped waits for something that others hold, but not beyond the first
// word of a stop: errStopped comes back then. A move that is ending already
// waits for as long as it takes, since that is its way to a safe end.
func (r *run) unlessStopped(ctx context.Context, wait func(context.Context) error) error {
	if !r.stopSeen.IsZero() || r.j != nil && r.j.Ending != nil {
		return wait(ctx)
	}
	waiting, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(r.PollInterval)
		defer tick.Stop()
		for {
			select {
			case <-r.stop:
			case <-tick.C:
				if r.Stop == nil || r.Stop(waiting, r.begun()) == nil {
					continue
				}
			case <-waiting.Done():
				return
			}
			cancel(errStopped)
			return
		}
	})
	err := wait(waiting)
	cut := errors.Is(context.Cause(waiting), errStopped)
	cancel(nil)
	watch.Wait()
	if err != nil && cut && ctx.Err() == nil && r.stopped(ctx) != nil {
		return errStopped
	}
	return err
}

// pause waits, but not beyond a stop.
func (r *run) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	stop := r.stop
	if r.woken {
		stop = nil // a closed channel would make this a busy loop
	}
	select {
	case <-t.C:
		return nil
	case <-stop:
		r.woken = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
