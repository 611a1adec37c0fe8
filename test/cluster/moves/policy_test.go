package moves

import (
	"encoding/json"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

type rule = rbacv1.PolicyRule

// slow is a rebuild that lasts for as long as a test needs.
const slow = 16 << 20

func TestAPolicySwitchedOffEndsItsMoves(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "policy disabled in a move: the new replica is taken back, the result says why")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: slow}, 3)
	p := s.policy()
	volume := s.volume(64*gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job, "--policy="+p.name)
	s.until("the rebuild runs", func() bool { return len(s.sim.Truth(volume)) == 2 })
	p.patch(`{"spec":{"enabled":false}}`)
	pod.wantExit(0)
	s.atRest(volume, "sata", 1)
	s.ledgerEmpty()
	if r, _ := s.result(job); r.State != mayastor.Aborted || r.Reason != "PolicyDisabled" || r.Error == "" {
		t.Errorf("result %+v, want aborted (PolicyDisabled) with a sentence", r)
	}
}

func TestAPolicyThatIsOffStartsNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "policy disabled before a move: nothing is touched")
	s := newScene(t, suite.Rig, simulator.Config{}, 3)
	p := s.policy()
	p.patch(`{"spec":{"enabled":false}}`)
	volume := s.volume(gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job, "--policy="+p.name)
	pod.wantExit(0)
	s.untouched(pod, volume)
	if r, _ := s.result(job); r.State != mayastor.Refused || r.Reason != "PolicyDisabled" {
		t.Errorf("result %+v, want refused (PolicyDisabled)", r)
	}
}

func TestOnlyAPolicyThatSaysSoEndsAMove(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(*scene, *policy) (kubeconfig string)
	}{
		{"policy deleted, and kept by a finalizer", func(s *scene, p *policy) string {
			p.patch(`{"metadata":{"finalizers":["example.com/keep"]},"spec":{"enabled":false}}`)
			p.delete()
			return s.kubeconfig
		}},
		{"policy gone", func(s *scene, p *policy) string {
			p.delete()
			return s.kubeconfig
		}},
		{"policy that may not be read", func(s *scene, p *policy) string {
			p.patch(`{"spec":{"enabled":false}}`)
			return s.as("blind", toLeases, toJobs, toVolumes, toGovernance)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			suite.Scenario(t, c.name+": the move goes on")
			s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
			p := s.policy()
			volume := s.volume(gib, "sata-1")
			job := s.job(volume, 1)
			s.start("pod-1", c.do(s, p), "--volume="+volume, "--attempt=1", "--job-name="+job, "--policy="+p.name).wantExit(0)
			s.moved(volume, job, 1)
			s.ledgerEmpty()
		})
	}
}

// policy is a StoragePolicy with a name of its own.
type policy struct {
	s    *scene
	name string
	api  dynamic.ResourceInterface
}

func (s *scene) policy() *policy {
	s.t.Helper()
	client, err := dynamic.NewForConfig(s.rig.Admin)
	if err != nil {
		s.t.Fatal(err)
	}
	kind := schema.GroupVersionResource{Group: "storage.billyronks.io", Version: "v1", Resource: "storagepolicies"}
	p := &policy{s: s, name: "db-" + s.ns, api: client.Resource(kind)}
	_, err = p.api.Create(s.t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": "StoragePolicy",
		"metadata": map[string]any{"name": p.name},
		"spec":     map[string]any{},
	}}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p *policy) patch(text string) {
	p.s.t.Helper()
	if !json.Valid([]byte(text)) {
		p.s.t.Fatalf("no JSON: %s", text)
	}
	if _, err := p.api.Patch(p.s.t.Context(), p.name, types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
		p.s.t.Fatal(err)
	}
}

func (p *policy) delete() {
	p.s.t.Helper()
	if err := p.api.Delete(p.s.t.Context(), p.name, metav1.DeleteOptions{}); err != nil {
		p.s.t.Fatal(err)
	}
}
