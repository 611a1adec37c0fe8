package hooks

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/golden"
)

func TestJobTemplateRefusesWhatAMoveDependsOn(t *testing.T) {
	const good = `
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate}]
`
	if _, err := ParseJobTemplate([]byte(good)); err != nil {
		t.Fatalf("the least template: %v", err)
	}
	for name, c := range map[string]struct{ old, with, says string }{
		"no Job":                   {"kind: Job", "kind: Pod", "must be apiVersion batch/v1, kind Job"},
		"another version":          {"batch/v1", "batch/v1beta1", "must be apiVersion batch/v1, kind Job"},
		"ttlSecondsAfterFinished":  {"spec:\n  template", "spec:\n  ttlSecondsAfterFinished: 60\n  template", "ttlSecondsAfterFinished"},
		"generateName":             {"kind: Job", "kind: Job\nmetadata: {generateName: x-}", "generateName"},
		"a name":                   {"kind: Job", "kind: Job\nmetadata: {name: x}", "metadata.name"},
		"a namespace":              {"kind: Job", "kind: Job\nmetadata: {namespace: x}", "metadata.namespace"},
		"parallelism":              {"spec:\n  template", "spec:\n  parallelism: 1\n  template", "parallelism"},
		"completions":              {"spec:\n  template", "spec:\n  completions: 1\n  template", "completions"},
		"completionMode":           {"spec:\n  template", "spec:\n  completionMode: Indexed\n  template", "completionMode"},
		"successPolicy":            {"spec:\n  template", "spec:\n  successPolicy: {rules: []}\n  template", "successPolicy"},
		"podFailurePolicy":         {"spec:\n  template", "spec:\n  podFailurePolicy: {rules: []}\n  template", "podFailurePolicy"},
		"backoffLimitPerIndex":     {"spec:\n  template", "spec:\n  backoffLimitPerIndex: 1\n  template", "backoffLimitPerIndex"},
		"activeDeadlineSeconds":    {"spec:\n  template", "spec:\n  activeDeadlineSeconds: 60\n  template", "activeDeadlineSeconds"},
		"the pod's deadline":       {"restartPolicy", "activeDeadlineSeconds: 60\n      restartPolicy", "activeDeadlineSeconds"},
		"suspend":                  {"spec:\n  template", "spec:\n  suspend: true\n  template", "suspend"},
		"a selector":               {"spec:\n  template", "spec:\n  selector: {matchLabels: {a: b}}\n  template", "spec.selector"},
		"managedBy":                {"spec:\n  template", "spec:\n  managedBy: x.y/z\n  template", "managedBy"},
		"a label of the Job's own": {"kind: Job", "kind: Job\nmetadata: {labels: {controller-uid: x}}", "controller-uid"},
		"a label of the pod's own": {"template:\n", "template:\n    metadata: {labels: {job-name: x}}\n", "job-name"},
		"another restart policy":   {"Never", "OnFailure", "restartPolicy"},
		"no restart policy":        {"restartPolicy: Never", "hostNetwork: false", "restartPolicy"},
		"no container":             {"name: migrate", "name: main", `none named "migrate"`},
		"an unknown field":         {"restartPolicy", "restartPolice: x\n      restartPolicy", "restartPolice"},
		"a field twice":            {"kind: Job", "kind: Job\nkind: Job", "already set"},
		"no YAML":                  {"spec:", "\tspec:", "YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the template has no %q", c.old)
			}
			_, err := ParseJobTemplate([]byte(strings.Replace(good, c.old, c.with, 1)))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a refusal that names %s", err, c.says)
			}
		})
	}
	_, err := ParseJobTemplate([]byte("apiVersion: batch/v1\nkind: Pod\nspec: {parallelism: 2, suspend: true}"))
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("got %v, want all five faults at once", err)
	}
}

func TestNewNamesAllFaultsAtOnce(t *testing.T) {
	_, err := New(Config{Namespace: "A_b", MaxBody: -1, DiskPools: "v1"})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"no sources", `"A_b"`, "max body", "diskpools", "max concurrent migrations", "--job-image"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %s too", err, want)
		}
	}
}

// jobIn returns a child of the answer, by name, as YAML.
func jobIn(t *testing.T, a reply, name string) []byte {
	t.Helper()
	var answer struct{ Children []json.RawMessage }
	if err := json.Unmarshal(a.body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.Children {
		if bytes.Contains(c, []byte(`"name":"`+name+`"`)) {
			text, err := yaml.JSONToYAML(c)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	t.Fatalf("no child %s in %s", name, a.body)
	return nil
}

func TestJobOfAMove(t *testing.T) {
	r := newRig(t, func(c *Config) { c.JobArgs = []string{"--mayastor-url=http://api-rest:8081"} })
	r.policy.at("spec")["allowReducedRedundancy"] = true
	r.policy.at("spec")["volumesWithSnapshots"] = "Move"
	golden.Check(t, "testdata/move.yaml", jobIn(t, r.sync(t), nameJob(uuid(1), 1)))
}

func TestJobOfARecovery(t *testing.T) {
	r := newRig(t)
	r.remember(1, attempt(4, mayastor.Started, noon.Add(-time.Hour)))
	golden.Check(t, "testdata/recovery.yaml", jobIn(t, r.sync(t), nameJob(uuid(1), 5)))
}

func TestStubIsNothingButTheNameOfTheJob(t *testing.T) {
	r := newRig(t)
	r.run(1, 1)
	want := `"children":[{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"` + nameJob(uuid(1), 1) + `","namespace":"couchestor-system"}}]`
	if got := string(r.sync(t).body); !strings.Contains(got, want) {
		t.Errorf("got %s, want it to hold %s", got, want)
	}
}

func TestOwnTemplateKeepsItsImageAndItsArguments(t *testing.T) {
	template, err := ParseJobTemplate([]byte(`
apiVersion: batch/v1
kind: Job
metadata: {labels: {team: storage, storage.billyronks.io/policy: mine}}
spec:
  backoffLimit: 3
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 60
      nodeSelector: {pool: infra}
      containers: [{name: sidecar, image: x}, {name: migrate, image: own:1, args: [--verbose]}]
`))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Template = template; c.Image = "" })
	j := r.sync(t).Children[0]
	mover := j.Spec.Template.Spec.Containers[1]
	if mover.Image != "own:1" || mover.Args[len(mover.Args)-1] != "--verbose" || mover.Args[0] != "migrate" {
		t.Errorf("got image %s, args %q", mover.Image, mover.Args)
	}
	if j.Labels["team"] != "storage" || j.Labels[PolicyLabel] != "db" {
		t.Errorf("got labels %v, want the template's, and ours over them", j.Labels)
	}
	// 2 replicas of 30 min, 30 min of slack, twice the grace.
	if got := *j.Spec.ActiveDeadlineSeconds; got != 3*30*60+2*60 {
		t.Errorf("got a deadline of %d s, want %d", got, 3*30*60+2*60)
	}
	if *j.Spec.BackoffLimit != 3 || j.Spec.Template.Spec.NodeSelector["pool"] != "infra" {
		t.Errorf("got spec %+v, want the template's", j.Spec)
	}
	if again := r.sync(t).Children[0]; !cmp.Equal(j, again) {
		t.Errorf("the template was changed by its use:\n%s", cmp.Diff(j, again))
	}
}

func TestJobNames(t *testing.T) {
	for name, want := range map[string]bool{
		nameJob(uuid(1), 1):                             true,
		nameJob(uuid(1), maxN):                          true,
		"couchestor-" + uuid(1) + "-01":                 false,
		"couchestor-" + uuid(1) + "-0":                  false,
		"couchestor-" + uuid(1) + "--1":                 false,
		"couchestor-" + uuid(1) + "-":                   false,
		"couchestor-" + uuid(1) + "-1000000000000000":   false,
		"couchestor-" + strings.ToUpper(uuid(1)) + "-1": false,
		"couchestor-x-1":                                false,
		"other-" + uuid(1) + "-1":                       false,
		"couchestor-" + uuid(1):                         false,
		nameJob(uuid(1), 1) + "-x":                      false,
	} {
		_, n, ok := parseJobName(name)
		if ok != want || ok && nameJob(uuid(1), n) != name {
			t.Errorf("%s: got %d, %v, want %v", name, n, ok, want)
		}
	}
	if n := len(nameJob(uuid(1), maxN)); n > 63 {
		t.Errorf("the longest name has %d characters, want at most 63", n)
	}
}
