package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"

	"github.com/billyronks/couchestor/test/driver"
)

// Options of [Run].
type Options struct {
	// Refresh is how long an answer of discovery holds; 0 is 30 s.
	Refresh time.Duration
	// Workers of each controller; 0 is 5.
	Workers int
	// Services are addresses on this machine by name.namespace:port, in place of
	// the cluster's DNS. What is not in it is called by its name.
	Services map[string]string
	// Log is where actions are told.
	Log *slog.Logger
}

// The back-off of a controller that cannot be made, and how long the controllers
// may take to be listed at the start (MC 7.3).
const (
	backoffBase = 5 * time.Millisecond
	backoffCap  = 1000 * time.Second
	listedIn    = 2 * time.Minute
)

// program is one life of Metacontroller.
type program struct {
	cluster *Cluster
	options Options
	events  record.EventRecorder
	// composites and definitions are cached.
	composites, definitions *mirror
	running                 map[string]*running
}

// running is a CompositeController, or one that could not be made.
type running struct {
	object *driver.Object
	// stop ends it and waits for that; nil if there is nothing to end.
	stop     func()
	failures int
	retry    time.Time // zero is never
}

// Run is Metacontroller until the context ends: it keeps a driver for each
// CompositeController, and makes it anew when its spec changed. It fails if the
// server does not let it see the controllers.
func Run(ctx context.Context, cfg *rest.Config, options Options) error {
	if options.Refresh == 0 {
		options.Refresh = 30 * time.Second
	}
	cluster, err := New(cfg, options.Refresh)
	if err != nil {
		return err
	}
	events, stop, err := newEvents(cfg)
	if err != nil {
		return err
	}
	defer stop()
	p := &program{
		cluster: cluster, options: options, events: events,
		composites: newMirror(), definitions: newMirror(), running: map[string]*running{},
	}
	// Nothing is asked of the others but upstream watches them, and that takes
	// rights.
	decorators := newMirror()
	cluster.Watch(ctx, compositeControllers(), p.composites)
	cluster.Watch(ctx, decoratorControllers(), decorators)
	cluster.Watch(ctx, controllerRevisions(), newMirror())
	cluster.Watch(ctx, namespaces(), newMirror())
	cluster.Watch(ctx, definitions(), p.definitions)
	listing, cancel := context.WithTimeoutCause(ctx, listedIn, errors.New("the controllers could not be listed"))
	defer cancel()
	for _, m := range []*mirror{p.composites, decorators, p.definitions} {
		select {
		case <-m.listed:
		case <-listing.Done():
			if ctx.Err() != nil {
				return nil // to be told to stop is no error
			}
			return context.Cause(listing)
		}
	}
	for name := range decorators.all() {
		options.Log.WarnContext(ctx, "decorator controllers are not modelled", "controller", name)
	}
	defer p.stopAll()
	p.loop(ctx)
	return nil
}

func (p *program) loop(ctx context.Context) {
	for ctx.Err() == nil {
		timer := time.NewTimer(p.reconcile(ctx))
		select {
		case <-p.composites.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// reconcile starts and stops controllers and tells how long until one is to be
// tried again.
func (p *program) reconcile(ctx context.Context) time.Duration {
	wanted := p.composites.all()
	for _, name := range slices.Sorted(maps.Keys(p.running)) {
		if wanted[name] == nil {
			p.stop(name)
			delete(p.running, name)
		}
	}
	wait := backoffCap
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		r := p.running[name]
		// Only a change of the spec counts (MC 1).
		same := r != nil && reflect.DeepEqual(r.object.Object["spec"], wanted[name].Object["spec"])
		switch {
		case same && (r.retry.IsZero() || time.Now().Before(r.retry)):
		default:
			failures := 0
			if same {
				failures = r.failures
			}
			p.stop(name)
			p.running[name] = p.start(ctx, wanted[name], failures)
		}
		if at := p.running[name].retry; !at.IsZero() {
			wait = min(wait, max(0, time.Until(at)))
		}
	}
	return wait
}

// start makes the driver of a controller.
func (p *program) start(ctx context.Context, object *driver.Object, failures int) *running {
	r := &running{object: object, failures: failures}
	log := p.options.Log.With("controller", object.GetName())
	d, err := p.make(ctx, object)
	if ignored, ok := errors.AsType[*ignoredError](err); ok {
		p.events.Event(object, corev1.EventTypeWarning, "SyncError", ignored.Error())
		log.WarnContext(ctx, "ignored", "error", ignored)
		return r
	}
	if err != nil {
		wait := min(backoffBase<<min(failures, 20), backoffCap)
		r.failures, r.retry = failures+1, time.Now().Add(wait)
		p.events.Event(object, corev1.EventTypeWarning, "CreateError", "Cannot create new controller: "+err.Error())
		log.ErrorContext(ctx, "cannot create", "error", err, "again", wait)
		return r
	}
	life, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(life)
	}()
	r.stop = func() {
		cancel()
		<-ended
		d.Close()
	}
	p.events.Event(object, corev1.EventTypeNormal, "Started", "Started controller: "+object.GetName())
	log.InfoContext(ctx, "started")
	return r
}

// ignoredError is a controller that waits until its spec changes.
type ignoredError struct{ reason string }

func (e *ignoredError) Error() string { return e.reason }

func (p *program) make(ctx context.Context, object *driver.Object) (*driver.Driver, error) {
	text, err := object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	controller, err := driver.ReadController(text)
	if err != nil {
		return nil, err
	}
	if err := p.checkParent(object); err != nil {
		return nil, err
	}
	log := p.options.Log.With("controller", object.GetName())
	return driver.NewOn(ctx, p.cluster, driver.Options{
		Controller: controller, Workers: p.options.Workers, URL: p.resolve,
		Warned: func(parent *driver.Object, reason, message string) {
			p.events.Event(parent, corev1.EventTypeWarning, reason, message)
			log.ErrorContext(ctx, "complained", "parent", parent.GetName(), "reason", reason, "message", message)
		},
		Synced: func(parent string, s *driver.Sync) {
			if s.Called {
				log.InfoContext(ctx, "synced", "parent", parent, "finalizing", s.Finalizing, "created", s.Created, "deleted", s.Deleted,
					"status_written", s.StatusWritten, "resync_after", s.ResyncAfter)
			}
		},
	})
}

// checkParent: the parent has to be a CRD whose version has a status subresource
// (MC 1).
func (p *program) checkParent(controller *driver.Object) error {
	apiVersion, _, _ := unstructured.NestedString(controller.Object, "spec", "parentResource", "apiVersion")
	resource, _, _ := unstructured.NestedString(controller.Object, "spec", "parentResource", "resource")
	group, version, _ := strings.Cut(apiVersion, "/")
	name := resource + "." + group
	definition := p.definitions.get(name)
	if definition == nil {
		return fmt.Errorf("CustomResourceDefinition %s not found", name)
	}
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		v, _ := v.(map[string]any)
		if v["name"] != version {
			continue
		}
		if _, found, _ := unstructured.NestedMap(v, "subresources", "status"); found {
			return nil
		}
	}
	return &ignoredError{fmt.Sprintf("ignoring, CRD %s does not have subresource 'Status' enabled", name)}
}

func (p *program) stop(name string) {
	r := p.running[name]
	if r == nil || r.stop == nil {
		return
	}
	r.stop()
	p.events.Event(r.object, corev1.EventTypeNormal, "Stopped", "Stopped controller: "+name)
	p.options.Log.Info("stopped", "controller", name)
}

func (p *program) stopAll() {
	for name := range p.running {
		p.stop(name)
	}
}

// resolve stands for the cluster's DNS.
func (p *program) resolve(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if to, found := p.options.Services[u.Host]; found {
		u.Host = to
	}
	return u.String()
}
