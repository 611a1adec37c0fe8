package mayastor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// TestWhatGoesWrongEndsAtRest: each thing that may happen to a move of two
// replicas, and how it ends.
func TestWhatGoesWrongEndsAtRest(t *testing.T) {
	t.Parallel()
	act := func(t *testing.T, after time.Duration, do func() error) {
		time.AfterFunc(after, func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		})
	}
	const scale = "/v0/volumes/*/replica_count/*"
	for _, tt := range []struct {
		name   string
		during func(b *bench, vol string)
		state  mayastor.State
		reason mayastor.Reason // where it did not move
		pools  string          // where the replicas end, "" for nvme only
	}{
		{
			"a rebuild that fails and is replaced by self-heal at once goes on", func(b *bench, vol string) {
				act(b.t, 10*time.Second, func() error { return b.sim.FailRebuildAt(vol, 50) })
			}, mayastor.Moved, "", "",
		},
		{
			"a rebuild that starts again from zero is waited for", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.RestartRebuild(vol) })
			}, mayastor.Moved, "", "",
		},
		{
			"a switch-over of the target in the middle is waited for", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.HASwitchover(vol, "node-2") })
			}, mayastor.Moved, "", "",
		},
		{
			"target pools that fill between plan and act stop it before +1", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Path: "/v0/nodes", Nth: 3, After: func() {
					for _, p := range nvme(4) {
						if err := b.sim.FillPool(p, 0); err != nil {
							b.t.Error(err)
						}
					}
				}})
			}, mayastor.Refused, "", "sata-1,sata-2",
		},
		{
			"a volume unpublished in the middle is held, and after ten minutes taken back", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.Unpublish(vol) })
			}, mayastor.Aborted, mayastor.ReasonAdrift, "sata-1,sata-2",
		},
		{
			"a volume unpublished for a moment goes on", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.Unpublish(vol) })
				act(b.t, 2*time.Minute, func() error { return b.sim.Publish(vol, "node-1") })
			}, mayastor.Moved, "", "",
		},
		{
			"every reply to a replica count is lost and each took effect", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: scale, Effect: simulator.DropAfter, Times: -1})
			}, mayastor.Moved, "", "",
		},
		{
			"the first replies are lost and took no effect", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: scale, Effect: simulator.DropBefore, Times: 2})
			}, mayastor.Moved, "", "",
		},
		{
			"a +1 that is never answered took effect", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: scale, Effect: simulator.HangAfter, Times: 1})
			}, mayastor.Moved, "", "",
		},
		{
			"a +1 that left an extra replica is tried again once self-heal trimmed it", func(b *bench, vol string) {
				if err := b.sim.FailAttaches(vol, 1); err != nil {
					b.t.Error(err)
				}
			}, mayastor.Moved, "", "",
		},
		{
			"no room for the new replica, three times", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: scale, Effect: simulator.FailBefore, Kind: "ResourceExhausted", Times: -1})
			}, mayastor.Failed, mayastor.ReasonNotPlaced, "sata-1,sata-2",
		},
		{
			"etcd does not take the write, for a while", func(b *bench, _ string) {
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: scale, Effect: simulator.FailBefore, Kind: "FailedPersist", Times: 2})
			}, mayastor.Moved, "", "",
		},
		{
			"the control plane restarts in the middle", func(b *bench, _ string) {
				act(b.t, 30*time.Second, func() error { b.sim.CoreRestart(); return nil })
			}, mayastor.Moved, "", "",
		},
		{
			"somebody's operation holds the volume for a minute", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.OpenOperation(vol, "CreateSnapshot", time.Minute) })
			}, mayastor.Moved, "", "",
		},
		{
			"somebody resizes the volume", func(b *bench, vol string) {
				act(b.t, 30*time.Second, func() error { return b.sim.Resize(vol, 50*gib) })
			}, mayastor.Moved, "", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second, Latency: time.Second}, 4, func(b *bench) {
				vol := b.sim.Published(40*gib, "sata-1", "sata-2")
				b.sim.Mark(vol)
				tt.during(b, vol)
				result := b.move(b.order(vol, nvme(4)...))
				if result.State != tt.state || tt.reason != "" && result.Reason != string(tt.reason) {
					b.t.Errorf("%s (%s) %s, want %s (%s)", result.State, result.Reason, result.Error, tt.state, tt.reason)
				}
				if result.State != mayastor.Moved && result.Error == "" {
					b.t.Error("no sentence says why")
				}
				if got := b.pools(vol); tt.pools != "" && got != tt.pools || tt.pools == "" && strings.Contains(got, "sata") {
					b.t.Errorf("replicas on %s, want %q", got, tt.pools)
				}
				b.atRest(vol, 2)
			})
		})
	}
}

func TestAServerThatLiesAboutItsVersion(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		for _, reduced := range []bool{false, true} {
			inBubble(t, simulator.Config{Profile: simulator.Old, Claims: "2.10"}, 3, func(b *bench) {
				vol := b.sim.Published(gib, []string{"sata-1", "sata-2", "sata-3"}[:replicas]...)
				o := b.order(vol, nvme(3)...)
				o.Ask.AllowReduced = reduced
				result := b.move(o)
				if result.State != mayastor.Refused {
					b.t.Errorf("%d replicas: %s (%s) %s, want refused", replicas, result.State, result.Reason, result.Error)
				}
				b.atRest(vol, replicas)
			})
		}
	}
}

func TestADeletedVolumeEndsItsMove(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 4, func(b *bench) {
		vol := b.sim.Published(100*gib, "sata-1", "sata-2")
		time.AfterFunc(30*time.Second, func() { _ = b.sim.DeleteVolume(vol) })
		result := b.move(b.order(vol, nvme(4)...))
		if result.State != mayastor.Aborted || result.Reason != string(mayastor.ReasonVolumeGone) {
			b.t.Errorf("%s (%s) %s, want aborted (VolumeGone)", result.State, result.Reason, result.Error)
		}
	})
}

// TestRecovery: what a dead migrator left is brought to rest by the next
// attempt, and nothing new is begun.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		recover bool
	}{{"by a recovery", true}, {"by an attempt that meant to move it", false}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{}, 4, func(b *bench) {
				vol := b.sim.Published(200*gib, "sata-1", "sata-2")
				ctx, kill := context.WithCancelCause(b.t.Context())
				time.AfterFunc(30*time.Second, func() { kill(errKilled) })
				if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
					b.t.Fatalf("err %v, want killed", err)
				}
				if got := b.sim.Replicas(vol); got != 3 {
					b.t.Fatalf("num_replicas %d after the kill, want 3", got)
				}
				o := b.order(vol, nvme(4)...)
				o.N, o.Recover = 2, tt.recover
				result := b.move(o)
				if result.State != mayastor.Aborted || !result.Recovered || result.N != 2 || result.Failures != 1 {
					b.t.Errorf("%+v, want attempt 2 aborted, recovered, one failure", result)
				}
				if got := b.pools(vol); got != "sata-1,sata-2" {
					b.t.Errorf("replicas on %s", got)
				}
				b.atRest(vol, 2)
			})
		})
	}
}

func TestAnAttemptThatIsRecordedIsReportedAgainAndNotMade(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 4, func(b *bench) {
		vol := b.sim.Published(gib, "sata-1", "sata-2")
		first := b.move(b.order(vol, nvme(4)...))
		calls := len(b.sim.Calls())
		again := b.move(b.order(vol, nvme(4)...))
		if again.State != first.State || again.N != 1 {
			b.t.Errorf("%+v, want the first result again", again)
		}
		if got := len(b.sim.Calls()); got != calls {
			b.t.Errorf("%d calls to Mayastor for a report", got-calls)
		}
		o := b.order(vol, nvme(4)...)
		o.N = 3
		b.move(o)
		o.N = 2
		if late := b.move(o); late.State != mayastor.Refused || late.Reason != string(mayastor.ReasonSuperseded) {
			b.t.Errorf("attempt 2 after 3: %s (%s), want refused (Superseded)", late.State, late.Reason)
		}
	})
}

func TestTheCapHoldsAmongMigratorsOfOneLedger(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{}, 4, func(b *bench) {
		b.tweak = func(m *mayastor.Migrator) { m.Caps = mayastor.Caps{Moves: 1}; m.AdmitWait = time.Minute }
		slow, quick := b.sim.Published(300*gib, "sata-1", "sata-2"), b.sim.Published(gib, "sata-3")
		done := make(chan mayastor.Result)
		go func() { done <- b.move(b.order(slow, nvme(4)...)) }()
		time.Sleep(30 * time.Second)
		result := b.move(b.order(quick, nvme(4)...))
		if result.State != mayastor.Refused || result.Reason != string(mayastor.ReasonNotAdmitted) {
			b.t.Errorf("%s (%s) %s, want refused (NotAdmitted)", result.State, result.Reason, result.Error)
		}
		if got := b.sim.Counts(quick); got.Ups != 0 {
			b.t.Errorf("%d times +1 without a place", got.Ups)
		}
		if r := <-done; r.State != mayastor.Moved {
			b.t.Errorf("the first: %s (%s) %s", r.State, r.Reason, r.Error)
		}
		o := b.order(quick, nvme(4)...)
		o.N = 2
		if r := b.move(o); r.State != mayastor.Moved {
			b.t.Errorf("once there is room: %s (%s) %s", r.State, r.Reason, r.Error)
		}
	})
}

func TestDirLedger(t *testing.T) {
	t.Parallel()
	const vol = "9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80"
	t.Run("a second migrator of the volume waits, and is told for what", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		first, second := dirLedger(t, dir), dirLedger(t, dir)
		lock, err := first.Lock(t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := second.Lock(ctx, vol); err == nil || !strings.Contains(err.Error(), "held by another process") {
			t.Errorf("err %v, want that another process holds it", err)
		}
		lock.Abandon()
		again, err := second.Lock(t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		again.Abandon()
	})
	t.Run("a journal that cannot be read stops everything", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "volume-"+vol+".journal"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dirLedger(t, dir).Lock(t.Context(), vol); err == nil || !strings.Contains(err.Error(), "nothing is done without it") {
			t.Errorf("err %v, want a refusal", err)
		}
	})
	t.Run("a volume that is no uuid cannot leave the directory", func(t *testing.T) {
		t.Parallel()
		if _, err := dirLedger(t, t.TempDir()).Lock(t.Context(), "../../etc/passwd"); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a lock that was given up writes nothing", func(t *testing.T) {
		t.Parallel()
		lock, err := dirLedger(t, t.TempDir()).Lock(t.Context(), vol)
		if err != nil {
			t.Fatal(err)
		}
		lock.Abandon()
		if err := lock.Write(t.Context(), new(mayastor.Journal)); !errors.Is(err, mayastor.ErrLockLost) {
			t.Errorf("err %v, want ErrLockLost", err)
		}
		if _, _, err := lock.Guard(t.Context()); !errors.Is(err, mayastor.ErrLockLost) {
			t.Errorf("err %v, want ErrLockLost", err)
		}
	})
}

func dirLedger(t *testing.T, dir string) *mayastor.DirLedger {
	t.Helper()
	l, err := mayastor.NewDirLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestAClockThatJumpsHarmsNoMove: a migrator that resumes on another node, whose
// clock tells another time by hours, neither ends the move nor waits for hours.
func TestAClockThatJumpsHarmsNoMove(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		for _, stalls := range []bool{false, true} {
			t.Run(fmt.Sprintf("by %s, the rebuild stalls %t", jump, stalls), func(t *testing.T) {
				t.Parallel()
				inBubble(t, simulator.Config{CachePeriod: 30 * time.Second, RebuildRate: 100 << 20}, 4, func(b *bench) {
					ledger := newMemLedger()
					b.ledger = ledger
					b.tweak = func(m *mayastor.Migrator) { m.StallAfter = 10 * time.Minute }
					vol := b.sim.Published(80*gib, "sata-1")
					ctx, kill := context.WithCancelCause(b.t.Context())
					time.AfterFunc(5*time.Minute, func() { kill(errKilled) })
					if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
						b.t.Fatalf("err %v, want killed", err)
					}
					var j mayastor.Journal
					if err := json.Unmarshal(ledger.volume(vol).journal, &j); err != nil {
						b.t.Fatal(err)
					}
					j.StepStarted, j.PhaseSince, j.Started = j.StepStarted.Add(jump), j.PhaseSince.Add(jump), j.Started.Add(jump)
					ledger.volume(vol).journal, _ = json.Marshal(j)
					if stalls {
						if err := b.sim.StallRebuild(vol); err != nil {
							b.t.Fatal(err)
						}
					}
					resumed := time.Now()
					result := b.move(b.order(vol, nvme(4)...))
					want := mayastor.Moved
					if stalls {
						want = mayastor.Failed
					}
					if result.State != want || time.Since(resumed) > 40*time.Minute || result.Ended.Before(result.Started) && jump < 0 {
						b.t.Errorf("%s (%s) %s after %s, want %s within its timeout", result.State, result.Reason, result.Error, time.Since(resumed), want)
					}
					b.atRest(vol, 1)
				})
			})
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestAStoreThatTakesNoWritesIsLeftAloneForLonger (MS 5.5).
func TestAStoreThatTakesNoWritesIsLeftAloneForLonger(t *testing.T) {
	t.Parallel()
	gap := func(kind string) (between time.Duration) {
		inBubble(t, simulator.Config{}, 4, func(b *bench) {
			b.tweak = func(m *mayastor.Migrator) { m.Jitter = func(d time.Duration) time.Duration { return d } }
			b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: "/v0/volumes/*/replica_count/*", Effect: simulator.FailBefore, Kind: kind, Times: 2})
			vol := b.sim.Published(gib, "sata-1", "sata-2")
			if result := b.move(b.order(vol, nvme(4)...)); result.State != mayastor.Moved {
				b.t.Errorf("%s: %s (%s) %s", kind, result.State, result.Reason, result.Error)
			}
			var puts []time.Time
			for _, c := range b.sim.Calls() {
				if strings.HasSuffix(c.Path, "/replica_count/3") {
					puts = append(puts, c.At)
				}
			}
			between = puts[2].Sub(puts[0])
		})
		return between
	}
	busy, persist := gap("Conflict"), gap("FailedPersist")
	if busy < 6*time.Second || busy > 30*time.Second || persist < 48*time.Second || persist > 2*time.Minute {
		t.Errorf("tried thrice within %s of a busy volume and %s of a store that takes no writes; want about 6 s and 48 s", busy, persist)
	}
}
