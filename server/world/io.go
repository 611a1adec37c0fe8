package world

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// IO is what one volume did over a stretch of time, reads and writes together.
type IO struct {
	// CoveragePercent is how much of the stretch holds samples; 0 means that
	// nothing is known, and then the rest is 0, too.
	CoveragePercent float64
	// IOPS is the mean over what holds samples.
	IOPS float64
	// LatencyMicroseconds is the mean time of one operation; 0 where there was no
	// operation, as nobody knows then how long one would have taken.
	LatencyMicroseconds float64
}

// The figures of [IOQuery], as values of its label figure.
const (
	figureLabel    = "figure"
	figureIOPS     = "iops"
	figureBusy     = "busy"
	figureCoverage = "coverage"
)

// IOQuery is the PromQL expression for what one volume did over the window: a
// vector of at most three elements that the label figure tells apart: the mean
// IOPS, the microseconds of operations a second, and how much of the window holds
// samples, in percent. The means are made as those of [ScoreQuery]; a quotient of
// two of them is the mean time of one operation.
func IOQuery(volume string, window, step, scrapeInterval time.Duration) string {
	of := func(counter string) string { return counter + "{" + pvName + "=" + strconv.Quote(volume) + "}" }
	sum := func(reads, writes string) string {
		return meanRate(of(reads), window, step, scrapeInterval) + " + " + meanRate(of(writes), window, step, scrapeInterval)
	}
	named := func(expr, figure string) string {
		return fmt.Sprintf("label_replace(%s, %q, %q, %q, %q)", expr, figureLabel, figure, "", "")
	}
	return named(sum(ReadOps, WriteOps), figureIOPS) +
		" or " + named(sum(ReadLatency, WriteLatency), figureBusy) +
		" or " + named(CoverageQuery(of(ReadOps), window, step), figureCoverage)
}

// IO reads what one volume did from one time to another, which must be at least
// [MinWindow] apart. A stretch without samples is no error. The error is a
// [*Fault].
func (p *Prometheus) IO(ctx context.Context, volume string, from, to time.Time) (IO, error) {
	to = to.Truncate(time.Millisecond)
	window := to.Sub(from).Truncate(time.Millisecond)
	if why := p.refusal(window); why != "" {
		return IO{}, &Fault{Reason: WindowRefused, Message: why}
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Limits.Timeout)
	defer cancel()
	scrape := p.cfg.ScrapeInterval
	began := time.Now()
	io, err := p.io.io(ctx, IOQuery(volume, window, Step(window, scrape), scrape), to)
	p.cfg.Observe.query(SourcePrometheus, time.Since(began), err)
	return io, err
}

// io reads the three figures.
func (c *promClient) io(ctx context.Context, query string, at time.Time) (IO, error) {
	var io IO
	var busy float64
	figures := map[string]*float64{figureIOPS: &io.IOPS, figureBusy: &busy, figureCoverage: &io.CoveragePercent}
	err := c.query(ctx, query, at, func(e element) string {
		name := string(e.metric[figureLabel])
		figure := figures[name]
		switch {
		case figure == nil:
			return "a vector that says nothing of what was asked for, or the same twice"
		case e.flaw() != fine:
			return "a value that is no number of " + name
		}
		*figure, figures[name] = e.value, nil
		return ""
	})
	if err != nil {
		return IO{}, err
	}
	// Each of the others without the coverage, or the other way round, says that
	// the stretch holds too little.
	if figures[figureIOPS] != nil || figures[figureBusy] != nil || figures[figureCoverage] != nil {
		return IO{}, nil
	}
	io.CoveragePercent = min(io.CoveragePercent, 100)
	if io.IOPS > 0 {
		io.LatencyMicroseconds = busy / io.IOPS
	}
	return io, nil
}
