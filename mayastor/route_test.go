package mayastor_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

// lines of what Route tells, for the tables below.
func lines(l ...string) string { return strings.Join(l, "\n") }

func TestRouteWalksTheWholeMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		nodes  int
		pools  []string
		change func(*scene)
		want   string
	}{
		{
			name: "the replica local to the target goes last, and each step frees a node for the next", nodes: 3, pools: []string{"sata-1", "sata-2"},
			want: lines(
				"add for sata-2: land on nvme-3; keep out sata-3; cordon node-2",
				"add for sata-1: land on nvme-2; keep out sata-2; cordon node-1"),
		},
		{
			name: "all free nodes are offered for landing", nodes: 4, pools: []string{"sata-1", "sata-2"},
			want: lines(
				"add for sata-2: land on nvme-3 nvme-4; keep out sata-3 sata-4; cordon node-2",
				"add for sata-1: land on nvme-2 nvme-4; keep out sata-2 sata-4; cordon node-1"),
		},
		{
			name: "a replica on a target pool stays where it is", nodes: 3, pools: []string{"nvme-1", "sata-2"},
			want: "add for sata-2: land on nvme-3; keep out sata-3; cordon node-2",
		},
		{name: "everything on target is nothing to do", nodes: 3, pools: []string{"nvme-1", "nvme-2"}, want: ""},
		{
			name: "everything on target is nothing to do, whatever else is wrong", nodes: 3, pools: []string{"nvme-1", "nvme-2"},
			change: func(s *scene) { s.v.State.Status = mayastor.StatusDegraded; s.cap = mayastor.Capability{} }, want: "",
		},
		{
			name: "a spare on a target pool is not everything on target", nodes: 3, pools: []string{"nvme-1", "nvme-2"},
			change: func(s *scene) { s.v.Spec.NumReplicas = 1 }, want: "CountsDisagree",
		},
		{
			name: "a single local replica is steered by its node", nodes: 2, pools: []string{"sata-1"},
			want: "add for sata-1: land on nvme-2; keep out sata-2; cordon node-1",
		},
		{
			name: "a single remote replica goes by itself if the new one can only be local", nodes: 2, pools: []string{"sata-1"},
			change: func(s *scene) {
				s.v.Spec.Target.Node, s.v.State.Target.Node = "node-2", "node-2"
				s.child("sata-1").URI = "nvmf://x?uuid=r-sata-1"
			},
			want: "add for sata-1: land on nvme-2; keep out sata-2",
		},
		{
			name: "a single remote replica is steered if the new one may be remote, too", nodes: 3, pools: []string{"sata-1"},
			change: func(s *scene) {
				s.v.Spec.Target.Node, s.v.State.Target.Node = "node-2", "node-2"
				s.child("sata-1").URI = "nvmf://x?uuid=r-sata-1"
			},
			want: "add for sata-1: land on nvme-2 nvme-3; keep out sata-2 sata-3; cordon node-1",
		},
		{
			name: "with one free node, first the replica whose node has a target pool", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.drop("nvme-2") },
			want: lines(
				"add for sata-1: land on nvme-3; keep out sata-3; cordon node-1",
				"add for sata-2: land on nvme-1; keep out sata-1; cordon node-2"),
		},
		{
			name: "a node without any target pool needs a free one for good", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.drop("nvme-1", "nvme-2") },
			want:   "TooFewNodes",
		},
		{
			name: "a pool cordon implies that removals can be steered", nodes: 2, pools: []string{"sata-1"},
			change: func(s *scene) { s.cap = mayastor.Capability{PoolCordon: true} },
			want:   "add for sata-1: land on nvme-2; keep out sata-2; cordon node-1",
		},
		{
			name: "on 2.9 nothing can be kept out", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.cap.PoolCordon = false },
			want: lines(
				"add for sata-2: land on nvme-3; cordon node-2",
				"add for sata-1: land on nvme-2; cordon node-1"),
		},
		{
			name: "another pool of the wrong tier on a free node is kept out, too", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) {
				p := *s.pool("sata-3")
				p.ID = "hdd-3"
				s.pools = append(s.pools, p)
			},
			want: lines(
				"add for sata-2: land on nvme-3; keep out hdd-3 sata-3; cordon node-2",
				"add for sata-1: land on nvme-2; keep out sata-2; cordon node-1"),
		},
		{
			name: "what the server would not choose needs no cordon", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.pool("sata-3").State.Status = mayastor.StatusFaulted; s.cordonPool("sata-2") },
			want: lines(
				"add for sata-2: land on nvme-3; cordon node-2",
				"add for sata-1: land on nvme-2; cordon node-1"),
		},
		{
			name: "a Degraded pool is chosen first, so it is kept out and not landed on", nodes: 4, pools: []string{"sata-1"},
			change: func(s *scene) {
				for _, p := range []string{"sata-2", "nvme-3", "sata-4"} {
					s.pool(p).State.Status = mayastor.StatusDegraded
				}
				s.pool("sata-3").State.Status = mayastor.StatusFaulted
			},
			want: "add for sata-1: land on nvme-2 nvme-4; keep out nvme-3 sata-2 sata-4; cordon node-1",
		},
		{
			name: "a target pool that would be too full is kept out", nodes: 3, pools: []string{"sata-1"},
			change: func(s *scene) { s.ask.MaxUsedPercent = 90; s.pool("nvme-2").State.Used = 920 * gibibyte },
			want:   "add for sata-1: land on nvme-3; keep out nvme-2 sata-2 sata-3; cordon node-1",
		},
		{
			name: "a pool of another encryption is not landed on, and kept out as a server may only prefer", nodes: 3, pools: []string{"sata-1"},
			change: func(s *scene) {
				s.pool("nvme-2").Spec.Encrypted = new(true)
				s.pool("sata-3").Spec.Encrypted = new(true)
			},
			want: "add for sata-1: land on nvme-3; keep out nvme-2 sata-2 sata-3; cordon node-1",
		},
		{
			name: "an encrypted volume lands on encrypted pools", nodes: 3, pools: []string{"sata-1"},
			change: func(s *scene) { s.v.Spec.Encrypted = new(true); s.pool("nvme-2").Spec.Encrypted = new(true) },
			want:   "add for sata-1: land on nvme-2; keep out nvme-3 sata-2 sata-3; cordon node-1",
		},
		{
			name: "a pool of the old tier that no longer matches goes by itself", nodes: 3, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.demand("tier", "nvme") },
			// Among the two that do not match, the remote one goes first.
			want: lines(
				"add for sata-2: land on nvme-3",
				"add for sata-1: land on nvme-2"),
		},
		{
			name: "a victim on a node that somebody cordoned goes first, and by itself", nodes: 5, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.cordonNode("node-3") },
			want: lines(
				"add for sata-3: land on nvme-4 nvme-5; keep out sata-4 sata-5",
				"add for sata-2: land on nvme-5; keep out sata-5; cordon node-2",
				"add for sata-1: land on nvme-2; keep out sata-2; cordon node-1"),
		},
		{
			name: "two victims on nodes that somebody cordoned tie", nodes: 6, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.cordonNode("node-2", "node-3") },
			want:   lines("RemovalAmbiguous", "RemovalAmbiguous", "RemovalAmbiguous"),
		},
		{
			name: "a replica that stays on a node that somebody cordoned makes the order ambiguous", nodes: 4, pools: []string{"sata-1", "nvme-2"},
			change: func(s *scene) { s.cordonNode("node-2") },
			want:   "RemovalAmbiguous",
		},
		{
			name: "a replica that stays on a pool that does not match goes before every victim", nodes: 4, pools: []string{"sata-1", "nvme-2"},
			change: func(s *scene) {
				s.demand("rack", "")
				for i := range s.pools {
					if s.pools[i].ID != "nvme-2" {
						s.pools[i].Spec.Labels["rack"] = "a"
					}
				}
			},
			want: "RemovalAmbiguous",
		},
		{
			name: "two replicas on one node cannot be told apart by a node cordon", nodes: 4, pools: []string{"sata-1", "nvme-1"},
			change: func(s *scene) {},
			want:   "RemovalAmbiguous",
		},
		{
			name: "three on three nodes is refused", nodes: 3, pools: []string{"sata-1", "sata-2", "sata-3"},
			want: "NoFreeNode",
		},
		{
			name: "three on three nodes give one up first where that is allowed", nodes: 3, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true },
			want: lines(
				"remove for sata-2: land on nvme-2; keep out sata-2; cordon node-2",
				"remove for sata-3: land on nvme-3; keep out sata-3; cordon node-3",
				"remove for sata-1: land on nvme-1; keep out sata-1; cordon node-1"),
		},
		{
			name: "also where only one is left to move", nodes: 3, pools: []string{"nvme-1", "sata-2", "nvme-3"},
			change: func(s *scene) { s.ask.AllowReduced = true },
			want:   "remove for sata-2: land on nvme-2; keep out sata-2; cordon node-2",
		},
		{
			name: "a free node is used before a copy is given up", nodes: 4, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true },
			want: lines(
				"add for sata-2: land on nvme-4; keep out sata-4; cordon node-2",
				"add for sata-3: land on nvme-2; keep out sata-2; cordon node-3",
				"add for sata-1: land on nvme-3; keep out sata-3; cordon node-1"),
		},
		{
			name: "two on two nodes never give one up", nodes: 2, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) { s.ask.AllowReduced = true }, want: "NoFreeNode",
		},
		{
			name: "one on one node never gives it up", nodes: 1, pools: []string{"sata-1"},
			change: func(s *scene) { s.ask.AllowReduced = true }, want: "NoFreeNode",
		},
		{
			name: "a free node whose target pool is only full is waited for", nodes: 4, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true; s.pool("nvme-4").State.Used = 1020 * gibibyte },
			want:   lines("PoolFull", "NoFreeNode"),
		},
		{
			name: "a free node that is only cordoned is waited for", nodes: 4, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true; s.cordonNode("node-4") },
			want:   lines("NodeCordoned", "NoFreeNode"),
		},
		{
			name: "a free node without a target pool does not count", nodes: 4, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true; s.drop("nvme-4") },
			want: lines(
				"remove for sata-2: land on nvme-2; keep out sata-2 sata-4; cordon node-2",
				"remove for sata-3: land on nvme-3; keep out sata-3 sata-4; cordon node-3",
				"remove for sata-1: land on nvme-1; keep out sata-1 sata-4; cordon node-1"),
		},
		{
			name: "the room that a copy leaves behind may bring the next one back, so it is kept out", nodes: 3, pools: []string{"nvme-1", "sata-2", "nvme-3"},
			change: func(s *scene) { s.ask.AllowReduced = true; s.pool("sata-2").State.Used = 1020 * gibibyte },
			want:   "remove for sata-2: land on nvme-2; keep out sata-2; cordon node-2",
		},
		{
			name: "no copy is given up for a pool that has no room", nodes: 3, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) { s.ask.AllowReduced = true; s.pool("nvme-3").State.Used = 1020 * gibibyte },
			want:   lines("TooFewNodes", "PoolFull"),
		},
		{
			name: "a volume spread over zones lands in a zone of its own", nodes: 4, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) {
				s.spread("zone", map[string]string{"node-1": "a", "node-2": "b", "node-3": "b", "node-4": "c"})
			},
			// The pools in taken zones are kept out, as older servers do not look.
			want: lines(
				"add for sata-2: land on nvme-4; keep out nvme-3 sata-3 sata-4; cordon node-2",
				"add for sata-1: land on nvme-2 nvme-3; keep out sata-2 sata-3; cordon node-1"),
		},
		{
			name: "of two free zones only the one is used that leaves a way", nodes: 5, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) {
				// The only pools are in zones c (node-3, node-4) and a (node-1): in c
				// lands one of them, and the other must go where the first one was.
				s.spread("zone", map[string]string{"node-1": "a", "node-2": "b", "node-3": "c", "node-4": "c", "node-5": "c"})
				s.drop("nvme-2", "nvme-5", "sata-3", "sata-4", "sata-5")
			},
			want: lines(
				"add for sata-1: land on nvme-3 nvme-4; cordon node-1",
				"add for sata-2: land on nvme-1; keep out nvme-4 sata-1; cordon node-2"),
		},
		{
			name: "three zones with three replicas are full", nodes: 4, pools: []string{"sata-1", "sata-2", "sata-3"},
			change: func(s *scene) {
				s.spread("zone", map[string]string{"node-1": "a", "node-2": "b", "node-3": "c", "node-4": "c"})
			},
			want: lines("SpreadTopology", "NoFreeNode"),
		},
		{
			name: "replicas kept together by a label stay together", nodes: 4, pools: []string{"sata-1", "sata-2"},
			change: func(s *scene) {
				for i := range s.pools {
					s.pools[i].Spec.Labels["rack"] = "a"
				}
				s.pool("nvme-3").Spec.Labels["rack"], s.pool("sata-3").Spec.Labels["rack"] = "b", "b"
				s.v.Spec.Topology.Pool.Labelled.AffinityKey = []string{"rack"}
			},
			want: lines(
				"add for sata-2: land on nvme-4; keep out nvme-3 sata-3 sata-4; cordon node-2",
				"add for sata-1: land on nvme-2; keep out nvme-3 sata-2 sata-3; cordon node-1"),
		},
		{
			name: "a single replica of an affinity group could not come back to one", nodes: 3, pools: []string{"sata-1"},
			change: func(s *scene) { s.v.Spec.AffinityGroup = &mayastor.AffinityGroup{ID: "ns/db"} },
			want:   "AffinityGroup",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(tt.nodes, tt.pools...)
			if tt.change != nil {
				tt.change(s)
			}
			if got := s.told(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
				_, no := s.route()
				t.Logf("%+v", no)
			}
		})
	}
}

// Every filter of MS 4.3 by itself, on the only free node.
func TestEveryPlacementFilterIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*scene)
		want   string // reasons
		says   []string
	}{
		{"a volume pinned to another tier names the key and the values", func(s *scene) { s.demand("tier", "sata") }, "PinnedTopology", []string{"tier=nvme", "tier=sata", "StorageClass"}},
		{"a volume that demands a label names it", func(s *scene) { s.demand("rack", "") }, "PinnedTopology", []string{"has no label rack"}},
		{"a volume that demands a value names it", func(s *scene) { s.demand("rack", "a") }, "PinnedTopology", []string{"has no label rack", "rack=a"}},
		{"a pool that the operator did not create takes no CSI volume", func(s *scene) {
			delete(s.pool("nvme-2").Spec.Labels, "openebs.io/created-by")
		}, "PinnedTopology NoFreeNode", []string{"openebs.io/created-by"}},
		{"a pool without a spec has no labels", func(s *scene) { s.pool("nvme-2").Spec = nil }, "PinnedTopology NoFreeNode", []string{"nvme-2"}},
		{"a node that is not allowed", func(s *scene) {
			s.v.Spec.Topology.Node = &mayastor.NodeTopology{Explicit: &struct {
				AllowedNodes   []string `json:"allowed_nodes"`
				PreferredNodes []string `json:"preferred_nodes"`
			}{[]string{"node-1"}, []string{"node-2"}}}
		}, "NodeNotAllowed NoFreeNode", []string{"node-2", "allowed on node-1 only"}},
		{"a node without the label the volume demands", func(s *scene) {
			s.v.Spec.Topology.Node = &mayastor.NodeTopology{Labelled: &mayastor.LabelledTopology{Inclusion: map[string]string{"host": "node-1"}}}
		}, "NodeTopology NoFreeNode", []string{"host=node-2", "host=node-1"}},
		{"a pool smaller than the volume", func(s *scene) { s.pool("nvme-2").State.Capacity = 10 * gibibyte }, "PoolTooSmall NoFreeNode", []string{"10 GiB"}},
		{"an encrypted pool for a plain volume", func(s *scene) { s.pool("nvme-2").Spec.Encrypted = new(true) }, "Encryption NoFreeNode", []string{"is encrypted, and the volume is not"}},
		{"a plain pool for an encrypted volume", func(s *scene) { s.v.Spec.Encrypted = new(true) }, "Encryption", []string{"is not encrypted"}},
		{"a doubtful filter hides no certain one", func(s *scene) {
			s.v.Spec.Encrypted = new(true)
			s.cordonPool("nvme-2")
		}, "Encryption PoolCordoned", []string{"encrypted"}},
		{"a node that is offline", func(s *scene) { s.node("node-2").State.Status = mayastor.StatusOffline }, "NodeNotOnline NoFreeNode", []string{"Offline"}},
		{"a node nobody knows", func(s *scene) { s.node("node-2").ID = "other" }, "NodeNotOnline NoFreeNode", []string{"Unknown"}},
		{"a node that is cordoned names the owners", func(s *scene) { s.cordonNode("node-2") }, "NodeCordoned NoFreeNode", []string{"somebody", "uncordon"}},
		{"a pool without a state is not an empty pool", func(s *scene) { s.pool("nvme-2").State = nil }, "PoolNotOnline NoFreeNode", []string{"not imported"}},
		{"a Faulted pool", func(s *scene) { s.pool("nvme-2").State.Status = mayastor.StatusFaulted }, "PoolNotOnline NoFreeNode", []string{"Faulted"}},
		{"an Unknown pool", func(s *scene) { s.pool("nvme-2").State.Status = mayastor.StatusUnknown }, "PoolNotOnline NoFreeNode", []string{"Unknown"}},
		{"a Degraded pool is no target of ours", func(s *scene) { s.pool("nvme-2").State.Status = mayastor.StatusDegraded }, "PoolNotOnline NoFreeNode", []string{"Degraded"}},
		{"a pool with a status nobody knows is no target of ours", func(s *scene) { s.pool("nvme-2").State.Status = "Suspected" }, "PoolNotOnline NoFreeNode", []string{"Suspected"}},
		{"a pool that is cordoned", func(s *scene) { s.cordonPool("nvme-2") }, "PoolCordoned NoFreeNode", []string{"uncordon the pool"}},
		{"a pool whose drain is over stays shut while that is on record", func(s *scene) {
			s.pool("nvme-2").Spec.CordonDrain = &mayastor.CordonDrain{Drain: json.RawMessage(`{}`)}
			s.pool("nvme-2").Meta = &struct {
				Drain json.RawMessage `json:"drain"`
			}{json.RawMessage(`{"phase":"Drained"}`)}
		}, "PoolCordoned NoFreeNode", []string{"uncordon the pool"}},
		{"a pool without room", func(s *scene) { s.pool("nvme-2").State.Used = 1015 * gibibyte }, "PoolFull NoFreeNode", []string{"9 GiB free", "9 GiB are needed"}},
		{"a pool that promised too much", func(s *scene) { s.pool("nvme-2").State.Committed = new(2550 * gibibyte) }, "PoolOvercommit NoFreeNode", []string{"250%"}},
		{"a pool that would exceed the policy's limit", func(s *scene) {
			s.ask.MaxUsedPercent = 50
			s.pool("nvme-2").State.Used = 504 * gibibyte
		}, "PoolUsedPercent NoFreeNode", []string{"50%", "maxPoolUsedPercent"}},
		{"a target pool that does not exist", func(s *scene) { s.ask.Targets = []string{"nope", "nvme-1"} }, "PoolUnknown NoFreeNode", []string{"nope"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(2, "sata-1")
			if got := s.told(); !strings.HasPrefix(got, "add") {
				t.Fatalf("the fresh scene says %s", got)
			}
			tt.change(s)
			if got, want := strings.ReplaceAll(s.told(), "\n", " "), tt.want; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			_, no := s.route()
			for _, part := range tt.says {
				if len(no) == 0 || !strings.Contains(no[0].Sentence, part) {
					t.Errorf("%+v does not say %q", no, part)
				}
			}
		})
	}
}

func TestOneRefusalForManyPools(t *testing.T) {
	t.Parallel()
	s := newScene(8, "sata-1")
	for i := 2; i <= 8; i++ {
		s.cordonPool(fmt.Sprintf("nvme-%d", i))
	}
	_, no := s.route()
	if len(no) != 2 || no[0].Reason != mayastor.ReasonPoolCordoned {
		t.Fatalf("got %+v", no)
	}
	want := "target pool nvme-2 is cordoned against new replicas (likewise nvme-3, nvme-4, nvme-5, nvme-6 and 2 more); uncordon the pool"
	if got := no[0].Sentence; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheOptInIsOfferedOnlyWhereItHelps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pools []string
		drop  string
		want  bool
	}{
		{[]string{"sata-1", "sata-2", "sata-3"}, "", true},
		{[]string{"sata-1", "sata-2", "sata-3"}, "nvme-3", false},
		{[]string{"sata-1", "sata-2"}, "nvme-3", false},
	} {
		s := newScene(3, tt.pools...)
		s.drop(tt.drop)
		if len(tt.pools) == 2 {
			s.drop("sata-3")
		}
		_, no := s.route()
		if len(no) != 1 || no[0].Reason != mayastor.ReasonNoFreeNode || strings.Contains(no[0].Sentence, "allowReducedRedundancy") != tt.want {
			t.Errorf("%v without %q: got %+v, want the opt-in offered: %v", tt.pools, tt.drop, no, tt.want)
		}
	}
}

// MS 4.3: the sums of the server, at their borders.
func TestRoom(t *testing.T) {
	t.Parallel()
	const size, allocated = 10 * gibibyte, 5 * gibibyte
	for _, tt := range []struct {
		name   string
		change func(*scene)
		free   int64 // the least that is not enough
	}{
		{"thin: what is allocated and 40% of the size", func(*scene) {}, allocated + size*40/100},
		{"thin: at most the size", func(s *scene) { s.v.State.Usage.Allocated = 9 * gibibyte }, size},
		{"thin: without usage the whole size", func(s *scene) { s.v.State.Usage = nil }, size},
		{"thin and empty: 40% of the size", func(s *scene) { s.v.State.Usage.Allocated = 0 }, size * 40 / 100},
		{"thin and tiny: the watermark", func(s *scene) { s.v.Spec.Size, s.v.State.Usage.Allocated = 1<<20, 1<<19 }, 16 << 20},
		{"thick: the size", func(s *scene) { s.v.Spec.Thin = false }, size},
		{"thick treated as thin", func(s *scene) { s.v.Spec.Thin, s.v.Spec.AsThin = false, true }, allocated + size*40/100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, more := range []int64{0, 1} {
				s := newScene(2, "sata-1")
				tt.change(s)
				p := s.pool("nvme-2")
				p.State.Used = p.State.Capacity - tt.free - more
				i := slices.IndexFunc(mayastor.Candidates(s.v, s.pools, s.nodes), func(c mayastor.Candidate) bool { return c.Pool == "nvme-2" })
				c := mayastor.Candidates(s.v, s.pools, s.nodes)[i]
				if got := c.Reject == ""; got != (more == 1) {
					t.Errorf("with %d bytes free: accepted %v (%s)", tt.free+more, got, c.Reject)
				}
			}
		})
	}
	t.Run("the policy's limit counts what the replica will take in the end", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name   string
			change func(*scene)
			takes  int64
		}{
			{"thin", func(*scene) {}, allocated + size*40/100},
			{"thick", func(s *scene) { s.v.Spec.Thin = false }, size},
			{"with snapshots", func(s *scene) { s.v.Spec.NumSnapshots, s.ask.MoveSnapshots = 1, true }, size},
			{"a clone", func(s *scene) { s.v.Spec.ContentSource = []byte(`{"snapshot":{}}`) }, size},
		} {
			for _, more := range []int64{0, 1} {
				s := newScene(2, "sata-1")
				tt.change(s)
				s.ask.MaxUsedPercent = 50
				s.pool("nvme-2").State.Used = 512*gibibyte - tt.takes + more
				if _, no := s.route(); (len(no) == 0) != (more == 0) {
					t.Errorf("%s with %d bytes too many: got %+v", tt.name, more, no)
				}
			}
		}
	})
	t.Run("sizes beyond all measure do not wrap around", func(t *testing.T) {
		t.Parallel()
		s := newScene(2, "sata-1")
		s.pool("nvme-2").State.Committed = new(int64(math.MaxInt64))
		if got := s.told(); got != "PoolOvercommit\nNoFreeNode" {
			t.Errorf("got %s", got)
		}
		s = newScene(2, "sata-1")
		s.v.Spec.Size, s.v.State.Usage.Allocated = math.MaxInt64-1, math.MaxInt64-1
		s.pool("nvme-2").State.Used = math.MinInt64
		if got := s.told(); got != "PoolTooSmall" {
			t.Errorf("got %s", got)
		}
	})
}

// The caller's data are shared: nothing may be changed or depend on their order.
func TestRouteIsPure(t *testing.T) {
	t.Parallel()
	s := newScene(4, "sata-3", "sata-1", "sata-2")
	before := fmt.Sprintf("%+v %+v %+v", s.v, s.ask, s.pools[0])
	steps, _ := s.route()
	slices.Reverse(s.pools)
	slices.Reverse(s.nodes)
	slices.Reverse(s.ask.Targets)
	slices.Reverse(s.v.State.Target.Children)
	again, _ := s.route()
	if d := cmp.Diff(steps, again); d != "" {
		t.Errorf("the order of what is read matters: %s", d)
	}
	slices.Reverse(s.pools)
	slices.Reverse(s.ask.Targets)
	slices.Reverse(s.v.State.Target.Children)
	if after := fmt.Sprintf("%+v %+v %+v", s.v, s.ask, s.pools[0]); after != before {
		t.Errorf("got  %s\nwant %s", after, before)
	}
}

func BenchmarkRoute(b *testing.B) {
	for _, nodes := range []int{4, 40, 400} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			s := newScene(nodes, "sata-1", "sata-2", "sata-3")
			b.ReportAllocs()
			for b.Loop() {
				if steps, _ := s.route(); len(steps) != 3 {
					b.Fatal("no steps")
				}
			}
		})
	}
	b.Run("nodes=400 of one reading", func(b *testing.B) {
		s := newScene(400, "sata-1", "sata-2", "sata-3")
		c := mayastor.NewCluster(s.pools, s.nodes)
		b.ReportAllocs()
		for b.Loop() {
			if steps, _ := c.Route(s.v, s.ask, s.cap); len(steps) != 3 {
				b.Fatal("no steps")
			}
		}
	})
	b.Run("spread over 400 zones", func(b *testing.B) {
		s := newScene(400, "sata-1", "sata-2", "sata-3")
		zones := map[string]string{}
		for _, n := range s.nodes {
			zones[n.ID] = n.ID
		}
		s.spread("zone", zones)
		b.ReportAllocs()
		for b.Loop() {
			if steps, _ := s.route(); len(steps) != 3 {
				b.Fatal("no steps")
			}
		}
	})
}
