package prometheus

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// Append stores one sample of the series with the given labels, its name under
// "__name__". Times have a precision of milliseconds and must not go backwards
// within a series; a sample more than two weeks before the newest of all series
// is refused. v may be NaN or infinite.
func (p *Prometheus) Append(series map[string]string, at time.Time, v float64) error {
	return p.AppendSeries(series, func(yield func(time.Time, float64) bool) { yield(at, v) })
}

// AppendStale marks the series as ended at the given time, as a scrape does
// that no longer sees it.
func (p *Prometheus) AppendStale(series map[string]string, at time.Time) error {
	return p.Append(series, at, math.Float64frombits(value.StaleNaN))
}

// AppendSeries stores the samples of one series in one go: all of them or, with
// an error, none. The rules are those of Append.
func (p *Prometheus) AppendSeries(series map[string]string, samples iter.Seq2[time.Time, float64]) error {
	ls := labels.FromMap(series)
	return p.withCore(func(c *core) error {
		app := c.db.AppenderV2(context.Background())
		var ref storage.SeriesRef
		for at, v := range samples {
			var err error
			ref, err = app.Append(ref, ls, 0, at.UnixMilli(), v, nil, nil, storage.AOptions{RejectOutOfOrder: true})
			if err != nil {
				_ = app.Rollback() // the error that matters is the first one
				return fmt.Errorf("store %s at %s: %w", ls, at, err)
			}
		}
		if err := app.Commit(); err != nil {
			return fmt.Errorf("store %s: %w", ls, err)
		}
		return nil
	})
}

// withCore runs f while the TSDB is kept open.
func (p *Prometheus) withCore(f func(*core) error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.core == nil {
		return errDown
	}
	return f(p.core)
}
