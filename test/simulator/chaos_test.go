package simulator

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sound checks what must hold in every world, whatever was done to it.
func sound(s *Simulator) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, r := range s.replicas.values {
		if !slices.Contains(r.pool.own, r) {
			fault("replica %s is not on its pool", r.uuid)
		}
		if v := r.volume; v != nil && !slices.Contains(v.own, r) {
			fault("replica %s is not among its volume's", r.uuid)
		}
	}
	for _, p := range s.pools.values {
		for _, r := range p.own {
			if got, found := s.replicas.get(r.uuid); !found || got != r {
				fault("pool %s holds the destroyed replica %s", p.id, r.uuid)
			}
		}
		if p.snapshots < 0 {
			fault("pool %s has %d bytes of snapshots", p.id, p.snapshots)
		}
	}
	for _, v := range s.volumes.values {
		nodes := map[*node]bool{}
		for _, r := range v.own {
			if nodes[r.pool.node] {
				fault("volume %s has two replicas on %s", v.uuid, r.pool.node.id)
			}
			nodes[r.pool.node] = true
			if r.version > v.version {
				fault("replica %s holds the future", r.uuid)
			}
		}
		if v.want < 1 {
			fault("volume %s wants %d replicas", v.uuid, v.want)
		}
		if v.target == nil && v.nexus != nil {
			fault("volume %s has a nexus but no target", v.uuid)
		}
		if v.nexus == nil {
			continue
		}
		if v.nexus.node != v.target || !v.nexus.node.up {
			fault("volume %s: nexus on %s", v.uuid, v.nexus.node.id)
		}
		for _, c := range v.nexus.children {
			switch {
			case c.replica.volume != v:
				fault("volume %s: child %s is not its replica", v.uuid, c.replica.uuid)
			case c.state == "Online" && (!c.replica.pool.online() || c.job != nil || !v.info[c.replica.uuid]):
				fault("volume %s: child %s is Online wrongly", v.uuid, c.replica.uuid)
			case c.state == "Online" && !c.replica.blank && c.replica.version != v.version:
				fault("volume %s: child %s is Online and behind", v.uuid, c.replica.uuid)
			case c.job != nil && (c.state != "Degraded" || s.fraction(c.job) > 1):
				fault("volume %s: child %s rebuilds while %s", v.uuid, c.replica.uuid, c.state)
			}
		}
	}
	return faults
}

// riot lets random callers and random others loose on a world and returns its
// transcript.
func riot(t *testing.T, p Profile, seed uint64) (transcript []string) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := NewCluster(Config{Profile: p, Seed: seed, FaultedWait: 2 * time.Minute, CachePeriod: time.Duration(seed%2) * 30 * time.Second}, 4)
		client, stop := c.Client()
		defer stop()
		w := &world{c, t, client}
		for i := range 4 {
			n := 1 + i%3
			pools := []string{"sata-1", "nvme-2", "sata-3"}[:n]
			c.AddVolume(Volume{Pools: pools, Target: "node-1", Size: gib * int64(1+rng.IntN(50)), Thick: i == 3})
		}
		c.OnChange(func(view View) {
			if faults := sound(view.s); len(faults) > 0 {
				t.Errorf("seed %d, %s after %s: %s", seed, view.Now().Sub(c.started), view.Cause(), strings.Join(faults, "; "))
			}
		})
		for range 120 {
			volumes := c.Volumes()
			v := volumes[rng.IntN(len(volumes))]
			node, pool := fmt.Sprintf("node-%d", 1+rng.IntN(4)), fmt.Sprintf("nvme-%d", 1+rng.IntN(4))
			switch rng.IntN(6) {
			case 0:
				n := c.Replicas(v)
				if n < 4 {
					status, _ := w.send("PUT", count(v, n+1), "")
					transcript = append(transcript, fmt.Sprint("grow ", status))
				}
			case 1:
				c.AllowReduced(v, 1)
				status, _ := w.send("PUT", count(v, c.Replicas(v)-1), "")
				transcript = append(transcript, fmt.Sprint("shrink ", status))
			case 2:
				method := []string{"PUT", "DELETE"}[rng.IntN(2)]
				w.send(method, "/v0/nodes/"+node+"/cordon/mine", "")
				w.send(method, "/v0/pools/"+pool+"/cordon", `{"replicas":true}`)
			default:
				transcript = append(transcript, c.RandomAct(rng))
			}
			time.Sleep(time.Duration(rng.Int64N(int64(40 * time.Second))))
			_, body := w.send("GET", "/v0/volumes?max_entries=0", "")
			transcript = append(transcript, body)
		}
		for _, violation := range c.Violations() {
			transcript = append(transcript, violation)
			if strings.Contains(violation, "last fully synced copy") {
				// MS 4.5 cannot take the last healthy copy of a published volume.
				t.Errorf("seed %d: %s", seed, violation)
			}
		}
	})
	return transcript
}

func TestTheWorldStaysSoundWhateverIsDoneToIt(t *testing.T) {
	acts := map[string]int{}
	for _, p := range []Profile{Old, V2_9, V2_10, V2_12} {
		for seed := range uint64(8) {
			for _, line := range riot(t, p, seed) {
				if name, _, _ := strings.Cut(line, " "); len(line) < 100 {
					acts[name]++
				}
			}
		}
	}
	for _, a := range append(allActs(), "grow", "shrink") {
		if acts[a] == 0 {
			t.Errorf("%s never happened", a)
		}
	}
	t.Logf("acts: %v", acts)
}

func allActs() (names []string) {
	for _, a := range acts {
		names = append(names, string(a))
	}
	return names
}

func TestTheSameSeedAndCallsGiveTheSameWorld(t *testing.T) {
	for seed := range uint64(3) {
		a, b := riot(t, V2_10, seed), riot(t, V2_10, seed)
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Fatalf("seed %d: line %d differs:\n%s\n%s", seed, i, a[i], b[min(i, len(b)-1)])
			}
		}
	}
}

func TestConcurrentCallersMeetOneConsistentWorld(t *testing.T) {
	play(t, Config{Latency: 50 * time.Millisecond}, 4, func(w *world) {
		v := w.Published(gib, "sata-1")
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for n := range 10 {
					switch (i + n) % 4 {
					case 0:
						w.send("PUT", count(v, 2), "")
					case 1:
						w.send("PUT", count(v, 1), "")
					case 2:
						w.send("GET", "/v0/volumes?max_entries=0", "")
					default:
						w.Truth(v)
						w.Cordons()
					}
					time.Sleep(time.Second)
				}
			})
		}
		callers.Wait()
		w.Look(func(View) {
			if faults := sound(w.Simulator); len(faults) > 0 {
				t.Error(faults)
			}
		})
		if got := w.Counts(v); got.Ups == 0 || got.Downs == 0 {
			t.Errorf("got %+v, want some of both", got)
		}
	})
}

func TestADayAndTenThousandVolumesTakeNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(Config{CachePeriod: 30 * time.Second}, 20)
		for i := range 10_000 {
			c.AddVolume(Volume{Size: gib, Allocated: mib, Pools: []string{fmt.Sprintf("sata-%d", 1+i%20)}, Target: fmt.Sprintf("node-%d", 1+i%20)})
		}
		time.Sleep(24 * time.Hour)
		c.Now()
		if len(c.agenda) > 100 {
			t.Errorf("%d events are planned after a quiet day", len(c.agenda))
		}
		if c.healTicks > 10 {
			t.Errorf("the reconciler ticked %d times in a quiet day", c.healTicks)
		}
	})
}

func FuzzServeHTTP(f *testing.F) {
	const v = "ec4e66fd-3b33-4439-b504-d49aba53da26"
	for _, seed := range [][3]string{
		{"GET", "/v0/volumes?max_entries=0", ""},
		{"PUT", "/v0/volumes/" + v + "/replica_count/3", ""},
		{"PUT", "/v0/volumes/" + v + "/replica_count/1", ""},
		{"PUT", "/v0/pools/sata-1/cordon", `{"replicas":true}`},
		{"DELETE", "/v0/nodes/node-1/cordon/x", ""},
		{"PUT", "/v0/pools/sata-1/label/a=b", ""},
		{"DELETE", "/v0/nexuses/" + v + "/children/x%2Fy", ""},
		{"PUT", "/v0/volumes/" + v + "/target", `{"node":"node-1"}`},
		{"GET", "/metrics", ""},
		{"PUT", "/v0/volumes/" + v + "/size", `{"size":-1}`},
		{"GET", "/v0/volumes?max_entries=9223372036854775807&starting_token=9223372036854775807", ""},
		{"GET", "//%zz/{}", "\x00"},
		{"DELETE", "/v0/volumes/" + v, ""},
		{"PUT", "/v0/nodes/node-2/drain/y", ""},
		{"GET", "/v0/api/spec", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		c := NewCluster(Config{Seed: 1, Now: func() time.Time { return time.Unix(0, 0) }}, 3)
		c.AddVolume(Volume{UUID: v, Pools: []string{"sata-1", "sata-2"}, Target: "node-1", Snapshots: 1})
		path, query, _ := strings.Cut(target, "?")
		req := &http.Request{Method: method, URL: &url.URL{Path: path, RawPath: path, RawQuery: query}, Body: http.NoBody, Header: http.Header{}}
		if body != "" {
			req = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			req.Method, req.URL = method, &url.URL{Path: path, RawPath: path, RawQuery: query}
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, req)
		if w.Code < 200 || w.Code >= 600 {
			t.Errorf("%s %q: status %d", method, target, w.Code)
		}
		c.Look(func(View) {
			if faults := sound(c.Simulator); len(faults) > 0 {
				t.Errorf("%s %q: %v", method, target, faults)
			}
		})
	})
}

// TestNobodyCordonsAPoolWhereTheServerHasNoSuchRoute: found with
// COUCHESTOR_MODEL_SEED=1332, where nothing could lift such a cordon again.
func TestNobodyCordonsAPoolWhereTheServerHasNoSuchRoute(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 3, func(w *world) {
			w.Published(gib, "sata-1")
			rng, acts := rand.New(rand.NewPCG(1, 1)), 0
			for range 50 {
				if w.RandomAct(rng, ActPoolCordon) != "" {
					acts++
				}
			}
			if could := p.atLeast(V2_10); (acts > 0) != could {
				t.Errorf("%d pool cordons of others on %s", acts, p)
			}
		})
	})
}
