package simulator

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMS2_2TheStatusOfAVolume(t *testing.T) {
	tests := []struct {
		name    string
		profile Profile
		arrange func(w *world) string
		want    string
	}{
		{"published with all children is Online", V2_10, func(w *world) string { return w.Published(gib, "sata-1", "sata-2") }, "Online"},
		{"published with too few children is Degraded", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Replicas: 2, Target: "node-1", NoSelfHeal: true})
		}, "Degraded"},
		{"published with its target's node dead is Unknown once that is noticed", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.NodeDown("node-1"))
			time.Sleep(11 * time.Second)
			return v
		}, "Unknown"},
		{"and Online for as long as it is not", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.NodeDown("node-1"))
			time.Sleep(9 * time.Second)
			return v
		}, "Online"},
		{"published without a healthy child is Faulted", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.act(w.PoolDown("sata-1"))
			return v
		}, "Faulted"},
		{"unpublished with enough replicas is Online", Old, func(w *world) string { return w.AddVolume(Volume{Pools: []string{"sata-1"}}) }, "Online"},
		{"unpublished with a blank replica is Online too up to 2.8", Old, func(w *world) string {
			v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
			w.act(w.UserScale(v, 2))
			return v
		}, "Online"},
		{"unpublished with a blank replica is Degraded with volume health", V2_9, func(w *world) string {
			v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
			w.act(w.UserScale(v, 2))
			return v
		}, "Degraded"},
		{"unpublished with its node down is Online all the same", V2_10, func(w *world) string {
			v := w.AddVolume(Volume{Pools: []string{"sata-1"}})
			w.act(w.NodeDown("node-1"))
			time.Sleep(time.Minute)
			return v
		}, "Online"},
		{"unpublished with too few replicas is Degraded", V2_10, func(w *world) string {
			return w.AddVolume(Volume{Pools: []string{"sata-1"}, Replicas: 2, NoSelfHeal: true})
		}, "Degraded"},
		{"right after a core restart a published one is Unknown", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.CoreRestart()
			return v
		}, "Unknown"},
		{"and Online again seconds later", V2_10, func(w *world) string {
			v := w.Published(gib, "sata-1")
			w.CoreRestart()
			time.Sleep(4 * time.Second)
			return v
		}, "Online"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{Profile: tt.profile}, 3, func(w *world) {
				if got := w.volume(tt.arrange(w)).State.Status; got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestMS2_1HealthIsReportedSince2_9AndCanBeOff(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want *healthJSON
	}{
		{Config{Profile: Old}, nil},
		{Config{Profile: V2_9}, &healthJSON{HealthyReplicas: 1, CleanReplicas: 1, OnlineHealthyReplicas: 1, OnlineCleanReplicas: 1}},
		{Config{Profile: V2_9, NoHealth: true}, nil},
	} {
		play(t, tt.cfg, 2, func(w *world) {
			v := w.Published(10*gib, "sata-1")
			w.scale(v, 2)
			if d := cmp.Diff(w.volume(v).State.Health, tt.want); d != "" {
				t.Errorf("%+v (-got +want):\n%s", tt.cfg, d)
			}
		})
	}
}

func TestMS2_3LocalAndRemoteChildren(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		target := w.volume(v).State.Target
		if target == nil || len(target.Children) != 2 {
			t.Fatalf("got target %+v, want two children", target)
		}
		for i, want := range []string{"bdev:///", "nvmf://"} {
			if got := target.Children[i].URI; !strings.HasPrefix(got, want) || !strings.Contains(got, "?uuid="+w.Truth(v)[i].UUID) {
				t.Errorf("got uri %s, want %s...?uuid=<replica>", got, want)
			}
		}
		if target.UUID == v {
			t.Error("the nexus has the volume's uuid")
		}
	})
}

func TestMS2_4APoolWithoutStateIsNoEmptyPool(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-2")
		p := w.pool("sata-2")
		if p.State == nil || p.State.Used != 5*gib || *p.State.Committed != 10*gib {
			t.Fatalf("got %+v, want 5 GiB used and 10 GiB committed", p.State)
		}
		w.act(w.NodeDown("node-2"))
		time.Sleep(time.Minute)
		if p := w.pool("sata-2"); p.State != nil || p.Spec == nil {
			t.Errorf("got state %+v, want none, but a spec", p.State)
		}
		r := topology(w.volume(v))["sata-2"]
		if r.Node != "node-2" || r.State != "Unknown" || r.Usage != nil {
			t.Errorf("got %+v, want its node, state Unknown and no usage", r)
		}
	})
}

func TestMS2_6ADisownedReplicaShowsInSpecsUntilItsNodeAnswers(t *testing.T) {
	play(t, Config{FaultedWait: time.Minute}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.NodeDown("node-2"))
		settle()
		ownerless := func() (n int) {
			for _, r := range read[specsJSON](w, "/v0/specs").Replicas {
				if r.Owners.Volume == "" {
					n++
				}
			}
			return n
		}
		if got := ownerless(); got != 1 {
			t.Errorf("got %d ownerless replicas while its node is down, want 1", got)
		}
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced copies, want 2 after self-heal", got)
		}
		w.act(w.NodeUp("node-2"))
		settle()
		if got := ownerless(); got != 0 {
			t.Errorf("got %d ownerless replicas after its node came back, want none", got)
		}
		if got := *w.pool("sata-2").State.Committed; got != 0 {
			t.Errorf("got %d bytes committed on the old pool, want 0", got)
		}
	})
}

func TestMS2_7RebuildHistory(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1")
		path := "/v0/volumes/" + v + "/rebuild-history"
		w.scale(v, 2)
		if got := read[rebuildHistoryJSON](w, path); len(got.Records) != 0 || got.TargetUUID != w.volume(v).State.Target.UUID {
			t.Errorf("got %+v, want only finished jobs and the nexus' uuid", got)
		}
		settle()
		got := read[rebuildHistoryJSON](w, path).Records
		if len(got) != 1 || got[0].RebuildJobState != "Completed" || got[0].BlocksRemaining != 0 || got[0].IsPartial {
			t.Fatalf("got %+v, want one completed full rebuild", got)
		}
		w.act(w.HASwitchover(v, "node-2"))
		if got := read[rebuildHistoryJSON](w, path).Records; len(got) != 0 {
			t.Errorf("got %d records after a switch-over, want none", len(got))
		}
		w.act(w.Unpublish(v))
		w.want("GET", path, "", 412, "FailedPrecondition")
	})
}

func TestMS2NewestProfileShowsFieldsAndValuesNobodyKnows(t *testing.T) {
	play(t, Config{Profile: V2_12}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1")
		w.act(w.DegradePool("nvme-2", true))
		if got := w.pool("nvme-2").State.Status; got != "Suspected" {
			t.Errorf("got pool status %q, want Suspected", got)
		}
		w.scale(v, 2)
		_, body := w.send("GET", "/v0/volumes/"+v, "")
		for _, want := range []string{`"encrypted"`, `"labelVersion"`, `"child-status-reason":"OutOfSync"`, `"healthy":false`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is not in %s", want, body)
			}
		}
	})
}
