package hooks

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/go-chi/chi/v5"
)

// Prefix is the path of the hooks. Its number is that of the customize rules:
// another release with other rules has another number, which changes the
// CompositeController and so drops the answers Metacontroller cached (MC 4.2).
const Prefix = "/hooks/1"

// Routes returns the three hooks under [Prefix]. They take POST alone, and a
// path with a slash at its end is another path: a redirect would turn the POST
// into a GET (MC 2.1).
func (h *Hooks) Routes() http.Handler {
	r := chi.NewRouter()
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, faultf(http.StatusNotFound, "no such hook; the hooks are %s/sync, /finalize and /customize", Prefix))
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, faultf(http.StatusMethodNotAllowed, "a hook is called with POST; nothing was done"))
	})
	r.Post(Prefix+"/sync", h.serve("sync", h.sync))
	r.Post(Prefix+"/finalize", h.serve("finalize", h.sync))
	r.Post(Prefix+"/customize", h.serve("customize", func(_ context.Context, d *decoder) ([]byte, error) { return h.customize(d) }))
	return r
}

// hook makes the whole answer to a request; its errors are faults.
type hook func(context.Context, *decoder) ([]byte, error)

// serve answers one request: 200 with the whole answer, or another status with
// one line. Nothing is written before all of it is known, since a part of an
// answer would delete Jobs (MC 0.1).
func (h *Hooks) serve(name string, answer hook) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := h.config.Now()
		body := &counter{Reader: http.MaxBytesReader(w, r.Body, h.config.MaxBody)}
		text, err := h.answer(r.Context(), r, body, answer)
		status := http.StatusOK
		if err != nil {
			status = refuse(w, err)
		} else {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			_, _ = w.Write(text) // the caller went away, and asks again
		}
		h.config.Observer.Request(name, status, body.n, h.config.Now().Sub(start))
	}
}

// answer turns a panic into a fault: the answer to a request that cannot be
// dealt with is that nothing is done.
func (h *Hooks) answer(ctx context.Context, r *http.Request, body io.Reader, answer hook) (text []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.config.Log.ErrorContext(ctx, "panic while answering a hook", "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			text, err = nil, faultf(http.StatusInternalServerError, "this service failed in itself; nothing was done: its log says where, report that")
		}
	}()
	if !acceptable(r.Header.Get("Content-Type")) {
		return nil, faultf(http.StatusUnsupportedMediaType, "the request is not application/json; nothing was done: send the header Content-Type: application/json")
	}
	if r.ContentLength > h.config.MaxBody {
		return nil, oversized(h.config.MaxBody)
	}
	d := newDecoder(body)
	d.unrelated = h.config.Cluster != nil
	d.claims = h.config.ClaimLabels
	if h.config.DiskPools != "" {
		d.diskPools = "DiskPool." + h.config.DiskPools
	}
	return answer(ctx, d)
}

// acceptable reports whether a body of this type may be the JSON of a request.
// curl --data calls a saved request a form.
func acceptable(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "application/x-www-form-urlencoded")
}

// refuse writes a fault and returns its status.
func refuse(w http.ResponseWriter, err error) int {
	status := http.StatusInternalServerError
	if fault, ok := err.(*faultError); ok { //nolint:errorlint // faults are not wrapped
		status = fault.status
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusTooManyRequests {
		// A whole number: anything else is no wait at all (MC 0.11).
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error()+"\n") // the caller went away, and asks again
	return status
}

// counter counts the bytes read.
type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
