package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

// onDemand remembers what the last ScrapeOnce saw.
type onDemand struct {
	mu   sync.Mutex // one ScrapeOnce at a time
	seen map[uint64]labels.Labels
}

// scraped is the outcome of one scrape of one target.
type scraped struct {
	target  labels.Labels // as upstream resolved them, without the __ ones
	samples []sample
	took    time.Duration
	up      bool
}

type sample struct {
	labels labels.Labels
	value  float64
}

// ScrapeOnce scrapes every target once, now, over HTTP, and stores the samples
// with the time at, which must not lie before that of the last call. A series
// that the last call saw and this one does not gets a staleness marker, be it
// that it vanished, its target did, or the scrape failed. A failed scrape is no
// error: as in Prometheus it shows as `up` 0.
//
// Labels, report series and staleness are those of upstream's scrape loop,
// which itself cannot be told a time; a test compares the two.
func (p *Prometheus) ScrapeOnce(ctx context.Context, at time.Time) error {
	var targets []Target
	if p.cfg.Targets != nil {
		targets = p.cfg.Targets()
	}
	p.onDemand.mu.Lock()
	defer p.onDemand.mu.Unlock()
	return p.withCore(func(c *core) error {
		var results []scraped
		for _, t := range targets {
			result, err := t.scrape(ctx, c.scraper.config.ScrapeConfigs[0])
			if err != nil {
				return err
			}
			results = append(results, result)
		}
		if err := ctx.Err(); err != nil {
			return err // not the targets' fault: nothing is stored
		}
		app := c.db.AppenderV2(ctx)
		seen, err := p.onDemand.store(app, at.UnixMilli(), results)
		if err != nil {
			return errors.Join(err, app.Rollback())
		}
		if err := app.Commit(); err != nil {
			return fmt.Errorf("store the samples of %s: %w", at, err)
		}
		p.onDemand.seen = seen
		return nil
	})
}

// store appends all results and the staleness markers of what is gone, and
// returns the series that were seen.
func (o *onDemand) store(app storage.AppenderV2, at int64, results []scraped) (map[uint64]labels.Labels, error) {
	seen := map[uint64]labels.Labels{}
	write := func(series labels.Labels, v float64) error {
		_, err := app.Append(0, series, 0, at, v, nil, nil, storage.AOptions{RejectOutOfOrder: true})
		if err != nil {
			return fmt.Errorf("store %s at %d ms: %w", series, at, err)
		}
		return nil
	}
	for _, r := range results {
		added := 0
		for _, s := range r.samples {
			if _, was := o.seen[s.labels.Hash()]; !was {
				added++
			}
			seen[s.labels.Hash()] = s.labels
			if err := write(s.labels, s.value); err != nil {
				return nil, err
			}
		}
		for _, s := range r.report(added) {
			seen[s.labels.Hash()] = s.labels
			if err := write(s.labels, s.value); err != nil {
				return nil, err
			}
		}
	}
	for hash, series := range o.seen {
		if _, is := seen[hash]; is {
			continue
		}
		if err := write(series, math.Float64frombits(value.StaleNaN)); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// report are the series upstream adds to each scrape.
func (r scraped) report(added int) []sample {
	up := 0.0
	if r.up {
		up = 1
	}
	all := []sample{}
	for name, v := range map[string]float64{
		"up":                                    up,
		"scrape_duration_seconds":               r.took.Seconds(),
		"scrape_samples_scraped":                float64(len(r.samples)),
		"scrape_samples_post_metric_relabeling": float64(len(r.samples)),
		"scrape_series_added":                   float64(added),
	} {
		series := labels.NewBuilder(r.target).Set(model.MetricNameLabel, name).Labels()
		all = append(all, sample{series, v})
	}
	return all
}

// scrape fetches and parses the target's metrics. An error means that the
// target is configured wrongly; one that does not answer is merely not up.
func (t Target) scrape(ctx context.Context, conf *config.ScrapeConfig) (scraped, error) {
	all, err := scrape.PopulateLabels(labels.NewBuilder(labels.EmptyLabels()), conf, t.discovered(), nil)
	if err != nil {
		return scraped{}, fmt.Errorf("target %s: %w", t.URL, err)
	}
	builder := labels.NewBuilder(all)
	all.Range(func(l labels.Label) {
		if strings.HasPrefix(l.Name, model.ReservedLabelPrefix) {
			builder.Del(l.Name)
		}
	})
	result := scraped{target: builder.Labels()}
	start := time.Now()
	body, contentType, err := fetch(ctx, t.URL)
	if err == nil {
		result.samples, err = parse(body, contentType, result.target)
	}
	result.took = time.Since(start)
	result.up = err == nil
	if err != nil {
		result.samples = nil // upstream keeps nothing of a broken answer
	}
	return result, nil
}

// maxBody bounds what one exporter may send.
const maxBody = 256 << 20

// fetch gets the text of an exporter and its content type.
func fetch(ctx context.Context, url string) ([]byte, string, error) {
	ctx, cancel := context.WithTimeout(ctx, onDemandTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", fmt.Errorf("scrape %s: %w", url, err)
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("scrape %s: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("scrape %s: status %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, "", fmt.Errorf("scrape %s: %w", url, err)
	}
	return body, resp.Header.Get("Content-Type"), nil
}

// parse reads the samples of an exposition. Timestamps in it are ignored: the
// caller of ScrapeOnce says the time.
func parse(body []byte, contentType string, target labels.Labels) ([]sample, error) {
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	var samples []sample
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse metrics: %w", err)
		}
		if entry != textparse.EntrySeries {
			continue // help, type, unit, comment; Mayastor has no native histograms
		}
		var exposed labels.Labels
		p.Labels(&exposed)
		_, _, v := p.Series()
		samples = append(samples, sample{merge(exposed, target), v})
	}
}

// merge sets the target's labels on a series; a label the exporter set itself
// is kept with the prefix exported_.
func merge(exposed, target labels.Labels) labels.Labels {
	b := labels.NewBuilder(exposed)
	target.Range(func(l labels.Label) {
		if own := exposed.Get(l.Name); own != "" {
			name := model.ExportedLabelPrefix + l.Name
			for b.Get(name) != "" {
				name = model.ExportedLabelPrefix + name
			}
			b.Set(name, own)
		}
		b.Set(l.Name, l.Value)
	})
	return b.Labels()
}
