package rig

import (
	"context"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCallsAreThoseOfTheAuditLog(t *testing.T) {
	t.Parallel()
	log := strings.Join([]string{
		`{"verb":"get","user":{"username":"alice"},"objectRef":{"resource":"pods","namespace":"a","name":"p","subresource":"log"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		`{"verb":"get","user":{"username":"alice"},"objectRef":{"resource":"pods","namespace":"a","name":"q","subresource":"log"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		`{"verb":"patch","user":{"username":"alice"},"objectRef":{"resource":"jobs","namespace":"a","name":"j","apiGroup":"batch"},"annotations":{"authorization.k8s.io/decision":"forbid"}}`,
		`{"verb":"get","user":{"username":"alice"},"requestURI":"/readyz","annotations":{"authorization.k8s.io/decision":"allow"}}`,
		`{"verb":"get","user":{"usern{"verb":"get","user":{"username":"of two lines"},"objectRef":{"resource":"pods"}}`,
		`{"verb":"list","user":{"username":"bob"},"objectRef":{"resource":"nodes"},"annotations":{"authorization.k8s.io/decision":"allow"}}`,
		`{"verb":"get","user":{"username":"half a line"},"objectRef":{"resource":"pods"}}`,
	}, "\n")
	got, err := readCalls([]byte(log))
	if err != nil {
		t.Fatal(err)
	}
	want := []Call{
		{User: "alice", Verb: "get", Resource: "pods/log", Namespace: "a", Allowed: true},
		{User: "alice", Verb: "patch", Group: "batch", Resource: "jobs", Namespace: "a"},
		{User: "bob", Verb: "list", Resource: "nodes", Allowed: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := Refused("alice", got); !slices.Equal(got, want[1:2]) {
		t.Errorf("refused: got %s, want %s", got, want[1:2])
	}
}

func TestARightIsUsedOnlyByItsOwnerWhereItCountsAndWhenAllowed(t *testing.T) {
	t.Parallel()
	rules := []rbacv1.PolicyRule{Rule("batch", "jobs", "get", "patch"), Rule("", "pods/log", "get")}
	call := func(change func(*Call)) []Call {
		c := Call{User: "u", Verb: "get", Group: "batch", Resource: "jobs", Namespace: "ours", Allowed: true}
		change(&c)
		return []Call{c}
	}
	all := []string{"batch/jobs: get", "batch/jobs: patch", "pods/log: get"}
	tests := []struct {
		name      string
		namespace string
		calls     []Call
		want      []string
	}{
		{"no calls", "ours", nil, all},
		{"one call", "ours", call(func(*Call) {}), all[1:]},
		{"in the cluster any namespace counts", "", call(func(*Call) {}), all[1:]},
		{"another user", "ours", call(func(c *Call) { c.User = "v" }), all},
		{"another namespace", "ours", call(func(c *Call) { c.Namespace = "theirs" }), all},
		{"another group", "ours", call(func(c *Call) { c.Group = "" }), all},
		{"the resource without its subresource", "ours", call(func(c *Call) { c.Group, c.Resource = "", "pods" }), all},
		{"the subresource", "ours", call(func(c *Call) { c.Group, c.Resource = "", "pods/log" }), all[:2]},
		{"another verb", "ours", call(func(c *Call) { c.Verb = "list" }), all},
		{"a refused call", "ours", call(func(c *Call) { c.Allowed = false }), all},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Unused(rules, test.namespace, "u", test.calls); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	wild := []rbacv1.PolicyRule{Rule("batch", "jobs", "*")}
	if got := Unused(wild, "", "u", call(func(*Call) {})); !slices.Equal(got, []string{"batch/jobs: *"}) {
		t.Errorf("a wildcard: got %q, want it to be unused", got)
	}
}

func TestTheAPIServerWritesDownWhoAskedForWhat(t *testing.T) {
	r := New(t)
	ctx := t.Context()
	account, err := r.ServiceAccount(ctx, "default", "reader")
	if err != nil {
		t.Fatal(err)
	}
	rules := []rbacv1.PolicyRule{Rule("", "configmaps", "list", "watch", "get")}
	if err := r.Grant(ctx, Account("default", "reader"), "default", rules...); err != nil {
		t.Fatal(err)
	}
	api := clientOf(t, account).CoreV1()
	if _, err := api.ConfigMaps("default").List(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	watch, err := api.ConfigMaps("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if _, err := api.Secrets("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want forbidden", err)
	}
	user := Username("default", "reader")
	secrets := Call{User: user, Verb: "list", Resource: "secrets", Namespace: "default"}
	eventually(t, "list, watch and the refusal are in the log", func(context.Context) (bool, error) {
		calls, err := r.Calls()
		return slices.Contains(calls, secrets) && slices.Equal(Unused(rules, "default", user, calls), []string{"configmaps: get"}), err
	})
}
