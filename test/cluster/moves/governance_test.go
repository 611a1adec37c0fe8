package moves

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// govern sets the data of the cluster's governance.
func (s *scene) govern(data map[string]string) {
	s.t.Helper()
	api := s.rig.Client.CoreV1().ConfigMaps(s.ns)
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "couchestor-governance"}, Data: data}
	_, err := api.Update(s.t.Context(), c, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = api.Create(s.t.Context(), c, metav1.CreateOptions{})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestTheEmergencyStopEndsEveryMoveAndStartsNone(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]map[string]string{
		"alone":                            {"emergencyStop": "true", "emergencyStop.reason": "storage on fire"},
		"beside keys that cannot be read":  {"emergencyStop": "true", "limit.moves": "many", "freeze.untill": "x", "emergencyStop.reason": "storage on fire"},
		"spelt as neither true nor false":  {"emergencyStop": "yes", "emergencyStop.reason": "storage on fire"},
		"with a freeze that began earlier": {"emergencyStop": "true", "freeze.until": "2999-01-01T00:00:00Z", "freeze.reason": "x", "emergencyStop.reason": "storage on fire"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite.Scenario(t, "emergency stop "+name+": a Job and a migrator by hand come to a safe end, nothing else begins")
			s := newScene(t, suite.Rig, simulator.Config{RebuildRate: slow}, 4)
			first, second, third := s.volume(64*gib, "sata-1"), s.volume(64*gib, "sata-2"), s.volume(gib, "sata-3")
			jobs := []string{s.job(first, 1), s.job(third, 1)}
			pod := s.pod("pod-1", first, jobs[0])
			hand := s.byHand("alice", second)
			s.until("both rebuilds run", func() bool { return len(s.sim.Truth(first)) == 2 && len(s.sim.Truth(second)) == 2 })
			s.govern(data)
			pod.wantExit(0, `"action":"stop_seen"`, `"stop_to_safe_ms":`, "EmergencyStop")
			hand.wantExit(5, "EmergencyStop", "storage on fire")
			late := s.pod("pod-2", third, jobs[1])
			late.wantExit(0)
			s.untouched(late, third)
			s.atRest(first, "sata", 1)
			s.atRest(second, "sata", 1)
			s.ledgerEmpty()
			if r, _ := s.result(jobs[0]); r.State != mayastor.Aborted || r.Reason != "EmergencyStop" || !strings.Contains(r.Error, "storage on fire") {
				t.Errorf("result %+v, want aborted (EmergencyStop) with the reason", r)
			}
			if r, _ := s.result(jobs[1]); r.State != mayastor.Refused || r.Reason != "EmergencyStop" {
				t.Errorf("result %+v, want refused (EmergencyStop)", r)
			}
		})
	}
}

func TestAFreezeKeepsMovesFromStartingAndLetsThoseThatRunFinish(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "freeze: the move that runs finishes, one that waits for its place and one that is new are refused, untouched")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
	running, waiting, fresh := s.volume(8*gib, "sata-1"), s.volume(gib, "sata-2"), s.volume(gib, "sata-3")
	jobs := []string{s.job(running, 1), s.job(waiting, 1), s.job(fresh, 1)}
	one := s.pod("pod-1", running, jobs[0], "--max-concurrent-migrations=1")
	s.until("its rebuild runs", func() bool { return len(s.sim.Truth(running)) == 2 })
	two := s.pod("pod-2", waiting, jobs[1], "--max-concurrent-migrations=1")
	s.until("the second waits for its place", func() bool { return strings.Contains(two.said(), `"cap":"moves"`) })
	s.govern(map[string]string{"freeze.until": time.Now().Add(time.Hour).UTC().Format(time.RFC3339), "freeze.reason": "quarter's end"})
	two.wantExit(0, "Frozen")
	three := s.pod("pod-3", fresh, jobs[2])
	three.wantExit(0, "Frozen", "quarter's end")
	one.wantExit(0)
	s.moved(running, jobs[0], 1)
	s.untouched(two, waiting)
	s.untouched(three, fresh)
	s.ledgerEmpty()
	for _, job := range jobs[1:] {
		if r, _ := s.result(job); r.State != mayastor.Refused || r.Reason != "Frozen" {
			t.Errorf("result %+v, want refused (Frozen)", r)
		}
	}
}

func TestAFreezeDoesNotKeepARecoveryFromItsWork(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "emergency stop, freeze and an unreadable limit: a recovery brings the volume to rest all the same")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: slow}, 3)
	volume := s.volume(64*gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job)
	s.until("its rebuild runs", func() bool { return len(s.sim.Truth(volume)) == 2 })
	pod.Kill()
	s.govern(map[string]string{"emergencyStop": "true", "freeze.until": "for ever", "limit.moves": "none"})
	next := s.job(volume, 2)
	s.start("pod-2", s.kubeconfig, "--volume="+volume, "--attempt=2", "--recover", "--job-name="+next).wantExit(0)
	s.atRest(volume, "sata", 1)
	s.ledgerEmpty()
	if r, _ := s.result(next); r.State != mayastor.Aborted || !r.Recovered {
		t.Errorf("result %+v, want aborted, recovered", r)
	}
}
