package world

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

func TestScoreQueryIsOneVectorOverReadsAndWrites(t *testing.T) {
	got := ScoreQuery(time.Hour, time.Minute, 15*time.Second)
	want := "avg_over_time((max by (pv_name) (rate(volume_num_read_ops[1m15s])))[1h:1m]) + avg_over_time((max by (pv_name) (rate(volume_num_write_ops[1m15s])))[1h:1m])"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCoverageQueryCutsTheWindowIntoSlots(t *testing.T) {
	for _, c := range []struct {
		name         string
		counter      string
		window, step time.Duration
		want         string
	}{
		{
			"an hour in minutes", ReadOps, time.Hour, time.Minute,
			"100 * sum_over_time((max by (pv_name) (present_over_time(volume_num_read_ops[1m6s])))[1h:1m]) / scalar(count_over_time(vector(1)[1h:1m]))",
		},
		{
			"a demo in seconds", WriteOps, 15 * time.Second, time.Second,
			"100 * sum_over_time((max by (pv_name) (present_over_time(volume_num_write_ops[1s100ms])))[15s:1s]) / scalar(count_over_time(vector(1)[15s:1s]))",
		},
		{
			"parts of a second", WriteOps, 7500 * time.Millisecond, 250 * time.Millisecond,
			"100 * sum_over_time((max by (pv_name) (present_over_time(volume_num_write_ops[275ms])))[7s500ms:250ms]) / scalar(count_over_time(vector(1)[7s500ms:250ms]))",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := CoverageQuery(c.counter, c.window, c.step); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestStepIsTheScrapeIntervalOrASixtiethOfTheWindow(t *testing.T) {
	for _, c := range []struct {
		window, scrape, want time.Duration
	}{
		{time.Hour, time.Minute, time.Minute},
		{time.Hour, 15 * time.Second, time.Minute},
		{time.Hour, 2 * time.Minute, 2 * time.Minute},
		{24 * time.Hour, time.Minute, 24 * time.Minute},
		{15 * time.Second, time.Second, time.Second},
		// 3661 s / 60 is 61.01666… s: rounded up, never to a finer unit.
		{time.Hour + time.Minute + time.Second, time.Minute, 61017 * time.Millisecond},
	} {
		if got := Step(c.window, c.scrape); got != c.want {
			t.Errorf("Step(%s, %s) = %s, want %s", c.window, c.scrape, got, c.want)
		}
	}
}

func TestDurationsArePrintedInPrometheusSyntaxWithoutLoss(t *testing.T) {
	for _, d := range []time.Duration{
		time.Millisecond, 250 * time.Millisecond, time.Second, 90 * time.Second,
		time.Hour, 90 * time.Minute, 24 * time.Hour, 36 * time.Hour, 7 * 24 * time.Hour,
		24*time.Hour + time.Millisecond, 61017 * time.Millisecond,
	} {
		back, err := model.ParseDuration(promDuration(d))
		if err != nil || time.Duration(back) != d {
			t.Errorf("%s is printed as %q and read back as %s (%v)", d, promDuration(d), time.Duration(back), err)
		}
	}
}
