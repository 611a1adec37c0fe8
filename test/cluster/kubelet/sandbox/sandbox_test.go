package sandbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// probe makes the test binary the program that runs in the sandbox.
const probe = "SANDBOX_TEST_PROBE"

// pause and self are the programs; the second is static, as the root file system
// has no libraries.
var pause, self string

func TestMain(m *testing.M) {
	if what := os.Getenv(probe); what != "" {
		os.Exit(play(os.Stdout, what))
	}
	dir, err := os.MkdirTemp("", "sandbox-")
	if err == nil {
		pause, err = Build(context.Background(), dir)
	}
	if err == nil {
		self = filepath.Join(dir, "probe")
		cmd := exec.Command("go", "test", "-c", "-o", self, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// play does one thing inside and prints what it saw.
func play(out io.Writer, what string) int {
	verb, rest, _ := strings.Cut(what, " ")
	switch verb {
	case "see":
		host, _ := os.Hostname()
		fmt.Fprintln(out, "host", host, "user", os.Getuid(), "group", os.Getgid())
		text, err := os.ReadFile("/data/given")
		fmt.Fprintf(out, "given %s %v\n", text, err)
		fmt.Fprintln(out, "write root", os.WriteFile("/x", nil, 0o600) == nil, "write data", os.WriteFile("/data/x", nil, 0o600) == nil, "write ro", os.WriteFile("/ro/x", nil, 0o600) == nil)
		_, err = os.Stat("/usr")
		fmt.Fprintln(out, "host files", err == nil)
		_, err = os.Stat(rest)
		fmt.Fprintln(out, "root of the host", err == nil)
		self, err := os.Readlink("/proc/self")
		fmt.Fprintln(out, "proc", self == fmt.Sprint(os.Getpid()), err)
	case "listen":
		l, err := net.Listen("tcp", rest)
		if err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		fmt.Fprintln(out, "listening")
		err = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello "+r.RemoteAddr) }))
		fmt.Fprintln(out, err)
	case "get":
		resp, err := http.Get(rest)
		if err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		fmt.Fprintln(out, string(text), err)
	case "spawn":
		child := exec.Command("/probe")
		child.Env = []string{probe + "=wait"}
		if err := child.Start(); err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		fmt.Fprintln(out, "child", child.Process.Pid)
		_ = syscall.Pause()
	case "wait":
		fmt.Fprintln(out, "waiting")
		_ = syscall.Pause()
	case "exit":
		return 7
	}
	return 0
}

// scene is a sandbox and a directory of the test.
type scene struct {
	*Sandbox
	t   *testing.T
	dir string
	n   int
}

// stage makes a sandbox that can reach what dial answers for, under 10.0.0.1:80
// and 10.0.0.2:8081.
func stage(t *testing.T, dial func(string) (net.Conn, error)) *scene {
	t.Helper()
	dir := t.TempDir()
	up, err := net.Listen("unix", filepath.Join(dir, "up"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Close() })
	go accept(up, func(link net.Conn) { Answer(link, dial) })
	s, err := Start(pause, Config{
		Hostname: "pod-1", Address: "10.244.0.7", Uplink: filepath.Join(dir, "up"), Downlink: filepath.Join(dir, "down"),
		Reach: map[string]string{"10.0.0.1:80": "one", "10.0.0.2:8081": "two"},
	}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return &scene{Sandbox: s, t: t, dir: dir}
}

// run starts the probe; change may be nil.
func (s *scene) run(what string, change func(*Container)) (*Process, string) {
	s.t.Helper()
	s.n++
	root := filepath.Join(s.dir, fmt.Sprint("root", s.n))
	if err := os.Mkdir(root, 0o755); err != nil {
		s.t.Fatal(err)
	}
	c := Container{
		Name: fmt.Sprint("c", s.n), Args: []string{"/probe"}, Env: []string{probe + "=" + what},
		Log: filepath.Join(s.dir, fmt.Sprint("log", s.n)), Root: root,
		Mounts: []Mount{{Source: self, Target: "/probe", ReadOnly: true}},
	}
	if change != nil {
		change(&c)
	}
	p, err := s.Run(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return p, c.Log
}

// ended waits for the end and returns the log.
func (s *scene) ended(p *Process, log string) string {
	s.t.Helper()
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		s.t.Fatal("it does not end")
	}
	text, err := os.ReadFile(log)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// line waits for a line in the log that begins so.
func (s *scene) line(log, prefix string) string {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		f, err := os.Open(log)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), prefix) {
				f.Close()
				return lines.Text()
			}
		}
		f.Close()
	}
	s.t.Fatalf("no line %q in %s", prefix, log)
	return ""
}

func nobody(string) (net.Conn, error) { return nil, io.EOF }

func TestAContainerSeesItsOwnFilesAndNoOthers(t *testing.T) {
	t.Parallel()
	s := stage(t, nobody)
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "given"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	see := func(readOnly bool) string {
		return s.ended(s.run("see "+s.dir, func(c *Container) {
			c.ReadOnly = readOnly
			c.Mounts = append(c.Mounts, Mount{Source: data, Target: "/data"}, Mount{Source: data, Target: "/ro", ReadOnly: true})
		}))
	}
	want := `host pod-1 user 0 group 0
given text <nil>
write root %t write data true write ro false
host files false
root of the host false
proc true <nil>
`
	if got := see(false); got != fmt.Sprintf(want, true) {
		t.Errorf("got %s", got)
	}
	if got := see(true); got != fmt.Sprintf(want, false) {
		t.Errorf("with a read-only root: got %s", got)
	}
	if _, err := os.Stat(filepath.Join(data, "x")); err != nil {
		t.Errorf("what was written to a volume is not there: %v", err)
	}
}

func TestAContainerIsTheUserThatItIsToBe(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("we are not root: all containers are the user that we are")
		return
	}
	s := stage(t, nobody)
	got := s.ended(s.run("see /x", func(c *Container) { c.User, c.Group = 65532, 65533 }))
	if want := "host pod-1 user 65532 group 65533\n"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(got, "write root false") {
		t.Errorf("it may write where root may: %s", got)
	}
}

func TestAPodReachesWhatItMayAndIsReached(t *testing.T) {
	t.Parallel()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "from outside") })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	s := stage(t, func(name string) (net.Conn, error) {
		if name != "two" {
			return nil, io.EOF
		}
		return net.Dial("tcp", l.Addr().String())
	})
	// A port of a pod is its own, whatever else has the number.
	p, log := s.run("listen :8081", nil)
	s.line(log, "listening")

	if got := s.ended(s.run("get http://10.0.0.2:8081/", nil)); got != "from outside <nil>\n" {
		t.Errorf("a service that is there: %s", got)
	}
	for what, url := range map[string]string{
		"a service that is not there": "http://10.0.0.1:80/", "the host": "http://" + l.Addr().String() + "/",
		"a port of a service that it has not": "http://10.0.0.2:9999/",
	} {
		if got := s.ended(s.run("get "+url, nil)); !strings.Contains(got, "connection re") && !strings.Contains(got, "EOF") {
			t.Errorf("%s: %s", what, got)
		}
	}
	if got := s.ended(s.run("get http://127.0.0.1:8081/", nil)); !strings.HasPrefix(got, "hello 127.0.0.1:") {
		t.Errorf("a neighbour in the pod: %s", got)
	}

	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx, 8081) },
	}}
	resp, err := client.Get("http://pod/")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(string(text), "hello 10.244.0.7:") {
		t.Errorf("from outside: %q, %v", text, err)
	}
	if _, err := s.Dial(t.Context(), 8082); err == nil {
		t.Error("a port that nobody listens on was connected to")
	}
	if err := p.Signal(syscall.SIGTERM, false); err != nil {
		t.Fatal(err)
	}
	s.ended(p, log)
	if got := p.Exit(); got.Signal != int(syscall.SIGTERM) && got.Code != 2 {
		t.Errorf("after SIGTERM: %+v", got)
	}
}

func TestTheEndOfAProcessIsTold(t *testing.T) {
	t.Parallel()
	s := stage(t, nobody)
	p, log := s.run("exit", nil)
	s.ended(p, log)
	if got := p.Exit(); got.Code != 7 || got.Signal != 0 || got.CPU <= 0 || time.Since(got.At) > time.Minute {
		t.Errorf("exit 7: %+v", got)
	}
	p, log = s.run("wait", nil)
	s.line(log, "waiting")
	if err := p.Signal(syscall.SIGKILL, true); err != nil {
		t.Fatal(err)
	}
	s.ended(p, log)
	if got := p.Exit(); got.Signal != int(syscall.SIGKILL) {
		t.Errorf("killed: %+v", got)
	}
	_, err := s.Run(Container{Name: "none", Args: []string{"/none"}, Log: log, Root: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "exec /none: no such file") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestNothingOutlivesItsSandbox(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*scene){
		"when it is killed":   func(s *scene) { s.Kill() },
		"when pause dies":     func(s *scene) { _ = s.cmd.Process.Kill() },
		"when its maker dies": func(s *scene) { _ = s.control.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, nobody)
			p, log := s.run("wait", nil)
			s.line(log, "waiting")
			end(s)
			s.ended(p, log)
			for deadline := time.Now().Add(time.Minute); running(p.PID); <-time.After(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("process %d is left", p.PID)
				}
			}
		})
	}
}

func TestWhatAProcessStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	s := stage(t, nobody)
	p, log := s.run("spawn", nil)
	var child int
	if _, err := fmt.Sscanf(s.line(log, "child"), "child %d", &child); err != nil {
		t.Fatal(err)
	}
	if !running(child) {
		t.Fatalf("process %d does not run", child)
	}
	if err := p.Signal(syscall.SIGKILL, false); err != nil {
		t.Fatal(err)
	}
	s.ended(p, log)
	for deadline := time.Now().Add(time.Minute); running(child); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is left", child)
		}
	}
}

// running reports whether a process exists and is no zombie.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
