package main

import (
	"errors"
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// volumesFrom is where the service gets volumes from.
type volumesFrom string

const (
	fromRelated volumesFrom = "related"
	fromAPI     volumesFrom = "api"
)

func (v *volumesFrom) Set(text string) error {
	switch volumesFrom(text) {
	case fromRelated, fromAPI:
		*v = volumesFrom(text)
		return nil
	}
	return errors.New("which is neither; give related or api")
}

func (v *volumesFrom) String() string { return string(*v) }
func (v *volumesFrom) Type() string   { return "string" }

// autoDiskPools is what --diskpools may say where the version is found out.
const autoDiskPools = "auto"

// relatedDiskPools is the version in which Metacontroller is asked for DiskPools.
func (o *serveOptions) relatedDiskPools() string {
	if o.volumesFrom == fromAPI {
		return ""
	}
	return o.diskPools
}

// kubernetes finds the cluster to read volumes from; nil where requests bring
// them.
func (o *serveOptions) kubernetes() (*rest.Config, error) {
	if o.volumesFrom != fromAPI {
		if o.kubeconfig != "" {
			return nil, errors.New("--kubeconfig is given, and with --volumes-from=related nothing is read from Kubernetes; leave it out, or give --volumes-from=api")
		}
		return nil, nil //nolint:nilnil // there is none
	}
	var fault error
	if o.diskPools != "" && o.diskPools != autoDiskPools {
		fault = fmt.Errorf("--diskpools is %q, and with --volumes-from=api the version is found out; leave it out", o.diskPools)
	}
	cfg, err := loadCluster(o.kubeconfig)
	switch {
	case clientcmd.IsEmptyConfig(err):
		err = errors.New("--volumes-from=api reads Kubernetes, and no cluster was found; run in a pod with a service account, give --kubeconfig, or set $KUBECONFIG")
	case err != nil:
		err = fmt.Errorf("--kubeconfig: %w", err)
	}
	return cfg, errors.Join(fault, err)
}

// loadCluster reads a kubeconfig, or where path is empty finds one: $KUBECONFIG,
// ~/.kube/config, or the pod's own service account.
func loadCluster(path string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
}
