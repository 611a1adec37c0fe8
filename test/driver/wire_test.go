package driver

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMC2_1Transport(t *testing.T) {
	var got *http.Request
	redirect := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		if redirect != "" && r.URL.Path == "/sync" {
			http.Redirect(w, r, redirect, http.StatusMovedPermanently)
			return
		}
		w.Write([]byte(`{}`))
	}))
	defer server.Close()
	r := newRig(t, edited("http://hook", server.URL), edited("customize: {version: v2, webhook: {timeout: 10s, url: \""+server.URL+"/customize\"}}", "customize: null"),
		func(o *Options, _ *[]byte) { o.Transport = nil })
	r.put(gold)
	r.sync()

	t.Run("a POST of JSON with its length that accepts gzip", func(t *testing.T) {
		want := map[string]string{"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1", "Accept-Encoding": "gzip"}
		for name, value := range want {
			if got.Header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, got.Header.Get(name), value)
			}
		}
		if got.Method != http.MethodPost || got.ContentLength <= 0 {
			t.Errorf("%s of length %d", got.Method, got.ContentLength)
		}
	})
	t.Run("a permanent redirect turns it into a GET without a body", func(t *testing.T) {
		redirect = server.URL + "/sync/"
		r.sync()
		if got.Method != http.MethodGet || got.ContentLength > 0 {
			t.Errorf("%s of length %d", got.Method, got.ContentLength)
		}
	})
}

func TestMC2_2Request(t *testing.T) {
	r := newRig(t)
	r.answer("customize", `{"relatedResources":[
		{"apiVersion":"v1","resource":"persistentvolumes"},
		{"apiVersion":"v1","resource":"persistentvolumeclaims"},
		{"apiVersion":"openebs.io/v1beta3","resource":"diskpools","namespace":"mayastor"}]}`)
	r.put(gold)
	r.put(pvText("pvc-1"))
	r.put(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","namespace":"shop","deletionTimestamp":"2026-01-01T00:00:00Z"}}`)
	r.wants(jobText("a"))
	r.sync()
	body := r.last()
	if r.sync(); r.calls[len(r.calls)-1] != "sync" {
		t.Fatal("no sync")
	}
	second := r.last()

	t.Run("has exactly the five fields", func(t *testing.T) {
		var fields []string
		for name := range body {
			fields = append(fields, name)
		}
		slices.Sort(fields)
		if diff := cmp.Diff(fields, []string{"children", "controller", "finalizing", "parent", "related"}); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("outer keys are Kind.version for the core group, else Kind.group/version", func(t *testing.T) {
		for _, path := range [][]string{
			{"related", "PersistentVolume.v1", "pvc-1"},
			{"related", "PersistentVolumeClaim.v1", "shop/data"},
			{"related", "DiskPool.openebs.io/v1beta3"},
			{"children", "Job.batch/v1"},
		} {
			if !has(t, body, path...) {
				t.Errorf("no %v", path)
			}
		}
	})
	t.Run("a rule that matches nothing has its key, a kind without a rule has none", func(t *testing.T) {
		if pools := dig(t, body, "related", "DiskPool.openebs.io/v1beta3"); len(pools.(map[string]any)) != 0 {
			t.Errorf("pools: %v", pools)
		}
		if has(t, body, "related", "Job.batch/v1") {
			t.Error("Jobs are related, nobody asked for them")
		}
	})
	t.Run("children have their key also while there are none", func(t *testing.T) {
		if jobs := dig(t, body, "children", "Job.batch/v1"); len(jobs.(map[string]any)) != 0 {
			t.Errorf("jobs: %v", jobs)
		}
	})
	t.Run("children are keyed by namespace and name", func(t *testing.T) {
		if !has(t, second, "children", "Job.batch/v1", "couchestor-system/a") {
			t.Errorf("children: %v", second["children"])
		}
	})
	t.Run("objects under deletion are in", func(t *testing.T) {
		if dig(t, body, "related", "PersistentVolumeClaim.v1", "shop/data", "metadata", "deletionTimestamp") == nil {
			t.Error("no deletionTimestamp")
		}
	})
	t.Run("the first sync already shows the parent with its finalizer", func(t *testing.T) {
		finalizers := dig(t, body, "parent", "metadata", "finalizers")
		if diff := cmp.Diff(finalizers, any([]any{"metacontroller.io/compositecontroller-storagepolicy"})); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the controller is the object of the manifest", func(t *testing.T) {
		if name := dig(t, body, "controller", "metadata", "name"); name != "storagepolicy" {
			t.Errorf("name %v", name)
		}
		if kind := dig(t, body, "controller", "kind"); kind != "CompositeController" {
			t.Errorf("kind %v", kind)
		}
	})
	t.Run("without a customize hook related is an empty object", func(t *testing.T) {
		r := newRig(t, edited(`customize: {version: v2, webhook: {timeout: 10s, url: "http://hook/customize"}}`, "customize: null"))
		r.put(gold)
		r.sync()
		if related := r.last()["related"]; len(related.(map[string]any)) != 0 {
			t.Errorf("related: %v", related)
		}
	})
}

func TestMC2_3Response(t *testing.T) {
	refused := map[string]string{
		"unknown top-level field":        `{"status":{},"child":[]}`,
		"unknown field by case":          `{"Status":{}}`,
		"duplicate top-level field":      `{"children":[],"children":[]}`,
		"children as a map":              `{"children":{"Job.batch/v1":{}}}`,
		"child without kind":             `{"children":[{"apiVersion":"batch/v1","metadata":{"name":"a","namespace":"x"}}]}`,
		"null child":                     `{"children":[null]}`,
		"array":                          `[]`,
		"string":                         `"x"`,
		"empty":                          ``,
		"truncated":                      `{"children":[`,
		"truncated after a field":        `{"children":[]`,
		"text after the value":           `{} {}`,
		"no JSON":                        `not json`,
		"resyncAfterSeconds as a string": `{"resyncAfterSeconds":"5"}`,
		"finalized as a string":          `{"finalized":"true"}`,
		"status as an array":             `{"status":[]}`,
	}
	for name, body := range refused {
		t.Run("refused: "+name, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.wants(jobText("a"))
			r.sync()
			was := r.policy()
			r.answer("sync", body)
			r.fails()
			if r.get("Job", "couchestor-system", "a") == nil {
				t.Error("the Job is gone")
			}
			if diff := cmp.Diff(r.policy().Object, was.Object); diff != "" {
				t.Errorf("the parent changed: %s", diff)
			}
		})
	}

	for _, body := range []string{`{}`, `null`, `{"children":null}`, `{"children":[],"status":null}`} {
		t.Run("200 with "+body+" deletes every child and wipes the status", func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.answer("sync", `{"status":{"phase":"Active"},"children":[`+jobText("a")+`,`+jobText("b")+`]}`)
			r.sync()
			r.answer("sync", body)
			s := r.sync()
			if diff := cmp.Diff(s.Deleted, []string{"couchestor-system/a", "couchestor-system/b"}); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(r.policy().Object["status"], any(map[string]any{"observedGeneration": int64(1)})); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("unknown and duplicate fields inside a child pass", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(strings.Replace(jobText("a"), `"spec":{`, `"colour":"red","colour":"blue","spec":{"hue":1,`, 1))
		if s := r.sync(); len(s.Created) != 1 {
			t.Errorf("created %v", s.Created)
		}
	})
	t.Run("loose decoding, the default of v1, takes an answer of unknown fields for an empty one", func(t *testing.T) {
		r := newRig(t, edited("sync:      {version: v2,", "sync: {"))
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.answer("sync", `{"error":"sorry"}`)
		if s := r.sync(); len(s.Deleted) != 1 {
			t.Errorf("deleted %v", s.Deleted)
		}
	})
	t.Run("missing namespace: the create fails, and the child of that name is not kept", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.wants(strings.Replace(jobText("a"), `,"namespace":"couchestor-system"`, "", 1))
		if err := r.fails(); !strings.Contains(err.Error(), "create is not supported") {
			t.Errorf("error %v", err)
		}
		if r.get("Job", "couchestor-system", "a") != nil {
			t.Error("the Job is kept")
		}
	})
	t.Run("of two children with one key the last wins", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"), strings.Replace(jobText("a"), `"img"`, `"last"`, 1))
		r.sync()
		if text := r.get("Job", "couchestor-system", "a").GetAnnotations()[lastApplied]; !strings.Contains(text, `"last"`) {
			t.Errorf("applied %s", text)
		}
	})
	t.Run("fractions of seconds are allowed in resyncAfterSeconds", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.answer("sync", `{"resyncAfterSeconds":1.5}`)
		if s := r.sync(); s.ResyncAfter != 1500*time.Millisecond {
			t.Errorf("resync after %s", s.ResyncAfter)
		}
	})
}

func TestMC2_5Customize(t *testing.T) {
	r := newRig(t)
	r.put(gold)
	r.sync()

	t.Run("gets controller and parent and no more", func(t *testing.T) {
		if r.calls[0] != "customize" {
			t.Fatalf("calls %v", r.calls)
		}
		if len(r.bodies[0]) != 2 || !has(t, r.bodies[0], "controller") || !has(t, r.bodies[0], "parent") {
			t.Errorf("body %v", r.bodies[0])
		}
	})
	for name, body := range map[string]string{
		"a bare array":         `[{"apiVersion":"v1","resource":"persistentvolumes"}]`,
		"another field's name": `{"related":[]}`,
	} {
		t.Run("does not decode: "+name, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.answer("customize", body)
			r.fails()
			if slices.Contains(r.calls, "sync") {
				t.Error("sync was called")
			}
		})
	}
}

func TestMC2_6StatusCodes(t *testing.T) {
	for _, code := range []int{201, 202, 204, 304, 400, 404, 412, 500, 503} {
		t.Run(http.StatusText(code)+" is an error that touches nothing and leaves an event", func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.answer("sync", `{"status":{"phase":"Active"},"children":[`+jobText("a")+`]}`)
			r.sync()
			was := r.policy()
			r.answerCode("sync", code, `{"status":{},"children":[]}`, "Retry-After", "7")
			err := r.fails()
			if !strings.Contains(err.Error(), "unsupported status code") {
				t.Errorf("error %v", err)
			}
			if r.get("Job", "couchestor-system", "a") == nil {
				t.Error("the Job is gone")
			}
			if diff := cmp.Diff(r.policy().Object, was.Object); diff != "" {
				t.Error(diff)
			}
			if events := r.d.Events(); len(events) != 1 || events[0].Reason != "SyncError" || events[0].Parent != "gold" {
				t.Errorf("events %v", events)
			}
		})
	}

	for _, c := range []struct {
		name, header string
		want         time.Duration
	}{
		{"waits the seconds", "7", 7 * time.Second},
		{"waits until the date", "Sat, 01 Jan 2000 00:00:09 GMT", 9 * time.Second},
		{"without a header tries at once", "", 0},
		{"with a fraction tries at once", "1.5", 0},
		{"with rubbish tries at once", "soon", 0},
	} {
		t.Run("429 "+c.name+", without event", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.put(gold)
				times := []time.Time{}
				r.answers["sync"] = func(map[string]any) *http.Response {
					if times = append(times, time.Now()); len(times) == 1 {
						return reply(429, "busy", "Retry-After", c.header)
					}
					return reply(200, `{}`)
				}
				stop := r.run()
				time.Sleep(time.Minute)
				stop()
				if len(times) != 2 || times[1].Sub(times[0]) != c.want {
					t.Errorf("asked at %v, want twice, %s apart", times, c.want)
				}
				if n := r.d.Counters(); n.Errors != 0 || n.TooMany != 1 || len(r.d.Events()) != 0 {
					t.Errorf("counters %+v, events %v", n, r.d.Events())
				}
			})
		})
	}

	t.Run("errors back off by 5 ms doubled each time, and a success ends that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			var gaps []time.Duration
			last, healthy := time.Now(), false
			r.answers["sync"] = func(map[string]any) *http.Response {
				gaps, last = append(gaps, time.Since(last)), time.Now()
				if healthy = len(gaps) == 6; healthy {
					return reply(200, `{"resyncAfterSeconds":10}`)
				}
				return reply(503, "down", "Retry-After", "3600")
			}
			stop := r.run()
			time.Sleep(10*time.Second + 200*time.Millisecond)
			stop()
			ms := time.Millisecond
			want := []time.Duration{0, 5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 10000 * ms, 5 * ms, 10 * ms}
			if len(gaps) < len(want) {
				t.Fatalf("asked %d times", len(gaps))
			}
			if diff := cmp.Diff(gaps[:len(want)], want); diff != "" {
				t.Error(diff)
			}
		})
	})
	t.Run("back-off ends at 1000 s", func(t *testing.T) {
		for failures, want := range map[int]time.Duration{0: 5 * time.Millisecond, 17: 655360 * time.Millisecond, 18: 1000 * time.Second, 4000: 1000 * time.Second} {
			if got := backoff(failures); got != want {
				t.Errorf("after %d failures %s, want %s", failures, got, want)
			}
		}
	})
	t.Run("the bucket lets a hundred through and then ten a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue()
			for range 100 {
				if wait := q.reserve(); wait != 0 {
					t.Fatalf("wait %s within the burst", wait)
				}
			}
			if first, second := q.reserve(), q.reserve(); first != 100*time.Millisecond || second != 200*time.Millisecond {
				t.Errorf("waits %s, %s", first, second)
			}
			time.Sleep(time.Hour)
			if wait := q.reserve(); wait != 0 {
				t.Errorf("wait %s after an hour", wait)
			}
		})
	})
	t.Run("a hook that does not answer is given up after its timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(o *Options, _ *[]byte) { o.Transport = silent{} })
			r.put(gold)
			began := time.Now()
			err := r.fails()
			if got := time.Since(began); got != 10*time.Second {
				t.Errorf("gave up after %s", got)
			}
			if !strings.Contains(err.Error(), "customize hook: no answer in 10s") {
				t.Errorf("error %v", err)
			}
		})
	})
}

// silent is a server that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}
