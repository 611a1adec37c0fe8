package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Call is one request the simulator got.
type Call struct {
	Method, Path, Query string
	Body                string
	Status              int    // 0: no answer reached the client, so far or ever
	Kind                string // of the error answered
	Fault               string // name or effect of the fault that hit it
	At                  time.Time
	Volume              string // uuid, of a call under /v0/volumes/{uuid}
}

// Calls lists every request in order of arrival, or since [Simulator.ForgetCalls].
func (s *Simulator) Calls() (list []Call) {
	s.locked(func() {
		for _, call := range s.calls {
			list = append(list, *call)
		}
	})
	return list
}

// ForgetCalls empties that list, which otherwise grows without end.
func (s *Simulator) ForgetCalls() { s.locked(func() { s.calls = nil }) }

// Request is what handlers and fault predicates see of a request.
type Request struct {
	Method, Path string // Path is escaped, as it was sent
	Query        url.Values
	Body         []byte
	params       map[string]string
	blamed       bool // its violation is recorded
}

// answer is a response before it is written.
type answer struct {
	status int
	body   any // nil: empty body
	kind   string
	raw    []byte // set: sent as it is
	text   bool
	busy   bool // the volume's guard is taken: try again for a while
	op     *operation
}

func ok(body any) *answer { return &answer{status: http.StatusOK, body: body} }

// statusOfKind is MS 1.3.
var statusOfKind = map[string]int{
	"Deserialize": 400, "InvalidArgument": 400, "Unauthenticated": 401, "Unauthorized": 401, "PermissionDenied": 401,
	"NotFound": 404, "NotAcceptable": 406, "Timeout": 408, "Conflict": 409, "Deleting": 409, "InUse": 409,
	"FailedPrecondition": 412, "NotShared": 412, "AlreadyShared": 412, "NotPublished": 412, "AlreadyPublished": 412,
	"OutOfRange": 416, "AlreadyExists": 422, "Internal": 500, "Unimplemented": 501, "Aborted": 503, "Unavailable": 503,
	"DeadlineExceeded": 504, "ResourceExhausted": 507, "FailedPersist": 507, "CapacityLimitExceeded": 507,
}

// refuse is an error answer with the status of its kind.
func refuse(kind, details string) *answer { return refuseWith(statusOfKind[kind], kind, details) }

func refuseWith(status int, kind, details string) *answer {
	return &answer{status: status, kind: kind, body: errorJSON{Details: details, Message: "SvcError :: " + kind, Kind: kind}}
}

// emptyNotFound is what actix answers for a route or method it does not have.
func emptyNotFound() *answer { return &answer{status: http.StatusNotFound} }

// ServeHTTP implements [http.Handler].
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	req := &Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.Query(), Body: body}
	s.mu.Lock()
	s.advance()
	call := &Call{
		Method: req.Method, Path: req.Path, Query: r.URL.RawQuery, Body: string(body), At: s.clock, Volume: volumeIn(req.Path),
	}
	s.calls = append(s.calls, call)
	hits := s.match(req)
	if len(hits) > 0 {
		call.Fault = hits[0].label()
	}
	s.mu.Unlock()

	ctx := r.Context()
	a := before(ctx, s, hits)
	switch {
	case a != nil:
	case err != nil:
		a = refuseWith(http.StatusRequestEntityTooLarge, "Deserialize", "the body is too large")
	default:
		a = s.serve(ctx, req)
	}
	a, broken := after(ctx, s, hits, req, a)
	if broken || a == nil {
		hangUp()
	}
	s.mu.Lock()
	call.Status, call.Kind = a.status, a.kind
	s.mu.Unlock()
	a.write(w)
}

// hangUp makes net/http close the connection without an answer.
func hangUp() { panic(http.ErrAbortHandler) }

// serve routes req, waits for busy volumes and for operations that take time.
// It returns nil when the client went away first; what was begun goes on.
func (s *Simulator) serve(ctx context.Context, req *Request) *answer {
	const retry = 200 * time.Millisecond
	for waited := time.Duration(0); ; waited += retry {
		a := s.dispatch(req)
		if a.op != nil {
			return s.await(ctx, a.op)
		}
		if !a.busy || waited >= s.cfg.GuardWait || !s.sleeps {
			return a
		}
		if !s.sleep(ctx, retry) {
			return nil
		}
	}
}

// dispatch runs one handler on the world of now.
func (s *Simulator) dispatch(req *Request) (a *answer) {
	s.locked(func() {
		rt, params := s.route(req)
		if rt == nil {
			a = emptyNotFound()
			return
		}
		if rt.core && s.clock.Before(s.coreDown) {
			a = refuse("Unavailable", "the core agent cannot be reached")
			return
		}
		req.params = params
		if rt.forbidden != "" && !req.blamed {
			req.blamed = true
			s.violate("%s %s was called: %s", req.Method, req.Path, rt.forbidden)
		}
		s.as(caller, func() { a = rt.handle(s, req) })
	})
	return a
}

// await waits for an operation that is under way.
func (s *Simulator) await(ctx context.Context, op *operation) *answer {
	for {
		var a *answer
		var left time.Duration
		s.locked(func() {
			a, left = op.answer, op.until.Sub(s.clock)
			if op.cancel {
				a = refuse("Unavailable", "the core agent restarted")
			}
		})
		if a != nil {
			return a
		}
		if !s.sleep(ctx, max(left, time.Millisecond)) {
			return nil
		}
	}
}

// sleep waits d on the real (or the bubble's) clock; false when ctx ended first.
// Under a clock of the test's own it does not wait.
func (s *Simulator) sleep(ctx context.Context, d time.Duration) bool {
	if !s.sleeps || d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *answer) bytes() []byte {
	switch {
	case a.raw != nil:
		return a.raw
	case a.body == nil:
		return nil
	}
	out, err := json.Marshal(a.body)
	if err != nil {
		// The bodies are structs of this package; they always marshal.
		panic(err)
	}
	return out
}

func (a *answer) write(w http.ResponseWriter) {
	out := a.bytes()
	switch {
	case a.text:
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	case len(out) > 0:
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	// A client that is gone cannot be told so.
	_, _ = w.Write(out)
}
