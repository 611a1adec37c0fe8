package mayastor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// recorded has the server's record of rebuilds say what answer returns of each replica
// on a target pool.
func (b *bench) recorded(vol string, answer func(replica string) (status int, records []string)) {
	next := b.http.Transport
	b.http.Transport = transport(func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/rebuild-history") {
			return next.RoundTrip(req)
		}
		status, all := http.StatusOK, []string(nil)
		for _, r := range b.sim.Truth(vol) {
			if strings.HasPrefix(r.Pool, "nvme") {
				var records []string
				status, records = answer(r.UUID)
				all = append(all, records...)
			}
		}
		body := `{"targetUuid":"x","records":[` + strings.Join(all, ",") + `]}`
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	})
}

// ended has it say how the last rebuild of each ended, "" for no record, or answer
// with a status of HTTP.
func (b *bench) ended(vol string, state func() string) {
	b.recorded(vol, func(replica string) (status int, records []string) {
		switch says := state(); says {
		case "":
			return http.StatusOK, nil
		case "404":
			return http.StatusNotFound, nil
		case "503":
			return http.StatusServiceUnavailable, nil
		default:
			return http.StatusOK, []string{record(replica, says, "2000-01-01T00:02:00Z")}
		}
	})
}

// record is how a rebuild of a replica ended.
func record(replica, state, end string) string {
	return fmt.Sprintf(`{"childUri":"nvmf://10.0.0.1:8420/nqn:x?uuid=%s","rebuildJobState":%q,"endTime":%q}`, replica, state, end)
}

// TestTheServersRecordOfRebuildsHoldsAStepBack: two looks say that the new
// replica is in sync, and the server's own record says otherwise.
func TestTheServersRecordOfRebuildsHoldsAStepBack(t *testing.T) {
	t.Parallel()
	const early, late = "2000-01-01T00:01:00Z", "2000-01-01T00:02:00Z"
	other := "00000000-0000-4000-8000-000000000000"
	for _, tt := range []struct {
		name    string
		records func(replica string) []string // nil for a server without them
		want    mayastor.State
	}{
		{"completed", func(r string) []string { return []string{record(r, "Completed", late)} }, mayastor.Moved},
		{"completed after it had failed", func(r string) []string { return []string{record(r, "Failed", early), record(r, "Completed", late)} }, mayastor.Moved},
		{"the same, newest first", func(r string) []string { return []string{record(r, "Completed", late), record(r, "Failed", early)} }, mayastor.Moved},
		{"without times, one of them completed", func(r string) []string { return []string{record(r, "Completed", ""), record(r, "Stopped", "")} }, mayastor.Moved},
		{"nothing about this replica", func(string) []string { return []string{record(other, "Failed", late)} }, mayastor.Moved},
		{"empty, as after a switch-over", func(string) []string { return nil }, mayastor.Moved},
		{"not offered by this server", nil, mayastor.Moved},
		{"failed", func(r string) []string { return []string{record(r, "Failed", late)} }, mayastor.Failed},
		{"stopped after it had completed", func(r string) []string { return []string{record(r, "Completed", early), record(r, "Stopped", late)} }, mayastor.Failed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
				vol := b.sim.Published(20*gib, "sata-1", "sata-2")
				b.sim.Mark(vol)
				b.recorded(vol, func(replica string) (status int, records []string) {
					if tt.records == nil {
						return http.StatusNotFound, nil
					}
					return http.StatusOK, tt.records(replica)
				})
				result := b.move(b.order(vol, nvme(4)...))
				if result.State != tt.want {
					b.t.Errorf("%s (%s) %s, want %s", result.State, result.Reason, result.Error, tt.want)
				}
				if tt.want == mayastor.Failed && (result.Reason != string(mayastor.ReasonRebuildFailed) || b.pools(vol) != "sata-1,sata-2") {
					b.t.Errorf("%s %s; replicas on %s, want RebuildFailed and the original pools", result.Reason, result.Error, b.pools(vol))
				}
				b.atRest(vol, 2)
				if got := b.sim.LowestSynced(vol); got < 2 {
					b.t.Errorf("copies in sync fell to %d", got)
				}
			})
		})
	}
}

func TestADoubtAboutTheOnlyCopyOutlivesAnAnswerThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, silence := range []string{"503", "404", ""} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q, killed %t", silence, killed), func(t *testing.T) {
				t.Parallel()
				inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
					b.ledger = newMemLedger()
					vol := b.sim.Published(2*gib, "sata-1")
					start := time.Now()
					b.ended(vol, func() string {
						if time.Since(start) > 5*time.Minute {
							return silence
						}
						return "Failed"
					})
					if killed {
						ctx, kill := context.WithCancelCause(b.t.Context())
						time.AfterFunc(6*time.Minute, func() { kill(errKilled) })
						if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
							b.t.Fatalf("err %v, want killed", err)
						}
					}
					result := b.move(b.order(vol, nvme(4)...))
					if result.State != mayastor.Failed || result.Reason != string(mayastor.ReasonRebuildFailed) || b.pools(vol) != "sata-1" {
						b.t.Errorf("%s (%s) %s; replicas on %s, want RebuildFailed and the old one kept", result.State, result.Reason, result.Error, b.pools(vol))
					}
					b.atRest(vol, 1)
				})
			})
		}
	}
}

func TestARebuildThatCompletesAtLastClearsTheDoubt(t *testing.T) {
	t.Parallel()
	inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
		ledger := newMemLedger()
		b.ledger = ledger
		vol := b.sim.Published(2*gib, "sata-1")
		start := time.Now()
		b.ended(vol, func() string {
			if time.Since(start) > 5*time.Minute {
				return "Completed"
			}
			return "Failed"
		})
		time.AfterFunc(4*time.Minute, func() {
			var j mayastor.Journal
			if err := json.Unmarshal(ledger.volume(vol).journal, &j); err != nil || j.Doubt.Record != "Failed" {
				b.t.Errorf("the journal says %+v, %v", j.Doubt, err)
			}
		})
		if result := b.move(b.order(vol, nvme(4)...)); result.State != mayastor.Moved || !strings.HasPrefix(b.pools(vol), "nvme-") {
			b.t.Errorf("%s (%s) %s; replicas on %s, want moved", result.State, result.Reason, result.Error, b.pools(vol))
		}
		b.atRest(vol, 1)
	})
}

// The time is over while the proof is made again, and then the record changes: the
// new replica may stay, and nobody says that it went.
func TestAMoveThatEndsInDoubtSaysNothingOfAReplicaThatStays(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"Completed", "", "404"} {
		t.Run(after, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simulator.Config{CachePeriod: 30 * time.Second}, 4, func(b *bench) {
				b.tweak = func(m *mayastor.Migrator) {
					m.Timeout = 15 * time.Minute
					m.Jitter = func(time.Duration) time.Duration { return 31 * time.Second }
				}
				vol := b.sim.Published(2*gib, "sata-1", "sata-2")
				start := time.Now()
				b.ended(vol, func() string {
					if time.Since(start) > 15*time.Minute {
						return after
					}
					return "Failed"
				})
				result := b.move(b.order(vol, nvme(4)...))
				if result.State != mayastor.Failed || result.Reason != string(mayastor.ReasonRebuildFailed) {
					b.t.Errorf("%s (%s) %s, want RebuildFailed", result.State, result.Reason, result.Error)
				}
				if gone := b.pools(vol) == "sata-1,sata-2"; !gone && strings.Contains(result.Error, "given up") {
					b.t.Errorf("%q, and the volume is on %s", result.Error, b.pools(vol))
				}
				b.atRest(vol, 2)
			})
		})
	}
}
