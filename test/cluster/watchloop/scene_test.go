package watchloop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// label marks what belongs to one scene; its value is the scene's name.
const label = "couchestor.test/scene"

// hold is a finalizer of nobody's: it keeps what is deleted to be looked at.
const hold = "couchestor.test/hold"

var (
	policies    = schema.GroupVersionResource{Group: "storage.billyronks.io", Version: "v1", Resource: "storagepolicies"}
	controllers = schema.GroupVersionResource{Group: "metacontroller.k8s.io", Version: "v1alpha1", Resource: "compositecontrollers"}
)

// scene is one CompositeController that selects one policy by label, with hooks
// of its own.
type scene struct {
	*hooks
	t      *testing.T
	ctx    context.Context // also of what is cleaned up
	name   string
	client dynamic.Interface
	touch  int
}

// newScene makes the controller; edit, if not nil, changes its spec before. Its
// customize hook relates the volume of the scene, sync wants nothing, finalize
// lets go.
func newScene(t *testing.T, name string, edit func(spec object)) *scene {
	t.Helper()
	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{hooks: newHooks(t), t: t, ctx: context.WithoutCancel(t.Context()), name: name, client: client}
	s.answer("customize", object{"relatedResources": []any{s.related("v1", "persistentvolumes")}})
	s.answer("sync", object{"status": whole(nil), "children": []any{}})
	s.answer("finalize", object{"status": whole(nil), "children": []any{}, "finalized": true})
	hook := func(hook string) object {
		return object{"version": "v2", "webhook": object{"url": s.server.URL + "/" + hook, "timeout": "10s"}}
	}
	spec := object{
		"generateSelector": true,
		"parentResource": object{
			"apiVersion": "storage.billyronks.io/v1", "resource": "storagepolicies", "ignoreStatusChanges": true,
			"labelSelector": object{"matchLabels": object{label: name}},
		},
		"childResources": []any{object{"apiVersion": "batch/v1", "resource": "jobs", "updateStrategy": object{"method": "OnDelete"}}},
		"hooks":          object{"sync": hook("sync"), "finalize": hook("finalize"), "customize": hook("customize")},
	}
	if edit != nil {
		edit(spec)
	}
	s.create(controllers, object{
		"apiVersion": "metacontroller.k8s.io/v1alpha1", "kind": "CompositeController",
		"metadata": object{"name": name}, "spec": spec,
	})
	t.Cleanup(s.end)
	return s
}

// end takes away the policy, which other controllers would ask about, too. The
// controller stays until nothing runs: Metacontroller crashes if one goes while it
// writes a finalizer.
func (s *scene) end() {
	if err := s.letGo(); err != nil && !apierrors.IsNotFound(err) {
		s.t.Error(err)
	}
	err := s.client.Resource(policies).Delete(s.ctx, s.name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Error(err)
	}
}

func (s *scene) letGo() error {
	_, err := s.client.Resource(policies).Patch(s.ctx, s.name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	return err
}

// canonical makes a deep copy as JSON would: int64 and not int.
func canonical(t *testing.T, o object) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	u := new(unstructured.Unstructured)
	if err := u.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return u
}

func (s *scene) create(r schema.GroupVersionResource, o object) *unstructured.Unstructured {
	s.t.Helper()
	u, err := s.client.Resource(r).Create(s.ctx, canonical(s.t, o), metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// policy makes the policy of the scene.
func (s *scene) policy() *unstructured.Unstructured {
	s.t.Helper()
	return s.create(policies, object{
		"apiVersion": "storage.billyronks.io/v1", "kind": "StoragePolicy",
		"metadata": object{"name": s.name, "labels": object{label: s.name}},
		"spec": object{
			"hotPoolSelector":  object{"matchLabels": object{"tier": "hot"}},
			"coldPoolSelector": object{"matchLabels": object{"tier": "cold"}},
		},
	})
}

// live reads the policy; nil if it is gone.
func (s *scene) live() *unstructured.Unstructured {
	s.t.Helper()
	u, err := s.client.Resource(policies).Get(s.ctx, s.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// status is that of the policy now.
func (s *scene) status() object {
	s.t.Helper()
	status, _, err := unstructured.NestedMap(s.live().Object, "status")
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

func (s *scene) patchPolicy(patch string, subresources ...string) {
	s.t.Helper()
	_, err := s.client.Resource(policies).Patch(s.ctx, s.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) deletePolicy(how metav1.DeletionPropagation) {
	s.t.Helper()
	if err := s.client.Resource(policies).Delete(s.ctx, s.name, metav1.DeleteOptions{PropagationPolicy: &how}); err != nil {
		s.t.Fatal(err)
	}
}

// related is a rule for what belongs to the scene.
func (s *scene) related(apiVersion, name string) object {
	return object{"apiVersion": apiVersion, "resource": name, "labelSelector": object{"matchLabels": object{label: s.name}}}
}

// volume makes a volume of the scene, with that name after the scene's.
func (s *scene) volume(name string, labels map[string]string) {
	s.t.Helper()
	_, err := suite.Client.CoreV1().PersistentVolumes().Create(s.ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.name + "-" + name, Labels: labels},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "io.openebs.csi-mayastor", VolumeHandle: name},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) mine() map[string]string { return map[string]string{label: s.name} }

func (s *scene) patchVolume(name, patch string) {
	s.t.Helper()
	_, err := suite.Client.CoreV1().PersistentVolumes().Patch(s.ctx, s.name+"-"+name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// stub and job are a child as the hook may name it; the name follows the
// scene's.
func (s *scene) stub(name string) object {
	return object{"apiVersion": "batch/v1", "kind": "Job", "metadata": object{"name": s.name + "-" + name, "namespace": JobNamespace}}
}

func (s *scene) job(name string) object {
	j := s.stub(name)
	j["spec"] = object{"suspend": true, "template": object{"spec": object{
		"restartPolicy": "Never", "containers": []any{object{"name": "main", "image": "none"}},
	}}}
	return j
}

// key is how requests name that Job.
func (s *scene) key(name string) string { return JobNamespace + "/" + s.name + "-" + name }

// whole is a status that the schema lets pass, with these fields set.
func whole(fields object) object {
	status := object{"phase": "Active"}
	for _, count := range []string{
		"watchedVolumes", "hotVolumes", "warmVolumes", "coldVolumes", "mixedVolumes", "unknownVolumes",
		"activeMigrations", "totalMigrations", "failedMigrations",
	} {
		status[count] = int64(0)
	}
	maps.Copy(status, fields)
	return status
}

// at is the value under the fields, or nil.
func at(o object, fields ...string) any {
	value, _, err := unstructured.NestedFieldNoCopy(o, fields...)
	if err != nil {
		return nil
	}
	return value
}

// wants makes sync answer with these children and that status, made whole.
func (s *scene) wants(status object, children ...object) {
	s.answer("sync", object{"status": whole(status), "children": append([]object{}, children...)})
}

// liveJob reads a Job; nil if it is gone.
func (s *scene) liveJob(name string) *batchv1.Job {
	s.t.Helper()
	j, err := suite.Client.BatchV1().Jobs(JobNamespace).Get(s.ctx, s.name+"-"+name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return j
}

// observed waits for a sync that is shown the Job.
func (s *scene) observed(name string) call {
	s.t.Helper()
	return s.await("the Job is among the children", 0, "sync", func(c call) bool {
		return c.Children["Job.batch/v1"][s.key(name)] != nil
	})
}

// started makes the policy with these Jobs and waits until they are observed.
func (s *scene) started(status object, jobs ...string) {
	s.t.Helper()
	children := make([]object, len(jobs))
	for i, name := range jobs {
		children[i] = s.job(name)
	}
	s.wants(status, children...)
	s.policy()
	for _, name := range jobs {
		s.observed(name)
	}
}

// asked touches the policy and waits until a hook is asked about it as it is then.
func (s *scene) asked(hook string) call {
	s.t.Helper()
	s.touch++
	value := fmt.Sprint(s.touch)
	s.patchPolicy(`{"metadata":{"annotations":{"touch":"` + value + `"}}}`)
	return s.await("the policy was touched", 0, hook, func(c call) bool { return c.parent().GetAnnotations()["touch"] == value })
}

// acted returns once what a hook answers now was acted upon: a parent is never
// in two syncs at once, so when the next begins the last is done.
func (s *scene) acted(hook string) call {
	s.t.Helper()
	s.asked(hook)
	return s.asked(hook)
}

// until waits for something in the cluster.
func (s *scene) until(what string, done func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(s.ctx, patience, fmt.Errorf("not in %s: %s", patience, what))
	defer cancel()
	if err := rig.Until(ctx, 20*time.Millisecond, func(context.Context) (bool, error) { return done(), nil }); err != nil {
		s.t.Fatal(err)
	}
}

// complaints are the events SyncError of the policy.
func (s *scene) complaints() []string {
	s.t.Helper()
	events, err := suite.Client.CoreV1().Events("").List(s.ctx, metav1.ListOptions{FieldSelector: "reason=SyncError,involvedObject.name=" + s.name})
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, e := range events.Items {
		if e.InvolvedObject.Kind == "StoragePolicy" {
			found = append(found, e.Message)
		}
	}
	return found
}

func (s *scene) wantNoComplaint() {
	s.t.Helper()
	if got := s.complaints(); len(got) > 0 {
		s.t.Errorf("events: %s, want none", strings.Join(got, "; "))
	}
}
