package driver

import (
	"maps"
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

// caches are the informers of Metacontroller: one for each resource, shared by
// all that ask for it.
type caches struct {
	mu    sync.Mutex
	kinds map[string]*cache
	since int64
	lag   Lag
	draw  *rand.Rand
}

type cache struct {
	objects map[string]*Object
	backlog []Change
	// read: somebody has asked for the kind, so it may be behind.
	read bool
}

// newCaches lists what the API holds now.
func newCaches(a *API, lag Lag) *caches {
	c := &caches{kinds: map[string]*cache{}}
	c.setLag(lag)
	a.mu.Lock()
	defer a.mu.Unlock()
	c.since = a.revision
	for _, r := range a.resources {
		c.kinds[r.id()] = &cache{objects: maps.Clone(a.stores[r.id()])}
	}
	return c
}

func (c *caches) setLag(lag Lag) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag, c.draw = lag, rand.New(rand.NewPCG(lag.Seed, 1))
}

func (c *caches) add(change Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if change.Revision <= c.since {
		return // told late: the list had it already
	}
	kind := c.kinds[change.Resource.id()]
	if !kind.read {
		kind.apply(change)
		return
	}
	kind.backlog = append(kind.backlog, change)
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
func (c *caches) list(r Resource, lag int) []*Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return sorted(c.see(r, lag))
}

// one returns an object or nil.
func (c *caches) one(r Resource, key string, lag int) *Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.see(r, lag)[key]
}

func (c *caches) see(r Resource, lag int) map[string]*Object {
	kind := c.kinds[r.id()]
	seen := max(0, len(kind.backlog)-lag)
	kind.read = true
	for _, change := range kind.backlog[:seen] {
		kind.apply(change)
	}
	if seen > 0 {
		kind.backlog = append([]Change(nil), kind.backlog[seen:]...)
	}
	return kind.objects
}

// behind reports whether a cache that is in use has changes it has not shown.
func (c *caches) behind() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range c.kinds {
		if len(kind.backlog) > 0 {
			return true
		}
	}
	return false
}
