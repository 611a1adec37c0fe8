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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// service is `couchestor serve` as a process within the limits.
type service struct {
	cmd *exec.Cmd
	// hooks and ops are host:port.
	hooks, ops string
	log        string
	// ended is closed once the process is gone; err is how it ended then.
	ended chan struct{}
	err   error
	// limits it runs within, and when it began.
	limits *limits
	began  time.Time

	mu   sync.Mutex
	gc   collections
	last usage
}

// collections sum up what the Go runtime says of its garbage collections.
type collections struct {
	count int
	// heap is the most that was still in use after one, in bytes.
	heap int64
}

// startService starts the process and waits until it says where it listens. Its log
// goes to a file.
func startService(ctx context.Context, l *limits, program, log string, env, args []string) (*service, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	args = append([]string{"serve", "--listen-address=127.0.0.1:0", "--ops-address=127.0.0.1:0", "--log-format=json"}, args...)
	s := &service{cmd: l.command(ctx, program, args...), ended: make(chan struct{}), log: log, limits: l, began: time.Now()}
	// What is not said by the manifests is not said at all.
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GODEBUG=gctrace=1"}, env...)
	dieWithUs(s.cmd)
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the service: %w", err), file.Close())
	}
	serving := make(chan struct{})
	go func() {
		s.follow(io.TeeReader(pipe, file), serving)
		s.err = errors.Join(s.cmd.Wait(), file.Close())
		close(s.ended)
	}()
	go s.sample()
	select {
	case <-serving:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("before it served %w", s.fate())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// follow reads the log to its end: the line with the addresses, and those of the
// garbage collector.
func (s *service) follow(log io.Reader, serving chan<- struct{}) {
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadBytes('\n')
		var said struct{ Hooks, Ops string }
		if s.hooks == "" && json.Unmarshal(line, &said) == nil && said.Hooks != "" {
			s.hooks, s.ops = said.Hooks, said.Ops
			close(serving)
		}
		if heap, ok := readCollection(string(line)); ok {
			s.mu.Lock()
			s.gc.count++
			s.gc.heap = max(s.gc.heap, heap)
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

var collection = regexp.MustCompile(`^gc \d+ @.* (\d+)->(\d+)->(\d+) MB, `)

// readCollection reads a line of GODEBUG=gctrace=1: the heap that was still in use
// after the collection. The CPU times in it are none where the kernel makes threads
// wait, as they are taken from a clock.
func readCollection(line string) (heap int64, ok bool) {
	m := collection.FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	mb, err := strconv.ParseInt(m[3], 10, 64)
	return mb * mib, err == nil
}

// collected is what the collector did so far.
func (s *service) collected() collections {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gc
}

// sample looks at the process until it is gone, when nobody can any more.
func (s *service) sample() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for !s.gone() {
		s.usage()
		<-tick.C
	}
}

// gone reports whether the process ended.
func (s *service) gone() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// fate tells how the process ended, which it did before it was asked to.
func (s *service) fate() error {
	why := "ended"
	if wasKilled(s.err) && s.limits.killed() > 0 {
		why = fmt.Sprintf("was killed for want of memory, with %d MiB resident,", s.usage().peak>>20)
	}
	return fmt.Errorf("the service %s %s after its start (%w); its log is %s", why, time.Since(s.began).Round(100*time.Millisecond), s.err, s.log)
}

// ready waits until the service tried all its sources.
func (s *service) ready(ctx context.Context) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		code, _, err := s.get(ctx, "/readyz")
		if err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-again.C:
		case <-s.ended:
			return fmt.Errorf("before it was ready %w", s.fate())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// get asks the ops port.
func (s *service) get(ctx context.Context, path string) (code int, text []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+path, nil)
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

// usage is what the process used so far.
type usage struct {
	cpu  time.Duration
	peak int64 // of resident memory, bytes
	// working is the peak of what the limit counts; see [limits.working].
	working int64
	// queued is how long its threads were ready and did not run, be it for the limit or
	// for other programs; of all threads together.
	queued time.Duration
}

// ticks are the clock ticks of /proc in a second, on every Linux.
const ticks = 100

// usage reads /proc; once the process is gone it is what was read last.
func (s *service) usage() usage {
	dir := "/proc/" + strconv.Itoa(s.cmd.Process.Pid)
	var u usage
	if stat, err := os.ReadFile(dir + "/stat"); err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 12 {
			user, _ := strconv.ParseInt(f[11], 10, 64)
			system, _ := strconv.ParseInt(f[12], 10, 64)
			u.cpu = time.Duration(user+system) * time.Second / ticks
		}
	}
	if status, err := os.ReadFile(dir + "/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				u.peak = kib << 10
			}
		}
	}
	threads, _ := filepath.Glob(dir + "/task/*/schedstat")
	for _, file := range threads {
		var ran, queued int64
		if stat, err := os.ReadFile(file); err == nil {
			if _, err := fmt.Sscan(string(stat), &ran, &queued); err == nil {
				u.queued += time.Duration(queued)
			}
		}
	}
	u.working = s.limits.working()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = usage{
		cpu: max(u.cpu, s.last.cpu), peak: max(u.peak, s.last.peak),
		working: max(u.working, s.last.working), queued: max(u.queued, s.last.queued),
	}
	return s.last
}

// niceOf is a process' priority, 0 this one's; above 0 others go first.
func niceOf(pid int) int {
	n, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid)
	if err != nil {
		return 0
	}
	return 20 - n // as the system call counts
}

// stop ends the service as Kubernetes does.
func (s *service) stop() error {
	if s.gone() {
		return nil // that it is was told
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		return s.err
	case <-time.After(25 * time.Second):
		_ = s.cmd.Process.Kill()
		return errors.New("the service did not end within 25 s of SIGTERM")
	}
}

// setPriority gives this process a nice value, so that the service goes before it or,
// to start it, that it inherits none. Each thread has one of its own. Only root may
// lower it; whether that went well shows on the service.
func setPriority(nice int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("look for threads: %w", err)
	}
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, nice)
		}
	}
	return nil
}
