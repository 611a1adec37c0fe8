package kubelet

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// retryIn is the time between two tries of anything that may come to work. It is
// short, as tests wait for what comes back.
const retryIn = 200 * time.Millisecond

// collection is a typed client of client-go.
type collection[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// follow tells of all objects and then of each change, until ctx ends. An object
// that is gone is told as deleted, also if that happened while nobody watched. It
// calls only one of its functions at a time. An informer of client-go would do the
// same, but waits for up to half a minute after a server was away.
func follow[T metav1.Object, L runtime.Object](ctx context.Context, api collection[L], fields string, changed, deleted func(T)) {
	known := map[string]T{}
	key := func(o T) string { return o.GetNamespace() + "/" + o.GetName() + "/" + string(o.GetUID()) }
	for ctx.Err() == nil {
		_ = round(ctx, api, fields, func(all []runtime.Object) {
			now := map[string]bool{}
			for _, o := range all {
				if o, ok := o.(T); ok {
					now[key(o)], known[key(o)] = true, o
					changed(o)
				}
			}
			for k, o := range known {
				if !now[k] {
					delete(known, k)
					deleted(o)
				}
			}
		}, func(e watch.Event) {
			o, ok := e.Object.(T)
			switch {
			case !ok:
			case e.Type == watch.Deleted:
				delete(known, key(o))
				deleted(o)
			default:
				known[key(o)] = o
				changed(o)
			}
		})
		pause(ctx, retryIn)
	}
}

// round lists and then watches for as long as that goes well.
func round[L runtime.Object](ctx context.Context, api collection[L], fields string, all func([]runtime.Object), one func(watch.Event)) error {
	list, err := api.List(ctx, metav1.ListOptions{FieldSelector: fields})
	if err != nil {
		return err
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	page, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	all(items)
	w, err := api.Watch(ctx, metav1.ListOptions{FieldSelector: fields, ResourceVersion: page.GetResourceVersion()})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			return errors.New("the watch failed")
		}
		one(e)
	}
	return nil
}

// pause waits, but not longer than ctx lasts.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
