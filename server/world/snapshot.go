package world

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound how old what is known of a source may be, and how long it may
// take to read it.
type Limits struct {
	// TTL is how long a snapshot is handed out without waiting for another.
	TTL time.Duration
	// Timeout bounds one reading of the source, however many requests it makes.
	Timeout time.Duration
}

// Fresh is how old the last good reading may be to act on: three times the
// time to live, so that one failed refresh does not stop the service, plus the
// time a reading may take.
func (l Limits) Fresh() time.Duration { return 3*l.TTL + l.Timeout }

const (
	// longestPause is how long nobody may have asked for readings that are said to
	// have followed each other. Hooks ask every 5 minutes.
	longestPause = 10 * time.Minute
	// maxWait is how long callers wait for a refresh. It is counted from the
	// start of the refresh, so that a source that hangs costs all callers
	// together this much and not each of them.
	maxWait = 5 * time.Second
	// maxRetry is how soon, at the latest, a failed reading is tried again on
	// demand; with a time to live below it, after that.
	maxRetry = 5 * time.Second
)

var (
	errTimeout = errors.New("the time for one reading ran out")
	errClosed  = errors.New("the reader was closed")
)

// snapshot is what is known of one thing. It is immutable once published.
type snapshot[T any] struct {
	// value is the last good reading; meaningless while began is zero.
	value T
	// began is when the last good reading began: what it says is at least as
	// new as that.
	began time.Time
	// since is when the first of the good readings began that followed each other
	// without a bad one and without a pause longer than longestPause; zero while
	// the last reading was bad.
	since time.Time
	// tried is when the last reading ended, good or not.
	tried time.Time
	// err is nil if the last reading was good.
	err error
}

// known reports whether there ever was a good reading.
func (s *snapshot[T]) known() bool { return s != nil && !s.began.IsZero() }

// fresh reports whether the last good reading may be acted on.
func (s *snapshot[T]) fresh(now time.Time, l Limits) bool {
	return s.known() && now.Sub(s.began) <= l.Fresh()
}

// ripe reports whether the source should be read again for the next callers: a good
// reading is when a quarter of its time to live is left.
func (s *snapshot[T]) ripe(now time.Time, l Limits) bool {
	if s != nil && s.err == nil {
		return now.Sub(s.tried) >= l.TTL-l.TTL/4
	}
	return s.due(now, l)
}

// due reports whether a caller should wait for the source to be read again.
func (s *snapshot[T]) due(now time.Time, l Limits) bool {
	switch {
	case s == nil:
		return true
	case s.err != nil:
		return now.Sub(s.tried) >= min(l.TTL, maxRetry)
	default:
		return now.Sub(s.tried) >= l.TTL
	}
}

// cell keeps the snapshot of one thing and refreshes it on demand. It has at
// most one goroutine, which exists during a refresh; close ends it. All methods
// may be called at once.
type cell[T any] struct {
	limits Limits
	// read reads the thing once; prev is the snapshot before, nil at first. It
	// is never called twice at once.
	read func(ctx context.Context, prev *snapshot[T]) (T, error)
	// done is told of each reading once it is published.
	done func(s *snapshot[T], took time.Duration)

	current atomic.Pointer[snapshot[T]]

	mu     sync.Mutex
	flight *flight // nil while nothing is being read
	closed bool
	wg     sync.WaitGroup
}

// flight is one refresh under way.
type flight struct {
	began  time.Time
	landed chan struct{}
	cancel context.CancelCauseFunc
}

// get returns the snapshot, refreshed first if it is due. It waits for the
// refresh for [maxWait] at most, or until ctx ends; the refresh goes on without
// the caller. A refresh begins before it is due, behind the callers' backs, so that
// where callers come often none of them waits. The result is nil only if the thing
// was never tried.
func (c *cell[T]) get(ctx context.Context) *snapshot[T] {
	now := time.Now()
	s := c.current.Load()
	if !s.ripe(now, c.limits) {
		return s
	}
	f := c.refresh(ctx)
	if f == nil {
		return c.current.Load()
	}
	if !s.due(now, c.limits) {
		return s
	}
	patience := time.NewTimer(maxWait - now.Sub(f.began))
	defer patience.Stop()
	select {
	case <-f.landed:
	case <-patience.C:
	case <-ctx.Done():
	}
	return c.current.Load()
}

// refresh returns the refresh under way, begun now if there is none; nil if
// there is nothing to wait for.
func (c *cell[T]) refresh(ctx context.Context) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight != nil {
		return c.flight
	}
	// Another caller's refresh may have landed since the caller looked.
	if c.closed || !c.current.Load().ripe(time.Now(), c.limits) {
		return nil
	}
	// The refresh serves all callers, so the end of this one must not end it.
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	f := &flight{began: time.Now(), landed: make(chan struct{}), cancel: cancel}
	c.flight = f
	c.wg.Go(func() { c.fly(ctx, f) })
	return f
}

// fly reads the thing once and publishes what came of it.
func (c *cell[T]) fly(ctx context.Context, f *flight) {
	ctx, stop := context.WithTimeoutCause(ctx, c.limits.Timeout, errTimeout)
	defer stop()
	defer f.cancel(nil)

	prev := c.current.Load()
	value, err := c.readSafely(ctx, prev)
	ended := time.Now()
	next := &snapshot[T]{value: value, began: f.began, since: f.began, tried: ended}
	if prev.known() && prev.err == nil && f.began.Sub(prev.began) <= longestPause {
		next.since = prev.since
	}
	if err != nil {
		next = &snapshot[T]{tried: ended, err: err}
		if prev.known() {
			next.value, next.began = prev.value, prev.began
		}
	}
	c.current.Store(next)
	c.done(next, ended.Sub(f.began))

	c.mu.Lock()
	c.flight = nil
	c.mu.Unlock()
	close(f.landed)
}

// readSafely turns a panic over what the source sent into an error: what one
// source says must not take down the service, whose hooks have to speak for the
// moves that run.
func (c *cell[T]) readSafely(ctx context.Context, prev *snapshot[T]) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	value, err = c.read(ctx, prev)
	if err != nil && ctx.Err() != nil {
		// Say which limit it was, where the client only says that there was one.
		err = errors.Join(context.Cause(ctx), err)
	}
	return value, err
}

// idle reports whether no refresh is under way.
func (c *cell[T]) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flight == nil
}

// close ends a refresh under way, waits for it, and lets no other begin. What
// is known stays readable.
func (c *cell[T]) close() {
	c.mu.Lock()
	c.closed = true
	if c.flight != nil {
		c.flight.cancel(errClosed)
	}
	c.mu.Unlock()
	c.wg.Wait()
}

// panicError is a programmer error met while reading a source.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }
