package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/cluster"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// Readers read Prometheus and Mayastor for a command that is run once: other than
// the service, which answers from what it has, they wait for the first reading
// until it succeeds or fails, as long as the sources' own time-outs let them.
type Readers struct {
	sources *sources
	// Waiting, if not nil, is called when something is waited for, and what it
	// returns when that is over.
	Waiting func(what string) (done func())
}

var _ hooks.Sources = (*Readers)(nil)

// NewReaders returns readers that have spoken to nobody. [Readers.Close] ends
// them. Of the configuration they use what speaks of the sources.
func NewReaders(c Config) (*Readers, error) {
	s, err := newSources(c, world.Observer{})
	if err != nil {
		return nil, err
	}
	return &Readers{sources: s}, nil
}

// Close ends what is being read.
func (r *Readers) Close() { r.sources.close() }

// Scores implements [hooks.Sources].
func (r *Readers) Scores(ctx context.Context, window time.Duration) tiering.Scores {
	defer r.waiting("Prometheus")()
	var s tiering.Scores
	untilRead(ctx, func() bool {
		s = r.sources.Scores(ctx, window)
		return s.Source.Reason != world.NotReadYet
	})
	return s
}

// Mayastor implements [hooks.Sources].
func (r *Readers) Mayastor(ctx context.Context) hooks.Mayastor {
	defer r.waiting("Mayastor")()
	var m hooks.Mayastor
	untilRead(ctx, func() bool {
		m = r.sources.Mayastor(ctx)
		return m.Source.Reason != world.NotReadYet
	})
	return m
}

// IO reads from Prometheus what one volume did from one time to another; see
// [world.Prometheus.IO]. The error is a sentence for people.
func (r *Readers) IO(ctx context.Context, volume string, from, to time.Time) (world.IO, error) {
	io, err := r.sources.prometheus.IO(ctx, volume, from, to)
	if fault, ok := errors.AsType[*world.Fault](err); ok {
		err = errors.New(fault.Message)
	}
	return io, err
}

func (r *Readers) waiting(what string) func() {
	if r.Waiting == nil {
		return func() {}
	}
	return r.Waiting(what)
}

// untilRead asks again until the answer is one, or ctx ends.
func untilRead(ctx context.Context, ask func() bool) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for !ask() {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// ReadGovernance reads a governance configuration as the service does with
// --config.
func ReadGovernance(path string) *tiering.Governed {
	return newGovernance(path, slog.New(slog.DiscardHandler)).governed()
}

// Cluster is what a command reads of Kubernetes.
type Cluster struct {
	Objects *hooks.Preview
	// Governed is what the ConfigMap of the cluster holds policies to; nil if
	// there is none. Ungoverned says why it is not known whether there is one.
	Governed   *tiering.Governed
	Ungoverned string
}

// ReadCluster reads once what decisions need of Kubernetes, the statuses of the
// policies and the governance in a namespace included. It lists and watches, and
// writes nothing. The error is a sentence for people.
func ReadCluster(ctx context.Context, cfg *rest.Config, claims bool, namespace string, waiting func(what string) (done func())) (*Cluster, error) {
	if waiting != nil {
		defer waiting("Kubernetes")()
	}
	r, err := cluster.New(cluster.Config{REST: cfg, Claims: claims, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	following, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { r.Run(following) })
	var view *hooks.View
	var source tiering.Source
	untilRead(ctx, func() bool {
		view, source = r.View()
		return view != nil || source.Reason != world.NotReadYet
	})
	if view == nil {
		return nil, errors.New(strings.TrimRight(source.Message, "."))
	}
	c := &Cluster{Objects: hooks.NewPreview(view)}
	return c, c.readMore(ctx, cfg, namespace)
}

// clusterTimeout bounds the lists of a command.
const clusterTimeout = time.Minute

// readMore adds the statuses of the policies, which the service gets with each
// request, and the governance, which it reads from a file.
func (c *Cluster) readMore(ctx context.Context, cfg *rest.Config, namespace string) error {
	cfg = rest.CopyConfig(cfg)
	// It is used for errors alone.
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return fmt.Errorf("reach Kubernetes: %w", err)
	}
	body, err := client.Get().AbsPath("/apis/" + tiering.APIVersion + "/storagepolicies").Stream(ctx)
	if err != nil {
		return fmt.Errorf("read the policies: %w", err)
	}
	defer body.Close()
	if err := c.Objects.ReadPolicies(body); err != nil {
		return err
	}
	text, err := client.Get().AbsPath("/api/v1/namespaces", namespace, "configmaps", tiering.GovernanceName).DoRaw(ctx)
	var config struct{ Data map[string]string }
	if err == nil {
		err = json.Unmarshal(text, &config)
	}
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		c.Ungoverned = fmt.Sprintf("ConfigMap %s/%s cannot be read (%s), so what it holds policies to is not known here; give it with --config", namespace, tiering.GovernanceName, err)
	default:
		g := &governance{read: func() (map[string]string, error) { return config.Data, nil }, audit: slog.New(slog.DiscardHandler)}
		c.Governed = g.governed() //nolint:contextcheck // what it would audit goes nowhere
	}
	return nil
}
