package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

// The limits of the query engine are the defaults of the released server.
const (
	queryTimeout  = 2 * time.Minute
	maxSamples    = 50_000_000
	lookbackDelta = 5 * time.Minute
)

// tsdbSpan is the time the head of the TSDB covers. Samples older than half of
// it before the newest are refused; two weeks let tests feed series one after
// the other over the longest window there is.
const tsdbSpan = 28 * 24 * time.Hour

// core is all that a restart replaces.
type core struct {
	db      *tsdb.DB
	engine  *promql.Engine
	handler func() http.Handler
	scraper *scraper
}

// openCore opens the TSDB in cfg.Dir, replays its write-ahead log and starts
// the scrape loops, which end with ctx or with close.
func openCore(ctx context.Context, cfg Config) (*core, error) {
	opts := tsdb.DefaultOptions()
	opts.MinBlockDuration = tsdbSpan.Milliseconds()
	opts.MaxBlockDuration = tsdbSpan.Milliseconds()
	opts.RetentionDuration = 0 // keep everything
	db, err := tsdb.Open(cfg.Dir, slog.New(slog.DiscardHandler), nil, opts, nil)
	if err != nil {
		return nil, fmt.Errorf("open TSDB in %s: %w", cfg.Dir, err)
	}
	query := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:               maxSamples,
		Timeout:                  queryTimeout,
		LookbackDelta:            lookbackDelta,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   query,
	})
	scraper, err := startScraper(ctx, db, cfg)
	if err != nil {
		return nil, errors.Join(err, engine.Close(), db.Close())
	}
	return &core{
		db:     db,
		engine: engine,
		// Made when it is first asked for: upstream renders its API's description for it,
		// which takes longer than all else here, and rules need no API.
		handler: sync.OnceValue(func() http.Handler { return newHandler(db, engine, query, scraper) }),
		scraper: scraper,
	}, nil
}

// close ends the scrape loops first, so that nothing writes to a closed TSDB.
func (c *core) close() error {
	c.scraper.stop()
	return errors.Join(c.engine.Close(), c.db.Close())
}
