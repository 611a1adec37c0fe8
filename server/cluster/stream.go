package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/billyronks/couchestor/hooks"
)

// listTimeout bounds a list, or a page of one; 100 000 volumes take seconds.
const listTimeout = 5 * time.Minute

var _ cache.ListerWatcherWithContext = (*kind)(nil)

// List and Watch make a kind a cache.ListerWatcher; those with a context are the
// ones that are called.
func (k *kind) List(o metav1.ListOptions) (runtime.Object, error) {
	return k.ListWithContext(context.Background(), o)
}

// Watch is [kind.WatchWithContext].
func (k *kind) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return k.WatchWithContext(context.Background(), o)
}

// ListWithContext reads a list, or a page of one.
func (k *kind) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list, err := k.list(ctx, o)
	if err != nil {
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			k.failed(ctx, "list", err)
		}
		return nil, err
	}
	return list, nil
}

func (k *kind) list(ctx context.Context, o metav1.ListOptions) (*metainternal.List, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("the list did not end within %s", listTimeout))
	defer cancel()
	body, err := k.open(ctx, o)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	list := new(metainternal.List)
	list.ResourceVersion, list.Continue, err = hooks.ReadList(k.Kind, body, func(o hooks.Object) {
		list.Items = append(list.Items, newItem(o, ""))
	})
	if err != nil {
		return nil, badAnswer(err)
	}
	return list, nil
}

// WatchWithContext begins a watch.
func (k *kind) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	body, err := k.open(ctx, o)
	if err != nil {
		// An older server does not know how to list by a watch; it is asked for a list
		// next. One that has forgotten is as well.
		if !apierrors.IsInvalid(err) && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			k.failed(ctx, "watch", err)
		}
		return nil, err
	}
	limits := k.reader.cfg.Limits
	s := &stream{kind: k, ctx: ctx, body: body, events: hooks.ReadEvents(k.Kind, body)}
	s.initial.Store(o.SendInitialEvents != nil && *o.SendInitialEvents)
	s.mu.Lock()
	s.silence = time.AfterFunc(limits.Silence, s.Close)
	s.settle = time.AfterFunc(limits.Settle, s.seen)
	s.mu.Unlock()
	return watch.NewStreamWatcherWithLogger(klog.FromContext(ctx), s, apierrors.NewClientErrorReporter(500, "GET", "watch")), nil
}

// open makes a request and returns the body of a good answer.
func (k *kind) open(ctx context.Context, o metav1.ListOptions) (io.ReadCloser, error) {
	o.LabelSelector = k.selector
	return k.reader.client.Get().AbsPath(k.path).SetHeader("Accept", k.accept).
		SpecificallyVersionedParams(&o, scheme.ParameterCodec, schema.GroupVersion{Version: "v1"}).
		Stream(ctx)
}

// stream decodes a watch.
type stream struct {
	kind   *kind
	ctx    context.Context //nolint:containedctx // the watch lives as long as it does
	body   io.ReadCloser
	events *hooks.Events
	// initial is true while the watch still tells what was there before it.
	initial atomic.Bool
	closed  atomic.Bool

	mu              sync.Mutex // of the next two, as the first may fire at once
	silence, settle *time.Timer
}

var _ watch.Decoder = (*stream)(nil)

// seen notes that the objects are seen as they are, unless the watch is over or
// still lists.
func (s *stream) seen() {
	if !s.initial.Load() && !s.closed.Load() {
		s.kind.seen(false)
	}
}

// heard notes that the watch is not silent.
func (s *stream) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.silence.Reset(s.kind.reader.cfg.Limits.Silence)
	}
}

// Decode implements [watch.Decoder].
func (s *stream) Decode() (watch.EventType, runtime.Object, error) {
	e, err := s.events.Next()
	if err != nil {
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !s.closed.Load() {
			s.kind.failed(s.ctx, "watch", badAnswer(err))
		}
		return "", nil, err
	}
	s.heard()
	switch watch.EventType(e.Type) {
	case watch.Error:
		status := new(metav1.Status)
		if err := json.Unmarshal(e.Status, status); err != nil {
			return "", nil, badAnswer(err)
		}
		if err := apierrors.FromObject(status); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			s.kind.failed(s.ctx, "watch", err)
		}
		return watch.Error, status, nil
	case watch.Bookmark:
		i := newItem(nil, e.Version)
		i.initial = e.Initial
		if e.Initial {
			s.initial.Store(false)
		} else {
			s.seen()
		}
		return watch.Bookmark, i, nil
	case watch.Added, watch.Modified, watch.Deleted:
	}
	s.seen()
	return watch.EventType(e.Type), newItem(e.Object, e.Version), nil
}

// Close implements [watch.Decoder].
func (s *stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Swap(true) {
		s.silence.Stop()
		s.settle.Stop()
		_ = s.body.Close() // what was read is read
	}
}

// item is an object on its way through a reflector, which asks it for no more than
// is here.
type item struct {
	metav1.Object   // nil
	object          hooks.Object
	namespace, name string
	version         string
	initial         bool
}

func newItem(o hooks.Object, version string) *item {
	i := &item{object: o, version: version}
	if o != nil {
		i.namespace, i.name = hooks.Key(o)
	}
	return i
}

// GetNamespace implements [metav1.Object].
func (i *item) GetNamespace() string { return i.namespace }

// GetName implements [metav1.Object].
func (i *item) GetName() string { return i.name }

// GetResourceVersion implements [metav1.Object].
func (i *item) GetResourceVersion() string { return i.version }

// GetAnnotations implements [metav1.Object].
func (i *item) GetAnnotations() map[string]string {
	if i.initial {
		return map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	}
	return nil
}

// GetObjectKind implements [runtime.Object].
func (i *item) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements [runtime.Object]; an item is never changed.
func (i *item) DeepCopyObject() runtime.Object { return i }
