package cluster

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// Config says what to read and how.
type Config struct {
	// REST reaches the cluster. Its limits on requests are replaced.
	REST *rest.Config
	// Claims asks for PersistentVolumeClaims, for their labels.
	Claims bool
	// Limits bound silence; the zero value is the usual.
	Limits Limits
	// Observe is told of each list and watch that failed; see [world.Observer].
	Observe world.Observer
	// Log gets a line when the state of a kind changes.
	Log *slog.Logger
}

// Limits bound how long nothing may be heard of a kind. A zero one is the usual.
type Limits struct {
	// Fresh is how long ago a kind may last have been known to be seen as it is,
	// for the view to be OK: 3 minutes.
	Fresh time.Duration
	// Silence is how long a watch may be silent before it is begun again: 75
	// seconds, since a server that is well sends a bookmark about each minute.
	Silence time.Duration
	// Settle is how long a watch has to stay open to prove that nothing was
	// missed: 2 seconds.
	Settle time.Duration
	// Discover is how often it is asked which version of DiskPools is served: a
	// minute.
	Discover time.Duration
}

func (l Limits) orUsual() Limits {
	return Limits{
		Fresh: cmp.Or(l.Fresh, 3*time.Minute), Silence: cmp.Or(l.Silence, 75*time.Second),
		Settle: cmp.Or(l.Settle, 2*time.Second), Discover: cmp.Or(l.Discover, time.Minute),
	}
}

// Reader keeps a view of the cluster. Its methods may be called at once, but Run,
// which is called once.
type Reader struct {
	cfg    Config
	host   string
	client rest.Interface
	mirror hooks.Mirror
	kinds  []*kind
	now    func() time.Time
}

var _ hooks.Cluster = (*Reader)(nil)

// New returns a reader that has read nothing yet.
func New(c Config) (*Reader, error) {
	cfg := rest.CopyConfig(c.REST)
	// A few long-lived requests and, after a break, a burst of them.
	cfg.QPS, cfg.Burst, cfg.RateLimiter = 20, 40, nil
	cfg.Timeout = 0
	// Lists come over the cluster's own network; to unpack them would cost more.
	cfg.DisableCompression = true
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	// It is used for errors alone.
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reach Kubernetes: %w", err)
	}
	c.Limits = c.Limits.orUsual()
	r := &Reader{cfg: c, host: cfg.Host, client: client, now: time.Now}
	r.add(hooks.Volumes, "/api/v1/persistentvolumes", "", whole)
	if c.Claims {
		r.add(hooks.Claims, "/api/v1/persistentvolumeclaims", "", metadataOnly)
	}
	r.add(hooks.Policies, "/apis/"+tiering.APIVersion+"/storagepolicies", "", whole)
	r.add(hooks.Jobs, "/apis/batch/v1/jobs", hooks.VolumeLabel, whole)
	r.add(hooks.DiskPools, "", "", metadataOnly)
	return r, nil
}

func (r *Reader) add(k hooks.Kind, path, selector, accept string) {
	r.kinds = append(r.kinds, &kind{
		Kind: k, reader: r, path: path, selector: selector, accept: accept,
		log: r.cfg.Log.With(slog.String("source", world.SourceKubernetes), slog.String("kind", k.String())),
	})
}

// Run reads until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	ctx = silently(ctx)
	var wg sync.WaitGroup
	for _, k := range r.kinds {
		if k.Kind == hooks.DiskPools {
			wg.Go(func() { r.followDiskPools(ctx, k) })
		} else {
			wg.Go(func() { k.follow(ctx) })
		}
	}
	wg.Wait()
}

// View implements [hooks.Cluster].
func (r *Reader) View() (*hooks.View, tiering.Source) {
	if waiting := r.unsynced(); len(waiting) > 0 {
		return nil, r.unread(waiting)
	}
	now := r.now()
	for _, k := range r.kinds {
		if s := k.state(); now.Sub(s.seen) > r.cfg.Limits.Fresh {
			return r.mirror.View(), r.stale(k, s)
		}
	}
	return r.mirror.View(), tiering.Source{OK: true, Reason: world.Available, Message: "Kubernetes answers."}
}

// unsynced are the kinds that were not listed yet.
func (r *Reader) unsynced() []*kind {
	var waiting []*kind
	for _, k := range r.kinds {
		if k.state().lists == 0 {
			waiting = append(waiting, k)
		}
	}
	return waiting
}

// unread says why there is no view yet: the first fault, or what is waited for.
func (r *Reader) unread(waiting []*kind) tiering.Source {
	names := make([]string, len(waiting))
	for i, k := range waiting {
		names[i] = k.String()
		if f := k.state().fault; f != nil {
			return tiering.Source{Reason: f.Reason, Message: f.Message}
		}
	}
	return tiering.Source{Reason: world.NotReadYet, Message: "The lists of " + strings.Join(names, ", ") + " have not come yet."}
}

// stale says why the view is too old.
func (r *Reader) stale(k *kind, s state) tiering.Source {
	if s.fault != nil {
		return tiering.Source{Reason: s.fault.Reason, Message: s.fault.Message}
	}
	return tiering.Source{
		Reason:  world.TooOld,
		Message: fmt.Sprintf("Kubernetes at %s no longer tells how %s change, so nothing new starts until it does; look at the API server and what is between it and this service.", r.host, k),
	}
}

// State is how the source is: tried once there is a view, and read when the kind
// that was seen longest ago was.
func (r *Reader) State() world.State {
	s := world.State{Tried: true, Up: true, Read: r.now()}
	now := s.Read
	for _, k := range r.kinds {
		have := k.state()
		if have.lists == 0 {
			s.Tried, s.Up = false, false
		}
		switch {
		case have.fault != nil:
			s.Up, s.Reason = false, have.fault.Reason
		case have.lists > 0 && now.Sub(have.seen) > r.cfg.Limits.Fresh:
			s.Up, s.Reason = false, cmp.Or(s.Reason, world.TimedOut)
		}
		if have.seen.Before(s.Read) {
			s.Read = have.seen
		}
	}
	return s
}

// Waiting says what the first view waits for, or is empty once there is one.
func (r *Reader) Waiting() string {
	if waiting := r.unsynced(); len(waiting) > 0 {
		return r.unread(waiting).Message
	}
	return ""
}

// Counts are the objects held, and the lists made so far, of each kind.
func (r *Reader) Counts() (objects, lists map[string]int) {
	view := r.mirror.View()
	objects, lists = make(map[string]int), make(map[string]int)
	for _, k := range r.kinds {
		objects[k.String()] = view.Count(k.Kind)
		lists[k.String()] = k.state().lists
	}
	return objects, lists
}
