package world

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/config"

	"github.com/billyronks/couchestor/tiering"
)

const (
	// MaxWindow is the longest window that a score is read over.
	MaxWindow = 24 * time.Hour
	// minSlots is how many slots of [Step] a window must have at least, or its
	// coverage would say nothing.
	minSlots = 5
	// maxWindows is how many windows are kept. Policies may use more: what was
	// asked for longest ago makes room, and is read again when asked for again.
	maxWindows = 8
	// idleWindow is how long a window is kept that nobody asks for: three times
	// the longest time between two syncs of a policy.
	idleWindow = 15 * time.Minute
)

// MinWindow is the shortest window that a score is read over.
func MinWindow(scrapeInterval time.Duration) time.Duration { return minSlots * scrapeInterval }

// PrometheusConfig says which Prometheus to ask and how.
type PrometheusConfig struct {
	// URL of the server, with http or https.
	URL string
	// HTTP has credentials and certificates; nil means none.
	HTTP *config.HTTPClientConfig
	// Transport replaces the network and HTTP if it is not nil.
	Transport http.RoundTripper
	// ScrapeInterval is how often Prometheus scrapes Mayastor's exporters.
	ScrapeInterval time.Duration
	Limits         Limits
	// Observe is told of each query and each reading; see [Observer].
	Observe Observer
	// Log gets a line when the state of the source changes.
	Log *slog.Logger
}

// Prometheus knows how busy each volume of the cluster is. For each distinct
// window it makes three queries a round, whatever the number of volumes and of
// policies: the score, and the coverage by reads and by writes. All three are
// evaluated at the same instant. All methods may be called at once.
type Prometheus struct {
	cfg    PrometheusConfig
	client *promClient
	// io is the client for what no decision hangs on.
	io    *promClient
	tried atomic.Bool

	mu      sync.Mutex
	windows map[time.Duration]*window
	closed  bool
}

// window is one window that is kept.
type window struct {
	cell  *cell[map[string]tiering.Sample]
	asked time.Time
}

// NewPrometheus returns a reader that has read nothing yet. [Prometheus.Close]
// ends it.
func NewPrometheus(cfg PrometheusConfig) (*Prometheus, error) {
	client, err := newPromClient(cfg.URL, cfg.HTTP, cfg.Transport, cfg.Limits.Timeout)
	if err != nil {
		return nil, err
	}
	io := *client
	io.consequence = "what volumes did before and after their moves is unknown"
	return &Prometheus{cfg: cfg, client: client, io: &io, windows: map[time.Duration]*window{}}, nil
}

// Scores returns the sample of each volume over the window. It refreshes what
// is too old first and waits for that a few seconds at most. While the source
// is not OK there are no samples, so that every volume is unknown.
func (p *Prometheus) Scores(ctx context.Context, over time.Duration) tiering.Scores {
	if why := p.refusal(over); why != "" {
		return tiering.Scores{Source: tiering.Source{Reason: WindowRefused, Message: why}}
	}
	w := p.window(over)
	if w == nil {
		return tiering.Scores{Source: tiering.Source{
			Reason:  TooManyWindows,
			Message: fmt.Sprintf("More than %d different sampling windows are being read at once; let policies share their samplingWindow.", maxWindows),
		}}
	}
	s := w.cell.get(ctx)
	src := source(s, time.Now(), p.cfg.Limits, "Prometheus")
	scores := tiering.Scores{Source: src}
	if s.known() {
		scores.ReadAt = s.began
	}
	if src.OK {
		scores.Samples = s.value
	}
	return scores
}

// refusal is empty, or says why no score is read over such a window.
func (p *Prometheus) refusal(over time.Duration) string {
	least := MinWindow(p.cfg.ScrapeInterval)
	switch {
	case over < least:
		return fmt.Sprintf("A samplingWindow of %s is shorter than %d scrape intervals of %s; choose at least %s.",
			over, minSlots, p.cfg.ScrapeInterval, least)
	case over > MaxWindow:
		return fmt.Sprintf("A samplingWindow of %s is longer than %s; choose a shorter one.", over, MaxWindow)
	case over%time.Millisecond != 0:
		return fmt.Sprintf("A samplingWindow of %s has parts of a millisecond, which Prometheus does not know.", over)
	}
	return ""
}

// window returns the place of the window, made now if there is none; nil if
// every place is being read.
func (p *Prometheus) window(over time.Duration) *window {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for d, w := range p.windows {
		if now.Sub(w.asked) > idleWindow && w.cell.idle() {
			p.drop(d)
		}
	}
	w := p.windows[over]
	if w == nil {
		if len(p.windows) >= maxWindows && !p.evict() {
			return nil
		}
		w = &window{cell: p.cell(over)}
		w.cell.closed = p.closed
		p.windows[over] = w
	}
	w.asked = now
	return w
}

// evict gives up the window that was asked for longest ago and is not being
// read. The caller holds p.mu.
func (p *Prometheus) evict() bool {
	var oldest time.Duration
	var found *window
	for d, w := range p.windows {
		// The shorter window goes first among those asked for in one instant.
		if w.cell.idle() && (found == nil || w.asked.Before(found.asked) || w.asked.Equal(found.asked) && d < oldest) {
			oldest, found = d, w
		}
	}
	if found == nil {
		return false
	}
	p.drop(oldest)
	return true
}

// drop gives up one window. It is closed, so that nobody who still holds it
// begins a reading that [Prometheus.Close] does not know of. The caller holds
// p.mu.
func (p *Prometheus) drop(over time.Duration) {
	p.windows[over].cell.close()
	delete(p.windows, over)
}

func (p *Prometheus) cell(over time.Duration) *cell[map[string]tiering.Sample] {
	log := transitions{log: p.cfg.Log, source: SourcePrometheus, window: over}
	return &cell[map[string]tiering.Sample]{
		limits: p.cfg.Limits,
		read: func(ctx context.Context, _ *snapshot[map[string]tiering.Sample]) (map[string]tiering.Sample, error) {
			return p.read(ctx, over)
		},
		done: func(s *snapshot[map[string]tiering.Sample], _ time.Duration) {
			p.tried.Store(true)
			p.cfg.Observe.reading(SourcePrometheus, s.err)
			log.note(s.err)
		},
	}
}

// read makes the three queries of one window, all evaluated at one instant, and
// one after the other: they share the time for the reading, and Prometheus is
// never asked more than one at a time for one window.
func (p *Prometheus) read(ctx context.Context, over time.Duration) (map[string]tiering.Sample, error) {
	at := time.Now().Truncate(time.Millisecond)
	step := Step(over, p.cfg.ScrapeInterval)
	r := newReading(p.names())
	for i, query := range [vectors]string{
		scoreVector:  ScoreQuery(over, step, p.cfg.ScrapeInterval),
		readsVector:  CoverageQuery(ReadOps, over, step),
		writesVector: CoverageQuery(WriteOps, over, step),
	} {
		began := time.Now()
		err := p.client.vector(ctx, query, at, r, i)
		p.cfg.Observe.query(SourcePrometheus, time.Since(began), err)
		if err != nil {
			return nil, err
		}
	}
	return p.client.samples(r)
}

// names returns the samples of the window that was read last: what is known of
// the names of volumes. It is nil if nothing is.
func (p *Prometheus) names() map[string]tiering.Sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	var last *snapshot[map[string]tiering.Sample]
	for _, w := range p.windows {
		if s := w.cell.current.Load(); s.known() && (last == nil || s.began.After(last.began)) {
			last = s
		}
	}
	if last == nil {
		return nil
	}
	return last.value
}

// Tried reports whether one reading has ended, good or not.
func (p *Prometheus) Tried() bool { return p.tried.Load() }

// State sums up the windows that are kept and were tried: the worst of them
// counts.
func (p *Prometheus) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := State{Tried: p.tried.Load()}
	tried, failed := 0, 0
	for _, w := range p.windows {
		s := w.cell.current.Load()
		if s == nil {
			continue
		}
		tried++
		if s.err != nil {
			failed++
			// Of several the same one each time, in whatever order they come.
			st.Reason = max(st.Reason, reasonOf(s.err))
		}
		if s.known() && (st.Read.IsZero() || s.began.Before(st.Read)) {
			st.Read = s.began
		}
	}
	st.Up = tried > 0 && failed == 0
	return st
}

// Close ends all readings under way and waits for them.
func (p *Prometheus) Close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*window, 0, len(p.windows))
	for _, w := range p.windows {
		open = append(open, w)
	}
	p.mu.Unlock()
	for _, w := range open {
		w.cell.close()
	}
	p.client.http.CloseIdleConnections()
}
