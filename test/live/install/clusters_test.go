package install

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

var clusters = []string{"staging", "cluster-us", "cluster-eu"}

func TestTheOverlaysAreTheScalingTable(t *testing.T) {
	want := map[string][]string{
		"small":  {"2", "30s", "30s", ""},
		"medium": {"4", "30s", "30s", "api"},
		"large":  {"8", "60s", "60s", "api"},
	}
	got := map[string][]string{}
	for dir, set := range all(t).kustomizations {
		if path.Dir(dir) != "overlays" {
			continue
		}
		_, container := service(t, set)
		for _, name := range []string{"MAX_CONCURRENT_MIGRATIONS", "COUCHESTOR_PROMETHEUS_TIMEOUT", "COUCHESTOR_CACHE_TTL", "COUCHESTOR_VOLUMES_FROM"} {
			got[path.Base(dir)] = append(got[path.Base(dir)], variable(container, name))
		}
		if resync := as[compositeController](t, set, "CompositeController storagepolicy").Spec.ResyncPeriodSeconds; resync != 300 {
			t.Errorf("%s: got a resync of %d s, want 300", dir, resync)
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("moves, timeout of Prometheus, age of what was read, where volumes are from (-got +want):\n%s", diff)
	}
}

// Whoever upgrades by one line must not have Jobs of the former release.
func TestAnotherImageIsThatOfTheJobsToo(t *testing.T) {
	for name, set := range all(t).installations {
		_, container := service(t, set)
		if got := variable(container, "COUCHESTOR_JOB_IMAGE"); got != container.Image {
			t.Errorf("%s: got image %s for Jobs, want %s", name, got, container.Image)
		}
		if image, tag, _ := strings.Cut(container.Image, ":"); image != "billyronks/couchestor" || tag == "" || tag == "latest" {
			t.Errorf("%s: got image %q, want billyronks/couchestor with a tag that stays what it is", name, container.Image)
		}
	}
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, dir := range []string{"base", "clusters/staging/operator", "clusters/cluster-us/operator", "clusters/cluster-eu/operator"} {
		for field, want := range map[string]string{
			"newTag: v9.9.9": "billyronks/couchestor:v9.9.9",
			"digest: " + digest + "\n    newName: registry.example/mirror": "registry.example/mirror@" + digest,
		} {
			set := build(t, dir, func(disk filesys.FileSystem) {
				file := dir + "/kustomization.yaml"
				text, err := disk.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				before, after, ok := strings.Cut(string(text), "newTag: ")
				if !ok {
					t.Fatalf("%s sets no tag", file)
				}
				_, after, _ = strings.Cut(after, "\n")
				if err := disk.WriteFile(file, []byte(before+field+"\n"+after)); err != nil {
					t.Fatal(err)
				}
			})
			_, container := service(t, set)
			if got := variable(container, "COUCHESTOR_JOB_IMAGE"); container.Image != want || got != want {
				t.Errorf("%s with %s: got image %s, and %s for Jobs; want %s", dir, field, container.Image, got, want)
			}
		}
	}
}

func TestEachComponentIsUsedByAClusterOrMeantToBeCopied(t *testing.T) {
	// To be copied.
	byThemselves := []string{"job-template"}
	var used strings.Builder
	for dir := range all(t).kustomizations {
		text, err := manifests.Files.ReadFile(dir + "/kustomization.yaml")
		if err != nil {
			t.Fatal(err)
		}
		used.Write(text)
	}
	for _, name := range all(t).components {
		if !strings.Contains(used.String(), "components/"+name+"\n") && !slices.Contains(byThemselves, name) {
			t.Errorf("%s is used by nobody", name)
		}
	}
}

func TestTheClustersShareOneSetOfPolicies(t *testing.T) {
	names := func(dir string) []string {
		var out []string
		for name := range each[tiering.StoragePolicy](t, all(t).kustomizations[dir], "StoragePolicy") {
			out = append(out, name)
		}
		slices.Sort(out)
		return out
	}
	want := names("policies")
	if len(want) != 3 {
		t.Errorf("got policies %q, want 3", want)
	}
	for _, cluster := range clusters {
		if got := names("clusters/" + cluster + "/policies"); !slices.Equal(got, want) {
			t.Errorf("%s: got policies %q, want %q", cluster, got, want)
		}
		for name, policy := range each[tiering.StoragePolicy](t, all(t).kustomizations["clusters/"+cluster+"/policies"], "StoragePolicy") {
			for _, fault := range tiering.Faults(name, policy.Spec) {
				t.Errorf("%s: %s: %v", cluster, name, fault)
			}
		}
	}
}

// Policies are applied after what they need and deleted before it.
func TestTheWavesOfArgoCD(t *testing.T) {
	for _, cluster := range clusters {
		set := all(t).kustomizations["clusters/"+cluster]
		operator, policies := all(t).kustomizations["clusters/"+cluster+"/operator"], all(t).kustomizations["clusters/"+cluster+"/policies"]
		if len(set) != len(operator)+len(policies) {
			t.Errorf("%s: got %d objects, want the %d of operator and the %d of policies", cluster, len(set), len(operator), len(policies))
		}
		for key, text := range set {
			var object struct {
				Kind     string
				Metadata struct{ Annotations map[string]string }
			}
			if err := yaml.Unmarshal(text, &object); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"CompositeController": "1", "StoragePolicy": "2"}[object.Kind]
			if got := object.Metadata.Annotations["argocd.argoproj.io/sync-wave"]; got != want {
				t.Errorf("%s: %s is in wave %q, want %q", cluster, key, got, want)
			}
		}
	}
}

func TestTheExamplesLeadToClusters(t *testing.T) {
	var application struct {
		Metadata struct{ Finalizers []string }
		Spec     struct {
			Source     struct{ Path string }
			SyncPolicy struct{ SyncOptions []string }
		}
	}
	if err := yaml.Unmarshal(all(t).kustomizations["examples/argo-cd"]["Application couchestor"], &application); err != nil {
		t.Fatal(err)
	}
	// In the foreground, which is Argo CD's default, running Jobs would be killed (MC 6).
	if !slices.Contains(application.Spec.SyncPolicy.SyncOptions, "PrunePropagationPolicy=background") ||
		!slices.Equal(application.Metadata.Finalizers, []string{"resources-finalizer.argocd.argoproj.io/background"}) {
		t.Errorf("got %+v, want it to delete in the background", application)
	}
	set := all(t).kustomizations[strings.TrimPrefix(application.Spec.Source.Path, "manifests/")]
	if set["StoragePolicy databases"] == nil || set["Deployment couchestor"] == nil {
		t.Errorf("%s has not both the service and policies", application.Spec.Source.Path)
	}

	flux := all(t).kustomizations["examples/flux"]
	type kustomization struct {
		Metadata struct{ Name string }
		Spec     struct {
			Path      string
			Prune     bool
			Wait      bool
			SourceRef struct{ Kind, Name string }
			DependsOn []struct{ Name string }
		}
	}
	read := func(name string) (k kustomization, set objects) {
		if err := yaml.Unmarshal(flux["Kustomization "+name], &k); err != nil {
			t.Fatal(err)
		}
		if flux[k.Spec.SourceRef.Kind+" "+k.Spec.SourceRef.Name] == nil {
			t.Errorf("%s: no %s %s", name, k.Spec.SourceRef.Kind, k.Spec.SourceRef.Name)
		}
		return k, all(t).kustomizations[strings.TrimPrefix(k.Spec.Path, "./manifests/")]
	}
	operator, set := read("couchestor")
	if set["Deployment couchestor"] == nil || !operator.Spec.Wait || !operator.Spec.Prune {
		t.Errorf("got operator %+v, want it to wait and prune", operator)
	}
	policies, set := read("couchestor-policies")
	if set["StoragePolicy databases"] == nil || len(policies.Spec.DependsOn) != 1 || policies.Spec.DependsOn[0].Name != operator.Metadata.Name {
		t.Errorf("got policies %+v, want them to depend on %s", policies, operator.Metadata.Name)
	}
}
