package install

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/tiering"
)

// policies is the API of StoragePolicies, for somebody who may do everything.
func policies(t testing.TB) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(schema.GroupVersionResource{Group: tiering.Group, Version: tiering.Version, Resource: "storagepolicies"})
}

// create creates a policy with strict validation, as kubectl does, and returns
// what was stored.
func create(t testing.TB, name string, spec map[string]any) (*unstructured.Unstructured, error) {
	t.Helper()
	policy := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": tiering.APIVersion, "kind": tiering.Kind,
		"metadata": map[string]any{"name": name}, "spec": spec,
	}}
	api := policies(t)
	stored, err := api.Create(t.Context(), policy, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err == nil {
		t.Cleanup(func() { _ = api.Delete(t.Context(), name, metav1.DeleteOptions{}) })
	}
	return stored, err
}

// says reports whether the error is a refusal for these reasons and no others,
// each as "field: sentence", in their order. The API server has the kind of fault
// and the value before the sentence. That a rule was not tried, as a field before
// it was wrong, does not count.
func says(err error, reasons []string) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) {
		return false
	}
	causes := slices.DeleteFunc(slices.Clone(status.ErrStatus.Details.Causes), func(c metav1.StatusCause) bool {
		return strings.Contains(c.Message, "some validation rules were not checked")
	})
	return slices.EqualFunc(causes, reasons, func(c metav1.StatusCause, reason string) bool {
		field, sentence, _ := strings.Cut(reason, ": ")
		return c.Field == field && (strings.HasSuffix(c.Message, sentence) || strings.HasPrefix(c.Message, sentence+": "))
	})
}

func TestEachRuleRefusesABadPolicyWithItsSentence(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(manifests(t), "testdata", "refused.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var tests []struct {
		Name    string
		Spec    map[string]any
		Refused []string
	}
	if err := yaml.Unmarshal(text, &tests); err != nil {
		t.Fatal(err)
	}
	if len(tests) < 50 {
		t.Fatalf("got %d bad policies, want 50 and more", len(tests))
	}
	suite.Scenario(t, "admission refuses bad policies one by one, each with its sentence")
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			_, err := create(t, "bad", test.Spec)
			if !says(err, test.Refused) {
				t.Errorf("got %v, want it refused with %q", err, test.Refused)
			}
		})
	}
}

func TestWhatIsNoFieldOrTooLongAName(t *testing.T) {
	if _, err := create(t, "misspelt", map[string]any{"highWatermarkIops": 1000}); err == nil || !strings.Contains(err.Error(), `unknown field "spec.highWatermarkIops"`) {
		t.Errorf("a misspelt field: got %v, want it named", err)
	}
	_, err := create(t, strings.Repeat("a", 64), map[string]any{})
	want := []string{"<nil>: metadata.name must have at most 63 characters, because each Job carries it as a label; choose a shorter name"}
	if !says(err, want) {
		t.Errorf("a long name: got %v, want %q", err, want)
	}
}

// What `kubectl get -o yaml` shows is what happens.
func TestTheDefaultsAsStoredAreThoseOfTheService(t *testing.T) {
	suite.Scenario(t, "defaults of the API server, as stored, are those of the service")
	for name, spec := range map[string]map[string]any{
		"empty": {},
		"documented": {
			"highWatermarkIOPS": int64(8000), "samplingWindow": "6h", "nvmePoolSelector": map[string]any{"matchLabels": map[string]any{"a": "b"}},
		},
	} {
		if _, err := create(t, name, spec); err != nil {
			t.Fatal(err)
		}
		stored, err := policies(t).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		shown, _, err := unstructured.NestedMap(stored.Object, "spec")
		if err != nil {
			t.Fatal(err)
		}
		if name == "empty" && len(shown) < 15 {
			t.Errorf("got defaults of %d fields, want those of 15 and more: %q", len(shown), slices.Collect(maps.Keys(shown)))
		}
		selectors := cmp.Comparer(func(a, b labels.Selector) bool { return a.String() == b.String() })
		if diff := cmp.Diff(rules(t, shown), rules(t, spec), selectors, cmpopts.IgnoreUnexported(tiering.Rules{})); diff != "" {
			t.Errorf("%s: rules of what is stored (-) and of what was written (+):\n%s", name, diff)
		}
	}
}

// rules are what the service makes of a spec.
func rules(t *testing.T, spec map[string]any) tiering.Rules {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var out tiering.StoragePolicySpec
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	policy, faults := tiering.Compile("p", 1, time.Time{}, out)
	if len(faults) > 0 {
		t.Fatalf("%v: %q", spec, faults)
	}
	return policy.Rules
}
