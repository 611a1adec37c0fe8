package mayastor_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/billyronks/couchestor/mayastor"
)

// Whatever a server says of a volume, nothing panics, and no plan is made for
// one that is not known to be whole.
func FuzzVolume(f *testing.F) {
	for _, pools := range [][]string{{"sata-1"}, {"sata-1", "sata-2"}, {"sata-1", "nvme-2", "sata-3"}} {
		seed, err := json.Marshal(newScene(4, pools...).v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	// The example of MS 2.9: two replicas and one being rebuilt.
	f.Add([]byte(`{"spec":{"uuid":"v","size":10737418240,"num_replicas":3,"status":"Created","policy":{"self_heal":true},"thin":true,
	  "num_snapshots":0,"target":{"node":"node-1","protocol":"nvmf","frontend_nodes":[{"name":"n1","nqn":"nqn"}]},
	  "topology":{"node_topology":{"labelled":{"exclusion":{},"inclusion":{}}},
	              "pool_topology":{"labelled":{"exclusion":{},"inclusion":{"openebs.io/created-by":"operator-diskpool"}}}}},
	 "state":{"uuid":"v","size":10737418240,"status":"Degraded",
	  "target":{"uuid":"x","node":"node-1","size":10737418240,"state":"Degraded","protocol":"nvmf","deviceUri":"nvmf://","rebuilds":1,
	    "children":[{"uri":"bdev:///A?uuid=A","state":"Online"},{"uri":"nvmf://h?uuid=B","state":"Online"},
	                {"uri":"nvmf://h?uuid=C","state":"Degraded","rebuildProgress":37}]},
	  "replica_topology":{"A":{"node":"node-1","pool":"sata-1","state":"Online","child-status":"Online","usage":{}},
	    "B":{"node":"node-2","pool":"sata-2","state":"Online","child-status":"Online"},
	    "C":{"node":"node-3","pool":"nvme-3","state":"Online","child-status":"Degraded","rebuild-progress":37}}}}`))
	f.Add([]byte(`{"spec":{"topology":{"node_topology":{"labelled":null},"pool_topology":{"labelled":{"exclusion":{"z":""},"affinity_key":["a","a",""]}}}}}`))
	f.Add([]byte(`{"state":{"replica_topology":{"":{}},"target":{"children":[{"uri":"?uuid=%zz"},{"uri":"?uuid="}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v mayastor.Volume
		if json.Unmarshal(data, &v) != nil {
			return
		}
		s := newScene(4, "sata-1")
		s.v = v
		before, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, capability := range []mayastor.Capability{{}, {Removal: true}, {PoolCordon: true, Removal: true}} {
			for _, reduced := range []bool{false, true} {
				s.cap, s.ask.AllowReduced, s.ask.MoveSnapshots = capability, reduced, reduced
				steps, no := s.route()
				again, _ := s.route()
				switch {
				case len(steps) > 0 && len(no) > 0:
					t.Errorf("both steps and refusals: %+v %+v", steps, no)
				case len(steps) > 0 && len(mayastor.Healthy(v)) > 0:
					t.Errorf("steps for a volume that is not whole: %+v", mayastor.Healthy(v))
				case len(steps) > 0 && capability == (mayastor.Capability{}):
					t.Error("steps on a server that cannot be steered")
				case !reflect.DeepEqual(steps, again):
					t.Errorf("two answers: %+v and %+v", steps, again)
				}
				for _, r := range no {
					if r.Reason == "" || r.Sentence == "" {
						t.Errorf("an empty refusal: %+v", r)
					}
				}
			}
			order := mayastor.RemovalOrder(v, s.nodes, s.pools, capability)
			first, certain := mayastor.FirstVictim(v, s.nodes, s.pools, capability)
			if len(order) != len(v.State.Replicas) || len(order) > 0 && order[0] != first || len(order) == 0 && certain {
				t.Errorf("order %+v, first %+v, certain %v", order, first, certain)
			}
		}
		whole := len(v.State.Replicas) > 0
		for id := range v.State.Replicas {
			whole = mayastor.Synced(v, id) && whole
		}
		if len(mayastor.Healthy(v)) == 0 && !whole {
			t.Error("healthy, but a replica is not in sync")
		}
		if got := mayastor.Candidates(v, s.pools, s.nodes); len(got) != len(s.pools) {
			t.Errorf("%d candidates of %d pools", len(got), len(s.pools))
		}
		if after, _ := json.Marshal(v); string(after) != string(before) {
			t.Error("the volume was changed")
		}
	})
}
