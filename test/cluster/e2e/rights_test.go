package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/cluster/kubelet"
	"github.com/billyronks/couchestor/test/cluster/rig"
)

// untried are rights that cannot be exercised here, each with the reason for which
// it is granted all the same.
var untried = map[string]string{
	"batch/jobs: update": "Metacontroller adopts a Job that lost its owner; without the right it could sync no more",
	"storage.billyronks.io/storagepolicies/finalizers: update": "asked for where OwnerReferencesPermissionEnforcement is on, as on OpenShift",
	"events: patch": "an event that repeats is counted up",
}

// reads reports whether the right is one to read what the user watches. A server
// that streams lists is asked for none (and neither is a cache for one object); an
// older one is.
func reads(right, user string, calls []rig.Call) bool {
	for _, verb := range []string{": get", ": list"} {
		resource, ok := strings.CutSuffix(right, verb)
		if ok && slices.ContainsFunc(calls, func(c rig.Call) bool {
			name := c.Resource
			if c.Group != "" {
				name = c.Group + "/" + name
			}
			return c.Allowed && c.User == user && c.Verb == "watch" && name == resource
		}) {
			return true
		}
	}
	return false
}

func leastRights(t *testing.T, s *stage) {
	calls, err := suite.Calls()
	if err != nil {
		t.Fatal(err)
	}
	bindings := documents[rbacv1.RoleBinding](t, s, "RoleBinding", "ClusterRoleBinding")
	roles := documents[rbacv1.Role](t, s, "Role", "ClusterRole")
	checked := 0
	for _, b := range bindings {
		for _, subject := range b.Subjects {
			if subject.Kind != rbacv1.ServiceAccountKind {
				continue
			}
			i := slices.IndexFunc(roles, func(r rbacv1.Role) bool {
				return r.Kind == b.RoleRef.Kind && r.Name == b.RoleRef.Name && r.Namespace == b.Namespace
			})
			if i < 0 {
				t.Errorf("%s %s binds a role that is not there: %+v", b.Kind, b.Name, b.RoleRef)
				continue
			}
			checked++
			user := rig.Username(subject.Namespace, subject.Name)
			for _, right := range rig.Unused(roles[i].Rules, b.Namespace, user, calls) {
				if _, known := untried[right]; !known && !reads(right, user, calls) {
					t.Errorf("%s may, by %s %s, and never did: %s", user, b.RoleRef.Kind, b.RoleRef.Name, right)
				}
			}
			for _, c := range rig.Refused(user, calls) {
				// An API server that has just started knows no roles yet.
				c.Allowed = true
				if !slices.Contains(calls, c) {
					t.Errorf("tried and refused: %s", c)
				}
			}
		}
	}
	if checked < 4 {
		t.Errorf("only %d bindings of service accounts were found", checked)
	}
}

// documents are the shipped objects of some kinds.
func documents[T any](t *testing.T, s *stage, kinds ...string) []T {
	t.Helper()
	var out []T
	for doc := range strings.SplitSeq(string(s.mode.render(t, "v0.1.0")), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &object.Object); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(kinds, object.GetKind()) {
			continue
		}
		var typed T
		if err := yaml.Unmarshal([]byte(doc), &typed); err != nil {
			t.Fatal(err)
		}
		out = append(out, typed)
	}
	return out
}

// The limits of the service's container.
const memoryLimit, cpuLimit = 256 << 20, 0.5

func withinLimits(t *testing.T, s *stage) {
	all := s.fleet.Usage(system, "couchestor-")
	rows := []string{fmt.Sprintf("%-52s %10s %10s %8s", "process", "peak RSS", "CPU", "of limit")}
	services := 0
	for _, u := range all {
		if u.Container != "couchestor" || len(u.Samples) == 0 {
			continue
		}
		services++
		lived := u.Samples[len(u.Samples)-1].At.Sub(u.Began)
		share := u.CPU.Seconds() / lived.Seconds() / cpuLimit
		rows = append(rows, fmt.Sprintf("%-52s %7.1fMiB %9.2fs %7.1f%%", u.Pod, float64(u.PeakRSS)/(1<<20), u.CPU.Seconds(), 100*share))
		if u.PeakRSS > memoryLimit {
			t.Errorf("the service used %d MiB of memory, and its limit is %d", u.PeakRSS>>20, memoryLimit>>20)
		}
	}
	if services == 0 {
		t.Fatal("no process of the service was measured")
	}
	var most kubelet.Usage
	for _, u := range all {
		if u.Container == "migrate" && u.PeakRSS > most.PeakRSS {
			most = u
		}
	}
	rows = append(rows, fmt.Sprintf("%-52s %7.1fMiB %9.2fs", "largest migrator", float64(most.PeakRSS)/(1<<20), most.CPU.Seconds()))
	t.Logf("limits: 500m, 256Mi\n%s", strings.Join(rows, "\n"))
}

func uninstalled(t *testing.T, s *stage) {
	v := s.volume(t, "last", quick, "sata-1", "sata-2")
	s.policy(t, "last")
	s.busy(v)
	s.moving(t, v)
	// kubectl delete storagepolicies --all
	if err := s.policies.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all policies are gone", func(ctx context.Context) (bool, error) {
		list, err := s.policies.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
	s.on(t, v, "nvme", 2)
	// kubectl delete -k, in the order in which kubectl deletes.
	for doc := range strings.SplitSeq(string(local(t, s.mode.render(t, "v0.2.0"), s.hooks)), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(doc), &object.Object); err != nil {
			t.Fatal(err)
		}
		if err := suite.Delete(t.Context(), &object); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
		_, err := suite.Client.CoreV1().Namespaces().Get(ctx, system, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of ours is left in the cluster: no object with our label, of any kind.
	_, lists, err := suite.Client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if !slices.Contains(r.Verbs, "list") {
				continue
			}
			left, err := client.Resource(version.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=couchestor"})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
				t.Fatal(err)
			}
			if left == nil {
				continue
			}
			for _, o := range left.Items {
				t.Errorf("left behind: %s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
			}
		}
	}
	// The documented annotations stay on volumes, and no others of ours.
	volumes, err := suite.Client.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pv := range volumes.Items {
		for key := range pv.Annotations {
			if strings.Contains(key, "billyronks") && key != mayastor.AttemptAnnotation && key != mayastor.LastMigrationAnnotation {
				t.Errorf("volume %s keeps annotation %s", pv.Name, key)
			}
		}
		if err := suite.Client.CoreV1().PersistentVolumes().Delete(t.Context(), pv.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if v := s.sim.Violations(); len(v) > 0 {
		t.Errorf("Mayastor saw: %q", v)
	}
}
