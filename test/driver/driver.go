package driver

import (
	"cmp"
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
	// Transport of the hook calls; nil is a plain one.
	Transport http.RoundTripper
	// ResyncPeriod replaces that of the controller if it is not 0.
	ResyncPeriod time.Duration
	// Lag of the caches.
	Lag Lag
	// CatchUp is how long a stale cache stays behind while the driver runs; 0
	// is 50 ms.
	CatchUp time.Duration
	// Workers is how many parents are synced at once; 0 is 5, as upstream.
	Workers int
}

// Driver is Metacontroller with one CompositeController. [New] makes one.
type Driver struct {
	api        *API
	options    Options
	controller Controller
	client     *http.Client
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

// New returns a driver for the objects in the API. It watches the API from now
// on, for as long as that lives.
func New(a *API, options Options) (*Driver, error) {
	d := &Driver{
		api: a, options: options, controller: options.Controller,
		client:  &http.Client{Transport: options.Transport},
		parents: map[string]chan struct{}{},
		signal:  make(chan struct{}, 1),
	}
	spec := d.controller.spec
	var err error
	if d.parent, err = a.byName(spec.ParentResource.APIVersion, spec.ParentResource.Resource); err != nil {
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
		r, err := a.byName(rule.APIVersion, rule.Resource)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		d.children = append(d.children, r)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("CompositeController %s: %w", d.controller.Name, err)
	}
	d.Restart()
	a.Watch(d.observe)
	return d, nil
}

// Restart forgets what a process forgets when it ends: caches are listed anew,
// customize answers and, in [Driver.Run], back-offs and appointments are gone.
func (d *Driver) Restart() {
	fresh := newCaches(d.api, d.options.Lag)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caches, d.customized = fresh, map[types.UID]customized{}
}

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
	d.caches.add(change)
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
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counters.Errors++
	d.events = append(d.events, Event{time.Now(), parent, "SyncError", "Sync error: " + err.Error()})
	d.events = d.events[max(0, len(d.events)-maxEvents):]
}

// workers of one controller (MC 5).
func (d *Driver) workers() int { return cmp.Or(d.options.Workers, 5) }

func (d *Driver) view() *caches {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.caches
}
