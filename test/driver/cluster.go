package driver

import (
	"context"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster is what a Driver needs of an API server. Errors of its verbs are those
// of k8s.io/apimachinery/pkg/api/errors. All methods may be called at once.
// [API] is one in memory; package kube of this directory has the real one.
type Cluster interface {
	// Resource finds what discovery serves under a plural name.
	Resource(ctx context.Context, apiVersion, name string) (Resource, error)
	Get(ctx context.Context, ref Ref) (*Object, error)
	Create(ctx context.Context, o *Object) (*Object, error)
	// Update is a PUT; a resourceVersion that is set and old is a Conflict.
	Update(ctx context.Context, o *Object) (*Object, error)
	// UpdateStatus is a PUT on the status subresource.
	UpdateStatus(ctx context.Context, o *Object) (*Object, error)
	Delete(ctx context.Context, ref Ref, how Deletion) error
	// Watch lists the resource, whatever its namespace, and watches it until the
	// context ends. It may return before the list is there.
	Watch(ctx context.Context, r Resource, watcher Watcher)
}

// Watcher is told of one resource, by one call at a time. What it is told of is
// shared and must not be changed.
type Watcher interface {
	// Begin comes first, once, with all objects there are.
	Begin(objects []*Object)
	// Changed comes for each change after that, in order.
	Changed(change Change)
}

// memory is an API as a Cluster.
type memory struct{ api *API }

func (m memory) Resource(_ context.Context, apiVersion, name string) (Resource, error) {
	return m.api.byName(apiVersion, name)
}

func (m memory) Get(_ context.Context, ref Ref) (*Object, error) { return m.api.Get(ref) }

func (m memory) Create(_ context.Context, o *Object) (*Object, error) { return m.api.Create(o) }

func (m memory) Update(_ context.Context, o *Object) (*Object, error) { return m.api.Update(o) }

func (m memory) UpdateStatus(_ context.Context, o *Object) (*Object, error) {
	return m.api.UpdateStatus(o)
}

func (m memory) Delete(_ context.Context, ref Ref, how Deletion) error { return m.api.Delete(ref, how) }

// Watch begins before it returns, so that tests can be repeated.
func (m memory) Watch(ctx context.Context, r Resource, watcher Watcher) {
	a := m.api
	a.mu.Lock()
	objects, since := slices.Collect(maps.Values(a.stores[r.id()])), a.revision
	remove := a.watch(func(change Change) {
		// What is told late was in the list already.
		if change.Resource == r && change.Revision > since && ctx.Err() == nil {
			watcher.Changed(change)
		}
	})
	watcher.Begin(objects)
	a.mu.Unlock()
	context.AfterFunc(ctx, remove)
}

// edit changes the live object, which must be the one of that uid, else it is
// NotFound. The function tells whether it changed something; a conflict has it
// called again, four times in all, as upstream does. Upstream waits by client-go's
// retry, which takes a context that ended for success without a result, and then
// crashes; this one fails.
func (d *Driver) edit(ctx context.Context, ref Ref, uid types.UID, write func(context.Context, *Object) (*Object, error), change func(*Object) bool) (*Object, error) {
	const tries, longer = 4, 5
	wait := 10 * time.Millisecond
	for try := 1; ; try++ {
		live, err := d.cluster.Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		if live.GetUID() != uid {
			return nil, apierrors.NewNotFound(groupResource(ref), ref.Name)
		}
		if !change(live) {
			return live, nil
		}
		result, err := write(ctx, live)
		if !apierrors.IsConflict(err) || try == tries {
			return result, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		wait *= longer
	}
}
