package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/billyronks/couchestor/test/live/program"
)

// service is `couchestor serve` as a process within the limits.
type service struct {
	*program.Service
	limits *limits
	gc     collector

	mu   sync.Mutex
	last usage
}

// collections sum up what the Go runtime says of its garbage collections.
type collections struct {
	count int
	// heap is the most that was still in use after one, in bytes.
	heap int64
}

// collector hears the collections in a service's log.
type collector struct {
	mu    sync.Mutex
	heard collections
}

// Write takes a line of the log.
func (c *collector) Write(line []byte) (int, error) {
	if heap, ok := readCollection(string(line)); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard.count++
		c.heard.heap = max(c.heard.heap, heap)
	}
	return len(line), nil
}

// sum is that of all so far.
func (c *collector) sum() collections {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// startService starts the process. Its log goes to a file.
func startService(ctx context.Context, l *limits, binary, log string, env, args []string) (*service, error) {
	cmd := l.command(ctx, binary, append([]string{"serve"}, args...)...)
	// What is not said by the manifests is not said at all.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GODEBUG=gctrace=1"}, env...)
	dieWithUs(cmd)
	s := &service{limits: l}
	var err error
	if s.Service, err = program.Start(cmd, log, &s.gc); err != nil {
		return nil, err
	}
	go s.sample()
	return s, nil
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

// sample looks at the process until it is gone, when nobody can any more.
func (s *service) sample() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for !s.Gone() {
		s.usage()
		<-tick.C
	}
}

// why adds to an error that says how the process ended what the limits know of it.
func (s *service) why(err error) error {
	if !wasKilled(err) || s.limits.killed() == 0 {
		return err
	}
	return fmt.Errorf("%w; it was killed for want of memory, with %d MiB resident", err, s.usage().peak>>20)
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
	dir := "/proc/" + strconv.Itoa(s.PID())
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

// stop ends the service; that one is gone was told.
func (s *service) stop() error {
	if s.Gone() {
		return nil
	}
	return s.Stop()
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
