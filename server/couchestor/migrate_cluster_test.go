package main

import (
	"context"
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

func TestOnlyAPolicyThatSaysSoEndsItsMove(t *testing.T) {
	t.Parallel()
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "storagepolicies"}, "db")
	for _, tt := range []struct {
		name, text string
		err        error
		ends       bool
	}{
		{"disabled", `{"spec":{"enabled":false}}`, nil, true},
		{"enabled", `{"spec":{"enabled":true}}`, nil, false},
		{"enabled by default", `{"spec":{}}`, nil, false},
		{"disabled and being deleted", `{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"},"spec":{"enabled":false}}`, nil, false},
		{"gone", ``, gone, false},
		{"out of reach", ``, errors.New("connection refused"), false},
		{"garbled", `{"spec":{"enabled":fal`, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := &policyWatch{
				name: "db", every: time.Second, log: slog.New(slog.DiscardHandler),
				read: func(context.Context) ([]byte, error) { return []byte(tt.text), tt.err },
			}
			got := w.stop(t.Context())
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

func TestAPolicyIsReadAtMostOnceInAPollInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		var log strings.Builder
		w := &policyWatch{
			name: "db", every: 5 * time.Second, log: slog.New(slog.NewTextHandler(&log, nil)),
			read: func(context.Context) ([]byte, error) {
				reads++
				if reads < 3 {
					return nil, errors.New("connection refused")
				}
				return []byte(`{"spec":{"enabled":false}}`), nil
			},
		}
		for range 10 { // ten looks a second apart
			got := w.stop(t.Context())
			if ends := got != nil; ends != (reads == 3) {
				t.Errorf("after read %d got %+v", reads, got)
			}
			time.Sleep(time.Second)
		}
		if reads != 2 {
			t.Errorf("%d reads in 10 s, want one every 5 s", reads)
		}
		if got := w.stop(t.Context()); got == nil {
			t.Error("the third read says that it ends, and it did not")
		}
		if got := strings.Count(log.String(), "cannot be read"); got != 1 {
			t.Errorf("that it cannot be read was said %d times, want once:\n%s", got, &log)
		}
	})
}

func TestAReadOfAPolicyThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &policyWatch{
			name: "db", every: 5 * time.Second, log: slog.New(slog.DiscardHandler),
			read: func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		}
		start := time.Now()
		if got := w.stop(t.Context()); got != nil {
			t.Errorf("got %+v, want the move to go on", got)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it held the migrator up for %s, want one poll interval", took)
		}
	})
}

func TestNoTwoProcessesHaveOneName(t *testing.T) {
	t.Setenv("POD_NAME", "couchestor-x-1-abcde")
	a, b := holder(), holder()
	if a == b || !strings.HasPrefix(a, "couchestor-x-1-abcde-") {
		t.Errorf("got %s and %s, want the pod's name and an end of its own", a, b)
	}
}
