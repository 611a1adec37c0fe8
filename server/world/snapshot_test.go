package world

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var testLimits = Limits{TTL: 30 * time.Second, Timeout: 20 * time.Second}

// counted is a source that answers with the number of the reading, after a
// while, or with an error.
type counted struct {
	reads atomic.Int64
	takes time.Duration
	err   error
}

func (c *counted) read(ctx context.Context, _ *snapshot[int64]) (int64, error) {
	n := c.reads.Add(1)
	if c.takes > 0 {
		select {
		case <-time.After(c.takes):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return n, c.err
}

func (c *counted) cell(t *testing.T) *cell[int64] {
	t.Helper()
	cell := &cell[int64]{
		limits: testLimits,
		read:   c.read,
		done:   func(*snapshot[int64], time.Duration) {},
	}
	// synctest fails a test that leaves a goroutine behind; closing must be
	// enough to leave none.
	t.Cleanup(cell.close)
	return cell
}

func TestSnapshotIsReadOnDemandOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{}
		c := src.cell(t)
		time.Sleep(time.Hour)
		if n := src.reads.Load(); n != 0 {
			t.Fatalf("read %d times while nobody asked", n)
		}
		if s := c.get(t.Context()); s.value != 1 {
			t.Fatalf("first caller got reading %d, want 1", s.value)
		}
		time.Sleep(testLimits.TTL - 1)
		if s := c.get(t.Context()); s.value != 1 {
			t.Errorf("within the time to live got reading %d, want 1 again", s.value)
		}
		time.Sleep(time.Nanosecond)
		if s := c.get(t.Context()); s.value != 2 {
			t.Errorf("after the time to live got reading %d, want 2", s.value)
		}
	})
}

func TestNobodyWaitsWhereCallersComeOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: 4 * time.Second}
		c := src.cell(t)
		c.get(t.Context())
		for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(2 * time.Second) {
			start := time.Now()
			s := c.get(t.Context())
			if waited := time.Since(start); waited != 0 {
				t.Fatalf("waited %s after %s", waited, time.Since(began))
			}
			if age := time.Since(s.tried); age >= testLimits.TTL {
				t.Fatalf("got a reading of %s ago, want it younger than the time to live", age)
			}
		}
		// A quarter of the time to live is 7.5 s: a reading ends each 22.5 to 24.5 s
		// after the one before, plus its own 4 s.
		if n := src.reads.Load(); n < 125 || n > 136 {
			t.Errorf("read %d times in an hour", n)
		}
	})
}

func TestManyCallersShareOneRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: 2 * time.Second}
		c := src.cell(t)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if s := c.get(t.Context()); s == nil || s.value != 1 {
					t.Errorf("got %+v, want reading 1", s)
				}
			})
		}
		wg.Wait()
		if n := src.reads.Load(); n != 1 {
			t.Errorf("read %d times, want once", n)
		}
	})
}

func TestCallersWaitFiveSecondsFromTheStartOfARefreshAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: 12 * time.Second}
		c := src.cell(t)
		start := time.Now()
		if s := c.get(t.Context()); s != nil {
			t.Errorf("got %+v before the first reading ended", s)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %s, want 5s", waited)
		}
		// A second caller must not pay again for the same hanging source.
		start = time.Now()
		c.get(t.Context())
		if waited := time.Since(start); waited != 0 {
			t.Errorf("second caller waited %s, want 0s", waited)
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if s := c.get(t.Context()); s.value != 1 || src.reads.Load() != 1 {
			t.Errorf("got reading %d of %d, want the one that landed late", s.value, src.reads.Load())
		}
	})
}

func TestRefreshOutlivesTheCallerThatAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: 3 * time.Second}
		c := src.cell(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if s := c.get(ctx); s != nil {
			t.Errorf("got %+v, want nothing yet", s)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %s after the caller's own end at 1s", waited)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := c.current.Load(); s == nil || s.value != 1 || s.err != nil {
			t.Errorf("got %+v, want the reading to have gone on", s)
		}
	})
}

func TestReadingThatHangsIsEndedByItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: time.Hour}
		c := src.cell(t)
		c.get(t.Context())
		time.Sleep(testLimits.Timeout)
		synctest.Wait()
		s := c.current.Load()
		if s == nil || !errors.Is(s.err, errTimeout) || s.known() {
			t.Fatalf("got %+v, want a time-out and no value", s)
		}
	})
}

func TestFailedReadingKeepsTheLastGoodValueAndItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{}
		c := src.cell(t)
		good := c.get(t.Context())
		src.err = errors.New("down")
		time.Sleep(testLimits.TTL)
		s := c.get(t.Context())
		if s.err == nil || s.value != good.value || !s.began.Equal(good.began) {
			t.Errorf("got %+v, want the error beside the good value %+v", s, good)
		}
		if s.tried.Equal(good.tried) {
			t.Error("the failed try left no trace of its time")
		}
		src.err = nil
		time.Sleep(maxRetry)
		if s := c.get(t.Context()); s.err != nil || s.value != 3 {
			t.Errorf("got %+v, want the error gone with reading 3", s)
		}
	})
}

func TestFailedReadingIsTriedAgainSoonButNotByEachCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{err: errors.New("down")}
		c := src.cell(t)
		for range 10 {
			c.get(t.Context())
		}
		if n := src.reads.Load(); n != 1 {
			t.Errorf("read %d times in the same instant, want once", n)
		}
		time.Sleep(maxRetry)
		c.get(t.Context())
		if n := src.reads.Load(); n != 2 {
			t.Errorf("read %d times after the retry time, want 2", n)
		}
	})
}

func TestSnapshotIsNoDataAfterThreeTimesTheTTLPlusTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{}
		c := src.cell(t)
		c.get(t.Context())
		src.err = errors.New("down")
		bound := 3*testLimits.TTL + testLimits.Timeout
		time.Sleep(bound)
		if s := c.get(t.Context()); !s.fresh(time.Now(), testLimits) {
			t.Errorf("stale at an age of %s", bound)
		}
		time.Sleep(time.Nanosecond)
		if s := c.get(t.Context()); s.fresh(time.Now(), testLimits) || s.value != 1 {
			t.Errorf("got %+v, want the last good value, stale", s)
		}
	})
}

func TestAgeCountsFromTheStartOfAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: 4 * time.Second}
		c := src.cell(t)
		start := time.Now()
		s := c.get(t.Context())
		if !s.began.Equal(start) || !s.tried.Equal(start.Add(4*time.Second)) {
			t.Errorf("began %s, tried %s, want 0s and 4s", s.began.Sub(start), s.tried.Sub(start))
		}
	})
}

func TestPanicOverAnAnswerIsAnErrorOfThatSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cell[int64]{
			limits: testLimits,
			read:   func(context.Context, *snapshot[int64]) (int64, error) { panic("odd answer") },
			done:   func(*snapshot[int64], time.Duration) {},
		}
		defer c.close()
		s := c.get(t.Context())
		if s == nil || s.err == nil || !strings.Contains(s.err.Error(), "odd answer") {
			t.Errorf("got %+v, want an error that tells the panic", s)
		}
	})
}

func TestClosedReaderEndsItsRefreshAndBeginsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{takes: time.Hour}
		c := src.cell(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c.get(ctx)
		start := time.Now()
		c.close()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("closing waited %s for a reading that listens to its context", waited)
		}
		if s := c.current.Load(); s == nil || !errors.Is(s.err, errClosed) {
			t.Errorf("got %+v, want the refresh to have ended by the close", s)
		}
		time.Sleep(time.Hour)
		c.get(t.Context())
		if n := src.reads.Load(); n != 1 {
			t.Errorf("read %d times, want none after the close", n)
		}
	})
}

func TestEachReadingSeesTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cell[int64]{
			limits: testLimits,
			read: func(_ context.Context, prev *snapshot[int64]) (int64, error) {
				if prev == nil {
					return 1, nil
				}
				return prev.value * 10, nil
			},
			done: func(*snapshot[int64], time.Duration) {},
		}
		defer c.close()
		c.get(t.Context())
		time.Sleep(testLimits.TTL)
		if s := c.get(t.Context()); s.value != 10 {
			t.Errorf("got %d, want 10 from the 1 before", s.value)
		}
	})
}

func TestGoodReadingsCountFromTheFirstThatFollowedNoBadOneAndNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &counted{}
		c := src.cell(t)
		start := time.Now()
		since := func(step string, want time.Duration) {
			t.Helper()
			s := c.get(t.Context())
			got := source(s, time.Now(), testLimits, "It").Since
			if want < 0 && !got.IsZero() || want >= 0 && !got.Equal(start.Add(want)) {
				t.Errorf("%s: since %s after the start, want %s", step, got.Sub(start), want)
			}
		}
		since("the first reading", 0)
		time.Sleep(5 * time.Minute)
		since("the second", 0)
		time.Sleep(longestPause)
		since("after as long a pause as may be", 0)
		time.Sleep(longestPause + time.Second)
		since("after a longer pause", 25*time.Minute+time.Second)
		src.err = errors.New("away")
		time.Sleep(time.Minute)
		since("a bad reading, of which the last good one still holds", -1)
		src.err = nil
		time.Sleep(time.Minute)
		since("a good one again", 27*time.Minute+time.Second)
	})
}
