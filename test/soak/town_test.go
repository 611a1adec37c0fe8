package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server"
	"github.com/billyronks/couchestor/test/driver"
	"github.com/billyronks/couchestor/test/pipe"
	"github.com/billyronks/couchestor/test/simulator"
	"github.com/billyronks/couchestor/tiering"
)

// The size of the town. Of the volumes one goes and one comes at each step.
const (
	population  = 150
	nodes       = 6
	replicas    = 2
	volumeBytes = 1 << 30
	groups      = 5
	// ghosts are volumes that are gone and still in Prometheus.
	ghosts = 60

	step   = 6 * time.Second
	resync = 90 * time.Second
	// stay is how long policies live that come and go, and newPolicy how often some
	// do, so many at once.
	stay      = 8 * time.Minute
	newPolicy = 4 * time.Minute
	atOnce    = 3
)

// town is a cluster and the services that look after it.
type town struct {
	t   testing.TB
	rng *rand.Rand

	api       *driver.API
	sim       simulator.Cluster
	volumes   map[string]*volume
	order     []*volume
	ghosts    []load
	scores    *scores
	migrators *migrators
	services  []*service
	policies  []*policy

	// logged and audited count the lines of the services' log and audit trail.
	logged, audited lines

	created, policiesMade, syncs, faults, restarts int
	nextPolicy, nextOutage, wellAgain              time.Time
	// nextWeighing is when the heap is weighed. What comes and goes is gone then, as
	// it would be noise.
	nextWeighing time.Time
}

type volume struct {
	uuid, claim string
	group       int
	// tier is where it is, and busy whether its load is that of a hot one.
	tier  string
	pools []string
	busy  bool
}

func (v *volume) pv() string { return "pvc-" + v.uuid }

// policy is one that a service looks after.
type policy struct {
	name string
	by   *service
	// next is when it is synced, and end when it is deleted; zero is never.
	next, end time.Time
}

// service is one that runs, with a Metacontroller that calls it.
type service struct {
	name       string
	controller driver.Controller
	driver     *driver.Driver
	hooks, ops *http.Transport
	prometheus fragile
	mayastor   fragile
	end        func()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{
		t: t, rng: rand.New(rand.NewPCG(7, 7)), api: driver.NewAPI(driver.Resources()...),
		sim: simulator.NewCluster(simulator.Config{Seed: 7}, nodes), volumes: map[string]*volume{}, scores: new(scores),
		nextPolicy: time.Now(), nextOutage: time.Now().Add(40 * time.Minute),
	}
	w.migrators = &migrators{town: w}
	w.api.RunJobs(w.migrators)
	for range population {
		w.arrive()
	}
	w.measure()
	kubernetes := newAPIServer(w.api)
	w.serve("related", nil)
	w.serve("api", &rest.Config{Host: "http://kubernetes.test", Transport: kubernetes})
	for i := range groups {
		w.enact(fmt.Sprintf("steady-%d", i), i, 0, w.services[(i+1)%2], time.Time{})
	}
	return w
}

// serve starts a service, which reads Kubernetes if it is given one.
func (w *town) serve(name string, kubernetes *rest.Config) {
	w.t.Helper()
	document, err := os.ReadFile("../../manifests/base/compositecontroller.yaml")
	must(w.t, err)
	s := &service{name: name}
	s.controller, err = driver.ReadController(document)
	must(w.t, err)
	client, stop := w.sim.Client()
	s.prometheus.RoundTripper, s.mayastor.RoundTripper = w.scores, client.Transport
	srv, err := server.New(server.Config{
		ListenAddress: ":8080", OpsAddress: ":8081",
		PrometheusURL: "http://prometheus.test", PrometheusTransport: &s.prometheus, PrometheusTimeout: 20 * time.Second,
		ScrapeInterval: time.Minute, CacheTTL: 30 * time.Second,
		Mayastor:   mayastor.Config{URL: simulator.BaseURL, HTTP: &http.Client{Transport: &s.mayastor, Timeout: 10 * time.Second}},
		Kubernetes: kubernetes, Claims: true, GovernancePath: "testdata/governance.yaml",
		Log: w.logged.log(), Audit: w.audited.log(),
		Hooks: func(p server.Parts) (http.Handler, error) {
			h, err := hooks.New(hooks.Config{
				Sources: p.Sources, Cluster: p.Cluster, Ready: p.Ready, Observer: p.Observer, Governance: p.Governance,
				Namespace: "couchestor-system", Image: "couchestor:soak", ClaimLabels: true, Log: w.logged.log(), Audit: w.audited.log(),
				Limits: tiering.Limits{MaxConcurrentMigrations: 12, RebuildBytesPerSecond: 100 << 20},
			})
			if err != nil {
				return nil, err
			}
			return h.Routes(), nil
		},
	})
	must(w.t, err)
	hooksPipe, opsPipe := pipe.Listen("hooks"), pipe.Listen("ops")
	s.hooks, s.ops = hooksPipe.Transport(), opsPipe.Transport()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, hooksPipe, opsPipe) }()
	s.end = func() {
		s.driver.Close()
		s.quiet()
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the service ended with %v", err)
		}
		stop()
	}
	w.services = append(w.services, s)
	w.restart(s)
}

// lines counts what is written, and keeps nothing of it.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(1)
	return len(p), nil
}

func (l *lines) log() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// restart gives the service a new Metacontroller, which remembers nothing.
func (w *town) restart(s *service) {
	w.t.Helper()
	if s.driver != nil {
		s.driver.Close()
	}
	var err error
	s.driver, err = driver.New(w.api, driver.Options{Controller: s.controller, Transport: s.hooks})
	must(w.t, err)
	w.restarts++
}

// quiet closes the connections that nobody uses.
func (s *service) quiet() {
	s.hooks.CloseIdleConnections()
	s.ops.CloseIdleConnections()
	if c, ok := s.mayastor.RoundTripper.(*http.Transport); ok {
		c.CloseIdleConnections()
	}
}

func (w *town) close() {
	for _, s := range w.services {
		s.end()
	}
}

// arrive makes a volume with a name that was never there before.
func (w *town) arrive() {
	w.created++
	v := &volume{
		uuid: fmt.Sprintf("%08x-5e1f-4000-8000-%012x", w.rng.Uint32(), w.created), claim: fmt.Sprint("data-", w.created),
		group: w.rng.IntN(groups), tier: []string{"sata", "nvme"}[w.rng.IntN(2)], busy: w.rng.IntN(3) == 0,
	}
	w.place(v)
	w.volumes[v.uuid] = v
	w.order = append(w.order, v)
	app := map[string]any{"group": fmt.Sprint("g", v.group), "app": fmt.Sprint("app-", w.created)}
	objects, err := driver.Objects(map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": map[string]any{"name": v.claim, "namespace": "apps", "uid": "c" + v.uuid[1:], "labels": app},
		"spec":     map[string]any{"storageClassName": "mayastor", "volumeName": v.pv()},
		"status":   map[string]any{"phase": "Bound"},
	}, map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": map[string]any{"name": v.pv()},
		"spec": map[string]any{
			"storageClassName": "mayastor", "capacity": map[string]any{"storage": "1Gi"},
			"claimRef": map[string]any{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "apps", "name": v.claim, "uid": "c" + v.uuid[1:],
			},
			"csi": map[string]any{"driver": "io.openebs.csi-mayastor", "fsType": "ext4", "volumeHandle": v.uuid},
		},
		"status": map[string]any{"phase": "Bound"},
	})
	must(w.t, err)
	for _, o := range objects {
		_, err := w.api.Put(o)
		must(w.t, err)
	}
}

// place puts the volume's replicas on pools of its tier, each on another node.
func (w *town) place(v *volume) {
	if w.volumes[v.uuid] != nil {
		must(w.t, w.sim.DeleteVolume(v.uuid))
	}
	v.pools = v.pools[:0:0]
	on := w.rng.Perm(nodes)[:replicas]
	for _, n := range on {
		v.pools = append(v.pools, fmt.Sprintf("%s-%d", v.tier, n+1))
	}
	slices.Sort(v.pools)
	w.sim.AddVolume(simulator.Volume{UUID: v.uuid, Size: volumeBytes, Pools: v.pools, Target: fmt.Sprintf("node-%d", on[0]+1)})
}

// leave takes a volume away, whatever is done with it just then.
func (w *town) leave(i int) {
	v := w.order[i]
	w.order = slices.Delete(w.order, i, i+1)
	delete(w.volumes, v.uuid)
	must(w.t, w.sim.DeleteVolume(v.uuid))
	must(w.t, w.api.Delete(driver.Ref{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "apps", Name: v.claim}, driver.Deletion{}))
	must(w.t, w.api.Delete(driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: v.pv()}, driver.Deletion{}))
	w.ghosts = append(w.ghosts, load{v.pv(), 0})
	w.ghosts = slices.Delete(w.ghosts, 0, max(0, len(w.ghosts)-ghosts))
}

// measure tells Prometheus the loads of now.
func (w *town) measure() {
	loads := make([]load, 0, len(w.order)+len(w.ghosts))
	for _, v := range w.order {
		iops := 50 + 100*w.rng.Float64()
		if v.busy {
			iops = 7000 + 1000*w.rng.Float64()
		}
		loads = append(loads, load{v.pv(), iops})
	}
	w.scores.set(append(loads, w.ghosts...))
}

// enact makes a policy for one group of volumes.
func (w *town) enact(name string, group, priority int, by *service, end time.Time) {
	w.policiesMade++
	tier := func(name string) map[string]any { return map[string]any{"matchLabels": map[string]any{"tier": name}} }
	objects, err := driver.Objects(map[string]any{
		"apiVersion": tiering.APIVersion, "kind": tiering.Kind, "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"volumeSelector": map[string]any{"matchLabels": map[string]any{"group": fmt.Sprint("g", group)}}, "priority": priority,
			"hotPoolSelector": tier("nvme"), "coldPoolSelector": tier("sata"),
			"samplingWindow": fmt.Sprintf("%dm", 30*(1+w.policiesMade%12)), "cooldownPeriod": "10m", "maxConcurrentMigrations": 4,
		},
	})
	must(w.t, err)
	_, err = w.api.Create(objects[0])
	must(w.t, err)
	w.policies = append(w.policies, &policy{name: name, by: by, next: time.Now().Add(time.Duration(w.rng.IntN(60)) * time.Second), end: end})
}

// live lets the town live for one step.
func (w *town) live() {
	now := time.Now()
	w.leave(w.rng.IntN(len(w.order)))
	w.arrive()
	v := w.order[w.rng.IntN(len(w.order))]
	v.busy = !v.busy
	w.measure()
	w.migrators.work()
	if now.After(w.nextPolicy) && w.nextWeighing.Sub(now) > stay+2*resync {
		w.nextPolicy = now.Add(newPolicy)
		for range atOnce {
			w.enact(fmt.Sprintf("passing-%d", w.policiesMade), w.rng.IntN(groups), w.rng.IntN(3)-1, w.services[w.rng.IntN(2)], now.Add(stay))
		}
	}
	w.weather(now)
	for _, p := range slices.Clone(w.policies) {
		w.sync(p, now)
	}
	if w.rng.IntN(int(time.Minute/step)) == 0 {
		w.look()
	}
}

// weather has a server be away for a few minutes now and then.
func (w *town) weather(now time.Time) {
	switch {
	case !w.wellAgain.IsZero() && now.After(w.wellAgain):
		w.wellAgain = time.Time{}
		for _, s := range w.services {
			s.prometheus.set(well)
			s.mayastor.set(well)
		}
	case now.After(w.nextOutage) && w.nextWeighing.Sub(now) > stay:
		w.nextOutage = now.Add(25 * time.Minute)
		w.wellAgain = now.Add(time.Duration(2+w.rng.IntN(4)) * time.Minute)
		o := outage(1 + w.rng.IntN(int(outages)-1))
		for _, s := range w.services {
			if w.rng.IntN(2) == 0 {
				s.prometheus.set(o)
			} else {
				s.mayastor.set(o)
			}
		}
	}
}

// sync does what Metacontroller does with one policy, if it is time.
func (w *town) sync(p *policy, now time.Time) {
	if !p.end.IsZero() && now.After(p.end) {
		p.end, p.next = time.Time{}, now
		must(w.t, w.api.Delete(driver.Ref{APIVersion: tiering.APIVersion, Kind: tiering.Kind, Name: p.name}, driver.Deletion{}))
	}
	if now.Before(p.next) {
		return
	}
	done, err := p.by.driver.SyncOnce(w.t.Context(), p.name)
	w.syncs++
	p.next = now.Add(resync)
	if done.ResyncAfter > 0 {
		p.next = now.Add(min(resync, done.ResyncAfter))
	}
	if err != nil {
		w.faults++
		w.t.Logf("sync of %s: %v", p.name, err)
	}
	_, err = w.api.Get(driver.Ref{APIVersion: tiering.APIVersion, Kind: tiering.Kind, Name: p.name})
	if apierrors.IsNotFound(err) {
		w.policies = slices.DeleteFunc(w.policies, func(other *policy) bool { return other == p })
	}
}

// look is what a scrape does, and people who want to know.
func (w *town) look() {
	v := w.order[w.rng.IntN(len(w.order))]
	for _, s := range w.services {
		paths := []string{"/metrics", "/readyz", "/explain"}
		for _, p := range w.policies {
			if p.by == s {
				paths = append(paths, "/explain/"+p.name, "/explain/"+p.name+"/"+v.pv(), "/explain/"+p.name+"/pvc-unheard-of")
			}
		}
		for _, path := range paths {
			request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://couchestor.test"+path, http.NoBody)
			must(w.t, err)
			resp, err := s.ops.RoundTrip(request)
			must(w.t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			must(w.t, errors.Join(err, resp.Body.Close()))
		}
	}
}
