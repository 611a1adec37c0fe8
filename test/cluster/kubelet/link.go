package kubelet

import (
	"context"
	"errors"
	"net"
	"sync"
)

// gate is passed while it is open. Its zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed once it opens; nil while it is open
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.opened != nil:
		close(g.opened)
		g.opened = nil
	case !open && g.opened == nil:
		g.opened = make(chan struct{})
	}
}

// pass waits until the gate is open. It reports false if done is closed first.
func (g *gate) pass(done <-chan struct{}) bool {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return true
		}
		select {
		case <-opened:
		case <-done:
			return false
		}
	}
}

// link is a connection through a gate. While that is shut nothing is heard in
// either direction and nobody is told: packets are lost. What was on its way comes
// when the gate opens, as it does where packets are sent again.
type link struct {
	net.Conn

	gate *gate
	once sync.Once
	done chan struct{} // closed with the connection
	gone func()
}

func (l *link) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if !l.gate.pass(l.done) {
		return 0, net.ErrClosed
	}
	return n, err
}

func (l *link) Write(b []byte) (int, error) {
	if !l.gate.pass(l.done) {
		return 0, net.ErrClosed
	}
	return l.Conn.Write(b)
}

// CloseWrite tells the other side that no more comes.
func (l *link) CloseWrite() error {
	if half, ok := l.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return l.Close()
}

func (l *link) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.gone()
	})
	return l.Conn.Close()
}

// uplink is the way from a node to services. Each has a gate of its own.
type uplink struct {
	dial func(ctx context.Context, name string) (net.Conn, error)

	mu    sync.Mutex
	gates map[string]*gate
	all   bool // that are shut, and those that are yet to come, too
	links map[*link]bool
}

func (u *uplink) gate(name string) *gate {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gates[name] == nil {
		u.gates[name] = new(gate)
		u.gates[name].set(!u.all)
	}
	return u.gates[name]
}

// connect connects to a service, once the way is open.
func (u *uplink) connect(ctx context.Context, name string) (net.Conn, error) {
	g := u.gate(name)
	if !g.pass(ctx.Done()) {
		return nil, context.Cause(ctx)
	}
	conn, err := u.dial(ctx, name)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: conn, gate: g, done: make(chan struct{})}
	l.gone = func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.links, l)
	}
	u.mu.Lock()
	u.links[l] = true
	u.mu.Unlock()
	if err := ctx.Err(); err != nil { // the machine was lost meanwhile
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// set opens or shuts the way to some services, or to all if none is named.
func (u *uplink) set(open bool, names []string) {
	if len(names) == 0 {
		u.mu.Lock()
		u.all = !open
		for _, g := range u.gates {
			g.set(open)
		}
		u.mu.Unlock()
	}
	for _, name := range names {
		u.gate(name).set(open)
	}
}

// hangUp ends all connections.
func (u *uplink) hangUp() {
	u.mu.Lock()
	var links []*link
	for l := range u.links {
		links = append(links, l)
	}
	u.mu.Unlock()
	for _, l := range links {
		_ = l.Close()
	}
}
