package kubelet

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

// Usage is what one process of a container used.
type Usage struct {
	Namespace, Pod, Container, Node string
	// Attempt counts the restarts of the container before it.
	Attempt int
	PID     int
	Began   time.Time
	// Ended is zero while it runs.
	Ended time.Time
	// PeakRSS is the most memory that it had in RAM, in bytes: the kernel's own high
	// water mark (VmHWM), which counts its program text, too. It is read at
	// intervals, and of a process that lives for less than one it may be 0.
	PeakRSS int64
	// CPU is what it used in user and system mode: so far, or in all.
	CPU time.Duration
	// Samples are in the order of their times.
	Samples []Sample
}

// Sample is a look at a process.
type Sample struct {
	At  time.Time
	RSS int64 // bytes
	CPU time.Duration
}

// Millicores are the CPU that it used in thousands of a core: over its whole life
// so far, and in the busiest second or so of it.
func (u Usage) Millicores() (mean, peak float64) {
	rate := func(cpu, wall time.Duration) float64 {
		if wall <= 0 {
			return 0
		}
		return 1000 * cpu.Seconds() / wall.Seconds()
	}
	end := u.Ended
	if end.IsZero() && len(u.Samples) > 0 {
		end = u.Samples[len(u.Samples)-1].At
	}
	mean = rate(u.CPU, end.Sub(u.Began))
	first := 0
	for _, s := range u.Samples {
		for s.At.Sub(u.Samples[first].At) > 2*time.Second {
			first++
		}
		if from := u.Samples[first]; s.At.Sub(from.At) >= time.Second {
			peak = max(peak, rate(s.CPU-from.CPU, s.At.Sub(from.At)))
		}
	}
	return mean, max(mean, peak)
}

// process is a process that is or was measured.
type process struct {
	mu    sync.Mutex
	usage Usage
}

// clockTick is the unit of times in /proc; the kernel promises 100 a second.
const clockTick = time.Second / 100

// measure looks at a process at intervals until it has ended and the function that
// it returns was called.
func (f *Fleet) measure(object *corev1.Pod, container string, attempt int32, p *sandbox.Process) (done func()) {
	m := &process{usage: Usage{
		Namespace: object.Namespace, Pod: object.Name, Container: container, Node: object.Spec.NodeName,
		Attempt: int(attempt), PID: p.PID, Began: time.Now(),
	}}
	f.mu.Lock()
	f.usage = append(f.usage, m)
	f.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(f.cfg.Sample)
		defer tick.Stop()
		for {
			m.look(p.PID)
			select {
			case <-tick.C:
			case <-p.Done():
				return
			}
		}
	})
	return func() {
		wg.Wait()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.usage.Ended = time.Now()
		if cpu := p.Exit().CPU; cpu > 0 { // not told of what was killed with its sandbox
			m.usage.CPU = cpu
		}
	}
}

// look takes a sample.
func (m *process) look(pid int) {
	s := Sample{At: time.Now()}
	peak := int64(0)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(status)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "VmHWM":
			peak = kibibytes(value)
		case "VmRSS":
			s.RSS = kibibytes(value)
		}
	}
	if s.RSS == 0 {
		return // a zombie
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return
	}
	// After the name, which may hold anything, in parentheses: state, and as the
	// 12th and 13th the ticks in user and system mode.
	if fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(fields) > 12 {
		user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
		system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
		s.CPU = time.Duration(user+system) * clockTick
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.PeakRSS = max(m.usage.PeakRSS, peak)
	m.usage.CPU = max(m.usage.CPU, s.CPU)
	m.usage.Samples = append(m.usage.Samples, s)
}

// kibibytes reads a line as " 1234 kB" and returns bytes.
func kibibytes(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(s), " kB"), 10, 64)
	return n << 10
}

// Usage is what the processes used that ran or run in the pods of a namespace whose
// names begin so, in the order they began.
func (f *Fleet) Usage(namespace, prefix string) []Usage {
	f.mu.Lock()
	all := slices.Clone(f.usage)
	f.mu.Unlock()
	var out []Usage
	for _, m := range all {
		m.mu.Lock()
		if m.usage.Namespace == namespace && strings.HasPrefix(m.usage.Pod, prefix) {
			u := m.usage
			u.Samples = slices.Clone(u.Samples)
			out = append(out, u)
		}
		m.mu.Unlock()
	}
	return out
}
