package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/tiering"
)

// defaultJobNamespace is where the Jobs and all Leases are. Migrators that are
// to know of each other must use the same one.
const defaultJobNamespace = "couchestor-system"

// clusterFlags say how to reach the Kubernetes cluster whose Leases keep
// migrators apart.
type clusterFlags struct {
	kubeconfig string
	duration   time.Duration
	governance string
}

func (c *clusterFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose Leases keep migrators apart; without it $KUBECONFIG, ~/.kube/config and the pod's own service account are tried, in this order")
	f.StringVar(&c.governance, "governance-configmap", tiering.GovernanceName, "ConfigMap in the Leases' namespace with the cluster's emergency stop, freeze and limits; empty reads none")
	f.DurationVar(&c.duration, "lease-duration", time.Minute, "how long a silent migrator keeps its Lease; it must be the same for all migrators of a cluster")
}

// errNoLedger is the fault of having no place for locks and journal.
var errNoLedger = errors.New("--local-lock is missing and no cluster was found: give --kubeconfig (or set $KUBECONFIG) to take the Leases of a cluster, " +
	"which protect the volume from every other migrator there, or give --local-lock DIR for a lock and a journal on this host alone; without either a crash could not be resumed")

// validateLedger returns what is wrong with the choice of a ledger.
func (o *migrateOptions) validateLedger() error {
	if o.localLock == "" {
		_, err := o.cluster.config()
		if o.cluster.duration <= 0 {
			err = errors.Join(err, fmt.Errorf("--lease-duration is %s: it must be longer than zero", o.cluster.duration))
		}
		return err
	}
	if o.cluster.kubeconfig != "" {
		return errors.New("--local-lock and --kubeconfig are both given: the files of the one and the Leases of the other know nothing of each other; give one of them")
	}
	return nil
}

// config finds the cluster, or fails with errNoLedger.
func (c *clusterFlags) config() (*rest.Config, error) {
	cfg, err := loadCluster(c.kubeconfig)
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, errNoLedger
	case err != nil:
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	// Renewals must not queue behind looks at somebody else's Lease, and a
	// server that does not answer must not hold one up until it has run out.
	cfg.QPS, cfg.Burst = 50, 100
	cfg.Timeout = c.duration / 6
	return cfg, nil
}

// meet lets the migrator meet the others: it sets its ledger, and in a cluster
// whom it asks whether the move is to go on and what may run at once.
func (o *migrateOptions) meet(m *mayastor.Migrator, log *slog.Logger) error {
	if o.localLock != "" {
		var err error
		m.Ledger, err = mayastor.NewDirLedger(o.localLock)
		return err
	}
	cfg, err := o.cluster.config()
	if err != nil {
		return exitError{code: exitUsage, err: err}
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return exitError{code: exitUsage, err: fmt.Errorf("read the kubeconfig: %w", err)}
	}
	m.Ledger, err = leases.New(leases.Config{
		Client: client, Namespace: o.jobSpace, Holder: holder(), Job: o.jobName,
		Duration: o.cluster.duration, Log: log,
	})
	if err != nil {
		return exitError{code: exitUsage, err: err}
	}
	s := newSwitches(client, o, log)
	m.Limits, m.Tell = s.limits, events{client}.tell
	if !o.recoverOnly {
		// A recovery begins nothing, and is wanted however much is stopped.
		m.Stop = s.stop
	}
	return nil
}

// holder names this process, as no other process is named: a pod's name would
// not do where its container is started again.
func holder() string {
	host, _ := os.Hostname() // the rest is unique without it
	return cmp.Or(os.Getenv("POD_NAME"), host, "couchestor") + "-" + strings.ToLower(rand.Text()[:8])
}
