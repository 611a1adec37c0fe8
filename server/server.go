package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/server/world"
)

// Limits on connections. A hook's body may take a while on a busy network, and
// its answer may wait for a turn and for the sources; Metacontroller gives up
// after 30 s.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	// graceful is how long requests under way may take when the service ends.
	graceful = 20 * time.Second
)

// Server is the service. [Server.Run] or [Server.Serve] is called once.
type Server struct {
	listenAddress, opsAddress string
	// certificate is that of the hooks; nil means plain HTTP.
	certificate *certificate

	sources *sources
	metrics *metrics
	// book has what was decided last, to be explained.
	book explain.Book
	log  *slog.Logger

	hooks, ops http.Handler
}

// New checks c and makes a server that has spoken to nobody.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		listenAddress: c.ListenAddress, opsAddress: c.OpsAddress,
		metrics: newMetrics(ReadBuild()), log: c.Log,
	}
	var err error
	if c.TLSCertFile != "" {
		if s.certificate, err = loadCertificate(c.TLSCertFile, c.TLSKeyFile, c.Log); err != nil {
			return nil, err
		}
	}
	if s.sources, err = newSources(c, s.metrics.observer()); err != nil {
		return nil, err
	}
	s.metrics.registry.MustRegister(newSourceCollector(s.sources.states))
	if s.sources.kubernetes != nil {
		s.metrics.registry.MustRegister(newObjectCollector(s.sources.kubernetes.Counts))
		s.metrics.expect(world.SourceKubernetes)
	}
	parts := Parts{Sources: s.sources, Cluster: s.sources.cluster(), Ready: s.sources.ready, Observer: observer{s.metrics, &s.book, s.log}}
	if c.GovernancePath != "" {
		audit := c.Audit
		if audit == nil {
			audit = slog.New(slog.DiscardHandler)
		}
		g := newGovernance(c.GovernancePath, audit)
		s.metrics.registry.MustRegister(newGovernanceCollector(g))
		parts.Governance = g.governed
	}
	answer, err := c.Hooks(parts)
	if err != nil {
		return nil, err
	}
	s.hooks = s.recovered("hooks")(answer)
	s.ops = s.recovered("ops")(s.opsRoutes())
	return s, nil
}

// opsRoutes is for probes, scrapes and people.
func (s *Server) opsRoutes() http.Handler {
	r := chi.NewRouter()
	r.NotFound(notFound)
	r.MethodNotAllowed(notAllowed)
	r.Get("/livez", live)
	r.Get("/healthz", live)
	r.Get("/readyz", s.ready)
	r.Method(http.MethodGet, "/metrics", s.metrics.handler())
	s.book.Mount(r)
	return r
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	line(w, http.StatusNotFound, "there is nothing here; try /explain, /readyz, /livez, /healthz or /metrics")
}

func notAllowed(w http.ResponseWriter, r *http.Request) {
	line(w, http.StatusMethodNotAllowed, "this path does not answer to %s", r.Method)
}

// Run listens on both addresses and serves until ctx ends; then it stops
// accepting, lets requests under way finish for up to 20 seconds, and ends the
// readers. It returns nil after such an end, also if requests had to be cut
// off, and an error if it cannot listen or serve.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	hooks, err := lc.Listen(ctx, "tcp", s.listenAddress)
	if err != nil {
		return fmt.Errorf("listen for hooks: %w", err)
	}
	ops, err := lc.Listen(ctx, "tcp", s.opsAddress)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for health and metrics: %w", err), hooks.Close())
	}
	return s.Serve(ctx, hooks, ops)
}

// Serve is [Server.Run] on listeners that are open; it closes them. Only one of the two
// is called, once.
func (s *Server) Serve(ctx context.Context, hooks, ops net.Listener) error {
	build := ReadBuild()
	s.log.InfoContext(ctx, "serving", slog.String("hooks", hooks.Addr().String()), slog.String("ops", ops.Addr().String()),
		slog.Bool("tls", s.certificate != nil),
		slog.String("version", build.Version), slog.String("revision", build.Revision))

	if s.certificate != nil {
		hooks = s.certificate.wrap(hooks)
	}
	servers := []*http.Server{s.httpServer(s.hooks), s.httpServer(s.ops)}
	failed := make(chan error, len(servers))
	var wg sync.WaitGroup
	for i, l := range []net.Listener{hooks, ops} {
		wg.Go(func() {
			if err := servers[i].Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", l.Addr(), err)
			}
		})
	}
	// One try of each source, so that the service gets ready; after that they
	// are read when a hook asks.
	trying, enough := context.WithCancel(ctx)
	wg.Go(func() { s.sources.try(trying) })
	// What is followed is so until the last answer was given.
	following, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	wg.Go(func() { s.sources.follow(following) })

	var err error
	select {
	case <-ctx.Done():
		s.log.InfoContext(ctx, "stopping", slog.Any("cause", context.Cause(ctx)))
	case err = <-failed:
	}
	// Health and metrics answer until the last hook has.
	for _, srv := range servers {
		s.shutdown(context.WithoutCancel(ctx), srv)
	}
	enough()
	leave()
	s.sources.close()
	wg.Wait()
	s.log.InfoContext(ctx, "stopped")
	return err
}

// shutdown lets the server's requests finish, and cuts off what takes too long.
func (s *Server) shutdown(ctx context.Context, srv *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, graceful)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		s.log.WarnContext(ctx, "requests were cut off", slog.Any("err", err))
		_ = srv.Close()
	}
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
