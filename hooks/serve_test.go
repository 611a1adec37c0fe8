package hooks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/tiering"
)

func TestRoutes(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		method, path, kind string
		want               int
	}{
		"sync":                           {http.MethodPost, "/hooks/1/sync", "application/json", 200},
		"finalize":                       {http.MethodPost, "/hooks/1/finalize", "application/json", 200},
		"customize":                      {http.MethodPost, "/hooks/1/customize", "application/json", 200},
		"JSON with a character set":      {http.MethodPost, "/hooks/1/sync", "application/json; charset=utf-8", 200},
		"what curl --data says":          {http.MethodPost, "/hooks/1/sync", "application/x-www-form-urlencoded", 200},
		"no type at all":                 {http.MethodPost, "/hooks/1/sync", "", 200},
		"a form with files":              {http.MethodPost, "/hooks/1/sync", "multipart/form-data; boundary=x", 415},
		"a redirect would lose the body": {http.MethodPost, "/hooks/1/sync/", "application/json", 404},
		"another version":                {http.MethodPost, "/hooks/2/sync", "application/json", 404},
		"another hook":                   {http.MethodPost, "/hooks/1/preUpdateChild", "application/json", 404},
		"GET":                            {http.MethodGet, "/hooks/1/sync", "application/json", 405},
		"PUT":                            {http.MethodPut, "/hooks/1/finalize", "application/json", 405},
		"HEAD":                           {http.MethodHead, "/hooks/1/customize", "application/json", 405},
	} {
		t.Run(name, func(t *testing.T) {
			q := httptest.NewRequestWithContext(t.Context(), c.method, c.path, bytes.NewReader(r.body()))
			q.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			r.hooks.Routes().ServeHTTP(w, q)
			if w.Code != c.want {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.want)
			}
			if w.Code == http.StatusOK && w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("got type %s, want application/json", w.Header().Get("Content-Type"))
			}
			if w.Code != http.StatusOK && strings.Count(w.Body.String(), "\n") != 1 {
				t.Errorf("got %q, want one line", w.Body)
			}
		})
	}
}

func TestBadRequestOverHTTP(t *testing.T) {
	for name, c := range badRequests(t) {
		r := newRig(t)
		for _, hook := range []string{"sync", "finalize"} {
			a := r.post(t, hook, []byte(c.body))
			if a.code != c.status || strings.Count(string(a.body), "\n") != 1 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
				t.Errorf("%s, %s: got %d %q, want %d and one line of text", hook, name, a.code, a.body, c.status)
			}
		}
	}
	for name, status := range map[string]any{
		"the history is text":     object{"migrationHistory": "none"},
		"a counter is text":       object{"totalMigrations": "many"},
		"a time cannot be read":   object{"lastReconcileTime": "soon"},
		"the status is no object": []any{},
	} {
		r := newRig(t)
		r.policy["status"] = status
		if a := r.post(t, "sync", r.body()); a.code != http.StatusBadRequest || strings.Count(string(a.body), "\n") != 1 {
			t.Errorf("%s: got %d %s, want 400: what was recorded could not be carried over", name, a.code, a.body)
		}
	}
}

func TestOversizedRequestIs413(t *testing.T) {
	r := newRig(t)
	limit := int64(len(r.body())) + 10
	r = newRig(t, func(c *Config) { c.MaxBody = limit })
	if a := r.post(t, "sync", r.body()); a.code != http.StatusOK {
		t.Fatalf("a request within the limit: got %d %s", a.code, a.body)
	}
	r.volume(2)
	body := r.body()
	for name, reader := range map[string]io.Reader{
		"with its length": bytes.NewReader(body),
		"as a stream":     io.MultiReader(bytes.NewReader(body)),
	} {
		for _, hook := range []string{"sync", "finalize", "customize"} {
			if seeker, ok := reader.(io.Seeker); ok {
				_, _ = seeker.Seek(0, io.SeekStart)
			} else {
				reader = io.MultiReader(bytes.NewReader(body))
			}
			q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/"+hook, reader)
			w := httptest.NewRecorder()
			r.hooks.Routes().ServeHTTP(w, q)
			if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "--max-body") {
				t.Errorf("%s, %s: got %d %s, want 413 that names the flag", name, hook, w.Code, w.Body)
			}
		}
	}
}

func TestBrokenConnectionIsAFaultOfOneLine(t *testing.T) {
	r := newRig(t)
	body := r.body()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/sync",
		io.MultiReader(bytes.NewReader(body[:len(body)/2]), brokenReader{}))
	w := httptest.NewRecorder()
	r.hooks.Routes().ServeHTTP(w, q)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "connection broke") {
		t.Errorf("got %d %s, want 400 that says the connection broke", w.Code, w.Body)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// stopping is a body that ends only once it is let go.
func stopping(body []byte, release <-chan struct{}) io.Reader {
	half := len(body) - 20 // after what is related has begun
	return io.MultiReader(bytes.NewReader(body[:half]), waitingReader(release), bytes.NewReader(body[half:]))
}

type waitingReader <-chan struct{}

func (r waitingReader) Read([]byte) (int, error) {
	<-r
	return 0, io.EOF
}

func TestBackPressure_TwoAtOnceTheThirdWaitsFiveSecondsThen429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, func(c *Config) { c.Now = time.Now })
		body := r.body()
		replies := make(chan *httptest.ResponseRecorder, 2)
		for range 2 {
			go func() { replies <- r.send(t, stopping(body, release)) }()
		}
		synctest.Wait()

		start := time.Now()
		third := r.post(t, "sync", body)
		if third.code != http.StatusTooManyRequests || third.header.Get("Retry-After") != "2" || time.Since(start) != 5*time.Second {
			t.Errorf("got %d, Retry-After %q after %s, want 429, 2 and 5 s", third.code, third.header.Get("Retry-After"), time.Since(start))
		}
		// customize holds no volumes and needs no turn.
		if a := r.post(t, "customize", body); a.code != http.StatusOK {
			t.Errorf("customize: got %d, want 200", a.code)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		r.hooks.Routes().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, Prefix+"/sync", bytes.NewReader(body)))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("a caller that went away: got %d, want 503", w.Code)
		}

		fourth := make(chan reply)
		go func() { fourth <- r.post(t, "sync", body) }()
		synctest.Wait()
		close(release)
		for range 2 {
			if a := <-replies; a.Code != http.StatusOK {
				t.Errorf("got %d, want 200", a.Code)
			}
		}
		if a := <-fourth; a.code != http.StatusOK {
			t.Errorf("one that got its turn in time: got %d, want 200", a.code)
		}
	})
}

// send sends a body to sync.
func (r *rig) send(t testing.TB, body io.Reader) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r.hooks.Routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/sync", body))
	return w
}

// hanging are sources of which Prometheus hangs when it is asked for two hours, so
// that each caller waits for as long as it may.
type hanging struct{ *sources }

func (s hanging) Scores(ctx context.Context, window time.Duration) tiering.Scores {
	if window == 2*time.Hour {
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
	return s.sources.Scores(ctx, window)
}

func TestSyncThatWaitsForASlowSourceKeepsNobodyElseFromBeingAnswered(t *testing.T) {
	for mode, api := range map[string]bool{"related": false, "api": true} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.hooks.config.Sources = hanging{r.sources}
				for i := 2; i < 200; i++ {
					r.bulky(i)
				}
				other, faulty := newPolicy("other", "o"), newPolicy("faulty", "f")
				faulty.at("spec")["minCoverage"] = 1
				r.policies["other"], r.policies["faulty"] = other, faulty
				db := r.policy
				db.at("spec")["samplingWindow"] = "2h"
				if api {
					k := newKube()
					for kind, objects := range map[Kind]map[string]object{Volumes: r.volumes, Claims: r.claims, Policies: r.policies, Jobs: r.jobs, DiskPools: r.diskPools} {
						k.show(t, kind, raw(objects))
					}
					r.hooks.config.Cluster = k
				}
				body := func(policy object) []byte {
					r.policy = policy
					if api {
						return r.apiBody()
					}
					return r.scene.body()
				}

				// More of them than there are turns.
				start := time.Now()
				var wg sync.WaitGroup
				waits := body(db)
				sent := make([]counter, 4)
				for i := range sent {
					sent[i].Reader = bytes.NewReader(waits)
					wg.Go(func() {
						a := r.send(t, &sent[i])
						if a.Code != http.StatusOK || !strings.Contains(a.Body.String(), nameJob(uuid(1), 1)) || time.Since(start) != 5*time.Second {
							t.Errorf("one that waits: got %d after %s %s, want its move after 5 s", a.Code, time.Since(start), a.Body)
						}
					})
				}
				synctest.Wait()
				for i := range sent {
					if sent[i].n > windowBytes {
						t.Errorf("%d bytes of %d are read while a source is waited for, want a window of %d at most", sent[i].n, len(waits), windowBytes)
					}
				}
				for name, policy := range map[string]object{"another window": other, "a policy with faults": faulty} {
					began := time.Now()
					if a := r.send(t, bytes.NewReader(body(policy))); a.Code != http.StatusOK || time.Since(began) > 0 {
						t.Errorf("%s: got %d after %s %s, want 200 at once", name, a.Code, time.Since(began), a.Body)
					}
				}
				wg.Wait()
			})
		})
	}
}

func TestMembersOfARequestInAnyOrderGiveTheSameAnswer(t *testing.T) {
	r := newRig(t)
	r.volume(2)
	r.run(2, 4)
	tree := r.tree()
	want := r.sync(t)
	names := []string{"parent", "children", "related", "finalizing"}
	for i := range names {
		order := slices.Concat(names[i:], names[:i])
		for range 2 {
			if got := r.post(t, "sync", inOrder(tree, order...)); got.code != http.StatusOK || !bytes.Equal(got.body, want.body) {
				t.Errorf("%v: got %d %s, want\n%s", order, got.code, got.body, want.body)
			}
			slices.Reverse(order)
		}
	}
}

func TestSlowSourceIsWaitedForAlsoWhereThePolicyComesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.hooks.config.Sources = hanging{r.sources}
		r.policy.at("spec")["samplingWindow"] = "2h"
		start := time.Now()
		a := r.send(t, bytes.NewReader(inOrder(r.tree(), "children", "related", "finalizing", "parent")))
		if a.Code != http.StatusOK || time.Since(start) != 5*time.Second {
			t.Errorf("got %d after %s, want 200 after the 5 s that the source took", a.Code, time.Since(start))
		}
	})
}

// evicting is a source whose windows make room for others while a request waits for
// its turn.
type evicting struct{ *sources }

func (s evicting) Scores(ctx context.Context, window time.Duration) tiering.Scores {
	if ctx.Err() != nil {
		return tiering.Scores{Source: tiering.Source{Reason: "NotReadYet", Message: "Nobody has asked yet."}}
	}
	return s.sources.Scores(ctx, window)
}

func TestWindowThatWasGivenUpWhileARequestWaitedIsReadAgain(t *testing.T) {
	r := newRig(t)
	r.hooks.config.Sources = evicting{r.sources}
	wantNames(t, "its window is known", r.sync(t), nameJob(uuid(1), 1)+"+")
}

type panicking struct{ *sources }

func (panicking) Mayastor(context.Context) Mayastor { panic("a fault\nof ours") }

func TestPanicIs500AndTheNextRequestIsAnswered(t *testing.T) {
	r := newRig(t)
	r.run(1, 1)
	r.hooks.config.Sources = panicking{r.sources}
	for range 3 {
		a := r.post(t, "sync", r.body())
		if a.code != http.StatusInternalServerError || strings.Count(string(a.body), "\n") != 1 || strings.Contains(string(a.body), "of ours") {
			t.Errorf("got %d %q, want 500 and one line without the panic", a.code, a.body)
		}
	}
	r.hooks.config.Sources = r.sources
	wantNames(t, "the turns were given back", r.sync(t), nameJob(uuid(1), 1))
}

func TestCustomizeAsksForWhatSyncNeeds(t *testing.T) {
	type asked struct{ APIVersion, Resource string }
	for name, c := range map[string]struct {
		change func(*Config)
		want   []asked
	}{
		"by default": {func(*Config) {}, []asked{
			{"v1", "persistentvolumes"}, {"storage.billyronks.io/v1", "storagepolicies"}, {"batch/v1", "jobs"}, {"v1", "persistentvolumeclaims"},
		}},
		"without claims": {func(c *Config) { c.ClaimLabels = false }, []asked{
			{"v1", "persistentvolumes"}, {"storage.billyronks.io/v1", "storagepolicies"}, {"batch/v1", "jobs"},
		}},
		"with DiskPools": {func(c *Config) { c.DiskPools = "openebs.io/v1beta3" }, []asked{
			{"v1", "persistentvolumes"}, {"storage.billyronks.io/v1", "storagepolicies"}, {"batch/v1", "jobs"}, {"v1", "persistentvolumeclaims"}, {"openebs.io/v1beta3", "diskpools"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.change)
			var got []asked
			for _, rule := range r.hooks.rules() {
				got = append(got, asked{rule.APIVersion, rule.Resource})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			a := r.post(t, "customize", []byte(`{"controller":{},"parent":{"metadata":{"name":"db"},"spec":{}}}`))
			if a.code != http.StatusOK || !bytes.HasPrefix(a.body, []byte(`{"relatedResources":[{"apiVersion":"v1","resource":"persistentvolumes"},`)) {
				t.Errorf("got %d %s", a.code, a.body)
			}
		})
	}
	r := newRig(t)
	for _, body := range []string{"", "[]", "{}", `{"parent":{}}`, `{"parent":{"metadata":{"name":"x"}}`, `{"parent":{"metadata":{"name":"x"}}} x`} {
		if a := r.post(t, "customize", []byte(body)); a.code != http.StatusBadRequest {
			t.Errorf("customize of %q: got %d, want 400", body, a.code)
		}
	}
}

func TestClaimsAreNotNeededWhereTheyAreNotAskedFor(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ClaimLabels = false })
	r.policy.at("spec")["volumeSelector"] = object{"matchLabels": object{"app": "db"}}
	r.volumes["pvc-"+uuid(1)].at("metadata", "labels")["app"] = "db"
	tree := r.tree()
	delete(tree.at("related"), claimsKey)
	if a := r.post(t, "sync", []byte(text(tree))); a.code != http.StatusOK || len(a.Children) != 1 {
		t.Errorf("got %d %s, want the volume's own labels to count", a.code, a.body)
	}
}

func TestObserverIsToldOfEachRequest(t *testing.T) {
	o := &observed{}
	r := newRig(t, func(c *Config) { c.Observer = o })
	body := r.body()
	r.sync(t)
	r.post(t, "customize", []byte("{}"))
	r.policy.at("spec")["minCoverage"] = 1
	r.sync(t)
	r.finalizing = true
	r.sync(t)
	want := []string{"sync 200", "customize 400", "sync 200", "finalize 200"}
	if diff := cmp.Diff(want, o.requests); diff != "" {
		t.Errorf("requests: -want +got\n%s", diff)
	}
	if o.bytes[0] != int64(len(body)) {
		t.Errorf("got %d bytes read, want %d", o.bytes[0], len(body))
	}
	if diff := cmp.Diff([]string{"db planned", "db broken", "db broken"}, o.decided); diff != "" {
		t.Errorf("decisions: -want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"db"}, o.gone); diff != "" {
		t.Errorf("gone: -want +got\n%s", diff)
	}
}

type observed struct {
	mu                      sync.Mutex
	requests, decided, gone []string
	bytes                   []int64
}

func (o *observed) Request(hook string, status int, bytes int64, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, fmt.Sprintf("%s %d", hook, status))
	o.bytes = append(o.bytes, bytes)
}

func (o *observed) Decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	word := " planned"
	if plan == nil || status.Phase == tiering.PhaseError {
		word = " broken"
	}
	o.decided = append(o.decided, policy+word)
}

func (o *observed) Gone(policy string) { o.gone = append(o.gone, policy) }
