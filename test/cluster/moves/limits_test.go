package moves

import (
	"fmt"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/simulator"
)

// TestTheLimitsOfTheClusterAreNeverExceeded: eight migrators at once, half of
// them by hand, and each told by its own flag that ten may run. The watch looks
// at every version of the ledger.
func TestTheLimitsOfTheClusterAreNeverExceeded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cap, key, value string
		caps            mayastor.Caps
		full            func(entries int, l load) bool
	}{
		{"moves", "limit.moves", "3", mayastor.Caps{Moves: 3}, func(n int, _ load) bool { return n == 3 }},
		{"bytes", "limit.bytesInFlight", "2Gi", mayastor.Caps{Moves: 10, Bytes: 2 * gib}, func(_ int, l load) bool { return l.bytes == 2*gib }},
		{"pool", "limit.movesPerPool", "2", mayastor.Caps{Moves: 10, PerPool: 2}, func(_ int, l load) bool { return l.pool == 2 }},
		{"node", "limit.movesPerNode", "1", mayastor.Caps{Moves: 10, PerNode: 1}, func(_ int, l load) bool { return l.one == 1 }},
	} {
		t.Run(c.cap, func(t *testing.T) {
			t.Parallel()
			suite.Scenario(t, "limit by "+c.cap+": eight migrators, four of them by hand, never exceed it, and all get there")
			s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 6)
			s.allow(c.caps)
			s.govern(map[string]string{c.key: c.value})
			const n = 8
			volumes, jobs, started := make([]string, n), make([]string, n), make([]*migrator, n)
			for i := range n {
				volumes[i] = s.volume(gib, fmt.Sprintf("sata-%d", i%3+1))
				jobs[i] = s.job(volumes[i], 1)
			}
			for i := range n {
				if i%2 == 0 {
					started[i] = s.byHand(fmt.Sprintf("alice-%d", i), volumes[i], "--max-concurrent-migrations=10")
				} else {
					started[i] = s.pod(fmt.Sprintf("pod-%d", i), volumes[i], jobs[i], "--max-concurrent-migrations=10")
				}
			}
			waited := false
			for i, m := range started {
				if m.exit() != 0 {
					s.again(volumes[i], jobs[i], "--max-concurrent-migrations=10")
				}
				waited = waited || strings.Contains(m.said(), `"cap":"`+c.cap+`"`)
			}
			for _, v := range volumes {
				s.atRest(v, "nvme", 1)
			}
			s.ledgerEmpty()
			entries, l := s.seen()
			if !c.full(entries, l) {
				t.Errorf("at most %d moves, %+v were in the ledger: the limit was never reached", entries, l)
			}
			if !waited {
				t.Error("nobody said which limit it waits for")
			}
			t.Logf("%d moves; at most %d in the ledger at once, %d GiB, %d for one pool, %d from one node", n, entries, l.bytes/gib, l.pool, l.one)
		})
	}
}

func TestALimitThatIsLoweredKeepsOthersOutAndThoseThatRunIn(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "limit lowered while moves run, one of them killed: both finish, and no new one enters before")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib / 4}, 6)
	s.govern(map[string]string{"limit.moves": "2"})
	first, second, third := s.volume(gib, "sata-1"), s.volume(2*gib, "sata-2"), s.volume(gib, "sata-3")
	volumes := []string{first, second, third}
	jobs := []string{s.job(first, 1), s.job(second, 1), s.job(third, 1)}
	one, two := s.pod("pod-1", first, jobs[0]), s.pod("pod-2", second, jobs[1])
	s.until("two moves run", func() bool { return len(s.sim.Truth(first)) == 2 && len(s.sim.Truth(second)) == 2 })
	s.govern(map[string]string{"limit.moves": "1"})
	s.allow(mayastor.Caps{Moves: 1})
	three := s.pod("pod-3", third, jobs[2], "--max-concurrent-migrations=10")
	two.Kill()
	two = s.pod("pod-4", second, jobs[1])
	one.wantExit(0)
	two.wantExit(0)
	three.wantExit(0, `"cap":"moves"`, "the cap is 1")
	for i, v := range volumes {
		s.moved(v, jobs[i], 1)
	}
	s.ledgerEmpty()
}

func TestALimitThatCannotBeReadLetsNothingIn(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "limit that is no number: nothing is begun, and the result names the key")
	s := newScene(t, suite.Rig, simulator.Config{}, 3)
	s.govern(map[string]string{"limit.moves": "two"})
	volume := s.volume(gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job, "--admit-wait=1s")
	pod.wantExit(0, `"cap":"limits"`)
	s.untouched(pod, volume)
	if r, _ := s.result(job); r.State != mayastor.Refused || r.Reason != "NotAdmitted" || !strings.Contains(r.Error, "limit.moves") {
		t.Errorf("result %+v, want refused (NotAdmitted) with the key", r)
	}
	if annotations, _ := s.lease(leases.ClusterName); annotations["storage.billyronks.io/admissions"] != "" {
		t.Errorf("admissions %s", annotations["storage.billyronks.io/admissions"])
	}
}
