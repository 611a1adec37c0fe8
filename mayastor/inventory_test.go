package mayastor_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

func TestCapability(t *testing.T) {
	t.Parallel()
	const (
		with    = `{"paths":{"/pools":{"get":{}},"/pools/{id}/cordon":{"put":{},"delete":{}}}}`
		without = `{"paths":{"/pools":{"get":{}},"/nodes/{id}/cordon/{label}":{"put":{},"delete":{}}}}`
	)
	for _, tt := range []struct {
		name          string
		said          said
		claimed       string
		pool, removal bool
		source        string
	}{
		{"a pool cordon route means 2.10 and steers both", said{200, with}, "", true, true, "2.10 or newer"},
		{"the parameter may have any name", said{200, strings.ReplaceAll(with, "{id}", "{pool_id}")}, "", true, true, "2.10 or newer"},
		{"the paths may have the base", said{200, strings.ReplaceAll(with, "/pools/", "/v0/pools/")}, "", true, true, "2.10 or newer"},
		{"what the server shows goes before a lower word", said{200, with}, "2.7", true, true, "2.10 or newer"},
		{"a route that cannot lift its cordon is none", said{200, strings.ReplaceAll(with, `"delete"`, `"get"`)}, "", false, false, "no pool cordon"},
		{"a cordon of one pool is not a cordon of pools", said{200, strings.ReplaceAll(with, "{id}", "id")}, "", false, false, "no pool cordon"},
		{"a node cordon is no pool cordon", said{200, without}, "", false, false, "no --mayastor-version"},
		{"without the route the word 2.9 gives removal", said{200, without}, "2.9", false, true, "vouches for 2.9"},
		{"also with a patch level", said{200, without}, "v2.9.1", false, true, "vouches for 2.9"},
		{"also with a pre-release", said{200, without}, "2.9.0-rc.1+7", false, true, "vouches for 2.9"},
		{"a higher word than what is seen gives no more", said{200, without}, "2.12", false, true, "vouches for 2.12"},
		{"2.10 is above 2.9, not below", said{200, without}, "2.10", false, true, "vouches for 2.10"},
		{"3.0 is above 2.9", said{200, without}, "3.0", false, true, "vouches for 3.0"},
		{"2.8 steers nothing and says what would", said{200, without}, "2.8.9", false, false, "moves need Mayastor 2.10, or 2.9 and --mayastor-version"},
		{"1.15 steers nothing", said{200, without}, "1.15", false, false, "says 1.15"},
		{"a word that is no version is none", said{200, without}, "latest", false, false, `"latest" is no version`},
		{"a single number is no version", said{200, without}, "3", false, false, "is no version"},
		{"a server that does not describe itself is taken at the operator's word", said{404, ""}, "2.9", false, true, "does not describe its API"},
		{"and without it steers nothing", said{404, ""}, "", false, false, "does not describe its API"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got, err := restClient(t, tt.said, nil).Capability(t.Context(), tt.claimed)
				if err != nil {
					t.Fatal(err)
				}
				if got.PoolCordon != tt.pool || got.Removal != tt.removal || !strings.Contains(got.Source, tt.source) {
					t.Errorf("got %+v, want pool %v, removal %v and a source with %q", got, tt.pool, tt.removal, tt.source)
				}
			})
		})
	}
	for _, s := range []said{{200, `{}`}, {200, `{"paths":{}}`}, {200, `[]`}, {503, ""}, {401, ""}} {
		synctest.Test(t, func(t *testing.T) {
			if got, err := restClient(t, s, nil).Capability(t.Context(), "2.10"); err == nil || got != (mayastor.Capability{}) {
				t.Errorf("%d %q: got %+v, %v, want an error and nothing steerable", s.status, s.body, got, err)
			}
		})
	}
}

// control is a small control plane of fixed answers by path.
type control map[string]string

func (c control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if body, ok := c[r.URL.RequestURI()]; ok {
		said{200, body}.ServeHTTP(w, r)
		return
	}
	kindOf(503, "Unavailable").ServeHTTP(w, r)
}

func whole() control {
	return control{
		"/v0/volumes?max_entries=500":                    `{"entries":[{"spec":{"uuid":"c"}},{"spec":{"uuid":"a"}}],"next_token":500}`,
		"/v0/volumes?max_entries=500&starting_token=500": `{"entries":[{"spec":{"uuid":"b"}},{"spec":{"uuid":"a"}}]}`,
		"/v0/pools":    `[{"id":"p3","state":{"status":"Degraded"}},{"id":"p2","state":{"status":"Online"}},{"id":"p1","state":{"status":"Online"}},{"id":"p4"}]`,
		"/v0/nodes":    `[{"id":"n2","state":{"status":"Online"}},{"id":"n1","state":{"status":"Offline"}},{"id":"n3"}]`,
		"/v0/api/spec": `{"paths":{"/pools/{id}/cordon":{"put":{},"delete":{}}}}`,
	}
}

func TestInventory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		before := now.Add(-time.Hour)
		h := &tally{Handler: whole()}
		c := restClient(t, h, nil)
		prev := &mayastor.Inventory{
			PoolOnlineSince: map[string]time.Time{"p1": before, "p3": before, "gone": before},
			NodeOnlineSince: map[string]time.Time{"n1": before, "n2": before},
		}
		i, err := c.Inventory(t.Context(), prev, "", now)
		if err != nil {
			t.Fatal(err)
		}
		var volumes, pools, nodes []string
		for _, v := range i.Volumes {
			volumes = append(volumes, v.UUID())
		}
		for _, p := range i.Pools {
			pools = append(pools, p.ID)
		}
		for _, n := range i.Nodes {
			nodes = append(nodes, n.ID)
		}
		if d := cmp.Diff([][]string{volumes, pools, nodes}, [][]string{{"a", "b", "c"}, {"p1", "p2", "p3", "p4"}, {"n1", "n2", "n3"}}); d != "" {
			t.Errorf("sorted and each once: %s", d)
		}
		if !i.At.Equal(now) || !i.Capability.PoolCordon {
			t.Errorf("got %v and %+v", i.At, i.Capability)
		}
		if d := cmp.Diff(i.PoolOnlineSince, map[string]time.Time{"p1": before, "p2": now}); d != "" {
			t.Errorf("Online since: what was and is carries over, what is new begins now, the rest is forgotten: %s", d)
		}
		if d := cmp.Diff(i.NodeOnlineSince, map[string]time.Time{"n2": before}); d != "" {
			t.Error(d)
		}
		if len(h.seen) != 2+3 {
			t.Errorf("got %d requests, want pages + 3: %v", len(h.seen), h.seen)
		}
	})
}

func TestAPartOfTheTruthIsNoInventory(t *testing.T) {
	t.Parallel()
	for path := range whole() {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := whole()
				delete(h, path)
				i, err := restClient(t, h, nil).Inventory(t.Context(), nil, "", time.Now())
				if i != nil || !mayastor.IsUnsure(err) {
					t.Errorf("got %v, %v, want no inventory and class unsure", i, err)
				}
			})
		})
	}
}

// MS 8.3.20: newer servers say more than we know.
func TestUnknownFieldsAndValuesAreTolerated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := restClient(t, said{200, `[{"id":"p","diag":{"x":[1]},"spec":{"node":"n","clusterSize":1,"status":"Dreaming"},"state":{"status":"Suspected","used":5,"errors":null}}]`}, nil)
		pools, err := c.Pools(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := []mayastor.Status{pools[0].Spec.Status, pools[0].State.Status}; !slices.Equal(got, []mayastor.Status{"Dreaming", "Suspected"}) {
			t.Errorf("got %v, want them as they came", got)
		}
	})
}

// The list shares memory between volumes; that must not be seen.
func TestTheListSaysOfAVolumeWhatItSaysItself(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		x := newTrial(t, seed, "2.12", wild{broken: true, topologies: true})
		all, err := x.client.Volumes(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(x.Volumes()) {
			t.Errorf("got %d volumes, want %d", len(all), len(x.Volumes()))
		}
		for _, packed := range all {
			listed := packed.Volume()
			alone, err := x.client.Volume(t.Context(), listed.Spec.UUID)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(listed, alone); d != "" {
				t.Errorf("seed %d: %s", seed, d)
			}
		}
	}
}
