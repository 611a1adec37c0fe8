package watchloop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
)

// object is any JSON object.
type object = map[string]any

// request is what a hook is sent.
type request struct {
	Controller object                       `json:"controller"`
	Parent     object                       `json:"parent"`
	Children   map[string]map[string]object `json:"children"`
	Related    map[string]map[string]object `json:"related"`
	Finalizing bool                         `json:"finalizing"`
}

// parent is the one that the request is about.
func (r request) parent() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: r.Parent}
}

// call is a request as it came.
type call struct {
	request
	hook string // sync, finalize or customize
	at   time.Time
	// method, content type and length of the HTTP request.
	method, contentType string
	length              int64
}

// reply is what a hook answers.
type reply struct {
	code int
	body string
	// retryAfter in seconds, if not 0.
	retryAfter int
}

// hooks is a service whose answers are scripted.
type hooks struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	answers map[string]func(call) reply
	calls   []call
	came    chan struct{} // closed, and made anew, with each call
	working map[string]bool
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{t: t, answers: map[string]func(call) reply{}, came: make(chan struct{}), working: map[string]bool{}}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := call{hook: strings.TrimPrefix(r.URL.Path, "/"), at: time.Now(), method: r.Method, contentType: r.Header.Get("Content-Type"), length: r.ContentLength}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return // the scene has ended
	}
	if err := json.Unmarshal(text, &c.request); err != nil {
		h.t.Errorf("%s: %v", c.hook, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, done := h.enter(c)
	defer done()
	a := answer(c)
	if a.retryAfter != 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	w.WriteHeader(a.code)
	_, _ = io.WriteString(w, a.body) // the caller has gone if it fails
}

// enter notes a call. No parent may be in two syncs at once, in any test.
func (h *hooks) enter(c call) (answer func(call) reply, done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	close(h.came)
	h.came = make(chan struct{})
	name := c.parent().GetName()
	if c.hook != "customize" {
		if h.working[name] {
			h.t.Errorf("%s of %s while another runs", c.hook, name)
		}
		h.working[name] = true
	}
	answer = h.answers[c.hook]
	if answer == nil {
		answer = func(call) reply { return reply{code: http.StatusNotFound, body: "no answer scripted"} }
	}
	return answer, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.hook != "customize" {
			h.working[name] = false
		}
	}
}

// answer scripts a hook from now on: a reply, a function, or what is encoded as
// the body of a 200.
func (h *hooks) answer(hook string, with any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch with := with.(type) {
	case reply:
		h.answers[hook] = func(call) reply { return with }
	case func(call) reply:
		h.answers[hook] = with
	default:
		h.answers[hook] = func(call) reply { return ok(with) }
	}
}

// ok is a 200 with the body as JSON.
func ok(body any) reply {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("encode an answer: %v", err))
	}
	return reply{code: http.StatusOK, body: string(text)}
}

// count returns how many calls there were so far.
func (h *hooks) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// since returns the calls after the first n, of one hook if it is named.
func (h *hooks) since(n int, hook string) []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.calls[n:]), func(c call) bool { return hook != "" && c.hook != hook })
}

// patience is how long anything may take before it is a failure.
const patience = time.Minute

// await returns the first call after the first n of that hook that is meant.
func (h *hooks) await(what string, n int, hook string, meant func(call) bool) call {
	h.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		h.mu.Lock()
		came := h.came
		h.mu.Unlock()
		calls := h.since(n, hook)
		if i := slices.IndexFunc(calls, meant); i >= 0 {
			return calls[i]
		}
		select {
		case <-came:
		case <-timeout.C:
			h.t.Fatalf("no call of %s in %s: %s; there were %d", hook, patience, what, len(calls))
		}
	}
}
