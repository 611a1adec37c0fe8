package moves

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/test/simulator"
)

// described are the events that kubectl describe shows of an object, each as
// its type, reason and message, in their order.
func (s *scene) described(namespace, kind, name string, uid types.UID) (list []string) {
	s.t.Helper()
	found, err := s.rig.Client.CoreV1().Events(namespace).List(s.t.Context(), metav1.ListOptions{
		FieldSelector: fmt.Sprintf("involvedObject.kind=%s,involvedObject.name=%s,involvedObject.uid=%s", kind, name, uid),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.SortStableFunc(found.Items, func(a, b corev1.Event) int { return a.FirstTimestamp.Compare(b.FirstTimestamp.Time) })
	for _, e := range found.Items {
		if e.Source.Component != "couchestor-migrate" || e.Count != 1 || e.ReportingInstance == "" {
			s.t.Errorf("event %+v", e)
		}
		list = append(list, fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Message))
	}
	return list
}

// wantEvents asserts that each event begins with its words, on the claim and on
// the policy.
func (s *scene) wantEvents(claim *corev1.PersistentVolumeClaim, p *policy, want ...string) {
	s.t.Helper()
	object, err := p.api.Get(s.t.Context(), p.name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	onClaim := s.described(claim.Namespace, "PersistentVolumeClaim", claim.Name, claim.UID)
	onPolicy := s.described(metav1.NamespaceDefault, "StoragePolicy", p.name, object.GetUID())
	for where, got := range map[string][]string{"claim": onClaim, "policy": onPolicy} {
		slices.Sort(got) // those of one second have no order
		sorted := slices.Sorted(slices.Values(want))
		ok := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			for word := range strings.SplitSeq(sorted[i], "|") {
				ok = ok && strings.Contains(got[i], word)
			}
		}
		if !ok {
			s.t.Errorf("events of the %s:\n%s\nwant\n%s", where, strings.Join(got, "\n"), strings.Join(sorted, "\n"))
		}
		for _, text := range got {
			if where == "policy" && !strings.Contains(text, claim.Namespace+"/"+claim.Name) {
				s.t.Errorf("an event of the policy does not name the claim: %s", text)
			}
		}
	}
}

func TestAMoveIsSeenInDescribe(t *testing.T) {
	t.Parallel()
	tiers := []string{"--from-tier=cold", "--to-tier=hot"}
	t.Run("once, also by a pod that died and one that went on", func(t *testing.T) {
		t.Parallel()
		suite.Scenario(t, "events: a move is told on claim and policy when it starts and ends, once, although its pod died twice")
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
		p := s.policy()
		volume := s.volume(4*gib, "sata-1", "sata-2")
		claim, job := s.claim(volume), s.job(volume, 1)
		args := append([]string{"--policy=" + p.name}, tiers...)
		for i := range 2 {
			pod := s.pod(fmt.Sprintf("pod-%d", i), volume, job, args...)
			s.until("it has begun", func() bool { return len(pod.Effects()) > i })
			pod.Kill()
		}
		s.pod("pod-2", volume, job, args...).wantExit(0)
		s.moved(volume, job, 2)
		s.wantEvents(claim, p, "Normal MoveStarted |Moving from cold to hot|couchestor-"+volume+"-1", "Normal MoveCompleted |Moved from cold to hot|2 replicas from sata-1, sata-2 to nvme-")
	})
	t.Run("stopped, and then refused", func(t *testing.T) {
		t.Parallel()
		suite.Scenario(t, "events: a move that is stopped, and one that is refused, are told with the reason")
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: slow}, 4)
		p := s.policy()
		volume := s.volume(64*gib, "sata-1")
		claim, job := s.claim(volume), s.job(volume, 1)
		args := append([]string{"--policy=" + p.name}, tiers...)
		pod := s.pod("pod-1", volume, job, args...)
		s.until("the rebuild runs", func() bool { return len(s.sim.Truth(volume)) == 2 })
		p.patch(`{"spec":{"enabled":false}}`)
		pod.wantExit(0)
		next := s.job(volume, 2)
		s.start("pod-2", s.kubeconfig, append(args, "--volume="+volume, "--attempt=2", "--job-name="+next)...).wantExit(0)
		s.wantEvents(claim, p,
			"Normal MoveStarted |Moving from cold to hot",
			"Warning MoveAborted |StoragePolicy "+p.name+" was disabled|PolicyDisabled",
			"Warning MoveRefused |nothing was touched|PolicyDisabled|-2)")
	})
	t.Run("not by who may not write events", func(t *testing.T) {
		t.Parallel()
		suite.Scenario(t, "events: an identity that may not write them moves its volume all the same, and says so")
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
		volume := s.volume(gib, "sata-1")
		s.claim(volume)
		job := s.job(volume, 1)
		pod := s.start("pod-1", s.as("mute", toLeases, toJobs, toVolumes, toGovernance), "--volume="+volume, "--attempt=1", "--job-name="+job)
		pod.wantExit(0, `"action":"event_lost"`, "cannot create resource")
		s.moved(volume, job, 1)
		s.ledgerEmpty()
	})
}
