package simulator

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is a cluster, a client for it and the test that plays with it.
type world struct {
	Cluster
	t    *testing.T
	http *http.Client
}

// play runs f on a cluster of so many nodes inside a synctest bubble.
func play(t *testing.T, cfg Config, nodes int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(cfg, nodes)
		client, stop := c.Client()
		defer stop()
		f(&world{c, t, client})
	})
}

// everyProfile runs f once per profile.
func everyProfile(t *testing.T, f func(t *testing.T, p Profile)) {
	t.Helper()
	for _, p := range []Profile{Old, V2_9, V2_10, V2_12} {
		t.Run(string(p), func(t *testing.T) { f(t, p) })
	}
}

// send sends a request and returns status and body; status 0 with the error's
// text when no whole answer came.
func (w *world) send(method, path, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, BaseURL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

// want sends a request and fails the test unless it answers so; kind is that of
// the error, empty for success.
func (w *world) want(method, path, body string, status int, kind string) string {
	w.t.Helper()
	got, text := w.send(method, path, body)
	var e errorJSON
	if got >= 400 && text != "" {
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			w.t.Errorf("%s %s: body %q is no error: %v", method, path, text, err)
		}
	}
	if got != status || e.Kind != kind {
		w.t.Errorf("%s %s: got %d %q (%s), want %d %q", method, path, got, e.Kind, text, status, kind)
	}
	return text
}

// read decodes the answer of a GET that must succeed.
func read[T any](w *world, path string) (v T) {
	w.t.Helper()
	status, text := w.send(http.MethodGet, path, "")
	if status != http.StatusOK {
		w.t.Fatalf("GET %s: got %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		w.t.Fatalf("GET %s: %v", path, err)
	}
	return v
}

func (w *world) volume(uuid string) volumeJSON {
	w.t.Helper()
	return read[volumeJSON](w, "/v0/volumes/"+uuid)
}

func (w *world) pool(id string) poolJSON {
	w.t.Helper()
	return read[poolJSON](w, "/v0/pools/"+id)
}

func count(volume string, n int) string {
	return "/v0/volumes/" + volume + "/replica_count/" + strconv.Itoa(n)
}

// scale sends a PUT replica_count that must succeed.
func (w *world) scale(volume string, n int) {
	w.t.Helper()
	w.want(http.MethodPut, count(volume, n), "", 200, "")
}

// act fails the test when an act was not possible.
func (w *world) act(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// on lists the pools a volume's replicas are on, sorted.
func (w *world) on(volume string) []string {
	var list []string
	for _, r := range w.Truth(volume) {
		list = append(list, r.Pool)
	}
	slices.Sort(list)
	return list
}

// wantOn fails unless the replicas of a volume are on these pools.
func (w *world) wantOn(volume string, pools ...string) {
	w.t.Helper()
	if got := w.on(volume); !slices.Equal(got, pools) {
		w.t.Errorf("replicas are on %v, want %v", got, pools)
	}
}

// cordonBut cordons every pool but these for replicas.
func (w *world) cordonBut(keep ...string) {
	w.t.Helper()
	for _, p := range read[[]poolJSON](w, "/v0/pools") {
		if !slices.Contains(keep, p.ID) {
			w.act(w.ForeignPoolCordon(p.ID, PoolCordon{Replicas: true}, PoolCordon{}))
		}
	}
}

func (w *world) uncordonAll() {
	w.t.Helper()
	for p, flags := range w.Cordons().Pools {
		w.act(w.ForeignPoolCordon(p, PoolCordon{}, flags))
	}
}

// growTo adds a replica on a pool by cordoning all others meanwhile.
func (w *world) growTo(volume, pool string, n int) {
	w.t.Helper()
	w.cordonBut(pool)
	w.scale(volume, n)
	w.uncordonAll()
}

// settle lets rebuilds and reconcilers finish.
func settle() { time.Sleep(5 * time.Minute) }

// topology is the replica topology of a volume by pool.
func topology(v volumeJSON) map[string]replicaTopologyJSON {
	byPool := map[string]replicaTopologyJSON{}
	for _, id := range slices.Sorted(maps.Keys(v.State.ReplicaTopology)) {
		r := v.State.ReplicaTopology[id]
		byPool[r.Pool] = r
	}
	return byPool
}

// noViolations fails when the caller did something it must not.
func (w *world) noViolations() {
	w.t.Helper()
	for _, v := range w.Violations() {
		w.t.Error("violation: " + v)
	}
}
