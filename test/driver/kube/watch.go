package kube

import (
	"context"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/billyronks/couchestor/test/driver"
)

// Watch implements [driver.Cluster]. It lists again after a gap, and tries for
// as long as it takes where the server refuses.
func (c *Cluster) Watch(ctx context.Context, r driver.Resource, watcher driver.Watcher) {
	api := c.resource(r)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return api.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return api.Watch(ctx, o)
		},
	}
	expected := &driver.Object{}
	expected.SetAPIVersion(r.APIVersion)
	expected.SetKind(r.Kind)
	store := &told{resource: r, watcher: watcher}
	reflector := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, c.client), expected, store,
		cache.ReflectorOptions{Name: r.Name})
	go reflector.RunWithContext(ctx)
}

// told is the store of a reflector: what its watcher was told of.
type told struct {
	resource driver.Resource
	watcher  driver.Watcher

	mu       sync.Mutex // the reflector makes one call at a time, but does not promise it
	begun    bool
	revision int64
	objects  map[types.NamespacedName]*driver.Object
}

// Add implements cache.ReflectorStore.
func (t *told) Add(item any) error { return t.Update(item) }

// Update implements cache.ReflectorStore. An event that shows what is known
// already is none.
func (t *told) Update(item any) error {
	o, err := object(item)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.objects[name(o)]
	t.objects[name(o)] = o
	t.changed(old, o)
	return nil
}

// Delete implements cache.ReflectorStore. It is told with the last state that the
// event carries, as an informer would.
func (t *told) Delete(item any) error {
	o, err := object(item)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.objects, name(o))
	t.changed(o, nil)
	return nil
}

// Replace implements cache.ReflectorStore: it is the first list, or the one after
// a gap.
func (t *told) Replace(items []any, _ string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.objects
	t.objects = make(map[types.NamespacedName]*driver.Object, len(items))
	listed := make([]*driver.Object, 0, len(items))
	for _, item := range items {
		o, err := object(item)
		if err != nil {
			return err
		}
		listed = append(listed, o)
		t.objects[name(o)] = o
	}
	if !t.begun {
		t.begun = true
		t.watcher.Begin(listed)
		return nil
	}
	for name, was := range old {
		if t.objects[name] == nil {
			t.changed(was, nil)
		}
	}
	for _, o := range listed {
		t.changed(old[name(o)], o)
	}
	return nil
}

// Resync implements cache.ReflectorStore: nobody asks for it.
func (t *told) Resync() error { return nil }

func (t *told) changed(old, now *driver.Object) {
	if old != nil && now != nil && old.GetResourceVersion() == now.GetResourceVersion() {
		return
	}
	t.revision++
	t.watcher.Changed(driver.Change{Resource: t.resource, Old: old, New: now, Revision: t.revision})
}

func object(item any) (*driver.Object, error) {
	o, ok := item.(*driver.Object)
	if !ok {
		return nil, fmt.Errorf("a watch told of a %T", item)
	}
	return o, nil
}

func name(o *driver.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
