package mayastor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

// Each rule of MS 5.4.1 and 5.7 by itself: one thing is wrong, and exactly that
// is said. On its way there every case proves that the fresh scene may move.
func TestPreconditions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(*scene)
		want  []mayastor.Reason
		says  string // part of the first sentence
	}{
		{"a volume that is being created stays", func(s *scene) { s.v.Spec.Status = "Creating" }, []mayastor.Reason{mayastor.ReasonVolumeNotCreated}, "Creating"},
		{"a volume that is being deleted stays", func(s *scene) { s.v.Spec.Status = "Deleting" }, []mayastor.Reason{mayastor.ReasonVolumeNotCreated}, "Deleting"},
		{"an operation in flight holds the volume", func(s *scene) { s.v.Spec.Operation = &mayastor.Operation{Operation: "CreateSnapshot"} }, []mayastor.Reason{mayastor.ReasonOperationInFlight}, "CreateSnapshot"},
		{"a volume without self-heal stays", func(s *scene) { s.v.Spec.Policy.SelfHeal = false }, []mayastor.Reason{mayastor.ReasonSelfHealOff}, "self-healing"},
		{"an unpublished volume stays", func(s *scene) {
			s.v.Spec.Target, s.v.State.Target = nil, nil
			for _, p := range []string{"sata-1", "sata-2"} {
				s.replica(p, func(r *mayastor.ReplicaTopology) { r.ChildStatus = "" })
			}
		}, []mayastor.Reason{mayastor.ReasonUnpublished}, "start a pod"},
		{"an unpublished clone stays, as it may never have been published", func(s *scene) {
			s.v.Spec.Target, s.v.State.Target = nil, nil
			s.v.Spec.ContentSource = json.RawMessage(`{"snapshot":{"snapshot":"s","volume":"x"}}`)
		}, []mayastor.Reason{mayastor.ReasonCloneUnpublished}, "restored from a snapshot"},
		{"a temporary target of an offline rebuild is no publication", func(s *scene) { s.v.Spec.Target.Protocol = "" }, []mayastor.Reason{mayastor.ReasonTemporaryTarget}, "temporary"},
		{"another protocol than nvmf stays", func(s *scene) { s.v.Spec.Target.Protocol = "iscsi" }, []mayastor.Reason{mayastor.ReasonTargetProtocol}, "iscsi"},
		{"a published volume without its nexus stays", func(s *scene) { s.v.State.Target = nil }, []mayastor.Reason{mayastor.ReasonTargetNotOnline}, "not there"},
		{"a switch-over under way holds the volume", func(s *scene) { s.v.Spec.Target.Node = "node-3" }, []mayastor.Reason{mayastor.ReasonTargetMoving}, "node-3"},
		{"a Degraded nexus holds the volume", func(s *scene) { s.v.State.Target.State = mayastor.StatusDegraded }, []mayastor.Reason{mayastor.ReasonTargetNotOnline}, "Degraded"},
		{"a nexus in a state nobody knows holds the volume", func(s *scene) { s.v.State.Target.State = "Levitating" }, []mayastor.Reason{mayastor.ReasonTargetNotOnline, mayastor.ReasonReplicaNotSynced, mayastor.ReasonReplicaNotSynced}, "Levitating"},
		{"a rebuild on the nexus holds the volume", func(s *scene) { s.v.State.Target.Rebuilds = 1 }, []mayastor.Reason{mayastor.ReasonRebuilding}, "1 rebuild runs"},
		{"a Degraded volume stays", func(s *scene) { s.v.State.Status = mayastor.StatusDegraded }, []mayastor.Reason{mayastor.ReasonVolumeNotOnline}, "Degraded"},
		{"a volume in an unknown state stays", func(s *scene) { s.v.State.Status = mayastor.StatusUnknown }, []mayastor.Reason{mayastor.ReasonVolumeNotOnline}, "Unknown"},
		{"a volume without a state stays", func(s *scene) { s.v.State.Status = "" }, []mayastor.Reason{mayastor.ReasonVolumeNotOnline}, "unknown"},
		{"a hidden spare holds the volume", func(s *scene) { s.add("sata-3") }, []mayastor.Reason{mayastor.ReasonCountsDisagree}, "wants 2 replicas, 3 exist and its target has 3 children"},
		{"a replica that is missing holds the volume", func(s *scene) { delete(s.v.State.Replicas, "r-sata-2") }, []mayastor.Reason{mayastor.ReasonCountsDisagree}, "1 exist"},
		{"a child that is missing holds the volume", func(s *scene) { s.v.State.Target.Children = s.v.State.Target.Children[:1] }, []mayastor.Reason{mayastor.ReasonCountsDisagree, mayastor.ReasonReplicaNotSynced}, "1 child"},
		{"a volume of which nothing is known stays", func(s *scene) { s.v.State.Replicas = nil; s.v.State.Target.Children = nil }, []mayastor.Reason{mayastor.ReasonCountsDisagree}, "0 exist"},
		{"a volume that wants no replica stays", func(s *scene) { s.v.Spec.NumReplicas = 0 }, []mayastor.Reason{mayastor.ReasonCountsDisagree}, "wants 0 replicas"},
		{"a volume that wants none and has none is not at rest", func(s *scene) {
			s.v.Spec.NumReplicas, s.v.State.Replicas, s.v.State.Target.Children = 0, nil, nil
		}, []mayastor.Reason{mayastor.ReasonCountsDisagree}, "wants 0 replicas, 0 exist"},
		{"a replica in an unknown place holds the volume", func(s *scene) { s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.Pool = "" }) }, []mayastor.Reason{mayastor.ReasonReplicaUnplaced}, "r-sata-2"},
		{"a replica on an unknown node holds the volume", func(s *scene) { s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.Node = "" }) }, []mayastor.Reason{mayastor.ReasonReplicaUnplaced}, "r-sata-2"},
		{"a replica that is not Online holds the volume", func(s *scene) {
			s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.State = mayastor.StatusUnknown })
		}, []mayastor.Reason{mayastor.ReasonReplicaNotOnline}, "Unknown"},
		{"a replica that is no child of the nexus holds the volume", func(s *scene) { s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.ChildStatus = "" }) }, []mayastor.Reason{mayastor.ReasonReplicaNotSynced}, "child unknown"},
		{"a Degraded child holds the volume", func(s *scene) {
			s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.ChildStatus = mayastor.StatusDegraded })
		}, []mayastor.Reason{mayastor.ReasonReplicaNotSynced}, "child Degraded"},
		{"a child the nexus calls Degraded holds the volume, whatever the topology says", func(s *scene) { s.child("sata-2").State = mayastor.StatusDegraded }, []mayastor.Reason{mayastor.ReasonReplicaNotSynced}, "r-sata-2"},
		{"a child the nexus is rebuilding holds the volume, whatever the topology says", func(s *scene) { s.child("sata-2").RebuildProgress = new(99) }, []mayastor.Reason{mayastor.ReasonReplicaNotSynced}, "r-sata-2"},
		{"two children for one replica are one too many", func(s *scene) { s.v.State.Target.Children[1].URI = s.v.State.Target.Children[0].URI }, []mayastor.Reason{mayastor.ReasonReplicaNotSynced, mayastor.ReasonReplicaNotSynced}, "r-sata-1"},
		{"a child without the replica's uuid is nobody's", func(s *scene) { s.v.State.Target.Children[1].URI = "nvmf://x" }, []mayastor.Reason{mayastor.ReasonReplicaNotSynced}, "r-sata-2"},
		{"a replica being rebuilt holds the volume", func(s *scene) {
			s.replica("sata-2", func(r *mayastor.ReplicaTopology) { r.RebuildProgress = new(37) })
		}, []mayastor.Reason{mayastor.ReasonRebuilding}, "37%"},

		{"a node of the volume that is offline holds it", func(s *scene) { s.node("node-2").State.Status = mayastor.StatusOffline }, []mayastor.Reason{mayastor.ReasonNodeNotOnline}, "node-2 of the volume is Offline"},
		{"a node of the volume without a state holds it", func(s *scene) { s.node("node-2").State = nil }, []mayastor.Reason{mayastor.ReasonNodeNotOnline}, "node-2"},
		{"a node of the volume that nobody knows holds it", func(s *scene) { s.node("node-2").ID = "other" }, []mayastor.Reason{mayastor.ReasonNodeNotOnline}, "node-2"},
		{"a target node that is offline holds it, also without a replica there", func(s *scene) {
			s.v.Spec.Target.Node, s.v.State.Target.Node = "node-4", "node-4"
			s.node("node-4").State.Status = mayastor.StatusOffline
			s.child("sata-1").URI = "nvmf://x?uuid=r-sata-1"
		}, []mayastor.Reason{mayastor.ReasonNodeNotOnline}, "node-4"},
		{"any node being drained holds everything", func(s *scene) {
			s.node("node-4").Spec.Cordon = &mayastor.NodeCordon{Draining: &mayastor.CordonLabels{DrainLabels: []string{"x"}}}
		}, []mayastor.Reason{mayastor.ReasonNodeDraining}, "node-4"},
		{"a drained node of the volume holds it", func(s *scene) {
			s.node("node-2").Spec.Cordon = &mayastor.NodeCordon{Drained: &mayastor.CordonLabels{DrainLabels: []string{"x"}}}
		}, []mayastor.Reason{mayastor.ReasonNodeDrained}, "node-2"},
		{"mixed io-engine versions hold everything", func(s *scene) { s.node("node-4").State.Version = "2.11.0" }, []mayastor.Reason{mayastor.ReasonMixedVersions}, "2.10.0, 2.11.0"},
		{"an io-engine that does not tell its version is another version", func(s *scene) { s.node("node-4").State.Version = "" }, []mayastor.Reason{mayastor.ReasonMixedVersions}, "unknown, 2.10.0"},
		{"a pool drain anywhere holds everything", func(s *scene) {
			s.pool("sata-4").Spec.CordonDrain = &mayastor.CordonDrain{Drain: json.RawMessage(`{"requestTimestamp":"x"}`)}
		}, []mayastor.Reason{mayastor.ReasonPoolDraining}, "sata-4"},
		{"a pool of the volume that is Degraded holds it", func(s *scene) { s.pool("sata-2").State.Status = mayastor.StatusDegraded }, []mayastor.Reason{mayastor.ReasonPoolNotOnline}, "sata-2 of the volume is Degraded"},
		{"a pool of the volume with a status nobody knows holds it", func(s *scene) { s.pool("sata-2").State.Status = "Suspected" }, []mayastor.Reason{mayastor.ReasonPoolNotOnline}, "Suspected"},
		{"a pool of the volume without a state holds it", func(s *scene) { s.pool("sata-2").State = nil }, []mayastor.Reason{mayastor.ReasonPoolNotOnline}, "Unknown"},

		{"a volume with snapshots stays", func(s *scene) { s.v.Spec.NumSnapshots = 2 }, []mayastor.Reason{mayastor.ReasonSnapshots}, "2 snapshots"},
		{"no target pools is no move", func(s *scene) { s.ask.Targets = nil }, []mayastor.Reason{mayastor.ReasonNoTargetPools}, "selector"},
		{"a server that cannot steer a removal gets no move", func(s *scene) { s.cap = mayastor.Capability{Source: "no version"} }, []mayastor.Reason{mayastor.ReasonUnsupportedVersion}, "no version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(4, "sata-1", "sata-2")
			if steps, no := s.route(); len(steps) != 2 || len(no) != 0 {
				t.Fatalf("the fresh scene has %d steps and refusals %v", len(steps), no)
			}
			tt.spoil(s)
			steps, no := s.route()
			if len(steps) != 0 {
				t.Errorf("got steps %+v beside the refusals", steps)
			}
			var got []mayastor.Reason
			for _, r := range no {
				got = append(got, r.Reason)
			}
			if d := cmp.Diff(got, tt.want); d != "" {
				t.Errorf("reasons: %s\n%+v", d, no)
			}
			if len(no) > 0 && !strings.Contains(no[0].Sentence, tt.says) {
				t.Errorf("%q does not say %q", no[0].Sentence, tt.says)
			}
		})
	}
}

func TestWhatIsOverOrFarAwayDoesNotHoldTheVolume(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*scene){
		"a node elsewhere that is down, with an old version": func(s *scene) {
			s.node("node-4").State.Status, s.node("node-4").State.Version = mayastor.StatusOffline, "2.9.0"
		},
		"a drained node elsewhere": func(s *scene) {
			s.node("node-4").Spec.Cordon = &mayastor.NodeCordon{Drained: &mayastor.CordonLabels{DrainLabels: []string{"x"}}}
		},
		"a pool elsewhere that is Faulted": func(s *scene) { s.pool("sata-4").State.Status = mayastor.StatusFaulted },
		"a pool drain that is over": func(s *scene) {
			s.pool("sata-4").Spec.CordonDrain = &mayastor.CordonDrain{Drain: json.RawMessage(`{}`)}
			s.pool("sata-4").Meta = &struct {
				Drain json.RawMessage `json:"drain"`
			}{json.RawMessage(`{"phase":"Drained"}`)}
		},
		"a null content source":          func(s *scene) { s.v.Spec.ContentSource = json.RawMessage(`null`) },
		"a clone that is published":      func(s *scene) { s.v.Spec.ContentSource = json.RawMessage(`{"snapshot":{}}`) },
		"snapshots that may stay behind": func(s *scene) { s.v.Spec.NumSnapshots, s.ask.MoveSnapshots = 2, true },
		"an affinity group of volumes with two replicas": func(s *scene) {
			s.v.Spec.AffinityGroup = &mayastor.AffinityGroup{ID: "ns/db"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(4, "sata-1", "sata-2")
			change(s)
			if steps, no := s.route(); len(steps) != 2 || len(no) != 0 {
				t.Errorf("got %d steps and %+v, want 2 and none", len(steps), no)
			}
		})
	}
}

func TestEveryReasonIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(3, "sata-1", "sata-2", "sata-3")
	s.v.Spec.Operation = &mayastor.Operation{Operation: "Resize"}
	s.v.Spec.NumSnapshots = 1
	s.v.State.Status = mayastor.StatusDegraded
	s.node("node-3").State.Version = "2.9"
	want := "OperationInFlight\nVolumeNotOnline\nMixedVersions\nSnapshots\nNoFreeNode"
	if got := s.told(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// MS 5.4.8 asks the same of N+1 replicas.
func TestHealthyHoldsForNPlusOne(t *testing.T) {
	t.Parallel()
	s := newScene(4, "sata-1", "sata-2")
	s.v.Spec.NumReplicas = 3
	if got := mayastor.Healthy(s.v); len(got) != 1 || got[0].Reason != mayastor.ReasonCountsDisagree {
		t.Errorf("with the new replica missing: got %+v", got)
	}
	s.add("nvme-3")
	if got := mayastor.Healthy(s.v); len(got) != 0 {
		t.Errorf("with the new replica in sync: got %+v", got)
	}
	s.replica("nvme-3", func(r *mayastor.ReplicaTopology) { r.RebuildProgress = new(0) })
	if got := mayastor.Healthy(s.v); len(got) != 1 || got[0].Reason != mayastor.ReasonRebuilding {
		t.Errorf("with the new replica at 0%%: got %+v", got)
	}
}

func TestSynced(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(*scene)
		want  bool
	}{
		{"in sync", func(*scene) {}, true},
		{"in sync although another is being rebuilt", func(s *scene) {
			s.v.State.Status, s.v.State.Target.State, s.v.State.Target.Rebuilds = mayastor.StatusDegraded, mayastor.StatusDegraded, 1
			s.replica("sata-2", func(r *mayastor.ReplicaTopology) {
				r.ChildStatus, r.RebuildProgress = mayastor.StatusDegraded, new(5)
			})
		}, true},
		{"not a replica", func(s *scene) { delete(s.v.State.Replicas, "r-sata-1") }, false},
		{"a blank replica is Online as a device", func(s *scene) { s.replica("sata-1", func(r *mayastor.ReplicaTopology) { r.ChildStatus = "" }) }, false},
		{"device not Online", func(s *scene) {
			s.replica("sata-1", func(r *mayastor.ReplicaTopology) { r.State = mayastor.StatusDegraded })
		}, false},
		{"child not Online", func(s *scene) {
			s.replica("sata-1", func(r *mayastor.ReplicaTopology) { r.ChildStatus = mayastor.StatusFaulted })
		}, false},
		{"being rebuilt at 100%", func(s *scene) {
			s.replica("sata-1", func(r *mayastor.ReplicaTopology) { r.RebuildProgress = new(100) })
		}, false},
		{"no nexus", func(s *scene) { s.v.State.Target = nil }, false},
		{"nexus Faulted", func(s *scene) { s.v.State.Target.State = mayastor.StatusFaulted }, false},
		{"nexus Unknown", func(s *scene) { s.v.State.Target.State = mayastor.StatusUnknown }, false},
		{"nexus does not know it", func(s *scene) { s.child("sata-1").URI = "bdev:///other?uuid=other" }, false},
		{"nexus says Degraded", func(s *scene) { s.child("sata-1").State = mayastor.StatusDegraded }, false},
		{"nexus says rebuilding", func(s *scene) { s.child("sata-1").RebuildProgress = new(3) }, false},
		{"nexus has it twice", func(s *scene) {
			s.v.State.Target.Children = append(s.v.State.Target.Children, s.v.State.Target.Children[0])
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(3, "sata-1", "sata-2")
			tt.spoil(s)
			if got := mayastor.Synced(s.v, "r-sata-1"); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
