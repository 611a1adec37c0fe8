package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Controllers say how the kube-controller-manager runs. The zero value is what
// most tests want.
type Controllers struct {
	// More are the names of controllers beside the usual ones.
	More []string
	// NodeGrace is how long a node may be silent before it counts as lost; 0 is
	// 10 s. In a cluster it is 50 s.
	NodeGrace time.Duration
}

// usual are the controllers that see to what is installed and to its Jobs, and to
// pods whose node is lost. There is none that makes or binds volumes: tests do
// that.
var usual = []string{
	"job-controller", "deployment-controller", "replicaset-controller",
	"garbage-collector-controller", "namespace-controller",
	"serviceaccount-controller", "serviceaccount-token-controller", "root-ca-certificate-publisher-controller",
	"clusterrole-aggregation-controller", "endpointslice-controller",
	"node-lifecycle-controller", "taint-eviction-controller", "pod-garbage-collector-controller",
	"persistentvolume-protection-controller", "persistentvolumeclaim-protection-controller",
}

// StartControllers starts the kube-controller-manager, again if it was there
// before. Each controller acts as its own service account, with the roles that
// come with Kubernetes. It returns once namespaces get their service account and
// the certificate of the API server.
func (r *Rig) StartControllers(ctx context.Context, c Controllers) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if c.NodeGrace == 0 {
		c.NodeGrace = 10 * time.Second
	}
	file := func(name string) string { return filepath.Join(r.Dir, name) }
	who, err := r.User("system:kube-controller-manager")
	if err != nil {
		return err
	}
	if err := WriteKubeconfig(file("controllers.kubeconfig"), who); err != nil {
		return err
	}
	r.Controllers, err = Command{
		Name: "kube-controller-manager", Path: r.bins.ControllerManager,
		Log: r.LogFile("kube-controller-manager"), Env: os.Environ(),
		Args: []string{
			"--kubeconfig=" + file("controllers.kubeconfig"), "--use-service-account-credentials=true",
			"--controllers=" + strings.Join(slices.Concat(usual, c.More), ","),
			"--service-account-private-key-file=" + file("tokens.key"), "--root-ca-file=" + file("ca.crt"),
			"--bind-address=" + host, "--secure-port=" + port,
			"--tls-cert-file=" + file("server.crt"), "--tls-private-key-file=" + file("server.key"),
			"--leader-elect=false", "--profiling=false",
			"--kube-api-qps=200", "--kube-api-burst=400",
			"--node-monitor-period=500ms", "--node-monitor-grace-period=" + c.NodeGrace.String(),
			"--node-startup-grace-period=" + (2 * c.NodeGrace).String(),
			// Lost nodes are seen to one at a time; not one in ten seconds.
			"--node-eviction-rate=10",
		},
	}.Start()
	if err != nil {
		return err
	}
	return r.controlled(ctx, address)
}

// controlled waits until the controllers are at work.
func (r *Rig) controlled(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyIn, errors.New("the controllers were not ready in time"))
	defer cancel()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: r.authority.pool(), MinVersion: tls.VersionTLS12},
	}}
	var last error
	err := Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		select {
		case <-r.Controllers.Done():
			return false, fmt.Errorf("%s ended: %s", r.Controllers.Name, r.Controllers.cmd.ProcessState)
		default:
		}
		if last = healthy(ctx, client, "https://"+address+"/healthz"); last == nil {
			last = r.furnished(ctx, metav1.NamespaceDefault)
		}
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// healthy fails unless the URL answers with 200.
func healthy(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", url, answer.Status)
	}
	return nil
}

// furnished fails until pods can be made in a namespace: it has its service
// account and the certificate of the API server.
func (r *Rig) furnished(ctx context.Context, namespace string) error {
	_, err := r.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
	_, err2 := r.Client.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return errors.Join(err, err2)
}

// PodNamespace makes a namespace with a name of its own and waits until pods can
// be made in it. It needs the controllers.
func (r *Rig) PodNamespace(ctx context.Context, prefix string) (string, error) {
	name, err := r.Namespace(ctx, prefix)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the controllers do not furnish namespace %s", name))
	defer cancel()
	return name, Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		err := r.furnished(ctx, name)
		if err == nil || apierrors.IsNotFound(err) {
			return err == nil, nil
		}
		return false, err
	})
}
