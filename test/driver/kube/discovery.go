package kube

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"github.com/billyronks/couchestor/test/driver"
)

// served is what discovery said, kept for a while.
type served struct {
	client  discovery.DiscoveryInterface
	refresh time.Duration

	mu       sync.Mutex
	versions map[string]version
}

// version is what an API version serves; nothing if there is no such version.
type version struct {
	resources []driver.Resource
	asked     time.Time
}

func newServed(client discovery.DiscoveryInterface, refresh time.Duration) *served {
	return &served{client: client, refresh: refresh, versions: map[string]version{}}
}

// find returns the resource of the API version that is meant; what is only in
// the error.
func (s *served) find(apiVersion, what string, meant func(driver.Resource) bool) (driver.Resource, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, found := s.versions[apiVersion]
	if !found || time.Since(v.asked) > s.refresh {
		list, err := s.client.ServerResourcesForGroupVersion(apiVersion)
		switch {
		case err == nil:
			v = version{read(list), time.Now()}
		case apierrors.IsNotFound(err):
			v = version{nil, time.Now()}
		case !found:
			return driver.Resource{}, fmt.Errorf("discovery of %s: %w", apiVersion, err)
		}
		// With the server away what it said last still holds.
		s.versions[apiVersion] = v
	}
	if i := slices.IndexFunc(v.resources, meant); i >= 0 {
		return v.resources[i], nil
	}
	return driver.Resource{}, fmt.Errorf("discovery: can't find resource %s in apiVersion %s", what, apiVersion)
}

func read(list *metav1.APIResourceList) []driver.Resource {
	var resources []driver.Resource
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		status := slices.ContainsFunc(list.APIResources, func(sub metav1.APIResource) bool { return sub.Name == r.Name+"/status" })
		resources = append(resources, driver.Resource{
			APIVersion: list.GroupVersion, Name: r.Name, Kind: r.Kind,
			Namespaced: r.Namespaced, Status: status, Generation: true,
		})
	}
	return resources
}
