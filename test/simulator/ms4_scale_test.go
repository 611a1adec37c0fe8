package simulator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMS4_1ValidationInItsOrder(t *testing.T) {
	tests := []struct {
		name    string
		profile Profile
		arrange func(w *world) string
		n       int
		status  int
		kind    string
		message string
	}{
		{"a busy guard comes first", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.act(w.OpenOperation(v, "CreateSnapshot", time.Minute))
			return v
		}, 1, 409, "Conflict", "operation"},
		{"an unfinished operation in the store comes before the count", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.act(w.DirtyOperation(v, "Resize", time.Minute))
			return v
		}, 1, 507, "FailedPersist", "unfinished"},
		{"a nexus that is not ready comes before the count", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.CoreRestart()
			return v
		}, 1, 503, "Unavailable", "not ready"},
		{"the same count again is refused", V2_10, func(w *world) string { return w.Published(gib, "sata-1") }, 1, 412, "FailedPrecondition", "already"},
		{"none is refused", V2_10, func(w *world) string { return w.Published(gib, "sata-1") }, 0, 412, "FailedPrecondition", "at least one"},
		{"two at once is refused", V2_10, func(w *world) string { return w.Published(gib, "sata-1") }, 3, 412, "FailedPrecondition", "one at a time"},
		{"two down at once is refused", V2_10, func(w *world) string { return w.Published(gib, "sata-1", "sata-2", "sata-3") }, 1, 412, "FailedPrecondition", "one at a time"},
		{"growing what is not Online is refused", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.PoolDown("sata-2"))
			return v
		}, 3, 412, "FailedPrecondition", "Degraded"},
		{"shrinking it is not", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2", "sata-3")
			w.scale(v, 4)
			return v
		}, 3, 200, "", ""},
		{"an affinity group keeps two", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}, Target: "node-1", AffinityGroup: "ns/db"})
		}, 1, 412, "FailedPrecondition", "affinity group"},
		{"an affinity group has one guard", V2_10, func(w *world) string {
			other := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}, Target: "node-1", AffinityGroup: "ns/db"})
			w.act(w.OpenOperation(other, "Resize", time.Minute))
			return w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}, Target: "node-1", AffinityGroup: "ns/db"})
		}, 3, 409, "Conflict", "operation"},
		{"snapshots and an old io-engine do not rebuild", V2_10, func(w *world) string {
			v := w.AddVolume(Volume{Pools: []string{"sata-1"}, Target: "node-2", Snapshots: 1})
			w.act(w.UpgradeNode("node-1", "2.6.1"))
			settle()
			return v
		}, 2, 412, "FailedPrecondition", "too old"},
		{"a count beyond a byte is no count", V2_10, func(w *world) string { return w.Published(gib, "sata-1") }, 256, 400, "Deserialize", "out of range"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{Profile: tt.profile}, 4, func(w *world) {
				v := tt.arrange(w)
				before := w.Replicas(v)
				body := w.want("PUT", count(v, tt.n), "", tt.status, tt.kind)
				if !strings.Contains(body, tt.message) {
					t.Errorf("got %s, want %q in it", body, tt.message)
				}
				if got := w.Replicas(v); tt.status >= 400 && got != before {
					t.Errorf("got num_replicas %d after a refusal, want %d", got, before)
				}
			})
		})
	}
}

func TestMS4_1ADirtyOperationIsClearedByTheReconciler(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.act(w.DirtyOperation(v, "SetReplica", 30*time.Second))
		if op := w.volume(v).Spec.Operation; op == nil || op.Operation != "SetReplica" {
			t.Errorf("got operation %+v, want it visible", op)
		}
		time.Sleep(time.Minute)
		w.scale(v, 2)
	})
}

func TestMS4_2PlusOneStepByStep(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2")
		w.scale(v, 3)
		got := w.volume(v)
		if got.Spec.NumReplicas != 3 || got.State.Status != "Degraded" || got.State.Target.Rebuilds != 1 || len(got.State.Target.Children) != 3 {
			t.Errorf("right after: got %d replicas, %s, %d rebuilds, %d children", got.Spec.NumReplicas, got.State.Status,
				got.State.Target.Rebuilds, len(got.State.Target.Children))
		}
		if c := got.State.Target.Children[2]; c.State != "Degraded" || c.RebuildProgress == nil || *c.RebuildProgress != 0 {
			t.Errorf("the new child is %+v, want Degraded at 0", c)
		}
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced, want the new one not among them", got)
		}
		time.Sleep(30 * time.Second)
		for _, r := range w.Truth(v) {
			if r.Blank && (r.Rebuilt < 0.5 || r.Rebuilt > 0.65) {
				t.Errorf("rebuilt %v after 30 of 51 s", r.Rebuilt)
			}
		}
		time.Sleep(22 * time.Second)
		got = w.volume(v)
		if got.State.Status != "Online" || got.State.Target.Rebuilds != 0 || got.State.Target.Children[2].RebuildProgress != nil {
			t.Errorf("at the end: got %s, %d rebuilds, child %+v", got.State.Status, got.State.Target.Rebuilds, got.State.Target.Children[2])
		}
		if got := w.Synced(v); got != 3 {
			t.Errorf("got %d synced, want 3", got)
		}
		if got := w.Counts(v); got != (Counts{Ups: 1}) {
			t.Errorf("got %+v, want one up", got)
		}
		w.noViolations()
	})
}

func TestMS4_2AFailedAttachLeavesAnExtraReplicaThatSelfHealTrims(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.FailAttaches(v, 1))
		w.want("PUT", count(v, 3), "", 500, "Internal")
		got := w.volume(v)
		if got.Spec.NumReplicas != 2 || len(got.State.ReplicaTopology) != 3 || len(got.State.Target.Children) != 2 {
			t.Fatalf("got %d wanted, %d replicas, %d children; want 2, 3, 2", got.Spec.NumReplicas, len(got.State.ReplicaTopology), len(got.State.Target.Children))
		}
		time.Sleep(31 * time.Second)
		w.wantOn(v, "sata-1", "sata-2")
		if got := w.Counts(v); got != (Counts{}) {
			t.Errorf("got %+v, want no success counted", got)
		}
		w.noViolations()
	})
}

func TestMS4_2TheRebuildCapAnswers507AndLeavesAnExtraReplica(t *testing.T) {
	play(t, Config{MaxRebuilds: 1}, 3, func(w *world) {
		a, b := w.Published(100*gib, "sata-1"), w.Published(100*gib, "sata-1")
		w.scale(a, 2)
		w.want("PUT", count(b, 2), "", 507, "ResourceExhausted")
		if got := len(w.Truth(b)); got != 2 {
			t.Errorf("got %d replicas, want the extra one", got)
		}
		settle()
		settle()
		w.wantOn(b, "sata-1")
		w.scale(b, 2) // the other rebuild is done
	})
}

func TestMS4_2ACandidateThatFailsIsFollowedByTheNext(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.act(w.FailCreates("sata-2", 1))
		w.act(w.FailCreates("nvme-2", 1))
		w.want("PUT", count(v, 2), "", 500, "Internal")
		w.wantOn(v, "sata-1")
		w.act(w.FailCreates("nvme-2", 1))
		w.scale(v, 2)
		w.wantOn(v, "sata-1", "sata-2")
	})
}

func TestMS4_3CandidateFilters(t *testing.T) {
	fits := func(t *testing.T, cfg Config, arrange func(w *world) string) (pools []string) {
		play(t, cfg, 3, func(w *world) {
			v := arrange(w)
			w.locked(func() {
				vol, _ := w.volumes.get(v)
				for _, p := range w.candidates(vol) {
					pools = append(pools, p.id)
				}
			})
			slices.Sort(pools)
		})
		return pools
	}
	rest := []string{"nvme-2", "nvme-3", "sata-2", "sata-3"} // all but node-1's
	tests := []struct {
		name    string
		profile Profile
		arrange func(w *world) string
		want    []string
	}{
		{"one replica per node", V2_10, func(w *world) string { return w.Published(gib, "sata-1") }, rest},
		{"no node left, no candidate", V2_10, func(w *world) string { return w.Published(gib, "sata-1", "sata-2", "nvme-3") }, nil},
		{"a cordoned node is out", V2_10, func(w *world) string {
			w.act(w.ForeignNodeCordon("node-2", "x"))
			return w.Published(gib, "sata-1")
		}, []string{"nvme-3", "sata-3"}},
		{"a node known to be offline is out", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.act(w.NodeDown("node-3"))
			time.Sleep(time.Minute)
			return v
		}, []string{"nvme-2", "sata-2"}},
		{"a node not yet known to be offline is in", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.act(w.NodeDown("node-3"))
			return v
		}, rest},
		{"allowed nodes only", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, AllowedNodes: []string{"node-1", "node-3"}})
		}, []string{"nvme-3", "sata-3"}},
		{"a pool label of the inclusion must match", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, PoolInclusion: map[string]string{"tier": "sata"}})
		}, []string{"sata-2", "sata-3"}},
		{"an empty value means any", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, PoolInclusion: map[string]string{"tier": ""}})
		}, rest},
		{"a key nobody has fits nowhere", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, PoolInclusion: map[string]string{"rack": ""}})
		}, nil},
		{"a pool that is not the operator's is not for CSI volumes", V2_10, func(w *world) string {
			w.AddPool(Pool{ID: "own-3", Node: "node-3", NotByOperator: true})
			return w.Published(gib, "sata-1")
		}, rest},
		{"but for others", V2_10, func(w *world) string {
			w.AddPool(Pool{ID: "own-3", Node: "node-3", NotByOperator: true})
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, NotByCSI: true})
		}, []string{"nvme-2", "nvme-3", "own-3", "sata-2", "sata-3"}},
		{"node labels of the inclusion must match", V2_10, func(w *world) string {
			w.want("PUT", "/v0/nodes/node-2/label/rack=a", "", 200, "")
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, NodeInclusion: map[string]string{"rack": "a"}})
		}, []string{"nvme-2", "sata-2"}},
		{"node spread counts on a +1 since 2.8", V2_10, spread, []string{"nvme-3", "sata-3"}},
		{"node spread did not count before", Old, spread, rest},
		{"a Faulted pool is out", V2_10, func(w *world) string { w.act(w.PoolDown("nvme-2")); return w.Published(gib, "sata-1") }, []string{"nvme-3", "sata-2", "sata-3"}},
		{"a Degraded pool is in", V2_10, func(w *world) string { w.act(w.DegradePool("nvme-2", true)); return w.Published(gib, "sata-1") }, rest},
		{"a pool must be larger than the volume", V2_10, func(w *world) string {
			w.AddPool(Pool{ID: "small-3", Node: "node-3", Capacity: gib})
			return w.Published(gib, "sata-1")
		}, rest},
		{"thick needs its size free", V2_10, func(w *world) string {
			w.act(w.FillPool("nvme-2", 10*gib))
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Size: 10 * gib, Thick: true})
		}, []string{"nvme-3", "sata-2", "sata-3"}},
		{"thin needs its data and 40% of its size free", V2_10, func(w *world) string {
			w.act(w.FillPool("nvme-2", 9*gib))
			w.act(w.FillPool("nvme-3", 9*gib+1))
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Size: 10 * gib, Allocated: 5 * gib})
		}, []string{"nvme-3", "sata-2", "sata-3"}},
		{"thin never needs more than its size free", V2_10, func(w *world) string {
			w.act(w.FillPool("nvme-2", 10*gib+1))
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Size: 10 * gib, Allocated: 9 * gib})
		}, rest},
		{"thin needs more than 16 MiB free", V2_10, func(w *world) string {
			w.act(w.FillPool("nvme-2", 16*mib))
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Size: 8 * mib, Allocated: mib})
		}, []string{"nvme-3", "sata-2", "sata-3"}},
		{"a pool may be promised two and a half times, not more", V2_10, func(w *world) string {
			for range 5 { // 2.5 TiB less 5 GiB are promised on nvme-2
				w.AddVolume(Volume{Pools: []string{"nvme-2"}, Size: 511 * gib, Allocated: gib})
			}
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Size: 5 * gib})
		}, []string{"nvme-3", "sata-2", "sata-3"}},
		{"a single replica of a group stays away from the group", V2_10, func(w *world) string {
			w.AddVolume(Volume{Pools: []string{"sata-2"}, AffinityGroup: "g"})
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, AffinityGroup: "g"})
		}, []string{"nvme-3", "sata-3"}},
		{"a pool cordoned for replicas is out", V2_10, func(w *world) string {
			w.act(w.ForeignPoolCordon("sata-2", PoolCordon{Replicas: true}, PoolCordon{}))
			w.act(w.ForeignPoolCordon("sata-3", PoolCordon{Snapshots: true, Restores: true}, PoolCordon{}))
			return w.Published(gib, "sata-1")
		}, []string{"nvme-2", "nvme-3", "sata-3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fits(t, Config{Profile: tt.profile}, tt.arrange); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// spread makes a volume on zone a that must spread, with node-2 in zone a and
// node-3 in zone b.
func spread(w *world) string {
	for node, zone := range map[string]string{"node-1": "a", "node-2": "a", "node-3": "b"} {
		w.want("PUT", "/v0/nodes/"+node+"/label/zone="+zone, "", 200, "")
	}
	return w.AddVolume(Volume{Pools: []string{"sata-1"}, NodeSpread: []string{"zone"}})
}

func TestMS4_3AThirdReplicaOnThreeNodesMakesEveryPlusOne507(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2", "sata-3")
		for range 2 {
			w.want("PUT", count(v, 4), "", 507, "ResourceExhausted")
		}
		w.wantOn(v, "sata-1", "sata-2", "sata-3")
	})
}

func TestMS4_3AnExtraReplicaBlocksItsNode(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.act(w.FailAttaches(v, 1))
		w.want("PUT", count(v, 2), "", 500, "Internal")
		w.want("PUT", count(v, 2), "", 507, "ResourceExhausted") // node-2 is taken by the extra one
		time.Sleep(31 * time.Second)
		w.scale(v, 2)
	})
}

func TestMS4_4CandidateSort(t *testing.T) {
	first := func(t *testing.T, arrange func(w *world) string) (got map[string]bool) {
		got = map[string]bool{}
		play(t, Config{}, 3, func(w *world) {
			v := arrange(w)
			for range 50 {
				w.locked(func() {
					vol, _ := w.volumes.get(v)
					got[w.candidates(vol)[0].id] = true
				})
			}
		})
		return got
	}
	tests := []struct {
		name    string
		arrange func(w *world) string
		want    []string
	}{
		{"a Degraded pool is tried before Online ones", func(w *world) string {
			w.act(w.DegradePool("sata-3", true))
			w.act(w.FillPool("sata-3", 100*gib))
			return w.Published(gib, "sata-1")
		}, []string{"sata-3"}},
		{"more free space wins", func(w *world) string {
			for _, p := range []string{"sata-2", "sata-3", "nvme-2"} {
				w.act(w.FillPool(p, 500*gib))
			}
			return w.Published(gib, "sata-1")
		}, []string{"nvme-3"}},
		{"fewer replicas win", func(w *world) string {
			for _, p := range []string{"sata-2", "sata-3", "nvme-2"} {
				w.AddVolume(Volume{Pools: []string{p}, Size: gib, Allocated: mib})
			}
			return w.Published(gib, "sata-1")
		}, []string{"nvme-3"}},
		{"fewer replicas win over a little more space", func(w *world) string {
			w.act(w.FillPool("nvme-3", 800*gib))
			for _, p := range []string{"sata-2", "sata-3", "nvme-2"} {
				w.AddVolume(Volume{Pools: []string{p}, Size: gib, Allocated: mib})
			}
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Target: "node-1", Size: gib, Thick: true})
		}, []string{"nvme-3"}},
		{"equal pools are drawn at random", func(w *world) string { return w.Published(gib, "sata-1") }, []string{"nvme-2", "nvme-3", "sata-2", "sata-3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sortedKeys(first(t, tt.arrange)); !slices.Equal(got, tt.want) {
				t.Errorf("got %v first, want %v", got, tt.want)
			}
		})
	}
}
