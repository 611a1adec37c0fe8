package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/tiering"
)

// twin is the same service as that of a rig, but that it reads Kubernetes
// itself. Each request that the one answers is put to the other with its related
// part taken out and shown by lists and watches instead. What the two say must
// not differ by a byte, in any test.
type twin struct {
	*kube
	hooks *Hooks
	mu    sync.Mutex
}

func newTwin(t testing.TB, c Config) *twin {
	t.Helper()
	w := &twin{kube: newKube()}
	c.Cluster, c.Observer, c.Log, c.Audit = w.kube, nil, nil, nil
	var err error
	if w.hooks, err = New(c); err != nil {
		t.Fatal(err)
	}
	return w
}

// agrees wants the twin to answer as was answered.
func (w *twin) agrees(t testing.TB, first *Hooks, hook string, body []byte, answered *httptest.ResponseRecorder) {
	t.Helper()
	if answered.Code != http.StatusOK {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var tree map[string]json.RawMessage
	var related map[string]map[string]json.RawMessage
	err := json.Unmarshal(body, &tree)
	if err == nil {
		err = json.Unmarshal(tree["related"], &related)
	}
	if err != nil {
		t.Fatal(err)
	}
	tree["related"] = json.RawMessage("{}")
	body, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[Kind]string{Volumes: volumesKey, Policies: policiesKey, Jobs: jobsKey}
	if first.config.ClaimLabels {
		keys[Claims] = claimsKey
	}
	if first.config.DiskPools != "" {
		keys[DiskPools] = "DiskPool." + first.config.DiskPools
	}
	for _, kind := range Kinds() {
		w.show(t, kind, related[keys[kind]])
	}
	w.hooks.config = first.config
	w.hooks.config.Cluster, w.hooks.config.Observer = w.kube, unobserved{}
	a := w.ask(t, hook, body)
	if diff := cmp.Diff(answered.Body.String(), a.Body.String()); a.Code != http.StatusOK || diff != "" {
		t.Errorf("a service that reads Kubernetes itself answers %d: -related +api\n%s", a.Code, diff)
	}
}

func (w *twin) ask(t testing.TB, hook string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	a := httptest.NewRecorder()
	w.hooks.Routes().ServeHTTP(a, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/"+hook, bytes.NewReader(body)))
	return a
}

// kube is a Cluster that is shown objects as an API server sends them: first by
// a list, then by a watch.
type kube struct {
	mirror Mirror
	shown  map[Kind]map[string]json.RawMessage
	source tiering.Source
	// unread is true until each kind was listed.
	unread bool
}

func newKube() *kube {
	return &kube{shown: map[Kind]map[string]json.RawMessage{}, source: tiering.Source{OK: true, Reason: "Available"}}
}

func (k *kube) View() (*View, tiering.Source) {
	if k.unread {
		return nil, k.source
	}
	return k.mirror.View(), k.source
}

// show makes objects all there are of a kind.
func (k *kube) show(t testing.TB, kind Kind, objects map[string]json.RawMessage) {
	t.Helper()
	before, listed := k.shown[kind]
	k.shown[kind] = objects
	if !listed {
		items := slices.Collect(maps.Values(objects))
		if items == nil {
			items = []json.RawMessage{}
		}
		var all []Object
		version, next, err := ReadList(kind, strings.NewReader(text(object{"kind": "List", "metadata": object{"resourceVersion": "7"}, "items": items})), func(o Object) { all = append(all, o) })
		if err != nil || version != "7" || next != "" {
			t.Fatalf("list %s: got version %q, next %q, %v", kind, version, next, err)
		}
		k.mirror.Replace(kind, all)
		return
	}
	var watch bytes.Buffer
	tell := func(event string, o json.RawMessage) {
		var tree object
		if err := json.Unmarshal(o, &tree); err != nil {
			t.Fatal(err)
		}
		metadata, ok := tree["metadata"].(map[string]any)
		if !ok {
			t.Fatalf("an object without metadata: %s", o)
		}
		metadata["resourceVersion"] = "8"
		fmt.Fprintf(&watch, "{\"type\":%q,\"object\":%s}\n", event, text(tree))
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		was, known := before[name]
		switch {
		case !known:
			tell("ADDED", objects[name])
		case !bytes.Equal(was, objects[name]):
			tell("MODIFIED", objects[name])
		}
	}
	for name, o := range before {
		if _, ok := objects[name]; !ok {
			tell("DELETED", o)
		}
	}
	events := ReadEvents(kind, &watch)
	for {
		e, err := events.Next()
		if err == io.EOF {
			return
		}
		if err != nil || e.Version != "8" {
			t.Fatalf("watch %s: got version %q, %v", kind, e.Version, err)
		}
		if e.Type == "DELETED" {
			k.mirror.Remove(e.Object)
		} else {
			k.mirror.Put(e.Object)
		}
	}
}

// raw is objects as JSON.
func raw(objects map[string]object) map[string]json.RawMessage {
	all := make(map[string]json.RawMessage, len(objects))
	for name, o := range objects {
		all[name] = json.RawMessage(text(o))
	}
	return all
}
