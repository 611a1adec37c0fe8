package hooks

import (
	"context"
	"net/http"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// sync answers a request in its turn, and none before every source was tried.
//
// A source that is slow is waited for before that. By then only the policy is
// read, the rest of the body is still with the sender: many may wait at once, and
// they keep nobody from being answered.
func (h *Hooks) sync(ctx context.Context, d *decoder) ([]byte, error) {
	if ok, waiting := h.config.Ready(); !ok {
		return nil, faultf(http.StatusServiceUnavailable, "the service has just started and %s; nothing was done, Jobs stay: ask again", clip(waiting))
	}
	leave, awaited := func() {}, false
	defer func() { leave() }()
	q, err := d.request(func(p *parent) (err error) {
		if p != nil {
			h.await(ctx, p)
			awaited = true
		}
		leave, err = h.turn(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	q.Awaited = awaited
	return h.conclude(ctx, q)
}

// await has the sources refresh what a decision on the policy asks them for, and
// waits for that.
func (h *Hooks) await(ctx context.Context, p *parent) {
	if policy, faults := h.compiled(p); len(faults) == 0 {
		h.ask(ctx, policy)
	}
}

// ask asks the sources for what a decision on the policy depends on.
func (h *Hooks) ask(ctx context.Context, policy *tiering.Policy) (Mayastor, tiering.Scores) {
	return h.config.Sources.Mayastor(ctx), h.config.Sources.Scores(ctx, policy.Rules.SamplingWindow)
}

// awaited asks them again without waiting: once is enough, and they say what they
// know by now. A window that made room for others meanwhile is waited for.
func (h *Hooks) awaited(ctx context.Context, policy *tiering.Policy) (Mayastor, tiering.Scores) {
	now, stop := context.WithCancel(ctx)
	stop()
	reading, scores := h.ask(now, policy)
	if !scores.Source.OK && scores.ReadAt.IsZero() {
		scores = h.config.Sources.Scores(ctx, policy.Rules.SamplingWindow)
	}
	return reading, scores
}

// turn waits for one of the few places at which requests are read and answered, as
// each holds all volumes. leave gives it back, and is never nil.
func (h *Hooks) turn(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(waitForTurn)
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-timer.C:
		err = faultf(http.StatusTooManyRequests, "%d requests are being answered and none ended within %s; nothing was done: ask again", decodedAtOnce, waitForTurn)
	case <-ctx.Done():
		err = faultf(http.StatusServiceUnavailable, "the caller went away; nothing was done")
	}
	return func() {}, err
}
