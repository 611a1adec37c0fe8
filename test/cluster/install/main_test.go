package install

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// system is the namespace of the service and its Jobs.
const system = "couchestor-system"

// suite is the control plane that all tests share. A production cluster of the
// examples is installed in it.
var suite rig.Suite

func TestMain(m *testing.M) {
	os.Exit(suite.Main(m, prepare))
}

func prepare(ctx context.Context, r *rig.Rig) error {
	if err := r.StartControllers(ctx, rig.Controllers{}); err != nil {
		return err
	}
	kinds, err := os.ReadFile(filepath.Join("testdata", "kinds.yaml"))
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, kinds); err != nil {
		return err
	}
	// Metacontroller's own definitions, where they are at hand, in the place of ours.
	if path := os.Getenv("METACONTROLLER_CRDS"); path != "" {
		own, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("METACONTROLLER_CRDS: %w", err)
		}
		if err := r.Apply(ctx, own); err != nil {
			return err
		}
	}
	// Those in which others live.
	for _, name := range []string{"metacontroller", "argocd", "flux-system"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := r.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	root, err := rig.Root()
	if err != nil {
		return err
	}
	text, err := kustomize(filepath.Join(root, "manifests", "clusters", "cluster-us", "operator"))
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, text); err != nil {
		return err
	}
	return ungoverned(ctx, r)
}

// kustomize returns the documents of a kustomization in the order in which kubectl
// applies them.
func kustomize(dir string) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	return resources.AsYaml()
}

// manifests is the directory of what is installed.
func manifests(t testing.TB) string {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "manifests")
}

// kustomizations returns the directories, relative to manifests, that have a
// kustomization of the kind.
func kustomizations(t testing.TB, kind string) []string {
	t.Helper()
	root := manifests(t)
	var out []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if slices.Contains(strings.Split(string(text), "\n"), "kind: "+kind) {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			out = append(out, dir)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
