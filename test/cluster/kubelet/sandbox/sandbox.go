package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// Build builds the program pause into dir, unless it is there, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	root, err := rig.Root()
	if err != nil {
		return "", err
	}
	unlock, err := rig.Lock(dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "pause")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "./kubelet/sandbox/pause")
	cmd.Dir = filepath.Join(root, "test", "cluster")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pause: %w\n%s", err, out)
	}
	return path, nil
}

// Sandbox is one that runs. Its methods may be called at once.
type Sandbox struct {
	cfg  Config
	cmd  *exec.Cmd
	done chan struct{} // closed once pause has ended

	mu      sync.Mutex
	control *os.File
	running map[string]*Process
}

// Process is the process of a container.
type Process struct {
	// PID is the host's number of it; it leads a session and a process group.
	PID int

	started chan error
	done    chan struct{}
	exit    Exit // may be read once done is closed
}

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how it ended, once Done is closed.
func (p *Process) Exit() Exit { return p.exit }

// Signal sends a signal to the process, or to its whole group if all is true.
// That it has ended is no fault.
func (p *Process) Signal(s syscall.Signal, all bool) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	to := p.PID
	if all {
		to = -to
	}
	if err := syscall.Kill(to, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", s, p.PID, err)
	}
	return nil
}

// Start makes a sandbox. pause is the program that [Build] built; what it has to
// say itself goes to log.
func Start(pause string, cfg Config, log io.Writer) (*Sandbox, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	s := &Sandbox{cfg: cfg, control: ours, done: make(chan struct{}), running: map[string]*Process{}}
	s.cmd = exec.Command(pause, "pod")
	s.cmd.Args[0] = "pause"
	s.cmd.Stderr = log
	s.cmd.ExtraFiles = []*os.File{theirs} // descriptor 3 there
	s.cmd.SysProcAttr = isolated()
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("make namespaces, which needs root or the right to make user namespaces: %w", err), ours.Close())
	}
	replies := json.NewDecoder(bufio.NewReader(ours))
	err = s.send(request{Pod: &cfg})
	var first reply
	if err == nil {
		err = replies.Decode(&first)
	}
	if err == nil && first.Err != "" {
		err = errors.New(first.Err)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("prepare the sandbox %s: %w", cfg.Hostname, err), ours.Close())
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		return nil, err
	}
	go s.listen(replies)
	return s, nil
}

// Try makes a sandbox and ends it. It fails where none can be made.
func Try(pause, dir string) error {
	s, err := Start(pause, Config{Hostname: "try", Address: "10.128.0.1", Downlink: filepath.Join(dir, "try")}, io.Discard)
	if err != nil {
		return err
	}
	s.Kill()
	return os.Remove(filepath.Join(dir, "try"))
}

// isolated are the namespaces that containers of a pod share. As root none is
// needed for users, and then they can have other users.
func isolated() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

func socketpair() (ours, theirs *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	// Reads of ours wait in the poller, so that Close ends them.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

func (s *Sandbox) send(r request) error { return json.NewEncoder(s.control).Encode(r) }

// listen hears what pause says until it ends, and then all that ran has.
func (s *Sandbox) listen(replies *json.Decoder) {
	for {
		var r reply
		if err := replies.Decode(&r); err != nil {
			break
		}
		s.heard(r)
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.Close()
	for name, p := range s.running {
		delete(s.running, name)
		p.exit = Exit{Signal: int(syscall.SIGKILL)}
		select {
		case p.started <- errors.New("the sandbox ended"): // heard by Run, if it waits
		default:
		}
		close(p.done)
	}
	close(s.done)
}

// heard takes note of what became of a container.
func (s *Sandbox) heard(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running[r.Name]
	switch {
	case p == nil:
	case r.Exit != nil:
		delete(s.running, r.Name)
		p.exit = *r.Exit
		close(p.done)
	case r.Err != "":
		delete(s.running, r.Name)
		p.started <- errors.New(r.Err)
	default:
		p.PID = r.PID
		p.started <- nil
	}
}

// Run starts a container. Its name must be none that runs.
func (s *Sandbox) Run(c Container) (*Process, error) {
	p := &Process{started: make(chan error, 1), done: make(chan struct{})}
	s.mu.Lock()
	if s.running[c.Name] != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("start %s: one of that name runs", c.Name)
	}
	s.running[c.Name] = p
	err := s.send(request{Start: &c})
	s.mu.Unlock()
	if err == nil {
		err = <-p.started
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running[c.Name] == p {
			delete(s.running, c.Name)
		}
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return p, nil
}

// Dial connects to a port of the pod.
func (s *Sandbox) Dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", s.cfg.Downlink)
	if err != nil {
		return nil, err
	}
	if err := introduce(conn, net.JoinHostPort(s.cfg.Address, strconv.Itoa(port))); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Kill ends all processes at once, as a loss of power does, and waits until they
// are gone.
func (s *Sandbox) Kill() {
	s.mu.Lock()
	for _, p := range s.running {
		if p.PID != 0 {
			_ = p.Signal(syscall.SIGKILL, true)
		}
	}
	s.mu.Unlock()
	_ = s.cmd.Process.Kill()
	<-s.done
}
