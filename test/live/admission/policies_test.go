package admission

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

// goView is what the service makes of a spec: its rules, or its faults.
func goView(t testing.TB, policy map[string]any) (tiering.Rules, []error) {
	t.Helper()
	name, spec, err := decodeSpec(policy)
	if err != nil {
		return tiering.Rules{}, []error{err}
	}
	compiled, faults := tiering.Compile(name, 1, time.Time{}, spec)
	return compiled.Rules, faults
}

func decodeSpec(policy map[string]any) (name string, spec tiering.StoragePolicySpec, err error) {
	raw, err := json.Marshal(policy)
	if err != nil {
		return "", spec, err
	}
	var out tiering.StoragePolicy
	err = json.Unmarshal(raw, &out)
	return out.Name, out.Spec, err
}

// sameRules compares selectors by what they select.
var sameRules = cmp.Options{
	cmp.Comparer(func(a, b labels.Selector) bool {
		return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
	}),
	cmpopts.IgnoreUnexported(tiering.Rules{}),
}

func TestEachSampleAndDocumentedPolicyAppliesUnchanged(t *testing.T) {
	s := newServer(t)
	files, err := fs.Glob(manifests.Files, "policies/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documented, err := fs.Glob(manifests.Files, "testdata/documented/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range append(files, documented...) {
		if strings.HasSuffix(file, "kustomization.yaml") {
			continue
		}
		tried++
		t.Run(file, func(t *testing.T) {
			policy := decode(t, readFile(t, file))
			stored, unknown, refused := s.create(t, policy)
			if len(unknown) > 0 {
				t.Errorf("the server would prune %q", unknown)
			}
			if len(refused) > 0 {
				t.Errorf("the server refuses it: %q", refused)
			}
			written, faults := goView(t, policy)
			if len(faults) > 0 {
				t.Errorf("the service refuses it: %v", faults)
			}
			if !written.Compiled() {
				t.Error("the service has no rules for it")
			}
			seen, _ := goView(t, stored)
			if diff := cmp.Diff(seen, written, sameRules); diff != "" {
				t.Errorf("with the server's defaults (-) and with the service's (+):\n%s", diff)
			}
		})
	}
	if tried < 7 {
		t.Errorf("got %d files, want 3 samples and 4 documented policies", tried)
	}
}

func TestTheDefaultsOfTheServerAreThoseOfTheService(t *testing.T) {
	s := newServer(t)
	empty := policyOf(map[string]any{})
	stored, _, refused := s.create(t, empty)
	if len(refused) > 0 {
		t.Fatalf("the server refuses a policy of defaults: %q", refused)
	}
	want := map[string]any{
		"enabled": true, "dryRun": false, "pausePromotions": false, "pauseDemotions": false, "approval": "Auto", "storageClassName": "mayastor",
		"highWatermarkIOPS": int64(5000), "lowWatermarkIOPS": int64(500), "warmWatermarkIOPS": int64(0),
		"samplingWindow": "1h", "minCoverage": int64(80), "cooldownPeriod": "24h",
		"maxConcurrentMigrations": int64(2), "migrationTimeout": "30m", "allowReducedRedundancy": false,
		"volumesWithSnapshots": "Skip", "maxPoolUsedPercent": int64(90), "priority": int64(0),
	}
	if diff := cmp.Diff(stored["spec"], any(want)); diff != "" {
		t.Errorf("defaults of the server (-got +want):\n%s", diff)
	}
	fromServer, faults := goView(t, stored)
	fromGo, otherFaults := goView(t, empty)
	if len(faults)+len(otherFaults) > 0 {
		t.Fatalf("the service refuses a policy of defaults: %v %v", faults, otherFaults)
	}
	if diff := cmp.Diff(fromServer, fromGo, sameRules); diff != "" {
		t.Errorf("rules of the server's defaults (-) and of the service's (+):\n%s", diff)
	}
}

func TestAPolicyWithoutSpecMeansOneWithAnEmptySpec(t *testing.T) {
	s := newServer(t)
	without := policyOf(nil)
	delete(without, "spec")
	if _, unknown, refused := s.create(t, without); len(unknown)+len(refused) > 0 {
		t.Fatalf("got unknown %q, refused %q; want neither", unknown, refused)
	}
	got, _ := goView(t, without)
	want, _ := goView(t, policyOf(map[string]any{}))
	if diff := cmp.Diff(got, want, sameRules); diff != "" {
		t.Errorf("without spec (-) and with an empty one (+):\n%s", diff)
	}
}

func policyOf(spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": tiering.APIVersion, "kind": tiering.Kind,
		"metadata": map[string]any{"name": "p"}, "spec": spec,
	}
}
