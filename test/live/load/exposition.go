package main

import (
	"bytes"
	"context"
	"fmt"
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// exposed is what the service says of itself on its ops port.
type exposed map[string]*dto.MetricFamily

func (s *service) exposed(ctx context.Context) (exposed, error) {
	code, text, err := s.Get(ctx, "/metrics")
	if err != nil || code != 200 {
		return nil, fmt.Errorf("read the service's metrics: status %d, %w", code, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(text))
}

// number is the value of a gauge or counter without labels; 0 if it is not there.
func (e exposed) number(name string) float64 {
	for _, m := range e[name].GetMetric() {
		return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	}
	return 0
}

// sum is that of all series of a counter.
func (e exposed) sum(name string) (sum float64) {
	for _, m := range e[name].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum
}

// buckets are those of the hook sync: upper bounds in seconds, and counts below.
func (e exposed) buckets() (bounds, counts []float64) {
	for _, m := range e["couchestor_hook_request_duration_seconds"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() != "hook" || l.GetValue() != "sync" {
				continue
			}
			for _, b := range m.GetHistogram().GetBucket() {
				bounds, counts = append(bounds, b.GetUpperBound()), append(counts, float64(b.GetCumulativeCount()))
			}
		}
	}
	return bounds, counts
}

// quantile of the syncs between two looks, in milliseconds, by linear interpolation
// as PromQL's histogram_quantile; -1 if there were none.
func quantile(before, after exposed, part float64) float64 {
	bounds, counts := after.buckets()
	if _, was := before.buckets(); len(was) == len(counts) {
		for i := range counts {
			counts[i] -= was[i]
		}
	}
	if len(counts) == 0 || counts[len(counts)-1] == 0 {
		return -1
	}
	rank := part * counts[len(counts)-1]
	low, below := 0.0, 0.0
	for i, n := range counts {
		if n >= rank {
			if math.IsInf(bounds[i], 1) {
				return 1000 * low
			}
			return 1000 * (low + (bounds[i]-low)*(rank-below)/max(1, n-below))
		}
		low, below = bounds[i], n
	}
	return 1000 * low
}
