package moves

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/simulator"
)

// Nobody may set this machine's clock, so the program is built with a clock of
// its own: package time is compiled with one statement more, by go build's
// -overlay, and signals move what it adds to the wall clock. The monotonic clock
// is left alone, as it is when a host's clock is set.
const (
	nowBegins = "\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {\n"
	nowJumps  = "\tsec, nsec, mono := runtimeNow()\n\tsec += Jump.Load()\n\tif mono == 0 {\n"

	jumpSource = `package time

import "sync/atomic"

// Jump is what the wall clock is ahead of the truth, in seconds.
var Jump atomic.Int64
`
	signalSource = `package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for s := range signals {
			if s == syscall.SIGUSR1 {
				time.Jump.Store(3600)
			} else {
				time.Jump.Store(-3600)
			}
		}
	}()
}
`
)

// jumping builds the program whose clock can be set, and returns its path.
func jumping(t *testing.T) string {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	// Kept, so that Go's cache knows the files again.
	dir := filepath.Join(root, "bin", "jumping")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	goroot, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	pkg := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	source, err := os.ReadFile(filepath.Join(pkg, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(source), nowBegins) != 1 {
		t.Fatal("time.Now has another form in this version of Go: adapt the overlay")
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range map[string]string{
		filepath.Join(pkg, "time.go"):                          strings.Replace(string(source), nowBegins, nowJumps, 1),
		filepath.Join(pkg, "jump.go"):                          jumpSource,
		filepath.Join(root, "server", "couchestor", "jump.go"): signalSource,
	} {
		file := filepath.Join(dir, filepath.Base(filepath.Dir(path))+"_"+filepath.Base(path)+".txt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = file
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	program, err := rig.Product(t.Context(), dir, "-overlay", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("couchestor with a clock that can be set built in %s", time.Since(start).Round(time.Second))
	return program
}

func TestAClockThatJumpsMovesNoLock(t *testing.T) {
	t.Parallel()
	program := jumping(t)
	ahead, behind := []os.Signal{syscall.SIGUSR1}, []os.Signal{syscall.SIGUSR2}
	both := []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

	for _, c := range []struct {
		name           string
		holder, waiter []os.Signal
	}{
		{"the holder's goes an hour ahead", ahead, nil},
		{"the holder's goes an hour behind", behind, nil},
		{"the waiting one's goes an hour ahead", nil, ahead},
		{"both go to and fro", both, both},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			suite.Scenario(t, "real clock jumps, "+c.name+": the lock stays where it is")
			s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib / 8}, 3)
			s.program = program
			volume := s.volume(2*gib, "sata-1") // 8 s of rebuild, so that any Lease could run out
			job := s.job(volume, 1)
			holder := s.pod("holder", volume, job, "--timeout=3h")
			s.until("the move has begun", func() bool { return len(holder.Effects()) > 0 })
			waiter := s.pod("waiter", volume, job, "--timeout=3h")
			s.until("the second waits", waiter.waits)
			var wg sync.WaitGroup
			wg.Go(func() { jump(t, holder, c.holder) })
			wg.Go(func() { jump(t, waiter, c.waiter) })
			holder.wantExit(0)
			waiter.wantExit(0)
			wg.Wait()
			if got := waiter.Effects(); len(got) > 0 {
				t.Errorf("the waiting one acted: %s", strings.Join(got, ", "))
			}
			s.moved(volume, job, 1)
			s.ledgerEmpty()
		})
	}

	t.Run("beyond the time for a replica", func(t *testing.T) {
		t.Parallel()
		suite.Scenario(t, "real clock jumps, an hour ahead, beyond the time for a replica: nothing is lost, and the result says why")
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: slow}, 3)
		s.program = program
		volume := s.volume(64*gib, "sata-1")
		job := s.job(volume, 1)
		pod := s.pod("pod-1", volume, job, "--timeout=30m")
		s.until("the rebuild runs", func() bool { return len(s.sim.Truth(volume)) == 2 })
		if err := pod.Signal(ahead[0]); err != nil {
			t.Fatal(err)
		}
		pod.wantExit(0)
		s.atRest(volume, "sata", 1)
		s.ledgerEmpty()
		if r, _ := s.result(job); r.State != mayastor.Failed || r.Reason != string(mayastor.ReasonTimeout) {
			t.Errorf("result %+v, want failed (Timeout)", r)
		}
	})

	t.Run("after a crash", func(t *testing.T) {
		t.Parallel()
		suite.Scenario(t, "real clock jumps, the next holder's goes an hour behind while it waits out a crash: it takes over all the same")
		s := newScene(t, suite.Rig, simulator.Config{RebuildRate: gib}, 3)
		s.program = program
		volume := s.volume(gib, "sata-1")
		job := s.job(volume, 1)
		d := s.door("victim")
		moment{effect: true, n: 3, late: true}.arm(d, func() { _ = d.proc().Signal(syscall.SIGKILL) })
		victim := s.startAt(d, s.kubeconfig, "--volume="+volume, "--attempt=1", "--job-name="+job)
		if status := victim.exit(); status != -1 {
			t.Fatalf("it ended with %d", status)
		}
		next := s.pod("next", volume, job)
		s.until("the next one waits", next.waits)
		var wg sync.WaitGroup
		wg.Go(func() { jump(t, next, behind) })
		next.wantExit(0)
		wg.Wait()
		s.moved(volume, job, 1)
		s.ledgerEmpty()
	})
}

// jump sends the signals in turn, until the process ends.
func jump(t *testing.T, m *migrator, signals []os.Signal) {
	t.Helper()
	if len(signals) == 0 {
		return
	}
	tick := time.NewTicker(leaseDuration / 5)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
			if err := m.Signal(signals[i%len(signals)]); err != nil {
				t.Error(err)
			}
		case <-m.Done():
			return
		}
	}
}
