package main

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// traffic counts what the service asks one of its sources.
type traffic struct {
	mu sync.Mutex
	// asked counts requests by what they ask.
	asked map[string]int
	bytes int64
	// begun and ended count requests; longest is the one that took longest.
	begun, ended int
	longest      time.Duration
}

// server is an HTTP server on a port of its own.
type server struct {
	http   *http.Server
	url    string
	served sync.WaitGroup
}

func listen(ctx context.Context, h http.Handler) (*server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, url: "http://" + l.Addr().String()}
	s.served.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	})
	return s, nil
}

func (s *server) close() error {
	err := s.http.Close()
	s.served.Wait()
	return err
}

// count has a handler's requests counted by what the function says they ask.
func (t *traffic) count(h http.Handler, what func(*http.Request) string) http.Handler {
	t.asked = map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asks := what(r)
		t.mu.Lock()
		t.asked[asks]++
		t.begun++
		t.mu.Unlock()
		start := time.Now()
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.ended++
			t.longest = max(t.longest, time.Since(start))
		}()
		h.ServeHTTP(&weighed{ResponseWriter: w, of: t}, r)
	})
}

// weighed counts the bytes of an answer.
type weighed struct {
	http.ResponseWriter
	of *traffic
}

func (w *weighed) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.of.mu.Lock()
	w.of.bytes += int64(n)
	w.of.mu.Unlock()
	return n, err
}

// so is what was asked so far.
func (t *traffic) so() (asked map[string]int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.asked), t.bytes
}

// slowest is how long the longest request took.
func (t *traffic) slowest() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.longest
}

// watch returns a function that tells whether anything was being asked since.
func (t *traffic) watch() (disturbed func() bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begun, busy := t.begun, t.begun > t.ended
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return busy || t.begun > begun
	}
}

// proxy leads to a server elsewhere.
func proxy(to string) (http.Handler, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) },
		// That the service gave up is counted by itself.
		ErrorLog: log.New(io.Discard, "", 0),
	}, nil
}

// expression is the PromQL that a request asks for.
func expression(r *http.Request) string {
	if q := r.URL.Query().Get("query"); q != "" {
		return q
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return ""
	}
	r.Body = io.NopCloser(strings.NewReader(string(text)))
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return ""
	}
	return form.Get("query")
}
