package hooks

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// fromNothing answers a request as a service does that has just started: it
// remembers nothing.
func fromNothing(t *testing.T, c Config, body []byte) string {
	t.Helper()
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.Routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/sync", bytes.NewReader(body)))
	return fmt.Sprint(w.Code, " ", w.Body)
}

// What is remembered of one request must never show in the answer to another:
// whatever changes in between, the answer is that of a service that has just
// started.
func TestWhatIsRememberedNeverShows(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 8))
	r := newAPIRig(t)
	rival := newPolicy("rival", "rival-uid")
	rival.at("spec")["priority"] = 3
	rival.at("spec")["volumeSelector"] = object{"matchLabels": object{"app": "shared"}}
	r.policies["rival"] = rival
	for i := 2; i <= 12; i++ {
		r.volume(i)
		r.place(i, "cold-1", "cold-2")
		r.score(i, busy+float64(i))
	}
	changes := []func(i int){
		func(i int) { r.score(i, []float64{idle, middle, busy}[random.IntN(3)]) },
		func(i int) { delete(r.scores.Samples, "pvc-"+uuid(i)) },
		func(i int) { r.place(i, "hot-1", "hot-2") },
		func(i int) { r.place(i, "cold-1", "cold-3") },
		func(i int) { r.place(i, "cold-2", "hot-3") },
		func(int) { r.mayastor.Inventory = new(*r.mayastor.Inventory) },
		func(int) { // not listed
			next := *r.mayastor.Inventory
			next.Volumes = next.Volumes[1:]
			r.mayastor.Inventory = &next
		},
		func(i int) { delete(r.volumes, "pvc-"+uuid(i)) },
		func(i int) { r.volume(i) },
		func(i int) { r.volume(i).at("metadata")["labels"] = object{"app": "shared"} },
		func(i int) { r.volume(i).at("spec")["storageClassName"] = "other" },
		func(i int) { r.volume(i).at("spec", "csi")["volumeHandle"] = uuid(random.IntN(12) + 1) },
		func(i int) { r.volume(i).at("spec", "csi")["volumeHandle"] = "none" },
		func(i int) { r.volume(i); r.remember(i, attempt(3, mayastor.Failed, noon)) },
		func(i int) { r.volume(i); r.remember(i, attempt(4, mayastor.Started, noon.Add(-3*uncleanFor))) },
		func(i int) { r.claims[fmt.Sprintf("shop/data-%d", i)] = claimOfVolume(i, "shared", uuid(i)) },
		func(i int) { r.claims[fmt.Sprintf("shop/data-%d", i)] = claimOfVolume(i, "shared", "another") },
		func(i int) { delete(r.claims, fmt.Sprintf("shop/data-%d", i)) },
		func(i int) { r.run(i, int64(random.IntN(9)+1)) },
		func(i int) { r.foreign(i, int64(random.IntN(9)+1), "rival") },
		func(int) { clear(r.jobs); clear(r.children) },
		func(int) { rival.at("spec")["priority"] = random.IntN(7) - 3 },
		func(int) { rival.at("spec")["claimNamespaces"] = []any{[]string{"shop", "bank"}[random.IntN(2)]} },
		func(int) { rival.at("spec")["highWatermarkIOPS"] = []any{7000, "many"}[random.IntN(2)] },
		func(int) { delete(r.policies, "rival") },
		func(int) { r.policies["rival"] = rival },
		func(int) { r.policy.at("spec")["dryRun"] = random.IntN(2) == 0 },
		func(int) { r.policy.at("spec")["samplingWindow"] = []string{"1h", "2h"}[random.IntN(2)] },
		func(int) { r.mayastor.Source.OK = !r.mayastor.Source.OK },
		func(int) { r.now = r.now.Add(uncleanFor / 2) },
	}
	for step := range 400 {
		for range 1 + random.IntN(2) {
			changes[random.IntN(len(changes))](random.IntN(12) + 1)
		}
		a := r.ask(t)
		tree := r.tree()
		tree["related"] = object{}
		if diff := cmp.Diff(fromNothing(t, r.hooks.config, []byte(text(tree))), fmt.Sprint(a.code, " ", string(a.body))); diff != "" {
			t.Fatalf("step %d: -from nothing +remembered\n%s", step, diff)
		}
		if a.code == http.StatusOK && random.IntN(2) == 0 {
			r.status(a.raw)
		}
	}
}

func claimOfVolume(i int, app, uid string) object {
	return object{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": object{"namespace": "shop", "name": fmt.Sprintf("data-%d", i), "uid": uid, "labels": object{"app": app}},
	}
}

func TestAVolumeIsRememberedWhileNothingOfItChanges(t *testing.T) {
	r := newAPIRig(t)
	r.volume(2)
	r.place(2, "cold-1", "cold-2")
	r.score(2, busy)
	var seen [][]*tiering.Volume
	look := func() []*tiering.Volume {
		r.ask(t)
		var now []*tiering.Volume
		for _, pv := range r.hooks.views.last.volumes {
			now = append(now, pv.last)
		}
		seen = append(seen, now)
		return now
	}
	same := func(name string, want ...bool) {
		t.Helper()
		before, now := seen[len(seen)-1], look()
		for i := range now {
			if got := now[i] == before[i]; got != want[i] {
				t.Errorf("%s: volume %d is the same: %v, want %v", name, i+1, got, want[i])
			}
		}
	}
	look()
	same("nothing changes", true, true)
	r.score(2, middle)
	same("a score", true, false)
	r.volume(1).at("metadata")["labels"] = object{"app": "db"}
	same("a PersistentVolume", false, true)
	r.claims["shop/data-2"] = claimOfVolume(2, "another", uuid(2))
	same("a claim", true, false)
	r.policies["rival"] = newPolicy("rival", "r")
	same("a policy", true, true)
}

// Two policies are asked at once about the same volumes.
func TestWhatIsRememberedIsSharedByRequestsAtOnce(t *testing.T) {
	r := newAPIRig(t)
	for i := 2; i <= 20; i++ {
		r.volume(i)
		r.place(i, "cold-1", "cold-2")
		r.score(i, busy)
	}
	want := r.ask(t)
	tree := r.tree()
	tree["related"] = object{}
	body := []byte(text(tree))
	var at sync.WaitGroup
	for range 2 {
		at.Go(func() {
			for range 20 {
				w := httptest.NewRecorder()
				r.hooks.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+"/sync", bytes.NewReader(body)))
				if w.Body.String() != string(want.body) {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
			}
		})
	}
	at.Wait()
}
