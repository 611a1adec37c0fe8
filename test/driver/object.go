package driver

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
)

// Object is any object of the API, as JSON. What the API hands to watchers is
// shared and must not be changed; what its verbs return is the caller's own.
type Object = unstructured.Unstructured

// Ref names one object.
type Ref struct {
	APIVersion, Kind string
	// Namespace is empty for cluster-scoped objects.
	Namespace, Name string
}

// RefOf returns the name of the object.
func RefOf(o *Object) Ref {
	return Ref{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}
}

func (r Ref) String() string { return r.Kind + " " + key(r.Namespace, r.Name) }

// key is the inner key of hook requests: namespace/name, or name alone for
// what has no namespace (MC 1.1).
func key(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// groupKind is the outer key of hook requests: Kind.version for the core
// group, else Kind.group/version (MC 2.2).
func groupKind(apiVersion, kind string) string { return kind + "." + apiVersion }

// Resource is one kind that the API serves.
type Resource struct {
	APIVersion string
	// Name is the plural, lower-case name.
	Name, Kind string
	Namespaced bool
	// Status: status is a subresource, which the main endpoint leaves alone.
	Status bool
	// Generation: changes outside metadata and status are counted.
	Generation bool
}

func (r Resource) id() string { return r.APIVersion + "/" + r.Name }

// Resources returns the kinds of a cluster with Mayastor and StoragePolicy.
// The slice is the caller's to extend or cut.
func Resources() []Resource {
	return []Resource{
		namespaceResource(),
		{"v1", "persistentvolumes", "PersistentVolume", false, true, false},
		{"v1", "persistentvolumeclaims", "PersistentVolumeClaim", true, true, false},
		{"v1", "pods", "Pod", true, true, false},
		{"batch/v1", "jobs", "Job", true, true, true},
		{"storage.k8s.io/v1", "storageclasses", "StorageClass", false, false, false},
		{"openebs.io/v1beta3", "diskpools", "DiskPool", true, true, true},
		{"storage.billyronks.io/v1", "storagepolicies", "StoragePolicy", false, true, true},
	}
}

// canonical returns the object as it comes back from a server: a deep copy
// whose numbers are what JSON makes of them.
func canonical(o *Object) (*Object, error) {
	text, err := json.Marshal(o.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", RefOf(o), err)
	}
	var content map[string]any
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, fmt.Errorf("decode %s: %w", RefOf(o), err)
	}
	return &Object{Object: content}, nil
}

// Objects decodes typed or untyped values, such as *batchv1.Job or
// map[string]any, into objects. Typed values need their TypeMeta.
func Objects(values ...any) ([]*Object, error) {
	objects := make([]*Object, 0, len(values))
	for _, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", value, err)
		}
		o := new(Object)
		if err := o.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("decode %T: %w", value, err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// without returns a shallow copy of the content that lacks the named fields.
func without(content map[string]any, fields ...string) map[string]any {
	rest := maps.Clone(content)
	for _, field := range fields {
		delete(rest, field)
	}
	return rest
}

// controllerOf returns the uid of the controller that owns the object, or "".
func controllerOf(o *Object) types.UID {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return ref.UID
	}
	return ""
}

func hasFinalizer(o *Object, name string) bool { return slices.Contains(o.GetFinalizers(), name) }

// dropFinalizer leaves no empty list behind, as a server does not.
func dropFinalizer(o *Object, name string) {
	rest := slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == name })
	if len(rest) == 0 {
		rest = nil
	}
	o.SetFinalizers(rest)
}

// groupResource is what API errors name.
func (r Resource) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: groupOf(r.APIVersion), Resource: r.Name}
}

// groupResource names the kind where the resource is not known.
func groupResource(ref Ref) schema.GroupResource {
	return schema.GroupResource{Group: groupOf(ref.APIVersion), Resource: ref.Kind}
}

// groupOf is empty for the core group.
func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

func (r Resource) groupKind() schema.GroupKind {
	return schema.GroupKind{Group: r.groupResource().Group, Kind: r.Kind}
}
