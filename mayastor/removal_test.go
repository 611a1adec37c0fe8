package mayastor_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

// MS 4.5, rank by rank. The scene has three replicas in sync; the one on sata-1
// is local to the target.
func TestRemovalOrder(t *testing.T) {
	t.Parallel()
	degraded := func(s *scene, pool string, progress int) {
		s.replica(pool, func(r *mayastor.ReplicaTopology) {
			r.ChildStatus, r.RebuildProgress = mayastor.StatusDegraded, new(progress)
		})
	}
	noChild := func(s *scene, pool string) {
		s.replica(pool, func(r *mayastor.ReplicaTopology) { r.ChildStatus = "" })
		s.child(pool).URI = "nvmf://x?uuid=somebody"
	}
	faulted := func(s *scene, pool string) {
		s.replica(pool, func(r *mayastor.ReplicaTopology) { r.ChildStatus = mayastor.StatusFaulted })
	}
	for _, tt := range []struct {
		name    string
		change  func(*scene)
		old     bool
		want    string
		certain bool
	}{
		{name: "equals tie, and the local one goes last", change: func(*scene) {}, want: "sata-2 sata-3 sata-1"},
		{name: "of two, the remote one goes first for certain", change: func(s *scene) {
			delete(s.v.State.Replicas, "r-sata-3")
			s.v.Spec.NumReplicas = 2
		}, want: "sata-2 sata-1", certain: true},
		{name: "one being rebuilt goes before those in sync", change: func(s *scene) { degraded(s, "sata-1", 99) }, want: "sata-1 sata-2 sata-3", certain: true},
		{name: "of two being rebuilt, the one that is less far", change: func(s *scene) { degraded(s, "sata-1", 10); degraded(s, "sata-3", 50) }, want: "sata-1 sata-3 sata-2", certain: true},
		{name: "a Faulted child goes before one being rebuilt", change: func(s *scene) { degraded(s, "sata-1", 10); faulted(s, "sata-3") }, want: "sata-3 sata-1 sata-2", certain: true},
		{name: "one that is no child goes before a Faulted child", change: func(s *scene) { noChild(s, "sata-1"); faulted(s, "sata-3") }, want: "sata-1 sata-3 sata-2", certain: true},
		{name: "a node that does not match the volume's labels goes before a pool that does not", change: func(s *scene) {
			s.v.Spec.Topology.Node = &mayastor.NodeTopology{Labelled: &mayastor.LabelledTopology{Inclusion: map[string]string{"ok": ""}}}
			s.node("node-2").Spec.Labels["ok"], s.node("node-3").Spec.Labels["ok"] = "x", "x"
			delete(s.pool("sata-2").Spec.Labels, "openebs.io/created-by")
		}, want: "sata-1 sata-2 sata-3", certain: true},
		{name: "a pool that does not match goes before a cordoned node", change: func(s *scene) {
			s.demand("rack", "r")
			s.pool("sata-2").Spec.Labels["rack"], s.pool("sata-3").Spec.Labels["rack"] = "r", "r"
			s.cordonNode("node-2")
		}, want: "sata-1 sata-2 sata-3", certain: true},
		{name: "more clashes of the spread go before a cordoned node", change: func(s *scene) {
			s.spread("zone", map[string]string{"node-1": "a", "node-2": "b", "node-3": "a"})
			s.cordonNode("node-2")
		}, want: "sata-3 sata-1 sata-2", certain: true},
		{name: "a cordoned node goes before a remote one", change: func(s *scene) { s.cordonNode("node-1") }, want: "sata-1 sata-2 sata-3", certain: true},
		{name: "a drained node is a cordoned one", change: func(s *scene) {
			s.node("node-3").Spec.Cordon = &mayastor.NodeCordon{Drained: &mayastor.CordonLabels{}}
		}, want: "sata-3 sata-2 sata-1", certain: true},
		{name: "two cordoned nodes tie", change: func(s *scene) { s.cordonNode("node-2", "node-3") }, want: "sata-2 sata-3 sata-1"},
		{name: "a pool cordon is in no order", change: func(s *scene) { s.cordonPool("sata-3") }, want: "sata-2 sata-3 sata-1"},
		{name: "a replica on a node nobody knows has no place in the order", change: func(s *scene) {
			s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.Node = "" })
			s.cordonNode("node-3")
		}, want: "sata-3 sata-2 sata-1"},
		{name: "an address that contradicts the node leaves locality open", change: func(s *scene) {
			delete(s.v.State.Replicas, "r-sata-3")
			s.v.Spec.NumReplicas = 2
			s.child("sata-1").URI = "nvmf://x?uuid=r-sata-1"
		}, want: "sata-2 sata-1"},
		{name: "without a nexus nothing is certain", change: func(s *scene) { s.cordonNode("node-2"); s.v.State.Target = nil }, want: "sata-2 sata-3 sata-1"},
		{name: "unpublished nothing is certain", change: func(s *scene) { s.cordonNode("node-2"); s.v.Spec.Target = nil }, want: "sata-2 sata-3 sata-1"},
		{name: "with one missing the server only lowers the number", change: func(s *scene) { s.cordonNode("node-2"); s.v.Spec.NumReplicas = 4 }, want: "sata-2 sata-3 sata-1"},
		{name: "with one out of reach the server only lowers the number", change: func(s *scene) {
			s.cordonNode("node-2")
			s.replica("sata-3", func(r *mayastor.ReplicaTopology) { r.State = mayastor.StatusUnknown })
		}, want: "sata-2 sata-3 sata-1"},
		{name: "when all are Faulted the record of health is another", change: func(s *scene) {
			for _, p := range []string{"sata-1", "sata-2", "sata-3"} {
				faulted(s, p)
			}
			s.cordonNode("node-2")
		}, want: "sata-2 sata-3 sata-1"},

		{name: "old: a cordoned node means nothing", old: true, change: func(s *scene) { s.cordonNode("node-1") }, want: "sata-2 sata-3 sata-1"},
		{name: "old: a label that does not match means nothing", old: true, change: func(s *scene) { s.demand("tier", "nvme") }, want: "sata-2 sata-3 sata-1"},
		{name: "old: one being rebuilt goes before those in sync", old: true, change: func(s *scene) { degraded(s, "sata-1", 10) }, want: "sata-1 sata-2 sata-3", certain: true},
		{name: "old: a child goes before what is no child", old: true, change: func(s *scene) { noChild(s, "sata-1"); faulted(s, "sata-3") }, want: "sata-3 sata-1 sata-2", certain: true},
		{name: "old: of two, the remote one goes first for certain", old: true, change: func(s *scene) {
			delete(s.v.State.Replicas, "r-sata-3")
			s.v.Spec.NumReplicas = 2
		}, want: "sata-2 sata-1", certain: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(3, "sata-1", "sata-2", "sata-3")
			tt.change(s)
			if tt.old {
				s.cap = mayastor.Capability{}
			}
			var got []string
			for _, r := range mayastor.RemovalOrder(s.v, s.nodes, s.pools, s.cap) {
				got = append(got, r.Pool)
			}
			if d := cmp.Diff(strings.Join(got, " "), tt.want); d != "" {
				t.Error(d)
			}
			first, certain := mayastor.FirstVictim(s.v, s.nodes, s.pools, s.cap)
			if first.Pool != got[0] || certain != tt.certain {
				t.Errorf("got %s first, certain %v, want %s and %v", first.Pool, certain, got[0], tt.certain)
			}
		})
	}
}

func TestAVolumeWithoutReplicasHasNoVictim(t *testing.T) {
	t.Parallel()
	if first, certain := mayastor.FirstVictim(mayastor.Volume{}, nil, nil, mayastor.Capability{}); certain || first != (mayastor.ReplicaRef{}) {
		t.Errorf("got %v, %v", first, certain)
	}
}

// What is in the way of a removal is named, with what to do about it.
func TestAnAmbiguousRemovalIsExplained(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		pools  []string
		change func(*scene)
		want   string
	}{
		{"another's cordon", []string{"sata-1", "nvme-2"}, func(s *scene) { s.cordonNode("node-2") }, "the replica on pool nvme-2 may go as well, as its node node-2 is cordoned (somebody); lift that cordon"},
		{"a pool that does not match", []string{"sata-1", "nvme-2"}, func(s *scene) {
			s.demand("rack", "r")
			for i := range s.pools {
				s.pools[i].Spec.Labels["rack"] = "r"
			}
			s.pool("nvme-2").Spec.Labels["rack"] = "s"
		}, "the replica on pool nvme-2 goes first, as its pool has label rack=s, and the volume demands rack=r"},
		{"a node that does not match", []string{"sata-1", "nvme-2"}, func(s *scene) {
			s.v.Spec.Topology.Node = &mayastor.NodeTopology{Labelled: &mayastor.LabelledTopology{Inclusion: map[string]string{"ok": "y"}}}
			for _, n := range []string{"node-1", "node-3", "node-4"} {
				s.node(n).Spec.Labels["ok"] = "y"
			}
		}, "the replica on pool nvme-2 goes first, as its node node-2 has no label ok, and the volume demands ok=y"},
		{"a clash of the spread", []string{"sata-1", "nvme-2", "nvme-3"}, func(s *scene) {
			s.spread("zone", map[string]string{"node-1": "a", "node-2": "b", "node-3": "b", "node-4": "c"})
		}, "the replica on pool nvme-2 goes first, as its node node-2 clashes with others by the labels that spread the volume"},
		{"the same node", []string{"sata-1", "nvme-1"}, func(*scene) {}, "the replica on pool nvme-1 is on the same node node-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(4, tt.pools...)
			tt.change(s)
			_, no := s.route()
			if len(no) != 1 || no[0].Reason != mayastor.ReasonRemovalAmbiguous || !strings.HasSuffix(no[0].Sentence, ": "+tt.want) {
				t.Errorf("got  %+v\nwant %s", no, tt.want)
			}
		})
	}
}

func TestCandidatesExplainEachPool(t *testing.T) {
	t.Parallel()
	s := newScene(3, "sata-1")
	s.cordonNode("node-3")
	s.pool("nvme-2").State.Used = 1020 * gibibyte
	want := []mayastor.Candidate{
		{Pool: "nvme-1", Node: "node-1", Reject: "is on node node-1, which holds a replica of the volume already", Reason: mayastor.ReasonNoFreeNode},
		{Pool: "nvme-2", Node: "node-2", Reject: "has 4 GiB free, and more than 9 GiB are needed", Reason: mayastor.ReasonPoolFull},
		{Pool: "nvme-3", Node: "node-3", Reject: "is on node node-3, which is cordoned (somebody)", Reason: mayastor.ReasonNodeCordoned},
		{Pool: "sata-1", Node: "node-1", Reject: "is on node node-1, which holds a replica of the volume already", Reason: mayastor.ReasonNoFreeNode},
		{Pool: "sata-2", Node: "node-2"},
		{Pool: "sata-3", Node: "node-3", Reject: "is on node node-3, which is cordoned (somebody)", Reason: mayastor.ReasonNodeCordoned},
	}
	if d := cmp.Diff(mayastor.Candidates(s.v, s.pools, s.nodes), want); d != "" {
		t.Error(d)
	}
}
