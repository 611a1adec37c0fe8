package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/live/program"
	"github.com/billyronks/couchestor/test/live/prometheus"
)

// stage is everything that runs for one mode.
type stage struct {
	o    options
	mode string
	dir  string
	talk io.Writer

	deployed   *deployed
	town       *town
	movers     []*volume
	kube       *kube
	history    *history
	promTalk   traffic
	mayaTalk   traffic
	prometheus *server
	mayastor   *server
	ledgers    *server // Mayastor as the migrators reach it
	apiServer  *apiServer
	limits     *limits
	service    *service
	started    time.Time
	measured   measured
	jobs       *jobs
	loop       *watchLoop
	yardstick  *yardstick
	churn      *churn

	program.Ends
}

// measure runs one mode from start to end.
func measure(ctx context.Context, o options, mode, dir string, talk io.Writer) (f *figures, err error) {
	s := &stage{o: o, mode: mode, dir: dir, talk: talk}
	defer func() { err = errors.Join(err, s.TearDown()) }()
	if err := s.setUp(ctx); err != nil {
		return nil, err
	}
	return s.play(ctx)
}

func (s *stage) say(format string, args ...any) {
	fmt.Fprintf(s.talk, "%s %-8s "+format+"\n", append([]any{time.Now().UTC().Format("15:04:05"), s.mode}, args...)...)
}

// setUp makes the cluster and starts all parts.
func (s *stage) setUp(ctx context.Context) (err error) {
	for _, sub := range []string{"tsdb", "ledger"} {
		if err := os.MkdirAll(filepath.Join(s.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if s.deployed, err = readDeployment(s.o.volumes); err != nil {
		return err
	}
	s.say("making a cluster of %d volumes", s.o.volumes)
	s.town = newTown(s.o.volumes, s.o.policies)
	s.movers = make([]*volume, min(s.o.volumes/2, int(s.o.lasts/s.o.crossing)))
	for range s.o.volumes - len(s.movers) {
		s.town.settle()
	}
	for i := range s.movers {
		s.movers[i] = s.town.mover()
	}
	s.fillKube()
	if err := s.startSources(ctx); err != nil {
		return err
	}
	if s.limits, err = newLimits(ctx, s.deployed.memory, s.deployed.cores, s.o.noCgroup); err != nil {
		return err
	}
	s.AtEnd(s.limits.close)
	s.say("limits by %s: %s", s.limits.kind, s.limits.proof)
	return s.startService(ctx)
}

// fillKube makes all objects.
func (s *stage) fillKube() {
	s.kube = newKube()
	claim := func(v *volume) render { return v.persistentVolumeClaim }
	if s.mode == apiMode {
		claim = func(v *volume) render { return v.claimOnly }
	}
	var all []*volume
	for _, v := range s.town.volumes {
		all = append(all, v)
	}
	s.kube.fill(volumesPath, len(all), func(i int) (string, render) { return all[i].name(), all[i].persistentVolume })
	s.kube.fill(claimsPath, len(all), func(i int) (string, render) { return all[i].claimKey(), claim(all[i]) })
	s.kube.fill(diskPoolsPath, len(tiers)*s.town.nodes, func(i int) (string, render) {
		tier, n := tiers[i%len(tiers)], i/len(tiers)
		return "mayastor/" + pool(tier.pool, n), func(version int64) []byte { return diskPool(tier.pool, tier.name, n, version) }
	})
	s.churn = &churn{town: s.town, kube: s.kube, claim: claim}
	s.yardstick = newYardstick(s.kube.list(volumesPath), s.kube.list(claimsPath))
}

// startSources starts Prometheus, Mayastor, and in mode api Kubernetes.
func (s *stage) startSources(ctx context.Context) error {
	prom, err := prometheus.Start(ctx, prometheus.Config{Dir: filepath.Join(s.dir, "tsdb")})
	if err != nil {
		return fmt.Errorf("start Prometheus: %w", err)
	}
	s.AtEnd(prom.Close)
	now := time.Now()
	interval, err := time.ParseDuration(s.deployed.env["COUCHESTOR_SCRAPE_INTERVAL"])
	if err != nil {
		return fmt.Errorf("the Deployment's scrape interval: %w", err)
	}
	s.history = &history{
		prometheus: prom, interval: interval,
		from: now.Add(-windows[len(windows)-1] - 10*time.Minute), until: now.Add(s.o.lasts + 15*time.Minute),
	}
	s.churn.history = s.history
	s.say("writing the samples of %s", s.history.until.Sub(s.history.from).Round(time.Minute))
	for _, v := range s.town.loose {
		if err := s.history.write(v, s.history.from); err != nil {
			return err
		}
	}
	toProm, err := proxy(prom.URL())
	if err != nil {
		return err
	}
	for _, server := range []struct {
		at      **server
		handler http.Handler
	}{
		{&s.prometheus, s.promTalk.count(toProm, expression)},
		{&s.mayastor, s.mayaTalk.count(s.town.sim, func(r *http.Request) string { return r.URL.Path })},
		{&s.ledgers, s.town.sim},
	} {
		if *server.at, err = listen(ctx, server.handler); err != nil {
			return err
		}
		s.AtEnd((*server.at).close)
	}
	if s.mode == apiMode {
		s.apiServer, err = startAPIServer(s.kube, filepath.Join(s.dir, "kubeconfig"))
		if err != nil {
			return err
		}
		s.AtEnd(func() error { s.apiServer.close(); return nil })
	}
	return nil
}

// startService starts the program and Metacontroller's part.
func (s *stage) startService(ctx context.Context) (err error) {
	args := []string{
		"--prometheus-url=" + s.prometheus.url, "--mayastor-url=" + s.mayastor.url, "--job-image=couchestor:load",
		// Nothing here was offline, and nobody waits ten minutes to see it.
		"--settle-time=0s",
	}
	if s.mode == apiMode {
		args = append(args, "--volumes-from=api", "--kubeconfig="+filepath.Join(s.dir, "kubeconfig"))
	} else {
		args = append(args, "--volumes-from=related", "--diskpools=openebs.io/v1beta3")
	}
	env := append(s.limits.environment(), s.deployed.settings()...)
	if err := setPriority(s.o.nice); err != nil {
		return err
	}
	s.started = time.Now()
	s.service, err = startService(ctx, s.limits, s.o.binary, filepath.Join(s.dir, "service.log"), env, args)
	if err != nil {
		return err
	}
	s.AtEnd(s.service.stop)
	if err := setPriority(s.o.nice + 5); err != nil {
		return err
	}
	if err := s.service.Ready(ctx); err != nil {
		return s.service.why(err)
	}
	s.say("the service is ready after %s", time.Since(s.started).Round(10*time.Millisecond))
	processes, end := context.WithCancel(ctx)
	s.jobs = &jobs{
		kube: s.kube, town: s.town, ctx: processes, binary: s.o.binary, dir: s.dir, url: s.ledgers.url,
		all: map[string]*jobRun{}, results: map[mayastor.State]int{},
	}
	s.AtEnd(func() error {
		end()
		s.jobs.wg.Wait()
		return nil
	})
	s.loop = newWatchLoop(s.kube, s.town, s.jobs, &s.measured)
	s.loop.url, s.loop.sources = "http://"+s.service.Hooks, []*traffic{&s.promTalk, &s.mayaTalk}
	s.jobs.changed = s.loop.queue.add
	return nil
}

// play warms up, sees that nothing is written while nothing happens, and measures.
func (s *stage) play(ctx context.Context) (*figures, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := s.newFigures()
	if err := s.calm(ctx, f); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		// It does not even get along with no load: that is a result, too.
		s.measured.failed(err)
		s.finish(f)
		return f, nil
	}
	s.say("measuring for %s", s.o.lasts)
	var err error
	if f.before, err = s.service.exposed(ctx); err != nil {
		return nil, err
	}
	s.measured.forget()
	begin, base := time.Now(), s.usage()
	f.writesBefore = s.loop.statusWrites()
	for i, v := range s.movers {
		v.crossing(begin.Add(time.Duration(i) * s.o.crossing))
		if err := s.history.write(v, s.history.from); err != nil {
			return nil, err
		}
	}
	if err := s.drive(ctx, cancel); err != nil {
		return nil, err
	}
	f.count(base, s.usage(), time.Since(begin))
	if !s.service.Gone() {
		if f.after, err = s.service.exposed(ctx); err != nil {
			return nil, err
		}
	}
	s.finish(f)
	return f, nil
}

// maxCalm is how many rounds of syncs statuses may take to settle after the start:
// sources that take long to be read show one after the other.
const maxCalm = 10

// calm asks for each policy until no status changes, and then once more, when
// nothing may be written.
func (s *stage) calm(ctx context.Context, f *figures) error {
	s.say("asking for each policy until nothing is new")
	for _, name := range s.loop.names() {
		if err := s.loop.customize(ctx, name); err != nil {
			return err
		}
	}
	for round, last := 0, false; ; round++ {
		before := s.loop.statusWrites()
		for _, name := range s.loop.names() {
			if _, _, err := s.loop.sync(ctx, name); err != nil {
				return err
			}
		}
		f.QuietStatusWrites = s.loop.statusWrites() - before
		if last || round == maxCalm {
			return nil
		}
		last = f.QuietStatusWrites == 0
	}
}

// drive lets everything run for the time asked for, or until the service is gone.
func (s *stage) drive(ctx context.Context, cancel context.CancelCauseFunc) error {
	if s.loop.related {
		s.kube.watchAll(s.loop.all)
	}
	running, stop := context.WithTimeout(ctx, s.o.lasts)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { s.loop.run(running, s.o.every) })
	all.Go(func() {
		if err := s.churn.run(running, s.o.churn); err != nil {
			cancel(err)
		}
	})
	all.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for s.yardstick.look(); ; s.yardstick.look() {
			select {
			case <-tick.C:
				syncs, errors, _ := s.measured.counts()
				s.say("%d syncs, %d errors, peak %d MiB", syncs, errors, s.service.usage().peak>>20)
			case <-running.Done():
				return
			}
		}
	})
	select {
	case <-running.Done():
	case <-s.service.Ended:
		s.say("%v", s.service.why(s.service.Fate()))
		stop()
	}
	all.Wait()
	s.kube.watchAll(func() {})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.jobs.err()
}
