package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/billyronks/couchestor/mayastor"
)

var errGone = apierrors.NewNotFound(schema.GroupResource{Resource: "storagepolicies"}, "db")

// says is an object that reads as text, or cannot be read.
func says(text string, err error) *watched {
	return &watched{
		what: "StoragePolicy db", patience: time.Second, log: slog.New(slog.DiscardHandler),
		read: func(context.Context) ([]byte, error) { return []byte(text), err },
	}
}

// governance is a ConfigMap with the data.
func governance(t *testing.T, data map[string]string) *watched {
	t.Helper()
	text, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		t.Fatal(err)
	}
	w := says(string(text), nil)
	w.what = "ConfigMap ns/couchestor-governance"
	return w
}

func TestOnlyAPolicyThatSaysSoEndsItsMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		err        error
		ends       bool
	}{
		{"disabled", `{"spec":{"enabled":false}}`, nil, true},
		{"enabled", `{"spec":{"enabled":true}}`, nil, false},
		{"enabled by default", `{"spec":{}}`, nil, false},
		{"disabled and being deleted", `{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"},"spec":{"enabled":false}}`, nil, false},
		{"gone", ``, errGone, false},
		{"out of reach", ``, errors.New("connection refused"), false},
		{"garbled", `{"spec":{"enabled":fal`, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &switches{policy: says(tt.text, tt.err), log: slog.New(slog.DiscardHandler)}
			got := s.stop(t.Context(), true)
			if !tt.ends {
				if got != nil {
					t.Errorf("got %+v, want the move to go on", got)
				}
				return
			}
			if got == nil || got.State != mayastor.Aborted || got.Reason != reasonPolicyDisabled || !strings.Contains(got.Sentence, "StoragePolicy db was disabled") {
				t.Errorf("got %+v, want aborted (PolicyDisabled) with a sentence", got)
			}
		})
	}
}

func TestTheGovernanceStopsWhatRunsAndFreezesWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	later, before := time.Now().Add(time.Hour).UTC().Format(time.RFC3339), time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	type data = map[string]string
	for _, tt := range []struct {
		name         string
		governance   *watched
		begun, fresh mayastor.Reason // why a move ends that has begun, and one that has not
		sentence     string
	}{
		{"empty", governance(t, nil), "", "", ""},
		{"not there", says("", errGone), "", "", ""},
		{"out of reach", says("", errors.New("connection refused")), "", "", ""},
		{"garbled", says(`{"data":`, nil), "", "", ""},
		{"not to be read", nil, "", "", ""},
		{"emergency stop", governance(t, data{"emergencyStop": "true", "emergencyStop.reason": "storage on fire"}), reasonEmergencyStop, reasonEmergencyStop, "storage on fire"},
		{"emergency stop taken back", governance(t, data{"emergencyStop": "false"}), "", "", ""},
		{"emergency stop beside keys that do not parse", governance(t, data{"emergencyStop": "true", "limit.moves": "many", "nonsense": "1"}), reasonEmergencyStop, reasonEmergencyStop, "emergencyStop"},
		{"frozen", governance(t, data{"freeze.until": later, "freeze.reason": "quarter's end"}), "", reasonFrozen, "quarter's end"},
		{"frozen until a moment ago", governance(t, data{"freeze.until": before, "freeze.reason": "quarter's end"}), "", "", ""},
		{"frozen without an end that can be read", governance(t, data{"freeze.until": "tomorrow", "freeze.reason": "quarter's end"}), "", reasonFrozen, "until its end can be read"},
		{"stopped and frozen", governance(t, data{"emergencyStop": "true", "freeze.until": later, "freeze.reason": "x"}), reasonEmergencyStop, reasonEmergencyStop, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for begun, want := range map[bool]mayastor.Reason{true: tt.begun, false: tt.fresh} {
				s := &switches{governance: tt.governance, log: slog.New(slog.DiscardHandler)}
				got := s.stop(t.Context(), begun)
				if (got != nil) != (want != "") || got != nil && (got.Reason != want || !strings.Contains(got.Sentence, tt.sentence)) {
					t.Errorf("begun %t: got %+v, want %q with %q", begun, got, want, tt.sentence)
				}
			}
		})
	}
}

func TestLimitsThatCannotBeReadLetNothingIn(t *testing.T) {
	t.Parallel()
	type data = map[string]string
	for _, tt := range []struct {
		name       string
		governance *watched
		want       mayastor.Caps
		fault      string
	}{
		{"none to be read", nil, mayastor.Caps{}, ""},
		{"not there", says("", errGone), mayastor.Caps{}, ""},
		{"all four", governance(t, data{"limit.moves": "4", "limit.bytesInFlight": "500Gi", "limit.movesPerPool": "2", "limit.movesPerNode": "1"}), mayastor.Caps{Moves: 4, Bytes: 500 << 30, PerPool: 2, PerNode: 1}, ""},
		{"one beside a fault elsewhere", governance(t, data{"limit.moves": "4", "freeze.until": "tomorrow"}), mayastor.Caps{Moves: 4}, ""},
		{"one that is no number", governance(t, data{"limit.moves": "four"}), mayastor.Caps{}, "limit.moves"},
		{"one that is misspelt", governance(t, data{"limits.moves": "4"}), mayastor.Caps{}, "limits.moves"},
		{"out of reach", says("", errors.New("connection refused")), mayastor.Caps{}, "connection refused"},
		{"garbled", says(`{"data":`, nil), mayastor.Caps{}, "read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &switches{governance: tt.governance, log: slog.New(slog.DiscardHandler)}
			got, err := s.limits(t.Context())
			if got != tt.want || (err != nil) != (tt.fault != "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, tt.want, tt.fault)
			}
		})
	}
}

func TestASwitchIsReadAtMostOnceASecondAndItsTroubleToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		var log strings.Builder
		w := &watched{
			what: "StoragePolicy db", patience: time.Second, log: slog.New(slog.NewTextHandler(&log, nil)),
			read: func(context.Context) ([]byte, error) {
				reads++
				if reads < 5 {
					return nil, errors.New("connection refused")
				}
				return []byte(`{"spec":{"enabled":false}}`), nil
			},
		}
		s := &switches{policy: w}
		for range 16 { // sixteen looks, four in a second
			if got := s.stop(t.Context(), true); got != nil {
				t.Errorf("after read %d got %+v", reads, got)
			}
			time.Sleep(time.Second / 4)
		}
		if reads != 4 {
			t.Errorf("%d reads in 4 s, want one each second", reads)
		}
		if got := s.stop(t.Context(), true); got == nil {
			t.Error("the fifth read says that it ends, and it did not")
		}
		if got := strings.Count(log.String(), "the move goes on"); got != 1 {
			t.Errorf("that it cannot be read was said %d times, want once:\n%s", got, &log)
		}
	})
}

func TestLimitsAreReadAfreshForEachAnswer(t *testing.T) {
	t.Parallel()
	reads := 0
	w := governance(t, nil)
	read := w.read
	w.read = func(ctx context.Context) ([]byte, error) { reads++; return read(ctx) }
	s := &switches{governance: w}
	for range 3 {
		if _, err := s.limits(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if reads != 3 {
		t.Errorf("%d reads, want 3", reads)
	}
}

func TestAReadThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := says("", nil)
		w.patience = 5 * time.Second
		w.read = func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
		start := time.Now()
		s := &switches{policy: w}
		if got := s.stop(t.Context(), true); got != nil {
			t.Errorf("got %+v, want the move to go on", got)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it held the migrator up for %s, want its patience of 5s", took)
		}
	})
}

func TestAReadThatNobodyWaitsForIsNoTrouble(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{what: "StoragePolicy db", patience: time.Second, log: slog.New(slog.NewTextHandler(&log, nil))}
	w.read = func(ctx context.Context) ([]byte, error) { cancel(); <-ctx.Done(); return nil, ctx.Err() }
	s := &switches{policy: w}
	if got := s.stop(ctx, true); got != nil || log.Len() > 0 {
		t.Errorf("got %+v and\n%s", got, &log)
	}
	w.read = func(context.Context) ([]byte, error) { return []byte(`{"spec":{"enabled":false}}`), nil }
	if got := s.stop(t.Context(), true); got == nil {
		t.Error("what was cut short was taken for an answer")
	}
}
