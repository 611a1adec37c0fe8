package mayastor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

const gib = int64(1) << 30

// bench is a simulated cluster with a migrator, inside a synctest bubble.
type bench struct {
	t       *testing.T
	sim     simulator.Cluster
	http    *http.Client
	ledger  mayastor.Ledger
	dir     string
	log     *slog.Logger
	tweak   func(*mayastor.Migrator)
	foreign simulator.Cordons
}

// inBubble runs f with a cluster of nodes on the virtual clock.
func inBubble(t *testing.T, cfg simulator.Config, nodes int, f func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, sim: simulator.NewCluster(cfg, nodes), dir: t.TempDir(), log: newAuditCheck(t)}
		client, stop := b.sim.Client()
		defer stop()
		b.http = client
		ledger, err := mayastor.NewDirLedger(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		b.ledger = ledger
		f(b)
	})
}

func (b *bench) migrator() *mayastor.Migrator {
	b.t.Helper()
	client, err := mayastor.NewClient(mayastor.Config{URL: "http://mayastor.test", HTTP: b.http})
	if err != nil {
		b.t.Fatal(err)
	}
	m := &mayastor.Migrator{
		Client: client, Ledger: b.ledger, Log: b.log,
		CachePeriod: 30 * time.Second, PollInterval: 5 * time.Second, Timeout: 30 * time.Minute,
		StallAfter: 5 * time.Minute, AdmitWait: 10 * time.Minute,
	}
	if b.tweak != nil {
		b.tweak(m)
	}
	return m
}

func (b *bench) order(volume string, targets ...string) mayastor.Order {
	return mayastor.Order{Volume: volume, N: 1, Policy: "db", From: "cold", To: "hot", Ask: mayastor.Ask{Targets: targets}}
}

// move runs the order to its result.
func (b *bench) move(o mayastor.Order) mayastor.Result {
	b.t.Helper()
	result, err := b.migrator().Move(b.t.Context(), nil, o)
	if err != nil {
		b.t.Fatalf("move: %v", err)
	}
	return result
}

// atRest asserts what holds after every move, however it ended.
func (b *bench) atRest(volume string, replicas int) {
	b.t.Helper()
	if got := b.sim.Violations(); len(got) > 0 {
		b.t.Errorf("violations: %s", strings.Join(got, "\n"))
	}
	if got := b.sim.Replicas(volume); got != replicas {
		b.t.Errorf("num_replicas is %d at the end, was %d at the beginning", got, replicas)
	}
	if got := b.sim.Synced(volume); got < replicas {
		b.t.Errorf("%d copies in sync at the end, want %d", got, replicas)
	}
	if diff := cmp.Diff(b.sim.Cordons(), b.foreign, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("cordons at the end, beside those of others: (-got +want)\n%s", diff)
	}
}

// full fills every pool of a tier.
func (b *bench) full(tier string, nodes int) {
	b.t.Helper()
	for i := range nodes {
		if err := b.sim.FillPool(fmt.Sprintf("%s-%d", tier, i+1), 0); err != nil {
			b.t.Fatal(err)
		}
	}
}

// pools returns where the volume's replicas are, sorted.
func (b *bench) pools(volume string) string {
	var pools []string
	for _, r := range b.sim.Truth(volume) {
		pools = append(pools, r.Pool)
	}
	slices.Sort(pools)
	return strings.Join(pools, ",")
}

func nvme(n int) []string {
	return []string{"nvme-1", "nvme-2", "nvme-3", "nvme-4", "nvme-5", "nvme-6"}[:n]
}

func TestMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		profile  simulator.Profile
		claimed  string
		nodes    int
		pools    []string
		onTarget int
	}{
		{"a single replica that is local to its target moves on 2.10", simulator.V2_10, "", 3, []string{"sata-1"}, 1},
		{"a single replica moves where the operator vouches for 2.9", simulator.V2_9, "2.9", 3, []string{"sata-1"}, 1},
		{"two replicas move one after the other", simulator.V2_10, "", 4, []string{"sata-1", "sata-2"}, 2},
		{"three replicas move one after the other", simulator.V2_12, "", 5, []string{"sata-1", "sata-2", "sata-3"}, 3},
		{"a replica on a target pool stays", simulator.V2_10, "", 4, []string{"nvme-1", "sata-2"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{Profile: tt.profile, CachePeriod: 30 * time.Second, Latency: time.Second}, tt.nodes, func(b *bench) {
				b.tweak = func(m *mayastor.Migrator) { m.Claimed = tt.claimed }
				vol := b.sim.Published(20*gib, tt.pools...)
				b.sim.Mark(vol)
				result := b.move(b.order(vol, nvme(tt.nodes)...))
				if result.State != mayastor.Moved {
					t.Fatalf("state %s (%s): %s", result.State, result.Reason, result.Error)
				}
				on := 0
				for _, r := range b.sim.Truth(vol) {
					if strings.HasPrefix(r.Pool, "nvme") {
						on++
					}
				}
				if on != tt.onTarget {
					t.Errorf("%d replicas on nvme, want %d: %s", on, tt.onTarget, b.pools(vol))
				}
				if got := b.sim.LowestSynced(vol); got < len(tt.pools) {
					t.Errorf("copies in sync fell to %d of %d", got, len(tt.pools))
				}
				b.atRest(vol, len(tt.pools))
			})
		})
	}
}

func TestMoveIsRefusedBeforeAnySideEffect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		cfg   simulator.Config
		nodes int
		vol   simulator.Volume
		want  string // in the sentence
	}{
		{"on an old server, with the version that would do", simulator.Config{Profile: simulator.Old}, 3, simulator.Volume{Pools: []string{"sata-1"}, Target: "node-1"}, "2.10"},
		{"unpublished", simulator.Config{}, 3, simulator.Volume{Pools: []string{"sata-1"}}, "not published"},
		{"never published", simulator.Config{}, 3, simulator.Volume{Pools: []string{"sata-1"}, NeverPublished: true}, "not published"},
		{"with a replica on every node", simulator.Config{}, 3, simulator.Volume{Pools: []string{"sata-1", "sata-2", "sata-3"}, Target: "node-1"}, "node"},
		{"pinned to another label", simulator.Config{}, 3, simulator.Volume{Pools: []string{"sata-1"}, Target: "node-1", PoolInclusion: map[string]string{"tier": "sata"}}, "tier"},
		{"with snapshots", simulator.Config{}, 3, simulator.Volume{Pools: []string{"sata-1"}, Target: "node-1", Snapshots: 2}, "snapshot"},
		{"already there", simulator.Config{}, 3, simulator.Volume{Pools: []string{"nvme-1"}, Target: "node-1"}, "already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, tt.cfg, tt.nodes, func(b *bench) {
				vol := b.sim.AddVolume(tt.vol)
				result := b.move(b.order(vol, nvme(tt.nodes)...))
				if result.State != mayastor.Refused || !strings.Contains(result.Error, tt.want) {
					t.Errorf("%s (%s) %q, want refused with %q", result.State, result.Reason, result.Error, tt.want)
				}
				for _, c := range b.sim.Calls() {
					if c.Method != http.MethodGet {
						t.Errorf("side effect: %s %s", c.Method, c.Path)
					}
				}
			})
		})
	}
}

func TestAStopTakesTheRebuildingReplicaBack(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
		vol := b.sim.Published(200*gib, "sata-1", "sata-2")
		stop := make(chan struct{})
		time.AfterFunc(2*time.Minute, func() { close(stop) })
		result, err := b.migrator().Move(b.t.Context(), stop, b.order(vol, nvme(4)...))
		if err != nil {
			t.Fatal(err)
		}
		if result.State != mayastor.Aborted || result.Reason != string(mayastor.ReasonStopped) {
			t.Errorf("%s (%s) %s, want aborted (Stopped)", result.State, result.Reason, result.Error)
		}
		if got := b.pools(vol); got != "sata-1,sata-2" {
			t.Errorf("replicas on %s, want the original pools", got)
		}
		b.atRest(vol, 2)
	})
}

func TestARebuildThatStalls(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 4, func(b *bench) {
		vol := b.sim.Published(200*gib, "sata-1", "sata-2")
		time.AfterFunc(time.Minute, func() {
			if err := b.sim.StallRebuild(vol); err != nil {
				t.Error(err)
			}
		})
		result := b.move(b.order(vol, nvme(4)...))
		if result.State != mayastor.Failed || result.Reason != string(mayastor.ReasonStalled) {
			t.Errorf("%s (%s) %s, want failed (Stalled)", result.State, result.Reason, result.Error)
		}
		if result.Failures != 1 {
			t.Errorf("failures %d, want 1", result.Failures)
		}
		b.atRest(vol, 2)
	})
}

func TestATimeoutIsPerReplica(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{RebuildRate: 10 << 20}, 4, func(b *bench) {
		vol := b.sim.Published(200*gib, "sata-1", "sata-2")
		result := b.move(b.order(vol, nvme(4)...))
		if result.State != mayastor.Failed || result.Reason != string(mayastor.ReasonTimeout) {
			t.Errorf("%s (%s) %s, want failed (Timeout)", result.State, result.Reason, result.Error)
		}
		b.atRest(vol, 2)
	})
}

func TestUserScalesTheVolumeMeanwhile(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 6, func(b *bench) {
		vol := b.sim.Published(100*gib, "sata-1", "sata-2")
		time.AfterFunc(20*time.Second, func() {
			_ = b.sim.UserScale(vol, 2)
			_ = b.sim.UserScale(vol, 1)
		})
		result := b.move(b.order(vol, nvme(6)...))
		if result.State != mayastor.Aborted || result.Reason != string(mayastor.ReasonScaled) {
			t.Errorf("%s (%s) %s, want aborted (ScaledByOther)", result.State, result.Reason, result.Error)
		}
		if got := b.sim.Replicas(vol); got != 1 {
			t.Errorf("num_replicas %d, want the user's 1", got)
		}
	})
}

// TestCordonsOfOtherMigratorsAreWaitedOut: what another migrator of ours keeps
// out for the seconds of its placement is no reason to refuse; what somebody
// else keeps out is.
func TestCordonsOfOtherMigratorsAreWaitedOut(t *testing.T) {
	t.Parallel()
	for _, foreign := range []bool{false, true} {
		t.Run(fmt.Sprintf("foreign %t", foreign), func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{}, 2, func(b *bench) {
				b.ledger = newMemLedger()
				vol := b.sim.Published(gib, "sata-1")
				cordon := simulator.PoolCordon{Replicas: true}
				if err := b.sim.ForeignPoolCordon("nvme-2", cordon, simulator.PoolCordon{}); err != nil {
					b.t.Fatal(err)
				}
				if !foreign {
					other, err := b.ledger.Lock(b.t.Context(), "00000000-0000-4000-8000-000000000000")
					if err != nil {
						b.t.Fatal(err)
					}
					placement, err := other.Place(b.t.Context())
					if err != nil {
						b.t.Fatal(err)
					}
					time.AfterFunc(5*time.Second, func() {
						if err := b.sim.ForeignPoolCordon("nvme-2", simulator.PoolCordon{}, cordon); err != nil {
							b.t.Error(err)
						}
						_ = placement.Release(b.t.Context())
						other.Abandon()
					})
				}
				want := mayastor.Moved
				if foreign {
					want = mayastor.Refused
				}
				if result := b.move(b.order(vol, "nvme-1", "nvme-2")); result.State != want {
					b.t.Errorf("%s (%s) %s, want %s", result.State, result.Reason, result.Error, want)
				}
			})
		})
	}
}

func TestReducedRedundancy(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 3, func(b *bench) {
		vol := b.sim.Published(20*gib, "sata-1", "sata-2", "sata-3")
		b.sim.Mark(vol)
		b.sim.AllowReduced(vol, 2)
		o := b.order(vol, nvme(3)...)
		o.Ask.AllowReduced = true
		result := b.move(o)
		if result.State != mayastor.Moved {
			t.Fatalf("%s (%s) %s, want moved", result.State, result.Reason, result.Error)
		}
		if got := b.sim.LowestSynced(vol); got < 2 {
			t.Errorf("copies in sync fell to %d, want never below 2", got)
		}
		if got := b.pools(vol); got != "nvme-1,nvme-2,nvme-3" {
			t.Errorf("replicas on %s", got)
		}
		b.atRest(vol, 3)
	})
}

func TestTheRecordIsWrittenForThePlanner(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 3, func(b *bench) {
		vol := b.sim.Published(gib, "sata-1")
		b.move(b.order(vol, nvme(3)...))
		lock, err := b.ledger.Lock(b.t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Abandon()
		a, err := lock.Memory(b.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.State != mayastor.Moved || a.N != 1 || a.Policy != "db" || a.To != "hot" || a.Failures != 0 || a.ByHand {
			t.Errorf("memory %+v", a)
		}
		if lock.Journal() != nil {
			t.Error("a journal is left of a move that ended")
		}
	})
}

func TestTheRecordSaysThatAPersonMovedIt(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 3, func(b *bench) {
		vol := b.sim.Published(3*gib, "sata-1", "sata-2")
		o := b.order(vol, nvme(3)...)
		o.N = 0 // A Job numbers its attempt, a person does not.
		if result := b.move(o); result.Bytes != 6*gib {
			t.Errorf("moved two copies of 3 GiB, got %d bytes", result.Bytes)
		}
		lock, err := b.ledger.Lock(b.t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Abandon()
		if a, err := lock.Memory(b.t.Context()); err != nil || !a.ByHand || a.N != 1 {
			t.Errorf("memory %+v, %v, want attempt 1 by hand", a, err)
		}
	})
}

// errKilled is what a killed migrator meets wherever it turns.
var errKilled = errors.New("killed")

// killer stops a migrator dead at one of its steps: a step is an HTTP call or
// a write to the ledger.
type killer struct {
	at     int
	after  bool
	step   int
	dead   bool
	cancel context.CancelCauseFunc
	what   []string
}

// do runs one step, unless the migrator dies before it.
func (k *killer) do(what string, f func() error) error {
	if k.dead {
		return errKilled
	}
	k.step++
	k.what = append(k.what, what)
	last := k.step == k.at
	if last && !k.after {
		return k.die()
	}
	err := f()
	if last {
		return k.die()
	}
	return err
}

func (k *killer) die() error {
	k.dead = true
	k.cancel(errKilled)
	return errKilled
}

// RoundTrip makes killer a transport.
type killTransport struct {
	k    *killer
	next http.RoundTripper
}

func (t killTransport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	kerr := t.k.do(req.Method+" "+req.URL.Path, func() error {
		resp, err = t.next.RoundTrip(req)
		return nil
	})
	if kerr != nil {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, kerr
	}
	return resp, err
}

type killLedger struct {
	mayastor.Ledger
	k *killer
}

func (l killLedger) Lock(ctx context.Context, volume string) (mayastor.Lock, error) {
	lock, err := l.Ledger.Lock(ctx, volume)
	if err != nil {
		return nil, err
	}
	return killLock{lock, l.k}, nil
}

type killLock struct {
	mayastor.Lock
	k *killer
}

func (l killLock) Write(ctx context.Context, j *mayastor.Journal) error {
	return l.k.do("journal "+string(j.Phase), func() error { return l.Lock.Write(ctx, j) })
}

func (l killLock) Remember(ctx context.Context, a mayastor.Attempt, moved time.Time) error {
	return l.k.do("remember "+string(a.State), func() error { return l.Lock.Remember(ctx, a, moved) })
}

func (l killLock) Report(ctx context.Context, r mayastor.Result) error {
	return l.k.do("report", func() error { return l.Lock.Report(ctx, r) })
}

func (l killLock) Admit(ctx context.Context, a mayastor.Admission) error {
	return l.k.do("admit", func() error { return l.Lock.Admit(ctx, a) })
}

func (l killLock) Release(ctx context.Context) error {
	return l.k.do("release", func() error { return l.Lock.Release(ctx) })
}

func (l killLock) Place(ctx context.Context) (p mayastor.Placement, err error) {
	kerr := l.k.do("place", func() error { p, err = l.Lock.Place(ctx); return nil })
	if kerr != nil {
		if p != nil {
			_ = p.Release(ctx) // the kernel ends a dead process's flock
		}
		return nil, kerr
	}
	if err != nil {
		return nil, err
	}
	return killPlacement{p, l.k}, nil
}

type killPlacement struct {
	mayastor.Placement
	k *killer
}

func (p killPlacement) Record(ctx context.Context, c mayastor.Cordons) error {
	return p.k.do("record cordons", func() error { return p.Placement.Record(ctx, c) })
}

// killed runs the order with a migrator that dies at the step, and returns the
// steps it made; dead is false if it ended before it got there.
func (b *bench) killed(o mayastor.Order, at int, after bool) (steps []string, dead bool) {
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	k := &killer{at: at, after: after, cancel: cancel}
	m := b.migrator()
	client, err := mayastor.NewClient(mayastor.Config{URL: "http://mayastor.test", HTTP: &http.Client{Transport: killTransport{k, b.http.Transport}}})
	if err != nil {
		b.t.Fatal(err)
	}
	m.Client, m.Ledger = client, killLedger{b.ledger, k}
	_, err = m.Move(ctx, nil, o)
	if err == nil && k.dead {
		b.t.Errorf("killed at step %d (%s) and yet it returned a result", at, k.what[at-1])
	}
	return k.what, k.dead
}

// TestKilledAtEachStep: for every HTTP call and every write to the ledger of a
// move, the migrator dies right before or right after it, and the next one
// reaches the same good end. COUCHESTOR_KILL_EVERY=n takes every nth step only,
// for the race detector's sake.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	every := envNumber(t, "COUCHESTOR_KILL_EVERY", 1)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d kills, each resumed to the same end", cases.Load()) })
	for _, profile := range []simulator.Profile{simulator.V2_9, simulator.V2_10, simulator.V2_12} {
		for _, cache := range []time.Duration{0, 30 * time.Second} {
			for replicas := 1; replicas <= 3; replicas++ {
				t.Run(fmt.Sprintf("%s, cache %s, %d replicas", profile, cache, replicas), func(t *testing.T) {
					t.Parallel()
					for step := 1; ; step += every {
						if !killAndResume(t, profile, cache, replicas, step, false) || !killAndResume(t, profile, cache, replicas, step, true) {
							return
						}
						cases.Add(2)
					}
				})
			}
		}
	}
}

// killAndResume kills a move at a step, resumes it and looks at its end. It
// returns false once the move has no such step.
func killAndResume(t *testing.T, profile simulator.Profile, cache time.Duration, replicas, step int, after bool) (more bool) {
	t.Helper()
	inBubble(t, simulator.Config{Profile: profile, CachePeriod: cache, Seed: 1}, replicas+2, func(b *bench) {
		b.ledger = newMemLedger()
		b.tweak = func(m *mayastor.Migrator) {
			m.Claimed = "2.9"
			if cache == 0 {
				m.CachePeriod = time.Second
			}
		}
		vol := b.sim.Published(gib, []string{"sata-1", "sata-2", "sata-3"}[:replicas]...)
		if profile == simulator.V2_9 {
			// Placement is not steerable there; where the other tier is full
			// it need not be.
			b.full("sata", replicas+2)
		}
		b.sim.Mark(vol)
		o := b.order(vol, nvme(replicas+2)...)
		steps, dead := b.killed(o, step, after)
		if !dead {
			return
		}
		more = true
		result := b.move(o)
		if result.State != mayastor.Moved || strings.Contains(b.pools(vol), "sata") {
			t.Errorf("%s (%s) %s; replicas on %s", result.State, result.Reason, result.Error, b.pools(vol))
		}
		if got := b.sim.LowestSynced(vol); got < replicas {
			t.Errorf("copies in sync fell to %d", got)
		}
		b.atRest(vol, replicas)
		if t.Failed() {
			t.Fatalf("killed at step %d (%s), after it: %t", step, steps[len(steps)-1], after)
		}
	})
	return more
}

func TestProgressTellsTheRebuild(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 3, func(b *bench) {
		var seen []mayastor.Progress
		b.tweak = func(m *mayastor.Migrator) {
			m.Progress = func(p mayastor.Progress) { seen = append(seen, p) }
		}
		vol := b.sim.Published(100*gib, "sata-1")
		b.move(b.order(vol, nvme(3)...))
		if len(seen) == 0 || seen[len(seen)-1].Percent != 100 || seen[0].Replica != 1 || seen[0].Replicas != 1 {
			t.Errorf("progress %+v", seen)
		}
	})
}
