package simulator

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/billyronks/couchestor/test/pipe"
)

// BaseURL is the address the clients of [Simulator.Client] call; any host works.
const BaseURL = "http://mayastor.test"

// Client serves the simulator over in-memory connections, with real HTTP on
// them, and returns a client for it and a function that ends both. Inside a
// synctest bubble that function must be called before the bubble ends.
func (s *Simulator) Client() (*http.Client, func()) {
	l := pipe.Listen("mayastor.test")
	stop, transport := s.start(l), l.Transport()
	return &http.Client{Transport: transport}, func() {
		transport.CloseIdleConnections()
		stop()
	}
}

// Listen serves the simulator over TCP on addr ("127.0.0.1:0" for any port) and
// returns its base URL and a function that ends it.
func (s *Simulator) Listen(addr string) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return "http://" + l.Addr().String(), s.start(l), nil
}

// start runs an HTTP server on l until the function it returns was called.
func (s *Simulator) start(l net.Listener) (stop func()) {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(discard{}, "", 0)}
	var served sync.WaitGroup
	served.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			panic(err)
		}
	})
	return func() {
		// Connections that hang on purpose would outlive a graceful end.
		_ = server.Close()
		served.Wait()
	}
}

// discard takes the server's log: aborted connections are part of the play.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
