package program

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Service is `couchestor serve` as a process.
type Service struct {
	// Hooks and Ops are host:port, once it is ready.
	Hooks, Ops string
	// Ended is closed once the process is gone.
	Ended <-chan struct{}

	cmd     *exec.Cmd
	log     string
	began   time.Time
	serving chan struct{}
	err     error // how it ended, once it did
}

// Start starts cmd, which is `couchestor serve` with all of its flags but those of
// ports and of the log's format. The log goes to a file and, unless also is nil,
// there too, each line in a Write of its own.
func Start(cmd *exec.Cmd, log string, also io.Writer) (*Service, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	var out io.Writer = file
	if also != nil {
		out = io.MultiWriter(file, also)
	}
	cmd.Args = append(cmd.Args, "--listen-address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--log-format=json")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	ended := make(chan struct{})
	s := &Service{cmd: cmd, log: log, began: time.Now(), serving: make(chan struct{}), Ended: ended}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the service: %w", err), file.Close())
	}
	go func() {
		s.follow(pipe, out)
		s.err = errors.Join(cmd.Wait(), file.Close())
		close(ended)
	}()
	return s, nil
}

// follow copies the log to its end, and tells when the line with the addresses came.
func (s *Service) follow(log io.Reader, out io.Writer) {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		_, _ = out.Write(line) // it runs on where its log cannot be kept
		var said struct{ Hooks, Ops string }
		// The runtime tells of collections in pieces, and a line may follow on one.
		begins := max(0, bytes.IndexByte(line, '{'))
		if s.Hooks == "" && json.Unmarshal(line[begins:], &said) == nil && said.Hooks != "" {
			s.Hooks, s.Ops = said.Hooks, said.Ops
			close(s.serving)
		}
		if err != nil {
			return
		}
	}
}

// Ready waits until the service listens and tried all its sources.
func (s *Service) Ready(ctx context.Context) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for serving := s.serving; ; {
		select {
		case <-serving:
			serving = nil
		case <-again.C:
			if serving != nil {
				continue
			}
		case <-s.Ended:
			return fmt.Errorf("before it was ready %w", s.Fate())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if code, _, err := s.Get(ctx, "/readyz"); err == nil && code == http.StatusOK {
			return nil
		}
	}
}

// Get asks the ops port of a service that listens.
func (s *Service) Get(ctx context.Context, path string) (code int, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Ops+path, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// PID is that of the process, also when it is gone.
func (s *Service) PID() int { return s.cmd.Process.Pid }

// Gone reports whether the process ended.
func (s *Service) Gone() bool {
	select {
	case <-s.Ended:
		return true
	default:
		return false
	}
}

var errUnasked = errors.New("exit status 0")

// Fate tells how the process ended that is gone before it was asked to end.
func (s *Service) Fate() error {
	return fmt.Errorf("the service ended %s after its start (%w); its log is %s",
		time.Since(s.began).Round(100*time.Millisecond), cmp.Or(s.err, errUnasked), s.log)
}

// Stop ends the service as Kubernetes does and returns how it ended.
func (s *Service) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.Ended:
		return s.err
	case <-time.After(25 * time.Second):
		_ = s.cmd.Process.Kill()
		return errors.New("the service did not end within 25 s of SIGTERM")
	}
}
