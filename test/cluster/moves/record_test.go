package moves

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/simulator"
)

func TestAJobThatIsGoneLeavesTheRecordOnTheVolume(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "Job deleted in a move: the result is on the PersistentVolume alone")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
	volume := s.volume(4*gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job)
	s.until("the Job has begun", func() bool { return len(pod.Effects()) > 0 })
	if err := s.rig.Client.BatchV1().Jobs(s.ns).Delete(t.Context(), job, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}); err != nil {
		t.Fatal(err)
	}
	pod.wantExit(0)
	s.atRest(volume, "nvme", 1)
	s.ledgerEmpty()
	if a, when := s.memory(volume); a.State != mayastor.Moved || when == "" {
		t.Errorf("memory %+v, last migration %q", a, when)
	}
}

func TestAMemoryThatCannotBeReadKeepsEverythingFromBeingDone(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "PersistentVolume with an unreadable memory: nothing is done, with a sentence")
	s := newScene(t, suite.Rig, simulator.Config{}, 3)
	volume := s.volume(gib, "sata-1")
	job := s.job(volume, 1)
	s.annotate(volume, mayastor.AttemptAnnotation, `{"n":`)
	pod := s.pod("pod-1", volume, job)
	pod.wantExit(1, "annotation "+mayastor.AttemptAnnotation+" of PersistentVolume pvc-"+volume+" cannot be read", "mend or remove it")
	s.untouched(pod, volume)
	if _, ok := s.result(job); ok {
		t.Error("a result was reported")
	}
}

func TestWhoMayNotRecordTheStartDoesNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "an identity that may not patch PersistentVolumes does nothing and says so")
	s := newScene(t, suite.Rig, simulator.Config{}, 3)
	volume := s.volume(gib, "sata-1")
	job := s.job(volume, 1)
	identity := s.as("no-patch", toLeases, toJobs, rig.Rule("", "persistentvolumes", "get"))
	for range 2 { // the second pod finds the journal of the first
		pod := s.start("pod", identity, "--volume="+volume, "--attempt=1", "--job-name="+job)
		pod.wantExit(1, "cannot patch resource", "without which nothing is done")
		s.untouched(pod, volume)
	}
	if a, _ := s.memory(volume); a != (mayastor.Attempt{}) {
		t.Errorf("memory %+v", a)
	}
}

func TestWhoMayNotTakeLeasesEndsAtOnce(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "an identity that may not take Leases ends at once and says so")
	s := newScene(t, suite.Rig, simulator.Config{}, 3)
	volume := s.volume(gib, "sata-1")
	pod := s.start("pod-1", s.as("no-lease", toJobs, toVolumes), "--volume="+volume, "--attempt=1")
	pod.wantExit(1, "lock volume "+volume, "cannot get resource", leases.VolumePrefix+volume)
	s.untouched(pod, volume)
}

// as is a kubeconfig of an account that has the rules, in the namespace those
// of namespaced resources.
func (s *scene) as(name string, rules ...rule) string {
	s.t.Helper()
	cfg, err := s.rig.ServiceAccount(s.t.Context(), s.ns, name)
	if err != nil {
		s.t.Fatal(err)
	}
	var namespaced, cluster []rule
	for _, r := range rules {
		if r.Resources[0] == "persistentvolumes" || r.Resources[0] == "storagepolicies" {
			cluster = append(cluster, r)
		} else {
			namespaced = append(namespaced, r)
		}
	}
	s.grant(rig.Account(s.ns, name), namespaced, cluster)
	return rig.Kubeconfig(s.t, cfg)
}

// untouched asserts that a migrator asked for no side effect and that the
// volume is as it was.
func (s *scene) untouched(m *migrator, volume string) {
	s.t.Helper()
	if got := m.Effects(); len(got) > 0 {
		s.t.Errorf("it asked for %v", got)
	}
	s.atRest(volume, "sata", 1)
}
