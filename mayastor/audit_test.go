package mayastor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/golden"
	"github.com/billyronks/couchestor/test/simulator"
)

// tableOfActions is the audit trail's, by action.
func tableOfActions() map[string]mayastor.AuditAction {
	table := map[string]mayastor.AuditAction{}
	for _, a := range mayastor.AuditActions() {
		table[a.Action] = a
	}
	return table
}

// auditCheck is a log that fails the test when a record is not one of the table
// of actions.
type auditCheck struct {
	t     testing.TB
	table map[string]mayastor.AuditAction
}

func newAuditCheck(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(auditCheck{t, tableOfActions()})
}

func (auditCheck) Enabled(context.Context, slog.Level) bool { return true }
func (c auditCheck) WithAttrs([]slog.Attr) slog.Handler     { return c }
func (c auditCheck) WithGroup(string) slog.Handler          { return c }
func (c auditCheck) Handle(_ context.Context, r slog.Record) error {
	said := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		said[a.Key] = a.Value.String()
		return true
	})
	row, ok := c.table[said["action"]]
	switch {
	case !ok:
		c.t.Errorf("record %q: action %q is not in the table", r.Message, said["action"])
	case said["outcome"] == "" || row.Outcome != "" && said["outcome"] != row.Outcome:
		c.t.Errorf("record %q: outcome %q of %s, want %q", r.Message, said["outcome"], row.Action, row.Outcome)
	case r.Level > row.Level && row.Action != mayastor.ActionWaiting:
		c.t.Errorf("record %q: level %s of %s, want %s", r.Message, r.Level, row.Action, row.Level)
	}
	return nil
}

// TestAuditTrail compares whole trails with testdata/audit, byte for byte on
// the virtual clock, and the actions in them with the table of actions.
// -update writes them anew.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tt := range []struct {
		name string
		cfg  simulator.Config
		play func(b *bench, vol string)
	}{
		{"a move of two replicas", simulator.Config{CachePeriod: 30 * time.Second, Latency: time.Second}, func(b *bench, vol string) {
			b.move(b.order(vol, nvme(4)...))
		}},
		{"a policy that is switched off while a rebuild runs", simulator.Config{}, func(b *bench, vol string) {
			off := time.Now().Add(time.Minute)
			b.tweak = func(m *mayastor.Migrator) {
				m.Stop = func(context.Context, bool) *mayastor.Ending {
					if time.Now().Before(off) {
						return nil
					}
					return &mayastor.Ending{State: mayastor.Aborted, Reason: "PolicyDisabled", Sentence: "StoragePolicy db was disabled"}
				}
			}
			b.move(b.order(vol, nvme(4)...))
		}},
		{"a rebuild that stalls", simulator.Config{}, func(b *bench, vol string) {
			time.AfterFunc(time.Minute, func() { _ = b.sim.StallRebuild(vol) })
			b.move(b.order(vol, nvme(4)...))
		}},
		{"a move that is refused", simulator.Config{}, func(b *bench, vol string) {
			b.move(b.order(vol, "sata-1", "sata-2"))
		}},
		{"limits that cannot be read, and an event that cannot be written", simulator.Config{}, func(b *bench, vol string) {
			b.tweak = func(m *mayastor.Migrator) {
				m.Limits = func(context.Context) (mayastor.Caps, error) { return mayastor.Caps{}, errors.New("connection refused") }
				m.Tell = func(context.Context, string, mayastor.Result) error { return errors.New("events is forbidden") }
			}
			b.move(b.order(vol, nvme(4)...))
		}},
		{"a migrator that dies with cordons up and is resumed", simulator.Config{Latency: 10 * time.Second}, func(b *bench, vol string) {
			ctx, kill := context.WithCancelCause(b.t.Context())
			time.AfterFunc(5*time.Second, func() { kill(errKilled) })
			if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
				b.t.Errorf("err %v, want killed", err)
			}
			b.move(b.order(vol, nvme(4)...))
		}},
		{"a recovery of what a dead migrator left", simulator.Config{}, func(b *bench, vol string) {
			ctx, kill := context.WithCancelCause(b.t.Context())
			time.AfterFunc(time.Minute, func() { kill(errKilled) })
			if _, err := b.migrator().Move(ctx, nil, b.order(vol, nvme(4)...)); !errors.Is(err, errKilled) {
				b.t.Errorf("err %v, want killed", err)
			}
			o := b.order(vol)
			o.N, o.Recover = 2, true
			b.move(o)
		}},
	} {
		inBubble(t, tt.cfg, 4, func(b *bench) {
			var out bytes.Buffer
			b.log = mayastor.NewAuditLog(&out, slog.LevelInfo).With("actor", "system:serviceaccount:couchestor-system:couchestor-migrate/pod-1", "trigger_iops", 6120.5)
			b.ledger = newMemLedger()
			vol := b.sim.Published(40*gib, "sata-1", "sata-2")
			tt.play(b, vol)
			for line := range strings.Lines(out.String()) {
				seen[auditLine(b.t, line, vol)] = true
			}
			golden.Check(b.t, filepath.Join("testdata", "audit", strings.ReplaceAll(tt.name, " ", "-")+".jsonl"), out.Bytes())
		})
	}
	for action := range tableOfActions() {
		if !seen[action] {
			t.Errorf("no trail has the action %s", action)
		}
	}
}

// auditLine checks what every record of a move has, and returns its action.
func auditLine(t *testing.T, line, vol string) (action string) {
	t.Helper()
	var record map[string]any
	if err := json.Unmarshal([]byte(line), &record); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	for _, key := range []string{"timestamp", "level", "message", "action", "outcome", "actor", "volume", "volume_uuid", "move", "policy", "attempt", "from_tier", "to_tier", "trigger_iops"} {
		if record[key] == nil || record[key] == "" {
			t.Errorf("record without %s: %s", key, line)
		}
	}
	if move, _ := record["move"].(string); record["volume"] != "pvc-"+vol || !strings.HasPrefix(move, mayastor.LabelPrefix+vol+"-") {
		t.Errorf("record of volume %v and move %v, want volume pvc-%s and a move of it", record["volume"], record["move"], vol)
	}
	action, _ = record["action"].(string)
	if _, ok := tableOfActions()[action]; !ok {
		t.Errorf("action %q is not in the table", action)
	}
	if _, ok := record["duration_ms"]; !ok && slices.Contains([]string{
		mayastor.ActionStepDone, mayastor.ActionCompleted, mayastor.ActionFailed, mayastor.ActionAborted, mayastor.ActionRecovered,
	}, action) {
		t.Errorf("record without duration_ms: %s", line)
	}
	return action
}
