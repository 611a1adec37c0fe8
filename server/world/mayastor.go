package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// maxGap is how far two readings may be apart for what was Online in both to
// count as Online in between. It is twice the longest time between two syncs of
// a policy.
const maxGap = 10 * time.Minute

// InventoryReader reads the whole control plane. [*mayastor.Reader] is one; it
// has no method that changes anything, and nothing here could call one.
type InventoryReader interface {
	Inventory(ctx context.Context, prev *mayastor.Inventory, claimed string, now time.Time) (*mayastor.Inventory, error)
}

// MayastorConfig says what to read the control plane with.
type MayastorConfig struct {
	Reader InventoryReader
	// URL is only for messages.
	URL string
	// Claimed is the operator's word for the server's version; may be empty.
	Claimed string
	Limits  Limits
	// Observe is told of each reading; see [Observer].
	Observe Observer
	// Log gets a line when the state of the source changes.
	Log *slog.Logger
}

// Mayastor knows the control plane. All methods may be called at once.
type Mayastor struct {
	cfg  MayastorConfig
	host string
	cell *cell[*mayastor.Inventory]
}

// NewMayastor returns a reader that has read nothing yet. [Mayastor.Close] ends
// it.
func NewMayastor(cfg MayastorConfig) *Mayastor {
	m := &Mayastor{cfg: cfg, host: "the given address"}
	if u, err := url.Parse(cfg.URL); err == nil && u.Host != "" {
		m.host = u.Host
	}
	log := transitions{log: cfg.Log, source: SourceMayastor}
	m.cell = &cell[*mayastor.Inventory]{
		limits: cfg.Limits,
		read:   m.read,
		done: func(s *snapshot[*mayastor.Inventory], took time.Duration) {
			cfg.Observe.query(SourceMayastor, took, s.err)
			cfg.Observe.reading(SourceMayastor, s.err)
			log.note(s.err)
		},
	}
	return m
}

// Read returns the last good inventory, nil if there never was one, and whether
// it may be acted on. It refreshes what is too old first and waits for that a
// few seconds at most. The inventory is shared and must not be changed.
func (m *Mayastor) Read(ctx context.Context) (tiering.Source, *mayastor.Inventory) {
	s := m.cell.get(ctx)
	src := source(s, time.Now(), m.cfg.Limits, "Mayastor")
	if !s.known() {
		return src, nil
	}
	return src, s.value
}

func (m *Mayastor) read(ctx context.Context, prev *snapshot[*mayastor.Inventory]) (*mayastor.Inventory, error) {
	now := time.Now()
	var before *mayastor.Inventory
	// After a long silence nobody knows what went up and down in it, so the
	// times since which things are Online begin anew.
	if prev.known() && now.Sub(prev.began) <= maxGap {
		before = prev.value
	}
	inv, err := m.cfg.Reader.Inventory(ctx, before, m.cfg.Claimed, now)
	if err != nil {
		return nil, m.fault(ctx, err)
	}
	return inv, nil
}

// fault classes what went wrong with a reading.
func (m *Mayastor) fault(ctx context.Context, err error) *Fault {
	const consequence = "so no new move starts"
	if errors.Is(context.Cause(ctx), errClosed) {
		return &Fault{Reason: Closed, Message: "The service is ending.", Err: err}
	}
	if timedOut(err) || context.Cause(ctx) != nil {
		return &Fault{
			Reason:  TimedOut,
			Message: fmt.Sprintf("Mayastor at %s did not answer in time, %s; look at the load and the restarts of its api-rest and agent-core pods.", m.host, consequence),
			Err:     err,
		}
	}
	e, ok := errors.AsType[*mayastor.Error](err)
	if !ok {
		return asFault(err)
	}
	// Not the whole text of the server, in which ids and times may change.
	said := strings.TrimSpace(fmt.Sprintf("%s: %d %s", clip(e.Op), e.Status, clip(e.Kind)))
	switch {
	case e.Class() == mayastor.ClassDenied:
		return &Fault{
			Reason:  Unauthorized,
			Message: fmt.Sprintf("Mayastor at %s refuses the credentials (%s), %s; check --mayastor-token-file.", m.host, said, consequence),
			Err:     err,
		}
	case e.Status == 0:
		return &Fault{
			Reason:  Unreachable,
			Message: fmt.Sprintf("Mayastor at %s cannot be reached (%s), %s; check --mayastor-url and that its api-rest pod runs.", m.host, m.why(e), consequence),
			Err:     err,
		}
	case e.Status < 300, e.Class() == mayastor.ClassUnsupported:
		return &Fault{
			Reason:  BadAnswer,
			Message: fmt.Sprintf("What answers at %s is not the REST API of Mayastor (%s), %s; check --mayastor-url.", m.host, said, consequence),
			Err:     err,
		}
	}
	return &Fault{
		Reason:  QueryFailed,
		Message: fmt.Sprintf("Mayastor at %s answers with an error (%s), %s; look at the logs of its api-rest and agent-core pods.", m.host, said, consequence),
		Err:     err,
	}
}

// why is what is at the bottom of an error without an answer.
func (m *Mayastor) why(e *mayastor.Error) string {
	if e.Err == nil {
		return clip(e.Op)
	}
	return Cause(e.Err)
}

// Tried reports whether one reading has ended, good or not.
func (m *Mayastor) Tried() bool { return m.cell.current.Load() != nil }

// State is how the source is.
func (m *Mayastor) State() State {
	s := m.cell.current.Load()
	if s == nil {
		return State{}
	}
	return State{Tried: true, Up: s.err == nil, Read: s.began, Reason: reasonOf(s.err)}
}

// Close ends a reading under way and waits for it.
func (m *Mayastor) Close() { m.cell.close() }
