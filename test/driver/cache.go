package driver

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
)

// Lag makes caches stale (MC 0.7): a sync sees a kind as it was some changes of
// that kind ago. Caches never go backwards. The zero value is no lag.
type Lag struct {
	// Children, Related and Parent are how many of the newest changes of the
	// kind are not seen yet.
	Children, Related, Parent int
	// Seed, if not 0, makes the figures upper bounds: each sync draws its own.
	Seed uint64
}

// errNotListed is what a sync ends with that needs a cache which has not got its
// list: no event, and another try after the back-off (MC 2.6).
var errNotListed = errors.New("the cache has no list yet")

// caches are the informers of one life of Metacontroller: one for each resource,
// shared by all that ask for it, from the first time somebody does (MC 4.3).
type caches struct {
	cluster Cluster
	tell    func(Change)
	life    context.Context //nolint:containedctx // it is what ends the watches of this life
	end     context.CancelFunc

	mu    sync.Mutex
	kinds map[string]*cache
	lag   Lag
	draw  *rand.Rand
}

// cache is that of one resource. The lock of all caches guards its fields.
type cache struct {
	all *caches
	// watched is closed once the watch was begun, listed once its list is there.
	watched, listed chan struct{}
	objects         map[string]*Object
	backlog         []Change
	// related: some rule of a customize hook has asked for the kind.
	related bool
}

// newCaches are empty; tell is called with each change of what they hold.
func newCaches(cluster Cluster, lag Lag, tell func(Change)) *caches {
	c := &caches{cluster: cluster, tell: tell, kinds: map[string]*cache{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.setLag(lag)
	return c
}

func (c *caches) setLag(lag Lag) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag, c.draw = lag, rand.New(rand.NewPCG(lag.Seed, 1))
}

// cache returns that of a resource, and begins its watch if it is new.
func (c *caches) cache(r Resource) *cache {
	c.mu.Lock()
	k, found := c.kinds[r.id()]
	if !found {
		k = &cache{all: c, watched: make(chan struct{}), listed: make(chan struct{})}
		c.kinds[r.id()] = k
	}
	c.mu.Unlock()
	if !found {
		c.cluster.Watch(c.life, r, k)
		close(k.watched)
	}
	<-k.watched
	return k
}

// wait blocks until the resources are listed.
func (c *caches) wait(ctx context.Context, resources ...Resource) error {
	for _, r := range resources {
		select {
		case <-c.cache(r).listed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Begin implements [Watcher].
func (k *cache) Begin(objects []*Object) {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	k.objects = make(map[string]*Object, len(objects))
	for _, o := range objects {
		k.objects[key(o.GetNamespace(), o.GetName())] = o
	}
	close(k.listed)
}

// Changed implements [Watcher].
func (k *cache) Changed(change Change) {
	k.all.mu.Lock()
	k.backlog = append(k.backlog, change)
	k.all.mu.Unlock()
	k.all.tell(change)
}

func (k *cache) apply(change Change) {
	if change.New == nil {
		delete(k.objects, key(change.Old.GetNamespace(), change.Old.GetName()))
		return
	}
	k.objects[key(change.New.GetNamespace(), change.New.GetName())] = change.New
}

// current returns the lag figures for one sync.
func (c *caches) current() Lag {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lag.Seed == 0 {
		return c.lag
	}
	return Lag{
		Children: c.draw.IntN(c.lag.Children + 1),
		Related:  c.draw.IntN(c.lag.Related + 1),
		Parent:   c.draw.IntN(c.lag.Parent + 1),
	}
}

// list returns the objects of a kind, sorted, all but the newest changes.
func (c *caches) list(r Resource, lag int) ([]*Object, error) {
	k := c.cache(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.objects == nil {
		return nil, errNotListed
	}
	return sorted(k.see(lag)), nil
}

// one returns an object or nil.
func (c *caches) one(r Resource, key string, lag int) *Object {
	k := c.cache(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.see(lag)[key]
}

// known lists what is cached of a kind; nothing before the list is there.
func (c *caches) known(r Resource) []*Object {
	objects, err := c.list(r, 0)
	if err != nil {
		return nil
	}
	return objects
}

// relate notes that changes of the resource are matched against rules.
func (c *caches) relate(r Resource) {
	k := c.cache(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	k.related = true
}

func (c *caches) related(r Resource) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kinds[r.id()]
	return k != nil && k.related
}

func (k *cache) see(lag int) map[string]*Object {
	seen := max(0, len(k.backlog)-lag)
	for _, change := range k.backlog[:seen] {
		k.apply(change)
	}
	if seen > 0 {
		k.backlog = append([]Change(nil), k.backlog[seen:]...)
	}
	return k.objects
}

// behind reports whether a cache has changes it has not shown.
func (c *caches) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.kinds {
		if len(k.backlog) > 0 {
			return true
		}
	}
	return false
}
