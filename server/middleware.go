package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/go-chi/chi/v5/middleware"
)

// line answers with text. Metacontroller copies what a hook refuses with into
// an event (MC 2.6), so it is short and holds nothing secret.
func line(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintf(w, format+"\n", args...)
}

// recovered answers 500 where a handler panics, and counts it.
func (s *Server) recovered(listener string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			ctx := r.Context()
			defer func() {
				if p := recover(); p != nil {
					s.panicked(ctx, ww, listener, p)
				}
			}()
			next.ServeHTTP(ww, r)
		})
	}
}

// panicked answers in the place of a handler that did. An answer that had begun
// is broken off, so that nobody takes half of it for the whole.
func (s *Server) panicked(ctx context.Context, w middleware.WrapResponseWriter, listener string, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.metrics.panics.WithLabelValues(listener).Inc()
	s.log.ErrorContext(ctx, "handler panicked",
		slog.String("listener", listener), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	if w.Status() != 0 {
		panic(http.ErrAbortHandler)
	}
	line(w, http.StatusInternalServerError, "the service met a fault of its own; nothing was done, its log has more")
}
