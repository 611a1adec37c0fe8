package install

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// identity is somebody the manifests give rights to, or deny them.
type identity struct {
	// user is the name the API server knows it by, group a group of people.
	user, group string
	// cluster and local are the ClusterRole and the Role in couchestor-system that it
	// has, "" for none.
	cluster, local string
	cfg            *rest.Config
}

// identities are all of them, by a short name.
func identities(t *testing.T) map[string]identity {
	t.Helper()
	out := map[string]identity{
		"service":        {user: rig.Username(system, "couchestor"), cluster: "couchestor"},
		"job":            {user: rig.Username(system, "couchestor-migrate"), cluster: "couchestor-migrate", local: "couchestor-migrate"},
		"metacontroller": {user: rig.Username("metacontroller", "metacontroller"), cluster: "couchestor-metacontroller", local: "couchestor-metacontroller"},
		"editor":         {user: "erin", group: "platform", cluster: "storagepolicy-editor"},
		"viewer":         {user: "victor", group: "application-teams", cluster: "storagepolicy-viewer"},
		"auditor":        {user: "ada", group: "security", cluster: "storagepolicy-auditor", local: "storagepolicy-auditor"},
	}
	ctx := t.Context()
	for name, who := range out {
		var err error
		if namespace, account, ok := strings.Cut(strings.TrimPrefix(who.user, "system:serviceaccount:"), ":"); ok {
			who.cfg, err = suite.ServiceAccount(ctx, namespace, account)
		} else {
			who.cfg, err = suite.User(who.user, who.group)
		}
		if err != nil {
			t.Fatal(err)
		}
		out[name] = who
	}
	return out
}

func (who identity) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(who.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// granted are the rules of the identity's roles as they are stored: those that
// count everywhere, and those in couchestor-system.
func (who identity) granted(t *testing.T) (cluster, local []rbacv1.PolicyRule) {
	t.Helper()
	if who.cluster != "" {
		role, err := suite.Client.RbacV1().ClusterRoles().Get(t.Context(), who.cluster, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cluster = role.Rules
	}
	if who.local != "" {
		role, err := suite.Client.RbacV1().Roles(system).Get(t.Context(), who.local, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		local = role.Rules
	}
	return cluster, local
}

// right is one verb on one resource.
type right struct {
	verb, group, resource, name, namespace string
}

// ask reads a right from a text such as "get configmaps x" or "update
// jobs/status.batch j": the group is what comes after the first dot.
func ask(text, namespace string) right {
	words := strings.Fields(text)
	r := right{verb: words[0], namespace: namespace}
	r.resource, r.group, _ = strings.Cut(words[1], ".")
	if len(words) > 2 {
		r.name = words[2]
	}
	return r
}

func (r right) String() string {
	return fmt.Sprintf("%s %s.%s %q in %q", r.verb, r.resource, r.group, r.name, r.namespace)
}

// versions are the versions in which the groups are served.
var versions = map[string]string{
	"": "v1", "batch": "v1", "coordination.k8s.io": "v1", "storage.billyronks.io": "v1", "apps": "v1",
	"metacontroller.k8s.io": "v1alpha1", "apiextensions.k8s.io": "v1", "rbac.authorization.k8s.io": "v1",
	"openebs.io": "v1beta3",
}

// call does it, as a dry run where it would change something, and returns the
// API server's answer. Forbidden is decided before anything else is looked at.
func (r right) call(ctx context.Context, t *testing.T, c kubernetes.Interface) error {
	t.Helper()
	version, ok := versions[r.group]
	if !ok {
		t.Fatalf("%s: no version is known of the group", r)
	}
	path := []string{"api", version}
	if r.group != "" {
		path = []string{"apis", r.group, version}
	}
	if r.namespace != "" {
		path = append(path, "namespaces", r.namespace)
	}
	resource, sub, _ := strings.Cut(r.resource, "/")
	path = append(path, resource)
	name := r.name
	if name == "" {
		name = "any"
	}
	method := map[string]string{
		"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet, "create": http.MethodPost, "update": http.MethodPut,
		"patch": http.MethodPatch, "delete": http.MethodDelete, "deletecollection": http.MethodDelete,
	}[r.verb]
	if !slices.Contains([]string{"list", "watch", "create", "deletecollection"}, r.verb) {
		path = append(path, name)
		if sub != "" {
			path = append(path, sub)
		}
	}
	request := c.Discovery().RESTClient().Verb(method).AbsPath(path...)
	switch r.verb {
	case "get", "list":
	case "watch":
		request = request.Param("watch", "true").Param("timeoutSeconds", "1")
	default:
		request = request.Param("dryRun", "All").SetHeader("Content-Type", "application/json").Body([]byte("{}"))
		if r.verb == "patch" {
			request = request.SetHeader("Content-Type", "application/merge-patch+json")
		}
	}
	return request.Do(ctx).Error()
}

// allowed asks the authorizer.
func (r right) allowed(t *testing.T, who identity) bool {
	t.Helper()
	resource, sub, _ := strings.Cut(r.resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: who.user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.namespace, Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub, Name: r.name,
		},
	}}
	if who.group != "" {
		review.Spec.Groups = []string{who.group}
	}
	answer, err := suite.Client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}

// rights are rules one by one, in a namespace.
func rights(rules []rbacv1.PolicyRule, namespace string) []right {
	var out []right
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						out = append(out, right{verb, group, resource, name, namespace})
					}
				}
			}
		}
	}
	return out
}

// ofAll are the groups whose rights everybody has who is known: to ask what one
// may do.
var ofAll = []string{"authorization.k8s.io", "authentication.k8s.io"}

// The authorizer knows of these rules and no others: no role is bound by accident,
// and none that is bound to a group of all accounts grants more.
func TestEachIdentityHasTheRightsOfItsRolesAndNoOthers(t *testing.T) {
	suite.Scenario(t, "the real authorizer grants each identity the rules of its roles and nothing else")
	for name, who := range identities(t) {
		t.Run(name, func(t *testing.T) {
			cluster, local := who.granted(t)
			for namespace, want := range map[string][]rbacv1.PolicyRule{
				system: slices.Concat(cluster, local), metav1.NamespaceDefault: cluster,
			} {
				review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
				answer, err := who.client(t).AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), review, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var rules []rbacv1.PolicyRule
				for _, rule := range answer.Status.ResourceRules {
					if !slices.ContainsFunc(ofAll, func(group string) bool { return slices.Contains(rule.APIGroups, group) }) {
						rules = append(rules, rbacv1.PolicyRule{APIGroups: rule.APIGroups, Resources: rule.Resources, Verbs: rule.Verbs, ResourceNames: rule.ResourceNames})
					}
				}
				if diff := cmp.Diff(lines(rules), lines(want)); diff != "" {
					t.Errorf("in %s (-got +want):\n%s", namespace, diff)
				}
			}
		})
	}
}

// lines are rights in an order of their own.
func lines(rules []rbacv1.PolicyRule) []string {
	seen := map[string]bool{}
	for _, r := range rights(rules, "") {
		seen[r.String()] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// A right that counts is one the API server lets through; what then is wrong with
// the request is another matter.
func TestEachRightIsGrantedAndSeenInTheAuditLog(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "each verb of each role is let through, and is in the audit log")
	for name, who := range identities(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster, local := who.granted(t)
			client := who.client(t)
			for _, r := range slices.Concat(rights(cluster, ""), rights(local, system)) {
				if r.namespace == "" && slices.Contains([]string{"events", "jobs", "persistentvolumeclaims", "controllerrevisions"}, r.resource) &&
					!slices.Contains([]string{"list", "watch"}, r.verb) {
					r.namespace = metav1.NamespaceDefault // there is no such thing in all namespaces
				}
				if err := r.call(t.Context(), t, client); apierrors.IsForbidden(err) {
					t.Errorf("%s: %v", r, err)
				}
			}
			eventually(t, "all of it is in the audit log", func(context.Context) (bool, error) {
				calls, err := suite.Calls()
				return len(rig.Unused(cluster, "", who.user, calls)) == 0 && len(rig.Unused(local, system, who.user, calls)) == 0, err
			})
		})
	}
}

func TestEachIdentityIsRefusedWhatItMustNotDo(t *testing.T) {
	suite.Scenario(t, "what an identity must not do is refused, by review and by call")
	const sp = "storagepolicies.storage.billyronks.io"
	const status = "storagepolicies/status.storage.billyronks.io"
	tests := map[string]map[string][]string{ // identity, namespace, what
		"service": {
			"":                      {"patch persistentvolumes pv", "get persistentvolumes pv", "patch " + sp + " p", "update " + status + " p", "list nodes", "patch diskpools.openebs.io p"},
			system:                  {"get secrets any", "list secrets", "create jobs.batch", "get configmaps couchestor-governance", "create pods", "get leases.coordination.k8s.io couchestor-cluster"},
			metav1.NamespaceDefault: {"list secrets", "patch persistentvolumeclaims c", "create jobs.batch"},
		},
		"job": {
			"": {
				"delete persistentvolumes pv", "update persistentvolumes pv", "list persistentvolumes", "patch persistentvolumes/status pv",
				"patch " + sp + " p", "update " + status + " p", "list " + sp, "list secrets", "get nodes n",
			},
			metav1.NamespaceDefault: {
				"delete persistentvolumeclaims c", "get persistentvolumeclaims c", "patch persistentvolumeclaims c", "get secrets s", "delete pods p",
				"get jobs.batch j", "patch jobs.batch j", "update leases.coordination.k8s.io l", "get configmaps couchestor-governance", "list events",
			},
			system: {
				"get secrets s", "list secrets", "create jobs.batch", "delete jobs.batch j", "update jobs/status.batch j", "list leases.coordination.k8s.io",
				"get configmaps other", "patch configmaps couchestor-governance", "delete pods p", "create pods", "patch leases.coordination.k8s.io l",
				"create serviceaccounts/token couchestor-migrate",
			},
		},
		"metacontroller": {
			"": {
				"list secrets", "patch persistentvolumes pv", "delete " + sp + " p", "create " + sp, "patch " + status + " p",
				"update compositecontrollers.metacontroller.k8s.io c", "create clusterrolebindings.rbac.authorization.k8s.io",
			},
			metav1.NamespaceDefault: {"get secrets s", "create jobs.batch", "update jobs.batch j", "delete jobs.batch j", "create pods", "delete persistentvolumeclaims c"},
			system:                  {"get secrets s", "list secrets", "create pods", "patch jobs.batch j", "get configmaps couchestor-governance", "update leases.coordination.k8s.io l"},
		},
		"viewer": {
			"":     {"create " + sp, "update " + sp + " p", "patch " + sp + " p", "delete " + sp + " p", "update " + status + " p", "patch persistentvolumes pv"},
			system: {"get configmaps couchestor-governance", "get pods/log p", "list jobs.batch", "list secrets"},
		},
		"editor": {
			"":     {"update " + status + " p", "patch " + status + " p", "deletecollection " + sp, "patch persistentvolumes pv", "update storagepolicies/finalizers.storage.billyronks.io p"},
			system: {"get configmaps couchestor-governance", "update configmaps couchestor-governance", "patch configmaps couchestor-governance", "delete configmaps couchestor-governance", "create jobs.batch", "delete jobs.batch j", "list secrets", "delete leases.coordination.k8s.io l"},
		},
		"auditor": {
			"": {"create " + sp, "update " + sp + " p", "patch " + sp + " p", "delete " + sp + " p", "update " + status + " p", "patch persistentvolumes pv", "delete persistentvolumes pv", "create events"},
			system: {
				"patch configmaps couchestor-governance", "update configmaps couchestor-governance", "get configmaps other", "list configmaps",
				"delete jobs.batch j", "patch jobs.batch j", "delete leases.coordination.k8s.io l", "delete pods p", "get pods/exec p", "create pods/exec p", "list secrets",
			},
			metav1.NamespaceDefault: {"get pods/log p", "list pods", "list jobs.batch", "list secrets", "list leases.coordination.k8s.io"},
		},
	}
	for name, who := range identities(t) {
		if len(tests[name]) == 0 {
			t.Errorf("nothing is tried that %s must not do", name)
		}
		t.Run(name, func(t *testing.T) {
			client := who.client(t)
			for namespace, texts := range tests[name] {
				for _, text := range texts {
					r := ask(text, namespace)
					if r.allowed(t, who) {
						t.Errorf("%s: the authorizer allows it", r)
					}
					if err := r.call(t.Context(), t, client); !apierrors.IsForbidden(err) {
						t.Errorf("%s: got %v, want it forbidden", r, err)
					}
				}
			}
		})
	}
}

// Policies belong to the cluster, and whoever may view all of it may view them.
func TestKubernetesOwnRoleViewShowsPolicies(t *testing.T) {
	eventually(t, "view shows policies", func(ctx context.Context) (bool, error) {
		view, err := suite.Client.RbacV1().ClusterRoles().Get(ctx, "view", metav1.GetOptions{})
		return err == nil && slices.Contains(lines(view.Rules), right{verb: "list", group: "storage.billyronks.io", resource: "storagepolicies"}.String()), err
	})
	for _, name := range []string{"view", "edit", "admin"} {
		role, err := suite.Client.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rights(role.Rules, "") {
			if r.group == "storage.billyronks.io" && !slices.Contains([]string{"get", "list", "watch"}, r.verb) {
				t.Errorf("role %s may %s", name, r)
			}
		}
	}
}

// On call one throws the emergency stop, and needs nothing else for that.
func TestOnCallMayStopTheClusterAndNothingElse(t *testing.T) {
	suite.Scenario(t, "on call may change the governance of the cluster, and no other ConfigMap")
	cfg, err := suite.User("olga", "sre")
	if err != nil {
		t.Fatal(err)
	}
	who := identity{user: "olga", group: "sre", cfg: cfg}
	client := who.client(t)
	for text, want := range map[string]bool{
		"patch configmaps couchestor-governance": true, "update configmaps couchestor-governance": true, "get configmaps couchestor-governance": true,
		"delete configmaps couchestor-governance": false, "patch configmaps kube-root-ca.crt": false, "create configmaps": false,
		"list jobs.batch": true, "get pods/log p": true, "delete jobs.batch j": false, "list secrets": false,
	} {
		r := ask(text, system)
		if got := r.allowed(t, who); got != want {
			t.Errorf("%s: got %t, want %t", r, got, want)
		}
		if err := r.call(t.Context(), t, client); apierrors.IsForbidden(err) == want {
			t.Errorf("%s: got %v, want it allowed: %t", r, err, want)
		}
	}
}

// eventually waits for up to a minute.
func eventually(t *testing.T, sentence string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := rig.Until(ctx, 50*time.Millisecond, done); err != nil {
		t.Fatalf("not in a minute: %s: %v", sentence, err)
	}
}
