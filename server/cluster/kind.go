package cluster

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/world"
)

// How an object is asked for. Of a kind of which only the metadata is used, the
// server leaves the rest out.
const (
	whole        = "application/json"
	metadataOnly = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
)

// kind follows the objects of one kind.
type kind struct {
	hooks.Kind
	reader   *Reader
	path     string
	selector string
	accept   string
	log      *slog.Logger

	mu sync.Mutex
	is state
}

// state is what is known of a kind.
type state struct {
	// lists counts those that came to their end.
	lists int
	// seen is when the objects were last known to be seen as they are.
	seen time.Time
	// fault is nil unless the last request failed.
	fault *world.Fault
}

func (k *kind) state() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.is
}

// seen notes that the objects are seen as they are; listed that all of them were
// listed.
func (k *kind) seen(listed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if listed {
		k.is.lists++
	}
	if k.is.lists == 0 {
		return
	}
	k.is.seen = k.reader.now()
	if k.is.fault != nil {
		k.log.Info("source is back")
		k.is.fault = nil
	}
}

// failed notes why a request failed, unless it was because the reader ends.
func (k *kind) failed(ctx context.Context, doing string, err error) {
	if ctx.Err() != nil {
		return
	}
	fault := k.reader.fault(doing, k.Kind, err)
	k.reader.cfg.Observe.Failed(world.SourceKubernetes, fault)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.is.fault == nil || k.is.fault.Reason != fault.Reason {
		k.log.WarnContext(ctx, "source is no data", slog.String("reason", fault.Reason), slog.Any("err", err))
	}
	k.is.fault = fault
}

// follow lists and watches until ctx ends.
func (k *kind) follow(ctx context.Context) {
	var silent klog.Logger
	// As soon as an API server is back there are moves to look after.
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: 5 * time.Second, Steps: 5, Factor: 2, Jitter: 1}
	reflector := cache.NewReflectorWithOptions(k, nil, store{k}, cache.ReflectorOptions{
		Name: k.String(), TypeDescription: k.String(), Logger: &silent, Backoff: &backoff,
	})
	pause := backoff
	for ctx.Err() == nil {
		began := time.Now()
		// Why it ended was noted where it was met.
		_ = reflector.ListAndWatchWithContext(ctx)
		if time.Since(began) > time.Minute {
			pause = backoff
		}
		timer := time.NewTimer(pause.Step())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// begin is follow until the returned function is called, which waits for its end.
func (k *kind) begin(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { k.follow(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// silently keeps client-go from writing to stderr what this package logs itself.
func silently(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// store gives what a reflector sees to the mirror.
type store struct{ kind *kind }

var _ cache.ReflectorStore = store{}

func (s store) Add(o any) error { return s.Update(o) }

func (s store) Update(o any) error {
	if i, ok := o.(*item); ok && i.object != nil {
		s.kind.reader.mirror.Put(i.object)
	}
	return nil
}

func (s store) Delete(o any) error {
	if i, ok := o.(*item); ok && i.object != nil {
		s.kind.reader.mirror.Remove(i.object)
	}
	return nil
}

func (s store) Replace(items []any, _ string) error {
	all := make([]hooks.Object, 0, len(items))
	for _, o := range items {
		if i, ok := o.(*item); ok && i.object != nil {
			all = append(all, i.object)
		}
	}
	s.kind.reader.mirror.Replace(s.kind.Kind, all)
	s.kind.seen(true)
	return nil
}

func (s store) Resync() error { return nil }
