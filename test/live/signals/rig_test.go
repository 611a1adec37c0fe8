package signals

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/test/live/prometheus"
	"github.com/billyronks/couchestor/test/simulator"
	"github.com/billyronks/couchestor/tiering"
)

const (
	gib = int64(1) << 30
	// scrape is how often the monitor scrapes: less often than in a cluster, for
	// speed, and within the engine's lookback of 5 minutes. Over long times it is
	// seldom, and rates over minutes then say nothing.
	scrape = 4 * time.Minute
	seldom = 20 * time.Minute
)

// rig is a service that reads a simulated Mayastor and a Prometheus, and a second
// Prometheus, the monitor, that scrapes the service and Mayastor's exporter. The
// service lives in real time; the monitor's time passes as the test says.
type rig struct {
	t   *testing.T
	sim simulator.Cluster
	// clock is the monitor's and the simulator's time.
	clock atomic.Pointer[time.Time]

	monitor    *prometheus.Prometheus
	hooks, ops string
	governance string // a directory with one file for each key
	// dark is true while the Prometheus that the service reads does not answer.
	dark         atomic.Bool
	mayastorDown atomic.Bool
	serviceDown  atomic.Bool
	mayastorURL  string
	sourceURL    string

	// stale is true while the service may not have read the last change.
	stale bool
	// asleep is true while nobody asks the service.
	asleep bool
	// kubernetes is an API server that the service is told to read, too; nil for none.
	kubernetes *rest.Config
	policy     *tiering.StoragePolicy
	jobs       map[string]*batchv1.Job
	volumes    []*corev1.PersistentVolume
}

// source is the Prometheus that all services read; their volumes have different
// uuids, by their seeds.
var (
	source *prometheus.Prometheus
	seeds  atomic.Uint64
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "signals")
	if err == nil {
		defer os.RemoveAll(dir)
		source, err = prometheus.Start(context.Background(), prometheus.Config{Dir: dir})
	}
	if err != nil {
		panic(err)
	}
	defer source.Close()
	m.Run()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T, change ...func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, jobs: map[string]*batchv1.Job{}}
	for _, c := range change {
		c(r)
	}
	start := time.Now().Truncate(time.Minute)
	r.clock.Store(&start)
	r.sim = simulator.NewCluster(simulator.Config{Now: r.now, Seed: seeds.Add(1)}, 3)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.mayastorDown.Load() && strings.HasPrefix(q.URL.Path, "/v0") {
			panic(http.ErrAbortHandler)
		}
		r.sim.ServeHTTP(w, q)
	}))
	t.Cleanup(api.Close)
	r.mayastorURL = api.URL

	upstream, err := url.Parse(source.URL())
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	reads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.dark.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(reads.Close)
	r.sourceURL = reads.URL
	r.monitor, err = prometheus.Start(t.Context(), prometheus.Config{Dir: t.TempDir(), Targets: r.targets})
	must(t, err)
	t.Cleanup(func() { _ = r.monitor.Close() })
	r.policy = &tiering.StoragePolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: tiering.APIVersion, Kind: tiering.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Name: "db", UID: "0b6f3c5e-6f0e-4a53-9a55-0e9b3f7a1c11", Generation: 1, CreationTimestamp: metav1.NewTime(start.Add(-30 * 24 * time.Hour)),
		},
		Spec: tiering.StoragePolicySpec{HotPoolSelector: tier("nvme"), ColdPoolSelector: tier("sata"), MinCoverage: new(int64(50))},
	}
	r.governance = t.TempDir()
	r.govern("newPolicyDryRun", "0s")
	r.govern("thresholdChangeDryRun", "0s")
	r.serve()
	return r
}

// govern sets one key of the governance configuration; the service sees it within
// about a second.
func (r *rig) govern(key, value string) {
	r.t.Helper()
	must(r.t, os.WriteFile(filepath.Join(r.governance, key), []byte(value), 0o600))
}

// mode waits until the policy has the mode.
func (r *rig) mode(mode string) {
	r.t.Helper()
	r.until("is "+mode, func() bool { return r.policy.Status.Mode == mode })
}

func tier(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": name}}
}

func (r *rig) now() time.Time { return *r.clock.Load() }

// targets are as the manifests have them scraped: the service by the name of its
// job, the exporter by node.
func (r *rig) targets() []prometheus.Target {
	var all []prometheus.Target
	if !r.serviceDown.Load() {
		all = append(all, prometheus.Target{URL: "http://" + r.ops + "/metrics", Labels: map[string]string{"job": "couchestor-ops", "instance": "10.0.0.7:8081"}})
	}
	// One text for the exporters of all nodes, to save requests.
	return append(all, prometheus.Target{URL: r.mayastorURL + "/metrics", Labels: map[string]string{"job": "io-engine", "instance": "node-1"}})
}

// unreachable lets the service read from an API server that is not there. Volumes
// come with the requests all the same, so that policies are decided on.
func unreachable(r *rig) { r.kubernetes = &rest.Config{Host: "http://127.0.0.1:1"} }

// addresses takes the two addresses from the line that says that it serves.
type addresses struct {
	slog.Handler
	found chan [2]string
	once  *sync.Once
}

func (a addresses) Enabled(context.Context, slog.Level) bool { return true }

func (a addresses) Handle(_ context.Context, line slog.Record) error {
	found := map[string]string{}
	line.Attrs(func(attr slog.Attr) bool {
		found[attr.Key] = attr.Value.String()
		return true
	})
	if found["ops"] != "" {
		a.once.Do(func() { a.found <- [2]string{found["hooks"], found["ops"]} })
	}
	return nil
}

// serve runs the service until the test ends, and returns once it is ready.
func (r *rig) serve() {
	r.t.Helper()
	lines := addresses{slog.DiscardHandler, make(chan [2]string, 1), new(sync.Once)}
	srv, err := server.New(server.Config{
		ListenAddress: "127.0.0.1:0", OpsAddress: "127.0.0.1:0",
		PrometheusURL: r.sourceURL, PrometheusTimeout: 10 * time.Second, ScrapeInterval: time.Minute,
		Mayastor: mayastor.Config{URL: r.mayastorURL, HTTP: &http.Client{Timeout: 5 * time.Second}},
		CacheTTL: 100 * time.Millisecond, GovernancePath: r.governance, Kubernetes: r.kubernetes, Log: slog.New(lines),
		Hooks: func(p server.Parts) (http.Handler, error) {
			h, err := hooks.New(hooks.Config{
				Sources: p.Sources, Observer: p.Observer, Governance: p.Governance, Namespace: "couchestor-system", Image: "couchestor:test", ClaimLabels: true,
				Limits: tiering.Limits{MaxConcurrentMigrations: 4, RebuildBytesPerSecond: 100 << 20},
			})
			if err != nil {
				return nil, err
			}
			return h.Routes(), nil
		},
	})
	must(r.t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(r.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Errorf("the service ended with %v", err)
		}
	})
	at := <-lines.found
	r.hooks, r.ops = at[0], at[1]
}

// volume adds a published volume on pools with a score, and its claim's name.
// Below zero it has no score.
func (r *rig) volume(claim string, iops float64, pools ...string) string {
	r.t.Helper()
	r.stale = true
	uuid := r.sim.Published(10*gib, pools...)
	pv := "pvc-" + uuid
	if iops >= 0 {
		r.sim.SetLoad(uuid, iops/2, iops/2, 4096)
		now := time.Now()
		for _, name := range []string{world.ReadOps, world.WriteOps} {
			must(r.t, source.AppendSeries(map[string]string{"__name__": name, "pv_name": pv, "node": "node-1"}, func(yield func(time.Time, float64) bool) {
				for at := now.Add(-70 * time.Minute); at.Before(now.Add(4 * time.Minute)); at = at.Add(time.Minute) {
					if !yield(at, iops/2*at.Sub(now.Add(-80*time.Minute)).Seconds()) {
						return
					}
				}
			}))
		}
	}
	r.volumes = append(r.volumes, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: pv, Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: "mayastor", ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: claim},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "io.openebs.csi-mayastor", VolumeHandle: uuid}},
		},
	})
	return uuid
}

// job lets a Job of the policy run on a volume.
func (r *rig) job(uuid string, n int, from, to string, allowed time.Duration, created time.Time) {
	name := fmt.Sprintf("couchestor-%s-%d", uuid, n)
	r.jobs["couchestor-system/"+name] = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "couchestor-system", UID: "1", CreationTimestamp: metav1.NewTime(created),
		Labels: map[string]string{
			hooks.PolicyLabel: r.policy.Name, hooks.VolumeLabel: uuid, hooks.FromTierLabel: from, hooks.ToTierLabel: to, "controller-uid": string(r.policy.UID),
		},
		Annotations: map[string]string{
			hooks.ScoreAnnotation: "6000.0", hooks.AllowedAnnotation: allowed.String(), hooks.WantedAnnotation: created.Add(-time.Hour).UTC().Format(time.RFC3339),
		},
	}}
}

// moved puts a move that moved into the policy's history.
func (r *rig) moved(uuid, from, to string, n int, ended time.Time) {
	r.record(tiering.HistoryEntry{
		JobName: fmt.Sprintf("couchestor-%s-%d", uuid, n), VolumeName: "pvc-" + uuid, Claim: r.claim(uuid), Timestamp: metav1.NewTime(ended),
		FromTier: from, ToTier: to, Duration: "10m0s", LeadTime: "30m0s", Bytes: 20 * gib, Outcome: tiering.OutcomeMoved, Success: true, Trigger: tiering.TriggerAutomatic,
	})
}

func (r *rig) claim(uuid string) string {
	for _, pv := range r.volumes {
		if pv.Name == "pvc-"+uuid {
			return pv.Spec.ClaimRef.Namespace + "/" + pv.Spec.ClaimRef.Name
		}
	}
	return ""
}

func (r *rig) record(entries ...tiering.HistoryEntry) { tiering.Record(&r.policy.Status, entries...) }

// ask has the hook sync asked for the policy, and keeps the status it answers.
func (r *rig) ask(body ...byte) int {
	r.t.Helper()
	if len(body) == 0 {
		pvs, claims := map[string]any{}, map[string]any{}
		for _, pv := range r.volumes {
			pvs[pv.Name] = pv
		}
		var err error
		body, err = json.Marshal(map[string]any{
			"controller": map[string]any{}, "parent": r.policy, "finalizing": false,
			"children": map[string]any{"Job.batch/v1": r.jobs},
			"related": map[string]any{
				"PersistentVolume.v1": pvs, "PersistentVolumeClaim.v1": claims, "Job.batch/v1": r.jobs,
				tiering.Kind + "." + tiering.APIVersion: map[string]any{r.policy.Name: r.policy},
			},
		})
		must(r.t, err)
	}
	answer, err := http.Post("http://"+r.hooks+"/hooks/1/sync", "application/json", bytes.NewReader(body))
	must(r.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(r.t, err)
	if answer.StatusCode == http.StatusOK {
		var said struct{ Status tiering.StoragePolicyStatus }
		must(r.t, json.Unmarshal(text, &said))
		r.policy.Status = said.Status
	}
	return answer.StatusCode
}

// pass lets time pass on the monitor, with a scrape, a sync and a look at the
// rules, if there are any, at each step.
func (r *rig) pass(d time.Duration, rules *prometheus.Rules) {
	r.t.Helper()
	r.refresh()
	step := scrape
	if d > 2*time.Hour {
		step = seldom
	}
	for end := r.now().Add(d); r.now().Before(end); {
		next := r.now().Add(step)
		r.clock.Store(&next)
		if !r.asleep {
			r.ask()
		}
		must(r.t, r.monitor.ScrapeOnce(r.t.Context(), next))
		if rules != nil {
			must(r.t, rules.Eval(r.t.Context(), next))
		}
	}
}

// refresh waits until the service has read what was changed, if anything was:
// two readings of each source ended after it, so the second began after it.
func (r *rig) refresh() {
	r.t.Helper()
	if !r.stale {
		return
	}
	readings := func(source string) float64 {
		return r.shown(`couchestor_source_queries_total{source="` + source + `"}`)
	}
	wantMayastor, wantPrometheus := readings(world.SourceMayastor)+2, readings(world.SourcePrometheus)+6
	r.until("reads its sources anew", func() bool {
		return readings(world.SourceMayastor) >= wantMayastor && readings(world.SourcePrometheus) >= wantPrometheus
	})
	r.stale = false
}

// shown is the value of one series on the service's page of metrics.
func (r *rig) shown(series string) float64 {
	r.t.Helper()
	answer, err := http.Get("http://" + r.ops + "/metrics")
	must(r.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(r.t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			must(r.t, err)
			return number
		}
	}
	r.t.Fatalf("the service shows no %s", series)
	return 0
}

// settled waits until the last readings of both sources were as wanted.
func (r *rig) settled(prometheusUp, mayastorUp bool) {
	r.t.Helper()
	up := func(source string) bool { return r.shown(`couchestor_source_up{source="`+source+`"}`) == 1 }
	r.until("meets its sources as they are", func() bool {
		return up(world.SourcePrometheus) == prometheusUp && up(world.SourceMayastor) == mayastorUp
	})
}

// until asks the hook until something holds.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(30 * time.Second)
	for r.ask(); !holds(); r.ask() {
		select {
		case <-tick.C:
		case <-timeout:
			r.t.Fatalf("the service never %s", what)
		}
	}
}
