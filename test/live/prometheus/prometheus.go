package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what a Prometheus keeps, scrapes and where it listens.
type Config struct {
	// Dir holds the TSDB and is made if it is missing; what an earlier run left
	// there is served again.
	Dir string

	// ScrapeInterval is the time between two scrapes of a target. Zero means
	// that nothing is scraped but by [Prometheus.ScrapeOnce].
	ScrapeInterval time.Duration

	// Targets is asked once per scrape interval, and by each ScrapeOnce, so
	// that targets may come and go. It is called from one goroutine at a time
	// for the loop, and from the caller's for ScrapeOnce. Nil means none.
	Targets func() []Target

	// Listen is the TCP address to serve on; empty means a free port of the
	// loopback interface.
	Listen string
}

// Prometheus is a running server. All methods may be called concurrently.
type Prometheus struct {
	cfg      Config
	listener net.Listener
	server   *http.Server
	served   chan struct{} // closed when the HTTP server has returned

	dark atomic.Bool

	// life serializes Restart and Close.
	life   sync.Mutex
	closed bool

	// mu guards core: queries and appends hold it for reading, Restart and
	// Close for writing. core is nil while the server is down.
	mu   sync.RWMutex
	core *core

	onDemand onDemand
}

// errDown is what all but the queries answer while there is no TSDB.
var errDown = errors.New("prometheus is down")

// Start opens the TSDB in cfg.Dir, begins to scrape and serves until Close. ctx
// bounds the life of the scrape loops and of running queries: when it ends,
// they end; Close must be called all the same to release the TSDB and the port.
func Start(ctx context.Context, cfg Config) (*Prometheus, error) {
	if cfg.ScrapeInterval < 0 || cfg.ScrapeInterval%time.Millisecond != 0 {
		return nil, fmt.Errorf("scrape interval %s: must be whole milliseconds, not negative", cfg.ScrapeInterval)
	}
	listen := cmp.Or(cfg.Listen, "127.0.0.1:0")
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", listen, err)
	}
	c, err := openCore(ctx, cfg)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p := &Prometheus{cfg: cfg, listener: listener, core: c, served: make(chan struct{})}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(p.served)
		// Serve returns ErrServerClosed after Close, and no other error can be
		// acted upon here: clients see the refused connection.
		_ = p.server.Serve(listener)
	}()
	return p, nil
}

// URL is the base URL of the server, without a trailing slash. It stays the
// same over Dark, Light and Restart.
func (p *Prometheus) URL() string {
	return "http://" + p.listener.Addr().String()
}

// Close ends the scrape loops, cuts running requests and closes the TSDB. A
// second Close does nothing. The TSDB's files stay in Config.Dir.
func (p *Prometheus) Close() error {
	p.life.Lock()
	defer p.life.Unlock()
	err := p.server.Close()
	<-p.served
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.core == nil {
		return err
	}
	err = errors.Join(err, p.core.close())
	p.core = nil
	return err
}

// Dark cuts the way from the clients to Prometheus: from now on every request
// has its connection dropped without an answer. Scraping goes on, as with a
// network that fails between the operator and a healthy Prometheus; for a gap
// in the samples, too, use Restart or stop the exporter.
//
// The port stays bound, so that Light cannot lose it to another process.
func (p *Prometheus) Dark() { p.dark.Store(true) }

// Light undoes Dark.
func (p *Prometheus) Light() { p.dark.Store(false) }

// Restart closes the TSDB and opens it again from disk under a new engine and
// new scrape loops, as a restarted pod on the same volume would. down, when not
// nil, is called in between: the samples have a gap as long as it takes. While
// the server is down requests are answered 503, as upstream does while it
// replays its write-ahead log; they are so, too, after a Restart that returned
// an error, until another one succeeds. ctx is as in Start.
func (p *Prometheus) Restart(ctx context.Context, down func()) error {
	p.life.Lock()
	defer p.life.Unlock()
	if p.closed {
		return errDown
	}
	p.mu.Lock()
	old := p.core
	p.core = nil
	p.mu.Unlock()
	if old != nil {
		if err := old.close(); err != nil {
			return fmt.Errorf("stop for restart: %w", err)
		}
	}
	if down != nil {
		down()
	}
	c, err := openCore(ctx, p.cfg)
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.core = c
	return nil
}

// serve hands a request to the running server, if there is one.
func (p *Prometheus) serve(w http.ResponseWriter, r *http.Request) {
	if p.dark.Load() {
		panic(http.ErrAbortHandler) // net/http's way to drop the connection
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.core == nil {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	p.core.handler().ServeHTTP(w, r)
}
