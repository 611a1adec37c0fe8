package main

import (
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/test/live/prometheus"
)

// history is what Prometheus knows: from when and until when, with one sample in
// each interval.
type history struct {
	prometheus  *prometheus.Prometheus
	from, until time.Time
	interval    time.Duration
}

// write stores the two counters that scores are made of, as the exporter of the
// volume's target shows them, from the given time on. An unpublished volume has
// none. Each target is scraped at its own second of the minute.
func (h *history) write(v *volume, from time.Time) error {
	if v.target == "" {
		return nil
	}
	phase := time.Duration(v.index%60) * h.interval / 60
	for _, counter := range []struct {
		name  string
		share float64
	}{{world.ReadOps, 0.7}, {world.WriteOps, 0.3}} {
		series := map[string]string{
			"__name__": counter.name, "job": "mayastor", "instance": v.target + ":9502", "node": v.target, "pv_name": "pvc-" + v.uuid,
		}
		if err := h.prometheus.AppendSeries(series, h.samples(v.load, counter.share, from, phase)); err != nil {
			return fmt.Errorf("write the samples of volume %s: %w", v.uuid, err)
		}
	}
	return nil
}

func (h *history) samples(l load, share float64, from time.Time, phase time.Duration) iter.Seq2[time.Time, float64] {
	return func(yield func(time.Time, float64) bool) {
		for at := h.from.Add(phase); at.Before(h.until); at = at.Add(h.interval) {
			if !at.Before(from) && !yield(at, math.Floor(share*l.ops(h.from, at))) {
				return
			}
		}
	}
}
