package world

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// wire is the network between a reader and its API server.
type wire struct {
	mu    sync.Mutex
	conns map[*conn]bool
	down  bool
	// flows is closed while bytes pass, and another one while they do not.
	flows chan struct{}
}

func newWire() *wire {
	w := &wire{conns: map[*conn]bool{}, flows: make(chan struct{})}
	close(w.flows)
	return w
}

var errDown = errors.New("the network is down")

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	down := w.down
	w.mu.Unlock()
	if down {
		return nil, errDown
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	own := &conn{Conn: c, wire: w}
	w.conns[own] = true
	return own, nil
}

// cut breaks all connections; further ones can be made unless it stays down.
func (w *wire) cut(stayDown bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = stayDown
	for c := range w.conns {
		_ = c.Conn.Close()
	}
	clear(w.conns)
}

// up lets connections be made again.
func (w *wire) up() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// freeze swallows what is sent from now on, either way, and breaks nothing.
func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flows = make(chan struct{})
}

// thaw lets bytes pass again; connections that were frozen are broken, as what
// was lost on them is lost.
func (w *wire) thaw() {
	w.cut(false)
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.flows)
}

func (w *wire) flow() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flows
}

// conn is a connection that can be frozen.
type conn struct {
	net.Conn
	wire *wire
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	<-c.wire.flow()
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	select {
	case <-c.wire.flow():
		return c.Conn.Write(p)
	default:
		return len(p), nil
	}
}

// await waits a while, in which something is to stay as it is.
func await(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
