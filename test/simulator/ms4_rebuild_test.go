package simulator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// progress is the rebuild progress REST shows for the replica on a pool; -1: none.
func (w *world) progress(volume, pool string) int {
	w.t.Helper()
	r := topology(w.volume(volume))[pool]
	if r.RebuildProgress == nil {
		return -1
	}
	return *r.RebuildProgress
}

func TestMS4_6AddingOrRemovingAChildRestartsOtherRebuilds(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 4, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, Target: "node-1"}) // 51.2 s a rebuild
		w.growTo(v, "sata-2", 2)
		time.Sleep(26 * time.Second)
		if got := w.progress(v, "sata-2"); got != 50 {
			t.Fatalf("got %d%%, want 50%%", got)
		}
		// Growing while Degraded is refused, so only a foreign act gets here.
		w.locked(func() {
			vol, _ := w.volumes.get(v)
			vol.want++
			w.as(foreign, func() {
				if err := w.grow(vol); err != nil {
					t.Error(err)
				}
				w.changed(vol, "a third replica")
			})
		})
		if got := w.progress(v, "sata-2"); got != 0 {
			t.Errorf("after another child came: got %d%%, want it to start over", got)
		}
		time.Sleep(20 * time.Second)
		w.scale(v, 2) // removes one of the two rebuilding ones
		rebuilding := slices.DeleteFunc(w.Truth(v), func(r ReplicaTruth) bool { return r.Synced })
		if len(rebuilding) != 1 || rebuilding[0].Rebuilt != 0 {
			t.Errorf("got %+v, want one rebuild from the start", rebuilding)
		}
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced in the end, want 2", got)
		}
		w.noViolations()
	})
}

func TestMS4_6AFailedRebuildIsReplacedOnAnyPoolWithANewUUID(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib, Seed: 3}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1")
		w.act(w.FailRebuildAt(v, 40))
		w.growTo(v, "nvme-2", 2)
		first := w.Truth(v)[1].UUID
		time.Sleep(20*time.Second + 480*time.Millisecond + 100*time.Millisecond)
		if r := topology(w.volume(v))["nvme-2"]; r.ChildStatus != "Faulted" || r.RebuildProgress != nil {
			t.Errorf("at 40%%: got %+v, want a Faulted child", r)
		}
		history := read[rebuildHistoryJSON](w, "/v0/volumes/"+v+"/rebuild-history").Records
		if len(history) != 1 || history[0].RebuildJobState != "Failed" || history[0].BlocksRemaining == 0 {
			t.Errorf("got history %+v, want one failed rebuild", history)
		}
		w.act(w.ForeignPoolCordon("nvme-2", PoolCordon{Replicas: true}, PoolCordon{}))
		settle()
		truth := w.Truth(v)
		if len(truth) != 2 || truth[1].UUID == first || truth[1].Pool == "nvme-2" || w.Synced(v) != 2 {
			t.Errorf("got %+v, want a new replica elsewhere, in sync", truth)
		}
		w.noViolations()
	})
}

func TestMS4_6ARebuildCanStallAndGoOnAndStartOver(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1")
		w.growTo(v, "nvme-2", 2)
		time.Sleep(25600 * time.Millisecond)
		w.act(w.StallRebuild(v))
		time.Sleep(time.Hour)
		if got := w.progress(v, "nvme-2"); got != 50 {
			t.Errorf("stalled for an hour: got %d%%, want 50%%", got)
		}
		w.act(w.ResumeRebuild(v))
		time.Sleep(12800 * time.Millisecond)
		if got := w.progress(v, "nvme-2"); got != 75 {
			t.Errorf("resumed: got %d%%, want 75%%", got)
		}
		w.act(w.RestartRebuild(v))
		if got := w.progress(v, "nvme-2"); got != 0 {
			t.Errorf("restarted: got %d%%, want 0%%", got)
		}
		time.Sleep(51 * time.Second)
		if got := w.Synced(v); got != 1 {
			t.Errorf("0.2 s before the end: got %d synced, want 1", got)
		}
		time.Sleep(time.Second)
		if got := w.Synced(v); got != 2 {
			t.Errorf("after the end: got %d synced, want 2", got)
		}
		if err := w.RestartRebuild(v); err == nil {
			t.Error("a rebuild was restarted that does not run")
		}
	})
}

func TestMS4_6ATargetPoolThatFillsFailsTheRebuildWithOutOfSpace(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1")
		w.growTo(v, "nvme-2", 2)
		time.Sleep(10 * time.Second) // 1000 MiB copied
		w.act(w.FillPool("nvme-2", 500*mib))
		time.Sleep(4 * time.Second)
		if got := w.progress(v, "nvme-2"); got < 27 {
			t.Errorf("with room left: got %d%%, want it to go on", got)
		}
		time.Sleep(1100 * time.Millisecond)
		if r := topology(w.volume(v))["nvme-2"]; r.ChildStatus != "Faulted" || r.ChildStatusReason != "OutOfSpace" {
			t.Errorf("got %+v, want Faulted for OutOfSpace", r)
		}
		w.act(w.ForeignNodeCordon("node-2", "x"))
		settle()
		w.wantOn(v, "sata-1") // nowhere to go: self-heal removed it and retries
		if got := w.volume(v).State.Status; got != "Degraded" {
			t.Errorf("got %s, want Degraded", got)
		}
		w.act(w.ForeignNodeUncordon("node-2", "x"))
		settle()
		w.wantOn(v, "sata-1", "sata-2")
	})
}

func TestMS4_6TheThickAndTheSnapshottedCopyMore(t *testing.T) {
	for _, tt := range []struct {
		name string
		v    Volume
		want time.Duration // of the rebuild at 100 MiB/s
	}{
		{"thin copies its data", Volume{Size: 1000 * mib, Allocated: 500 * mib}, 5 * time.Second},
		{"thick copies its size", Volume{Size: 1000 * mib, Thick: true}, 10 * time.Second},
		{"snapshots add what they hold", Volume{Size: 1000 * mib, Allocated: 500 * mib, Snapshots: 2}, 6 * time.Second},
		{"but never beyond the size", Volume{Size: 1000 * mib, Allocated: 900 * mib, Snapshots: 3}, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{RebuildRate: 100 * mib}, 2, func(w *world) {
				tt.v.Pools, tt.v.Target = []string{"sata-1"}, "node-1"
				v := w.AddVolume(tt.v)
				w.scale(v, 2)
				time.Sleep(tt.want - time.Millisecond)
				if got := w.Synced(v); got != 1 {
					t.Errorf("right before: got %d synced, want 1", got)
				}
				time.Sleep(2 * time.Millisecond)
				if got := w.Synced(v); got != 2 {
					t.Errorf("right after: got %d synced, want 2", got)
				}
			})
		})
	}
}

func TestMS4_7AnUnpublishedScaleUpMakesABlankReplicaThatNothingRebuilds(t *testing.T) {
	play(t, Config{Profile: Old}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
		w.scale(v, 2)
		settle()
		for pool, r := range topology(w.volume(v)) {
			if r.State != "Online" || r.ChildStatus != "" {
				t.Errorf("%s: got %+v, want Online and no child", pool, r)
			}
		}
		if got := w.volume(v).State.Status; got != "Online" {
			t.Errorf("got %s, want Online although one is blank", got)
		}
		if got := w.Synced(v); got != 1 {
			t.Errorf("got %d synced, want 1: nothing rebuilds", got)
		}
		w.scale(v, 1)
		w.wantOn(v, "sata-1") // the blank one is unhealthy and went
		w.noViolations()
	})
}

func TestMS4_7OnPublishTheBlankReplicaIsLeftOutThenRebuilt(t *testing.T) {
	play(t, Config{Profile: Old}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
		w.scale(v, 2)
		w.act(w.Publish(v, "node-1"))
		if got := len(w.volume(v).State.Target.Children); got != 1 {
			t.Errorf("got %d children at first, want the healthy one only", got)
		}
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced after self-heal, want 2", got)
		}
		w.noViolations()
	})
}

func TestMS4_7OfANeverPublishedVolumeMinusOneMayRemoveTheReplicaWithTheData(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, NeverPublished: true, Source: "25823425-41fa-434a-9efd-a356b70b5d7c"})
		w.scale(v, 2)
		if got := w.volume(v).State.Status; got != "Online" {
			t.Errorf("got %s, want Online", got)
		}
		w.scale(v, 1)
		if slices.Contains(w.on(v), "sata-1") {
			t.Errorf("got %v, want the oldest gone: all count as healthy", w.on(v))
		}
		if got := w.Synced(v); got != 0 {
			t.Errorf("got %d synced, want the data lost", got)
		}
		if got := w.Violations(); len(got) != 1 {
			t.Errorf("got violations %q, want the lost copy", got)
		}
	})
}

func TestMS4_7TheFirstPublishServesABlankReplicaAsAGoodCopy(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, NeverPublished: true, Source: "25823425-41fa-434a-9efd-a356b70b5d7c"})
		w.scale(v, 2)
		w.act(w.Publish(v, "node-1"))
		for _, c := range w.volume(v).State.Target.Children {
			if c.State != "Online" {
				t.Errorf("got child %+v, want Online: the core cannot know", c)
			}
		}
		if got := w.Synced(v); got != 1 {
			t.Errorf("got %d synced in truth, want 1", got)
		}
		if got := w.Violations(); len(got) != 1 {
			t.Errorf("got violations %q, want one", got)
		}
	})
}

func TestMS4_7AnEmptyVolumeHasNothingToLose(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, NeverPublished: true})
		w.scale(v, 2)
		w.scale(v, 1)
		w.act(w.Publish(v, ""))
		if got := w.Synced(v); got != 1 {
			t.Errorf("got %d synced, want 1", got)
		}
		w.noViolations()
	})
}

func TestMS4_8AFaultedChildHasTenMinutesToComeBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		away time.Duration
		back bool
	}{{"back in time it is rebuilt in part", 9 * time.Minute, true}, {"later it is replaced", 11 * time.Minute, false}} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{RebuildRate: 100 * mib}, 3, func(w *world) {
				v := w.Published(10*gib, "sata-1", "sata-2")
				w.act(w.NodeDown("node-2"))
				if got := w.volume(v).State.Target.Children[1].State; got != "Faulted" {
					t.Errorf("got %s, want the child Faulted at once", got)
				}
				time.Sleep(tt.away)
				w.act(w.NodeUp("node-2"))
				settle()
				if got := slices.Contains(w.on(v), "sata-2"); got != tt.back {
					t.Errorf("replicas are on %v", w.on(v))
				}
				if got := w.Synced(v); got != 2 {
					t.Errorf("got %d synced, want 2", got)
				}
				history := read[rebuildHistoryJSON](w, "/v0/volumes/"+v+"/rebuild-history").Records
				if len(history) != 1 || history[0].IsPartial != tt.back {
					t.Errorf("got history %+v, want one rebuild, partial %v", history, tt.back)
				}
				w.noViolations()
			})
		})
	}
}

func TestMS4_8ASlowReconcilerTicksWithItsPeriods(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1")
		time.Sleep(65 * time.Second)
		w.act(w.FailAttaches(v, 1))
		w.want("PUT", count(v, 2), "", 500, "Internal")
		time.Sleep(24 * time.Second)
		if got := len(w.Truth(v)); got != 2 {
			t.Errorf("at 89 s: got %d replicas, want the extra one still there", got)
		}
		time.Sleep(2 * time.Second)
		if got := len(w.Truth(v)); got != 1 {
			t.Errorf("after the idle tick at 90 s: got %d replicas, want 1", got)
		}
	})
}

func TestMS4_8WithoutSelfHealNothingIsMended(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}, Target: "node-1", NoSelfHeal: true})
		w.act(w.PoolDown("sata-2"))
		time.Sleep(time.Hour)
		w.wantOn(v, "sata-1", "sata-2")
		if got := w.volume(v).State.Status; got != "Degraded" {
			t.Errorf("got %s, want Degraded", got)
		}
	})
}

func TestMS4_8OurCordonBlocksTheHealingOfOthers(t *testing.T) {
	play(t, Config{FaultedWait: time.Minute}, 3, func(w *world) {
		other := w.Published(gib, "sata-1", "sata-2")
		for _, p := range []string{"sata-3", "nvme-3"} {
			w.want("PUT", "/v0/pools/"+p+"/cordon", flags(PoolCordon{Replicas: true}), 200, "")
		}
		w.act(w.NodeDown("node-2"))
		settle()
		if got := w.Synced(other); got != 1 {
			t.Errorf("cordoned: got %d synced, want 1", got)
		}
		w.want("DELETE", "/v0/pools/nvme-3/cordon", flags(PoolCordon{Replicas: true}), 200, "")
		settle()
		w.wantOn(other, "nvme-3", "sata-1")
	})
}

func TestMS4_8HASwitchOver(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2")
		w.growTo(v, "nvme-3", 3)
		time.Sleep(25 * time.Second)
		before := w.volume(v).State.Target
		w.act(w.HASwitchover(v, "node-2"))
		after := w.volume(v)
		if got := after.State.Target; got.Node != "node-2" || after.Spec.Target.Node != "node-2" || got.UUID == before.UUID {
			t.Errorf("got target on %s, want a new nexus on node-2", got.Node)
		}
		if got := len(after.State.Target.Children); got != 2 {
			t.Errorf("got %d children, want the two healthy ones: the old nexus ended in order", got)
		}
		for _, c := range after.State.Target.Children {
			for _, r := range w.Truth(v) {
				if c.URI == "bdev:///"+r.UUID+"?uuid="+r.UUID && r.Node != "node-2" {
					t.Errorf("%s is local, want the replica on node-2 to be", r.Pool)
				}
			}
		}
		time.Sleep(2 * time.Second)
		if got := w.progress(v, "nvme-3"); got < 0 || got > 5 {
			t.Errorf("got %d%%, want the rebuild to start over", got)
		}
		settle()
		if got := w.Synced(v); got != 3 {
			t.Errorf("got %d synced, want 3", got)
		}
		w.noViolations()
	})
}

func TestMS4_8AnUncleanSwitchOverStartsFromOneChild(t *testing.T) {
	play(t, Config{}, 4, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2", "sata-3")
		w.act(w.NodeDown("node-1"))
		w.act(w.HASwitchover(v, "node-2"))
		if got := w.Synced(v); got != 1 {
			t.Errorf("got %d synced, want only the one child the new nexus began with", got)
		}
		// 5 GiB at 200 MiB/s are 25.6 s, after the reconciler's next tick.
		time.Sleep(30 * time.Second)
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced, want the other one within reach rebuilt", got)
		}
		settle()
		if got := w.Synced(v); got != 3 || slices.Contains(w.on(v), "sata-1") {
			t.Errorf("got %d synced on %v, want the offline one disowned and replaced", got, w.on(v))
		}
		if got := w.LowestSynced(v); got != 1 {
			t.Errorf("got %d at the lowest, want 1", got)
		}
		w.noViolations() // none of it was the caller's doing
	})
}

func TestMS4_8ATargetNodeThatComesBackGetsItsNexusAgain(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2")
		w.act(w.NodeDown("node-1"))
		time.Sleep(time.Minute)
		w.act(w.NodeUp("node-1"))
		settle()
		got := w.volume(v)
		if got.State.Status != "Online" || got.State.Target.Node != "node-1" || w.Synced(v) != 2 {
			t.Errorf("got %s on %+v with %d synced", got.State.Status, got.State.Target, w.Synced(v))
		}
	})
}

func TestMS4_8AFaultedNexusComesBackWithItsLastGoodReplica(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.PoolDown("sata-2"))
		w.act(w.PoolDown("sata-1")) // the last one to go has all the writes
		time.Sleep(time.Minute)
		w.act(w.PoolUp("sata-2"))
		time.Sleep(time.Minute)
		if got := w.Synced(v); got != 0 {
			t.Errorf("the stale replica alone: got %d synced, want 0", got)
		}
		if got := w.volume(v).State.Status; got != "Faulted" {
			t.Errorf("got %s, want Faulted: it must not be served", got)
		}
		w.act(w.PoolUp("sata-1"))
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced, want 2", got)
		}
	})
}

func TestMS4_9SnapshotsStayOnTheOldPool(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, Target: "node-1", Snapshots: 2})
		before := read[snapshotsJSON](w, "/v0/volumes/"+v+"/snapshots?max_entries=0")
		w.growTo(v, "nvme-2", 2)
		settle()
		w.want("PUT", "/v0/nodes/node-1/cordon/mine", "", 200, "")
		w.scale(v, 1)
		w.want("DELETE", "/v0/nodes/node-1/cordon/mine", "", 200, "")
		w.wantOn(v, "nvme-2")
		after := read[snapshotsJSON](w, "/v0/volumes/"+v+"/snapshots?max_entries=0")
		if d := cmp.Diff(after, before); d != "" {
			t.Errorf("the snapshots changed (-got +want):\n%s", d)
		}
		if got := after.Entries[0].State.ReplicaSnapshots[0].Online.PoolID; got != "sata-1" {
			t.Errorf("got pool %s, want the old one", got)
		}
		if got := w.pool("sata-1").State; got.Used != gib || *got.Committed != 0 {
			t.Errorf("got %d used and %d committed on the old pool, want the snapshots' 1 GiB and 0", got.Used, *got.Committed)
		}
		if got := w.volume(v).Spec.NumSnapshots; got != 2 {
			t.Errorf("got %d snapshots, want 2", got)
		}
		if n := len(read[snapshotsJSON](w, "/v0/volumes/snapshots?max_entries=1&starting_token=1&volume_id="+v).Entries); n != 1 {
			t.Errorf("got %d on the second page, want 1", n)
		}
		id := before.Entries[0].Definition.Spec.UUID
		for _, path := range []string{"/v0/volumes/snapshots/" + id, "/v0/volumes/" + v + "/snapshots/" + id} {
			if got := read[snapshotJSON](w, path).State.UUID; got != id {
				t.Errorf("%s: got %s", path, got)
			}
		}
		w.act(w.PoolDown("sata-1"))
		w.act(w.NodeDown("node-1"))
		time.Sleep(time.Minute)
		if got := read[snapshotJSON](w, "/v0/volumes/snapshots/"+id).State.ReplicaSnapshots[0]; got.Online != nil || got.Offline == nil {
			t.Errorf("got %+v, want the copy offline", got)
		}
	})
}

func TestMS4_9ASnapshotNeedsEveryReplicaHealthy(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(100*gib, "sata-1")
		w.scale(v, 2)
		if err := w.TakeSnapshot(v); err == nil {
			t.Error("a snapshot was taken during a rebuild")
		}
		settle()
		settle()
		w.act(w.TakeSnapshot(v))
	})
}

func TestMS5_8ScalingDownIsRefusedWhileADrainsSpareRebuilds(t *testing.T) {
	play(t, Config{}, 4, func(w *world) {
		v := w.Published(100*gib, "sata-1", "sata-2")
		w.act(w.PoolDrainMarker(v, true))
		if body := w.want("PUT", count(v, 1), "", 412, "FailedPrecondition"); !strings.Contains(body, "spare") {
			t.Errorf("got %s, want the spare named", body)
		}
		settle()
		settle()
		w.AllowReduced(v, 1)
		w.scale(v, 1) // the spare is in sync now
	})
}

func TestMS5_8TheReconcilerLeavesADrainsSpareAlone(t *testing.T) {
	play(t, Config{NoHealth: true}, 3, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
		w.act(w.PoolDrainMarker(v, true))
		if body := w.want("PUT", count(v, 2), "", 412, "FailedPrecondition"); !strings.Contains(body, "spare") {
			t.Errorf("got %s, want the spare named", body)
		}
		settle()
		if got := len(w.Truth(v)); got != 2 {
			t.Errorf("got %d replicas, want the unused spare kept", got)
		}
	})
}

func TestMS4_8APublishAfterAnUncleanStopStartsFromOneChild(t *testing.T) {
	for _, tt := range []struct {
		dead     bool
		children int
	}{{true, 1}, {false, 2}} {
		play(t, Config{}, 3, func(w *world) {
			v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}, Target: "node-3"})
			if tt.dead {
				w.act(w.NodeDown("node-3"))
			}
			w.act(w.Unpublish(v))
			w.act(w.Publish(v, "node-1"))
			if got := len(w.volume(v).State.Target.Children); got != tt.children {
				t.Errorf("target node dead %v: got %d children, want %d", tt.dead, got, tt.children)
			}
		})
	}
}

func TestMS5_8ADrainMarkerIsNPlusOneReplicasWithNumReplicasN(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(100*gib, "sata-1")
		w.act(w.PoolDrainMarker(v, true))
		got := w.volume(v)
		if got.Spec.NumReplicas != 1 || len(got.State.ReplicaTopology) != 2 {
			t.Errorf("got %d wanted and %d replicas, want 1 and 2", got.Spec.NumReplicas, len(got.State.ReplicaTopology))
		}
		w.want("PUT", count(v, 2), "", 412, "FailedPrecondition")
		w.want("PUT", count(v, 0), "", 412, "FailedPrecondition")
		settle()
		settle()
		if got := len(w.Truth(v)); got != 2 {
			t.Errorf("got %d replicas, want the spare kept from the reconciler", got)
		}
		w.act(w.PoolDrainMarker(v, false))
		if got := len(w.Truth(v)); got != 1 || w.Synced(v) != 1 {
			t.Errorf("got %d replicas, %d synced, want 1", got, w.Synced(v))
		}
		w.noViolations()
	})
}
