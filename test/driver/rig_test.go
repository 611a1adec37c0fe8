package driver

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

const controllerYAML = `
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {name: storagepolicy}
spec:
  generateSelector: true
  resyncPeriodSeconds: 300
  parentResource: {apiVersion: storage.billyronks.io/v1, resource: storagepolicies, ignoreStatusChanges: true}
  childResources:
  - {apiVersion: batch/v1, resource: jobs, updateStrategy: {method: OnDelete}}
  hooks:
    sync:      {version: v2, webhook: {timeout: 30s, url: "http://hook/sync"}}
    finalize:  {version: v2, webhook: {timeout: 30s, url: "http://hook/finalize"}}
    customize: {version: v2, webhook: {timeout: 10s, url: "http://hook/customize"}}
`

// rig is a driver with a scripted hook behind it.
type rig struct {
	t   *testing.T
	api *API
	d   *Driver
	// answers by path, last part of the URL.
	answers map[string]func(body map[string]any) *http.Response
	mu      sync.Mutex
	// calls are the paths asked, in order; bodies the requests.
	calls  []string
	bodies []map[string]any
}

type rigOption func(*Options, *[]byte)

func edited(old, with string) rigOption {
	return func(_ *Options, yaml *[]byte) {
		if !bytes.Contains(*yaml, []byte(old)) {
			panic("no such text in the controller: " + old)
		}
		*yaml = bytes.ReplaceAll(*yaml, []byte(old), []byte(with))
	}
}

func lagging(lag Lag) rigOption {
	return func(o *Options, _ *[]byte) { o.Lag = lag }
}

func newRig(t *testing.T, options ...rigOption) *rig {
	t.Helper()
	r := &rig{t: t, api: NewAPI(Resources()...), answers: map[string]func(map[string]any) *http.Response{}}
	r.answer("customize", `{"relatedResources":[{"apiVersion":"v1","resource":"persistentvolumes"}]}`)
	r.answer("sync", `{}`)
	r.answer("finalize", `{"finalized":true}`)
	yaml := []byte(controllerYAML)
	o := Options{Transport: r}
	for _, option := range options {
		option(&o, &yaml)
	}
	c, err := ReadController(yaml)
	if err != nil {
		t.Fatal(err)
	}
	o.Controller = c
	if r.d, err = New(r.api, o); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, err
	}
	path := strings.TrimPrefix(request.URL.Path, "/")
	r.mu.Lock()
	r.calls, r.bodies = append(r.calls, path), append(r.bodies, body)
	r.mu.Unlock()
	response := r.answers[path](body)
	response.Request = request
	return response, nil
}

func reply(code int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func (r *rig) answer(path, body string) {
	r.answers[path] = func(map[string]any) *http.Response { return reply(200, body) }
}

func (r *rig) answerCode(path string, code int, body string, headers ...string) {
	r.answers[path] = func(map[string]any) *http.Response { return reply(code, body, headers...) }
}

// wants makes sync answer with these children and an empty status.
func (r *rig) wants(children ...string) {
	r.answer("sync", `{"status":{},"children":[`+strings.Join(children, ",")+`]}`)
}

func (r *rig) sync() *Sync {
	r.t.Helper()
	s, err := r.d.SyncOnce(r.t.Context(), "gold")
	if err != nil {
		r.t.Fatalf("sync: %v", err)
	}
	return s
}

func (r *rig) fails() error {
	r.t.Helper()
	_, err := r.d.SyncOnce(r.t.Context(), "gold")
	if err == nil {
		r.t.Fatal("the sync went well, it should fail")
	}
	return err
}

func (r *rig) put(text string) *Object {
	r.t.Helper()
	o, err := r.api.Put(object(r.t, text))
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

func (r *rig) create(text string) *Object {
	r.t.Helper()
	o, err := r.api.Create(object(r.t, text))
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

func object(t *testing.T, text string) *Object {
	t.Helper()
	o := new(Object)
	if err := o.UnmarshalJSON([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return o
}

func (r *rig) get(kind, namespace, name string) *Object {
	r.t.Helper()
	versions := map[string]string{"Job": "batch/v1", "StoragePolicy": "storage.billyronks.io/v1", "PersistentVolume": "v1"}
	o, err := r.api.Get(Ref{versions[kind], kind, namespace, name})
	if err != nil {
		return nil
	}
	return o
}

func (r *rig) policy() *Object { return r.get("StoragePolicy", "", "gold") }

func (r *rig) edit(o *Object, change func(*Object)) *Object {
	r.t.Helper()
	fresh, err := r.api.Edit(RefOf(o), change)
	if err != nil {
		r.t.Fatal(err)
	}
	return fresh
}

func (r *rig) last() map[string]any { return r.bodies[len(r.bodies)-1] }

const gold = `{"apiVersion":"storage.billyronks.io/v1","kind":"StoragePolicy","metadata":{"name":"gold"},"spec":{"highWatermarkIOPS":5000}}`

func jobText(name string) string {
	return `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"` + name + `","namespace":"couchestor-system"},
		"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"m","image":"img"}]}}}}`
}

func stub(name string) string {
	return `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"` + name + `","namespace":"couchestor-system"}}`
}

func pvText(name string) string {
	return `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"` + name + `"},"spec":{}}`
}

// dig walks a decoded JSON value.
func dig(t *testing.T, value any, path ...string) any {
	t.Helper()
	for _, step := range path {
		m, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("no object at %q in %v", step, path)
		}
		value = m[step]
	}
	return value
}

func has(t *testing.T, value any, path ...string) bool {
	t.Helper()
	m, ok := dig(t, value, path[:len(path)-1]...).(map[string]any)
	_, found := m[path[len(path)-1]]
	return ok && found
}
