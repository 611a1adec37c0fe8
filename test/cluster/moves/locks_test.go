package moves

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

func TestAJobMovesItsVolumeAndLeavesTheRecordAndNothingElse(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a Job moves a volume, records it on Job and PersistentVolume, leaves nothing")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
	volume := s.volume(2*gib, "sata-1", "sata-2")
	job := s.job(volume, 1)
	s.pod("pod-1", volume, job, "--policy=db", "--policy-generation=7", "--from-tier=cold", "--to-tier=hot").wantExit(0, `"outcome":"moved"`)
	s.moved(volume, job, 2)
	s.ledgerEmpty()
	r, _ := s.result(job)
	a, _ := s.memory(volume)
	if a.N != 1 || a.Policy != "db" || a.Generation != 7 || a.From != "cold" || a.To != "hot" || a.Failures != 0 {
		t.Errorf("memory %+v", a)
	}
	if r.N != 1 || r.Replicas != 2 || r.Policy != "db" || !slices.Equal(r.FromPools, []string{"sata-1", "sata-2"}) || len(r.ToPools) != 2 {
		t.Errorf("result %+v", r)
	}
	s.until("the watch has seen the move in the ledger", func() bool {
		entries, _ := s.most()
		return entries == 1
	})
}

func TestTwoPodsOfOneJobMoveItsVolumeOnce(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "two migrators for one volume: one moves it, the other waits and reports the same")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
	volume := s.volume(4*gib, "sata-1", "sata-2")
	job := s.job(volume, 1)
	pods := make([]*migrator, 2)
	together(2, func(i int) { pods[i] = s.pod(fmt.Sprintf("pod-%d", i+1), volume, job) })
	for _, p := range pods {
		p.wantExit(0)
	}
	s.moved(volume, job, 2)
	s.ledgerEmpty()
	if c := s.sim.Counts(volume); c != (simulator.Counts{Ups: 2, Downs: 2}) {
		t.Errorf("the volume was scaled %+v, want each replica once", c)
	}
	first, second := pods[0].Effects(), pods[1].Effects()
	if (len(first) == 0) == (len(second) == 0) {
		t.Errorf("both or none acted:\n%s\nand\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
	}
}

func TestAMigratorByHandBesideAJobWaits(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a migrator by hand beside a Job waits, and then has nothing to do")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
	volume := s.volume(4*gib, "sata-1", "sata-2")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job)
	s.until("the Job has begun", func() bool { return len(pod.Effects()) > 0 })
	hand := s.byHand("alice", volume)
	pod.wantExit(0)
	hand.wantExit(3, string(mayastor.ReasonNothingToDo))
	s.atRest(volume, "nvme", 2)
	s.ledgerEmpty()
	if got := hand.Effects(); len(got) > 0 {
		t.Errorf("the one by hand acted: %s", strings.Join(got, ", "))
	}
	if r, ok := s.result(job); !ok || r.State != mayastor.Moved {
		t.Errorf("the Job's result is %+v", r)
	}
	if a, _ := s.memory(volume); a.N != 2 || a.State != mayastor.Refused {
		t.Errorf("the volume's memory is %+v, want that of the second attempt, refused", a)
	}
}

func TestASignalIsHeardWhileTheVolumeIsSomebodyElses(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "SIGTERM while waiting for the Lease of the volume: it ends at once, says so, and touches neither volume nor Lease")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 4)
	volume := s.volume(8*gib, "sata-1")
	job := s.job(volume, 1)
	pod := s.pod("pod-1", volume, job)
	s.until("the Job has begun", func() bool { return len(pod.Effects()) > 0 })
	hand := s.byHand("alice", volume)
	s.until("the other waits", hand.waits)
	if err := hand.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	hand.wantExit(1, `"action":"move_interrupted"`, "held by pod-1-", "stopped while waiting")
	if got := hand.Effects(); len(got) > 0 {
		t.Errorf("it acted: %s", strings.Join(got, ", "))
	}
	pod.wantExit(0)
	s.moved(volume, job, 1)
	s.ledgerEmpty()
}

func TestTenMigratorsShareTwoPlaces(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ten migrators for two places: never more than two move, and all ten get there")
	s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 6)
	const n = 10
	volumes, jobs := make([]string, n), make([]string, n)
	for i := range n {
		volumes[i] = s.volume(gib, fmt.Sprintf("sata-%d", i%6+1))
		jobs[i] = s.job(volumes[i], 1)
	}
	pods := make([]*migrator, n)
	for i := range n {
		pods[i] = s.pod(fmt.Sprintf("pod-%d", i), volumes[i], jobs[i], "--max-concurrent-migrations=2")
	}
	for i, p := range pods {
		if p.exit() != 0 {
			// Starved for longer than its Lease: what another pod is for.
			s.again(volumes[i], jobs[i], "--max-concurrent-migrations=2")
		}
	}
	for i := range n {
		s.moved(volumes[i], jobs[i], 1)
	}
	s.ledgerEmpty()
	entries, moving := s.most()
	if entries != 2 {
		t.Errorf("at most %d moves were in the ledger at once, want both places taken", entries)
	}
	t.Logf("%d moves; at most %d in the ledger and %d volumes in motion at once", n, entries, moving)
}
