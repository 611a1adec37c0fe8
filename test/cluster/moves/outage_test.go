package moves

import (
	"context"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/simulator"
)

//nolint:tparallel // the subtests take one server away, one after the other
func TestAnAPIServerThatIsAwayInAMove(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	// Each takes the server away and returns what brings it back.
	away := map[string]func(*testing.T) (back func()){
		"killed": func(t *testing.T) func() {
			r.API.Kill()
			return func() {
				if err := r.StartAPI(context.Background()); err != nil {
					t.Error(err)
				}
			}
		},
		"hanging": func(t *testing.T) func() {
			if err := r.API.Pause(); err != nil {
				t.Error(err)
			}
			return func() {
				if err := r.API.Resume(); err != nil {
					t.Error(err)
				}
			}
		},
	}
	for _, how := range []string{"killed", "hanging"} {
		t.Run(how+" while a replica is rebuilt", func(t *testing.T) {
			suite.Scenario(t, "API server "+how+" while a replica is rebuilt: the migrator reads, sets nothing, goes on after")
			s := newScene(t, r, simulator.Config{RebuildRate: gib / 2}, 3)
			volume := s.volume(4*gib, "sata-1")
			job := s.job(volume, 1)
			pod := s.pod("pod-1", volume, job)
			s.until("the rebuild runs and nothing is cordoned", func() bool {
				c := s.sim.Cordons()
				return len(s.sim.Truth(volume)) == 2 && len(c.Pools) == 0
			})
			s.until("the step is settled", s.reads(pod, 10))
			back := sync.OnceFunc(away[how](t))
			defer back()
			effects := pod.Effects()
			s.until("both copies are in sync", func() bool { return s.sim.Synced(volume) == 2 })
			await(t.Context(), 2*leaseDuration) // time to act on that
			select {
			case <-pod.Done():
				t.Error("it gave up")
			default:
			}
			if now := pod.Effects(); len(now) != len(effects) {
				t.Errorf("it asked for %s with nobody to witness", strings.Join(now[len(effects):], ", "))
			}
			if got := s.sim.Replicas(volume); got != 2 {
				t.Errorf("num_replicas %d, want the 2 of the step under way", got)
			}
			back()
			if pod.exit() != 0 {
				s.again(volume, job)
			}
			s.moved(volume, job, 1)
			s.ledgerEmpty()
		})
		t.Run(how+" while a cordon is up", func(t *testing.T) {
			suite.Scenario(t, "API server "+how+" while a cordon is up: the cordon is lifted, nothing is set, the move goes on after")
			s := newScene(t, r, simulator.Config{RebuildRate: gib}, 3)
			volume := s.volume(gib, "sata-1")
			job := s.job(volume, 1)
			d := s.door("pod-1")
			gone := make(chan func(), 1)
			moment{effect: true, n: 1, late: true}.arm(d, func() { gone <- away[how](t) })
			pod := s.startAt(d, s.kubeconfig, "--volume="+volume, "--attempt=1", "--job-name="+job)
			back := sync.OnceFunc(<-gone)
			defer back()
			s.until("no cordon is up", func() bool {
				c := s.sim.Cordons()
				return len(c.Pools)+len(c.Nodes) == 0
			})
			for _, e := range pod.Effects() {
				if strings.Contains(e, "replica_count") {
					t.Errorf("it asked for %s with nobody to witness", e)
				}
			}
			back()
			if pod.exit() != 0 {
				s.again(volume, job)
			}
			s.moved(volume, job, 1)
			s.ledgerEmpty()
		})
	}
}

// reads is true once the migrator has read n times more.
func (s *scene) reads(m *migrator, n int) func() bool {
	from := m.Reads()
	return func() bool {
		select {
		case <-m.Done():
			s.t.Fatalf("it ended meanwhile; it said\n%s", m.said())
		default:
		}
		return m.Reads() >= from+n
	}
}

func TestALeaseDeletedByHandEndsTheMigrator(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "Lease deleted by hand under a migrator: no side effect of it follows, and the next one brings the volume back")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib / 2}, 3)
	volume := s.volume(4*gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job)
	s.until("the rebuild runs and nothing is cordoned", func() bool {
		return len(s.sim.Truth(volume)) == 2 && len(s.sim.Cordons().Pools) == 0
	})
	effects := pod.Effects()
	if err := s.rig.Client.CoordinationV1().Leases(s.ns).Delete(t.Context(), leases.VolumePrefix+volume, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pod.wantExit(1, "lock lost")
	for _, e := range pod.Effects()[len(effects):] {
		if !lifts(e) {
			t.Errorf("it asked for %s without its lock", e)
		}
	}
	if v := s.sim.Violations(); len(v) > 0 {
		t.Errorf("violations:\n%s", strings.Join(v, "\n"))
	}
	s.noCordons()
	if got := s.sim.LowestSynced(volume); got < 1 {
		t.Error("the last copy was lost")
	}
	if a, _ := s.memory(volume); a.State != mayastor.Started {
		t.Errorf("memory %+v, want it to say that somebody has to look", a)
	}
	// The next pod of the same Job knows from the mark on the volume with how many
	// replicas it began, so it takes one back and begins nothing.
	next := s.pod("pod-2", volume, job)
	next.wantExit(0)
	for _, e := range next.Effects() {
		if strings.HasSuffix(e, "/replica_count/2") {
			t.Errorf("without a journal the next pod asked for %s", e)
		}
	}
	if got := s.sim.Replicas(volume); got != 1 || s.sim.Synced(volume) < 1 {
		t.Errorf("num_replicas %d and %d in sync, want the one it began with", got, s.sim.Synced(volume))
	}
	s.noCordons()
	s.ledgerEmpty()
	if r, ok := s.result(job); !ok || r.State != mayastor.Aborted || r.Reason != string(mayastor.ReasonRecovered) || !strings.Contains(r.Error, "brought back") {
		t.Errorf("the Job's result is %+v, want aborted (Recovered) with a sentence", r)
	}
}

// lifts reports whether a side effect lifts a cordon: that takes the placement
// lock, which was not deleted.
func lifts(effect string) bool {
	return strings.HasPrefix(effect, "DELETE ") && strings.Contains(effect, "/cordon")
}
