package driver

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func deletedRig(t *testing.T, propagation metav1.DeletionPropagation, options ...rigOption) *rig {
	t.Helper()
	r := newRig(t, options...)
	r.put(gold)
	r.wants(jobText("a"))
	r.sync()
	if err := r.api.Delete(RefOf(r.policy()), Deletion{Propagation: propagation}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMC6Finalize(t *testing.T) {
	t.Run("a parent under deletion stays, and finalize is asked instead of sync", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground)
		r.answer("finalize", `{"children":[`+stub("a")+`]}`)
		s := r.sync()
		if !s.Finalizing || r.last()["finalizing"] != true || r.calls[len(r.calls)-1] != "finalize" {
			t.Errorf("calls %v", r.calls)
		}
		if r.policy() == nil || r.get("Job", "couchestor-system", "a") == nil {
			t.Error("policy or Job is gone")
		}
	})
	t.Run("children are managed as usual: the omitted go", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground)
		r.answer("finalize", `{"children":[]}`)
		r.sync()
		if r.policy() == nil || r.get("Job", "couchestor-system", "a") != nil {
			t.Error("want the policy kept and the Job gone")
		}
	})
	t.Run("finalized takes the finalizer off, and with it the parent", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground)
		r.answer("finalize", `{"children":[]}`)
		r.sync()
		r.answer("finalize", `{"children":[],"finalized":true}`)
		r.sync()
		if r.policy() != nil {
			t.Error("the policy is still there")
		}
	})
	t.Run("finalized with children observed manages none; they fall to garbage collection", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground)
		r.answer("finalize", `{"children":[],"finalized":true}`)
		s := r.sync()
		if len(s.Deleted) != 0 {
			t.Errorf("deleted %v", s.Deleted)
		}
		if r.policy() != nil || r.get("Job", "couchestor-system", "a") != nil {
			t.Error("garbage was not collected")
		}
	})
	t.Run("finalized from sync strips the finalizer and the next sync adds it again", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.answer("sync", `{"finalized":true}`)
		r.sync()
		if len(r.policy().GetFinalizers()) != 0 {
			t.Error("the finalizer is still there")
		}
		r.answerCode("sync", 500, "")
		r.fails()
		if len(r.policy().GetFinalizers()) != 1 {
			t.Error("the finalizer did not come back")
		}
	})
	t.Run("a parent that stops matching the selector is finalized", func(t *testing.T) {
		r := newRig(t, edited("ignoreStatusChanges: true", "labelSelector: {matchLabels: {team: db}}"))
		r.put(strings.Replace(gold, `{"name":"gold"}`, `{"name":"gold","labels":{"team":"db"}}`, 1))
		r.sync()
		r.edit(r.policy(), func(o *Object) { o.SetLabels(nil) })
		if s := r.sync(); !s.Finalizing {
			t.Error("not finalizing")
		}
		if s := r.sync(); s.Called || r.policy() == nil {
			t.Error("a parent that was let go is looked at")
		}
	})
	t.Run("the finalizer is never added to a parent that is already being deleted", func(t *testing.T) {
		r := newRig(t)
		r.put(strings.Replace(gold, `{"name":"gold"}`, `{"name":"gold","finalizers":["test/hold"]}`, 1))
		if err := r.api.Delete(RefOf(r.policy()), Deletion{}); err != nil {
			t.Fatal(err)
		}
		r.sync()
		if f := r.policy().GetFinalizers(); len(f) != 1 || f[0] != "test/hold" {
			t.Errorf("finalizers %v", f)
		}
	})
	t.Run("without a finalize hook a delete takes parent and Jobs at once", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground,
			edited(`finalize:  {version: v2, webhook: {timeout: 30s, url: "http://hook/finalize"}}`, "finalize: null"))
		if r.policy() != nil || r.get("Job", "couchestor-system", "a") != nil {
			t.Error("policy or Job is still there")
		}
	})
	t.Run("foreground: Kubernetes deletes the Jobs, which wait for their pods; finalize is asked, children are not managed", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		job := r.get("Job", "couchestor-system", "a")
		r.put(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a-1","namespace":"couchestor-system","finalizers":["test/grace"],
			"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"a","uid":"` + string(job.GetUID()) + `","controller":true,"blockOwnerDeletion":true}]}}`)
		if err := r.api.Delete(RefOf(r.policy()), Deletion{Propagation: metav1.DeletePropagationForeground}); err != nil {
			t.Fatal(err)
		}
		if job = r.get("Job", "couchestor-system", "a"); job == nil || job.GetDeletionTimestamp() == nil {
			t.Fatal("the Job does not wait for its pod")
		}
		r.answer("finalize", `{"children":[`+jobText("b")+`]}`)
		if s := r.sync(); !s.Finalizing || len(s.Created) != 0 {
			t.Errorf("finalizing %t, created %v", s.Finalizing, s.Created)
		}
		if _, err := r.api.Edit(Ref{"v1", "Pod", "couchestor-system", "a-1"}, func(o *Object) { o.SetFinalizers(nil) }); err != nil {
			t.Fatal(err)
		}
		if r.get("Job", "couchestor-system", "a") != nil {
			t.Error("the Job is still there")
		}
		r.answer("finalize", `{"finalized":true}`)
		r.sync()
		if r.policy() != nil {
			t.Error("the policy is still there")
		}
	})
	t.Run("orphan: Jobs lose their owner and stay, children are not managed", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationOrphan)
		s := r.sync()
		job := r.get("Job", "couchestor-system", "a")
		if !s.Finalizing || len(s.Deleted) != 0 || r.policy() != nil || job == nil || len(job.GetOwnerReferences()) != 0 {
			t.Errorf("finalizing %t, deleted %v, job %v", s.Finalizing, s.Deleted, job)
		}
	})
	t.Run("while the hook is down a parent under deletion hangs", func(t *testing.T) {
		r := deletedRig(t, metav1.DeletePropagationBackground)
		r.answerCode("finalize", 503, "down")
		r.fails()
		if r.policy() == nil || r.get("Job", "couchestor-system", "a") == nil {
			t.Error("policy or Job is gone")
		}
	})
}
