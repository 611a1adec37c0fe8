package main

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// bookmarkEvery is how often a watch is told that nothing was missed; the API server
// does so about each minute.
const bookmarkEvery = time.Minute

// apiServer serves lists and watches of a kube over HTTP/2 and TLS, with the verbs and
// parameters that reflectors use.
type apiServer struct {
	kube *kube
	http *httptest.Server
	// lists and watches count requests, sent bytes of bodies.
	lists, watches, sent atomic.Int64
	// refused counts requests for what is not here.
	refused atomic.Int64
}

// startAPIServer writes a kubeconfig that leads to it into the given file.
func startAPIServer(k *kube, kubeconfig string) (*apiServer, error) {
	s := &apiServer{kube: k}
	s.http = httptest.NewUnstartedServer(s)
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	config := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "load",
		"contexts": []any{map[string]any{"name": "load", "context": map[string]any{"cluster": "load", "user": "load"}}},
		"clusters": []any{map[string]any{"name": "load", "cluster": map[string]any{"server": s.http.URL, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": "load", "user": map[string]any{"token": "couchestor"}}},
	}
	if err := os.WriteFile(kubeconfig, []byte(text(config)), 0o600); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *apiServer) close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// ServeHTTP implements [http.Handler].
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/apis/openebs.io":
		s.write(w, []byte(`{"kind":"APIGroup","apiVersion":"v1","name":"openebs.io","versions":[{"groupVersion":"openebs.io/v1beta3","version":"v1beta3"}],"preferredVersion":{"groupVersion":"openebs.io/v1beta3","version":"v1beta3"}}`))
		return
	case "/apis/openebs.io/v1beta3":
		s.write(w, []byte(`{"kind":"APIResourceList","groupVersion":"openebs.io/v1beta3","resources":[{"name":"diskpools","namespaced":true,"kind":"DiskPool","verbs":["list","watch"]}]}`))
		return
	}
	if s.kube.kinds[r.URL.Path] == nil || r.Method != http.MethodGet {
		s.refused.Add(1)
		w.WriteHeader(http.StatusNotFound)
		s.write(w, []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
		return
	}
	if r.URL.Query().Get("watch") != "" {
		s.watches.Add(1)
		s.watch(w, r)
		return
	}
	s.lists.Add(1)
	s.list(w, r.URL.Path)
}

// list answers with all objects.
func (s *apiServer) list(w http.ResponseWriter, path string) {
	entries, version := s.kube.snapshot(path)
	s.write(w, fmt.Appendf(nil, `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"%d"},"items":[`, version))
	for i, e := range entries {
		if i > 0 {
			s.write(w, []byte(","))
		}
		s.write(w, e.object)
	}
	s.write(w, []byte("]}"))
}

// watch sends what happens; first, where asked for, what is there.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	flusher, ok := w.(http.Flusher)
	if !ok {
		return
	}
	q := r.URL.Query()
	var watch *watch
	if q.Get("sendInitialEvents") == "true" {
		var entries []*entry
		var version int64
		watch, entries, version = s.kube.begin(r.URL.Path)
		for _, e := range entries {
			s.write(w, eventLine("ADDED", e.object))
		}
		s.write(w, bookmark(version, `,"annotations":{"k8s.io/initial-events-end":"true"}`))
	} else {
		from, err := strconv.ParseInt(q.Get("resourceVersion"), 10, 64)
		if err == nil {
			watch, ok = s.kube.resume(r.URL.Path, from)
		}
		if err != nil || !ok {
			s.write(w, []byte(`{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version","reason":"Expired","code":410}}`+"\n"))
			return
		}
	}
	defer s.kube.end(r.URL.Path, watch)
	flusher.Flush()
	limit := 8 * time.Minute
	if seconds, err := strconv.Atoi(q.Get("timeoutSeconds")); err == nil {
		limit = time.Duration(seconds) * time.Second
	}
	end, mark := time.NewTimer(limit), time.NewTicker(bookmarkEvery)
	defer end.Stop()
	defer mark.Stop()
	for {
		select {
		case <-watch.wake:
			s.write(w, watch.take())
		case <-mark.C:
			lines, version := s.kube.mark(watch)
			s.write(w, append(lines, bookmark(version, "")...))
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
		flusher.Flush()
	}
}

func bookmark(version int64, more string) []byte {
	return fmt.Appendf(nil, `{"type":"BOOKMARK","object":{"kind":"Object","apiVersion":"v1","metadata":{"resourceVersion":"%d"%s}}}`+"\n", version, more)
}

func (s *apiServer) write(w http.ResponseWriter, text []byte) {
	n, _ := w.Write(text) // who went away asks again
	s.sent.Add(int64(n))
}
