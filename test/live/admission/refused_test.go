package admission

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// yamlPolicy is a policy with the spec written as YAML.
func yamlPolicy(t testing.TB, spec string) map[string]any {
	t.Helper()
	return policyOf(decode(t, []byte(spec)))
}

// badPolicy is one of manifests/testdata/refused.yaml.
type badPolicy struct {
	Name string         `json:"name"`
	Spec map[string]any `json:"spec"`
	// Refused are the sentences of the refusal, each as "field: sentence".
	Refused []string `json:"refused"`
}

func badPolicies(t testing.TB) []badPolicy {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict(readFile(t, "testdata/refused.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var out []badPolicy
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestABadPolicyIsRefusedWithASentence(t *testing.T) {
	s := newServer(t)
	tests := badPolicies(t)
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			policy := policyOf(test.Spec)
			_, unknown, refused := s.create(t, policy)
			if len(unknown) > 0 {
				t.Fatalf("the test itself is wrong: %q are no fields", unknown)
			}
			if diff := cmp.Diff(refused, test.Refused); diff != "" {
				t.Errorf("refused (-got +want):\n%s", diff)
			}
			if _, faults := goView(t, policy); len(faults) == 0 {
				t.Error("the service accepts it, should it get past admission")
			}
		})
	}

	// ecPolicyRef may hold anything, as it is ignored.
	cannotBeWrong := map[string]bool{"ecPolicyRef": true}
	for _, field := range slices.Sorted(maps.Keys(s.structural.Properties["spec"].Properties)) {
		wrong := slices.ContainsFunc(tests, func(test badPolicy) bool {
			return slices.ContainsFunc(test.Refused, func(text string) bool { return strings.Contains(text, field) })
		})
		if !wrong && !cannotBeWrong[field] {
			t.Errorf("no policy of testdata/refused.yaml has a wrong %s", field)
		}
	}
}

func TestANameTooLongForALabelIsRefused(t *testing.T) {
	s := newServer(t)
	policy := policyOf(map[string]any{})
	policy["metadata"] = map[string]any{"name": strings.Repeat("a", 64)}
	_, _, refused := s.create(t, policy)
	want := []string{"<nil>: metadata.name must have at most 63 characters, because each Job carries it as a label; choose a shorter name"}
	if diff := cmp.Diff(refused, want); diff != "" {
		t.Errorf("refused (-got +want):\n%s", diff)
	}
}

func TestAMisspeltFieldIsPointedOut(t *testing.T) {
	s := newServer(t)
	_, unknown, _ := s.create(t, yamlPolicy(t, `{highWatermarkIops: 1000, hotPoolSelector: {matchLabel: {a: b}}}`))
	slices.Sort(unknown)
	if diff := cmp.Diff(unknown, []string{"spec.highWatermarkIops", "spec.hotPoolSelector.matchLabel"}); diff != "" {
		t.Errorf("unknown (-got +want):\n%s", diff)
	}
}
