package watchloop

import (
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// TestDeletionWithTheGarbageCollector shows what becomes of Jobs and their pods
// when a policy goes: the watch loop and Kubernetes do that together.
func TestDeletionWithTheGarbageCollector(t *testing.T) {
	if err := suite.StartControllers(t.Context(), rig.Controllers{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { suite.Controllers.Stop(10 * time.Second) })
	collects++
	for i, p := range programs {
		t.Run(p.Name, func(t *testing.T) {
			showFacts(t, p, fmt.Sprintf("collect%d-program%d", collects, i), collectFacts())
		})
	}
}

// running is a Job that has a pod, which waits for a node for ever.
func (s *scene) running(name string) object {
	j := s.job(name)
	j["spec"].(object)["suspend"] = false
	return j
}

// startedRunning makes the policy with such a Job and returns once it has its pod.
func (s *scene) startedRunning(name string) {
	s.t.Helper()
	s.wants(object{}, s.running(name))
	s.policy()
	s.until("the Job has a pod", func() bool { return s.pods(name) == 1 })
}

func (s *scene) pods(name string) int {
	s.t.Helper()
	pods, err := suite.Client.CoreV1().Pods(JobNamespace).List(s.ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + s.name + "-" + name})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(pods.Items)
}

func collectFacts() []fact {
	return []fact{
		{"an omitted Job takes its pods along", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.startedRunning("one")
			s.observed("one")
			s.wants(object{})
			s.asked("sync")
			s.until("Job and pod are gone", func() bool { return s.liveJob("one") == nil && s.pods("one") == 0 })
		}},
		{"without a finalize hook a deleted policy takes running Jobs along, and no hook is asked", func(t *testing.T, name string) {
			s := newScene(t, name, func(spec object) { delete(spec["hooks"].(object), "finalize") })
			s.startedRunning("one")
			s.deletePolicy(metav1.DeletePropagationBackground)
			s.until("policy, Job and pod are gone", func() bool { return s.live() == nil && s.liveJob("one") == nil && s.pods("one") == 0 })
			if calls := s.since(0, "finalize"); len(calls) != 0 {
				t.Errorf("finalize was called %d times", len(calls))
			}
		}},
		{"with a finalize hook a Job that is named runs on until the policy is let go", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.startedRunning("one")
			s.observed("one")
			s.answer("finalize", object{"status": whole(nil), "children": []any{s.stub("one")}})
			s.deletePolicy(metav1.DeletePropagationBackground)
			s.acted("finalize")
			if s.liveJob("one") == nil || s.liveJob("one").DeletionTimestamp != nil || s.pods("one") != 1 {
				t.Errorf("the Job is %+v with %d pods, want it running", s.liveJob("one"), s.pods("one"))
			}
			s.answer("finalize", func(c call) reply {
				return ok(object{"status": whole(nil), "children": []any{}, "finalized": len(c.Children["Job.batch/v1"]) == 0})
			})
			s.patchPolicy(`{"metadata":{"annotations":{"touch":"now"}}}`)
			s.until("policy, Job and pod are gone", func() bool { return s.live() == nil && s.liveJob("one") == nil && s.pods("one") == 0 })
		}},
		{"a foreground deletion deletes a Job that is named, and finalize sees it going", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.startedRunning("one")
			s.observed("one")
			s.holdJob("one", true)
			s.answer("finalize", object{"status": whole(nil), "children": []any{s.stub("one")}})
			s.deletePolicy(metav1.DeletePropagationForeground)
			s.await("the Job goes", 0, "finalize", func(c call) bool {
				return at(c.Children["Job.batch/v1"][s.key("one")], "metadata", "deletionTimestamp") != nil
			})
			s.answer("finalize", object{"status": whole(nil), "children": []any{}, "finalized": true})
			s.holdJob("one", false)
			s.until("policy, Job and pod are gone", func() bool { return s.live() == nil && s.liveJob("one") == nil && s.pods("one") == 0 })
		}},
		{"an orphaning deletion leaves the Job to nobody, and nobody adopts it", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.answer("finalize", object{"status": whole(nil), "children": []any{}, "finalized": true})
			s.deletePolicy(metav1.DeletePropagationOrphan)
			s.until("the policy is gone", func() bool { return s.live() == nil })
			policy := s.policy()
			s.acted("sync")
			if j := s.liveJob("one"); j == nil || j.DeletionTimestamp != nil || len(j.OwnerReferences) != 0 || j.Labels["controller-uid"] == string(policy.GetUID()) {
				t.Errorf("the Job is %+v, want it there, without an owner", j)
			}
		}},
	}
}
