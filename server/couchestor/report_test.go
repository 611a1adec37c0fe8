package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/server/report"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// moves is a plan with two moves that ended long before at, and what Prometheus
// was like for its scores.
func moves(at time.Time, prometheus tiering.SourceExplanation) []tiering.Explanation {
	moved := func(job, volume string, before time.Duration) tiering.HistoryEntry {
		return tiering.HistoryEntry{
			JobName: job, VolumeName: volume, Timestamp: metav1.NewTime(at.Add(-before)), FromTier: "cold", ToTier: "hot",
			Duration: "5m0s", Outcome: tiering.OutcomeMoved,
		}
	}
	prometheus.Name = "Prometheus"
	return []tiering.Explanation{{
		Sources: []tiering.SourceExplanation{prometheus},
		History: []tiering.HistoryEntry{moved("a", "pvc-a", 5*time.Hour), moved("b", "pvc-b", 9*time.Hour)},
	}}
}

func TestMeasure(t *testing.T) {
	up := tiering.SourceExplanation{OK: true}
	slow := world.IO{CoveragePercent: 100, IOPS: 100, LatencyMicroseconds: 4000}
	for _, c := range []struct {
		name string
		// prometheus is its state when the scores were read.
		prometheus tiering.SourceExplanation
		// read answers the nth question.
		read func(ctx context.Context, n int) (world.IO, error)
		// want of each stretch, in the order in which they are asked for: what is
		// missing, or its latency.
		want         []string
		ok           bool
		reason, says string
	}{
		{
			name: "every stretch has its mean", prometheus: up,
			read: func(context.Context, int) (world.IO, error) { return slow, nil },
			want: []string{"4000", "4000", "4000", "4000"}, ok: true, says: "answered all 4 questions",
		},
		{
			name: "what samples do not cover is missing, and an idle volume has no latency", prometheus: up,
			read: func(_ context.Context, n int) (world.IO, error) {
				return []world.IO{{}, {CoveragePercent: 79.9, IOPS: 1}, {CoveragePercent: 100}, slow}[n], nil
			},
			want: []string{"Prometheus has no samples of that time", "samples cover only 80 % of that time", "0", "4000"},
			ok:   true, says: "answered all 4 questions",
		},
		{
			name: "after an error nobody asks again, and what was read is kept", prometheus: up,
			read: func(_ context.Context, n int) (world.IO, error) {
				if n == 1 {
					return world.IO{}, errors.New("an error (too many samples)")
				}
				return slow, nil
			},
			want: []string{"4000", "Prometheus did not answer", "Prometheus did not answer", "Prometheus did not answer"},
			says: "too many samples", reason: world.QueryFailed,
		},
		{
			name: "a slow Prometheus is asked for a minute", prometheus: up,
			read: func(ctx context.Context, _ int) (world.IO, error) {
				select {
				case <-time.After(25 * time.Second):
					return slow, nil
				case <-ctx.Done():
					return world.IO{}, ctx.Err()
				}
			},
			want: []string{"4000", "4000", "Prometheus was too slow", "Prometheus was too slow"},
			says: "was asked for 1m0s and answered 2 of 4 questions", reason: world.TimedOut,
		},
		{
			name:       "one that was not reached for the scores is not waited for again",
			prometheus: tiering.SourceExplanation{Reason: world.TimedOut},
			read:       func(context.Context, int) (world.IO, error) { panic("asked") },
			want:       slices.Repeat([]string{"Prometheus was not reached"}, 4),
			says:       "not asked again", reason: world.TimedOut,
		},
		{
			name:       "one that has no scores now may know of an hour of yesterday",
			prometheus: tiering.SourceExplanation{Reason: world.NoData},
			read:       func(context.Context, int) (world.IO, error) { return slow, nil },
			want:       slices.Repeat([]string{"4000"}, 4), ok: true, says: "answered all 4 questions",
		},
		{
			name: "without an address nobody is asked", prometheus: up,
			want: slices.Repeat([]string{"Prometheus was not asked"}, 4),
			says: "give --prometheus-url", reason: report.NotAsked,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				at := time.Now()
				plans := moves(at, c.prometheus)
				effects := report.Effects(plans, at, 5*time.Minute, mostMeasured)
				n := 0
				var read reading
				if c.read != nil {
					read = func(ctx context.Context, volume string, from, to time.Time) (world.IO, error) {
						if want := []string{"pvc-a", "pvc-a", "pvc-b", "pvc-b"}[n]; volume != want || to.Sub(from) != time.Hour {
							t.Errorf("asked for %s over %s, want %s over an hour", volume, to.Sub(from), want)
						}
						n++
						return c.read(ctx, n-1)
					}
				}
				source := measure(t.Context(), newWaiter(io.Discard), read, plans, effects)
				if source.OK != c.ok || source.Reason != c.reason || !strings.Contains(source.Message, c.says) {
					t.Errorf("got %+v, want OK %t, reason %q and %q", source, c.ok, c.reason, c.says)
				}
				var got []string
				for i := range effects {
					for _, s := range []report.Stretch{effects[i].Before, effects[i].After} {
						text := s.Missing
						if text == "" {
							text = strconv.FormatFloat(s.LatencyMicroseconds, 'f', -1, 64)
						}
						got = append(got, text)
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("stretches (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAnInterruptedReportIsNone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := time.Now()
	plans := moves(at, tiering.SourceExplanation{OK: true})
	source := measure(ctx, newWaiter(io.Discard), func(context.Context, string, time.Time, time.Time) (world.IO, error) {
		cancel()
		return world.IO{}, context.Canceled
	}, plans, report.Effects(plans, at, time.Minute, 1))
	if source.OK {
		t.Errorf("got %+v, want a source that is not OK", source)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := replace(file, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(file, []byte("two")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "two" {
		t.Errorf("got %q, %v", text, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v, want that of the file before", info.Mode(), err)
	}

	t.Run("what is no file is written to", func(t *testing.T) {
		if err := replace(os.DevNull, []byte("three")); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(os.DevNull); err != nil || info.Mode()&fs.ModeDevice == 0 {
			t.Errorf("%s is not what it was: %v, %v", os.DevNull, info, err)
		}
	})
	t.Run("nothing is left of what failed", func(t *testing.T) {
		if err := replace(filepath.Join(dir, "nowhere", "page.html"), []byte("four")); err == nil {
			t.Error("got no error")
		}
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		hidden, _ := filepath.Glob(filepath.Join(dir, ".*"))
		if err != nil || len(names) != 1 || len(hidden) != 0 {
			t.Errorf("got %q and %q, %v, want the page alone", names, hidden, err)
		}
	})
}
