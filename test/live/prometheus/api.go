package prometheus

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// Version is the release of Prometheus this package is built from: library
// v0.315.0 is server 3.15.0. /api/v1/status/buildinfo says so.
const Version = "3.15.0"

// served are the paths of upstream's API that are offered. The others concern
// rules, alerts, remote write and administration, which are not wired here;
// they answer 404 instead of half an answer.
var served = []string{
	"/query",
	"/query_range",
	"/format_query",
	"/labels",
	"/label/",
	"/series",
	"/targets",
	"/metadata",
	"/status/buildinfo",
}

// newHandler mounts upstream's HTTP API over the TSDB and the engine.
func newHandler(db *tsdb.DB, engine *promql.Engine, query parser.Parser, scraper *scraper) http.Handler {
	api := apiv1.NewAPI(
		engine,
		db,
		nil, nil, // no remote write
		db,
		func(context.Context) apiv1.ScrapePoolsRetriever { return scraper.manager },
		func(context.Context) apiv1.TargetRetriever { return scraper.manager },
		func(context.Context) apiv1.AlertmanagerRetriever { return nil },
		func() config.Config { return *scraper.config },
		nil,
		apiv1.GlobalURLOptions{},
		func(ready http.HandlerFunc) http.HandlerFunc { return ready },
		nil, // no statistics of the TSDB
		db.Dir(),
		false, // no admin API
		false, // no search API
		0,
		slog.New(slog.DiscardHandler),
		func(context.Context) apiv1.RulesRetriever { return nil },
		0, 0, 0, // no remote read
		false,
		regexp.MustCompile("^(?:.*)$"),
		func() (apiv1.RuntimeInfo, error) { return apiv1.RuntimeInfo{StartTime: time.Now()}, nil },
		&apiv1.PrometheusVersion{Version: Version, GoVersion: runtime.Version()},
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, func() {}, false },
		prometheus.NewRegistry(),
		prometheus.NewRegistry(),
		nil,
		false, // no remote write receiver
		nil,
		false, false, false, // no OTLP receiver
		false,
		lookbackDelta,
		false,
		false,
		nil,
		nil,
		apiv1.OpenAPIOptions{IncludePaths: served, Version: Version},
		query,
	)
	v1 := route.New()
	api.Register(v1)
	stripped := http.StripPrefix("/api/v1", v1)

	mux := http.NewServeMux()
	for _, path := range served {
		mux.Handle("/api/v1"+path, stripped)
	}
	mux.HandleFunc("GET /-/ready", answer("Prometheus Server is Ready.\n"))
	mux.HandleFunc("GET /-/healthy", answer("Prometheus Server is Healthy.\n"))
	return mux
}

// answer serves a fixed text with status 200.
func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		// A client that has gone away is no concern of a health check.
		_, _ = w.Write([]byte(text))
	}
}
