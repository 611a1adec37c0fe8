package server

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server/cluster"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// sources are the readers of the service, as the hooks see them.
type sources struct {
	prometheus *world.Prometheus
	mayastor   *world.Mayastor
	// kubernetes is nil where requests bring what they relate.
	kubernetes *cluster.Reader
	// first is the window of the first try, when no policy has asked yet.
	first time.Duration
}

func newSources(c Config, observe world.Observer) (*sources, error) {
	p, err := world.NewPrometheus(world.PrometheusConfig{
		URL: c.PrometheusURL, HTTP: c.PrometheusHTTP, Transport: c.PrometheusTransport,
		ScrapeInterval: c.ScrapeInterval, Limits: c.prometheusLimits(),
		Observe: observe, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	r, err := mayastor.NewReader(c.Mayastor)
	if err != nil {
		return nil, err
	}
	s := &sources{
		prometheus: p,
		mayastor: world.NewMayastor(world.MayastorConfig{
			Reader: r, URL: c.Mayastor.URL, Claimed: c.MayastorVersion,
			Limits: c.mayastorLimits(), Observe: observe, Log: c.Log,
		}),
		// The default samplingWindow, so that the first sync finds it read.
		first: max(time.Hour, world.MinWindow(c.ScrapeInterval)),
	}
	if c.Kubernetes != nil {
		s.kubernetes, err = cluster.New(cluster.Config{REST: c.Kubernetes, Claims: c.Claims, Observe: observe, Log: c.Log})
	}
	return s, err
}

// cluster is what the hooks get; nil where requests bring what they relate.
func (s *sources) cluster() hooks.Cluster {
	if s.kubernetes == nil {
		return nil
	}
	return s.kubernetes
}

// follow keeps what is followed up to date until ctx ends.
func (s *sources) follow(ctx context.Context) {
	if s.kubernetes != nil {
		s.kubernetes.Run(ctx)
	}
}

// Scores implements [hooks.Sources].
func (s *sources) Scores(ctx context.Context, window time.Duration) tiering.Scores {
	return s.prometheus.Scores(ctx, window)
}

// Mayastor implements [hooks.Sources].
func (s *sources) Mayastor(ctx context.Context) hooks.Mayastor {
	src, inv := s.mayastor.Read(ctx)
	return hooks.Mayastor{Source: src, Inventory: inv}
}

var _ hooks.Sources = (*sources)(nil)

// try asks each source once, all at the same time, so that the service becomes
// ready without anybody asking it. It returns after a few seconds at most;
// what takes longer lands later.
func (s *sources) try(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { s.Scores(ctx, s.first) })
	wg.Go(func() { s.Mayastor(ctx) })
	wg.Wait()
}

// states says how each source is, by its name.
func (s *sources) states() map[string]world.State {
	states := map[string]world.State{
		world.SourcePrometheus: s.prometheus.State(),
		world.SourceMayastor:   s.mayastor.State(),
	}
	if s.kubernetes != nil {
		states[world.SourceKubernetes] = s.kubernetes.State()
	}
	return states
}

// untried lists, sorted, the sources of which no try has ended yet.
func (s *sources) untried() []string {
	var names []string
	for name, st := range s.states() {
		if !st.Tried {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ready reports whether each source was tried once, and Kubernetes was read, and
// if not, what is waited for.
func (s *sources) ready() (ok bool, waiting string) {
	names := s.untried()
	if slices.Equal(names, []string{world.SourceKubernetes}) {
		return false, "waits for Kubernetes: " + strings.TrimRight(s.kubernetes.Waiting(), ".")
	}
	return len(names) == 0, "has not tried " + strings.Join(names, " and ") + " yet"
}

// close ends all readings under way and waits for them.
func (s *sources) close() {
	s.prometheus.Close()
	s.mayastor.Close()
}
