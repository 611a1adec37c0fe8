package driver

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// API is an API server in memory, with its garbage collector. Errors are those
// of k8s.io/apimachinery/pkg/api/errors. All methods may be called at once, and
// from within a watcher.
type API struct {
	mu        sync.Mutex
	resources []Resource
	stores    map[string]map[string]*Object // Resource.id, key
	// tended are the objects that the garbage collector has to look at: those
	// with owners and those under deletion.
	tended   map[types.UID]tended
	live     map[types.UID]*Object
	revision int64
	serial   int64

	watchers    []*func(Change)
	undelivered []Change
	delivering  bool
}

// NewAPI returns an empty API that serves the resources.
func NewAPI(resources ...Resource) *API {
	a := &API{
		resources: resources,
		stores:    map[string]map[string]*Object{},
		tended:    map[types.UID]tended{},
		live:      map[types.UID]*Object{},
	}
	for _, r := range resources {
		a.stores[r.id()] = map[string]*Object{}
	}
	return a
}

// byName finds a resource by its plural name, as rules and controllers name it.
func (a *API) byName(apiVersion, name string) (Resource, error) {
	for _, r := range a.resources {
		if r.APIVersion == apiVersion && r.Name == name {
			return r, nil
		}
	}
	return Resource{}, fmt.Errorf("discovery: can't find resource %s in apiVersion %s", name, apiVersion)
}

// byKind finds a resource by the kind of its objects.
func (a *API) byKind(apiVersion, kind string) (Resource, error) {
	for _, r := range a.resources {
		if r.APIVersion == apiVersion && r.Kind == kind {
			return r, nil
		}
	}
	return Resource{}, fmt.Errorf("discovery: can't find kind %s in apiVersion %s", kind, apiVersion)
}

// Create adds an object as a POST does: status is dropped where it is a
// subresource, and name, uid, times and generation are the server's.
func (a *API) Create(o *Object) (*Object, error) {
	return a.write(func() (*Object, error) { return a.create(o) })
}

func (a *API) create(given *Object) (*Object, error) {
	r, err := a.byKind(given.GetAPIVersion(), given.GetKind())
	if err != nil {
		return nil, err
	}
	o, err := canonical(given)
	if err != nil {
		return nil, err
	}
	if r.Namespaced && o.GetNamespace() == "" {
		// A POST without a namespace meets no route that creates.
		return nil, apierrors.NewMethodNotSupported(r.groupResource(), "create")
	}
	if !r.Namespaced {
		o.SetNamespace("")
	}
	if o.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		o.SetName(o.GetGenerateName() + fmt.Sprintf("%05x", a.next()))
	}
	if o.GetName() == "" {
		return nil, apierrors.NewInvalid(r.groupKind(), "", field.ErrorList{
			field.Required(field.NewPath("metadata", "name"), "name or generateName is required"),
		})
	}
	if _, exists := a.stores[r.id()][key(o.GetNamespace(), o.GetName())]; exists {
		return nil, apierrors.NewAlreadyExists(r.groupResource(), o.GetName())
	}
	o.SetUID(a.uid())
	o.SetCreationTimestamp(metav1.NewTime(time.Now().UTC().Truncate(time.Second)))
	o.SetDeletionTimestamp(nil)
	if r.Status {
		delete(o.Object, "status")
	}
	if r.Generation {
		o.SetGeneration(1)
	}
	if r.id() == "batch/v1/jobs" {
		if o, err = admitJob(o); err != nil {
			return nil, err
		}
	}
	return a.store(r, nil, o), nil
}

// Put writes the object as it stands, status and all, over whatever is there.
// It is how a test or a restore from a backup lays down a world; uid,
// resourceVersion and creation time are filled where they are missing.
func (a *API) Put(o *Object) (*Object, error) {
	return a.write(func() (*Object, error) {
		r, err := a.byKind(o.GetAPIVersion(), o.GetKind())
		if err != nil {
			return nil, err
		}
		o, err := canonical(o)
		if err != nil {
			return nil, err
		}
		if o.GetUID() == "" {
			o.SetUID(a.uid())
		}
		if t := o.GetCreationTimestamp(); t.IsZero() {
			o.SetCreationTimestamp(metav1.NewTime(time.Now().UTC().Truncate(time.Second)))
		}
		if r.Generation && o.GetGeneration() == 0 {
			o.SetGeneration(1)
		}
		return a.store(r, a.stores[r.id()][key(o.GetNamespace(), o.GetName())], o), nil
	})
}

// Get returns the object or a NotFound error.
func (a *API) Get(ref Ref) (*Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, o, err := a.get(ref)
	if err != nil {
		return nil, err
	}
	return o.DeepCopy(), nil
}

func (a *API) get(ref Ref) (Resource, *Object, error) {
	r, err := a.byKind(ref.APIVersion, ref.Kind)
	if err != nil {
		return r, nil, err
	}
	o := a.stores[r.id()][key(ref.Namespace, ref.Name)]
	if o == nil {
		return r, nil, apierrors.NewNotFound(r.groupResource(), ref.Name)
	}
	return r, o, nil
}

// List returns the objects of a kind, sorted by namespace and name; none if
// the kind is not served.
func (a *API) List(apiVersion, kind string) []*Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.byKind(apiVersion, kind)
	if err != nil {
		return nil
	}
	objects := sorted(a.stores[r.id()])
	for i, o := range objects {
		objects[i] = o.DeepCopy()
	}
	return objects
}

func sorted(objects map[string]*Object) []*Object {
	return slices.SortedFunc(maps.Values(objects), func(x, y *Object) int {
		return cmp.Or(cmp.Compare(x.GetNamespace(), y.GetNamespace()), cmp.Compare(x.GetName(), y.GetName()))
	})
}

// Update is a PUT on the main endpoint: it leaves status alone where that is a
// subresource, counts the generation, and takes away an object under deletion
// whose last finalizer went. A resourceVersion that is set and old is a
// Conflict.
func (a *API) Update(o *Object) (*Object, error) {
	return a.write(func() (*Object, error) { return a.update(o, false) })
}

// UpdateStatus is a PUT on the status subresource: it changes nothing else.
func (a *API) UpdateStatus(o *Object) (*Object, error) {
	return a.write(func() (*Object, error) { return a.update(o, true) })
}

// Edit changes the live object in one step; the function gets a copy.
func (a *API) Edit(ref Ref, change func(*Object)) (*Object, error) {
	return a.edit(ref, false, change)
}

// EditStatus is Edit on the status subresource.
func (a *API) EditStatus(ref Ref, change func(*Object)) (*Object, error) {
	return a.edit(ref, true, change)
}

func (a *API) edit(ref Ref, status bool, change func(*Object)) (*Object, error) {
	return a.write(func() (*Object, error) {
		_, o, err := a.get(ref)
		if err != nil {
			return nil, err
		}
		edited := o.DeepCopy()
		change(edited)
		return a.update(edited, status)
	})
}

func (a *API) update(given *Object, status bool) (*Object, error) {
	r, old, err := a.get(RefOf(given))
	if err != nil {
		return nil, err
	}
	o, err := canonical(given)
	if err != nil {
		return nil, err
	}
	if uid := o.GetUID(); uid != "" && uid != old.GetUID() {
		return nil, apierrors.NewConflict(r.groupResource(), o.GetName(), fmt.Errorf("uid %s is not %s", uid, old.GetUID()))
	}
	if v := o.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
		return nil, apierrors.NewConflict(r.groupResource(), o.GetName(),
			errors.New("the object has been modified; please apply your changes to the latest version"))
	}
	switch {
	case status && !r.Status:
		return nil, apierrors.NewNotFound(r.groupResource(), o.GetName())
	case status:
		next := old.DeepCopy()
		next.Object["status"] = o.Object["status"]
		if o.Object["status"] == nil {
			delete(next.Object, "status")
		}
		o = next
	case r.Status:
		delete(o.Object, "status")
		if was, found := old.Object["status"]; found {
			o.Object["status"] = was
		}
	}
	// What only the server writes.
	o.SetUID(old.GetUID())
	o.SetResourceVersion(old.GetResourceVersion())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetGeneration(old.GetGeneration())
	if r.Generation && !reflect.DeepEqual(without(o.Object, "metadata", "status"), without(old.Object, "metadata", "status")) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	if reflect.DeepEqual(o.Object, old.Object) {
		return old, nil // a write that changes nothing is no write
	}
	if o.GetDeletionTimestamp() != nil && len(o.GetFinalizers()) == 0 {
		a.remove(r, old)
		return o, nil
	}
	return a.store(r, old, o), nil
}

// write runs one verb under the lock, lets the garbage collector settle and
// tells the watchers. The result is the caller's own.
func (a *API) write(verb func() (*Object, error)) (*Object, error) {
	a.mu.Lock()
	o, err := verb()
	if err == nil {
		a.collect()
		if o != nil {
			o = o.DeepCopy()
		}
	}
	a.mu.Unlock()
	a.deliver()
	return o, err
}

func (a *API) store(r Resource, old, o *Object) *Object {
	a.revision++
	o.SetResourceVersion(strconv.FormatInt(a.revision, 10))
	a.stores[r.id()][key(o.GetNamespace(), o.GetName())] = o
	a.live[o.GetUID()] = o
	a.tend(r, o)
	a.undelivered = append(a.undelivered, Change{r, old, o, a.revision})
	return o
}

func (a *API) remove(r Resource, old *Object) {
	a.revision++
	delete(a.stores[r.id()], key(old.GetNamespace(), old.GetName()))
	delete(a.live, old.GetUID())
	delete(a.tended, old.GetUID())
	a.undelivered = append(a.undelivered, Change{r, old, nil, a.revision})
}

func (a *API) next() int64 { a.serial++; return a.serial }

func (a *API) uid() types.UID {
	return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012x", a.next()))
}
