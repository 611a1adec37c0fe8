package world

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// The counters that a volume's score is made of (MS 7.1). Mayastor exposes
// them as gauges; rate handles their resets all the same.
const (
	ReadOps  = "volume_num_read_ops"
	WriteOps = "volume_num_write_ops"
)

// pvName is the label of the two counters that names the PersistentVolume.
const pvName = "pv_name"

// ScoreQuery is the PromQL expression for the mean IOPS, reads plus writes, of
// every volume of the cluster over the window: one vector with one element per
// pv_name.
//
// The max collapses what two scrapers saw of one target; the sum adds up the
// targets that served a volume in turn. The target's node is called
// exported_node where the scrape configuration has a node label of its own
// (MS 7.2). A volume that lacks one of the two counters is not in the vector.
func ScoreQuery(window time.Duration) string {
	w := promDuration(window)
	return fmt.Sprintf(
		"sum by (%[1]s) (max by (%[1]s, node, exported_node) (rate(%[2]s[%[4]s]) + rate(%[3]s[%[4]s])))",
		pvName, ReadOps, WriteOps, w)
}

// CoverageQuery is the PromQL expression for how much of the window, in
// percent, holds samples of the counter, for every volume of the cluster: one
// vector with one element per pv_name. The window is cut into slots of one
// step, and a slot counts if any target of the volume has a sample in it.
// Values above 100 are possible by one slot, as slots are aligned to the clock
// and not to the window; the reader clamps them.
func CoverageQuery(counter string, window, step time.Duration) string {
	// Dividing here instead of in PromQL could lose the last digits; the text
	// of both durations is exact.
	return fmt.Sprintf(
		"100 * %[1]s / %[2]s * sum_over_time((max by (%[3]s) (present_over_time(%[4]s[%[5]s])))[%[6]s:%[5]s])",
		seconds(step), seconds(window), pvName, counter, promDuration(step), promDuration(window))
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

// seconds prints d as a PromQL number.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Milliseconds())/1000, 'f', -1, 64)
}
