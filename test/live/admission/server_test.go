package admission

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

const crdFile = "base/crd/storage.billyronks.io_storagepolicies.yaml"

// server does to a StoragePolicy what the API server does between a request and
// its storage: it fills in defaults, prunes, and validates.
type server struct {
	structural *structuralschema.Structural
	strategy   interface {
		PrepareForCreate(ctx context.Context, obj runtime.Object)
		Validate(ctx context.Context, obj runtime.Object) field.ErrorList
	}
	statusStrategy interface {
		ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList
	}
}

// readCRD returns the definition as the API server has it in memory.
func readCRD(t testing.TB) *apiextensions.CustomResourceDefinition {
	t.Helper()
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(readFile(t, crdFile), &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &crd, nil); err != nil {
		t.Fatal(err)
	}
	return &crd
}

func newServer(t testing.TB) *server {
	t.Helper()
	crd := readCRD(t)
	version := crd.Spec.Versions[0]
	definition, err := apiextensions.GetSchemaForVersion(crd, version.Name)
	if err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(definition.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := validation.NewSchemaValidator(definition.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	status := definition.OpenAPIV3Schema.Properties["status"]
	statusValidator, _, err := validation.NewSchemaValidator(&status)
	if err != nil {
		t.Fatal(err)
	}
	kind := schema.GroupVersionKind{Group: tiering.Group, Version: tiering.Version, Kind: tiering.Kind}
	strategy := customresource.NewStrategy(nil, false, kind, validator, statusValidator, structural,
		&apiextensions.CustomResourceSubresourceStatus{}, nil, nil)
	return &server{structural: structural, strategy: strategy, statusStrategy: customresource.NewStatusStrategy(strategy)}
}

// create returns what would be stored, the paths the server does not know, and
// why it would refuse: each error as "path: sentence".
func (s *server) create(t testing.TB, policy map[string]any) (stored map[string]any, unknown, refused []string) {
	t.Helper()
	stored = runtime.DeepCopyJSON(policy)
	defaulting.Default(stored, s.structural)
	unknown = pruning.PruneWithOptions(stored, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(stored, s.structural)
	object := &unstructured.Unstructured{Object: stored}
	s.strategy.PrepareForCreate(t.Context(), object)
	return object.Object, unknown, sentences(s.strategy.Validate(t.Context(), object))
}

// updateStatus returns the status that would be stored of a policy of defaults,
// and why the server would refuse it.
func (s *server) updateStatus(t testing.TB, status map[string]any) (stored map[string]any, refused []string) {
	t.Helper()
	policy, _, refused := s.create(t, policyOf(map[string]any{}))
	if len(refused) > 0 {
		t.Fatalf("the policy itself is refused: %q", refused)
	}
	before := &unstructured.Unstructured{Object: policy}
	before.SetResourceVersion("1")
	after := before.DeepCopy()
	after.Object["status"] = runtime.DeepCopyJSON(status)
	defaulting.Default(after.Object, s.structural)
	pruning.Prune(after.Object, s.structural, true)
	defaulting.PruneNonNullableNullsWithoutDefaults(after.Object, s.structural)
	refused = sentences(s.statusStrategy.ValidateUpdate(t.Context(), after, before))
	stored, _ = after.Object["status"].(map[string]any)
	return stored, refused
}

// sentences are what a user sees, each as "path: sentence", without the value
// and the path's repetition. That a rule was not tried, as a field before it was
// wrong, is left out.
func sentences(errs field.ErrorList) []string {
	var out []string
	for _, err := range errs {
		sentence := err.Detail
		if _, after, ok := strings.Cut(sentence, " in body "); ok {
			sentence = after
		}
		if strings.HasPrefix(sentence, "some validation rules were not checked") {
			continue
		}
		out = append(out, err.Field+": "+cmp.Or(sentence, err.Type.String()))
	}
	return out
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := manifests.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decode reads YAML as the API server does: whole numbers stay whole.
func decode(t testing.TB, text []byte) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
