package mayastor_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// The model test runs a few hundred seeds; COUCHESTOR_MODEL_RUNS asks for
// more, and COUCHESTOR_MODEL_SEED for one alone.
const modelRuns = 300

// modelTally counts what the runs had to bear.
type modelTally struct {
	runs, faults, acts, kills, moved, refused, failed, aborted atomic.Int64
}

// TestModel: whatever faults, crashes and foreign actors do to several moves at
// once, at every instant no call of ours lowers the number of copies in sync
// below what it was, and once the world is quiet again every volume is at rest
// with its number of replicas, and no cordon of ours is left.
func TestModel(t *testing.T) {
	t.Parallel()
	runs, first := envNumber(t, "COUCHESTOR_MODEL_RUNS", modelRuns), uint64(1)
	if seed := envNumber(t, "COUCHESTOR_MODEL_SEED", 0); seed > 0 {
		runs, first = 1, uint64(seed)
	}
	var total modelTally
	t.Cleanup(func() {
		t.Logf("%d runs, %d faults injected, %d acts of others, %d kills; moves: %d completed, %d refused, %d failed, %d aborted",
			total.runs.Load(), total.faults.Load(), total.acts.Load(), total.kills.Load(),
			total.moved.Load(), total.refused.Load(), total.failed.Load(), total.aborted.Load())
	})
	var next atomic.Int64
	for worker := range 4 {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			for i := next.Add(1); i <= int64(runs); i = next.Add(1) {
				model(t, first+uint64(i-1), &total)
			}
		})
	}
}

// envNumber reads a positive number from the environment.
func envNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a positive number", name, s)
	}
	return n
}

// model is one run.
func model(t *testing.T, seed uint64, total *modelTally) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	profiles := []simulator.Profile{simulator.V2_10, simulator.V2_12, simulator.V2_9, simulator.Old}
	cfg := simulator.Config{
		Profile: profiles[rng.IntN(4)], Seed: seed,
		CachePeriod: time.Duration(rng.IntN(2)) * 30 * time.Second,
		Latency:     time.Duration(rng.IntN(4)) * 700 * time.Millisecond,
		MaxRebuilds: rng.IntN(3),
	}
	if rng.IntN(4) == 0 {
		cfg.Claims = "2.10" // a server that lies about its version
	}
	nodes := 4 + rng.IntN(3)
	inBubble(t, cfg, nodes, func(b *bench) {
		t := b.t
		b.ledger = newMemLedger()
		var story bytes.Buffer
		b.log = slog.New(slog.NewTextHandler(&story, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b.tweak = func(m *mayastor.Migrator) {
			m.Claimed = "2.9"
			m.CachePeriod = cfg.CachePeriod + time.Second
			m.Caps = mayastor.Caps{Moves: 2}
			m.Jitter = func(d time.Duration) time.Duration { return d }
		}
		want := map[string]int{}
		for range 1 + rng.IntN(3) {
			n := 1 + rng.IntN(3)
			var pools []string
			for _, node := range rng.Perm(nodes)[:n] {
				tier := "sata"
				if rng.IntN(5) == 0 {
					tier = "nvme"
				}
				pools = append(pools, fmt.Sprintf("%s-%d", tier, node+1))
			}
			vol := b.sim.Published(int64(1+rng.IntN(30))*gib, pools...)
			want[vol] = n
		}
		acts := []simulator.Act{
			simulator.ActNodeBlip, simulator.ActPoolBlip, simulator.ActFillPool, simulator.ActStall, simulator.ActFailRebuild,
			simulator.ActRestartRebuild, simulator.ActFailAttach, simulator.ActCoreRestart, simulator.ActCoreDown, simulator.ActSwitchover,
			simulator.ActPublish, simulator.ActResize, simulator.ActOperation, simulator.ActDirty, simulator.ActNodeCordon, simulator.ActHide,
			simulator.ActDegradePool,
		}
		// A pool's cordon has no owner (MS 3.3) and a replica count has none
		// either: runs in which others change them cannot check those at the end.
		cordoned, scaled := rng.IntN(3) == 0, rng.IntN(4) == 0
		if cordoned {
			acts = append(acts, simulator.ActPoolCordon)
		}
		if scaled {
			acts = append(acts, simulator.ActUserScale)
		}
		calm := time.Now().Add(time.Duration(10+rng.IntN(40)) * time.Minute)
		var wg sync.WaitGroup
		wg.Go(func() { b.chaos(rng, nodes, calm, acts, total) })
		stream := uint64(1)
		for vol := range want {
			stream++
			own := rand.New(rand.NewPCG(seed, stream))
			reduced := own.IntN(4) == 0
			switch {
			case reduced:
				b.sim.AllowReduced(vol, 2)
			case scaled:
				// A +1 of the user that meets ours cannot be told from it.
				b.sim.AllowReduced(vol, want[vol])
			}
			wg.Go(func() { b.persist(own, vol, nodes, reduced, calm, total) })
		}
		wg.Wait()
		total.runs.Add(1)
		for _, v := range b.sim.Violations() {
			t.Error(v)
		}
		for vol, n := range want {
			if got := b.sim.Replicas(vol); got != n && !scaled {
				t.Errorf("volume %s: num_replicas is %d at the end, was %d", vol, got, n)
			}
			if c := b.sim.Counts(vol); c.Ups > 40*(n+1) {
				t.Errorf("volume %s: %d times +1 looks like a loop", vol, c.Ups)
			}
		}
		for node, labels := range b.sim.Cordons().Nodes {
			for _, label := range labels {
				if strings.HasPrefix(label, mayastor.LabelPrefix) {
					t.Errorf("node %s: our cordon %s is left", node, label)
				}
			}
		}
		if pools := b.sim.Cordons().Pools; len(pools) > 0 && !cordoned {
			t.Errorf("pool cordons of ours are left: %v", pools)
		}
		if t.Failed() {
			t.Fatalf("reproduce with COUCHESTOR_MODEL_SEED=%d\n%s", seed, story.String())
		}
	})
}

// chaos strikes until the calm, and then repairs everything it broke.
func (b *bench) chaos(rng *rand.Rand, nodes int, calm time.Time, acts []simulator.Act, total *modelTally) {
	effects := []simulator.Effect{
		simulator.FailBefore, simulator.LoseReply, simulator.DropBefore, simulator.DropAfter, simulator.HangBefore, simulator.HangAfter,
		simulator.StaleRead, simulator.MalformedJSON, simulator.EmptyNotFound,
	}
	kinds := []string{"Conflict", "Timeout", "Unavailable", "DeadlineExceeded", "FailedPersist", "ResourceExhausted", "FailedPrecondition", "Internal", "Aborted", "Unheard"}
	for time.Now().Before(calm) {
		time.Sleep(time.Duration(1+rng.IntN(90)) * time.Second)
		if rng.IntN(2) == 0 {
			if act := b.sim.RandomAct(rng, acts...); act != "" {
				total.acts.Add(1)
				b.log.Debug("somebody acts", "act", act)
			}
			continue
		}
		f := simulator.Fault{Effect: effects[rng.IntN(len(effects))], Kind: kinds[rng.IntN(len(kinds))], Times: 1 + rng.IntN(3)}
		if rng.IntN(2) == 0 {
			f.Method = http.MethodPut
			if f.Effect == simulator.StaleRead {
				f.Effect = simulator.LoseReply
			}
		}
		b.sim.Inject(f)
		b.log.Debug("fault", "effect", f.Effect, "kind", f.Kind, "method", f.Method, "times", f.Times)
		total.faults.Add(1)
	}
	b.sim.ClearFaults()
	b.repair(nodes)
}

// repair brings back everything that chaos took away. An act that finds
// nothing to repair is refused, which is no matter.
func (b *bench) repair(nodes int) {
	for i := range nodes {
		node := fmt.Sprintf("node-%d", i+1)
		_ = b.sim.NodeUp(node)
		_ = b.sim.ForeignNodeUncordon(node, simulator.ForeignLabel)
		for _, tier := range []string{"sata", "nvme"} {
			pool := fmt.Sprintf("%s-%d", tier, i+1)
			_ = b.sim.PoolUp(pool)
			_ = b.sim.DegradePool(pool, false)
			_ = b.sim.FillPool(pool, -gib<<10)
		}
	}
	for range 10 { // a core that just restarted publishes nothing yet
		for _, vol := range b.sim.Volumes() {
			_ = b.sim.ResumeRebuild(vol)
			_ = b.sim.Publish(vol, "")
		}
		time.Sleep(10 * time.Second)
	}
}

// persist makes attempts at one volume as the planner and its Jobs would: an
// attempt that died is resumed, one that ended is followed by another, and in
// the end what is left is brought to rest.
func (b *bench) persist(rng *rand.Rand, vol string, nodes int, reduced bool, calm time.Time, total *modelTally) {
	for n := int64(1); n < 40; n++ {
		o := b.order(vol, nvme(nodes)...)
		o.N = n
		o.Ask.AllowReduced = reduced
		o.Recover = rng.IntN(10) == 0
		if time.Now().After(calm.Add(time.Hour)) {
			return
		}
		for {
			result, err := b.attempt(rng, o, calm, total)
			if time.Now().After(calm.Add(6 * time.Hour)) {
				b.t.Errorf("volume %s: attempt %d is not at rest 6 h after the last fault: %v\n%s", vol, n, err, b.raw("/v0/volumes/"+vol))
				return
			}
			if err != nil {
				time.Sleep(time.Duration(1+rng.IntN(60)) * time.Second)
				continue
			}
			switch result.State {
			case mayastor.Moved:
				total.moved.Add(1)
			case mayastor.Refused:
				total.refused.Add(1)
			case mayastor.Failed:
				total.failed.Add(1)
			case mayastor.Aborted:
				total.aborted.Add(1)
			case mayastor.Started:
				b.t.Errorf("volume %s: a result says %s", vol, result.State)
			}
			break
		}
		time.Sleep(time.Duration(1+rng.IntN(15)) * time.Minute)
	}
}

// raw returns what the server says at the path.
func (b *bench) raw(path string) string {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://mayastor.test"+path, http.NoBody)
	if err != nil {
		return err.Error()
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return fmt.Sprint(string(text), err)
}

// attempt runs one migrator, which is perhaps killed or told to stop.
func (b *bench) attempt(rng *rand.Rand, o mayastor.Order, calm time.Time, total *modelTally) (mayastor.Result, error) {
	late, end := context.WithDeadline(b.t.Context(), calm.Add(7*time.Hour))
	defer end()
	ctx, cancel := context.WithCancelCause(late)
	defer cancel(nil)
	k := &killer{cancel: cancel}
	mayDie := time.Now().Before(calm)
	if mayDie && rng.IntN(2) == 0 {
		k.at, k.after = 1+rng.IntN(120), rng.IntN(2) == 0
	}
	m := b.migrator()
	client, err := mayastor.NewClient(mayastor.Config{URL: "http://mayastor.test", HTTP: &http.Client{Transport: killTransport{k, b.http.Transport}}})
	if err != nil {
		b.t.Fatal(err)
	}
	m.Client, m.Ledger = client, killLedger{b.ledger, k}
	var stop chan struct{}
	if mayDie && rng.IntN(5) == 0 {
		stop = make(chan struct{})
		timer := time.AfterFunc(time.Duration(rng.IntN(600))*time.Second, func() { close(stop) })
		defer timer.Stop()
	}
	result, err := m.Move(ctx, stop, o)
	if k.dead {
		total.kills.Add(1)
	}
	return result, err
}
