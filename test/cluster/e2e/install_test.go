package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/cluster/watchloop"
)

// mode is a way to install.
type mode struct {
	name, overlay string
	components    []string
}

// modes are the two ways in which the service learns of volumes.
var modes = []mode{
	{name: "volumes come with the requests", overlay: "small"},
	{name: "the service watches volumes", overlay: "large"},
}

// The kustomization of a cluster of one's own: an overlay as it is shipped,
// components, and patches for times that a test can wait for.
const kustomization = `
resources:
- %[1]s/overlays/%[2]s
components:
- %[1]s/components/metacontroller-rbac
- %[1]s/components/network-policy
%[3]s
configMapGenerator:
- name: couchestor-job-template
  namespace: couchestor-system
  files: [job.yaml]
images:
- name: billyronks/couchestor
  newTag: %[4]s
replacements:
- source: {kind: Deployment, name: couchestor, fieldPath: "spec.template.spec.containers.[name=couchestor].image"}
  targets:
  - select: {kind: Deployment, name: couchestor}
    fieldPaths: ["spec.template.spec.containers.[name=couchestor].env.[name=COUCHESTOR_JOB_IMAGE].value"]
patches:
- path: %[1]s/components/job-template/deployment.yaml
- patch: |-
    apiVersion: metacontroller.k8s.io/v1alpha1
    kind: CompositeController
    metadata: {name: storagepolicy}
    spec: {resyncPeriodSeconds: 2}
- patch: |-
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: couchestor-governance, namespace: couchestor-system}
    data: {newPolicyDryRun: 0s, thresholdChangeDryRun: 0s}
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: couchestor, namespace: couchestor-system}
    spec:
      template:
        spec:
          containers:
          - name: couchestor
            env:
            - {name: COUCHESTOR_SCRAPE_INTERVAL, value: 1500ms}
            - {name: COUCHESTOR_CACHE_TTL, value: 1s}
            - {name: COUCHESTOR_PROMETHEUS_TIMEOUT, value: 5s}
            - {name: COUCHESTOR_SETTLE_TIME, value: 1s}
            - {name: COUCHESTOR_MIN_COOLDOWN_PERIOD, value: 1s}
            - {name: MAX_CONCURRENT_MIGRATIONS, value: "8"}
`

// render returns what is to be applied, with the tag of the image.
func (m mode) render(t *testing.T, tag string) []byte {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	manifests, err := filepath.Rel(dir, filepath.Join(root, "manifests"))
	if err != nil {
		t.Fatal(err)
	}
	more := ""
	for _, c := range m.components {
		more += "- " + manifests + "/components/" + c + "\n"
	}
	job, err := os.ReadFile(filepath.Join(root, "manifests", "components", "job-template", "job.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// The built-in Job with the times of the simulated Mayastor.
	mover := strings.Replace(string(job), "- name: migrate\n", "- name: migrate\n        args: [--mayastor-cache-period=0s, --poll-interval=200ms, --lease-duration=6s]\n", 1)
	mover = strings.ReplaceAll(mover, "tolerationSeconds: 30", "tolerationSeconds: 2")
	for name, text := range map[string]string{
		"kustomization.yaml": fmt.Sprintf(kustomization, manifests, m.overlay, more, tag),
		"job.yaml":           mover,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	options.LoadRestrictions = 0 // patches of components lie elsewhere
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// local has the CompositeController among the documents call the hooks at an
// address, as there is no cluster DNS.
func local(t *testing.T, documents []byte, address string) []byte {
	t.Helper()
	docs := strings.Split(string(documents), "\n---\n")
	for i, doc := range docs {
		if !strings.Contains(doc, "kind: CompositeController\n") {
			continue
		}
		text, err := watchloop.Local([]byte(doc), map[string]string{"couchestor.couchestor-system:8080": address})
		if err != nil {
			t.Fatal(err)
		}
		docs[i] = string(text)
	}
	return []byte(strings.Join(docs, "\n---\n"))
}
