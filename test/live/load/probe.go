package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// probeVariable makes the process one that does nothing but exceed limits: "cpu", or
// a number of bytes to hold.
const probeVariable = "COUCHESTOR_LOAD_PROBE"

// probeFor is how long a probe burns CPU.
const probeFor = 800 * time.Millisecond

func probing() bool { return os.Getenv(probeVariable) != "" }

// probe burns two CPUs for a while, or holds memory.
func probe() {
	bytes, err := strconv.Atoi(os.Getenv(probeVariable))
	if err == nil {
		hold(bytes)
		return
	}
	var burning sync.WaitGroup
	until := time.Now().Add(probeFor)
	for range 2 {
		burning.Go(func() {
			for time.Now().Before(until) {
			}
		})
	}
	burning.Wait()
}

// hold writes to every page of so much memory.
func hold(bytes int) {
	const chunk = 8 << 20
	var held [][]byte
	for n := 0; n < bytes; n += chunk {
		page := make([]byte, chunk)
		for i := 0; i < chunk; i += 4096 {
			page[i] = 1
		}
		held = append(held, page)
	}
	fmt.Fprintln(os.Stdout, len(held))
}

// prove runs a process that exceeds the limits, and says what became of it. An
// error means that they are not real.
func (l *limits) prove(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	run := func(what string) (*exec.Cmd, time.Duration, error) {
		cmd := l.command(ctx, self)
		cmd.Env = append(os.Environ(), probeVariable+"="+what)
		start := time.Now()
		err := cmd.Run()
		return cmd, time.Since(start), err
	}
	cmd, took, err := run("cpu")
	if err != nil {
		return fmt.Errorf("run a process within the limits: %w", err)
	}
	used := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() / took.Seconds()
	if used > 1.3*l.cores {
		return fmt.Errorf("a process that wants 2 cores and is limited to %g got %.2f", l.cores, used)
	}
	_, _, err = run(strconv.FormatInt(l.memory+l.memory/4, 10))
	if !wasKilled(err) {
		return fmt.Errorf("a process that takes %d MiB was not killed: %w", (l.memory+l.memory/4)>>20, cmp.Or(err, errSurvived))
	}
	l.proof = fmt.Sprintf("a process that wanted 2 cores got %.2f, and one that wanted %d MiB was killed", used, (l.memory+l.memory/4)>>20)
	return nil
}

var errSurvived = errors.New("it ended well")

// wasKilled reports whether a process ended by SIGKILL, as those do that have no
// memory left.
func wasKilled(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
