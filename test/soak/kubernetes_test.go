package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/billyronks/couchestor/test/driver"
)

// apiServer lets the service watch the objects of an API in memory, as it watches
// those of a cluster.
type apiServer struct {
	api *driver.API

	mu    sync.Mutex
	kinds map[string]*served // by path
}

// served are the objects of one kind, with those who watch it.
type served struct {
	apiVersion, kind string
	objects          map[string]*driver.Object
	revision         int64
	watches          map[*watching]bool
}

func newAPIServer(api *driver.API) *apiServer {
	s := &apiServer{api: api, kinds: map[string]*served{
		"/api/v1/persistentvolumes":                      {apiVersion: "v1", kind: "PersistentVolume"},
		"/api/v1/persistentvolumeclaims":                 {apiVersion: "v1", kind: "PersistentVolumeClaim"},
		"/apis/batch/v1/jobs":                            {apiVersion: "batch/v1", kind: "Job"},
		"/apis/storage.billyronks.io/v1/storagepolicies": {apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy"},
	}}
	for _, k := range s.kinds {
		k.objects, k.watches = map[string]*driver.Object{}, map[*watching]bool{}
	}
	api.Watch(s.changed)
	return s
}

func (s *apiServer) changed(c driver.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if k.apiVersion != c.Resource.APIVersion || k.kind != c.Resource.Kind {
			continue
		}
		k.revision = c.Revision
		event, o := "MODIFIED", c.New
		switch {
		case c.New == nil:
			event, o = "DELETED", c.Old
			delete(k.objects, string(o.GetUID()))
		case c.Old == nil:
			event = "ADDED"
			fallthrough
		default:
			k.objects[string(o.GetUID())] = o
		}
		for w := range k.watches {
			w.send(event, o.Object)
		}
	}
}

// RoundTrip implements [http.RoundTripper].
func (s *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := func(code int, body io.ReadCloser) *http.Response {
		return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}
	}
	k := s.kinds[r.URL.Path]
	switch {
	case k == nil:
		return reply(http.StatusNotFound, io.NopCloser(strings.NewReader("no such group"))), nil
	case r.URL.Query().Get("sendInitialEvents") != "true":
		// It is listed by a watch alone, here.
		return reply(http.StatusGone, io.NopCloser(strings.NewReader(
			`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}`))), nil
	}
	timeout, err := strconv.Atoi(r.URL.Query().Get("timeoutSeconds"))
	if err != nil {
		return nil, fmt.Errorf("a watch that never ends: %w", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(timeout)*time.Second)
	w := &watching{more: make(chan struct{}, 1)}
	s.mu.Lock()
	for _, o := range k.objects {
		w.send("ADDED", o.Object)
	}
	w.bookmark(k, map[string]any{"k8s.io/initial-events-end": "true"})
	k.watches[w] = true
	s.mu.Unlock()
	in, out := io.Pipe()
	go func() {
		w.serve(ctx, out, func() { s.mark(k, w) })
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(k.watches, w)
	}()
	return reply(http.StatusOK, in), nil
}

// mark tells a watch how far it is.
func (s *apiServer) mark(k *served, w *watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.bookmark(k, nil)
}

// watching is one watch.
type watching struct {
	mu    sync.Mutex
	lines []byte
	more  chan struct{}
}

func (w *watching) send(event string, o map[string]any) {
	text, err := json.Marshal(struct {
		Type   string         `json:"type"`
		Object map[string]any `json:"object"`
	}{event, o})
	if err != nil {
		panic(fmt.Sprintf("an object of the API does not encode: %v", err))
	}
	w.mu.Lock()
	w.lines = append(append(w.lines, text...), '\n')
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

func (w *watching) bookmark(k *served, annotations map[string]any) {
	metadata := map[string]any{"resourceVersion": strconv.FormatInt(k.revision+1, 10)}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	w.send("BOOKMARK", map[string]any{"apiVersion": k.apiVersion, "kind": k.kind, "metadata": metadata})
}

// serve writes until the request ends. A quiet watch gets a bookmark each minute.
func (w *watching) serve(ctx context.Context, out *io.PipeWriter, mark func()) {
	defer context.AfterFunc(ctx, func() { out.Close() })()
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		w.mu.Lock()
		lines := w.lines
		w.lines = nil
		w.mu.Unlock()
		if len(lines) > 0 {
			if _, err := out.Write(lines); err != nil {
				return
			}
			continue
		}
		select {
		case <-w.more:
		case <-minute.C:
			mark()
		case <-ctx.Done():
			return
		}
	}
}
