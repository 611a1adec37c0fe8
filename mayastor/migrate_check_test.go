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

// recorded has the server's record of rebuilds say of each new replica what state
// returns: how its last rebuild ended, "" for no record, or a status of HTTP.
func (b *bench) recorded(vol string, state func() string) {
	next := b.http.Transport
	b.http.Transport = transport(func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/rebuild-history") {
			return next.RoundTrip(req)
		}
		says := state()
		switch says {
		case "404":
			return &http.Response{StatusCode: http.StatusNotFound, Body: http.NoBody, Request: req}, nil
		case "503":
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: req}, nil
		}
		var records []string
		for _, r := range b.sim.Truth(vol) {
			if strings.HasPrefix(r.Pool, "nvme") && says != "" {
				records = append(records, fmt.Sprintf(`{"childUri":"nvmf://x?uuid=%s","rebuildJobState":%q,"endTime":"2000-01-01T00:02:00Z"}`, r.UUID, says))
			}
		}
		body := `{"targetUuid":"x","records":[` + strings.Join(records, ",") + `]}`
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	})
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
					b.recorded(vol, func() string {
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
		b.recorded(vol, func() string {
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
				b.recorded(vol, func() string {
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
