package simulator

import (
	"slices"
	"testing"
	"time"
)

func TestMS4_5WhichReplicaAMinusOneRemoves(t *testing.T) {
	all := []Profile{Old, V2_9, V2_10, V2_12}
	since2_9 := all[1:]
	tests := []struct {
		name     string
		profiles []Profile
		arrange  func(w *world) string // a volume with one replica too many
		want     []string              // pools that stay
	}{
		{"the local replica goes last", []Profile{Old}, func(w *world) string {
			return w.Published(gib, "sata-1", "sata-2")
		}, []string{"sata-1"}},
		{"a single local replica: the NEW one goes, on Old for ever", []Profile{Old}, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.growTo(v, "nvme-2", 2)
			settle()
			return v
		}, []string{"sata-1"}},
		{"Old does not look at cordons", []Profile{Old}, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.want("PUT", "/v0/nodes/node-1/cordon/mine", "", 200, "")
			return v
		}, []string{"sata-1"}},
		{"the replica on a cordoned node goes, also the local one", since2_9, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.want("PUT", "/v0/nodes/node-1/cordon/mine", "", 200, "")
			return v
		}, []string{"sata-2"}},
		{"without a cordon the remote one goes", since2_9, func(w *world) string {
			return w.Published(gib, "sata-1", "sata-2")
		}, []string{"sata-1"}},
		{"a pool cordon counts for nothing", []Profile{V2_10, V2_12}, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.want("PUT", "/v0/pools/sata-1/cordon", `{"replicas":true,"snapshots":false,"restores":false,"import":false}`, 200, "")
			return v
		}, []string{"sata-1"}},
		{"with two cordoned nodes the remote of the two goes", since2_9, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2", "sata-3")
			w.act(w.ForeignNodeCordon("node-1", "theirs"))
			w.want("PUT", "/v0/nodes/node-3/cordon/mine", "", 200, "")
			return v
		}, []string{"sata-1", "sata-2"}},
		{"a pool that does not match the inclusion goes before a cordoned node", since2_9, mismatched, []string{"sata-1", "sata-3"}},
		{"Old takes no notice of a mismatch", []Profile{Old}, mismatched, []string{"sata-1", "sata-3"}}, // the older remote one
		{"a rebuilding replica goes before all others", all, func(w *world) string {
			v := w.Published(100*gib, "sata-2")
			w.act(w.ForeignNodeCordon("node-2", "theirs"))
			w.growTo(v, "nvme-1", 2)
			time.Sleep(20 * time.Second)
			return v
		}, []string{"sata-2"}},
		{"of equals the oldest goes", all, func(w *world) string {
			return w.Published(gib, "sata-1", "sata-2", "sata-3")
		}, []string{"sata-1", "sata-3"}},
		{"a removal elsewhere moves the last replica into the hole and so changes who is oldest", all, func(w *world) string {
			other := w.Published(gib, "nvme-1")
			v := w.Published(gib, "sata-1", "sata-2", "sata-3")
			w.act(w.DeleteVolume(other)) // sata-3 is now first in the map
			return v
		}, []string{"sata-1", "sata-2"}},
	}
	for _, tt := range tests {
		for _, p := range tt.profiles {
			t.Run(tt.name+" on "+string(p), func(t *testing.T) {
				play(t, Config{Profile: p}, 4, func(w *world) {
					v := tt.arrange(w)
					w.AllowReduced(v, 1)
					w.scale(v, w.Replicas(v)-1)
					w.wantOn(v, tt.want...)
					w.noViolations()
				})
			})
		}
	}
}

// mismatched is a volume pinned to SATA whose replica on sata-2 no longer
// matches, with node-3 cordoned.
func mismatched(w *world) string {
	v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2", "sata-3"}, Target: "node-1", PoolInclusion: map[string]string{"tier": "sata"}})
	w.want("PUT", "/v0/pools/sata-2/label/tier=other?overwrite=true", "", 200, "")
	w.act(w.ForeignNodeCordon("node-3", "theirs"))
	return v
}

func TestMS4_5EachRungOfTheRemovalOrderDecidesWhenThoseAboveTie(t *testing.T) {
	// Both are healthy children, Online, on matching and uncordoned ground.
	even := standing{healthy: true, used: true, state: 3, progress: 101}
	rungs := []struct {
		name  string
		since Profile // and not before
		until Profile // and not after
		first func(x *standing)
		then  func(x *standing)
	}{
		{"unhealthy before healthy", Old, V2_12, func(x *standing) { x.healthy = false }, func(*standing) {}},
		{"children before what is no child", Old, Old, func(*standing) {}, func(x *standing) { x.used, x.state = false, 0 }},
		{"what is no child before children", V2_9, V2_12, func(x *standing) { x.used, x.state = false, 3 }, func(*standing) {}},
		{"Faulted before Unknown", Old, V2_12, func(x *standing) { x.state = 0 }, func(x *standing) { x.state = 1 }},
		{"Degraded before Online", Old, V2_12, func(x *standing) { x.state = 2 }, func(*standing) {}},
		{"less rebuilt before more", V2_9, V2_12, func(x *standing) { x.progress = 10 }, func(x *standing) { x.progress = 90 }},
		{"a node that does not match first", V2_9, V2_12, func(x *standing) { x.invalid = true }, func(x *standing) { x.mismatch = true }},
		{"a pool that does not match before spread clashes", V2_9, V2_12, func(x *standing) { x.mismatch = true }, func(x *standing) { x.clashes = 2 }},
		{"more clashes before a cordoned node", V2_9, V2_12, func(x *standing) { x.clashes = 2 }, func(x *standing) { x.clashes, x.cordoned = 1, true }},
		{"a cordoned node before remote", V2_9, V2_12, func(x *standing) { x.cordoned, x.local = true, true }, func(*standing) {}},
		{"remote before local", Old, V2_12, func(x *standing) { x.group = 1 }, func(x *standing) { x.local, x.group = true, 2 }},
		{"more of the group first", Old, V2_12, func(x *standing) { x.group = 2 }, func(x *standing) { x.group = 1 }},
	}
	for order, p := range map[*func(a, b standing) int]Profile{new(oldRemoval): Old, new(newRemoval): V2_9} {
		for _, r := range rungs {
			if !p.atLeast(r.since) || !r.until.atLeast(p) {
				continue
			}
			a, b := even, even
			r.first(&a)
			r.then(&b)
			if (*order)(a, b) >= 0 || (*order)(b, a) <= 0 {
				t.Errorf("%s on %s: got %d and %d, want the first to go", r.name, p, (*order)(a, b), (*order)(b, a))
			}
		}
		if (*order)(even, even) != 0 {
			t.Errorf("%s: equals do not tie", p)
		}
	}
}

func TestMS4_5TheNaiveMoveOfASingleReplicaLoopsForEverOnOldAndWorksWithANodeCordonSince2_9(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 2, func(w *world) {
			v := w.Published(gib, "sata-1")
			w.growTo(v, "nvme-2", 2)
			settle()
			w.want("PUT", "/v0/nodes/node-1/cordon/mine", "", 200, "")
			w.scale(v, 1)
			w.want("DELETE", "/v0/nodes/node-1/cordon/mine", "", 200, "")
			if p == Old {
				w.wantOn(v, "sata-1")
			} else {
				w.wantOn(v, "nvme-2")
			}
			if got := w.LowestSynced(v); got != 1 {
				t.Errorf("got %d synced at the lowest, want 1", got)
			}
			w.noViolations()
		})
	})
}

func TestMS4_5ACoreRestartPutsTiesInUUIDOrder(t *testing.T) {
	changed := false
	for seed := range uint64(8) {
		play(t, Config{Seed: seed}, 4, func(w *world) {
			v := w.Published(gib, "sata-1", "sata-2", "sata-3", "sata-4")
			remote := w.Truth(v)[1:]
			w.CoreRestart()
			settle()
			first := slices.MinFunc(remote, func(a, b ReplicaTruth) int {
				return map[bool]int{true: -1, false: 1}[a.UUID < b.UUID]
			})
			changed = changed || first.Pool != "sata-2"
			w.AllowReduced(v, 1)
			w.scale(v, 3)
			if slices.Contains(w.on(v), first.Pool) {
				t.Errorf("seed %d: %v stay, want %s removed", seed, w.on(v), first.Pool)
			}
		})
	}
	if !changed {
		t.Error("no seed had another order than that of creation: the test shows nothing")
	}
}

func TestMS4_5AMinusOneThatRemovesNothingLowersTheNumber(t *testing.T) {
	// One replica's node is gone but its nexus info still says healthy, so only
	// one of two is healthy and online: not more than the new count.
	play(t, Config{NoHealth: true}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}})
		w.act(w.NodeDown("node-2"))
		time.Sleep(20 * time.Second)
		w.scale(v, 1)
		if got := w.volume(v); got.Spec.NumReplicas != 1 || len(got.State.ReplicaTopology) != 2 {
			t.Errorf("got %d wanted and %d replicas, want 1 and 2", got.Spec.NumReplicas, len(got.State.ReplicaTopology))
		}
		w.act(w.NodeUp("node-2"))
		settle()
		if got := len(w.Truth(v)); got != 1 {
			t.Errorf("got %d replicas, want the surplus trimmed once its node is back", got)
		}
	})
}

func TestMS4_5AReplicaOnAnOfflineNodeCannotBeRemoved(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.NodeDown("node-2")) // its child faults: unhealthy goes first
		time.Sleep(20 * time.Second)
		w.want("PUT", count(v, 1), "", 500, "Internal")
		if got := w.Replicas(v); got != 2 {
			t.Errorf("got num_replicas %d, want 2", got)
		}
	})
}

// TestMS4_5AMinusOneFailsWhileTheNodeOfTheNexusIsDead: the core asks a nexus that
// it still sees to let the child go, and there is nobody to answer. Seen with
// COUCHESTOR_MODEL_SEED=3312, where the only copy within reach was removed.
func TestMS4_5AMinusOneFailsWhileTheNodeOfTheNexusIsDead(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p, CachePeriod: 30 * time.Second}, 3, func(w *world) {
			v := w.Published(gib, "sata-1")
			w.growTo(v, "nvme-2", 2)
			time.Sleep(time.Minute)
			w.act(w.NodeDown("node-1")) // the target's; the core has not noticed yet
			w.want("PUT", count(v, 1), "", 503, "Unavailable")
			w.wantOn(v, "nvme-2", "sata-1")
			w.noViolations()
		})
	})
}

func TestMS4_5TheLastReplicaStays(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, Replicas: 2, Target: "node-1", NoSelfHeal: true})
		w.want("PUT", count(v, 1), "", 412, "FailedPrecondition")
	})
}

func TestMS4_5AStaleCacheStillTakesASyncedReplicaForARebuildingOne(t *testing.T) {
	play(t, Config{CachePeriod: 30 * time.Second}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		time.Sleep(time.Second)
		w.growTo(v, "nvme-2", 2)
		time.Sleep(10 * time.Second) // in sync, but the core has not polled yet
		w.act(w.ForeignNodeCordon("node-1", "mine"))
		w.scale(v, 1)
		w.wantOn(v, "sata-1")
	})
}

func TestMS4_5GroupMembersOnAPoolDecideLast(t *testing.T) {
	play(t, Config{}, 4, func(w *world) {
		w.AddVolume(Volume{Pools: []string{"sata-3"}, AffinityGroup: "g"})
		v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2", "sata-3"}, Target: "node-1", AffinityGroup: "g"})
		w.AllowReduced(v, 1)
		w.scale(v, 2)
		w.wantOn(v, "sata-1", "sata-2")
	})
}
