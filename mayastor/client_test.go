package mayastor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/pipe"
)

// restServer serves h and returns a client for it with real HTTP between.
func restServer(t *testing.T, h http.Handler) *http.Client {
	t.Helper()
	l := pipe.Listen("mayastor.test")
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	transport := l.Transport()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	return &http.Client{Transport: transport}
}

// restClient is a client of h with the defaults but for change.
func restClient(t *testing.T, h http.Handler, change func(*mayastor.Config)) *mayastor.Client {
	t.Helper()
	cfg := mayastor.Config{URL: "http://mayastor.test", HTTP: restServer(t, h)}
	if change != nil {
		change(&cfg)
	}
	c, err := mayastor.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// said is a scripted answer.
type said struct {
	status int
	body   string
}

func (a said) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// kindOf is an error answer in Mayastor's form.
func kindOf(status int, kind string) said {
	return said{status, fmt.Sprintf(`{"details":"some details","message":"SvcError","kind":%q}`, kind)}
}

// tally counts requests and keeps them.
type tally struct {
	mu sync.Mutex
	http.Handler
	seen []string
}

func (c *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.seen = append(c.seen, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, r)
}

// silent never answers.
func silent(_ http.ResponseWriter, r *http.Request) {
	// The server only sees the client go once the body is read.
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

const (
	anyVolume = "ec4e66fb-3b33-4439-b504-d49aba53da26"
	volumeOut = `{"spec":{"uuid":"ec4e66fb-3b33-4439-b504-d49aba53da26","size":1024,"num_replicas":2,"status":"Created"},"state":{"status":"Online"}}`
	poolOut   = `{"id":"sata-1","spec":{"node":"node-1"}}`
	nodeOut   = `{"id":"node-1","spec":{}}`
)

// restCall is one method of the client; ok is an answer it accepts.
type restCall struct {
	name, want string
	ok         string
	do         func(context.Context, *mayastor.Client) (any, error)
}

func reads(c restCall) bool { return strings.HasPrefix(c.want, "GET ") }

// restCalls are all methods that send something; want is the request.
func restCalls() []restCall {
	return []restCall{
		{"Volumes", "GET /v0/volumes?max_entries=500", `{"entries":[` + volumeOut + `]}`, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Volumes(ctx, nil) }},
		{"Volume", "GET /v0/volumes/" + anyVolume, volumeOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Volume(ctx, anyVolume) }},
		{"Pools", "GET /v0/pools", "[" + poolOut + "]", func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Pools(ctx) }},
		{"Pool", "GET /v0/pools/sata-1", poolOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Pool(ctx, "sata-1") }},
		{"Nodes", "GET /v0/nodes", "[" + nodeOut + "]", func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Nodes(ctx) }},
		{"Node", "GET /v0/nodes/node-1", nodeOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Node(ctx, "node-1") }},
		{"RebuildHistory", "GET /v0/volumes/" + anyVolume + "/rebuild-history", `{"targetUuid":"x","records":[]}`, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.RebuildHistory(ctx, anyVolume) }},
		{"Capability", "GET /v0/api/spec", `{"paths":{"/pools":{"get":{}}}}`, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.Capability(ctx, "") }},
		{"SetReplicas", "PUT /v0/volumes/" + anyVolume + "/replica_count/3", volumeOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.SetReplicas(ctx, anyVolume, 3) }},
		{"CordonPool", `PUT /v0/pools/sata-1/cordon {"replicas":true,"snapshots":false,"restores":false,"import":false}`, poolOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.CordonPool(ctx, "sata-1") }},
		{"UncordonPool", `DELETE /v0/pools/sata-1/cordon {"replicas":true,"snapshots":false,"restores":false,"import":false}`, poolOut, func(ctx context.Context, c *mayastor.Client) (any, error) { return c.UncordonPool(ctx, "sata-1") }},
		{"CordonNode", "PUT /v0/nodes/node-1/cordon/couchestor-1", nodeOut, func(ctx context.Context, c *mayastor.Client) (any, error) {
			return c.CordonNode(ctx, "node-1", "couchestor-1")
		}},
		{"UncordonNode", "DELETE /v0/nodes/node-1/cordon/couchestor-1", nodeOut, func(ctx context.Context, c *mayastor.Client) (any, error) {
			return c.UncordonNode(ctx, "node-1", "couchestor-1")
		}},
	}
}

func TestEachCallSendsOneRequest(t *testing.T) {
	t.Parallel()
	for _, call := range restCalls() {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &tally{Handler: said{http.StatusOK, call.ok}}
				if _, err := call.do(t.Context(), restClient(t, h, nil)); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(h.seen, []string{call.want}); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

// The reader is what the service holds: it must not be able to change anything,
// whoever adds a method later.
func TestReaderSendsNothingButGET(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &tally{Handler: said{http.StatusOK, `{}`}}
		reader := restClient(t, h, nil).Reader
		r := reflect.ValueOf(reader)
		for i := range r.NumMethod() {
			m := r.Method(i)
			args := []reflect.Value{}
			for in := range m.Type().Ins() {
				switch {
				case in == reflect.TypeFor[context.Context]():
					args = append(args, reflect.ValueOf(t.Context()))
				case in == reflect.TypeFor[string]():
					args = append(args, reflect.ValueOf("x"))
				default:
					args = append(args, reflect.Zero(in))
				}
			}
			before := len(h.seen)
			m.Call(args)
			if len(h.seen) == before {
				t.Errorf("%s sent nothing", r.Type().Method(i).Name)
			}
		}
		for _, s := range h.seen {
			if !strings.HasPrefix(s, "GET ") {
				t.Errorf("the reader sent %s", s)
			}
		}
	})
	var more []string
	client, reader := reflect.TypeFor[*mayastor.Client](), reflect.TypeFor[*mayastor.Reader]()
	for m := range client.Methods() {
		if _, reads := reader.MethodByName(m.Name); !reads {
			more = append(more, m.Name)
		}
	}
	if d := cmp.Diff(more, []string{"CordonNode", "CordonPool", "SetReplicas", "UncordonNode", "UncordonPool"}); d != "" {
		t.Errorf("the client changes things in other ways than these: %s", d)
	}
}

func TestEachAnswerHasItsClassOnEachCall(t *testing.T) {
	t.Parallel()
	const (
		unsure      = mayastor.ClassUnsure
		noRoom      = mayastor.ClassNoRoom
		refused     = mayastor.ClassRefused
		gone        = mayastor.ClassGone
		unsupported = mayastor.ClassUnsupported
		denied      = mayastor.ClassDenied
	)
	for _, tt := range []struct {
		name string
		said said
		want mayastor.Class
	}{
		{"400 InvalidArgument", kindOf(400, "InvalidArgument"), refused},
		{"400 Deserialize", kindOf(400, "Deserialize"), refused},
		{"401 Unauthorized", kindOf(401, "Unauthorized"), denied},
		{"401 without Mayastor's words", said{401, ""}, denied},
		{"403 from a proxy", said{403, "<html>no</html>"}, denied},
		{"404 NotFound", kindOf(404, "NotFound"), gone},
		{"404 with an empty body is a route that is missing, not an object", said{404, ""}, unsupported},
		{"404 in HTML is a proxy's", said{404, "<html>nginx</html>"}, unsupported},
		{"404 of a Kubernetes API server is no volume that is gone", said{404, `{"kind":"Status","apiVersion":"v1","message":"services \"x\" not found","details":{"name":"x"},"code":404}`}, unsupported},
		{"404 with some other JSON is no volume that is gone", said{404, `{"message":"no route","kind":"NotFound"}`}, unsupported},
		{"404 of an unknown kind", kindOf(404, "Vanished"), gone},
		{"405 from a proxy", said{405, ""}, unsupported},
		{"406 NotAcceptable", kindOf(406, "NotAcceptable"), refused},
		{"408 Timeout", kindOf(408, "Timeout"), unsure},
		{"409 Conflict", kindOf(409, "Conflict"), unsure},
		{"409 Deleting", kindOf(409, "Deleting"), unsure},
		{"412 FailedPrecondition", kindOf(412, "FailedPrecondition"), refused},
		{"412 NotPublished", kindOf(412, "NotPublished"), refused},
		{"416 OutOfRange", kindOf(416, "OutOfRange"), refused},
		{"422 of another kind than AlreadyExists", kindOf(422, "Strange"), refused},
		{"429 from a proxy", said{429, "slow down"}, unsure},
		{"500 Internal", kindOf(500, "Internal"), unsure},
		{"501 Unimplemented", kindOf(501, "Unimplemented"), unsupported},
		{"502 from a proxy", said{502, "<html>bad gateway</html>"}, unsure},
		{"503 Unavailable", kindOf(503, "Unavailable"), unsure},
		{"503 Aborted", kindOf(503, "Aborted"), unsure},
		{"504 DeadlineExceeded", kindOf(504, "DeadlineExceeded"), unsure},
		{"507 ResourceExhausted", kindOf(507, "ResourceExhausted"), noRoom},
		{"507 FailedPersist is the store, not the room", kindOf(507, "FailedPersist"), unsure},
		{"507 CapacityLimitExceeded", kindOf(507, "CapacityLimitExceeded"), noRoom},
		{"507 of an unknown kind", kindOf(507, "NoSpaceSomewhere"), noRoom},
		{"the kind goes before the status", kindOf(500, "ResourceExhausted"), noRoom},
		{"an unknown status", kindOf(599, "Odd"), unsure},
		{"an error body that is cut off", said{503, `{"details":"some`}, unsure},
		{"302 to elsewhere", said{302, ""}, refused},
		{"204 without a body", said{204, ""}, unsure},
		{"200 in HTML", said{200, "<html>login</html>"}, unsure},
		{"200 with an empty body", said{200, ""}, unsure},
		{"200 that is cut off", said{200, `{"spec":{"uuid":"ec4e`}, unsure},
		{"200 with another type", said{200, `"text"`}, unsure},
		{"200 with null", said{200, `null`}, unsure},
		{"200 about nothing", said{200, `{}`}, unsure},
	} {
		for _, call := range restCalls() {
			// To these two an answer without anything in it is one.
			if call.name == "Capability" && tt.want == unsupported ||
				call.name == "RebuildHistory" && tt.said.status == 200 && (tt.said.body == "null" || tt.said.body == "{}") {
				continue
			}
			t.Run(tt.name+"/"+call.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := &tally{Handler: tt.said}
					_, err := call.do(t.Context(), restClient(t, h, nil))
					e, ok := errors.AsType[*mayastor.Error](err)
					if !ok {
						t.Fatalf("got %v, want a *mayastor.Error", err)
					}
					if e.Class() != tt.want {
						t.Errorf("got class %s, want %s: %v", e.Class(), tt.want, e)
					}
					if e.Op == "" || e.Method == "" || e.Path == "" || e.Status != tt.said.status {
						t.Errorf("got %+v, want it to say what was asked and answered", e)
					}
					changes := 0
					for _, s := range h.seen {
						if !strings.HasPrefix(s, "GET ") {
							changes++
						}
					}
					if !reads(call) && changes != 1 {
						t.Errorf("got %d requests that change something, want 1: a change is never repeated", changes)
					}
				})
			})
		}
	}
}

func TestReadsAreRepeatedOnlyWhileNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		said said
		want int
	}{
		{"503 is asked again twice", kindOf(503, "Unavailable"), 3},
		{"a cut answer is asked again twice", said{200, `{"spec":`}, 3},
		{"a volume that is gone is not asked for again", kindOf(404, "NotFound"), 1},
		{"a missing route is not asked for again", said{404, ""}, 1},
		{"bad credentials are not tried again", kindOf(401, "Unauthorized"), 1},
		{"a refusal is not argued with", kindOf(412, "FailedPrecondition"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := &tally{Handler: tt.said}
				start := time.Now()
				if _, err := restClient(t, h, nil).Volume(t.Context(), anyVolume); err == nil {
					t.Error("got no error")
				}
				if len(h.seen) != tt.want {
					t.Errorf("got %d requests, want %d", len(h.seen), tt.want)
				}
				if took := time.Since(start); took > 750*time.Millisecond || tt.want > 1 && took < 375*time.Millisecond {
					t.Errorf("the waits took %s, want from 375 to 750 ms in all", took)
				}
			})
		})
	}
}

func TestAReadThatSucceedsAtLastIsNoError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n++; n < 3 {
				kindOf(503, "Aborted").ServeHTTP(w, r)
				return
			}
			said{200, volumeOut}.ServeHTTP(w, r)
		}), nil)
		v, err := c.Volume(t.Context(), anyVolume)
		if err != nil || v.Spec.NumReplicas != 2 {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

func TestEveryCallEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	for _, call := range restCalls() {
		for _, tt := range []struct {
			name    string
			timeout time.Duration
			want    time.Duration
			limit   string
		}{
			{"by default", 0, 30 * time.Second, "30s"},
			{"as configured", 5 * time.Second, 5 * time.Second, "5s"},
		} {
			t.Run(call.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := restClient(t, http.HandlerFunc(silent), func(cfg *mayastor.Config) { cfg.Timeout = tt.timeout })
					start := time.Now()
					_, err := call.do(t.Context(), c)
					took := time.Since(start)
					want, limit, slack := tt.want, tt.limit, time.Duration(0)
					if reads(call) {
						if tt.timeout == 0 {
							want, limit = 10*time.Second, "10s"
						}
						want, slack = 3*want, 750*time.Millisecond
					}
					if took < want || took > want+slack {
						t.Errorf("ended after %s, want %s", took, want)
					}
					if !mayastor.IsUnsure(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "within "+limit) {
						t.Errorf("got %v, want one of class unsure that names the limit of %s", err, limit)
					}
				})
			})
		}
	}
}

func TestAnAnswerThatStopsInTheMiddleEndsAtTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, volumeOut[:20])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), nil)
		start := time.Now()
		_, err := c.SetReplicas(t.Context(), anyVolume, 3)
		if took := time.Since(start); took != 30*time.Second || !mayastor.IsUnsure(err) || !strings.Contains(err.Error(), "within 30s") {
			t.Errorf("got %v after %s, want class unsure and the limit of 30s", err, took)
		}
	})
}

func TestAConnectionThatBreaksIsUnsure(t *testing.T) {
	t.Parallel()
	for _, call := range restCalls() {
		for _, after := range []string{"", call.ok[:5]} {
			t.Run(fmt.Sprintf("%s/after %d bytes", call.name, len(after)), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Length", "1000")
						_, _ = io.WriteString(w, after)
						if after != "" {
							w.(http.Flusher).Flush()
						}
						panic(http.ErrAbortHandler)
					}), nil)
					if _, err := call.do(t.Context(), c); !mayastor.IsUnsure(err) {
						t.Errorf("got %v, want class unsure", err)
					}
				})
			})
		}
	}
}

func TestAnOversizedAnswerIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, `{"entries":[`)
					for chunk := bytes.Repeat([]byte(" "), 1<<20); sent < 200; sent++ {
						if _, err := w.Write(chunk); err != nil {
							return
						}
					}
				}), func(cfg *mayastor.Config) { cfg.Timeout = time.Hour })
				_, err := c.SetReplicas(t.Context(), anyVolume, 3)
				if !mayastor.IsUnsure(err) || sent > 40 {
					t.Errorf("got %v after %d MiB, want class unsure at 32 MiB", err, sent)
				}
			})
		})
	}
}

func TestTheCallersContextEndsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := restClient(t, kindOf(503, "Unavailable"), nil)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the sync has waited long enough"))
		defer cancel()
		start := time.Now()
		_, err := c.Volume(ctx, anyVolume)
		if took := time.Since(start); took != 100*time.Millisecond || !mayastor.IsUnsure(err) {
			t.Errorf("got %v after %s, want the wait between two tries cut at 100ms", err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("told to stop")) })
		start := time.Now()
		_, err := restClient(t, http.HandlerFunc(silent), nil).Volume(ctx, anyVolume)
		if took := time.Since(start); took != time.Second || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "told to stop") {
			t.Errorf("got %v after %s, want it to end at 1s and to say why", err, took)
		}
	})
}

func TestVolumesArePaged(t *testing.T) {
	t.Parallel()
	page := func(next string, ids ...string) string {
		var vs []string
		for _, id := range ids {
			vs = append(vs, fmt.Sprintf(`{"spec":{"uuid":%q}}`, id))
		}
		if next != "" {
			next = `,"next_token":` + next
		}
		return `{"entries":[` + strings.Join(vs, ",") + `]` + next + `}`
	}
	for _, tt := range []struct {
		name  string
		pages map[string]string
		want  []string
		asked int
		err   string
	}{
		{name: "one page", pages: map[string]string{"": page("", "a", "b")}, want: []string{"a", "b"}, asked: 1},
		{name: "no volumes", pages: map[string]string{"": page("")}, asked: 1},
		{name: "three pages", pages: map[string]string{"": page("2", "a", "b"), "2": page("4", "c", "d"), "4": page("", "e")}, want: []string{"a", "b", "c", "d", "e"}, asked: 3},
		{name: "a volume on two pages counts once", pages: map[string]string{"": page("2", "a", "b"), "2": page("", "b", "c")}, want: []string{"a", "b", "c"}, asked: 2},
		{name: "an empty page is not the end", pages: map[string]string{"": page("2"), "2": page("", "a")}, want: []string{"a"}, asked: 2},
		{name: "a null token is the end", pages: map[string]string{"": page("null", "a")}, want: []string{"a"}, asked: 1},
		{name: "a repeated token is an error, not a loop", pages: map[string]string{"": page("2", "a"), "2": page("2", "b")}, asked: 2, err: "does not come after"},
		{name: "a token that goes back is an error, not a loop", pages: map[string]string{"": page("4", "a"), "4": page("2", "b")}, asked: 2, err: "does not come after"},
		{name: "half of the volumes are no answer", pages: map[string]string{"": page("2", "a")}, asked: 2, err: "Internal"},
		{name: "a volume without a uuid is no volume", pages: map[string]string{"": page("", "")}, asked: 1, err: "no uuid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := map[string]bool{}
				c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					token := r.URL.Query().Get("starting_token")
					asked[token] = true
					if body, ok := tt.pages[token]; ok && r.URL.Query().Get("max_entries") == "2" {
						said{200, body}.ServeHTTP(w, r)
						return
					}
					kindOf(500, "Internal").ServeHTTP(w, r)
				}), func(cfg *mayastor.Config) { cfg.PageSize = 2 })
				vs, err := c.Volumes(t.Context(), nil)
				if tt.err != "" {
					if err == nil || !strings.Contains(err.Error(), tt.err) || vs != nil {
						t.Errorf("got %d volumes and %v, want none and an error with %q", len(vs), err, tt.err)
					}
				} else if err != nil {
					t.Error(err)
				}
				var got []string
				for _, v := range vs {
					got = append(got, v.UUID())
				}
				if d := cmp.Diff(got, tt.want); d != "" {
					t.Error(d)
				}
				if len(asked) != tt.asked {
					t.Errorf("asked for pages %v, want %d of them", asked, tt.asked)
				}
			})
		})
	}
}

func TestAListWithoutEndIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			said{200, fmt.Sprintf(`{"entries":[],"next_token":%d}`, n)}.ServeHTTP(w, r)
		}), nil)
		if _, err := c.Volumes(t.Context(), nil); err == nil || n > 5000 {
			t.Errorf("got %v after %d pages, want an error after some", err, n)
		}
	})
}

func TestACordonTellsWhoseItIs(t *testing.T) {
	t.Parallel()
	labelled := `{"id":"node-1","spec":{"cordondrainstate":{"cordonedstate":{"cordonlabels":["somebody","couchestor-1"]}}}}`
	others := `{"id":"node-1","spec":{"cordondrainstate":{"cordonedstate":{"cordonlabels":["somebody"]}}}}`
	draining := `{"id":"node-1","spec":{"cordondrainstate":{"drainingstate":{"cordonlabels":["couchestor-1"],"drainlabels":["x"]}}}}`
	for _, tt := range []struct {
		name    string
		call    string
		said    said
		read    string // what the node answers then
		changed bool
		err     bool
	}{
		{name: "200 on a pool is ours", call: "CordonPool", said: said{200, poolOut}, changed: true},
		{name: "200 of a pool uncordon changed it", call: "UncordonPool", said: said{200, poolOut}, changed: true},
		{name: "422 on a pool is another's", call: "CordonPool", said: kindOf(422, "AlreadyExists")},
		{name: "422 of a pool uncordon found nothing", call: "UncordonPool", said: kindOf(422, "AlreadyExists")},
		{name: "200 about another pool is not believed", call: "CordonPool", said: said{200, `{"id":"sata-2"}`}, err: true},
		{name: "200 on a node is ours", call: "CordonNode", said: said{200, nodeOut}, changed: true},
		{name: "412 on a node that has the label", call: "CordonNode", said: kindOf(412, "FailedPrecondition"), read: labelled},
		{name: "412 on a node that drains with the label", call: "CordonNode", said: kindOf(412, "FailedPrecondition"), read: draining},
		{name: "412 on a node without the label is a refusal", call: "CordonNode", said: kindOf(412, "FailedPrecondition"), read: others, err: true},
		{name: "412 on a node that cannot be read is a refusal", call: "CordonNode", said: kindOf(412, "FailedPrecondition"), read: "", err: true},
		{name: "422 on a node that has the label", call: "CordonNode", said: kindOf(422, "AlreadyExists"), read: labelled},
		{name: "409 on a node says nothing about the label", call: "CordonNode", said: kindOf(409, "Conflict"), read: labelled, err: true},
		{name: "412 of an uncordon of a label that is not there", call: "UncordonNode", said: kindOf(412, "FailedPrecondition"), read: others},
		{name: "412 of an uncordon of a label that is there is a refusal", call: "UncordonNode", said: kindOf(412, "FailedPrecondition"), read: labelled, err: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet {
						said{200, tt.read}.ServeHTTP(w, r)
						return
					}
					tt.said.ServeHTTP(w, r)
				}), nil)
				i := slices.IndexFunc(restCalls(), func(c restCall) bool { return c.name == tt.call })
				changed, err := restCalls()[i].do(t.Context(), c)
				if changed != tt.changed || (err != nil) != tt.err {
					t.Errorf("got %v, %v, want %v and an error: %v", changed, err, tt.changed, tt.err)
				}
				if err != nil && tt.said.status == 412 && !mayastor.IsRefused(err) {
					t.Errorf("got %v, want the refusal itself", err)
				}
			})
		})
	}
}

func TestAnAnswerAboutAnotherObjectIsNotBelieved(t *testing.T) {
	t.Parallel()
	other := strings.NewReplacer(anyVolume, "00000000-3b33-4439-b504-d49aba53da26", "sata-1", "sata-9", "node-1", "node-9")
	for _, name := range []string{"Volume", "Pool", "Node", "SetReplicas", "CordonPool", "UncordonPool", "CordonNode", "UncordonNode"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := slices.IndexFunc(restCalls(), func(c restCall) bool { return c.name == name })
				call := restCalls()[i]
				_, err := call.do(t.Context(), restClient(t, said{200, other.Replace(call.ok)}, nil))
				if !mayastor.IsUnsure(err) || !strings.Contains(err.Error(), "about") {
					t.Errorf("got %v, want class unsure", err)
				}
			})
		})
	}
}

func TestNamesCannotLeaveTheirPlaceInThePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &tally{Handler: kindOf(404, "NotFound")}
		c := restClient(t, h, nil)
		for _, bad := range []string{"", ".", ".."} {
			if _, err := c.Volume(t.Context(), bad); !mayastor.IsRefused(err) {
				t.Errorf("volume %q: got %v, want a refusal", bad, err)
			}
			if _, err := c.CordonNode(t.Context(), "node-1", bad); !mayastor.IsRefused(err) {
				t.Errorf("label %q: got %v, want a refusal", bad, err)
			}
		}
		for _, n := range []int{-1, 0, 256} {
			if _, err := c.SetReplicas(t.Context(), anyVolume, n); !mayastor.IsRefused(err) {
				t.Errorf("%d replicas: got %v, want a refusal", n, err)
			}
		}
		if len(h.seen) != 0 {
			t.Errorf("sent %v, want nothing", h.seen)
		}
		_, _ = c.Pool(t.Context(), "../volumes/x?y=1")
		if d := cmp.Diff(h.seen, []string{"GET /v0/pools/..%2Fvolumes%2Fx%3Fy=1"}); d != "" {
			t.Error(d)
		}
	})
}
