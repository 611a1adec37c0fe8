package rig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// auditPolicy has the API server write down who asked for what, and not with which
// words.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (r *Rig) auditLog() string { return filepath.Join(r.Dir, "audit.log") }

// audit are the arguments of an API server that writes its audit log.
func (r *Rig) audit() ([]string, error) {
	policy := filepath.Join(r.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	// One file, however long: a test reads all of it.
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + r.auditLog(), "--audit-log-maxsize=4096"}, nil
}

// Call is what somebody asked of the API server, and whether it was allowed.
type Call struct {
	User, Verb string
	// Group is the API group, "" the core one. Resource has its subresource after
	// it, as in pods/log. Namespace is "" beyond namespaces, and where all of them
	// are meant.
	Group, Resource, Namespace string
	Allowed                    bool
}

func (c Call) String() string {
	verdict := "allowed"
	if !c.Allowed {
		verdict = "refused"
	}
	return fmt.Sprintf("%s %s %s in %q: %s", c.User, c.Verb, join(c.Group, c.Resource), c.Namespace, verdict)
}

func join(group, resource string) string {
	if group == "" {
		return resource
	}
	return group + "/" + resource
}

// Calls are all that were answered so far, in order and each once: since the
// control plane began, whatever API server answered. Those on paths that are no
// resource are left out. A call shows up shortly after its answer, a watch once it
// has begun.
func (r *Rig) Calls() ([]Call, error) {
	text, err := os.ReadFile(r.auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readCalls(text)
}

// event is the part of a line of the audit log that tells who asked for what.
type event struct {
	Verb string
	User struct{ Username string }
	// ObjectRef is nil on paths that are no resource.
	ObjectRef   *struct{ APIGroup, Resource, Subresource, Namespace string }
	Annotations map[string]string
}

func readCalls(log []byte) ([]Call, error) {
	seen := map[Call]bool{}
	for line := range bytes.Lines(log) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // being written, or cut off by a kill
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			// A server that was killed in the middle of a line is followed by another that
			// goes on in the same line.
			continue
		}
		if e.ObjectRef == nil || e.ObjectRef.Resource == "" {
			continue
		}
		resource := e.ObjectRef.Resource
		if sub := e.ObjectRef.Subresource; sub != "" {
			resource += "/" + sub
		}
		seen[Call{
			User: e.User.Username, Verb: e.Verb, Group: e.ObjectRef.APIGroup, Resource: resource,
			Namespace: e.ObjectRef.Namespace, Allowed: e.Annotations["authorization.k8s.io/decision"] == "allow",
		}] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b Call) int { return cmp.Compare(a.String(), b.String()) }), nil
}

// Unused are the rights of rules that no call of the user exercised, each as
// "group/resource: verb". Those of a Role count in its namespace; for a
// ClusterRole namespace is "". A wildcard is never exercised: it grants more than
// any test has seen. Apply is patch and, where nothing was there, create as well,
// of which the log shows the former only.
func Unused(rules []rbacv1.PolicyRule, namespace, user string, calls []Call) []string {
	var out []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if !slices.ContainsFunc(calls, func(c Call) bool {
						return c.Allowed && c.User == user && c.Group == group && c.Resource == resource && c.Verb == verb &&
							(namespace == "" || c.Namespace == namespace)
					}) {
						out = append(out, join(group, resource)+": "+verb)
					}
				}
			}
		}
	}
	return out
}

// Refused are the calls of the user that were not allowed.
func Refused(user string, calls []Call) []Call {
	return slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.User != user || c.Allowed })
}

// Username is the name by which the API server knows a service account.
func Username(namespace, account string) string {
	return "system:serviceaccount:" + namespace + ":" + account
}
