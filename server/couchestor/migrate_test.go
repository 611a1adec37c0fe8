package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/billyronks/couchestor/test/simulator"
)

// TestMigrateScript runs the scripts of testdata/migrate. Besides the usual
// verbs there are:
//
//	cluster PROFILE NODES POOL,...   starts a control plane with one volume that has
//	                                 a replica on each pool; sets $MAYASTOR, $VOLUME
//	replicas POOL,...                the volume's replicas are exactly there, in sync,
//	                                 nothing forbidden happened and no cordon is left
func TestMigrateScript(t *testing.T) {
	t.Parallel()
	setup := func(env *testscript.Env) error {
		env.Values["sim"] = new(*simulator.Simulator)
		return nil
	}
	runScripts(t, "testdata/migrate", setup, verbs{
		"cluster":  startCluster,
		"replicas": wantReplicas,
	})
}

func startCluster(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 3, "cluster PROFILE NODES POOL,...")
	nodes, err := strconv.Atoi(args[1])
	ts.Check(err)
	cluster := simulator.NewCluster(simulator.Config{Profile: simulator.Profile(args[0]), Seed: 1, RebuildRate: 8 << 30}, nodes)
	volume := cluster.Published(4<<30, strings.Split(args[2], ",")...)
	url, stop, err := cluster.Listen("127.0.0.1:0")
	ts.Check(err)
	ts.Defer(stop)
	*ts.Value("sim").(**simulator.Simulator) = cluster.Simulator
	ts.Setenv("MAYASTOR", url)
	ts.Setenv("VOLUME", volume)
}

func wantReplicas(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "replicas POOL,...")
	sim := *ts.Value("sim").(**simulator.Simulator)
	if fault := atRest(sim, ts.Getenv("VOLUME"), args[0]); fault != "" {
		ts.Fatalf("%s", fault)
	}
}

// atRest says what is wrong with the end of a move, or "".
func atRest(sim *simulator.Simulator, volume, want string) string {
	var pools []string
	for _, r := range sim.Truth(volume) {
		pools = append(pools, r.Pool)
	}
	slices.Sort(pools)
	got := strings.Join(pools, ",")
	if want == "nvme" {
		want = got
		for _, p := range pools {
			if !strings.HasPrefix(p, "nvme") {
				want = "nvme only"
			}
		}
	}
	cordons := sim.Cordons()
	switch {
	case len(sim.Violations()) > 0:
		return strings.Join(sim.Violations(), "\n")
	case got != want:
		return fmt.Sprintf("replicas on %s, want %s", got, want)
	case sim.Synced(volume) != len(pools) || sim.Replicas(volume) != len(pools):
		return fmt.Sprintf("%d of %d replicas in sync, num_replicas %d", sim.Synced(volume), len(pools), sim.Replicas(volume))
	case len(cordons.Pools)+len(cordons.Nodes) > 0:
		return fmt.Sprintf("cordons are left: %+v", cordons)
	}
	return ""
}

// TestKillNine: a real process that is really killed in the middle of any call
// to Mayastor is resumed by the next one, and the end is that of a move that
// was left alone. It agrees with the kills on the virtual clock
// (TestKilledAtEachStep of package mayastor), which cover more.
func TestKillNine(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var kills atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d processes killed with signal 9, each resumed to the same end", kills.Load())
		if kills.Load() < 50 {
			t.Errorf("only %d processes were killed before they were done, want 50", kills.Load())
		}
	})
	for nth := 1; nth <= 35; nth++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("call %d after=%t", nth, after), func(t *testing.T) {
				t.Parallel()
				if killNine(t, program, nth, after) {
					kills.Add(1)
				}
			})
		}
	}
}

// killNine kills a migrator at its nth call and runs it again. It returns
// whether the first one died of it.
func killNine(t *testing.T, program string, nth int, after bool) bool {
	t.Helper()
	cluster := simulator.NewCluster(simulator.Config{Seed: uint64(nth), RebuildRate: 8 << 30}, 4)
	volume := cluster.Published(1<<30, "sata-1", "sata-2")
	cluster.Mark(volume)
	url, stop, err := cluster.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	args := []string{
		"migrate", "--mayastor-url", url, "--volume", volume, "--target-pools", "nvme-1,nvme-2,nvme-3,nvme-4",
		"--attempt", "1", "--local-lock", t.TempDir(), "--poll-interval", "20ms", "--mayastor-cache-period", "50ms",
	}
	var mu sync.Mutex
	var first *exec.Cmd
	kill := func() {
		mu.Lock()
		defer mu.Unlock()
		_ = first.Process.Kill() // it may have ended already; the exit tells
	}
	fault := simulator.Fault{Name: "kill -9", Nth: nth}
	if after {
		fault.After = kill
	} else {
		fault.Before = kill
	}
	cluster.Inject(fault)
	mu.Lock()
	first = couchestor(t.Context(), program, args)
	err = first.Start()
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	died := first.Wait() != nil
	again := couchestor(t.Context(), program, args)
	out := new(bytes.Buffer)
	again.Stdout, again.Stderr = out, out
	if err := again.Run(); err != nil {
		t.Fatalf("resume: %v\n%s", err, out)
	}
	if fault := atRest(cluster.Simulator, volume, "nvme"); fault != "" {
		t.Errorf("%s\n%s", fault, out)
	}
	if got := cluster.LowestSynced(volume); got < 2 {
		t.Errorf("copies in sync fell to %d\n%s", got, out)
	}
	return died
}

// couchestor is the test binary as the program itself, as testscript runs it.
func couchestor(ctx context.Context, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Args[0] = "couchestor"
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
