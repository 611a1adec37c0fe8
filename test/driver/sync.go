package driver

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Sync is what one look at a parent did.
type Sync struct {
	// Called is false if the hook was not asked: the parent is gone, not
	// selected, or something failed before.
	Called bool
	// Finalizing tells which hook was asked.
	Finalizing bool
	// Request and Response are the bodies of that call.
	Request, Response []byte
	// Created and Deleted name children, as namespace/name, in order.
	Created, Deleted []string
	// StatusWritten tells of a PUT of status.
	StatusWritten bool
	// ResyncAfter is when the hook wants to be asked again; 0 is never.
	ResyncAfter time.Duration
}

// Changed tells whether children or status changed.
func (s *Sync) Changed() bool { return s.StatusWritten || len(s.Created)+len(s.Deleted) > 0 }

// SyncOnce looks at the named parent once, whatever back-off or appointment it
// has, as one run of a worker. The Sync is never nil and tells what was done
// before an error. An error is also kept as an event, except a
// [TooManyRequestsError]. Syncs of one parent wait for each other.
func (d *Driver) SyncOnce(ctx context.Context, parent string) (*Sync, error) {
	lock := d.parentLock(parent)
	select {
	case lock <- struct{}{}:
		defer func() { <-lock }()
	case <-ctx.Done():
		return new(Sync), context.Cause(ctx)
	}
	done, err := d.sync(ctx, parent)
	if d.options.Synced != nil {
		d.options.Synced(parent, done)
	}
	if _, tooMany := errors.AsType[*TooManyRequestsError](err); tooMany {
		d.count(func(c *Counters) { c.TooMany++ })
	} else if err != nil && ctx.Err() == nil && !errors.Is(err, errNotListed) {
		d.warn(parent, err)
	}
	return done, err
}

// parentLock is a channel and no mutex, so that waiting for it counts as idle
// to testing/synctest.
func (d *Driver) parentLock(name string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.parents[name] == nil {
		d.parents[name] = make(chan struct{}, 1)
	}
	return d.parents[name]
}

// sync takes the steps of MC 3.1 in their order.
func (d *Driver) sync(ctx context.Context, name string) (*Sync, error) {
	done := new(Sync)
	view := d.view()
	if err := view.wait(ctx, append([]Resource{d.parent}, d.children...)...); err != nil {
		return done, err
	}
	lag := view.current()

	// 1. The parent from the cache.
	parent := view.one(d.parent, name, lag.Parent)
	if parent == nil || !d.interesting(parent) {
		return done, nil
	}
	// 2. The finalizer, on the live object, before anything else.
	parent, err := d.protect(ctx, parent)
	if err != nil {
		return done, err
	}
	if !d.interesting(parent) {
		return done, nil // it was let go just now
	}
	// 3. Children.
	selector, err := d.childSelector(parent)
	if err != nil {
		return done, err
	}
	observed, err := d.claim(ctx, parent, selector, view, lag)
	if err != nil {
		return done, fmt.Errorf("claim children: %w", err)
	}
	// 4. Related objects.
	rules, err := d.rules(ctx, parent)
	if err != nil {
		return done, err
	}
	related, err := d.related(rules, view, lag)
	if err != nil {
		return done, err
	}
	// 5. The hook.
	answer, err := d.ask(ctx, parent, observed, related, done)
	if err != nil {
		return done, err
	}
	// 6. The next appointment; then the finalizer goes if the answer says so,
	// from whichever hook it came.
	if answer.resyncAfterSeconds > 0 {
		done.ResyncAfter = time.Duration(answer.resyncAfterSeconds * float64(time.Second))
	}
	if answer.finalized {
		if parent, err = d.unprotect(ctx, parent); err != nil {
			return done, err
		}
	}
	// 7. Labels, before any child is touched.
	if err := d.label(parent, selector, answer.children); err != nil {
		return done, err
	}
	// 8. Children.
	var faults []error
	if parent.GetDeletionTimestamp() == nil || d.finalizes(parent) {
		faults = append(faults, d.manage(ctx, parent, observed, answer.children, done))
	}
	// 9. Status, even if step 8 failed.
	faults = append(faults, d.writeStatus(ctx, parent, answer.status, done))
	return done, errors.Join(faults...)
}

// interesting: selected, or still to be let go (MC 3.1).
func (d *Driver) interesting(parent *Object) bool {
	return d.selected(parent) || hasFinalizer(parent, d.controller.finalizer())
}

func (d *Driver) selected(parent *Object) bool {
	return d.selector.Matches(labels.Set(parent.GetLabels()))
}

// protect adds the finalizer where a finalize hook wants it and takes it off
// where there is none; never to an object under deletion (MC 6). It returns the
// fresh object if it wrote. That the parent is gone, unknown to the cache, is an
// error like any other.
func (d *Driver) protect(ctx context.Context, parent *Object) (*Object, error) {
	finalizer, wanted := d.controller.finalizer(), d.controller.spec.Hooks.Finalize != nil
	if hasFinalizer(parent, finalizer) == wanted || wanted && parent.GetDeletionTimestamp() != nil {
		return parent, nil
	}
	return d.editParent(ctx, parent, func(o *Object) bool {
		if hasFinalizer(o, finalizer) == wanted {
			return false
		}
		dropFinalizer(o, finalizer)
		if wanted {
			o.SetFinalizers(append(o.GetFinalizers(), finalizer))
		}
		return true
	})
}

// unprotect takes the finalizer off and returns the fresh object.
func (d *Driver) unprotect(ctx context.Context, parent *Object) (*Object, error) {
	finalizer := d.controller.finalizer()
	return d.editParent(ctx, parent, func(o *Object) bool {
		had := hasFinalizer(o, finalizer)
		dropFinalizer(o, finalizer)
		return had
	})
}

func (d *Driver) editParent(ctx context.Context, parent *Object, change func(*Object) bool) (*Object, error) {
	fresh, err := d.edit(ctx, RefOf(parent), parent.GetUID(), d.cluster.Update, change)
	if err != nil {
		return nil, fmt.Errorf("edit the finalizers of %s: %w", RefOf(parent), err)
	}
	return fresh, nil
}

// finalizes: a parent under deletion whose children are still managed: ours to
// hold, and not in a foreground or orphan deletion (MC 6).
func (d *Driver) finalizes(parent *Object) bool {
	return d.controller.spec.Hooks.Finalize != nil &&
		hasFinalizer(parent, d.controller.finalizer()) &&
		!hasFinalizer(parent, metav1.FinalizerDeleteDependents) &&
		!hasFinalizer(parent, metav1.FinalizerOrphanDependents)
}

// ask calls sync, or finalize for a parent under deletion or no longer
// selected (MC 2.4).
func (d *Driver) ask(ctx context.Context, parent *Object, observed, related groups, done *Sync) (answer, error) {
	hooks := d.controller.spec.Hooks
	hook, name := hooks.Sync, "sync"
	if hooks.Finalize != nil && (parent.GetDeletionTimestamp() != nil || !d.selected(parent)) {
		hook, name, done.Finalizing = hooks.Finalize, "finalize", true
	}
	d.count(func(c *Counters) {
		if done.Finalizing {
			c.Finalizes++
		} else {
			c.Syncs++
		}
	})
	done.Called = true
	call, err := d.call(ctx, hook, name, syncRequest{
		d.controller.document, parent.Object, observed.content(), related.content(), done.Finalizing,
	})
	done.Request, done.Response = call.request, call.response
	if err != nil {
		return answer{}, err
	}
	decoded, err := decodeAnswer(call.response, hook.strict())
	if err != nil {
		return answer{}, fmt.Errorf("%s hook: decode answer: %w", name, err)
	}
	return decoded, nil
}

// writeStatus replaces the status as a whole, with the generation that the
// hook was shown, if it differs from the live one (MC 3.1, 5).
func (d *Driver) writeStatus(ctx context.Context, parent *Object, status map[string]any, done *Sync) error {
	if status == nil {
		status = map[string]any{}
	}
	status["observedGeneration"] = parent.GetGeneration()
	var differs bool
	_, err := d.edit(ctx, RefOf(parent), parent.GetUID(), d.cluster.UpdateStatus, func(live *Object) bool {
		differs = !reflect.DeepEqual(live.Object["status"], any(status))
		live.Object["status"] = status
		return differs
	})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // swallowed (MC 5)
	}
	if err != nil {
		return fmt.Errorf("write status of %s: %w", RefOf(parent), err)
	}
	if !differs {
		return nil
	}
	done.StatusWritten = true
	d.count(func(c *Counters) { c.StatusWrites++ })
	return nil
}
