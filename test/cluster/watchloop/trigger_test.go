package watchloop

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func triggerFacts() []fact {
	return []fact{
		{"resyncAfterSeconds has the policy asked about again then", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.answer("sync", object{"status": whole(nil), "children": []any{}, "resyncAfterSeconds": 1.5})
			s.policy()
			s.await("three rounds", 0, "sync", func(call) bool { return len(s.since(0, "sync")) >= 4 })
			calls := s.since(0, "sync")
			for i, c := range calls[1:4] {
				if wait := c.at.Sub(calls[i].at); wait < 1500*time.Millisecond || wait > 10*time.Second {
					t.Errorf("round %d came after %s, want a little over 1.5 s", i+1, wait)
				}
			}
		}},
		{"resyncPeriodSeconds has every policy asked about, also with ignoreStatusChanges", func(t *testing.T, name string) {
			s := newScene(t, name, func(spec object) { spec["resyncPeriodSeconds"] = 1 })
			s.policy()
			s.await("five syncs with nothing else going on", 0, "sync", func(call) bool { return len(s.since(0, "sync")) >= 5 })
		}},
		{"a related object sets off a sync when it is, was or no longer is one", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{})
			s.acted("sync")
			has := func(n int) func(call) bool {
				return func(c call) bool { return len(c.Related["PersistentVolume.v1"]) == n }
			}
			n := s.count()
			s.volume("one", s.mine())
			s.await("a volume came", n, "sync", has(1))
			n = s.count()
			s.volume("foreign", nil)
			s.patchVolume("foreign", `{"metadata":{"labels":{"more":"labels"}}}`)
			s.asked("sync")
			if calls := s.since(n, "sync"); len(calls) != 1 {
				t.Errorf("%d syncs, want one: a volume of nobody's came and changed", len(calls))
			}
			n = s.count()
			s.patchVolume("one", `{"metadata":{"labels":{"`+label+`":null}}}`)
			s.await("it is no longer related", n, "sync", has(0))
			n = s.count()
			s.patchVolume("one", `{"metadata":{"labels":{"`+label+`":"`+name+`"}}}`)
			s.await("it is related again", n, "sync", has(1))
			n = s.count()
			if err := suite.Client.CoreV1().PersistentVolumes().Delete(t.Context(), name+"-one", metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
				t.Fatal(err)
			}
			s.patchVolume("one", `{"metadata":{"finalizers":null}}`)
			s.await("it went", n, "sync", has(0))
		}},
		{"a change of a child sets off a sync", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.acted("sync")
			s.holdJob("one", true)
			s.await("the Job changed", 0, "sync", func(c call) bool {
				finalizers, _ := at(c.Children["Job.batch/v1"][s.key("one")], "metadata", "finalizers").([]any)
				return slices.Contains(finalizers, any(hold))
			})
			s.holdJob("one", false)
		}},
	}
}

func customizeFacts() []fact {
	return []fact{
		{"customize is asked once for a generation, and anew when the controller's spec changes", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			// Of a kind that no other scene changes: an event of a related object
			// also asks, and may do so at the same time as a sync.
			s.answer("customize", object{"relatedResources": []any{s.related("storage.billyronks.io/v1", "storagepolicies")}})
			asked := func() int {
				calls := s.since(0, "customize")
				return len(slices.DeleteFunc(calls, func(c call) bool { return c.parent().GetName() != name }))
			}
			s.policy()
			s.acted("sync")
			s.patchPolicy(`{"metadata":{"labels":{"more":"labels"}},"status":{"phase":"DryRun"}}`)
			s.acted("sync")
			first := asked()
			s.acted("sync")
			if now := asked(); now != first || now == 0 {
				t.Errorf("asked %d times, then %d, want the same, and not 0", first, now)
			}
			s.patchPolicy(`{"spec":{"dryRun":true}}`)
			s.await("it is asked for the new generation", 0, "customize", func(c call) bool {
				return c.parent().GetName() == name && c.parent().GetGeneration() == 2
			})
			s.acted("sync")
			second := asked()
			if second <= first {
				t.Errorf("asked %d times after a new generation, %d before", second, first)
			}
			s.patchController(`{"metadata":{"labels":{"more":"labels"}}}`)
			s.acted("sync")
			if now := asked(); now != second {
				t.Errorf("asked %d times after the controller got a label, %d before", now, second)
			}
			n := s.count()
			s.patchController(`{"spec":{"resyncPeriodSeconds":299}}`)
			s.await("the controller begins anew", n, "customize", func(c call) bool { return c.parent().GetName() == name })
			s.await("and asks about its policy", n, "sync", func(call) bool { return true })
		}},
		{"a related kind that is not served fails every sync, with a complaint", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.answer("customize", object{"relatedResources": []any{object{"apiVersion": "openebs.io/v1beta9", "resource": "diskpools"}}})
			s.policy()
			s.until("there is an event", func() bool { return len(s.complaints()) > 0 })
			if calls := s.since(0, "sync"); len(calls) != 0 {
				t.Errorf("%d syncs, want none", len(calls))
			}
		}},
		{"a customize hook that fails lets no sync through", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.answer("customize", reply{code: http.StatusServiceUnavailable, body: "no"})
			s.policy()
			s.until("there is an event", func() bool { return len(s.complaints()) > 0 })
			if calls := s.since(0, "sync"); len(calls) != 0 {
				t.Errorf("%d syncs, want none", len(calls))
			}
			s.answer("customize", object{"relatedResources": []any{}})
			c := s.await("it is asked again", 0, "sync", func(call) bool { return true })
			if len(c.Related) != 0 {
				t.Errorf("related is %v, want nothing", c.Related)
			}
		}},
	}
}

func (s *scene) patchController(patch string) {
	s.t.Helper()
	_, err := s.client.Resource(controllers).Patch(s.ctx, s.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// showKill: what a process forgets does no harm.
func showKill(t *testing.T, name string, loop *Loop) {
	s := newScene(t, name, nil)
	s.started(object{}, "one")
	s.acted("sync")
	was := s.liveJob("one")
	n := s.count()
	loop.Kill()
	s.wants(object{}, s.stub("one"))
	if err := loop.Start(); err != nil {
		t.Fatal(err)
	}
	c := s.await("it is asked about", n, "sync", func(call) bool { return true })
	if c.Children["Job.batch/v1"][s.key("one")] == nil {
		t.Error("the first request of the new process does not show the Job")
	}
	s.acted("sync")
	if now := s.liveJob("one"); now == nil || now.ResourceVersion != was.ResourceVersion {
		t.Errorf("the Job is %+v, was %+v", now, was)
	}
}

type quantity = resource.Quantity

var oneGi = resource.MustParse("1Gi")
