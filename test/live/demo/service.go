package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// The service's times; a real cluster has 30 s, 1 min and 10 min.
const (
	cacheTTL          = time.Second
	prometheusTimeout = time.Second
	scrapeInterval    = time.Second
	// coverageSlot is what the service is told of the scrape interval. It is
	// somewhat longer than the real one, since on a busy machine scrapes of one
	// second are not that punctual, and a slot without a sample is a gap.
	coverageSlot = 1500 * time.Millisecond
	settle       = time.Second

	// fresh is how old a reading of Prometheus may be to act on: 3 x TTL and
	// the time a reading may take.
	fresh = 3*cacheTTL + prometheusTimeout

	// atOnce is how many volumes of the cluster may move at once.
	atOnce = 6
)

// service is `couchestor serve` as a process.
type service struct {
	cmd *exec.Cmd
	// hooks and ops are host:port.
	hooks, ops string
	ended      chan error
}

// startService starts the process and waits until it says where it listens.
// Its log goes to a file and, if also is not nil, there too.
func startService(ctx context.Context, binary, dir, prometheusURL, mayastorURL string, also io.Writer) (*service, error) {
	log, err := os.Create(filepath.Join(dir, "service.log"))
	if err != nil {
		return nil, err
	}
	var out io.Writer = log
	if also != nil {
		out = io.MultiWriter(log, also)
	}
	cmd := exec.CommandContext(ctx, binary, "serve",
		"--listen-address=127.0.0.1:0", "--ops-address=127.0.0.1:0",
		"--prometheus-url="+prometheusURL, "--mayastor-url="+mayastorURL,
		"--prometheus-timeout="+prometheusTimeout.String(), "--scrape-interval="+coverageSlot.String(),
		"--cache-ttl="+cacheTTL.String(), "--settle-time="+settle.String(), "--min-cooldown-period=1s",
		fmt.Sprintf("--max-concurrent-migrations=%d", atOnce),
		"--job-namespace="+namespace, "--job-image=couchestor:demo",
		"--log-format=json", "--log-level=info",
	)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the service: %w", err), log.Close())
	}
	s := &service{cmd: cmd, ended: make(chan error, 1)}
	serving := make(chan struct{})
	go func() {
		s.follow(io.TeeReader(pipe, out), serving)
		s.ended <- errors.Join(cmd.Wait(), log.Close())
	}()
	select {
	case <-serving:
		return s, nil
	case err := <-s.ended:
		s.ended <- err
		return nil, fmt.Errorf("the service ended before it served (%w); its log is %s", err, log.Name())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// follow reads the log to its end and tells when the line with the addresses
// came.
func (s *service) follow(log io.Reader, serving chan<- struct{}) {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		var said struct{ Msg, Message, Hooks, Ops string }
		if s.hooks == "" && json.Unmarshal(line, &said) == nil && said.Hooks != "" {
			s.hooks, s.ops = said.Hooks, said.Ops
			close(serving)
		}
		if err != nil {
			return
		}
	}
}

// ready waits until the service tried all its sources.
func (s *service) ready(ctx context.Context) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("the service ended before it was ready: %w", err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// stop ends the service as Kubernetes does and returns how it ended.
func (s *service) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case err := <-s.ended:
		return err
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		return errors.New("the service did not end within 10 s of SIGTERM")
	}
}
