package driver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Options of a Driver. Only Controller is required.
type Options struct {
	Controller Controller
	// URL, if set, replaces the address of each hook, since names of services
	// resolve in a cluster only. It gets the address upstream would call.
	URL func(string) string
	// Transport of the hook calls; nil is a plain one, which trusts the caBundle of
	// the hook.
	Transport http.RoundTripper
	// ResyncPeriod replaces that of the controller if it is not 0.
	ResyncPeriod time.Duration
	// Lag of the caches.
	Lag Lag
	// CatchUp is how long a stale cache stays behind while the driver runs; 0
	// is 50 ms.
	CatchUp time.Duration
	// Warned, if set, is called with each event (MC 5).
	Warned func(parent *Object, reason, message string)
	// Synced, if set, is called with what each look at a parent did.
	Synced func(parent string, s *Sync)
	// Workers is how many parents are synced at once; 0 is 5, as upstream.
	Workers int
}

// Driver is Metacontroller with one CompositeController. [New] makes one.
type Driver struct {
	cluster    Cluster
	options    Options
	controller Controller
	clients    map[*Hook]*http.Client
	parent     Resource
	selector   labels.Selector
	children   []Resource

	mu         sync.Mutex
	caches     *caches
	customized map[types.UID]customized
	parents    map[string]chan struct{} // held while a parent is synced
	counters   Counters
	events     []Event
	changes    []Change // not yet looked at for triggers; kept only while running
	running    bool
	signal     chan struct{}
}

// Event is a Warning on a parent (MC 5).
type Event struct {
	At              time.Time
	Parent          string
	Reason, Message string
}

// maxEvents is how many events are kept, the newest.
const maxEvents = 1000

// Counters sum up what a driver did.
type Counters struct {
	// Syncs, Finalizes and Customizes are calls of the hooks, whatever came.
	Syncs, Finalizes, Customizes int64
	// Errors are syncs that ended with SyncError, TooMany those with a 429.
	Errors, TooMany int64
	// Creates and Deletes of children, Existed those creates that met an
	// AlreadyExists and were silent about it.
	Creates, Deletes, Existed int64
	// Adopted and Released children.
	Adopted, Released int64
	// StatusWrites are PUTs of a status that differed.
	StatusWrites int64
	// RequestBytes and ResponseBytes of all hooks.
	RequestBytes, ResponseBytes int64
}

// New returns a driver for the objects in the API.
func New(a *API, options Options) (*Driver, error) {
	return NewOn(context.Background(), memory{a}, options)
}

// NewOn returns a driver for the objects in the cluster. The context is that of
// the calls which find out what the cluster serves. The driver watches what it
// was asked to look at from the first [Driver.SyncOnce] or [Driver.Run] until
// [Driver.Close].
func NewOn(ctx context.Context, cluster Cluster, options Options) (*Driver, error) {
	d := &Driver{
		cluster: cluster, options: options, controller: options.Controller,
		clients: map[*Hook]*http.Client{},
		parents: map[string]chan struct{}{},
		signal:  make(chan struct{}, 1),
	}
	spec := d.controller.spec
	var err error
	if d.parent, err = cluster.Resource(ctx, spec.ParentResource.APIVersion, spec.ParentResource.Resource); err != nil {
		return nil, fmt.Errorf("parent of CompositeController %s: %w", d.controller.Name, err)
	}
	var faults []error
	if d.parent.Namespaced {
		faults = append(faults, errors.New("a namespaced parent is not modelled"))
	}
	if !d.parent.Status {
		faults = append(faults, fmt.Errorf("%s has no status subresource, upstream ignores the controller", d.parent.Name))
	}
	d.selector = labels.Everything()
	if s := spec.ParentResource.LabelSelector; s != nil {
		if d.selector, err = metav1.LabelSelectorAsSelector(s); err != nil {
			faults = append(faults, err)
		}
	}
	for _, rule := range spec.ChildResources {
		r, err := cluster.Resource(ctx, rule.APIVersion, rule.Resource)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		d.children = append(d.children, r)
	}
	for name, hook := range d.controller.hooks() {
		if hook == nil {
			continue
		}
		if d.clients[hook], err = hook.client(options.Transport); err != nil {
			faults = append(faults, fmt.Errorf("hooks.%s: %w", name, err))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("CompositeController %s: %w", d.controller.Name, err)
	}
	d.Restart()
	return d, nil
}

// Restart forgets what a process forgets when it ends: caches are listed anew,
// customize answers and, in [Driver.Run], back-offs and appointments are gone.
func (d *Driver) Restart() {
	d.mu.Lock()
	old := d.caches
	d.caches, d.customized = newCaches(d.cluster, d.options.Lag, d.observe), map[types.UID]customized{}
	d.mu.Unlock()
	if old != nil {
		old.end()
	}
}

// Close ends the watches. A driver of an [API] may do without.
func (d *Driver) Close() { d.view().end() }

// SetLag changes the staleness of the caches.
func (d *Driver) SetLag(lag Lag) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.options.Lag = lag
	d.caches.setLag(lag)
}

func (d *Driver) observe(change Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return
	}
	d.changes = append(d.changes, change)
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// Counters returns what was done so far, restarts included.
func (d *Driver) Counters() Counters {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counters
}

func (d *Driver) count(add func(*Counters)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	add(&d.counters)
}

// Events returns the newest 1000 events, oldest first.
func (d *Driver) Events() []Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func (d *Driver) warn(parent string, err error) {
	e := Event{time.Now(), parent, "SyncError", "Sync error: " + err.Error()}
	d.mu.Lock()
	d.counters.Errors++
	d.events = append(d.events, e)
	d.events = d.events[max(0, len(d.events)-maxEvents):]
	d.mu.Unlock()
	if d.options.Warned == nil {
		return
	}
	if o := d.view().one(d.parent, parent, 0); o != nil {
		d.options.Warned(o, e.Reason, e.Message)
	}
}

// workers of one controller (MC 5).
func (d *Driver) workers() int { return cmp.Or(d.options.Workers, 5) }

func (d *Driver) view() *caches {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.caches
}
