package driver

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Run is one life of the Metacontroller process: it forgets what a restart
// forgets, syncs each parent once, and then obeys events, appointments,
// back-offs and the resync period (MC 5) until the context ends. It returns
// when its last call has ended. Only one Run at a time.
func (d *Driver) Run(ctx context.Context) {
	d.mu.Lock()
	d.changes, d.running = nil, true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = false
	}()
	d.Restart()

	q := newQueue()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { d.resync(ctx, q) })
	tasks.Go(func() { d.follow(ctx, q) })
	view := d.view()
	if view.wait(ctx, append([]Resource{d.parent}, d.children...)...) != nil {
		return // the context ended
	}
	for _, parent := range view.known(d.parent) {
		if d.interesting(parent) {
			q.add(parent.GetName())
		}
	}

	slots := make(chan struct{}, d.workers())
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		name, ok := q.wait(ctx)
		if !ok {
			return
		}
		tasks.Go(func() {
			defer func() { <-slots }()
			defer q.done(name)
			d.work(ctx, q, name)
		})
	}
}

// wait blocks until there is a parent to work on; false once the context ended.
func (q *queue) wait(ctx context.Context) (string, bool) {
	for {
		name, found, wait := q.next()
		if found {
			return name, ctx.Err() == nil
		}
		var timer *time.Timer
		var due <-chan time.Time
		if wait != notAppointed {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-q.wake:
		case <-due:
		case <-ctx.Done():
			return "", false
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// work syncs a parent and arranges when it is looked at again.
func (d *Driver) work(ctx context.Context, q *queue, name string) {
	done, err := d.SyncOnce(ctx, name)
	if done.ResyncAfter > 0 {
		q.addAfter(name, done.ResyncAfter)
	}
	tooMany, is429 := errors.AsType[*TooManyRequestsError](err)
	switch {
	case is429:
		q.addAfter(name, tooMany.After)
	case err != nil:
		q.addLater(name)
	default:
		q.forget(name)
	}
	if d.view().behind() && d.lagging() {
		q.addAfter(name, cmp.Or(d.options.CatchUp, 50*time.Millisecond))
	}
}

// lagging: caches are behind by chance and so catch up; fixed figures never do.
func (d *Driver) lagging() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.options.Lag.Seed != 0
}

// resync looks at every parent once in a period.
func (d *Driver) resync(ctx context.Context, q *queue) {
	ticker := time.NewTicker(cmp.Or(d.options.ResyncPeriod, d.controller.resyncPeriod()))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for _, parent := range d.view().known(d.parent) {
			if d.interesting(parent) {
				q.add(parent.GetName())
			}
		}
	}
}

// follow turns changes into syncs, on one goroutine, as an informer does.
func (d *Driver) follow(ctx context.Context, q *queue) {
	for {
		d.mu.Lock()
		changes := d.changes
		d.changes = nil
		d.mu.Unlock()
		for _, change := range changes {
			for name := range d.triggered(ctx, change) {
				q.add(name)
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-d.signal:
		case <-ctx.Done():
			return
		}
	}
}

// triggered returns the parents that a change concerns.
func (d *Driver) triggered(ctx context.Context, change Change) map[string]struct{} {
	names := map[string]struct{}{}
	if change.Resource.id() == d.parent.id() && d.parentTriggers(change) {
		names[cmp.Or(change.New, change.Old).GetName()] = struct{}{}
	}
	for _, child := range d.children {
		if change.Resource.id() == child.id() {
			maps.Copy(names, d.childTriggers(change))
		}
	}
	maps.Copy(names, d.relatedTriggers(ctx, change))
	return names
}

// parentTriggers: with ignoreStatusChanges an update counts only if it touched
// generation, labels or annotations, or if the parent is being deleted (MC 1).
func (d *Driver) parentTriggers(c Change) bool {
	if c.Old == nil || c.New == nil {
		return true
	}
	if !d.interesting(c.New) && !d.interesting(c.Old) {
		return false
	}
	return !d.controller.spec.ParentResource.IgnoreStatusChanges ||
		c.New.GetDeletionTimestamp() != nil ||
		c.Old.GetGeneration() != c.New.GetGeneration() ||
		!reflect.DeepEqual(c.Old.GetLabels(), c.New.GetLabels()) ||
		!reflect.DeepEqual(c.Old.GetAnnotations(), c.New.GetAnnotations())
}

// childTriggers: a child concerns the owner it has now; an ownerless one that
// stays each parent that would adopt it. The owner it had does not count (MC 4.3
// is for related objects only).
func (d *Driver) childTriggers(c Change) map[string]struct{} {
	names := map[string]struct{}{}
	child := cmp.Or(c.New, c.Old)
	owner, going := controllerOf(child), c.New == nil || child.GetDeletionTimestamp() != nil
	for _, parent := range d.view().known(d.parent) {
		adopts := func() bool {
			selector, err := d.childSelector(parent)
			return err == nil && selector.Matches(labels.Set(child.GetLabels()))
		}
		if owner == parent.GetUID() || owner == "" && !going && adopts() {
			names[parent.GetName()] = struct{}{}
		}
	}
	return names
}

// relatedTriggers: an object concerns each parent whose rules select it as it
// was or as it is. A parent whose customize hook fails misses the event
// (MC 4.3). A kind that no sync has asked for yet is not watched for this.
func (d *Driver) relatedTriggers(ctx context.Context, c Change) map[string]struct{} {
	names := map[string]struct{}{}
	view := d.view()
	if !view.related(c.Resource) {
		return names
	}
	for _, parent := range view.known(d.parent) {
		rules, err := d.rules(ctx, parent)
		if err != nil {
			continue
		}
		spaces, err := namespaces(rules, view)
		if err != nil {
			continue
		}
		for _, rule := range rules {
			if rule.resource.id() != c.Resource.id() {
				continue
			}
			if c.Old != nil && rule.selects(c.Old, spaces) || c.New != nil && rule.selects(c.New, spaces) {
				names[parent.GetName()] = struct{}{}
			}
		}
	}
	return names
}
