package hooks

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// A preview of a saved request must decide what the sync of that request did,
// and nobody must hear of it.
func TestAPreviewDecidesWhatTheSyncOfTheSameRequestDid(t *testing.T) {
	for name, build := range map[string]func(*rig){
		"a move":        func(*rig) {},
		"nothing known": func(r *rig) { r.scores.Samples = nil },
		"a running Job": func(r *rig) { r.run(1, 1) },
		"an ended Job that is not recorded": func(r *rig) {
			r.remember(1, attempt(1, mayastor.Moved, noon.Add(-time.Minute)))
		},
		"being deleted": func(r *rig) { r.finalizing = true },
		"a faulty spec": func(r *rig) { r.policy["spec"].(object)["minCoverage"] = 7 },
		"a rival":       func(r *rig) { r.policies["aaa"] = newPolicy("aaa", uuid(99)) },
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeping{}
			r := newRig(t, func(c *Config) { c.Observer = k })
			build(r)
			body := r.body()
			r.sync(t)
			told := *k
			p, err := ReadPreview(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.hooks.Preview(t.Context(), p, "db")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(*told.status, *got.Status); diff != "" {
				t.Errorf("status (-sync +preview):\n%s", diff)
			}
			if (told.plan == nil) != (got.Plan == nil) {
				t.Errorf("got a plan %t, want %t", got.Plan != nil, told.plan != nil)
			}
			if *k != told {
				t.Error("a preview was observed")
			}
		})
	}
}

// Every policy can be previewed, with its own Jobs and status.
func TestAPreviewSpeaksOfAllPolicies(t *testing.T) {
	r := newRig(t)
	other := newPolicy("zzz", uuid(98))
	other["status"] = object{"totalMigrations": 5}
	r.policies["zzz"] = other
	r.foreign(1, 3, "zzz")
	p, err := ReadPreview(bytes.NewReader(r.body()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"db", "zzz"}, p.Policies()); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	got, err := r.hooks.Preview(t.Context(), p, "zzz")
	if err != nil {
		t.Fatal(err)
	}
	if got.Status.TotalMigrations != 5 || got.Plan.Decisions[0].Act != tiering.Moving {
		t.Errorf("got %d migrations and %s, want its own 5, and its Job at work", got.Status.TotalMigrations, got.Plan.Decisions[0].Act)
	}
	if _, err := r.hooks.Preview(t.Context(), p, "none"); err == nil {
		t.Error("a policy that is not there was decided on")
	}
}

func TestAWrittenPolicyCountsAsApplied(t *testing.T) {
	const same = `
# The same as is there, defaults written out.
apiVersion: storage.billyronks.io/v1
kind: StoragePolicy
metadata: {name: db}
spec:
  coldPoolSelector: {matchLabels: {tier: cold}}
  hotPoolSelector: {matchLabels: {tier: hot}}
  highWatermarkIOPS: 5000
`
	const other = same + "  priority: 7\n"
	const two = other + "---\n# nothing\n---\napiVersion: storage.billyronks.io/v1\nkind: StoragePolicy\nmetadata: {name: new}\n"
	for _, c := range []struct {
		name, text string
		names      []string
		generation int64
	}{
		{"as it is it is no change", same, []string{"db"}, 3},
		{"a changed one has the next generation", other, []string{"db"}, 4},
		{"several are taken in their order", two, []string{"db", "new"}, 4},
		{"JSON is YAML", `{"apiVersion": "storage.billyronks.io/v1", "kind": "StoragePolicy", "metadata": {"name": "db"}, "status": {"mode": "x"}}`, []string{"db"}, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.policy["status"] = object{"totalMigrations": 5}
			p, err := ReadPreview(bytes.NewReader(r.body()))
			if err != nil {
				t.Fatal(err)
			}
			names, err := p.Put([]byte(c.text), noon)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.names, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			got, err := r.hooks.Preview(t.Context(), p, "db")
			if err != nil {
				t.Fatal(err)
			}
			if got.Status.ObservedGeneration != c.generation || got.Status.TotalMigrations != 5 {
				t.Errorf("got generation %d and %d migrations, want %d, and what was recorded", got.Status.ObservedGeneration, got.Status.TotalMigrations, c.generation)
			}
		})
	}
}

func TestFaultsOfAManifestAreToldAtOnce(t *testing.T) {
	const head = "apiVersion: storage.billyronks.io/v1\nkind: StoragePolicy\n"
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"an unknown field":          {head + "metadata: {name: a}\nspec: {highWatermark: 1}\n", []string{`document 1: unknown field "spec.highWatermark"`}},
		"a field in the wrong case": {head + "metadata: {name: a}\nspec: {highWatermarkIops: 1}\n", []string{`unknown field "spec.highWatermarkIops"`}},
		"another kind":              {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", []string{`it is apiVersion "v1", kind "Secret"`}},
		"no name":                   {head, []string{"metadata.name is missing"}},
		"a wrong type":              {head + "metadata: {name: a}\nspec: {priority: high}\n", []string{"document 1: ", "priority"}},
		"two keys of one name":      {head + "metadata: {name: a}\nspec: {priority: 1, priority: 2}\n", []string{"document 1: ", "priority"}},
		"nothing at all":            {"# a comment\n", []string{"it has no StoragePolicy in it"}},
		"no YAML":                   {"{", []string{"document 1: "}},
		"faults in several of them": {head + "---\n" + head + "metadata: {name: a}\nspec: {x: 1}\n", []string{"document 1: metadata.name", `document 2: unknown field "spec.x"`}},
		"the same policy twice":     {head + "metadata: {name: a}\n---\n" + head + "metadata: {name: a}\n", []string{"document 2: policy a is there twice"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPreview(&View{})
			names, err := p.Put([]byte(c.text), noon)
			if err == nil {
				t.Fatalf("got %v", names)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if len(p.Policies()) > 0 {
				t.Errorf("a part of it was taken: %v", p.Policies())
			}
		})
	}
}

func TestWhatIsNoSavedRequestIsToldInWords(t *testing.T) {
	whole := string(newRig(t).body())
	for name, c := range map[string]struct{ text, says string }{
		"nothing":       {"", "the request"},
		"cut off":       {whole[:len(whole)/2], "the request"},
		"another JSON":  {`{"kind": "List"}`, "no saved request of a hook: it has no parent"},
		"from api mode": {`{"parent": {"metadata": {"name": "db"}}, "children": {"Job.batch/v1": {}}, "related": {}}`, "give a kubeconfig instead"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadPreview(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "nothing was done") {
				t.Errorf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestStatusesOfAListAreTakenOver(t *testing.T) {
	r := newRig(t)
	p, err := ReadPreview(bytes.NewReader(r.body()))
	if err != nil {
		t.Fatal(err)
	}
	r.policy["status"] = object{"totalMigrations": 9}
	text, err := json.Marshal(object{"kind": "StoragePolicyList", "metadata": object{"resourceVersion": "7"}, "items": []any{r.policy}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ReadPolicies(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	got, err := r.hooks.Preview(t.Context(), p, "db")
	if err != nil || got.Status.TotalMigrations != 9 {
		t.Errorf("got %+v, %v", got.Status, err)
	}
	if err := p.ReadPolicies(strings.NewReader(`{"items": [{"meta`)); err == nil {
		t.Error("a list that is cut off was read")
	}
}

func TestClaimsOfAPreview(t *testing.T) {
	r := newRig(t)
	p, err := ReadPreview(bytes.NewReader(r.body()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"pvc-" + uuid(1): "shop/data-1"}, p.Claims()); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if p.Count(Volumes) != 1 || p.Count(Policies) != 1 {
		t.Errorf("got %d volumes and %d policies", p.Count(Volumes), p.Count(Policies))
	}
}
