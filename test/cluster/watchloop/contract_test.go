package watchloop

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// fact is something the hooks rely on. It is shown in a scene of that name.
type fact struct {
	name string
	show func(t *testing.T, name string)
}

// TestContract shows each fact of the real program, if there is one, and of the
// contract driver: under the same identity, with the same rights.
func TestContract(t *testing.T) {
	runs++
	for i, p := range programs {
		t.Run(p.Name, func(t *testing.T) {
			loop := showFacts(t, p, fmt.Sprintf("run%d-program%d", runs, i), facts())
			t.Run("after a kill each policy is asked about once, with all its Jobs", func(t *testing.T) {
				suite.Scenario(t, p.Name+": after a kill each policy is asked about once, with all its Jobs")
				showKill(t, fmt.Sprintf("run%d-program%d-kill", runs, i), loop)
			})
			t.Run("the rights that are shipped are enough, and it never crashed", func(t *testing.T) {
				suite.Scenario(t, p.Name+": the rights that are shipped are enough, and it never crashed")
				if n := loop.Crashes(); n != 0 {
					t.Errorf("it crashed %d times", n)
				}
				for line := range strings.Lines(said(t, loop)) {
					if strings.Contains(line, "forbidden") {
						t.Errorf("it said: %s", line)
					}
				}
			})
			shown = append(shown, p.Name)
		})
	}
}

// showFacts runs the program until the test ends, and shows the facts all at once, in
// scenes whose names begin with that.
func showFacts(t *testing.T, p Program, name string, facts []fact) *Loop {
	t.Helper()
	loop, err := Start(t.Context(), suite.Rig, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		loop.Stop(10 * time.Second)
		if t.Failed() {
			t.Logf("%s said:\n%s", p.Name, said(t, loop))
		}
		removeControllers(t)
	})
	t.Run("facts", func(t *testing.T) {
		for i, f := range facts {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				suite.Scenario(t, p.Name+": "+f.name)
				f.show(t, fmt.Sprintf("%s-fact%d", name, i))
			})
		}
	})
	return loop
}

// removeControllers leaves none to the next program.
func removeControllers(t *testing.T) {
	t.Helper()
	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	err = client.Resource(controllers).DeleteCollection(context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
	}
}

func facts() []fact {
	return slices.Concat(requestFacts(), childFacts(), answerFacts(), statusFacts(), triggerFacts(), customizeFacts(), finalizeFacts())
}

func requestFacts() []fact {
	return []fact{{"a request names children and related by kind and namespace/name, also where there are none", func(t *testing.T, name string) {
		s := newScene(t, name, nil)
		s.answer("customize", object{"relatedResources": []any{
			s.related("v1", "persistentvolumes"), s.related("v1", "persistentvolumeclaims"), s.related("batch/v1", "jobs"),
		}})
		s.volume("one", s.mine())
		s.volume("foreign", nil)
		_, err := suite.Client.CoreV1().PersistentVolumeClaims(JobNamespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: s.mine()},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: *newQuantity()}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		policy := s.policy()
		c := s.await("volume and claim are related", 0, "sync", func(c call) bool {
			return len(c.Related["PersistentVolume.v1"]) == 1 && len(c.Related["PersistentVolumeClaim.v1"]) == 1
		})
		got := map[string][]string{}
		for kind, objects := range c.Related {
			got["related "+kind] = slices.Sorted(maps.Keys(objects))
		}
		for kind, objects := range c.Children {
			got["child "+kind] = slices.Sorted(maps.Keys(objects))
		}
		want := map[string][]string{
			"related PersistentVolume.v1":      {name + "-one"},
			"related PersistentVolumeClaim.v1": {JobNamespace + "/" + name},
			"related Job.batch/v1":             nil,
			"child Job.batch/v1":               nil,
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("keys, got before want:\n%s", diff)
		}
		if p := c.parent(); p.GetUID() != policy.GetUID() || p.GetKind() != "StoragePolicy" || p.GetAPIVersion() != "storage.billyronks.io/v1" || p.Object["spec"] == nil {
			t.Errorf("parent is %v", p.Object)
		}
		if c.Controller["kind"] != "CompositeController" || at(c.Controller, "metadata", "name") != name || c.Finalizing {
			t.Errorf("controller %v, finalizing %t", c.Controller, c.Finalizing)
		}
		if c.method != http.MethodPost || c.contentType != "application/json" || c.length <= 0 {
			t.Errorf("%s of %q, length %d; want POST of application/json with its length", c.method, c.contentType, c.length)
		}
		if n := s.since(0, "customize"); n[0].Children != nil || n[0].Related != nil || n[0].parent().GetUID() != policy.GetUID() {
			t.Errorf("customize was sent %+v, want the parent and neither children nor related", n[0].request)
		}
	}}}
}

func childFacts() []fact {
	return []fact{
		{"a wanted Job is created once, owned by the policy and labelled with its uid", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.acted("sync")
			policy, job := s.live(), s.liveJob("one")
			owner := metav1.OwnerReference{
				APIVersion: "storage.billyronks.io/v1", Kind: "StoragePolicy", Name: name, UID: policy.GetUID(),
				Controller: new(true), BlockOwnerDeletion: new(true),
			}
			if diff := cmp.Diff(job.OwnerReferences, []metav1.OwnerReference{owner}); diff != "" {
				t.Errorf("owners, got before want:\n%s", diff)
			}
			if got := job.Labels["controller-uid"]; got != string(policy.GetUID()) {
				t.Errorf("label controller-uid is %q, want %q", got, policy.GetUID())
			}
			if got := job.Annotations["metacontroller.k8s.io/last-applied-configuration"]; !strings.Contains(got, `"image":"none"`) {
				t.Errorf("the annotation last-applied-configuration is %q", got)
			}
			s.wantNoComplaint()
		}},
		{"neither a stub nor another template writes to a Job that is there", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one")
			s.acted("sync")
			was := s.liveJob("one")
			other := s.job("one")
			other["metadata"].(object)["labels"] = object{"new": "label"}
			other["spec"] = object{"suspend": false, "template": object{"spec": object{
				"restartPolicy": "Never", "containers": []any{object{"name": "main", "image": "another"}},
			}}}
			for what, child := range map[string]object{"a stub": s.stub("one"), "another template": other} {
				s.wants(object{}, child)
				s.acted("sync")
				if now := s.liveJob("one"); now == nil || now.ResourceVersion != was.ResourceVersion {
					t.Errorf("after %s the Job is %+v, was %+v", what, now, was)
				}
			}
			s.wantNoComplaint()
		}},
		{"an omitted Job is deleted in the background; while it goes it is shown, and left alone", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{}, "one", "two")
			s.holdJob("one", true)
			s.wants(object{}, s.stub("two"))
			s.acted("sync")
			gone := s.liveJob("one")
			if gone.DeletionTimestamp == nil || !slices.Equal(gone.Finalizers, []string{hold}) {
				t.Fatalf("deleted at %v with finalizers %v, want a deletion that adds none", gone.DeletionTimestamp, gone.Finalizers)
			}
			if two := s.liveJob("two"); two == nil || two.DeletionTimestamp != nil {
				t.Error("the Job that was named is deleted")
			}
			s.wants(object{}, s.job("one"), s.stub("two"))
			c := s.acted("sync")
			if at(c.Children["Job.batch/v1"][s.key("one")], "metadata", "deletionTimestamp") == nil {
				t.Error("the Job that goes is not shown as one that goes")
			}
			if now := s.liveJob("one"); now.ResourceVersion != gone.ResourceVersion {
				t.Errorf("the Job that goes was written to: %+v", now)
			}
			s.holdJob("one", false)
			s.until("it is created again", func() bool { j := s.liveJob("one"); return j != nil && j.UID != gone.UID })
			s.wantNoComplaint()
		}},
		{"a name that is taken is passed over in silence, and the rest is done", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			foreign, err := suite.Client.BatchV1().Jobs(JobNamespace).Create(t.Context(), &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: name + "-one"},
				Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "foreign"}},
				}}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			s.wants(object{"watchedVolumes": 1}, s.job("one"), s.job("two"))
			s.policy()
			s.observed("two")
			c := s.acted("sync")
			if now := s.liveJob("one"); now.ResourceVersion != foreign.ResourceVersion {
				t.Errorf("the foreign Job was written to: %+v", now)
			}
			if c.Children["Job.batch/v1"][s.key("one")] != nil {
				t.Error("the foreign Job is shown as a child")
			}
			if got := s.status()["watchedVolumes"]; got != int64(1) {
				t.Errorf("status has watchedVolumes %v, want 1", got)
			}
			s.wantNoComplaint()
		}},
		{"an ownerless Job with the label is adopted, and deleted unless it is named", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			policy := s.policy()
			s.asked("sync")
			_, err := suite.Client.BatchV1().Jobs(JobNamespace).Create(t.Context(), &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: name + "-one", Finalizers: []string{hold}, Labels: map[string]string{"controller-uid": string(policy.GetUID())}},
				Spec: batchv1.JobSpec{Suspend: new(true), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "none"}},
				}}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.holdJob("one", false) })
			s.until("it is deleted", func() bool { return s.liveJob("one").DeletionTimestamp != nil })
			if owner := metav1.GetControllerOf(s.liveJob("one")); owner == nil || owner.UID != policy.GetUID() {
				t.Errorf("its owner is %v, want the policy", owner)
			}
		}},
	}
}

// later returns once the hook has put everybody off for an hour, so that no sync
// writes status any more.
func (s *scene) later() {
	s.t.Helper()
	s.acted("sync")
	s.answer("sync", reply{code: http.StatusTooManyRequests, retryAfter: 3600})
	s.acted("sync")
}

// holdJob puts our finalizer on a Job, or takes it off.
func (s *scene) holdJob(name string, on bool) {
	s.t.Helper()
	patch := `{"metadata":{"finalizers":null}}`
	if on {
		patch = `{"metadata":{"finalizers":["` + hold + `"]}}`
	}
	_, err := suite.Client.BatchV1().Jobs(JobNamespace).Patch(s.ctx, s.name+"-"+name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func answerFacts() []fact {
	facts := []fact{
		{"{} means no children and no status; the schema refuses that status, the Jobs are gone all the same", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{"watchedVolumes": 3}, "one")
			s.answer("sync", reply{code: http.StatusOK, body: `{}`})
			s.acted("sync")
			if s.liveJob("one") != nil {
				t.Error("the Job is still there")
			}
			s.until("there is an event", func() bool { return len(s.complaints()) > 0 })
		}},
		{"a 429 is asked again after its Retry-After, without a complaint", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.answer("sync", reply{code: http.StatusTooManyRequests, retryAfter: 2})
			s.policy()
			first := s.await("it is asked about", 0, "sync", func(call) bool { return true })
			second := s.await("it is asked about again", s.count(), "sync", func(call) bool { return true })
			if wait := second.at.Sub(first.at); wait < 2*time.Second || wait > 10*time.Second {
				t.Errorf("asked again after %s, want a little over 2 s", wait)
			}
			s.wants(object{})
			s.acted("sync")
			s.wantNoComplaint()
		}},
	}
	for what, bad := range map[string]reply{
		"a 500":                 {code: http.StatusInternalServerError, body: "no"},
		"a 404":                 {code: http.StatusNotFound, body: "no"},
		"a 201":                 {code: http.StatusCreated, body: `{"status":{},"children":[]}`},
		"no body":               {code: http.StatusOK},
		"half a body":           {code: http.StatusOK, body: `{"status":{},"children":[`},
		"an unknown field":      {code: http.StatusOK, body: `{"status":{},"children":[],"more":1}`},
		"a child of no kind":    {code: http.StatusOK, body: `{"status":{},"children":[{"apiVersion":"batch/v1","metadata":{"name":"x"}}]}`},
		"children by their key": {code: http.StatusOK, body: `{"status":{},"children":{}}`},
	} {
		facts = append(facts, fact{what + " changes nothing, is complained about and asked again", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{"watchedVolumes": 3}, "one")
			s.acted("sync")
			was := s.liveJob("one")
			s.answer("sync", bad)
			s.acted("sync")
			n := s.count()
			s.await("it is tried again by itself", n, "sync", func(call) bool { return len(s.since(n, "sync")) >= 2 })
			if now := s.liveJob("one"); now == nil || now.ResourceVersion != was.ResourceVersion {
				t.Errorf("the Job is %+v, was %+v", now, was)
			}
			if got := s.status()["watchedVolumes"]; got != int64(3) {
				t.Errorf("status has watchedVolumes %v, want 3", got)
			}
			s.until("there is an event", func() bool { return len(s.complaints()) > 0 })
		}})
	}
	slices.SortFunc(facts, func(a, b fact) int { return strings.Compare(a.name, b.name) })
	return facts
}

func statusFacts() []fact {
	return []fact{
		{"status is replaced as a whole, with the generation that was shown", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{"mode": "Freeze", "watchedVolumes": 3})
			s.acted("sync")
			if diff := cmp.Diff(s.status(), whole(object{"mode": "Freeze", "watchedVolumes": int64(3), "observedGeneration": int64(1)})); diff != "" {
				t.Errorf("status, got before want:\n%s", diff)
			}
			s.wants(object{"watchedVolumes": 4, "observedGeneration": 99})
			s.patchPolicy(`{"spec":{"dryRun":true}}`)
			s.acted("sync")
			if diff := cmp.Diff(s.status(), whole(object{"watchedVolumes": int64(4), "observedGeneration": int64(2)})); diff != "" {
				t.Errorf("status, got before want:\n%s", diff)
			}
		}},
		{"an equal status is not written", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.volume("one", s.mine())
			s.started(object{"watchedVolumes": 3, "conditions": []any{}})
			s.acted("sync")
			was := s.live()
			for i := range 4 {
				// The policy itself is left alone.
				value := fmt.Sprint(i)
				s.patchVolume("one", `{"metadata":{"annotations":{"touch":"`+value+`"}}}`)
				s.await("the volume was touched", 0, "sync", func(c call) bool {
					return at(c.Related["PersistentVolume.v1"][name+"-one"], "metadata", "annotations", "touch") == value
				})
			}
			if now := s.live(); now.GetResourceVersion() != was.GetResourceVersion() {
				t.Errorf("the policy was written to:\n%s", cmp.Diff(was.Object, now.Object))
			}
		}},
		{"a status that the schema refuses is complained about, children are done before", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{"watchedVolumes": "many"}, "one")
			s.until("there is an event", func() bool { return len(s.complaints()) > 0 })
			if status := s.status(); len(status) > 0 {
				t.Errorf("status is %v, want none", status)
			}
		}},
		{"with ignoreStatusChanges a write of status sets off nothing", func(t *testing.T, name string) {
			s := newScene(t, name, nil)
			s.started(object{})
			s.later()
			n := s.count()
			s.patchPolicy(`{"status":{"phase":"DryRun"}}`, "status")
			c := s.asked("sync")
			if calls := s.since(n, "sync"); len(calls) != 1 || at(c.Parent, "status", "phase") != "DryRun" {
				t.Errorf("%d syncs, want the one that an annotation set off, with the new status", len(calls))
			}
		}},
		{"without ignoreStatusChanges a write of status sets off a sync", func(t *testing.T, name string) {
			s := newScene(t, name, func(spec object) { delete(spec["parentResource"].(object), "ignoreStatusChanges") })
			s.started(object{})
			s.later()
			s.patchPolicy(`{"status":{"phase":"DryRun"}}`, "status")
			s.await("it is shown the status", 0, "sync", func(c call) bool {
				return at(c.Parent, "status", "phase") == "DryRun"
			})
		}},
	}
}

func newQuantity() *quantity { return new(oneGi.DeepCopy()) }

// said is what the program wrote, in all its lives.
func said(t *testing.T, loop *Loop) string {
	t.Helper()
	text, err := os.ReadFile(loop.Log())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
