package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
)

// defaultJobNamespace is where the Jobs and all Leases are. Migrators that are
// to know of each other must use the same one.
const defaultJobNamespace = "couchestor-system"

// reasonPolicyDisabled is why a move ends whose policy was switched off.
const reasonPolicyDisabled mayastor.Reason = "PolicyDisabled"

// clusterFlags say how to reach the Kubernetes cluster whose Leases keep
// migrators apart.
type clusterFlags struct {
	kubeconfig string
	duration   time.Duration
}

func (c *clusterFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster whose Leases keep migrators apart; without it $KUBECONFIG, ~/.kube/config and the pod's own service account are tried, in this order")
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
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
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

// ledger is where this migrator meets the others. stop is asked whether the
// policy still wants the move; nil where that is not to be asked.
func (o *migrateOptions) ledger(log *slog.Logger) (ledger mayastor.Ledger, stop func(context.Context) *mayastor.Ending, err error) {
	if o.localLock != "" {
		ledger, err = mayastor.NewDirLedger(o.localLock)
		return ledger, nil, err
	}
	cfg, err := o.cluster.config()
	if err != nil {
		return nil, nil, exitError{code: exitUsage, err: err}
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, nil, exitError{code: exitUsage, err: fmt.Errorf("read the kubeconfig: %w", err)}
	}
	ledger, err = leases.New(leases.Config{
		Client: client, Namespace: o.jobSpace, Holder: holder(), Job: o.jobName,
		Duration: o.cluster.duration, Log: log,
	})
	if err != nil {
		return nil, nil, exitError{code: exitUsage, err: err}
	}
	if o.policy != "" && !o.recoverOnly {
		w := &policyWatch{name: o.policy, every: o.poll, log: log, read: func(ctx context.Context) ([]byte, error) {
			return client.CoordinationV1().RESTClient().Get().
				AbsPath("/apis/storage.billyronks.io/v1/storagepolicies", o.policy).DoRaw(ctx)
		}}
		stop = w.stop
	}
	return ledger, stop, nil
}

// holder names this process, as no other process is named: a pod's name would
// not do where its container is started again.
func holder() string {
	host, _ := os.Hostname() // the rest is unique without it
	return cmp.Or(os.Getenv("POD_NAME"), host, "couchestor") + "-" + strings.ToLower(rand.Text()[:8])
}

// policyWatch asks the StoragePolicy whether its moves are to go on. It is for
// one goroutine.
type policyWatch struct {
	name string
	// every is the least time between two reads.
	every time.Duration
	read  func(context.Context) ([]byte, error)
	log   *slog.Logger

	asked  time.Time
	ending *mayastor.Ending
	silent string
}

// stop returns why the move is to end at the next safe place, or nil. Only a
// policy that says so ends a move: one that is gone or being deleted lets its
// moves finish, and so does one that cannot be read.
func (w *policyWatch) stop(ctx context.Context) *mayastor.Ending {
	if !w.asked.IsZero() && time.Since(w.asked) < w.every {
		return w.ending
	}
	w.asked, w.ending = time.Now(), nil
	ctx, cancel := context.WithTimeout(ctx, max(w.every, time.Second))
	defer cancel()
	text, err := w.read(ctx)
	if apierrors.IsNotFound(err) {
		return nil
	}
	var policy struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Enabled *bool `json:"enabled"`
		} `json:"spec"`
	}
	if err == nil {
		err = json.Unmarshal(text, &policy)
	}
	if err != nil {
		if err.Error() != w.silent {
			w.silent = err.Error()
			w.log.WarnContext(ctx, "the policy cannot be read; the move goes on", "action", mayastor.ActionWaiting, "policy", w.name, "error", w.silent)
		}
		return nil
	}
	w.silent = ""
	if policy.DeletionTimestamp == nil && policy.Spec.Enabled != nil && !*policy.Spec.Enabled {
		w.ending = &mayastor.Ending{
			State: mayastor.Aborted, Reason: reasonPolicyDisabled,
			Sentence: fmt.Sprintf("StoragePolicy %s was disabled (spec.enabled is false) while its move ran; enable it to let the planner move the volume again", w.name),
		}
	}
	return w.ending
}
