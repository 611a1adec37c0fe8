package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/pipe"
)

// away is a network in which nothing answers.
type away struct{}

func (away) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody is there")
}

// hanging is a network in which nothing ever ends, but by the request.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// testConfig is a service in a world in which both sources are down.
func testConfig(network http.RoundTripper, hook http.HandlerFunc) Config {
	return Config{
		ListenAddress: "127.0.0.1:0", OpsAddress: "127.0.0.1:0",
		PrometheusURL: "http://prom.test", PrometheusTimeout: 30 * time.Second,
		ScrapeInterval: time.Minute, CacheTTL: 30 * time.Second,
		Mayastor:            mayastor.Config{URL: "http://mayastor.test", HTTP: &http.Client{Transport: network}},
		Hooks:               func(Parts) (http.Handler, error) { return hook, nil },
		Log:                 slog.New(slog.DiscardHandler),
		PrometheusTransport: network,
	}
}

func newTestServer(t *testing.T, c Config) *Server {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get asks a handler and returns the status and body of its answer.
func get(h http.Handler, method, path string) (int, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
	return rec.Code, rec.Body.String()
}

func TestReadyOnceEachSourceWasTriedEvenInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, testConfig(away{}, nil))
		defer s.sources.close()
		code, body := get(s.ops, "GET", "/readyz")
		want := "not ready: each source has to be tried once\nmayastor: not tried yet\nprometheus: not tried yet\n"
		if code != 503 || body != want {
			t.Errorf("before the first try got %d %q, want 503 %q", code, body, want)
		}
		if ok, waiting := s.sources.ready(); ok || waiting != "has not tried mayastor and prometheus yet" {
			t.Errorf("hooks are told %v, %q", ok, waiting)
		}
		s.sources.try(t.Context())
		code, body = get(s.ops, "GET", "/readyz")
		if want := "ready\nmayastor: down\nprometheus: down\n"; code != 200 || body != want {
			t.Errorf("after the first try got %d %q, want 200 %q", code, body, want)
		}
		if ok, _ := s.sources.ready(); !ok {
			t.Error("hooks are not let through")
		}
		// However long both stay down.
		time.Sleep(24 * time.Hour)
		if code, _ := get(s.ops, "GET", "/readyz"); code != 200 {
			t.Errorf("a day later got %d, want 200", code)
		}
	})
}

func TestReadyWaitsForASourceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, testConfig(hanging{}, nil))
		defer s.sources.close()
		s.sources.try(t.Context())
		if code, _ := get(s.ops, "GET", "/readyz"); code != 503 {
			t.Errorf("while the first try hangs got %d, want 503", code)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if code, body := get(s.ops, "GET", "/readyz"); code != 200 {
			t.Errorf("after its time-out got %d %q, want 200", code, body)
		}
	})
}

func TestOpsRoutes(t *testing.T) {
	s := newTestServer(t, testConfig(away{}, nil))
	defer s.sources.close()
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/livez", 200, "ok\n"},
		{"GET", "/healthz", 200, "ok\n"},
		{"POST", "/livez", 405, "this path does not answer to POST\n"},
		{"GET", "/livez/", 404, "there is nothing here; try /explain, /readyz, /livez, /healthz or /metrics\n"},
		{"GET", "/", 404, "there is nothing here; try /explain, /readyz, /livez, /healthz or /metrics\n"},
		{"POST", "/hooks/1/sync", 404, "there is nothing here; try /explain, /readyz, /livez, /healthz or /metrics\n"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			code, body := get(s.ops, c.method, c.path)
			if code != c.code || body != c.body {
				t.Errorf("got %d %q, want %d %q", code, body, c.code, c.body)
			}
		})
	}
}

func TestPanicIsA500AndCounted(t *testing.T) {
	s := newTestServer(t, testConfig(away{}, func(http.ResponseWriter, *http.Request) { panic("oh") }))
	defer s.sources.close()
	code, body := get(s.hooks, "POST", "/hooks/1/sync")
	if want := "the service met a fault of its own; nothing was done, its log has more\n"; code != 500 || body != want {
		t.Errorf("got %d %q, want 500 %q", code, body, want)
	}
	if _, text := get(s.ops, "GET", "/metrics"); !strings.Contains(text, `couchestor_panics_total{listener="hooks"} 1`) {
		t.Error("the panic was not counted")
	}
}

func TestPanicInTheMiddleOfAnAnswerBreaksItOff(t *testing.T) {
	s := newTestServer(t, testConfig(away{}, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "half an ans")
		panic("oh")
	}))
	defer s.sources.close()
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("got the panic %v, want the one that ends the connection", p)
		}
	}()
	get(s.hooks, "POST", "/hooks/1/sync")
}

func TestConfigTellsAllFaultsAtOnce(t *testing.T) {
	c := testConfig(away{}, nil)
	if err := c.Validate(); err != nil {
		t.Fatalf("a good configuration: %v", err)
	}
	c = Config{
		ListenAddress: "8080", OpsAddress: "localhost:what",
		PrometheusURL: "prometheus:9090", Mayastor: mayastor.Config{URL: "http://user@host"},
		PrometheusTimeout: 10 * time.Millisecond, ScrapeInterval: 100*time.Millisecond + 1, CacheTTL: time.Hour,
	}
	want := `--listen-address "8080" is not host:port; give one such as :8080
--ops-address "localhost:what" is not host:port; give one such as :8080
--prometheus-url: "prometheus:9090" is not of the form http://host:port; give one such as http://prometheus:9090
--prometheus-timeout is 10ms; give at least 1s
--scrape-interval 100.000001ms has parts of a millisecond, which Prometheus does not know; leave them out
--cache-ttl is 1h0m0s; give one from 100ms to 10m
--mayastor-url: the Mayastor URL holds a user name; use a token instead; give one such as http://mayastor-api-rest:8081`
	if diff := cmp.Diff(fmt.Sprint(c.Validate()), want); diff != "" {
		t.Errorf("got (-) want (+):\n%s", diff)
	}
}

func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"one address for both", func(c *Config) { c.ListenAddress, c.OpsAddress = ":8080", ":8080" }, `both ":8080"`},
		{"no Prometheus", func(c *Config) { c.PrometheusURL = "" }, "--prometheus-url"},
		{"Prometheus with a query", func(c *Config) { c.PrometheusURL = "http://p:1/?a=b" }, "query or a fragment"},
		{"Prometheus that is no address", func(c *Config) { c.PrometheusURL = "http://s3cret:p@ss word@%zz" }, "cannot be parsed"},
		{"no Mayastor", func(c *Config) { c.Mayastor.URL = "" }, "--mayastor-url"},
		{"scrapes too seldom", func(c *Config) { c.ScrapeInterval = 2 * time.Hour }, "--scrape-interval"},
		{"no time to live", func(c *Config) { c.CacheTTL = 0 }, "--cache-ttl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(away{}, nil)
			c.change(&cfg)
			err := cfg.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to tell %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, which tells the password", err)
			}
			if _, err := New(cfg); err == nil {
				t.Error("a server was made of it")
			}
		})
	}
}

func TestAddressInUseEndsTheService(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"hooks", "listen for hooks", func(c *Config) { c.ListenAddress = taken.Addr().String() }},
		{"ops", "listen for health and metrics", func(c *Config) { c.OpsAddress = taken.Addr().String() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(away{}, nil)
			c.change(&cfg)
			s := newTestServer(t, cfg)
			if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to tell %q", err, c.want)
			}
		})
	}
}

// door is what a server listens on in a synctest bubble.
type door struct{ *pipe.Listener }

// call makes one request over a new connection; status 0 means that there was
// no answer.
func (d door) call(method, path string) (status int, body string) {
	client, err := d.Dial(context.Background())
	if err != nil {
		return 0, "refused"
	}
	defer client.Close()
	if _, err := fmt.Fprintf(client, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, path); err != nil {
		return 0, err.Error()
	}
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		return 0, "cut off"
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "cut off"
	}
	return resp.StatusCode, string(text)
}

// served runs a server in a bubble and returns its two listeners, a function
// that asks it to end, and one that waits until it has.
func served(t *testing.T, c Config) (hooks, ops door, end context.CancelFunc, wait func() error) {
	t.Helper()
	s := newTestServer(t, c)
	hooks, ops = door{pipe.Listen("hooks")}, door{pipe.Listen("ops")}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, hooks, ops) }()
	return hooks, ops, end, func() error { return <-done }
}

func TestGracefulEnd(t *testing.T) {
	slow := func(d time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
			fmt.Fprint(w, "answered")
		}
	}

	t.Run("what is being answered is finished, nothing new is accepted, health answers until then", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hooks, ops, end, wait := served(t, testConfig(away{}, slow(10*time.Second)))
			answer := make(chan string, 1)
			go func() { _, body := hooks.call("POST", "/hooks/1/sync"); answer <- body }()
			time.Sleep(time.Second)
			end()
			synctest.Wait()
			if code, body := hooks.call("POST", "/hooks/1/sync"); code != 0 {
				t.Errorf("after the end began a new request got %d %q, want no connection", code, body)
			}
			if code, _ := ops.call("GET", "/livez"); code != 200 {
				t.Errorf("health got %d while a hook was being answered, want 200", code)
			}
			start := time.Now()
			if err := wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if got := <-answer; got != "answered" {
				t.Errorf("the request under way got %q, want its answer", got)
			}
			if took := time.Since(start); took < 9*time.Second || took > 10*time.Second {
				t.Errorf("the end took %s, want as long as the request, 9s", took)
			}
		})
	})

	t.Run("what takes longer than 20 seconds is cut off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hooks, _, end, wait := served(t, testConfig(away{}, slow(time.Hour)))
			answer := make(chan string, 1)
			go func() { _, body := hooks.call("POST", "/hooks/1/sync"); answer <- body }()
			time.Sleep(time.Second)
			start := time.Now()
			end()
			if err := wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if took := time.Since(start); took != graceful {
				t.Errorf("the end took %s, want %s", took, graceful)
			}
			if got := <-answer; got != "cut off" {
				t.Errorf("the request under way got %q, want it cut off", got)
			}
		})
	})

	t.Run("readers that hang are ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, end, wait := served(t, testConfig(hanging{}, slow(0)))
			time.Sleep(time.Second)
			start := time.Now()
			end()
			if err := wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("the end took %s, want none", took)
			}
		})
	})
}

func TestSourcesAreTriedAtTheStartAndThenOnlyOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		hosts := map[string]int{}
		network := transport(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			hosts[r.URL.Host]++
			rec := httptest.NewRecorder()
			rec.WriteHeader(403)
			return rec.Result(), nil
		})
		_, ops, end, wait := served(t, testConfig(network, nil))
		time.Sleep(time.Hour)
		if code, _ := ops.call("GET", "/readyz"); code != 200 {
			t.Errorf("not ready: %d", code)
		}
		// The Prometheus client asks a second time by GET after a 403.
		if diff := cmp.Diff(hosts, map[string]int{"prom.test": 2, "mayastor.test": 1}); diff != "" {
			t.Errorf("requests in an hour without hooks, got (-) want (+):\n%s", diff)
		}
		end()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestHeadersThatNeverEndAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hooks, _, end, wait := served(t, testConfig(away{}, nil))
		client, err := hooks.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(client, "POST /hooks/1/sync HTTP/1.1\r\n")
		start := time.Now()
		// What it says first, if anything, does not matter, but that it hangs up.
		_, _ = io.Copy(io.Discard, client)
		if took := time.Since(start); took != readHeaderTimeout {
			t.Errorf("cut off after %s, want %s", took, readHeaderTimeout)
		}
		client.Close()
		end()
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

// quietCluster is a Kubernetes with nothing in it, in which nothing happens.
type quietCluster struct{ forbids atomic.Value }

func (c *quietCluster) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(code int, body io.Reader) *http.Response {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body), Request: r}
	}
	q := r.URL.Query()
	switch {
	case c.forbids.Load() != "" && strings.HasSuffix(r.URL.Path, c.forbids.Load().(string)):
		return answer(http.StatusForbidden, strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)), nil
	case strings.HasPrefix(r.URL.Path, "/apis/openebs.io"):
		return answer(http.StatusNotFound, strings.NewReader("no such group")), nil
	case q.Get("sendInitialEvents") != "":
		return answer(http.StatusUnprocessableEntity, strings.NewReader(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)), nil
	case q.Get("watch") != "":
		in, out := io.Pipe()
		context.AfterFunc(r.Context(), func() { out.Close() })
		a := answer(http.StatusOK, nil)
		a.Body = in
		return a, nil
	}
	return answer(http.StatusOK, strings.NewReader(`{"metadata":{"resourceVersion":"7"},"items":[]}`)), nil
}

func TestReadyOnceKubernetesWasReadWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := new(quietCluster)
		cluster.forbids.Store("/jobs")
		var parts Parts
		c := testConfig(away{}, nil)
		c.Kubernetes, c.Claims = &rest.Config{Host: "http://kubernetes.test", Transport: cluster}, true
		c.Hooks = func(p Parts) (http.Handler, error) { parts = p; return http.NotFoundHandler(), nil }
		_, ops, end, wait := served(t, c)
		defer wait()
		defer end()
		time.Sleep(10 * time.Second)
		code, body := ops.call("GET", "/readyz")
		if code != 503 || !strings.Contains(body, "kubernetes: Kubernetes at http://kubernetes.test does not let this service list jobs, so nothing new starts; let its service account list and watch them.") {
			t.Errorf("without a right got %d %q, want 503 that names it", code, body)
		}
		if ok, waiting := parts.Ready(); ok || !strings.HasPrefix(waiting, "waits for Kubernetes: Kubernetes at ") {
			t.Errorf("hooks are told %v, %q", ok, waiting)
		}
		if view, _ := parts.Cluster.View(); view != nil {
			t.Error("hooks are shown a view without Jobs")
		}
		if _, text := ops.call("GET", "/metrics"); !strings.Contains(text, `couchestor_source_up{source="kubernetes"} 0`) {
			t.Error("the metric says that Kubernetes is up")
		}
		cluster.forbids.Store("")
		time.Sleep(time.Minute)
		code, body = ops.call("GET", "/readyz")
		if want := "ready\nkubernetes: up\nmayastor: down\nprometheus: down\n"; code != 200 || body != want {
			t.Errorf("got %d %q, want 200 %q", code, body, want)
		}
		if view, source := parts.Cluster.View(); view == nil || !source.OK {
			t.Errorf("hooks are shown %v, %+v", view, source)
		}
		_, text := ops.call("GET", "/metrics")
		for _, line := range []string{
			`couchestor_source_up{source="kubernetes"} 1`, `couchestor_kubernetes_objects{kind="jobs"} 0`,
			`couchestor_kubernetes_lists_total{kind="persistentvolumes"} 1`, `couchestor_source_failures_total{reason="BadAnswer",source="kubernetes"} 0`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("the metrics have no %s", line)
			}
		}
	})
}

func TestWithoutAKubernetesNothingOfItIsShown(t *testing.T) {
	s := newTestServer(t, testConfig(away{}, nil))
	defer s.sources.close()
	for _, path := range []string{"/readyz", "/metrics"} {
		if _, text := get(s.ops, "GET", path); strings.Contains(text, `source="kubernetes"`) || strings.Contains(text, "couchestor_kubernetes") {
			t.Errorf("%s speaks of Kubernetes", path)
		}
	}
	if s.sources.cluster() != nil {
		t.Error("hooks get a cluster that nobody reads")
	}
}
