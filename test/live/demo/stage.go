package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/test/driver"
	"github.com/billyronks/couchestor/test/live/program"
	"github.com/billyronks/couchestor/test/live/prometheus"
	"github.com/billyronks/couchestor/test/simulator"
)

// stage is everything that runs.
type stage struct {
	began time.Time
	voice *voice
	// dir has all files of this run; binary is the program.
	dir, binary string
	requests    *requests
	// lingered is true once the play was over and everything ran on.
	lingered bool

	volumes []*volume
	byClaim map[string]*volume

	sim         *simulator.Simulator
	mayastorURL string
	prometheus  *prometheus.Prometheus
	service     *program.Service
	api         *driver.API
	driver      *driver.Driver
	kubelet     *kubelet

	last     *sight
	shown    time.Time
	told     map[string]string
	blind    string // the reason last shown
	evidence evidence

	program.Ends
}

// setUp starts all parts in the order in which they need each other. On an
// error the caller still has to call TearDown.
func (s *stage) setUp(ctx context.Context, f flags, dir string, stderr io.Writer) error {
	var also io.Writer
	if f.verbose {
		also = &serialized{w: stderr}
	}
	for _, sub := range []string{"tsdb", "ledger", "pods"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}

	s.sim = newCluster()
	s.volumes, s.byClaim = cast(s.sim), map[string]*volume{}
	for _, v := range s.volumes {
		s.byClaim[v.claim] = v
	}
	mayastorURL, stop, err := s.sim.Listen("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the Mayastor simulator: %w", err)
	}
	s.AtEnd(func() error { stop(); return nil })
	s.mayastorURL = mayastorURL

	s.prometheus, err = prometheus.Start(ctx, prometheus.Config{
		Dir: filepath.Join(dir, "tsdb"), ScrapeInterval: scrapeInterval,
		Targets: func() (targets []prometheus.Target) {
			for n := 1; n <= nodes; n++ {
				// The label is the node's, as a ServiceMonitor sets it; the
				// exporter's own label becomes exported_node.
				targets = append(targets, prometheus.Target{URL: mayastorURL + "/metrics/" + nodeName(n), Labels: map[string]string{"instance": nodeName(n)}})
			}
			return targets
		},
	})
	if err != nil {
		return fmt.Errorf("start Prometheus: %w", err)
	}
	s.AtEnd(s.prometheus.Close)

	s.service, err = program.Start(serve(ctx, f.binary, s.prometheus.URL(), mayastorURL), filepath.Join(dir, "service.log"), also)
	if err != nil {
		return err
	}
	s.AtEnd(s.service.Stop)
	if err := s.service.Ready(ctx); err != nil {
		return err
	}
	return s.control(ctx, f, dir, also)
}

// control starts what stands for the control plane of Kubernetes.
func (s *stage) control(ctx context.Context, f flags, dir string, also io.Writer) error {
	s.api = driver.NewAPI(driver.Resources()...)
	ledger := filepath.Join(dir, "ledger")
	processes, end := context.WithCancel(ctx)
	s.kubelet = &kubelet{
		api: s.api, mirror: &mirror{api: s.api, dir: ledger}, binary: f.binary, ctx: processes,
		logs: filepath.Join(dir, "pods"), also: also, jobs: map[string]*jobRun{},
		extra: []string{
			"--local-lock=" + ledger, "--mayastor-cache-period=" + cachePeriod.String(), "--poll-interval=200ms",
		},
	}
	s.AtEnd(func() error {
		end()
		s.kubelet.wg.Wait()
		return nil
	})
	s.api.RunJobs(s.kubelet)
	for _, v := range s.volumes {
		if err := provision(s.api, v); err != nil {
			return err
		}
	}
	manifest, err := manifests.Files.ReadFile("base/compositecontroller.yaml")
	if err != nil {
		return err
	}
	controller, err := driver.ReadController(manifest)
	if err != nil {
		return err
	}
	s.driver, err = driver.New(s.api, driver.Options{
		Controller: controller, ResyncPeriod: time.Second, Transport: s.requests,
		URL: func(address string) string {
			u, err := url.Parse(address)
			if err != nil {
				return address
			}
			u.Host = s.service.Hooks
			return u.String()
		},
	})
	if err != nil {
		return err
	}
	wanted, err := policies()
	if err != nil {
		return err
	}
	for _, policy := range wanted {
		if _, err := s.api.Create(policy); err != nil {
			return fmt.Errorf("apply policy %s: %w", policy.GetName(), err)
		}
	}
	running, stop := context.WithCancel(ctx)
	var driven sync.WaitGroup
	driven.Go(func() { s.driver.Run(running) })
	s.AtEnd(func() error {
		stop()
		driven.Wait()
		return nil
	})
	return nil
}

// serialized lets several processes write whole lines to one writer.
type serialized struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialized) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
