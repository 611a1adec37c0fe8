package server

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

// observer counts what the hooks do, and keeps what they decided last. Steady state is silent: of the requests
// only those are logged that were refused, and back-pressure not even then.
type observer struct {
	metrics *metrics
	book    *explain.Book
	log     *slog.Logger
}

var _ hooks.Observer = observer{}

// Request implements [hooks.Observer].
func (o observer) Request(hook string, status int, bytes int64, took time.Duration) {
	o.metrics.hookRequests.WithLabelValues(strconv.Itoa(status), hook).Inc()
	o.metrics.hookSeconds.WithLabelValues(hook).Observe(took.Seconds())
	o.metrics.hookBytes.WithLabelValues(hook).Observe(float64(bytes))
	level := slog.LevelWarn
	switch status {
	case http.StatusTooManyRequests:
		o.metrics.rejections.WithLabelValues(hook).Inc()
		level = slog.LevelDebug
	case http.StatusOK:
		level = slog.LevelDebug
	}
	o.log.Log(context.Background(), level, "hook answered",
		slog.String("hook", hook), slog.Int("status", status), slog.Int64("bytes", bytes), slog.Duration("took", took))
}

// Decided implements [hooks.Observer].
func (o observer) Decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	o.metrics.rounds.decided(policy, plan, status)
	o.book.Decided(policy, plan, status)
}

// Gone implements [hooks.Observer].
func (o observer) Gone(policy string) {
	o.metrics.rounds.gone(policy)
	o.book.Gone(policy)
}
