package install

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

// Each right that is added is added to this list too, and argued for there. That
// the authorizer grants these and nothing else is tested in test/cluster/install.
func TestTheRightsAreThese(t *testing.T) {
	want := map[string][]string{
		"ClusterRole couchestor-migrate": {
			" persistentvolumes: get,patch",
			"storage.billyronks.io storagepolicies: get",
			" events: create",
		},
		"Role couchestor-migrate": {
			"batch jobs: get,patch",
			"coordination.k8s.io leases: get,create,update,delete",
			" configmaps couchestor-governance: get",
		},
		"ClusterRole couchestor": {
			" persistentvolumes,persistentvolumeclaims: list,watch",
			"storage.billyronks.io storagepolicies: list,watch",
			"batch jobs: list,watch",
			"openebs.io diskpools: list,watch",
		},
		"ClusterRole couchestor-metacontroller": {
			"metacontroller.k8s.io compositecontrollers,decoratorcontrollers,controllerrevisions: get,list,watch",
			"apiextensions.k8s.io customresourcedefinitions: get,list,watch",
			" namespaces: get,list,watch",
			" events: create,patch",
			"storage.billyronks.io storagepolicies: get,list,watch,update",
			"storage.billyronks.io storagepolicies/status: update",
			"storage.billyronks.io storagepolicies/finalizers: update",
			"batch jobs: get,list,watch",
			" persistentvolumes,persistentvolumeclaims: get,list,watch",
		},
		"Role couchestor-metacontroller": {"batch jobs: create,update,delete"},
		"ClusterRole storagepolicy-viewer": {
			"storage.billyronks.io storagepolicies: get,list,watch",
		},
		"ClusterRole storagepolicy-editor": {
			"storage.billyronks.io storagepolicies: get,list,watch,create,update,patch,delete",
		},
		"ClusterRole storagepolicy-auditor": {
			"storage.billyronks.io storagepolicies: get,list,watch",
			" persistentvolumes,events: get,list,watch",
		},
		"Role storagepolicy-auditor": {
			"batch jobs: get,list,watch",
			" pods: get,list,watch",
			" pods/log: get",
			"coordination.k8s.io leases: get,list,watch",
			" configmaps couchestor-governance: get",
		},
		"Role storagepolicy-oncall": {" configmaps couchestor-governance: get,update,patch"},
	}
	set := all(t).everything
	got := map[string][]string{}
	for name, role := range each[rbacv1.ClusterRole](t, set, "ClusterRole") {
		got["ClusterRole "+name] = rights(role.Rules)
	}
	for name, role := range each[rbacv1.Role](t, set, "Role") {
		got["Role "+name] = rights(role.Rules)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("rights (-got +want):\n%s", diff)
	}
}

// rights are rules in one line each.
func rights(rules []rbacv1.PolicyRule) []string {
	var out []string
	for _, rule := range rules {
		line := fmt.Sprintf("%s %s", strings.Join(rule.APIGroups, ","), strings.Join(rule.Resources, ","))
		if len(rule.ResourceNames) > 0 {
			line += " " + strings.Join(rule.ResourceNames, ",")
		}
		out = append(out, line+": "+strings.Join(rule.Verbs, ","))
	}
	return out
}

func TestRolesAreBoundToAccountsThatExist(t *testing.T) {
	// Those of others, and of people.
	foreign := []string{"ServiceAccount metacontroller/metacontroller", "Group platform", "Group application-teams", "Group sre", "Group security"}
	for name, set := range all(t).installations {
		check := func(binding string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
			if set[ref.Kind+" "+ref.Name] == nil {
				t.Errorf("%s: %s is bound to %s %s, which does not exist", name, binding, ref.Kind, ref.Name)
			}
			for _, subject := range subjects {
				who := subject.Kind + " " + subject.Name
				if subject.Kind == rbacv1.ServiceAccountKind {
					who = fmt.Sprintf("%s %s/%s", subject.Kind, subject.Namespace, subject.Name)
				}
				ours := subject.Namespace == system && set["ServiceAccount "+subject.Name] != nil
				if !ours && !slices.Contains(foreign, who) {
					t.Errorf("%s: %s is for %s, who does not exist", name, binding, who)
				}
			}
		}
		for binding, b := range each[rbacv1.ClusterRoleBinding](t, set, "ClusterRoleBinding") {
			check(binding, b.RoleRef, b.Subjects)
		}
		for binding, b := range each[rbacv1.RoleBinding](t, set, "RoleBinding") {
			check(binding, b.RoleRef, b.Subjects)
		}
	}
}

// A role that aggregates by accident hands its rights to whoever has view.
func TestOnlyTheViewerIsPartOfAnotherRole(t *testing.T) {
	want := map[string]string{
		"storagepolicy-viewer":      "rbac.authorization.k8s.io/aggregate-to-view",
		"couchestor-metacontroller": "couchestor.billyronks.io/aggregate-to-metacontroller",
	}
	for name, role := range each[rbacv1.ClusterRole](t, all(t).everything, "ClusterRole") {
		var got string
		for label := range role.Labels {
			if strings.Contains(label, "aggregate") {
				got += label
			}
		}
		if got != want[name] {
			t.Errorf("%s: got label %q, want %q", name, got, want[name])
		}
	}
}

func TestTheServiceHasATokenExactlyWhereItReadsKubernetes(t *testing.T) {
	for name, set := range all(t).installations {
		pod, container := service(t, set)
		reads := variable(container, "COUCHESTOR_VOLUMES_FROM") == "api"
		if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token != reads {
			t.Errorf("%s: got token %v, reads Kubernetes %t", name, token, reads)
		}
		bound := false
		for _, b := range each[rbacv1.ClusterRoleBinding](t, set, "ClusterRoleBinding") {
			bound = bound || slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool { return s.Name == pod.Spec.ServiceAccountName })
		}
		for _, b := range each[rbacv1.RoleBinding](t, set, "RoleBinding") {
			bound = bound || slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool { return s.Name == pod.Spec.ServiceAccountName })
		}
		if bound != reads {
			t.Errorf("%s: the service has rights: %t, reads Kubernetes: %t", name, bound, reads)
		}
	}
}
