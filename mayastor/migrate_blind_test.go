package mayastor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// cut kills a move after some time and loses its journal.
func (b *bench) cut(vol string, after time.Duration) *memVolume {
	b.t.Helper()
	ledger := newMemLedger()
	b.ledger = ledger
	ctx, kill := context.WithCancelCause(b.t.Context())
	time.AfterFunc(after, func() { kill(errKilled) })
	if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
		b.t.Fatalf("err %v, want killed", err)
	}
	v := ledger.volume(vol)
	v.journal = nil
	return v
}

// recovery is the order of a recovery Job, which names no pools.
func (b *bench) recovery(vol string, n int64) mayastor.Order {
	o := b.order(vol)
	o.N, o.Recover = n, true
	return o
}

// remark changes the mark on a volume.
func (v *memVolume) remark(t *testing.T, change func(*mayastor.Attempt)) {
	t.Helper()
	var a mayastor.Attempt
	if err := json.Unmarshal(v.memory, &a); err != nil {
		t.Fatal(err)
	}
	change(&a)
	var err error
	if v.memory, err = json.Marshal(a); err != nil {
		t.Fatal(err)
	}
}

func TestALostJournalIsMadeUpForByTheMark(t *testing.T) {
	t.Parallel()
	const rebuilding, synced = 30 * time.Second, 4 * time.Minute // of a rebuild that takes about three
	for _, tt := range []struct {
		name   string
		cut    time.Duration
		during func(b *bench, vol string, v *memVolume)
		want   int // num_replicas at the end
		reason mayastor.Reason
		says   string
	}{
		{"a replica still rebuilding is taken back", rebuilding, nil, 2, mayastor.ReasonRecovered, "to which the volume was brought back"},
		{"of a rebuild that is over, one of three in sync is given up", synced, nil, 2, mayastor.ReasonRecovered, "to which the volume was brought back"},
		{"a volume that was brought back meanwhile is left alone", rebuilding, func(b *bench, vol string, _ *memVolume) {
			_ = b.sim.UserScale(vol, 2)
		}, 2, mayastor.ReasonRecovered, "as when it began"},
		{"a number that is two more is somebody's", synced, func(b *bench, vol string, _ *memVolume) {
			time.Sleep(time.Minute)
			_ = b.sim.UserScale(vol, 4)
		}, 4, mayastor.ReasonRecovered, "so it is left as it is"},
		{"a number that is one less is somebody's", synced, func(b *bench, vol string, _ *memVolume) {
			time.Sleep(time.Minute)
			_ = b.sim.UserScale(vol, 2)
			_ = b.sim.UserScale(vol, 1)
		}, 1, mayastor.ReasonRecovered, "compare it with the StorageClass"},
		{"a mark without a number is reported only", synced, func(b *bench, _ string, v *memVolume) {
			time.Sleep(time.Minute)
			v.remark(b.t, func(a *mayastor.Attempt) { a.Replicas = 0 })
		}, 3, mayastor.ReasonRecovered, "compare it with the StorageClass"},
		{"a mark that is days old is reported only", synced, func(*bench, string, *memVolume) {
			time.Sleep(25 * time.Hour)
		}, 3, mayastor.ReasonRecovered, "compare it with the StorageClass"},
		{"a mark from the future is reported only", synced, func(b *bench, _ string, v *memVolume) {
			time.Sleep(time.Minute)
			v.remark(b.t, func(a *mayastor.Attempt) { a.At = a.At.Add(26 * time.Hour) })
		}, 3, mayastor.ReasonRecovered, "compare it with the StorageClass"},
		{"an unpublished volume is left as it is", synced, func(b *bench, vol string, _ *memVolume) {
			_ = b.sim.Unpublish(vol)
		}, 3, mayastor.ReasonRecovered, "lower it by hand"},
		{"somebody scales it while it is brought back", synced, func(b *bench, vol string, _ *memVolume) {
			time.AfterFunc(3*time.Second, func() { _ = b.sim.UserScale(vol, 4) })
		}, 4, mayastor.ReasonScaled, "somebody scales the volume"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
				vol := b.sim.Published(40*gib, "sata-1", "sata-2")
				b.sim.Mark(vol)
				b.sim.Inject(simulator.Fault{Path: "/v0/volumes/*/replica_count/2", Method: "PUT", Effect: simulator.FailBefore, Kind: "Unavailable", Times: -1})
				v := b.cut(vol, tt.cut)
				b.sim.ClearFaults()
				if tt.during != nil {
					tt.during(b, vol, v)
				}
				result := b.move(b.recovery(vol, 2))
				if result.State != mayastor.Aborted || !result.Recovered || result.N != 2 || result.Reason != string(tt.reason) || !strings.Contains(result.Error, tt.says) {
					b.t.Errorf("%+v, want attempt 2 aborted (%s), recovered, with %q", result, tt.reason, tt.says)
				}
				if got := b.sim.Replicas(vol); got != tt.want {
					b.t.Errorf("num_replicas %d, want %d", got, tt.want)
				}
				if tt.want == 2 {
					b.atRest(vol, 2)
					if got := b.sim.LowestSynced(vol); got < 2 {
						b.t.Errorf("copies in sync fell to %d", got)
					}
				}
				if v := b.sim.Violations(); len(v) > 0 {
					b.t.Errorf("violations: %s", v)
				}
				var a mayastor.Attempt
				if err := json.Unmarshal(v.memory, &a); err != nil || a.State != mayastor.Aborted || a.Replicas != 0 {
					b.t.Errorf("memory %+v, %v; want aborted, and no number of replicas", a, err)
				}
			})
		})
	}
}

func TestTheMarkSaysWithHowManyReplicasAMoveBegan(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 4, func(b *bench) {
		vol := b.sim.Published(200*gib, "sata-1", "sata-2")
		var a mayastor.Attempt
		if err := json.Unmarshal(b.cut(vol, time.Minute).memory, &a); err != nil || a.State != mayastor.Started || a.Replicas != 2 {
			b.t.Errorf("the mark of a running move is %+v, %v; want started, with 2 replicas", a, err)
		}
	})
}

// TestKilledAtEachStepAndItsJournalLost: whenever a migrator dies and its
// journal is lost, a recovery of which the same is true brings the volume to
// rest with the number of replicas it began with.
func TestKilledAtEachStepAndItsJournalLost(t *testing.T) {
	t.Parallel()
	every := envNumber(t, "COUCHESTOR_KILL_EVERY", 1)
	var cases atomic.Int64
	t.Cleanup(func() { t.Logf("%d kills with the journal lost, each brought to rest", cases.Load()) })
	for _, profile := range []simulator.Profile{simulator.V2_9, simulator.V2_10} {
		for replicas := 1; replicas <= 2; replicas++ {
			t.Run(fmt.Sprintf("%s, %d replicas", profile, replicas), func(t *testing.T) {
				t.Parallel()
				for step := 1; ; step += every {
					if !loseAndRecover(t, profile, replicas, step, false) || !loseAndRecover(t, profile, replicas, step, true) {
						return
					}
					cases.Add(2)
				}
			})
		}
	}
}

// loseAndRecover kills a move at a step, loses its journal, kills the recovery
// at the same number of steps, loses nothing more, and looks at the end. It
// returns false once the move has no such step.
func loseAndRecover(t *testing.T, profile simulator.Profile, replicas, step int, after bool) (more bool) {
	t.Helper()
	inBubble(t, simulator.Config{Profile: profile, CachePeriod: 30 * time.Second, Seed: 1}, replicas+2, func(b *bench) {
		ledger := newMemLedger()
		b.ledger = ledger
		b.tweak = func(m *mayastor.Migrator) { m.Claimed = "2.9" }
		vol := b.sim.Published(gib, []string{"sata-1", "sata-2"}[:replicas]...)
		if profile == simulator.V2_9 {
			b.full("sata", replicas+2)
		}
		b.sim.Mark(vol)
		steps, dead := b.killed(b.order(vol, nvme(replicas+2)...), step, after)
		if !dead {
			return
		}
		more = true
		v := ledger.volume(vol)
		v.journal = nil
		began := v.memory != nil
		o := b.recovery(vol, 2)
		_, dead = b.killed(o, step, after)
		result := b.move(o)
		if began && result.State == mayastor.Started || result.N != 2 {
			t.Errorf("%+v", result)
		}
		if got := b.sim.LowestSynced(vol); got < replicas {
			t.Errorf("copies in sync fell to %d", got)
		}
		b.atRest(vol, replicas)
		if t.Failed() {
			t.Fatalf("killed at step %d (%s), after it: %t, recovery killed too: %t: %s (%s) %s", step, steps[len(steps)-1], after, dead, result.State, result.Reason, result.Error)
		}
	})
	return more
}

func TestAVolumeIsGoneForARecoveryOnTheSecondWordOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
		vol := b.sim.Published(40*gib, "sata-1", "sata-2")
		b.sim.Mark(vol)
		b.cut(vol, 30*time.Second)
		b.sim.Inject(simulator.Fault{Path: "/v0/volumes/" + vol, Method: "GET", Effect: simulator.FailBefore, Kind: "NotFound", Times: 1})
		result := b.move(b.recovery(vol, 2))
		if !strings.Contains(result.Error, "to which the volume was brought back") {
			b.t.Errorf("%s, want the volume brought back", result.Error)
		}
		b.atRest(vol, 2)
	})
}
