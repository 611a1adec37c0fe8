package mayastor_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/billyronks/couchestor/mayastor"
)

// scene is what Route is asked about. A fresh one is at rest and may move: each
// node-i has the Online pools sata-i and nvme-i of 1 TiB, the volume of 10 GiB is
// published where its first replica is and wants to go to all nvme pools, and
// the server is 2.10.
type scene struct {
	v     mayastor.Volume
	pools []mayastor.Pool
	nodes []mayastor.Node
	ask   mayastor.Ask
	cap   mayastor.Capability
}

const gibibyte = int64(1) << 30

// newScene makes a volume with a replica "r-<pool>" on each of the pools.
func newScene(nodes int, pools ...string) *scene {
	s := &scene{cap: mayastor.Capability{PoolCordon: true, Removal: true, Source: "2.10"}}
	for i := 1; i <= nodes; i++ {
		node := fmt.Sprintf("node-%d", i)
		s.nodes = append(s.nodes, mayastor.Node{
			ID: node, Spec: &mayastor.NodeSpec{Labels: map[string]string{"host": node}},
			State: &mayastor.NodeState{Status: mayastor.StatusOnline, Version: "2.10.0"},
		})
		for _, tier := range []string{"sata", "nvme"} {
			s.pools = append(s.pools, mayastor.Pool{
				ID:    fmt.Sprintf("%s-%d", tier, i),
				Spec:  &mayastor.PoolSpec{Node: node, Status: mayastor.StatusCreated, Labels: map[string]string{"tier": tier, "openebs.io/created-by": "operator-diskpool"}},
				State: &mayastor.PoolState{Node: node, Status: mayastor.StatusOnline, Capacity: 1024 * gibibyte, Committed: new(int64(0))},
			})
		}
		s.ask.Targets = append(s.ask.Targets, fmt.Sprintf("nvme-%d", i))
	}
	first := s.pool(pools[0]).Spec.Node
	s.v = mayastor.Volume{
		Spec: mayastor.VolumeSpec{
			UUID: "v", Size: 10 * gibibyte, NumReplicas: len(pools), Status: mayastor.StatusCreated, Thin: true,
			Target: &mayastor.TargetSpec{Node: first, Protocol: "nvmf"},
			Topology: &mayastor.Topology{Pool: &mayastor.PoolTopology{Labelled: &mayastor.LabelledTopology{
				Inclusion: map[string]string{"openebs.io/created-by": "operator-diskpool"},
			}}},
		},
		State: mayastor.VolumeState{
			Size: 10 * gibibyte, Status: mayastor.StatusOnline, Replicas: map[string]mayastor.ReplicaTopology{},
			Target: &mayastor.Nexus{UUID: "nexus", Node: first, State: mayastor.StatusOnline, Protocol: "nvmf"},
		},
	}
	s.v.Spec.Policy.SelfHeal = true
	s.v.State.Usage = &struct {
		Capacity  int64 `json:"capacity"`
		Allocated int64 `json:"allocated"`
	}{10 * gibibyte, 5 * gibibyte}
	for _, p := range pools {
		s.add(p)
	}
	return s
}

// add puts a replica in sync on a pool, as a child of the nexus.
func (s *scene) add(pool string) {
	id, node := "r-"+pool, s.pool(pool).Spec.Node
	s.v.State.Replicas[id] = mayastor.ReplicaTopology{Node: node, Pool: pool, State: mayastor.StatusOnline, ChildStatus: mayastor.StatusOnline}
	uri := "nvmf://10.0.0.1:8420/nqn.2019-05.io.openebs:" + id + "?uuid=" + id
	if node == s.v.Spec.Target.Node {
		uri = "bdev:///" + id + "?uuid=" + id
	}
	s.v.State.Target.Children = append(s.v.State.Target.Children, mayastor.Child{URI: uri, State: mayastor.StatusOnline})
}

func (s *scene) pool(id string) *mayastor.Pool {
	i := slices.IndexFunc(s.pools, func(p mayastor.Pool) bool { return p.ID == id })
	return &s.pools[i]
}

func (s *scene) node(id string) *mayastor.Node {
	i := slices.IndexFunc(s.nodes, func(n mayastor.Node) bool { return n.ID == id })
	return &s.nodes[i]
}

// replica changes one replica.
func (s *scene) replica(pool string, change func(*mayastor.ReplicaTopology)) {
	r := s.v.State.Replicas["r-"+pool]
	change(&r)
	s.v.State.Replicas["r-"+pool] = r
}

// child of the nexus behind the replica on a pool.
func (s *scene) child(pool string) *mayastor.Child {
	i := slices.IndexFunc(s.v.State.Target.Children, func(c mayastor.Child) bool { return strings.HasSuffix(c.URI, "=r-"+pool) })
	return &s.v.State.Target.Children[i]
}

// drop takes pools out of the cluster.
func (s *scene) drop(ids ...string) {
	s.pools = slices.DeleteFunc(s.pools, func(p mayastor.Pool) bool { return slices.Contains(ids, p.ID) })
	s.ask.Targets = slices.DeleteFunc(s.ask.Targets, func(id string) bool { return slices.Contains(ids, id) })
}

func (s *scene) cordonNode(ids ...string) {
	for _, id := range ids {
		s.node(id).Spec.Cordon = &mayastor.NodeCordon{Cordoned: &mayastor.CordonLabels{CordonLabels: []string{"somebody"}}}
	}
}

func (s *scene) cordonPool(ids ...string) {
	for _, id := range ids {
		s.pool(id).Spec.CordonDrain = &mayastor.CordonDrain{Cordoned: &mayastor.PoolCordon{Replicas: true}}
	}
}

// demand makes the volume demand a label of its pools.
func (s *scene) demand(key, value string) { s.v.Spec.Topology.Pool.Labelled.Inclusion[key] = value }

// spread labels the nodes and spreads the volume by that.
func (s *scene) spread(key string, values map[string]string) {
	for id, v := range values {
		labels := maps.Clone(s.node(id).Spec.Labels)
		labels[key] = v
		s.node(id).Spec.Labels = labels
	}
	s.v.Spec.Topology.Node = &mayastor.NodeTopology{Labelled: &mayastor.LabelledTopology{Exclusion: map[string]string{key: ""}}}
}

func (s *scene) route() ([]mayastor.Step, []mayastor.Refusal) {
	return mayastor.Route(s.v, s.pools, s.nodes, s.ask, s.cap)
}

// told is the answer of Route as lines: one for each step, or each reason.
func (s *scene) told() string {
	steps, refusals := s.route()
	var lines []string
	for _, st := range steps {
		line := map[mayastor.StepKind]string{mayastor.AddFirst: "add", mayastor.RemoveFirst: "remove"}[st.Kind]
		line += " for " + st.Victim.Pool + ": land on " + strings.Join(st.Landing, " ")
		if len(st.Cordon) > 0 {
			line += "; keep out " + strings.Join(st.Cordon, " ")
		}
		if st.CordonNode != "" {
			line += "; cordon " + st.CordonNode
		}
		lines = append(lines, line)
	}
	for _, r := range refusals {
		lines = append(lines, string(r.Reason))
	}
	return strings.Join(lines, "\n")
}
