package watchloop

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// finalizer is what the controller of a scene puts on its policy.
func (s *scene) finalizer() string { return "metacontroller.io/compositecontroller-" + s.name }

func (s *scene) hasFinalizer() bool {
	return slices.Contains(s.live().GetFinalizers(), s.finalizer())
}

func finalizeFacts() []fact {
	return []fact{
		{"the finalizer is on before sync is called", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.policy()
			c := s.await("it is asked about", 0, "sync", func(call) bool { return true })
			if !slices.Contains(c.parent().GetFinalizers(), s.finalizer()) {
				t.Errorf("finalizers are %v, want %s among them", c.parent().GetFinalizers(), s.finalizer())
			}
		}},
		{"no finalize hook, no finalizer; one that was there is taken off", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.policy()
			s.acted("sync")
			if !s.hasFinalizer() {
				t.Fatal("there is no finalizer")
			}
			s.patchController(`{"spec":{"hooks":{"finalize":null}}}`)
			s.until("it is taken off", func() bool { return !s.hasFinalizer() })
		}},
		{"a policy that is deleted is finalized: its children are managed until finalized is true", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{"watchedVolumes": 1}, "one", "two")
			s.answer("finalize", object{"status": whole(object{"watchedVolumes": 2}), "children": []any{s.stub("one"), s.job("three")}})
			s.deletePolicy(metav1.DeletePropagationBackground)
			n := s.count()
			c := s.acted("finalize")
			if !c.Finalizing || c.parent().GetDeletionTimestamp() == nil {
				t.Errorf("finalizing %t of a policy deleted at %v", c.Finalizing, c.parent().GetDeletionTimestamp())
			}
			if calls := s.since(n, "sync"); len(calls) != 0 {
				t.Errorf("%d syncs after the deletion, want none", len(calls))
			}
			if s.liveJob("one") == nil || s.liveJob("two") != nil || s.liveJob("three") == nil {
				t.Errorf("Jobs %v, %v, %v; want the one that was named, not the one left out, and a new one", s.liveJob("one"), s.liveJob("two"), s.liveJob("three"))
			}
			if got := s.status()["watchedVolumes"]; got != int64(2) {
				t.Errorf("status has watchedVolumes %v, want 2", got)
			}
			s.answer("finalize", func(c call) reply {
				return ok(object{"status": whole(nil), "children": []any{}, "finalized": len(c.Children["Job.batch/v1"]) == 0})
			})
			s.patchPolicy(`{"metadata":{"annotations":{"touch":"now"}}}`)
			s.until("it is gone", func() bool { return s.live() == nil })
			if s.liveJob("one") != nil || s.liveJob("three") != nil {
				t.Error("Jobs are left, want none: it was let go when there were none")
			}
			s.wantNoComplaint()
		}},
		{"finalized with children left lets go and does not touch them", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.patchPolicy(`{"metadata":{"finalizers":["` + hold + `","` + s.finalizer() + `"]}}`)
			s.acted("sync")
			was := s.liveJob("one")
			s.deletePolicy(metav1.DeletePropagationBackground)
			s.until("the finalizer is taken off", func() bool { return !s.hasFinalizer() })
			s.acted("finalize") // another holds it
			if now := s.liveJob("one"); now == nil || now.ResourceVersion != was.ResourceVersion {
				t.Errorf("the Job is %+v, was %+v", now, was)
			}
		}},
		{"in a foreground deletion finalize is called, and children are left to Kubernetes", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.holdJob("one", true)
			s.answer("finalize", object{"status": whole(nil), "children": []any{s.stub("one"), s.job("two")}})
			s.deletePolicy(metav1.DeletePropagationForeground)
			s.acted("finalize")
			if s.liveJob("two") != nil {
				t.Error("a Job was created")
			}
			s.answer("finalize", object{"status": whole(nil), "children": []any{}})
			s.acted("finalize")
			if s.liveJob("one").DeletionTimestamp != nil {
				t.Error("a Job was deleted by the watch loop; nobody else deletes here")
			}
			s.holdJob("one", false)
			s.answer("finalize", object{"status": whole(nil), "children": []any{}, "finalized": true})
			s.patchPolicy(`{"metadata":{"annotations":{"touch":"now"}}}`)
			s.until("the finalizer is taken off", func() bool { return !s.hasFinalizer() })
		}},
		{"a policy that is no longer selected is finalized, too", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.patchPolicy(`{"metadata":{"labels":{"` + label + `":"another"}}}`)
			c := s.await("it is finalized", 0, "finalize", func(call) bool { return true })
			if !c.Finalizing || c.parent().GetDeletionTimestamp() != nil {
				t.Errorf("finalizing %t of a policy deleted at %v", c.Finalizing, c.parent().GetDeletionTimestamp())
			}
			s.until("the finalizer is taken off", func() bool { return !s.hasFinalizer() })
			s.until("and its Jobs go", func() bool { return s.liveJob("one") == nil })
		}},
	}
}
