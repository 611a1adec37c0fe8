package explain

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/test/budget"
	"github.com/billyronks/couchestor/tiering"
)

func get(t *testing.T, b *Book, path, accept string) (int, string) {
	t.Helper()
	r := chi.NewRouter()
	b.Mount(r)
	q := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	if accept != "" {
		q.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w.Code, w.Body.String()
}

func TestPagesOfTheLastPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Book
		p, s := townPlan(t, time.Now())
		b.Decided("db", p, s)
		broken := tiering.ErrorStatus(tiering.StoragePolicyStatus{}, time.Now(), 1, []error{tiering.Fault{Field: "spec.minCoverage", Problem: "is 1; write 50 to 100"}})
		b.Decided("broken", nil, &broken)
		time.Sleep(42 * time.Second)

		for _, c := range []struct {
			name, path, accept string
			code               int
			says               []string
		}{
			{"all policies", "/explain", "*/*", 200, []string{"POLICY", "db      Active", "broken  Error", "42s ago"}},
			{"a policy", "/explain/db", "*/*", 200, []string{"db, generation 3: Active", "42s ago.", "shop/busy"}},
			{"a policy with faults", "/explain/broken", "", 200, []string{"broken, generation 1: Error", "spec.minCoverage is 1"}},
			{"a claim", "/explain/db/shop/cooling", "", 200, []string{"shop/cooling (pvc-cooling) by policy db", "cooldown  "}},
			{"a volume", "/explain/db/pvc-cooling", "", 200, []string{"shop/cooling (pvc-cooling) by policy db"}},
			{"a uuid", "/explain/db/uuid-cooling", "", 200, []string{"shop/cooling (pvc-cooling) by policy db"}},
			{"a claim in one piece", "/explain/db/shop%2Fcooling", "", 200, []string{"shop/cooling (pvc-cooling) by policy db"}},
			{"a volume that never reaches the status", "/explain/db/shop/detached", "", 200, []string{"Held on hot by gate coverage", "it is not published"}},
			{"no such policy", "/explain/dbs", "", 404, []string{"no policy dbs was decided on; those that were: broken, db"}},
			{"no such volume", "/explain/db/shop/busi", "", 404, []string{"policy db decides on no volume shop/busi; did you mean shop/busy"}},
			{"nothing like it", "/explain/db/shop/xyzzyx", "", 404, []string{"a volume is named by its PersistentVolume, its uuid, or namespace/name of its claim"}},
			{"a volume of a policy with faults", "/explain/broken/shop/busy", "", 404, []string{"policy broken has faults and decides on no volume"}},
		} {
			code, body := get(t, &b, c.path, c.accept)
			if code != c.code {
				t.Errorf("%s: got %d, want %d", c.name, code, c.code)
			}
			for _, part := range c.says {
				if !strings.Contains(body, part) {
					t.Errorf("%s: it does not say %q:\n%s", c.name, part, body)
				}
			}
		}

		b.Gone("db")
		if code, body := get(t, &b, "/explain/db", ""); code != 404 || !strings.Contains(body, "those that were: broken") {
			t.Errorf("a policy that is gone: got %d %s", code, body)
		}
	})
}

// The page is the plan's own explanation, with its age.
func TestJSONIsTheSameValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Book
		p, s := townPlan(t, time.Now())
		b.Decided("db", p, s)
		time.Sleep(1500 * time.Millisecond)
		var e tiering.Explanation
		_, body := get(t, &b, "/explain/db", "application/json")
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		want := p.Explain(s)
		want.AgeSeconds = 1.5
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("policy (-want +got):\n%s", diff)
		}
		i, _ := p.Lookup("shop/cooling")
		var v tiering.VolumeExplanation
		_, body = get(t, &b, "/explain/db/shop/cooling", "text/html, application/json;q=0.9")
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		wantVolume := p.ExplainVolume(i, s)
		wantVolume.AgeSeconds = 1.5
		if diff := cmp.Diff(wantVolume, v); diff != "" {
			t.Errorf("volume (-want +got):\n%s", diff)
		}
	})
}

func TestTextUnlessJSONIsNamed(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/plain": false, "application/json": true, "text/html,application/json;q=0.5": true,
		"application/json;q=0": false, "application/*": false, "nonsense;;": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Accept", accept)
		if got := acceptsJSON(r); got != want {
			t.Errorf("%q: got %t, want %t", accept, got, want)
		}
	}
}

func TestBeforeTheFirstSyncThereIsASentence(t *testing.T) {
	var b Book
	if code, body := get(t, &b, "/explain", ""); code != 200 || !strings.HasPrefix(body, "Nothing was decided yet: Metacontroller has not asked") {
		t.Errorf("got %d %s", code, body)
	}
	if code, body := get(t, &b, "/explain", "application/json"); code != 200 || strings.Join(strings.Fields(body), "") != `{"policies":[]}` {
		t.Errorf("got %d %s", code, body)
	}
	if code, body := get(t, &b, "/explain/db", ""); code != 404 || !strings.HasPrefix(body, "nothing was decided yet") {
		t.Errorf("got %d %s", code, body)
	}
}

// plain is a plan on n volumes.
func plainPlan(t *testing.T, n int) *tiering.Plan {
	t.Helper()
	in := tiering.Input{Now: noon(), Policy: policy(t, "db"), World: &tiering.World{}}
	for range n {
		in.Volumes = append(in.Volumes, &tiering.Volume{Name: "v", StorageClass: "mayastor"})
	}
	return tiering.Decide(in)
}

func TestTheBookIsBounded(t *testing.T) {
	var b Book
	most, few := plainPlan(t, maxVolumes-10), plainPlan(t, 11)
	b.Decided("most", most, nil)
	b.Decided("few", few, nil)
	if code, body := get(t, &b, "/explain/few", ""); code != 503 || !strings.Contains(body, "with its 11 volumes") {
		t.Errorf("got %d %s", code, body)
	}
	// A policy's own last plan makes room for its next.
	b.Decided("most", most, nil)
	if code, _ := get(t, &b, "/explain/most", ""); code != 200 {
		t.Errorf("got %d", code)
	}
	b.Gone("most")
	b.Decided("few", few, nil)
	if code, _ := get(t, &b, "/explain/few", ""); code != 200 {
		t.Errorf("got %d", code)
	}
	b.Gone("few")
	if b.volumes != 0 {
		t.Errorf("an empty book counts %d volumes", b.volumes)
	}
}

// What is kept of a policy with few volumes must not hold those of the cluster.
func TestThePageDoesNotHoldTheCluster(t *testing.T) {
	const n = 20_000
	var b Book
	before := budget.Heap()
	func() {
		in := town(t, noon())
		for range n {
			in.Volumes = append(in.Volumes, &tiering.Volume{Name: "other", StorageClass: "other"})
		}
		p := tiering.Decide(in)
		s := p.Status(tiering.StoragePolicyStatus{})
		b.Decided("db", p, &s)
	}()
	if kept := budget.Heap() - before; kept > 1<<20 {
		t.Errorf("got %d KiB kept for 7 volumes of %d", kept>>10, n)
	}
	runtime.KeepAlive(&b)
}

// BenchmarkDecided is what keeping the plan adds to a sync of a policy that has
// most of the cluster, and of one that has few of its volumes.
func BenchmarkDecided(b *testing.B) {
	for name, of := range map[string]int{"all of 10000": 1, "a tenth of 10000": 10} {
		b.Run(name, func(b *testing.B) {
			in := tiering.Input{Now: noon(), Policy: policy(b, "db"), World: &tiering.World{}}
			for i := range 10_000 {
				v := volume("v", "cold-1", 1000)
				if i%of != 0 {
					v.StorageClass = "other"
				}
				in.Volumes = append(in.Volumes, v)
			}
			p := tiering.Decide(in)
			var book Book
			b.ReportAllocs()
			for b.Loop() {
				book.Decided("db", p, nil)
			}
		})
	}
}
