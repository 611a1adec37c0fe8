package install

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

// objects are those of a kustomization as `kubectl kustomize` prints them, by
// "Kind name".
type objects map[string][]byte

// disk is a copy of the manifests, to be written to.
func disk() (filesys.FileSystem, error) {
	disk := filesys.MakeFsInMemory()
	err := fs.WalkDir(manifests.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := manifests.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return disk.WriteFile(path, text)
	})
	return disk, err
}

// kustomize returns the objects of a kustomization. No two may have the same kind
// and name.
func kustomize(disk filesys.FileSystem, dir string) (objects, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	out := objects{}
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		key := resource.GetKind() + " " + resource.GetName()
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("%s: there are two of %s", dir, key)
		}
		out[key] = text
	}
	return out, nil
}

// build returns the objects of a kustomization, changed first where edit is not
// nil.
func build(t testing.TB, dir string, edit func(disk filesys.FileSystem)) objects {
	t.Helper()
	disk, err := disk()
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(disk)
	}
	set, err := kustomize(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// withComponents is base with components. The authority of hook-tls is that of a
// cluster's example.
func withComponents(components ...string) (objects, error) {
	disk, err := disk()
	if err != nil {
		return nil, err
	}
	text := "resources:\n- ../base\n"
	if slices.Contains(components, "hook-tls") {
		text += "- hook-ca.yaml\n"
		ca, err := disk.ReadFile("clusters/cluster-us/operator/hook-ca.yaml")
		if err != nil {
			return nil, err
		}
		if err := disk.WriteFile("under-test/hook-ca.yaml", ca); err != nil {
			return nil, err
		}
	}
	text += "components:\n"
	for _, name := range components {
		text += "- ../components/" + name + "\n"
	}
	if err := disk.WriteFile("under-test/kustomization.yaml", []byte(text)); err != nil {
		return nil, err
	}
	return kustomize(disk, "under-test")
}

// directories returns those that have a kustomization of the kind.
func directories(kind string) ([]string, error) {
	var out []string
	err := fs.WalkDir(manifests.Files, ".", func(file string, _ fs.DirEntry, err error) error {
		if err != nil || path.Base(file) != "kustomization.yaml" {
			return err
		}
		text, err := manifests.Files.ReadFile(file)
		if err != nil {
			return err
		}
		var k struct{ Kind string }
		if err := yaml.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if k.Kind == kind {
			out = append(out, path.Dir(file))
		}
		return nil
	})
	return out, err
}

// world is what kustomize makes of all there is. Nobody changes it.
type world struct {
	// kustomizations are the objects of each, by directory, and components the names
	// of these.
	kustomizations map[string]objects
	components     []string
	// with is base with each component, by name, and everything base with all.
	with       map[string]objects
	everything objects
	// installations are all of these that hold the service.
	installations map[string]objects
}

var built = sync.OnceValues(func() (*world, error) {
	w := &world{kustomizations: map[string]objects{}, with: map[string]objects{}, installations: map[string]objects{}}
	disk, err := disk()
	if err != nil {
		return nil, err
	}
	dirs, err := directories("Kustomization")
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		set, err := kustomize(disk, dir)
		if err != nil {
			return nil, err
		}
		w.kustomizations[dir] = set
		if set["Deployment couchestor"] != nil {
			w.installations[dir] = set
		}
	}
	if dirs, err = directories("Component"); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		name := path.Base(dir)
		set, err := withComponents(name)
		if err != nil {
			return nil, err
		}
		w.components = append(w.components, name)
		w.with[name], w.installations["base with "+name] = set, set
	}
	w.everything, err = withComponents(w.components...)
	w.installations["base with all components"] = w.everything
	return w, err
})

func all(t testing.TB) *world {
	t.Helper()
	w, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if len(w.components) < 9 || len(w.kustomizations) < 17 || len(w.installations) < 20 {
		t.Fatalf("got %d components, %d kustomizations, %d installations; the walk ended early", len(w.components), len(w.kustomizations), len(w.installations))
	}
	return w
}

// as decodes one object; a field that its type does not have is an error.
func as[T any](t testing.TB, set objects, key string) *T {
	t.Helper()
	text, ok := set[key]
	if !ok {
		t.Fatalf("no %s", key)
	}
	out := new(T)
	if err := yaml.UnmarshalStrict(text, out); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return out
}

// each decodes all objects of a kind, by name.
func each[T any](t testing.TB, set objects, kind string) map[string]*T {
	t.Helper()
	out := map[string]*T{}
	for key := range set {
		if name, ok := strings.CutPrefix(key, kind+" "); ok {
			out[name] = as[T](t, set, key)
		}
	}
	return out
}

func TestEachObjectHasOnlyFieldsOfItsType(t *testing.T) {
	type check = func(t *testing.T, set objects, key string)
	known := map[string]check{
		"Namespace":                func(t *testing.T, set objects, key string) { as[corev1.Namespace](t, set, key) },
		"ServiceAccount":           func(t *testing.T, set objects, key string) { as[corev1.ServiceAccount](t, set, key) },
		"Service":                  func(t *testing.T, set objects, key string) { as[corev1.Service](t, set, key) },
		"ConfigMap":                func(t *testing.T, set objects, key string) { as[corev1.ConfigMap](t, set, key) },
		"Deployment":               func(t *testing.T, set objects, key string) { as[appsv1.Deployment](t, set, key) },
		"Job":                      func(t *testing.T, set objects, key string) { as[batchv1.Job](t, set, key) },
		"ClusterRole":              func(t *testing.T, set objects, key string) { as[rbacv1.ClusterRole](t, set, key) },
		"ClusterRoleBinding":       func(t *testing.T, set objects, key string) { as[rbacv1.ClusterRoleBinding](t, set, key) },
		"Role":                     func(t *testing.T, set objects, key string) { as[rbacv1.Role](t, set, key) },
		"RoleBinding":              func(t *testing.T, set objects, key string) { as[rbacv1.RoleBinding](t, set, key) },
		"NetworkPolicy":            func(t *testing.T, set objects, key string) { as[networkingv1.NetworkPolicy](t, set, key) },
		"CustomResourceDefinition": func(t *testing.T, set objects, key string) { as[apiextensionsv1.CustomResourceDefinition](t, set, key) },
		"CompositeController":      func(t *testing.T, set objects, key string) { as[compositeController](t, set, key) },
		"StoragePolicy":            func(t *testing.T, set objects, key string) { as[tiering.StoragePolicy](t, set, key) },
		"PrometheusRule":           func(t *testing.T, set objects, key string) { as[prometheusRule](t, set, key) },
		"ValidatingAdmissionPolicy": func(t *testing.T, set objects, key string) {
			as[admissionregistrationv1.ValidatingAdmissionPolicy](t, set, key)
		},
		"ValidatingAdmissionPolicyBinding": func(t *testing.T, set objects, key string) {
			as[admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, set, key)
		},
	}
	// Kinds of others, whose types are in no module here; test/cluster/install looks
	// at their fields.
	foreign := []string{"ServiceMonitor", "Issuer", "Certificate", "Application", "GitRepository", "Kustomization"}
	sets := maps.Clone(all(t).kustomizations)
	maps.Copy(sets, all(t).installations)
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			for key := range set {
				kind, _, _ := strings.Cut(key, " ")
				if decode, ok := known[kind]; ok {
					decode(t, set, key)
				} else if !slices.Contains(foreign, kind) {
					t.Errorf("%s is of a kind this test does not know", key)
				}
			}
		})
	}
}

// Without a definition the real API server could not be asked about an object.
func TestTheKindsOfOthersAreDefinedForTheRealAPIServer(t *testing.T) {
	defined, err := os.ReadFile("../../cluster/install/testdata/kinds.yaml")
	if err != nil {
		t.Fatal(err)
	}
	others := 0
	for name, set := range all(t).kustomizations {
		for key, text := range set {
			var object struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal(text, &object); err != nil {
				t.Fatal(err)
			}
			group, _, ok := strings.Cut(object.APIVersion, "/")
			kubernetes := !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") && group != "metacontroller.k8s.io"
			if !ok || kubernetes || group == tiering.Group {
				continue
			}
			others++
			if text := string(defined); !strings.Contains(text, "group: "+group+"\n") || !strings.Contains(text, "{kind: "+object.Kind+",") {
				t.Errorf("%s: %s is of group %s, and testdata/kinds.yaml of test/cluster/install has no such kind", name, key, group)
			}
		}
	}
	if others == 0 {
		t.Error("no kind of others is used; the walk ended early")
	}
}

// A Namespace that is forgotten puts an object wherever the user happens to be.
func TestNothingIsPutOutsideOfItsNamespace(t *testing.T) {
	ofTheCluster := []string{
		"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "CompositeController", "StoragePolicy",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	}
	for name, set := range all(t).installations {
		for key, text := range set {
			var object struct {
				Kind     string
				Metadata struct{ Namespace string }
			}
			if err := yaml.Unmarshal(text, &object); err != nil {
				t.Fatal(err)
			}
			want := system
			if slices.Contains(ofTheCluster, object.Kind) {
				want = ""
			}
			if got := object.Metadata.Namespace; got != want {
				t.Errorf("%s: %s is in namespace %q, want %q", name, key, got, want)
			}
		}
	}
}
