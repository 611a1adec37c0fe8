package hooks

import (
	"cmp"
	"slices"
	"sync"
)

// Kind is a kind of object of Kubernetes that decisions depend on.
type Kind uint8

// The kinds. Each object may be older than the world and than the others.
const (
	// Volumes are all PersistentVolumes. Those of other drivers are dropped.
	Volumes Kind = iota
	// Claims are the PersistentVolumeClaims of all namespaces. Those without labels
	// are dropped.
	Claims
	// Policies are all StoragePolicies.
	Policies
	// Jobs are those with the label [VolumeLabel], of all policies.
	Jobs
	// DiskPools are of whichever version the cluster serves.
	DiskPools
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{Volumes, Claims, Policies, Jobs, DiskPools} }

// String returns the kind's resource, such as persistentvolumes.
func (k Kind) String() string {
	switch k {
	case Volumes:
		return "persistentvolumes"
	case Claims:
		return "persistentvolumeclaims"
	case Policies:
		return "storagepolicies"
	case Jobs:
		return "jobs"
	case DiskPools:
		return "diskpools"
	}
	return ""
}

// Object is the few fields in use of one object of a kind. It is never changed.
type Object interface {
	key() key
}

type key struct{ namespace, name string }

func (v *volume) key() key   { return key{name: v.Name} }
func (c *claim) key() key    { return key{c.Namespace, c.Name} }
func (p *parent) key() key   { return key{name: p.Name} }
func (j *job) key() key      { return key{j.Namespace, j.Name} }
func (p *diskPool) key() key { return key{p.Namespace, p.Name} }

// Key returns the namespace, empty where the kind has none, and the name of an
// object.
func Key(o Object) (namespace, name string) {
	k := o.key()
	return k.namespace, k.name
}

// byKey orders by namespace, then name.
func byKey[T Object](a, b T) int { return compareKeys(a.key(), b.key()) }

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
}

// View is Kubernetes at one moment, apart from the policy that asks and its
// Jobs. Each list is in the order of names. A view is never changed, and may be
// shared.
type View struct {
	Volumes   []*volume
	Claims    []*claim
	Policies  []*parent
	Jobs      []*job
	DiskPools []*diskPool
}

// Mirror holds the objects that a reader of Kubernetes sees, and hands out views
// of them. Its zero value is empty. All methods may be called at once.
type Mirror struct {
	mu        sync.Mutex
	volumes   list[*volume]
	claims    list[*claim]
	policies  list[*parent]
	jobs      list[*job]
	diskPools list[*diskPool]
	// view is that of the last call, nil once something has changed.
	view *View
}

// Replace makes objects, in any order, all there are of their kind. It keeps
// the slice.
func (m *Mirror) Replace(kind Kind, objects []Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = nil
	switch kind {
	case Volumes:
		m.volumes.replace(objects)
	case Claims:
		m.claims.replace(objects)
	case Policies:
		m.policies.replace(objects)
	case Jobs:
		m.jobs.replace(objects)
	case DiskPools:
		m.diskPools.replace(objects)
	}
}

// Put adds an object, or takes it for the one of its name.
func (m *Mirror) Put(o Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = nil
	switch o := o.(type) {
	case *volume:
		m.volumes.put(o)
	case *claim:
		m.claims.put(o)
	case *parent:
		m.policies.put(o)
	case *job:
		m.jobs.put(o)
	case *diskPool:
		m.diskPools.put(o)
	}
}

// Remove drops the object of o's kind and name.
func (m *Mirror) Remove(o Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = nil
	switch o := o.(type) {
	case *volume:
		m.volumes.remove(o.key())
	case *claim:
		m.claims.remove(o.key())
	case *parent:
		m.policies.remove(o.key())
	case *job:
		m.jobs.remove(o.key())
	case *diskPool:
		m.diskPools.remove(o.key())
	}
}

// View returns all that is held now. It is the same one until something changes.
func (m *Mirror) View() *View {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.view == nil {
		m.view = &View{
			Volumes: m.volumes.merged(), Claims: m.claims.merged(), Policies: m.policies.merged(),
			Jobs: m.jobs.merged(), DiskPools: m.diskPools.merged(),
		}
	}
	return m.view
}

// Count returns how many objects of a kind the view has.
func (v *View) Count(kind Kind) int {
	switch kind {
	case Volumes:
		return len(v.Volumes)
	case Claims:
		return len(v.Claims)
	case Policies:
		return len(v.Policies)
	case Jobs:
		return len(v.Jobs)
	case DiskPools:
		return len(v.DiskPools)
	}
	return 0
}

// list holds objects in the order of names, and what changed since it was last
// put in order, so that a change costs a look at each object once for many and
// no sorting of all.
type list[T interface {
	comparable
	Object
}] struct {
	// sorted is never changed, since views share it.
	sorted  []T
	pending map[key]T // zero for one that is gone
}

// maxPending bounds what is pending while nobody asks for a view.
const maxPending = 10_000

func (l *list[T]) replace(objects []Object) {
	all := make([]T, 0, len(objects))
	for _, o := range objects {
		if o, ok := o.(T); ok && !unused(o) {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, byKey)
	l.sorted, l.pending = all, nil
}

func (l *list[T]) put(o T) {
	if unused(o) {
		l.remove(o.key())
		return
	}
	l.change(o.key(), o)
}

func (l *list[T]) remove(k key) {
	var gone T
	l.change(k, gone)
}

func (l *list[T]) change(k key, o T) {
	if l.pending == nil {
		l.pending = make(map[key]T)
	}
	if l.pending[k] = o; len(l.pending) >= maxPending {
		l.merged()
	}
}

// unused reports whether an object has no part in any decision: a volume of
// another driver, a claim without labels.
func unused(o Object) bool {
	switch o := o.(type) {
	case *volume:
		return o.Handle == ""
	case *claim:
		return len(o.Labels) == 0
	}
	return false
}

// merged returns all objects in the order of names.
func (l *list[T]) merged() []T {
	if len(l.pending) == 0 {
		return l.sorted
	}
	changed := make([]key, 0, len(l.pending))
	for k := range l.pending {
		changed = append(changed, k)
	}
	slices.SortFunc(changed, compareKeys)
	var gone T
	all := make([]T, 0, len(l.sorted)+len(changed))
	rest := l.sorted
	for _, k := range changed {
		at, found := slices.BinarySearchFunc(rest, k, func(o T, k key) int { return compareKeys(o.key(), k) })
		all = append(all, rest[:at]...)
		rest = rest[at:]
		if found {
			rest = rest[1:]
		}
		if o := l.pending[k]; o != gone {
			all = append(all, o)
		}
	}
	l.sorted, l.pending = append(all, rest...), nil
	return l.sorted
}
