package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Process is a program that runs beside the test and does not outlive it. Its
// methods may be called at once.
type Process struct {
	Name string
	// Log is the file that has its output, both streams.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; may be read once done is closed
}

// Command describes a process.
type Command struct {
	Name string
	Path string
	Args []string
	// Env is the whole environment.
	Env []string
	// Log is the file that its output is appended to. Stdout, if not "", takes
	// the standard output alone.
	Log, Stdout string
}

// Start starts a process.
func (c Command) Start() (*Process, error) {
	p := &Process{Name: c.Name, Log: c.Log, done: make(chan struct{})}
	var files []*os.File
	open := func(path string) (*os.File, error) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		files = append(files, f)
		return f, err
	}
	stderr, err := open(c.Log)
	stdout := stderr
	if err == nil && c.Stdout != "" {
		stdout, err = open(c.Stdout)
	}
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Args[0] = filepath.Base(c.Name)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = c.Env, stdout, stderr
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		// The kernel takes the death of the thread that started a process for the
		// death of its parent, so this one lives for as long as the process.
		runtime.LockOSThread()
		err := p.cmd.Start()
		for _, f := range files {
			_ = f.Close() // the process has its own
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is its number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait returns the exit status, -1 if a signal ended it, once the process has
// ended.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s: %w", p.Name, context.Cause(ctx))
	}
}

// Signal sends a signal. That the process has ended is no fault.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}

// Pause stops the process where it is, as a host that hangs would.
func (p *Process) Pause() error { return p.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Kill ends the process at once and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended; it is waited for in any case
	<-p.done
}

// Stop asks the process to end, and kills it after grace.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Resume()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.Kill()
	}
}

// Output is all it has written to its log so far.
func (p *Process) Output() string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Tail is the end of a file, of so many lines.
func Tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + "\n"
	}
	at := len(text)
	for range lines + 1 {
		at = bytes.LastIndexByte(text[:max(at, 0)], '\n')
		if at < 0 {
			return string(text)
		}
	}
	return string(text[at+1:])
}
