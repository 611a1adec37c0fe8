package kube

import (
	"maps"
	"sync"

	"github.com/billyronks/couchestor/test/driver"
)

// What Metacontroller watches for itself, whatever its controllers are about
// (MC 7.3).
func compositeControllers() driver.Resource {
	return driver.Resource{APIVersion: "metacontroller.k8s.io/v1alpha1", Name: "compositecontrollers", Kind: "CompositeController"}
}

func decoratorControllers() driver.Resource {
	return driver.Resource{APIVersion: "metacontroller.k8s.io/v1alpha1", Name: "decoratorcontrollers", Kind: "DecoratorController"}
}

func controllerRevisions() driver.Resource {
	return driver.Resource{APIVersion: "metacontroller.k8s.io/v1alpha1", Name: "controllerrevisions", Kind: "ControllerRevision", Namespaced: true}
}

func definitions() driver.Resource {
	return driver.Resource{APIVersion: "apiextensions.k8s.io/v1", Name: "customresourcedefinitions", Kind: "CustomResourceDefinition"}
}

func namespaces() driver.Resource {
	return driver.Resource{APIVersion: "v1", Name: "namespaces", Kind: "Namespace"}
}

// mirror holds the objects of a resource without a namespace, by name.
type mirror struct {
	listed chan struct{}
	// changed has a value if something changed since the last was taken.
	changed chan struct{}

	mu      sync.Mutex
	objects map[string]*driver.Object
}

func newMirror() *mirror {
	return &mirror{listed: make(chan struct{}), changed: make(chan struct{}, 1), objects: map[string]*driver.Object{}}
}

// Begin implements [driver.Watcher].
func (m *mirror) Begin(objects []*driver.Object) {
	m.mu.Lock()
	for _, o := range objects {
		m.objects[o.GetName()] = o
	}
	m.mu.Unlock()
	close(m.listed)
	m.poke()
}

// Changed implements [driver.Watcher].
func (m *mirror) Changed(change driver.Change) {
	m.mu.Lock()
	if change.New == nil {
		delete(m.objects, change.Old.GetName())
	} else {
		m.objects[change.New.GetName()] = change.New
	}
	m.mu.Unlock()
	m.poke()
}

func (m *mirror) poke() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// get returns the object or nil.
func (m *mirror) get(name string) *driver.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name]
}

// all returns the objects by name; the map is the caller's own.
func (m *mirror) all() map[string]*driver.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.objects)
}
