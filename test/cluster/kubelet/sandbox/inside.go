package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// control is the descriptor that pause and the containers it starts are told by.
const control = 3

// Main is the program pause. It returns the exit status.
func Main(args []string, stderr io.Writer) int {
	var err error
	switch {
	case slices.Equal(args, []string{"pod"}):
		err = pod()
	case slices.Equal(args, []string{"container"}):
		err = enter() // does not return if all goes well
	default:
		err = errors.New("pause is started by tests, which tell it what to do")
	}
	if err != nil {
		fmt.Fprintln(stderr, "pause:", err)
		return 1
	}
	return 0
}

// speaker sends replies, one at a time.
type speaker struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (s *speaker) say(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(r) // nobody to tell it to
}

// pod does what it is asked until nobody asks any more.
func pod() error {
	// Containers die when the thread does that started them, so all are started
	// by this one, which lasts as long as the process.
	runtime.LockOSThread()
	f := os.NewFile(control, "control")
	syscall.CloseOnExec(control)
	requests := json.NewDecoder(bufio.NewReader(f))
	answers := &speaker{out: json.NewEncoder(f)}
	var r request
	for requests.Decode(&r) == nil { // else the one who asked is gone
		switch {
		case r.Pod != nil:
			if err := prepare(*r.Pod); err != nil {
				answers.say(reply{Err: err.Error()})
				return err
			}
			answers.say(reply{})
		case r.Start != nil:
			if err := launch(*r.Start, answers); err != nil {
				answers.say(reply{Name: r.Start.Name, Err: err.Error()})
			}
		}
		r = request{}
	}
	return nil
}

// prepare sets the name and opens the network.
func prepare(cfg Config) error {
	if err := syscall.Sethostname([]byte(cfg.Hostname)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	listeners, err := wire(cfg.Address, slices.Collect(maps.Keys(cfg.Reach)))
	if err != nil {
		return err
	}
	for address, l := range listeners {
		go accept(l, func(conn net.Conn) {
			link, err := net.Dial("unix", cfg.Uplink)
			if err == nil {
				err = introduce(link, cfg.Reach[address])
			}
			if err != nil {
				reset(conn)
				if link != nil {
					_ = link.Close()
				}
				return
			}
			Relay(conn, link)
		})
	}
	down, err := net.Listen("unix", cfg.Downlink)
	if err != nil {
		return err
	}
	go accept(down, func(link net.Conn) {
		Answer(link, func(address string) (net.Conn, error) { return net.DialTimeout("tcp", address, 5*time.Second) })
	})
	return nil
}

// accept serves each connection of a listener, for ever.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go serve(conn)
	}
}

// reset closes a connection as one that nobody was there for.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// launch starts a container and reports how it ends.
func launch(c Container, answers *speaker) error {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer told.Close()
	cmd := exec.Command("/proc/self/exe", "container")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{told}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS}
	// Whatever keeps the program from starting is said here; nothing is said by
	// one that starts.
	fault, complain, err := os.Pipe()
	if err != nil {
		return errors.Join(err, tell.Close())
	}
	defer fault.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, complain)
	if err := cmd.Start(); err != nil {
		return errors.Join(err, tell.Close(), complain.Close())
	}
	err = errors.Join(json.NewEncoder(tell).Encode(c), tell.Close(), complain.Close())
	text, err2 := io.ReadAll(fault)
	if err := errors.Join(err, err2); err != nil || len(text) > 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return errors.Join(err, errors.New(string(text)))
	}
	answers.say(reply{Name: c.Name, PID: cmd.Process.Pid})
	go func() {
		_ = cmd.Wait()
		exit := &Exit{At: time.Now(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			exit.Signal = int(status.Signal())
		} else {
			exit.Code = cmd.ProcessState.ExitCode()
		}
		// What it left behind goes with it.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		answers.say(reply{Name: c.Name, Exit: exit})
	}()
	return nil
}
