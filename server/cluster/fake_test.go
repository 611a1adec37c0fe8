package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// apiServer is a Kubernetes that has lists and watches and can be made to do what a
// real one does seldom; what a real one does is tested in test/cluster/world.
type apiServer struct {
	mu      sync.Mutex
	version int
	objects map[string]map[string]string // by path and name
	watches map[*watching]bool
	asked   []string
	// The faults, by path; "" is all paths.
	hanging   map[string]bool
	forbidden map[string]bool
	// old servers do not list by a watch.
	old bool
	// pages have so many objects if it is not 0, where pages are asked for; expire
	// lets the next page be too late.
	pageSize int
	expire   bool
	// oldest is the first version from which one may still watch.
	oldest int
	// served is the version of DiskPools; empty is none.
	served string
}

type watching struct {
	path string
	out  *io.PipeWriter
}

func newAPIServer() *apiServer {
	return &apiServer{
		version: 10, objects: map[string]map[string]string{}, watches: map[*watching]bool{},
		hanging: map[string]bool{}, forbidden: map[string]bool{},
	}
}

const (
	volumesPath  = "/api/v1/persistentvolumes"
	claimsPath   = "/api/v1/persistentvolumeclaims"
	jobsPath     = "/apis/batch/v1/jobs"
	policiesPath = "/apis/storage.billyronks.io/v1/storagepolicies"
)

// put stores a volume and tells those who watch.
func (s *apiServer) put(i int) {
	name := fmt.Sprintf("pvc-5e1f0000-0000-4000-8000-%012d", i)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	o := fmt.Sprintf(`{"metadata":{"name":%q,"resourceVersion":"%d"},"spec":{"storageClassName":"mayastor","csi":{"driver":"io.openebs.csi-mayastor","volumeHandle":%q}}}`, name, s.version, name[4:])
	s.store(volumesPath, name, o)
	s.tell(volumesPath, "ADDED", o)
}

func (s *apiServer) store(path, name, o string) {
	if s.objects[path] == nil {
		s.objects[path] = map[string]string{}
	}
	s.objects[path][name] = o
}

// tell sends an event to those who watch a path.
func (s *apiServer) tell(path, kind, object string) {
	for w := range s.watches {
		if w.path == path {
			s.send(w, fmt.Sprintf(`{"type":%q,"object":%s}`, kind, object))
		}
	}
}

func (s *apiServer) send(w *watching, line string) {
	if !s.hangs(w.path) {
		go func() { _, _ = io.WriteString(w.out, line+"\n") }()
	}
}

// bookmark tells all who watch how far they are.
func (s *apiServer) bookmark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		s.send(w, fmt.Sprintf(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}`, s.version))
	}
}

// cut ends all watches in the middle of an event.
func (s *apiServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watches {
		go func() {
			_, _ = io.WriteString(w.out, `{"type":"ADDED","obj`)
			_ = w.out.CloseWithError(io.ErrUnexpectedEOF)
		}()
		delete(s.watches, w)
	}
}

// forget lets nobody watch from a version of before.
func (s *apiServer) forget() {
	s.mu.Lock()
	s.version++
	s.oldest = s.version
	s.mu.Unlock()
	s.cut()
}

// set changes a fault.
func (s *apiServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// hangs is called with the lock.
func (s *apiServer) hangs(path string) bool { return s.hanging[path] || s.hanging[""] }

// requests are what was asked, as "LIST path" and so on, since the last call.
func (s *apiServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

func answer(r *http.Request, code int, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

func status(r *http.Request, code int, reason string) *http.Response {
	text := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"%s of the test","reason":%q,"code":%d}`, strings.ToLower(reason), reason, code)
	return answer(r, code, io.NopCloser(strings.NewReader(text)))
}

func object(r *http.Request, v any) (*http.Response, error) {
	text, err := json.Marshal(v)
	return answer(r, http.StatusOK, io.NopCloser(bytes.NewReader(text))), err
}

// RoundTrip implements [http.RoundTripper].
func (s *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	if s.hangs(r.URL.Path) {
		s.mu.Unlock()
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	defer s.mu.Unlock()
	q := r.URL.Query()
	verb := "LIST"
	if q.Get("watch") != "" {
		verb = "WATCH"
	}
	s.asked = append(s.asked, verb+" "+r.URL.Path)
	switch {
	case s.forbidden[r.URL.Path]:
		return status(r, http.StatusForbidden, "Forbidden"), nil
	case r.URL.Path == "/apis/openebs.io" && s.served != "":
		return object(r, map[string]any{"versions": []any{map[string]any{"version": s.served}}})
	case strings.HasPrefix(r.URL.Path, "/apis/openebs.io/") && strings.Count(r.URL.Path, "/") == 3:
		return object(r, map[string]any{"resources": []any{map[string]any{"name": "diskpools"}}})
	case strings.HasPrefix(r.URL.Path, "/apis/openebs.io") && s.served == "":
		return status(r, http.StatusNotFound, "NotFound"), nil
	case verb == "WATCH":
		return s.watch(r)
	}
	return s.list(r)
}

func (s *apiServer) list(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	names := slices.Sorted(maps.Keys(s.objects[r.URL.Path]))
	from, next := 0, ""
	if token := q.Get("continue"); token != "" {
		if s.expire {
			s.expire = false
			return status(r, http.StatusGone, "Expired"), nil
		}
		from, _ = strconv.Atoi(token)
	}
	names = names[from:]
	if s.pageSize > 0 && q.Get("limit") != "" && len(names) > s.pageSize {
		names = names[:s.pageSize]
		next = strconv.Itoa(from + s.pageSize)
	}
	items := []json.RawMessage{}
	for _, name := range names {
		items = append(items, json.RawMessage(s.objects[r.URL.Path][name]))
	}
	return object(r, map[string]any{
		"kind":     "List",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version), "continue": next},
		"items":    items,
	})
}

func (s *apiServer) watch(r *http.Request) (*http.Response, error) {
	q := r.URL.Query()
	initial := q.Get("sendInitialEvents") == "true"
	if initial && s.old {
		return status(r, http.StatusUnprocessableEntity, "Invalid"), nil
	}
	from, _ := strconv.Atoi(q.Get("resourceVersion"))
	if !initial && from < s.oldest {
		return status(r, http.StatusGone, "Expired"), nil
	}
	in, out := io.Pipe()
	w := &watching{path: r.URL.Path, out: out}
	s.watches[w] = true
	var first bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(s.objects[r.URL.Path])) {
		o := s.objects[r.URL.Path][name]
		var meta struct {
			Metadata struct {
				ResourceVersion int `json:",string"`
			}
		}
		if err := json.Unmarshal([]byte(o), &meta); err != nil {
			return nil, err
		}
		if initial || meta.Metadata.ResourceVersion > from {
			fmt.Fprintf(&first, `{"type":"ADDED","object":%s}`+"\n", o)
		}
	}
	if initial {
		fmt.Fprintf(&first, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n", s.version)
	}
	return answer(r, http.StatusOK, &stopping{Reader: io.MultiReader(&first, in), in: in, of: s, w: w}), nil
}

// stopping is the body of a watch.
type stopping struct {
	io.Reader
	in *io.PipeReader
	of *apiServer
	w  *watching
}

func (b *stopping) Close() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	delete(b.of.watches, b.w)
	return b.in.Close()
}
