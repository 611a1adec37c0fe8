package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/test/driver"
)

// Cluster is a real API server. [New] makes one.
type Cluster struct {
	client dynamic.Interface
	served *served
}

var _ driver.Cluster = (*Cluster)(nil)

// New returns the API server that cfg leads to, as the identity it names. What
// discovery says is believed for the time of refresh (MC 5, --discovery-interval).
func New(cfg *rest.Config, refresh time.Duration) (*Cluster, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Cluster{client: client, served: newServed(found, refresh)}, nil
}

// Resource implements [driver.Cluster].
func (c *Cluster) Resource(_ context.Context, apiVersion, name string) (driver.Resource, error) {
	return c.served.find(apiVersion, name, func(r driver.Resource) bool { return r.Name == name })
}

// Get implements [driver.Cluster].
func (c *Cluster) Get(ctx context.Context, ref driver.Ref) (*driver.Object, error) {
	api, err := c.of(ref)
	if err != nil {
		return nil, err
	}
	return api.Get(ctx, ref.Name, metav1.GetOptions{})
}

// Create implements [driver.Cluster].
func (c *Cluster) Create(ctx context.Context, o *driver.Object) (*driver.Object, error) {
	api, err := c.of(driver.RefOf(o))
	if err != nil {
		return nil, err
	}
	return api.Create(ctx, o, metav1.CreateOptions{})
}

// Update implements [driver.Cluster].
func (c *Cluster) Update(ctx context.Context, o *driver.Object) (*driver.Object, error) {
	api, err := c.of(driver.RefOf(o))
	if err != nil {
		return nil, err
	}
	return api.Update(ctx, o, metav1.UpdateOptions{})
}

// UpdateStatus implements [driver.Cluster].
func (c *Cluster) UpdateStatus(ctx context.Context, o *driver.Object) (*driver.Object, error) {
	api, err := c.of(driver.RefOf(o))
	if err != nil {
		return nil, err
	}
	return api.UpdateStatus(ctx, o, metav1.UpdateOptions{})
}

// Delete implements [driver.Cluster].
func (c *Cluster) Delete(ctx context.Context, ref driver.Ref, how driver.Deletion) error {
	api, err := c.of(ref)
	if err != nil {
		return err
	}
	var options metav1.DeleteOptions
	if how.UID != "" {
		options.Preconditions = metav1.NewUIDPreconditions(string(how.UID))
	}
	if how.Propagation != "" {
		options.PropagationPolicy = &how.Propagation
	}
	return api.Delete(ctx, ref.Name, options)
}

// of is the client of the kind that ref names, in its namespace.
func (c *Cluster) of(ref driver.Ref) (dynamic.ResourceInterface, error) {
	r, err := c.served.find(ref.APIVersion, ref.Kind, func(r driver.Resource) bool { return r.Kind == ref.Kind })
	if err != nil {
		return nil, err
	}
	api := c.resource(r)
	if r.Namespaced && ref.Namespace != "" {
		return api.Namespace(ref.Namespace), nil
	}
	return api, nil
}

func (c *Cluster) resource(r driver.Resource) dynamic.NamespaceableResourceInterface {
	return c.client.Resource(schema.FromAPIVersionAndKind(r.APIVersion, "").GroupVersion().WithResource(r.Name))
}
