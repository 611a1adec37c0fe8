package leases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/billyronks/couchestor/mayastor"
)

// held is a Lease that we hold. It renews itself until it is let go. Its
// methods may be called at once.
type held struct {
	ledger *Ledger

	mu    sync.Mutex
	lease *coordinationv1.Lease
	// renewed is when the last renewal that succeeded was sent.
	renewed time.Time
	lost    bool

	end  context.CancelFunc
	done chan struct{}
}

// hold begins to renew a Lease that was taken at the instant sent. The renewals
// do not end with ctx, but when the Lease is let go.
func (l *Ledger) hold(ctx context.Context, lease *coordinationv1.Lease, sent time.Time) *held {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	h := &held{ledger: l, lease: lease, renewed: sent, end: end, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		for wait(ctx, l.cfg.renewEvery()) == nil {
			// A renewal that fails is tried again by the next turn; Guard
			// knows how old the last good one is.
			_ = h.try(ctx, nil)
		}
	}()
	return h
}

// write changes annotations of the Lease and renews it. It tries for as long
// as the API server does not answer, and fails with ErrLockLost once somebody
// else holds the Lease.
func (h *held) write(ctx context.Context, change func(annotations map[string]string) error) error {
	var p patience
	for {
		err := h.try(ctx, change)
		if err == nil || h.isLost() || !p.with(err, h.ledger.cfg) {
			return err
		}
		if werr := wait(ctx, h.ledger.cfg.Duration/60); werr != nil {
			return fmt.Errorf("%w; last error: %w", werr, err)
		}
	}
}

// try is one Update. An error of change is returned as it is.
func (h *held) try(ctx context.Context, change func(map[string]string) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost {
		return mayastor.ErrLockLost
	}
	api := h.api()
	// Conflicts with writers that are no holders - the admissions of others in
	// the cluster's Lease - are resolved by reading again, a few times.
	for {
		next := h.lease.DeepCopy()
		now := metav1.NowMicro()
		next.Spec.RenewTime = &now
		if change != nil {
			next.Annotations = maps.Clone(next.Annotations)
			if next.Annotations == nil {
				next.Annotations = map[string]string{}
			}
			if err := change(next.Annotations); err != nil {
				return err
			}
		}
		sent := time.Now()
		updated, err := api.Update(ctx, next, metav1.UpdateOptions{})
		if err == nil {
			h.lease, h.renewed = updated, sent
			return nil
		}
		// Of a Lease that was deleted the server says a conflict, too: what is
		// there has not the UID that was asked for.
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return err
		}
		current, err := api.Get(ctx, h.lease.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			h.lost = true
			return fmt.Errorf("lease %s was deleted: %w", h.lease.Name, mayastor.ErrLockLost)
		case err != nil:
			return err
		case !h.ours(current):
			h.lost = true
			return fmt.Errorf("lease %s is held by %s now: %w", h.lease.Name, cmp.Or(holder(current), "nobody"), mayastor.ErrLockLost)
		}
		h.lease = current
	}
}

// ours reports whether nobody took the Lease since we did.
func (h *held) ours(current *coordinationv1.Lease) bool {
	return holder(current) == h.ledger.cfg.Holder && current.UID == h.lease.UID &&
		current.Spec.LeaseTransitions != nil && *current.Spec.LeaseTransitions == *h.lease.Spec.LeaseTransitions
}

func (h *held) isLost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost
}

// until is the instant after which no side effect may be under way.
func (h *held) until() (time.Time, error) { return h.certain(h.ledger.cfg.safeFor()) }

// certain is the instant up to which the Lease counts as held that is renewed
// within the time given.
func (h *held) certain(within time.Duration) (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.renewed.Add(within)
	if h.lost || time.Now().After(until) {
		return time.Time{}, mayastor.ErrLockLost
	}
	return until, nil
}

func (h *held) annotation(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lease.Annotations[key]
}

func (h *held) transitions() int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.lease.Spec.LeaseTransitions
}

// stop ends the renewals.
func (h *held) stop() {
	h.end()
	<-h.done
}

// free gives the Lease up, so that the next one need not wait for its expiry.
func (h *held) free(ctx context.Context) error {
	return h.letGo(ctx, func(l *coordinationv1.Lease) error {
		next := l.DeepCopy()
		next.Spec.HolderIdentity = nil
		_, err := h.api().Update(ctx, next, metav1.UpdateOptions{})
		return err
	})
}

// remove deletes the Lease.
func (h *held) remove(ctx context.Context) error {
	return h.letGo(ctx, func(l *coordinationv1.Lease) error {
		return h.api().Delete(ctx, l.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &l.UID, ResourceVersion: &l.ResourceVersion},
		})
	})
}

// letGo ends the renewals and does the last thing with the Lease as it is now,
// for as long as the API server does not answer. A Lease that is somebody
// else's by now, or gone, is let go already.
func (h *held) letGo(ctx context.Context, last func(*coordinationv1.Lease) error) error {
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	var p patience
	for {
		err := last(h.lease)
		if apierrors.IsConflict(err) {
			var current *coordinationv1.Lease
			if current, err = h.api().Get(ctx, h.lease.Name, metav1.GetOptions{}); err == nil {
				if !h.ours(current) {
					return nil
				}
				h.lease = current
				continue
			}
		}
		if err == nil || apierrors.IsNotFound(err) {
			return nil
		}
		if !p.with(err, h.ledger.cfg) {
			return err
		}
		if werr := wait(ctx, h.ledger.cfg.Duration/60); werr != nil {
			return fmt.Errorf("%w; last error: %w", werr, err)
		}
	}
}

// inTime bounds a write while cordons are up: if it has not succeeded at half
// of the Lease, they are lifted in the time that is left.
func (h *held) inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return context.WithDeadlineCause(ctx, h.renewed.Add(h.ledger.cfg.Duration/2),
		errors.New("the API server did not take it in time, and cordons are up; they are lifted, and the next attempt goes on"))
}

func (h *held) api() coordinationclient.LeaseInterface {
	return h.ledger.cfg.Client.CoordinationV1().Leases(h.ledger.cfg.Namespace)
}
