package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/tiering"
)

// crdFile is written by `make generate`.
const crdFile = "base/crd/storage.billyronks.io_storagepolicies.yaml"

// schema is the part of an OpenAPI schema that a Go type can agree with.
type schema struct {
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	Required             []string           `json:"required"`
	Enum                 []string           `json:"enum"`
	Default              json.RawMessage    `json:"default"`
	Any                  bool               `json:"x-kubernetes-preserve-unknown-fields"`
}

// definition is the part of a CustomResourceDefinition the tests look at.
type definition struct {
	Metadata struct{ Name string }
	Spec     struct {
		Group, Scope string
		Names        struct {
			Kind, Plural string
			ShortNames   []string
		}
		Versions []struct {
			Name            string
			Served, Storage bool
			Subresources    struct{ Status *struct{} }
			Columns         []struct {
				Name, JSONPath string
				Priority       int
			} `json:"additionalPrinterColumns"`
			Schema struct {
				Open *schema `json:"openAPIV3Schema"`
			}
		}
	}
}

func readCRD(t *testing.T) definition {
	t.Helper()
	var crd definition
	if err := yaml.Unmarshal(readFile(t, crdFile), &crd); err != nil {
		t.Fatal(err)
	}
	if len(crd.Spec.Versions) != 1 {
		t.Fatalf("got %d versions, want 1", len(crd.Spec.Versions))
	}
	return crd
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A field that is in one of the two only is pruned by the API server or ignored
// by the service; either way somebody's policy silently means something else.
func TestGoTypesAndSchemaHaveTheSameFields(t *testing.T) {
	crd := readCRD(t)
	compared := 0
	compare(t, "StoragePolicy", reflect.TypeFor[tiering.StoragePolicy](), crd.Spec.Versions[0].Schema.Open, &compared)
	// 6 selectors, 50 and more fields of spec, status, conditions, plan, history.
	if compared < 80 {
		t.Errorf("got %d fields compared, want at least 80: the walk ended early", compared)
	}
}

func TestTheWalkSeesEachKindOfDrift(t *testing.T) {
	type inner struct {
		Kept int64 `json:"kept"`
	}
	type outer struct {
		Name  string            `json:"name"`
		Inner *inner            `json:"inner,omitempty"`
		List  []inner           `json:"list,omitempty"`
		Map   map[string]string `json:"map,omitempty"`
	}
	fresh := func() *schema {
		in := func() *schema {
			return &schema{
				Type: "object", Required: []string{"kept"},
				Properties: map[string]*schema{"kept": {Type: "integer", Format: "int64"}},
			}
		}
		return &schema{Type: "object", Required: []string{"name"}, Properties: map[string]*schema{
			"name": {Type: "string"}, "inner": in(), "list": {Type: "array", Items: in()},
			"map": {Type: "object", AdditionalProperties: &schema{Type: "string"}},
		}}
	}
	tests := []struct {
		name  string
		drift func(s *schema)
		want  int
	}{
		{"no drift", func(*schema) {}, 0},
		{"a field of the schema alone", func(s *schema) { s.Properties["other"] = &schema{Type: "string"} }, 1},
		{"a field of Go alone", func(s *schema) { delete(s.Properties, "map") }, 1},
		{"another case", func(s *schema) {
			s.Properties["Map"] = s.Properties["map"]
			delete(s.Properties, "map")
		}, 2},
		{"another type", func(s *schema) { s.Properties["name"].Type = "integer" }, 1},
		{"another width", func(s *schema) { s.Properties["inner"].Properties["kept"].Format = "int32" }, 1},
		{"no longer required", func(s *schema) { s.Required = nil }, 1},
		{"deep in a struct", func(s *schema) { delete(s.Properties["inner"].Properties, "kept") }, 1},
		{"deep in a list", func(s *schema) { s.Properties["list"].Items.Properties["new"] = &schema{} }, 1},
		{"the values of a map", func(s *schema) { s.Properties["map"].AdditionalProperties.Type = "boolean" }, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := fresh()
			test.drift(s)
			got := &faults{}
			compare(got, "outer", reflect.TypeFor[outer](), s, new(int))
			if len(*got) != test.want {
				t.Errorf("got faults %q, want %d", *got, test.want)
			}
		})
	}
}

// faults records what a walk complains of.
type faults []string

func (f *faults) Helper() {}
func (f *faults) Errorf(format string, _ ...any) {
	*f = append(*f, format)
}

type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// compare reports each difference between what encoding/json makes of typ and
// what the schema admits.
func compare(t reporter, path string, typ reflect.Type, s *schema, compared *int) {
	t.Helper()
	*compared++
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	kind := func(want, format string) {
		t.Helper()
		if s.Type != want || s.Format != format {
			t.Errorf("%s: got type %q format %q in the schema, want %q %q for Go's %s", path, s.Type, s.Format, want, format, typ)
		}
	}
	switch typ {
	case reflect.TypeFor[metav1.Time]():
		kind("string", "date-time")
		return
	case reflect.TypeFor[runtime.RawExtension]():
		if !s.Any {
			t.Errorf("%s: the schema prunes what Go keeps as it is", path)
		}
		return
	case reflect.TypeFor[metav1.ObjectMeta]():
		kind("object", "")
		return
	}
	switch typ.Kind() {
	case reflect.Struct:
		kind("object", "")
		compareStruct(t, path, typ, s, compared)
	case reflect.Slice:
		kind("array", "")
		if s.Items != nil {
			compare(t, path+"[]", typ.Elem(), s.Items, compared)
		}
	case reflect.Map:
		kind("object", "")
		if s.AdditionalProperties == nil {
			t.Errorf("%s: Go has a map, the schema none", path)
			return
		}
		compare(t, path+"{}", typ.Elem(), s.AdditionalProperties, compared)
	case reflect.String:
		kind("string", "")
	case reflect.Bool:
		kind("boolean", "")
	case reflect.Int64:
		kind("integer", "int64")
	case reflect.Float64:
		kind("number", "")
	default:
		t.Errorf("%s: Go's %s has no counterpart in a schema", path, typ)
	}
}

func compareStruct(t reporter, path string, typ reflect.Type, s *schema, compared *int) {
	t.Helper()
	fields := map[string]reflect.Type{}
	var required []string
	for field := range jsonFields(typ) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = field.Type
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	for name, fieldType := range fields {
		property, ok := s.Properties[name]
		if !ok {
			t.Errorf("%s.%s: in Go, not in the schema: the API server would prune it", path, name)
			continue
		}
		compare(t, path+"."+name, fieldType, property, compared)
	}
	for name := range s.Properties {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s.%s: in the schema, not in Go: the service would ignore it", path, name)
		}
	}
	slices.Sort(required)
	if diff := cmp.Diff(required, slices.Sorted(slices.Values(s.Required))); diff != "" {
		t.Errorf("%s: fields without omitempty (-) against required ones (+):\n%s", path, diff)
	}
}

// jsonFields yields the fields of a struct as encoding/json sees them, those of
// an inlined struct in its place.
func jsonFields(typ reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for field := range typ.Fields() {
			if field.Anonymous && strings.HasPrefix(field.Tag.Get("json"), ",") {
				for inner := range jsonFields(field.Type) {
					if !yield(inner) {
						return
					}
				}
				continue
			}
			if !yield(field) {
				return
			}
		}
	}
}

func TestEnumsOfTheSchemaAreTheConstants(t *testing.T) {
	open := readCRD(t).Spec.Versions[0].Schema.Open
	spec, status := open.Properties["spec"].Properties, open.Properties["status"].Properties
	text := func(values ...any) []string {
		var out []string
		for _, v := range values {
			out = append(out, reflect.ValueOf(v).String())
		}
		return out
	}
	tests := []struct {
		field string
		got   []string
		want  []string
	}{
		{"spec.volumesWithSnapshots", spec["volumesWithSnapshots"].Enum, text(tiering.SkipSnapshots, tiering.MoveSnapshots)},
		{"status.phase", status["phase"].Enum, text(tiering.PhasePending, tiering.PhaseActive, tiering.PhaseDryRun, tiering.PhaseDisabled, tiering.PhaseError)},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.got, test.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", test.field, diff)
		}
	}
}

func TestTheDefinitionIsWhatMetacontrollerAndUsersNeed(t *testing.T) {
	crd := readCRD(t)
	v := crd.Spec.Versions[0]
	got := []any{crd.Metadata.Name, crd.Spec.Group, crd.Spec.Scope, crd.Spec.Names.Kind, crd.Spec.Names.ShortNames, v.Name, v.Served, v.Storage}
	want := []any{
		"storagepolicies." + tiering.Group, tiering.Group, "Cluster", tiering.Kind, []string{"sp", "spolicy"}, tiering.Version, true, true,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("definition (-got +want):\n%s", diff)
	}
	if v.Subresources.Status == nil {
		t.Error("without a status subresource Metacontroller ignores the CompositeController (MC 1)")
	}
	if got := v.Schema.Open.Properties["status"].Properties["observedGeneration"]; got == nil || got.Format != "int64" {
		t.Errorf("got status.observedGeneration %+v, want an int64: Metacontroller writes it (MC 5)", got)
	}
}

// A column whose path leads nowhere prints an empty cell for ever.
func TestEachPrinterColumnLeadsToAFieldOfTheSchema(t *testing.T) {
	v := readCRD(t).Spec.Versions[0]
	if len(v.Columns) == 0 {
		t.Fatal("no printer columns")
	}
	filter := regexp.MustCompile(`\[(\?\(@\.type=="[A-Za-z]+"\)|0)\]`)
	for _, column := range v.Columns {
		path := strings.TrimPrefix(filter.ReplaceAllString(column.JSONPath, "[]"), ".")
		if strings.HasPrefix(path, "metadata.") {
			continue // the API server's own
		}
		at := v.Schema.Open
		for part := range strings.SplitSeq(path, ".") {
			name, isList := strings.CutSuffix(part, "[]")
			if at = at.Properties[name]; at != nil && isList {
				at = at.Items
			}
			if at == nil {
				t.Errorf("column %s: no %q on the way of %s", column.Name, part, column.JSONPath)
				break
			}
		}
	}
}
