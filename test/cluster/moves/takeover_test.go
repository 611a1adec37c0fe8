package moves

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/simulator"
)

// moment is when something befalls a migrator: around its nth side effect, or
// its nth read.
type moment struct {
	effect bool
	n      int
	// late is after the call took effect and before its answer left.
	late bool
}

func (m moment) String() string {
	kind, when := "read", "at"
	if m.effect {
		kind = "side effect"
	}
	if m.late {
		when = "right after"
	}
	return fmt.Sprintf("%s %s %d", when, kind, m.n)
}

// arm has do run once at the moment.
func (m moment) arm(d *door, do func()) {
	hook := func(n int, r *http.Request) {
		if n == m.n && (r.Method != http.MethodGet) == m.effect {
			do()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.late {
		d.after = hook
	} else {
		d.before = hook
	}
}

// moments are spread over the move of one replica: all its side effects, and
// reads between them.
func moments() []moment {
	var all []moment
	for n := 1; n <= 8; n++ {
		all = append(all, moment{effect: true, n: n, late: n%2 == 0})
	}
	for n := 5; n <= 45; n += 10 {
		all = append(all, moment{n: n, late: n%20 == 5})
	}
	return all
}

//nolint:tparallel // the moments are run at once, by atEach
func TestAPausedHolderWakesUpAndDoesNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a holder paused (SIGSTOP) until its Leases were taken does nothing once it wakes up")
	atEach(t, 10, func(t *testing.T, m moment) bool {
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
		volume := s.volume(gib, "sata-1")
		job := s.job(volume, 1)
		d := s.door("sleeper")
		asleep := make(chan struct{})
		m.arm(d, func() {
			if err := d.proc().Pause(); err != nil {
				t.Error(err)
			}
			close(asleep)
		})
		sleeper := s.startAt(d, s.kubeconfig, "--volume="+volume, "--attempt=1", "--job-name="+job)
		select {
		case <-asleep:
		case <-sleeper.Done():
			return false
		}
		s.again(volume, job)
		s.moved(volume, job, 1)
		before := sleeper.Effects()
		if err := sleeper.Resume(); err != nil {
			t.Fatal(err)
		}
		sleeper.wantExit(1, "lock lost")
		if now := sleeper.Effects(); len(now) != len(before) {
			t.Errorf("it woke up and asked for %s", strings.Join(now[len(before):], ", "))
		}
		s.moved(volume, job, 1)
		s.ledgerEmpty()
		return true
	})
}

// atEach runs a case for each moment, and asserts that in at least so many the
// moment came, which the case returns.
func atEach(t *testing.T, least int64, do func(*testing.T, moment) bool) {
	t.Helper()
	var came atomic.Int64
	t.Run("moment", func(t *testing.T) {
		for _, m := range moments() {
			t.Run(m.String(), func(t *testing.T) {
				t.Parallel()
				if do(t, m) {
					came.Add(1)
				}
			})
		}
	})
	t.Logf("%d moments came", came.Load())
	if came.Load() < least {
		t.Errorf("only %d moments came before the move was over, want %d", came.Load(), least)
	}
}

//nolint:tparallel // the moments are run at once, by atEach
func TestKilledOnLeasesAndResumedByTheNextPod(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "kill -9 around each side effect: the next pod waits for the Lease and goes on from its journal")
	atEach(t, 10, func(t *testing.T, m moment) bool {
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
		volume := s.volume(gib, "sata-1")
		job := s.job(volume, 1)
		d := s.door("victim")
		m.arm(d, func() { _ = d.proc().Signal(syscall.SIGKILL) })
		victim := s.startAt(d, s.kubeconfig, "--volume="+volume, "--attempt=1", "--job-name="+job)
		if victim.exit() != -1 {
			return false
		}
		s.again(volume, job)
		s.moved(volume, job, 1)
		s.ledgerEmpty()
		return true
	})
}

func TestCordonsOfACrashAreLiftedByTheMigratorOfAnotherVolume(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "kill -9 with cordons up: the next migrator of another volume lifts them")
	for _, what := range []string{"/v0/pools/", "/v0/nodes/"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
			first, second := s.volume(gib, "sata-1", "sata-2"), s.volume(gib, "sata-1", "sata-2")
			firstJob, secondJob := s.job(first, 1), s.job(second, 1)
			d := s.door("victim")
			d.after = func(_ int, r *http.Request) {
				if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, what) {
					_ = d.proc().Signal(syscall.SIGKILL)
				}
			}
			victim := s.startAt(d, s.kubeconfig, "--volume="+first, "--attempt=1", "--job-name="+firstJob)
			if status := victim.exit(); status != -1 {
				t.Fatalf("it ended with %d and was not killed at a cordon of %s", status, what)
			}
			if c := s.sim.Cordons(); len(c.Pools)+len(c.Nodes) == 0 {
				t.Fatal("no cordon is up")
			}
			if record, _ := s.lease(leases.ClusterName); !strings.Contains(record["storage.billyronks.io/cordons"], ":[") {
				t.Errorf("the record names no cordon: %s", record)
			}
			s.again(second, secondJob)
			s.moved(second, secondJob, 2)
			s.again(first, firstJob)
			s.moved(first, firstJob, 2)
			s.ledgerEmpty()
		})
	}
}
