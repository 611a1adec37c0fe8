package world

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// The counters that a volume's score is made of (MS 7.1). Mayastor exposes
// them as gauges; rate handles their resets all the same.
const (
	ReadOps  = "volume_num_read_ops"
	WriteOps = "volume_num_write_ops"
)

// The counters of the time that the operations took together, in microseconds.
const (
	ReadLatency  = "volume_read_latency_us"
	WriteLatency = "volume_write_latency_us"
)

// pvName is the label of the two counters that names the PersistentVolume.
const pvName = "pv_name"

// ScoreQuery is the PromQL expression for the mean IOPS, reads plus writes, of
// every volume of the cluster over the window: one vector with one element per
// pv_name. A volume that lacks one of the two counters is not in the vector.
//
// It is the mean of the rates in the slots that [CoverageQuery] counts, each
// rate over one slot and one scrape interval more, so that none of the increase
// between two slots is lost. A rate over the whole window would count as idle
// the time in which nothing was seen: a volume published 48 minutes ago would
// score 80 % of its load over an hour. And the several series that a window
// holds of one volume - two scrapers, a target that moved, an exporter that was
// replaced - cannot be told apart by labels alone; in one slot they are the same
// counter, and the greatest is taken.
//
// scrapeInterval is what the scrapes really are apart: if they come oftener, a
// slot at either end of a stretch of samples counts for less than it was.
func ScoreQuery(window, step, scrapeInterval time.Duration) string {
	return meanRate(ReadOps, window, step, scrapeInterval) + " + " + meanRate(WriteOps, window, step, scrapeInterval)
}

// meanRate is the PromQL expression for the mean rate of what a selector selects
// over the window, by pv_name; see [ScoreQuery].
func meanRate(selector string, window, step, scrapeInterval time.Duration) string {
	return fmt.Sprintf("avg_over_time((max by (%s) (rate(%s[%s])))[%s:%s])",
		pvName, selector, promDuration(step+scrapeInterval), promDuration(window), promDuration(step))
}

// CoverageQuery is the PromQL expression for how much of the window, in
// percent, holds samples of the counter, for every volume of the cluster: one
// vector with one element per pv_name. The window is cut into slots of one
// step, and a slot counts if any target of the volume has a sample in it or in
// the tenth of a step before it: a target whose scrapes fall on the edge of the
// slots would otherwise leave some of them empty by jitter alone. How
// many slots there are depends on the instant where the step does not divide
// the window, so the engine counts them itself.
func CoverageQuery(counter string, window, step time.Duration) string {
	slots := promDuration(window) + ":" + promDuration(step)
	return fmt.Sprintf(
		"100 * sum_over_time((max by (%[1]s) (present_over_time(%[2]s[%[3]s])))[%[4]s]) / scalar(count_over_time(vector(1)[%[4]s]))",
		pvName, counter, promDuration(step+step/10), slots)
}

// Step is the slot of [CoverageQuery]: the scrape interval, but for long
// windows a sixtieth of the window, so that a query costs the same whatever the
// window. It is rounded up to the millisecond, the unit of Prometheus.
func Step(window, scrapeInterval time.Duration) time.Duration {
	step := max(scrapeInterval, window/60)
	if r := step % time.Millisecond; r > 0 {
		step += time.Millisecond - r
	}
	return step
}

// promDuration prints d as PromQL reads it, without loss for whole
// milliseconds; Prometheus knows nothing shorter.
func promDuration(d time.Duration) string { return model.Duration(d).String() }
