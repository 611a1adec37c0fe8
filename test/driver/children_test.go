package driver

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestMC3_1OneSyncInOrder(t *testing.T) {
	t.Run("the finalizer is on the live object before the first hook is called", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.answerCode("customize", 500, "down")
		r.fails()
		if !hasFinalizer(r.policy(), "metacontroller.io/compositecontroller-storagepolicy") {
			t.Error("no finalizer")
		}
	})
	t.Run("without a finalize hook the finalizer is taken off", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.sync()
		bare := newRig(t, edited(`finalize:  {version: v2, webhook: {timeout: 30s, url: "http://hook/finalize"}}`, "finalize: null"))
		bare.put(gold)
		bare.edit(bare.policy(), func(o *Object) { o.SetFinalizers(r.policy().GetFinalizers()) })
		bare.sync()
		if f := bare.policy().GetFinalizers(); len(f) != 0 {
			t.Errorf("finalizers %v", f)
		}
	})
	t.Run("a parent that is not selected is not looked at", func(t *testing.T) {
		r := newRig(t, edited("ignoreStatusChanges: true", "labelSelector: {matchLabels: {team: db}}"))
		r.put(gold)
		if s := r.sync(); s.Called || len(r.calls) != 0 {
			t.Errorf("calls %v", r.calls)
		}
	})
	t.Run("a label that does not match fails before any child is touched", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.wants(jobText("b"), strings.Replace(jobText("c"), `"metadata":{`, `"metadata":{"labels":{"controller-uid":"mine"},`, 1))
		r.fails()
		if r.get("Job", "couchestor-system", "a") == nil || r.get("Job", "couchestor-system", "b") != nil {
			t.Error("a child was touched")
		}
	})
	t.Run("one child that fails keeps neither the others nor the status from being done", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.answer("sync", `{"status":{"phase":"Active"},"children":[`+strings.Replace(jobText("a"), "Never", "Always", 1)+`,`+jobText("b")+`]}`)
		r.fails()
		if r.get("Job", "couchestor-system", "b") == nil {
			t.Error("the other child is missing")
		}
		if phase := dig(t, r.policy().Object, "status", "phase"); phase != "Active" {
			t.Errorf("phase %v", phase)
		}
	})
	t.Run("a parent that is gone is nothing to do", func(t *testing.T) {
		r := newRig(t)
		if s := r.sync(); s.Called {
			t.Error("a hook was called")
		}
	})
}

func TestMC3_2Ownership(t *testing.T) {
	r := newRig(t)
	policy := r.put(gold)
	r.wants(jobText("a"))
	r.sync()
	job := r.get("Job", "couchestor-system", "a")

	t.Run("a created child is owned by its parent as a controller that blocks its deletion", func(t *testing.T) {
		want := []metav1.OwnerReference{{
			APIVersion: "storage.billyronks.io/v1", Kind: "StoragePolicy", Name: "gold", UID: policy.GetUID(),
			Controller: new(true), BlockOwnerDeletion: new(true),
		}}
		if diff := cmp.Diff(job.GetOwnerReferences(), want); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the label of generateSelector goes on the Job's metadata", func(t *testing.T) {
		if got := job.GetLabels()[selectorLabel]; got != string(policy.GetUID()) {
			t.Errorf("label %q", got)
		}
	})
	t.Run("the pod template's label of that name is the Job controller's own", func(t *testing.T) {
		labels, _, _ := unstructured.NestedStringMap(job.Object, "spec", "template", "metadata", "labels")
		if got := labels[selectorLabel]; got != string(job.GetUID()) {
			t.Errorf("label %q, want the Job's uid", got)
		}
		r := newRig(t)
		r.put(gold)
		r.wants(strings.Replace(jobText("x"), `"template":{`, `"template":{"metadata":{"labels":{"controller-uid":"mine"}},`, 1))
		if err := r.fails(); !strings.Contains(err.Error(), "controller-uid") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("an ownerless object with the label is adopted, shown, and deleted if not wanted", func(t *testing.T) {
		r := newRig(t)
		uid := string(r.put(gold).GetUID())
		r.put(strings.Replace(jobText("found"), `"metadata":{`, `"metadata":{"labels":{"controller-uid":"`+uid+`"},`, 1))
		s := r.sync()
		if !has(t, r.last(), "children", "Job.batch/v1", "couchestor-system/found") {
			t.Error("it was not shown")
		}
		if diff := cmp.Diff(s.Deleted, []string{"couchestor-system/found"}); diff != "" {
			t.Error(diff)
		}
		if n := r.d.Counters(); n.Adopted != 1 {
			t.Errorf("adopted %d", n.Adopted)
		}
	})
	t.Run("a child that lost the label is released, stays and keeps its name taken", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.edit(r.get("Job", "couchestor-system", "a"), func(o *Object) { o.SetLabels(nil) })
		s := r.sync()
		if has(t, r.last(), "children", "Job.batch/v1", "couchestor-system/a") || s.Changed() {
			t.Error("it is still a child")
		}
		if refs := r.get("Job", "couchestor-system", "a").GetOwnerReferences(); len(refs) != 0 {
			t.Errorf("owners %v", refs)
		}
	})
	t.Run("a parent that was re-created does not adopt the old one's Jobs", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		policy := r.policy()
		if err := r.api.Delete(RefOf(policy), Deletion{Propagation: metav1.DeletePropagationOrphan}); err != nil {
			t.Fatal(err)
		}
		r.sync()
		if r.policy() != nil {
			t.Fatal("the policy is still there")
		}
		r.wants()
		r.put(gold)
		s := r.sync()
		if len(s.Deleted) != 0 || has(t, r.last(), "children", "Job.batch/v1", "couchestor-system/a") {
			t.Error("the old Job became a child")
		}
	})
	t.Run("a child of a kind without a rule is created and never seen again", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"c","namespace":"x"}}`)
		r.sync()
		r.wants()
		if s := r.sync(); len(s.Deleted) != 0 || has(t, r.last(), "children", "PersistentVolumeClaim.v1") {
			t.Error("it was observed")
		}
	})
}

func TestMC3_3Deletion(t *testing.T) {
	r := newRig(t)
	r.put(gold)
	r.wants(jobText("a"), jobText("b"))
	r.sync()

	t.Run("a child that is omitted goes at once", func(t *testing.T) {
		r.wants(stub("b"))
		if diff := cmp.Diff(r.sync().Deleted, []string{"couchestor-system/a"}); diff != "" {
			t.Error(diff)
		}
		if r.get("Job", "couchestor-system", "a") != nil {
			t.Error("it is still there")
		}
	})
	t.Run("its pods go with it: propagation is background", func(t *testing.T) {
		b := r.get("Job", "couchestor-system", "b")
		r.put(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b-1","namespace":"couchestor-system",
			"ownerReferences":[{"apiVersion":"batch/v1","kind":"Job","name":"b","uid":"` + string(b.GetUID()) + `","controller":true}]}}`)
		r.wants()
		r.sync()
		if pods := r.api.List("v1", "Pod"); len(pods) != 0 {
			t.Errorf("%d pods are left", len(pods))
		}
	})
	t.Run("another object of the same name is safe by the uid", func(t *testing.T) {
		r := newRig(t, lagging(Lag{Children: 2}))
		r.put(gold)
		r.d.SetLag(Lag{})
		r.wants(jobText("a"))
		r.sync()
		r.sync()
		if err := r.api.Delete(RefOf(object(t, stub("a"))), Deletion{}); err != nil {
			t.Fatal(err)
		}
		r.create(jobText("a"))
		r.d.SetLag(Lag{Children: 99})
		r.wants()
		if err := r.fails(); !strings.Contains(err.Error(), "precondition failed") {
			t.Errorf("error %v", err)
		}
		if r.get("Job", "couchestor-system", "a") == nil {
			t.Error("the foreign Job was deleted")
		}
	})
	t.Run("a terminating child is neither deleted again nor created anew", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.edit(r.get("Job", "couchestor-system", "a"), func(o *Object) { o.SetFinalizers([]string{"test/hold"}) })
		r.wants()
		r.sync()
		if s := r.sync(); len(s.Deleted) != 0 {
			t.Errorf("deleted %v", s.Deleted)
		}
		r.wants(jobText("a"))
		if s := r.sync(); len(s.Created) != 0 {
			t.Errorf("created %v", s.Created)
		}
	})
}

func TestMC3_4OnDelete(t *testing.T) {
	for name, body := range map[string]string{
		"as created": jobText("a"),
		"as a stub":  stub("a"),
		"changed":    strings.Replace(jobText("a"), `"img"`, `"other"`, 1),
	} {
		t.Run("an observed child is not touched when desired "+name, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.wants(jobText("a"))
			r.sync()
			was := r.get("Job", "couchestor-system", "a")
			r.wants(body)
			if s := r.sync(); s.Changed() {
				t.Errorf("created %v, deleted %v, status written: %t", s.Created, s.Deleted, s.StatusWritten)
			}
			if diff := cmp.Diff(r.get("Job", "couchestor-system", "a").Object, was.Object); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a stub that is not observed is a create, which the API refuses", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(stub("a"))
		r.fails()
	})
	t.Run("any other update strategy is refused", func(t *testing.T) {
		_, err := ReadController([]byte(strings.Replace(controllerYAML, "method: OnDelete", "method: Recreate", 1)))
		if err == nil || !strings.Contains(err.Error(), "Recreate is not modelled") {
			t.Errorf("error %v", err)
		}
	})
}

func TestMC3_5Create(t *testing.T) {
	t.Run("last-applied holds the child as it was asked for, label included", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		applied := object(t, r.get("Job", "couchestor-system", "a").GetAnnotations()[lastApplied])
		if applied.GetName() != "a" || applied.GetLabels()[selectorLabel] == "" || len(applied.GetOwnerReferences()) != 0 {
			t.Errorf("applied %v", applied.Object)
		}
	})
	t.Run("a foreign Job of the name makes the create fail silently for ever", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.create(jobText("a"))
		r.wants(jobText("a"))
		for range 3 {
			if s := r.sync(); len(s.Created) != 0 || has(t, r.last(), "children", "Job.batch/v1", "couchestor-system/a") {
				t.Error("it became a child")
			}
		}
		if n := r.d.Counters(); n.Existed != 3 || n.Errors != 0 || len(r.d.Events()) != 0 {
			t.Errorf("counters %+v", n)
		}
	})
	t.Run("generateName makes another object each time and deletes the one before", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(strings.Replace(jobText("a"), `"name":"a"`, `"generateName":"a-"`, 1))
		first, second := r.sync(), r.sync()
		if len(first.Created) != 1 || len(second.Created) != 1 || len(second.Deleted) != 1 {
			t.Errorf("first created %v, second created %v and deleted %v", first.Created, second.Created, second.Deleted)
		}
		if _, err := r.d.Fixpoint(t.Context(), "gold", 5); err == nil {
			t.Error("there is a fixpoint")
		}
	})
	t.Run("a name longer than a label is refused by the API", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.wants(jobText(strings.Repeat("a", 64)))
		r.fails()
	})
}

func TestMC3_1Status(t *testing.T) {
	r := newRig(t)
	r.put(gold)
	r.answer("sync", `{"status":{"phase":"Active","count":1,"observedGeneration":99}}`)
	if s := r.sync(); !s.StatusWritten {
		t.Error("status was not written")
	}
	t.Run("observedGeneration is that of the parent shown, whatever the hook said", func(t *testing.T) {
		want := map[string]any{"phase": "Active", "count": int64(1), "observedGeneration": int64(1)}
		if diff := cmp.Diff(r.policy().Object["status"], any(want)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the same status is not written again", func(t *testing.T) {
		was := r.policy().GetResourceVersion()
		if s := r.sync(); s.StatusWritten || r.policy().GetResourceVersion() != was {
			t.Error("status was written")
		}
	})
	t.Run("status is replaced as a whole and generation stays", func(t *testing.T) {
		r.answer("sync", `{"status":{"plan":[]}}`)
		r.sync()
		want := map[string]any{"plan": []any{}, "observedGeneration": int64(1)}
		if diff := cmp.Diff(r.policy().Object["status"], any(want)); diff != "" {
			t.Error(diff)
		}
		if g := r.policy().GetGeneration(); g != 1 {
			t.Errorf("generation %d", g)
		}
	})
	if n := r.d.Counters(); n.StatusWrites != 2 || n.Syncs != 3 {
		t.Errorf("counters %+v", n)
	}
}

func TestAPI(t *testing.T) {
	r := newRig(t)
	t.Run("spec changes count as generations, labels and status do not", func(t *testing.T) {
		o := r.create(gold)
		o = r.edit(o, func(o *Object) { o.SetLabels(map[string]string{"a": "b"}) })
		o, err := r.api.EditStatus(RefOf(o), func(o *Object) { o.Object["status"] = map[string]any{"phase": "Active"} })
		if err != nil || o.GetGeneration() != 1 {
			t.Errorf("generation %d, %v", o.GetGeneration(), err)
		}
		o = r.edit(o, func(o *Object) { o.Object["spec"].(map[string]any)["highWatermarkIOPS"] = int64(7) })
		if o.GetGeneration() != 2 {
			t.Errorf("generation %d", o.GetGeneration())
		}
	})
	t.Run("the main endpoint leaves status alone", func(t *testing.T) {
		o := r.edit(r.policy(), func(o *Object) { o.Object["status"] = map[string]any{"phase": "Wrong"} })
		if phase := dig(t, o.Object, "status", "phase"); phase != "Active" {
			t.Errorf("phase %v", phase)
		}
	})
	t.Run("an update with an old resourceVersion conflicts", func(t *testing.T) {
		old := r.policy()
		r.edit(old, func(o *Object) { o.SetLabels(nil) })
		if _, err := r.api.Update(old); !apierrors.IsConflict(err) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a write that changes nothing makes no version and no event", func(t *testing.T) {
		was, n := r.policy().GetResourceVersion(), 0
		r.api.Watch(func(Change) { n++ })
		if o := r.edit(r.policy(), func(*Object) {}); o.GetResourceVersion() != was || n != 0 {
			t.Errorf("version %s, was %s, %d events", o.GetResourceVersion(), was, n)
		}
	})
	t.Run("what a watcher causes is told after it has returned, in order", func(t *testing.T) {
		api, inside := NewAPI(Resources()...), false
		var seen []string
		api.Watch(func(c Change) {
			if inside {
				t.Error("entered twice")
			}
			inside = true
			defer func() { inside = false }()
			seen = append(seen, c.New.GetName())
			if c.New.GetName() == "pvc-1" {
				if _, err := api.Create(object(t, pvText("pvc-2"))); err != nil {
					t.Error(err)
				}
			}
		})
		if _, err := api.Create(object(t, pvText("pvc-1"))); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(seen, []string{"pvc-1", "pvc-2"}) {
			t.Errorf("seen %v", seen)
		}
	})
	t.Run("fields that a Job does not have are dropped", func(t *testing.T) {
		job := r.create(strings.Replace(jobText("pruned"), `"spec":{`, `"spec":{"colour":"red",`, 1))
		if has(t, job.Object, "spec", "colour") || !has(t, job.Object, "spec", "backoffLimit") {
			t.Errorf("spec %v", job.Object["spec"])
		}
	})
}
