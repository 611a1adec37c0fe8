package install

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// strict refuses fields that no type has; tried changes nothing besides.
var (
	strict = metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict}
	tried  = metav1.PatchOptions{FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll}}
)

func TestTheAPIServerTakesEachKustomization(t *testing.T) {
	dirs := map[string]string{}
	for _, dir := range kustomizations(t, "Kustomization") {
		dirs[dir] = filepath.Join(manifests(t), dir)
	}
	if len(dirs) < 17 {
		t.Fatalf("got %d kustomizations; the walk ended early", len(dirs))
	}
	dirs["base with all components"] = withAllComponents(t)
	t.Cleanup(func() {
		if err := ungoverned(context.Background(), suite.Rig); err != nil {
			t.Error(err)
		}
	})
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			suite.Scenario(t, "install "+name+": dry run, for real, and once more")
			ctx := t.Context()
			if err := ungoverned(ctx, suite.Rig); err != nil {
				t.Fatal(err)
			}
			text, err := kustomize(dir)
			if err != nil {
				t.Fatal(err)
			}
			// A dry run leaves no namespace behind in which the next object would be tried.
			var first []string
			for doc := range strings.SplitSeq(string(text), "\n---\n") {
				if strings.Contains(doc, "\nkind: Namespace\n") || strings.Contains(doc, "\nkind: CustomResourceDefinition\n") {
					first = append(first, doc)
				}
			}
			if err := suite.ApplyWith(ctx, []byte(strings.Join(first, "\n---\n")), strict); err != nil {
				t.Fatal(err)
			}
			if err := suite.ApplyWith(ctx, text, tried); err != nil {
				t.Fatalf("dry run: %v", err)
			}
			if err := suite.ApplyWith(ctx, text, strict); err != nil {
				t.Fatal(err)
			}
			// What changes at each apply is drift to Argo CD and Flux, for ever. Status is
			// not counted, as controllers are at work.
			before := specs(t, text)
			if err := suite.ApplyWith(ctx, text, strict); err != nil {
				t.Fatal(err)
			}
			for object, generation := range specs(t, text) {
				if generation != before[object] {
					t.Errorf("%s: applied again it is another: generation %s, was %s", object, generation, before[object])
				}
			}
		})
	}
}

// withAllComponents is the directory of a kustomization of base and all components.
func withAllComponents(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	relative := func(path string) string {
		rel, err := filepath.Rel(dir, filepath.Join(manifests(t), path))
		if err != nil {
			t.Fatal(err)
		}
		return "- " + rel + "\n"
	}
	text := "resources:\n- hook-ca.yaml\n" + relative("base") + "components:\n"
	for _, component := range kustomizations(t, "Component") {
		text += relative(component)
	}
	ca, err := os.ReadFile(filepath.Join(manifests(t), "clusters", "cluster-us", "operator", "hook-ca.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"kustomization.yaml": []byte(text), "hook-ca.yaml": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// specs are the objects of the documents as they are stored, by kind and name:
// their generation, or for kinds that have none their data and rules.
func specs(t *testing.T, text []byte) map[string]string {
	t.Helper()
	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(suite.Client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	out := map[string]string{}
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(doc, &object.Object); err != nil {
			t.Fatal(err)
		}
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := client.Resource(mapping.Resource).Namespace(object.GetNamespace()).Get(t.Context(), object.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		spec := fmt.Sprint(stored.GetGeneration())
		if stored.GetGeneration() == 0 {
			spec = fmt.Sprint(stored.Object["data"], stored.Object["rules"], stored.Object["subjects"], stored.GetLabels(), stored.GetAnnotations())
		}
		out[kind.Kind+" "+object.GetName()] = spec
	}
	return out
}

// The test above proves something only if the API server refuses what is wrong.
func TestTheAPIServerRefusesAMisspeltField(t *testing.T) {
	for name, wrong := range map[string]string{
		"a kind of its own": `
apiVersion: apps/v1
kind: Deployment
metadata: {name: wrong, namespace: default}
spec:
  replica: 1
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: c, image: i}]}
`,
		"a kind of others": `
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {name: wrong}
spec: {parentResource: {apiVersion: v1, resource: pods}, resyncPeriod: 5}
`,
		"a value that is none": `
apiVersion: metacontroller.k8s.io/v1alpha1
kind: CompositeController
metadata: {name: wrong}
spec: {parentResource: {apiVersion: v1, resource: pods}, childResources: [{apiVersion: batch/v1, resource: jobs, updateStrategy: {method: Never}}]}
`,
	} {
		if err := suite.ApplyWith(t.Context(), []byte(wrong), tried); err == nil {
			t.Errorf("%s: the API server took\n%s", name, wrong)
		}
	}
}

// The namespace enforces the strictest of the Pod Security Standards.
func TestTheNamespaceLetsOurPodsInAndNoOthers(t *testing.T) {
	suite.Scenario(t, "the pods of the service and of Jobs are let in by the Pod Security Standard restricted")
	deployment, err := suite.Client.AppsV1().Deployments(system).Get(t.Context(), "couchestor", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(manifests(t), "components", "job-template", "job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var job batchv1.Job
	if err := yaml.UnmarshalStrict(text, &job); err != nil {
		t.Fatal(err)
	}
	job.Spec.Template.Spec.Containers[0].Image = deployment.Spec.Template.Spec.Containers[0].Image
	for name, template := range map[string]corev1.PodTemplateSpec{"service": deployment.Spec.Template, "job": job.Spec.Template} {
		create := func(change func(*corev1.Container)) error {
			pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
			pod.Name, pod.Namespace = "let-in", system
			change(&pod.Spec.Containers[0])
			_, err := suite.Client.CoreV1().Pods(system).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
		if err := create(func(*corev1.Container) {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := create(func(c *corev1.Container) { c.SecurityContext.Capabilities = nil }); !apierrors.IsForbidden(err) {
			t.Errorf("%s that keeps its capabilities: %v, want it forbidden", name, err)
		}
	}
}
