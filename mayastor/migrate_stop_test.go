package mayastor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// slowLedger takes its time for each journal write.
type slowLedger struct {
	mayastor.Ledger
	write time.Duration
}

type slowLock struct {
	mayastor.Lock
	write time.Duration
}

func (l slowLedger) Lock(ctx context.Context, volume string) (mayastor.Lock, error) {
	lock, err := l.Ledger.Lock(ctx, volume)
	return slowLock{lock, l.write}, err
}

func (l slowLock) Write(ctx context.Context, j *mayastor.Journal) error {
	time.Sleep(l.write)
	return l.Lock.Write(ctx, j)
}

// TestAStopIsSafeInTime: for each second of a move at which a switch may be
// thrown, nothing new is asked of the server after it, but for what the journal
// was being written for (at most 10 s), and the volume is at a safe end within a
// minute: one poll (5 s), the proof of sync if the rebuild is over (one cache
// period, 30 s, and one poll), and the last -1. That holds while server and API
// server answer, and while no volume was given a replica less first.
func TestAStopIsSafeInTime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var latest, longest time.Duration
	ends := map[mayastor.State]int{}
	t.Cleanup(func() {
		t.Logf("last +1 or cordon %s after the switch, safe end at most %s after it; ends: %v", latest, longest, ends)
		if ends[mayastor.Moved] == 0 || ends[mayastor.Aborted] == 0 || ends[mayastor.Refused] == 0 {
			t.Errorf("ends %v: want some of each", ends)
		}
	})
	const step = 20
	for first := range step {
		t.Run(fmt.Sprintf("every %d s from %d s", step, first), func(t *testing.T) {
			t.Parallel()
			for _, write := range []time.Duration{0, 9 * time.Second} {
				for at := time.Duration(first) * time.Second; at < 4*time.Minute; at += step * time.Second {
					begun, safe, state := stopAt(t, at, write)
					mu.Lock()
					latest = max(latest, begun)
					if write == 0 {
						longest = max(longest, safe)
					}
					ends[state]++
					mu.Unlock()
				}
			}
		})
	}
}

// stopAt throws the switch in a move of two replicas, and returns how long
// after it something new was last asked of the server, and when the move was
// over.
func stopAt(t *testing.T, at, write time.Duration) (begun, safe time.Duration, state mayastor.State) {
	t.Helper()
	inBubble(t, simulator.Config{CachePeriod: 30 * time.Second, Latency: 2 * time.Second, RebuildRate: 200 << 20}, 4, func(b *bench) {
		b.ledger = slowLedger{newMemLedger(), write}
		thrown := time.Now().Add(at)
		var log strings.Builder
		b.log = mayastor.NewAuditLog(&log, 0)
		b.tweak = func(m *mayastor.Migrator) {
			m.Stop = func(context.Context, bool) *mayastor.Ending {
				if time.Now().Before(thrown) {
					return nil
				}
				return &mayastor.Ending{State: mayastor.Aborted, Reason: "Switch", Sentence: "the switch is thrown"}
			}
		}
		b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: "/v0/pools/*/cordon", Times: -1, Delay: 3 * time.Second})
		vol := b.sim.Published(5*gib, "sata-1", "sata-2")
		b.sim.Mark(vol)
		result := b.move(b.order(vol, nvme(4)...))
		safe, state = max(0, time.Since(thrown)), result.State
		if state != mayastor.Moved && result.Reason != "Switch" {
			b.t.Errorf("stopped after %s: %s (%s) %s", at, state, result.Reason, result.Error)
		}
		if state == mayastor.Aborted && !strings.Contains(log.String(), `"stop_to_safe_ms":`) {
			b.t.Errorf("stopped after %s: the end does not say how long it took:\n%s", at, &log)
		}
		for _, c := range b.sim.Calls() {
			up := strings.HasSuffix(c.Path, "replica_count/3") || strings.Contains(c.Path, "/pools/") && strings.HasSuffix(c.Path, "/cordon")
			if c.Method == http.MethodPut && up {
				begun = max(begun, c.At.Sub(thrown))
			}
		}
		if begun > write {
			b.t.Errorf("stopped after %s: something new was asked for %s later", at, begun)
		}
		if write == 0 && safe > time.Minute {
			b.t.Errorf("stopped after %s: at a safe end only %s later\n%s", at, safe, &log)
		}
		b.atRest(vol, 2)
		if got := b.sim.LowestSynced(vol); got < 2 {
			b.t.Errorf("stopped after %s: copies in sync fell to %d", at, got)
		}
	})
	return begun, safe, state
}

// TestAStopDoesNotWaitForBackOff: what the server refused for long enough to be
// tried every few minutes only is tried at once when the move is to stop, and
// twice a minute from then on.
func TestAStopDoesNotWaitForBackOff(t *testing.T) {
	t.Parallel()
	for _, mended := range []time.Duration{0, 12 * time.Minute} {
		t.Run(fmt.Sprintf("mended %s after the stop", mended), func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
				const stopped = 21 * time.Minute
				stop := make(chan struct{})
				b.tweak = func(m *mayastor.Migrator) { m.Jitter = func(d time.Duration) time.Duration { return d } }
				b.sim.Inject(simulator.Fault{Method: http.MethodPut, Path: "/v0/volumes/*/replica_count/2", Effect: simulator.FailBefore, Kind: "Conflict", Times: -1})
				time.AfterFunc(stopped, func() { close(stop) })
				time.AfterFunc(stopped+mended, b.sim.ClearFaults)
				vol := b.sim.Published(gib, "sata-1", "sata-2")
				began := time.Now()
				result, err := b.migrator().Move(b.t.Context(), stop, b.order(vol, nvme(4)...))
				if err != nil {
					b.t.Fatal(err)
				}
				if took := time.Since(began) - stopped - mended; took > time.Minute {
					b.t.Errorf("%s (%s) %s after the server took it again, want a minute at most", result.State, result.Reason, took)
				}
				b.atRest(vol, 2)
			})
		})
	}
}

// TestAMoveThatIsResumedOutwaitsLimitsThatCannotBeRead: that they cannot be read
// for a moment, as when an API server is restarted with the node of the
// migrator, does not throw a rebuild away.
func TestAMoveThatIsResumedOutwaitsLimitsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		blind time.Duration
		want  mayastor.State
	}{
		{"for a moment", 20 * time.Second, mayastor.Moved},
		{"for longer than a move waits", time.Hour, mayastor.Aborted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
				b.ledger = newMemLedger()
				vol := b.sim.Published(40*gib, "sata-1", "sata-2")
				b.sim.Mark(vol)
				o := b.order(vol, nvme(4)...)
				ctx, kill := context.WithCancelCause(b.t.Context())
				time.AfterFunc(30*time.Second, func() { kill(errKilled) })
				if _, err := b.migrator().Move(ctx, nil, o); !errors.Is(err, errKilled) {
					b.t.Fatalf("err %v, want killed", err)
				}
				back := time.Now().Add(tt.blind)
				b.tweak = func(m *mayastor.Migrator) {
					m.Limits = func(context.Context) (mayastor.Caps, error) {
						if time.Now().Before(back) {
							return mayastor.Caps{}, errors.New("connection refused")
						}
						return mayastor.Caps{}, nil
					}
				}
				if result := b.move(o); result.State != tt.want {
					b.t.Errorf("%s (%s) %s, want %s", result.State, result.Reason, result.Error, tt.want)
				}
				b.atRest(vol, 2)
			})
		})
	}
}
