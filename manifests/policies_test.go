package manifests

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/tiering"
)

func TestEachPolicyDecodesWithoutALeftover(t *testing.T) {
	var files []string
	for _, pattern := range []string{"policies/*.yaml", "testdata/documented/*.yaml"} {
		found, err := fs.Glob(Files, pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	decoded := 0
	for _, file := range files {
		if strings.HasSuffix(file, "kustomization.yaml") {
			continue
		}
		decoded++
		t.Run(file, func(t *testing.T) {
			var policy tiering.StoragePolicy
			if err := yaml.UnmarshalStrict(readFile(t, file), &policy); err != nil {
				t.Fatal(err)
			}
			if policy.APIVersion != tiering.APIVersion || policy.Kind != tiering.Kind {
				t.Errorf("got %s %s, want %s %s", policy.APIVersion, policy.Kind, tiering.APIVersion, tiering.Kind)
			}
			for _, fault := range tiering.Faults(policy.Name, policy.Spec) {
				t.Error(fault)
			}
		})
	}
	if decoded < 7 {
		t.Errorf("got %d policies, want 3 samples and 4 documented ones", decoded)
	}
}

// A default that only one of the two has shows in `kubectl get -o yaml` and is not
// what happens, or the reverse.
func TestTheDefaultsOfTheSchemaAreThoseOfCompile(t *testing.T) {
	defaults := map[string]json.RawMessage{}
	for name, field := range readCRD(t).Spec.Versions[0].Schema.Open.Properties["spec"].Properties {
		if field.Default != nil {
			defaults[name] = field.Default
		}
	}
	if len(defaults) < 15 {
		t.Fatalf("got %d fields with a default, want at least 15", len(defaults))
	}
	raw, err := json.Marshal(defaults)
	if err != nil {
		t.Fatal(err)
	}
	var spec tiering.StoragePolicySpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	compile := func(spec tiering.StoragePolicySpec) tiering.Rules {
		t.Helper()
		policy, faults := tiering.Compile("p", 1, time.Time{}, spec)
		if len(faults) > 0 {
			t.Fatalf("faults in defaults: %q", faults)
		}
		return policy.Rules
	}
	selectors := cmp.Comparer(func(a, b labels.Selector) bool { return a.String() == b.String() })
	if diff := cmp.Diff(compile(spec), compile(tiering.StoragePolicySpec{}), selectors, cmpopts.IgnoreUnexported(tiering.Rules{})); diff != "" {
		t.Errorf("rules of the schema's defaults (-) and of Compile's (+):\n%s", diff)
	}
}
