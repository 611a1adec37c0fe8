package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// limits are what the service may use, and how it is kept to that.
type limits struct {
	memory int64
	cores  float64
	// kind is "cgroup v2", "cgroup v1", or "Go runtime".
	kind string
	// proof is what was seen to hold; without cgroups, why there are none.
	proof string
	// cpu and mem are the groups' directories, the same in v2; empty without.
	cpu, mem string
}

// period is that of the kernel's CPU quota, and Kubernetes'.
const period = 100 * time.Millisecond

// newLimits finds the best way to keep a process to the limits that holds: a
// cgroup, proven, else the Go runtime's own.
func newLimits(ctx context.Context, memory int64, cores float64, noCgroup bool) (*limits, error) {
	why := errors.New("--no-cgroup was given")
	if !noCgroup {
		why = nil
		for _, group := range []func(*limits) error{(*limits).makeV2, (*limits).makeV1} {
			l := &limits{memory: memory, cores: cores}
			err := group(l)
			if err == nil {
				err = l.prove(ctx)
			}
			if err == nil {
				// A new one, whose peak and counters begin at zero.
				proof := l.proof
				if err = errors.Join(l.close(), group(l)); err == nil {
					l.proof = proof
					return l, nil
				}
			}
			why = errors.Join(why, err, l.close())
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	text := strings.ReplaceAll(why.Error(), "\n", "; ")
	return &limits{memory: memory, cores: cores, kind: "Go runtime", proof: "no cgroup: " + text}, nil
}

// group is the name of ours, in whichever hierarchy.
func group() string { return fmt.Sprintf("couchestor-load-%d", os.Getpid()) }

const cgroups = "/sys/fs/cgroup"

// makeV2 makes a group in the unified hierarchy.
func (l *limits) makeV2() error {
	have, err := os.ReadFile(filepath.Join(cgroups, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("no cgroup v2: %w", err)
	}
	if !strings.Contains(string(have), "cpu") || !strings.Contains(string(have), "memory") {
		return fmt.Errorf("cgroup v2 has no cpu and memory, only %s", strings.TrimSpace(string(have)))
	}
	if err := set(cgroups, "cgroup.subtree_control", "+cpu +memory"); err != nil {
		return err
	}
	l.kind = "cgroup v2"
	l.cpu = filepath.Join(cgroups, group())
	l.mem = l.cpu
	if err := os.Mkdir(l.cpu, 0o755); err != nil {
		return err
	}
	return errors.Join(
		set(l.cpu, "cpu.max", fmt.Sprintf("%d %d", l.quota(), period.Microseconds())),
		set(l.mem, "memory.max", strconv.FormatInt(l.memory, 10)),
		setIfThere(l.mem, "memory.swap.max", "0"),
	)
}

// makeV1 makes a group in the hierarchy of each controller.
func (l *limits) makeV1() error {
	l.kind = "cgroup v1"
	l.cpu, l.mem = filepath.Join(cgroups, "cpu", group()), filepath.Join(cgroups, "memory", group())
	for _, dir := range []string{l.cpu, l.mem} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(
		set(l.cpu, "cpu.cfs_period_us", strconv.FormatInt(period.Microseconds(), 10)),
		set(l.cpu, "cpu.cfs_quota_us", strconv.FormatInt(l.quota(), 10)),
		set(l.mem, "memory.limit_in_bytes", strconv.FormatInt(l.memory, 10)),
		setIfThere(l.mem, "memory.memsw.limit_in_bytes", strconv.FormatInt(l.memory, 10)),
	)
}

// quota is in microseconds of each period.
func (l *limits) quota() int64 { return int64(l.cores * float64(period.Microseconds())) }

func set(dir, file, value string) error {
	return os.WriteFile(filepath.Join(dir, file), []byte(value), 0o644)
}

// setIfThere is for what not every kernel has.
func setIfThere(dir, file, value string) error {
	if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
		return nil //nolint:nilerr // it is not there
	}
	return set(dir, file, value)
}

// cgroup reports whether the kernel enforces the limits.
func (l *limits) cgroup() bool { return l.cpu != "" }

// command runs a program within the limits. It joins the groups before it becomes
// the program, since the Go runtime reads its limits once, at start.
func (l *limits) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	if !l.cgroup() {
		return exec.CommandContext(ctx, program, args...)
	}
	script := fmt.Sprintf(`echo $$ >%s/cgroup.procs && echo $$ >%s/cgroup.procs && exec "$0" "$@"`, l.cpu, l.mem)
	return exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, program}, args...)...)
}

// environment is what keeps the program to the limits where nothing else does.
func (l *limits) environment() []string {
	if l.cgroup() {
		return nil
	}
	return []string{"GOMAXPROCS=1", fmt.Sprintf("GOMEMLIMIT=%d", l.memory)}
}

// throttled is how long the group was kept from running so far.
func (l *limits) throttled() time.Duration {
	if n, ok := l.field(l.cpu, "cpu.stat", "throttled_usec"); ok {
		return time.Duration(n) * time.Microsecond
	}
	n, _ := l.field(l.cpu, "cpu.stat", "throttled_time")
	return time.Duration(n)
}

// working is the memory that the group has and that the kernel cannot simply take
// back, as the kubelet counts it too; 0 if that is not known.
func (l *limits) working() int64 {
	for _, version := range []struct{ all, idle string }{
		{"memory.current", "inactive_file"}, {"memory.usage_in_bytes", "total_inactive_file"},
	} {
		text, err := os.ReadFile(filepath.Join(l.mem, version.all))
		if !l.cgroup() || err != nil {
			continue
		}
		all, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		idle, ok := l.field(l.mem, "memory.stat", version.idle)
		if err == nil && ok {
			return max(0, all-idle)
		}
	}
	return 0
}

// killed counts the processes of the group that were killed for want of memory.
func (l *limits) killed() int64 {
	if n, ok := l.field(l.mem, "memory.events", "oom_kill"); ok {
		return n
	}
	n, _ := l.field(l.mem, "memory.oom_control", "oom_kill")
	return n
}

// field reads a number of a file of lines with a name and a number.
func (l *limits) field(dir, file, name string) (int64, bool) {
	if !l.cgroup() {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// close removes the groups, which are empty by then.
func (l *limits) close() error {
	var faults []error
	for _, dir := range []string{l.cpu, l.mem} {
		if dir == "" {
			continue
		}
		// A process that was killed leaves its group a moment later.
		for range 50 {
			err := os.Remove(dir)
			if err == nil || errors.Is(err, os.ErrNotExist) {
				break
			}
			<-time.After(20 * time.Millisecond)
		}
		if _, err := os.Stat(dir); err == nil {
			faults = append(faults, fmt.Errorf("%s could not be removed", dir))
		}
	}
	return errors.Join(faults...)
}
