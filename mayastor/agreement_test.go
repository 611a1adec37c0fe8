package mayastor_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// trial is a random cluster with a clock of its own and a client for it.
type trial struct {
	*testing.T
	*simulator.Simulator
	rng    *rand.Rand
	now    time.Time
	client *mayastor.Client
	cap    mayastor.Capability
	nodes  []string
	pools  map[string][]string // by node
	volume string
}

// wild says what may be odd about a random cluster.
type wild struct {
	broken, topologies bool
	// full has a replica on each of 3 or 4 nodes, which all have a target pool.
	full bool
}

// newTrial makes cluster number seed. The volume has a replica on each of 1 to 4
// nodes and is published on one of them.
func newTrial(t *testing.T, seed uint64, profile simulator.Profile, odd wild) *trial {
	t.Helper()
	x := &trial{T: t, rng: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), pools: map[string][]string{}}
	x.Simulator = simulator.New(simulator.Config{Profile: profile, Seed: seed, Now: func() time.Time { return x.now }})
	c, err := mayastor.NewClient(mayastor.Config{URL: simulator.BaseURL, HTTP: direct(x.Simulator)})
	if err != nil {
		t.Fatal(err)
	}
	x.client = c
	claimed := map[simulator.Profile]string{simulator.V2_9: "2.9"}[profile]
	if x.cap, err = c.Capability(t.Context(), claimed); err != nil {
		t.Fatal(err)
	}
	x.build(odd)
	return x
}

// direct is a client that calls h without a connection between.
func direct(h http.Handler) *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.Body == nil {
			r.Body = http.NoBody
		}
		h.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

func (x *trial) chance(percent int) bool { return x.rng.IntN(100) < percent }
func pick[T any](x *trial, of ...T) T    { return of[x.rng.IntN(len(of))] }

// some returns n of the list, in random order.
func some[T any](x *trial, n int, list []T) []T {
	list = slices.Clone(list)
	x.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

func (x *trial) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *trial) build(odd wild) {
	nodes := 2 + x.rng.IntN(5)
	if odd.full {
		nodes = 3 + x.rng.IntN(2)
	}
	for i := range nodes {
		n := simulator.Node{ID: fmt.Sprintf("node-%d", i), Labels: map[string]string{"host": fmt.Sprint(i)}}
		if !odd.topologies || x.chance(90) {
			n.Labels["zone"] = pick(x, "a", "b", "c", "d")
		}
		x.AddNode(n)
		x.nodes = append(x.nodes, n.ID)
		for _, tier := range []string{"sata", "sata", "nvme"} {
			if len(x.pools[n.ID]) > 0 && x.chance(35) && !odd.full {
				continue
			}
			p := simulator.Pool{
				ID: fmt.Sprintf("%s-%d-%d", tier, i, len(x.pools[n.ID])), Node: n.ID, Labels: map[string]string{"tier": tier},
				Capacity: int64(pick(x, 100, 200, 1024)) * gibibyte, NotByOperator: odd.topologies && x.chance(5),
			}
			if x.chance(80) {
				p.Labels["rack"] = pick(x, "r", "s")
			}
			if x.chance(30) {
				p.Used = p.Capacity / 100 * int64(x.rng.IntN(101))
			}
			x.AddPool(p)
			x.pools[n.ID] = append(x.pools[n.ID], p.ID)
		}
	}
	for range x.rng.IntN(5) {
		x.AddVolume(x.random(odd, 1+x.rng.IntN(2)))
	}
	replicas := 1 + x.rng.IntN(min(4, len(x.nodes)))
	if odd.full {
		replicas = len(x.nodes)
	}
	v := x.random(odd, replicas)
	v.Target = pick(x, x.nodes...)
	x.volume = x.AddVolume(v)
	if odd.full {
		return
	}
	for _, n := range x.nodes {
		if x.chance(15) {
			x.must(x.ForeignNodeCordon(n, "somebody"))
		}
		for _, p := range x.pools[n] {
			switch {
			case x.chance(10):
				x.must(x.ForeignPoolCordon(p, simulator.PoolCordon{Replicas: true}, simulator.PoolCordon{}))
			case odd.broken && x.chance(10):
				x.must(x.DegradePool(p, true))
			case x.chance(5):
				x.must(x.FillPool(p, pick(x, int64(0), 1<<20, 16<<20, 20<<20, 3*gibibyte)))
			}
		}
	}
}

// random is a volume with a replica on each of n nodes.
func (x *trial) random(odd wild, n int) simulator.Volume {
	v := simulator.Volume{Size: int64(pick(x, 1, 10, 50)) * gibibyte, Thick: x.chance(30)}
	v.Allocated = 1 + v.Size/100*int64(x.rng.IntN(101))
	for _, node := range some(x, n, x.nodes) {
		v.Pools = append(v.Pools, pick(x, x.pools[node]...))
	}
	if !odd.topologies {
		return v
	}
	if x.chance(20) {
		v.AffinityGroup = "ns/db"
	}
	if x.chance(10) {
		v.Snapshots = 1
	}
	switch x.rng.IntN(10) {
	case 0:
		v.PoolInclusion = map[string]string{"rack": pick(x, "", "r")}
	case 1:
		v.NodeInclusion = map[string]string{"zone": pick(x, "", "a", "b")}
	case 2, 3:
		v.NodeSpread = []string{"zone"}
	case 4:
		v.AllowedNodes = some(x, 3, x.nodes)
	}
	return v
}

// world reads everything.
func (x *trial) world() (mayastor.Volume, []mayastor.Pool, []mayastor.Node) {
	x.Helper()
	v, err := x.client.Volume(x.Context(), x.volume)
	x.must(err)
	pools, err := x.client.Pools(x.Context())
	x.must(err)
	nodes, err := x.client.Nodes(x.Context())
	x.must(err)
	return v, pools, nodes
}

// moreSeeds is the number of random clusters: n, or n times MAYASTOR_TRIALS.
func moreSeeds(n int) uint64 {
	times, err := strconv.Atoi(os.Getenv("MAYASTOR_TRIALS"))
	if err != nil {
		times = 1
	}
	return uint64(n * times)
}

// The server is asked for one more replica again and again, with the pool it
// chose cordoned each time, until it has no more: that is the set to predict.
func TestCandidatesAreThePoolsTheServerWouldUse(t *testing.T) {
	t.Parallel()
	worlds, chosen, none := 0, 0, 0
	for seed := range moreSeeds(200) {
		profile := simulator.V2_10
		if seed%4 == 0 {
			profile = simulator.V2_12
		}
		x := newTrial(t, seed, profile, wild{broken: true, topologies: true})
		if x.chance(30) {
			x.must(x.NodeDown(pick(x, x.nodes...)))
			x.now = x.now.Add(11 * time.Second)
		}
		v, pools, nodes := x.world()
		if v.State.Status != mayastor.StatusOnline {
			continue // the server would not even look for a pool
		}
		if v.Spec.AffinityGroup != nil && v.Spec.NumReplicas == 1 {
			continue // depends on the other volumes of the group; Route refuses it
		}
		worlds++
		var want []string
		for _, c := range mayastor.Candidates(v, pools, nodes) {
			if c.Reject == "" {
				want = append(want, c.Pool)
			}
		}
		var got []string
		for {
			after, err := x.client.SetReplicas(t.Context(), x.volume, v.Spec.NumReplicas+1)
			if mayastor.IsNoRoom(err) {
				break
			}
			x.must(err)
			pool := ""
			for id, r := range after.State.Replicas {
				if _, old := v.State.Replicas[id]; !old {
					pool = r.Pool
				}
			}
			got = append(got, pool)
			if first, strict := mayastor.FirstVictim(after, nodes, pools, x.cap); !strict || first.Pool != pool {
				t.Errorf("seed %d: the undo would remove %s (certain: %v), want the new replica on %s", seed, first.Pool, strict, pool)
			}
			_, err = x.client.SetReplicas(t.Context(), x.volume, v.Spec.NumReplicas)
			x.must(err)
			_, err = x.client.CordonPool(t.Context(), pool)
			x.must(err)
		}
		slices.Sort(got)
		chosen += len(got)
		if len(got) == 0 {
			none++
		}
		if d := cmp.Diff(got, want); d != "" {
			t.Errorf("seed %d: the server used -, predicted +: %s", seed, d)
		}
	}
	t.Logf("%d clusters, %d pools used, no pool in %d clusters", worlds, chosen, none)
	if worlds < 100 || chosen < worlds/2 || none < worlds/50 {
		t.Error("the random clusters do not try it")
	}
}

func TestTheFirstVictimIsTheOneTheServerRemoves(t *testing.T) {
	t.Parallel()
	for _, profile := range []simulator.Profile{simulator.Old, simulator.V2_9, simulator.V2_10, simulator.V2_12} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			removed, certain := 0, 0
			for seed := range moreSeeds(200) {
				x := newTrial(t, seed, profile, wild{broken: true, topologies: true})
				if x.chance(60) {
					_ = x.UserScale(x.volume, len(x.Truth(x.volume))+1)
				}
				if x.chance(50) {
					x.now = x.now.Add(time.Duration(x.rng.IntN(120)) * time.Second)
				}
				if x.chance(20) {
					_ = x.HASwitchover(x.volume, pick(x, x.nodes...))
				}
				if x.chance(20) {
					r := pick(x, x.Truth(x.volume)...)
					x.must(x.PoolDown(r.Pool))
				}
				if x.chance(20) {
					x.CoreRestart()
					x.now = x.now.Add(5 * time.Second)
				}
				v, pools, nodes := x.world()
				order := mayastor.RemovalOrder(v, nodes, pools, x.cap)
				first, strict := mayastor.FirstVictim(v, nodes, pools, x.cap)
				if len(order) != len(v.State.Replicas) || len(order) > 0 && order[0] != first {
					t.Fatalf("seed %d: order %v of %d replicas does not begin with %v", seed, order, len(v.State.Replicas), first)
				}
				after, err := x.client.SetReplicas(t.Context(), x.volume, v.Spec.NumReplicas-1)
				if err != nil {
					continue // the last one, a group of two, a node that does not answer
				}
				var gone []string
				for id := range v.State.Replicas {
					if _, there := after.State.Replicas[id]; !there {
						gone = append(gone, id)
					}
				}
				removed++
				if !strict {
					continue
				}
				certain++
				if !slices.Equal(gone, []string{first.UUID}) {
					t.Errorf("seed %d: the server removed %v, predicted %v for certain, in order %v", seed, gone, first, order)
				}
			}
			t.Logf("%d removals, %d of them predicted for certain", removed, certain)
			if removed < 100 || certain < removed/4 || certain == removed {
				t.Error("the random clusters do not try it")
			}
		})
	}
}

// What Route plans is done as it says, step by step, asking again before each:
// it must never get stuck, land elsewhere, lose another replica or a copy.
func TestWhatRoutePlansCanBeDone(t *testing.T) {
	t.Parallel()
	for _, profile := range []simulator.Profile{simulator.V2_10, simulator.V2_12} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			var moves, steps, reduced int
			refused := map[mayastor.Reason]int{}
			for seed := range moreSeeds(150) {
				x := newTrial(t, seed, profile, wild{topologies: seed%2 == 0, full: seed%5 == 0})
				ask := mayastor.Ask{MoveSnapshots: true, AllowReduced: x.chance(50), MaxUsedPercent: pick(x, 0, 90)}
				for _, n := range x.nodes {
					for _, p := range x.pools[n] {
						if strings.HasPrefix(p, "nvme") {
							ask.Targets = append(ask.Targets, p)
						}
					}
				}
				for left := -1; ; {
					v, pools, nodes := x.world()
					plan, no := mayastor.Route(v, pools, nodes, ask, x.cap)
					for _, r := range no {
						refused[r.Reason]++
					}
					if left >= 0 && (len(no) > 0 || len(plan) != left) {
						t.Fatalf("seed %d: with %d steps left the plan is %+v, refused %+v", seed, left, plan, no)
					}
					if len(plan) == 0 {
						break
					}
					if left < 0 {
						moves++
					}
					left = len(plan) - 1
					if plan[0].Kind == mayastor.RemoveFirst {
						reduced++
						x.AllowReduced(x.volume, 2)
					}
					if err := x.do(plan[0], v); err != nil {
						t.Fatalf("seed %d: step %+v: %v", seed, plan[0], err)
					}
					steps++
				}
				if bad := x.Violations(); len(bad) > 0 {
					t.Errorf("seed %d: %v", seed, bad)
				}
			}
			t.Logf("%d moves of %d steps, %d of them removing first; refused: %v", moves, steps, reduced, refused)
			if moves < 30 || steps <= moves || reduced == 0 || refused[mayastor.ReasonNoFreeNode] == 0 {
				t.Error("the random clusters do not try it")
			}
		})
	}
}

// do carries out one step as it is written.
func (x *trial) do(s mayastor.Step, v mayastor.Volume) error {
	up := func() error {
		n := v.Spec.NumReplicas + 1
		if s.Kind == mayastor.RemoveFirst {
			n--
		}
		for _, p := range s.Cordon {
			if changed, err := x.client.CordonPool(x.Context(), p); err != nil || !changed {
				return fmt.Errorf("pool %s was to be cordoned: changed %v: %w", p, changed, err)
			}
		}
		after, err := x.client.SetReplicas(x.Context(), x.volume, n)
		if err != nil {
			return err
		}
		for _, p := range s.Cordon {
			if _, err := x.client.UncordonPool(x.Context(), p); err != nil {
				return err
			}
		}
		for id, r := range after.State.Replicas {
			if _, old := v.State.Replicas[id]; !old && !slices.Contains(s.Landing, r.Pool) {
				return fmt.Errorf("landed on %s", r.Pool)
			}
		}
		for range 100 {
			now, _, _ := x.world()
			if len(mayastor.Healthy(now)) == 0 {
				return nil
			}
			x.now = x.now.Add(10 * time.Second)
		}
		return fmt.Errorf("never in sync")
	}
	down := func() error {
		if s.CordonNode != "" {
			if _, err := x.client.CordonNode(x.Context(), s.CordonNode, "couchestor-1"); err != nil {
				return err
			}
		}
		now, pools, nodes := x.world()
		if first, strict := mayastor.FirstVictim(now, nodes, pools, x.cap); !strict || first != s.Victim {
			return fmt.Errorf("the first victim is %v (certain: %v)", first, strict)
		}
		after, err := x.client.SetReplicas(x.Context(), x.volume, now.Spec.NumReplicas-1)
		if err != nil {
			return err
		}
		if s.CordonNode != "" {
			if _, err := x.client.UncordonNode(x.Context(), s.CordonNode, "couchestor-1"); err != nil {
				return err
			}
		}
		if _, there := after.State.Replicas[s.Victim.UUID]; there || len(after.State.Replicas) != len(now.State.Replicas)-1 {
			return fmt.Errorf("what is left is %v", slices.Sorted(maps.Keys(after.State.Replicas)))
		}
		return nil
	}
	if s.Kind == mayastor.RemoveFirst {
		if err := down(); err != nil {
			return err
		}
		return up()
	}
	if err := up(); err != nil {
		return err
	}
	return down()
}

// All ways to put replicas on up to 5 nodes with or without a target pool: a
// walk must be found exactly where there is one. With a free target nodes, b
// replicas to move from nodes with a target pool and c from nodes without one,
// there is one if a >= 1 and a >= c: the b keep a as it is, the c use it up.
func TestAWalkIsFoundExactlyWhereThereIsOne(t *testing.T) {
	t.Parallel()
	const nodes = 5
	found, tried := 0, 0
	for layout := range 6 * 6 * 6 * 6 * 6 {
		var on, without []string
		free, b, c := 0, 0, 0
		for i, rest := 1, layout; i <= nodes; i, rest = i+1, rest/6 {
			target := rest%2 == 0
			if !target {
				without = append(without, fmt.Sprintf("nvme-%d", i))
			}
			switch rest % 6 / 2 {
			case 0:
				if target {
					free++
				}
			case 1:
				on = append(on, fmt.Sprintf("sata-%d", i))
				if target {
					b++
				} else {
					c++
				}
			case 2:
				if target {
					on = append(on, fmt.Sprintf("nvme-%d", i))
				} else {
					on = nil // no such place: skip
					i = nodes
				}
			}
		}
		if len(on) == 0 || b+c == 0 {
			continue
		}
		for _, reduce := range []bool{false, true} {
			s := newScene(nodes, on...)
			s.drop(without...)
			s.ask.AllowReduced = reduce
			want := free >= 1 && free >= c
			if reduce && len(on) >= 3 {
				want = free >= c
			}
			tried++
			steps, no := s.route()
			if want {
				found++
			}
			if (len(steps) == b+c) != want || (len(no) == 0) != want {
				t.Errorf("replicas on %v, no target pools %v, may reduce %v: got %d steps and %+v, want a walk: %v", on, without, reduce, len(steps), no, want)
			}
			for _, st := range steps {
				if st.Kind == mayastor.RemoveFirst && (!reduce || free > 0 && c == 0) {
					t.Errorf("replicas on %v, no target pools %v: gives a copy up first, and need not", on, without)
				}
			}
		}
	}
	t.Logf("%d layouts, a walk in %d of them", tried, found)
	if found == 0 || found == tried {
		t.Error("the layouts do not try it")
	}
}
