package install

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/tiering"
)

// compositeController has the fields of Metacontroller's kind that base uses
// (MC 1). Metacontroller's Go module cannot be imported (MC 9.1).
type compositeController struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		GenerateSelector    bool  `json:"generateSelector"`
		ResyncPeriodSeconds int32 `json:"resyncPeriodSeconds"`
		ParentResource      struct {
			APIVersion          string `json:"apiVersion"`
			Resource            string `json:"resource"`
			IgnoreStatusChanges bool   `json:"ignoreStatusChanges"`
		} `json:"parentResource"`
		ChildResources []struct {
			APIVersion     string `json:"apiVersion"`
			Resource       string `json:"resource"`
			UpdateStrategy struct {
				Method string `json:"method"`
			} `json:"updateStrategy"`
		} `json:"childResources"`
		Hooks map[string]hook `json:"hooks"`
	} `json:"spec"`
}

type hook struct {
	Version string `json:"version"`
	Webhook struct {
		Path    string `json:"path"`
		Timeout string `json:"timeout"`
		Service struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
			Port      int32  `json:"port"`
			Protocol  string `json:"protocol"`
		} `json:"service"`
		CABundle *struct {
			Inline string `json:"inline"`
		} `json:"caBundle"`
	} `json:"webhook"`
}

const system = "couchestor-system"

func TestBaseHasTheseObjects(t *testing.T) {
	objects := all(t).kustomizations["base"]
	want := []string{
		"ClusterRole couchestor-migrate", "ClusterRoleBinding couchestor-migrate",
		"CompositeController storagepolicy", "ConfigMap couchestor-governance", "CustomResourceDefinition storagepolicies.storage.billyronks.io",
		"Deployment couchestor", "Namespace couchestor-system", "Role couchestor-migrate",
		"RoleBinding couchestor-migrate", "Service couchestor", "Service couchestor-ops",
		"ServiceAccount couchestor", "ServiceAccount couchestor-migrate",
	}
	var got []string
	for key := range objects {
		got = append(got, key)
	}
	slices.Sort(got)
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("objects of base (-got +want):\n%s", diff)
	}
}

func TestMetacontrollerIsToldWhatTheDesignSays(t *testing.T) {
	objects := all(t).kustomizations["base"]
	controller := as[compositeController](t, objects, "CompositeController storagepolicy")
	spec := controller.Spec
	got := []any{
		controller.APIVersion, spec.GenerateSelector, spec.ResyncPeriodSeconds,
		spec.ParentResource.APIVersion, spec.ParentResource.Resource, spec.ParentResource.IgnoreStatusChanges,
		len(spec.ChildResources), spec.ChildResources[0].APIVersion, spec.ChildResources[0].Resource,
		spec.ChildResources[0].UpdateStrategy.Method,
	}
	want := []any{
		"metacontroller.k8s.io/v1alpha1", true, int32(300),
		tiering.APIVersion, "storagepolicies", true,
		1, "batch/v1", "jobs", "OnDelete",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("controller (-got +want):\n%s", diff)
	}
	webhooks := map[string]string{}
	for name, h := range spec.Hooks {
		webhooks[name] = h.Version + " " + h.Webhook.Path + " " + h.Webhook.Timeout
	}
	wantHooks := map[string]string{
		"sync":      "v2 /hooks/1/sync 30s",
		"finalize":  "v2 /hooks/1/finalize 30s",
		"customize": "v2 /hooks/1/customize 10s",
	}
	if diff := cmp.Diff(webhooks, wantHooks); diff != "" {
		t.Errorf("hooks (-got +want):\n%s", diff)
	}
}

// A hook that Metacontroller cannot reach is retried for ever, silently.
func TestEachHookReachesAPortOfTheService(t *testing.T) {
	objects := all(t).kustomizations["base"]
	deployment := as[appsv1.Deployment](t, objects, "Deployment couchestor")
	container := deployment.Spec.Template.Spec.Containers[0]
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
	}
	for name, h := range as[compositeController](t, objects, "CompositeController storagepolicy").Spec.Hooks {
		target := h.Webhook.Service
		service := as[corev1.Service](t, objects, "Service "+target.Name)
		if service.Namespace != target.Namespace {
			t.Errorf("%s: got a service in %q, want %q", name, service.Namespace, target.Namespace)
		}
		i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == target.Port })
		if i < 0 {
			t.Errorf("%s: port %d is none of service %s", name, target.Port, target.Name)
			continue
		}
		if got := ports[service.Spec.Ports[i].TargetPort.StrVal]; got != 8080 {
			t.Errorf("%s: leads to container port %d, want 8080", name, got)
		}
	}
	for _, name := range []string{"couchestor", "couchestor-ops"} {
		service := as[corev1.Service](t, objects, "Service "+name)
		for _, port := range service.Spec.Ports {
			if ports[port.TargetPort.StrVal] != port.Port {
				t.Errorf("service %s: port %d leads to %q, which is container port %d", name, port.Port, port.TargetPort.StrVal, ports[port.TargetPort.StrVal])
			}
		}
		if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(deployment.Spec.Template.Labels)) {
			t.Errorf("service %s selects %v, the pods have %v", name, service.Spec.Selector, deployment.Spec.Template.Labels)
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set(deployment.Spec.Template.Labels)) {
		t.Errorf("the deployment selects %s, its pods have %v", selector, deployment.Spec.Template.Labels)
	}
	for name, probe := range map[string]*corev1.Probe{"/livez": container.LivenessProbe, "/readyz": container.ReadinessProbe} {
		if got := probe.HTTPGet; got.Path != name || ports[got.Port.StrVal] != 8081 {
			t.Errorf("probe: got %s at %s, want %s at 8081", got.Path, got.Port.StrVal, name)
		}
	}
}

// Pod Security Standards, level restricted, and more.
func TestTheServiceRunsWithAsLittleAsItNeeds(t *testing.T) {
	objects := all(t).kustomizations["base"]
	pod := as[appsv1.Deployment](t, objects, "Deployment couchestor").Spec.Template.Spec
	container := pod.Containers[0]
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 || len(pod.Volumes) != 1 {
		t.Errorf("got %d containers, %d init containers, %d volumes; want 1, 0 and that of the governance", len(pod.Containers), len(pod.InitContainers), len(pod.Volumes))
	}
	account := as[corev1.ServiceAccount](t, objects, "ServiceAccount "+pod.ServiceAccountName)
	wantContext := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if diff := cmp.Diff(container.SecurityContext, wantContext); diff != "" {
		t.Errorf("security context (-got +want):\n%s", diff)
	}
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if diff := cmp.Diff(pod.SecurityContext, wantPod); diff != "" {
		t.Errorf("pod security context (-got +want):\n%s", diff)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
		t.Error("the service gets a token, though it needs no right")
	}
	got := fmt.Sprintf("%s %s %s %s", container.Resources.Requests.Cpu(), container.Resources.Requests.Memory(),
		container.Resources.Limits.Cpu(), container.Resources.Limits.Memory())
	if want := "100m 128Mi 500m 256Mi"; got != want {
		t.Errorf("resources: got %s, want %s", got, want)
	}
}
