package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// inPod makes the test binary the program that pods of the tests run.
const inPod = "KUBELET_TEST_PROGRAM"

// suite is the control plane that the tests share, and program the test binary as
// a static one.
var (
	suite   rig.Suite
	program string
)

func TestMain(m *testing.M) {
	if os.Getenv(inPod) != "" {
		os.Exit(play(os.Stdout, os.Args[1:]))
	}
	os.Exit(suite.Main(m, func(ctx context.Context, r *rig.Rig) error {
		program = filepath.Join(r.Dir, "program")
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build the program of the tests: %w\n%s", err, out)
		}
		return r.StartControllers(ctx, rig.Controllers{})
	}))
}

// play is what a container does.
func play(out io.Writer, args []string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	rest := args[1:]
	switch args[0] {
	case "kill": // itself
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		_ = syscall.Pause()
	case "exit": // CODE [TERMINATION MESSAGE]
		code, _ := strconv.Atoi(rest[0])
		if len(rest) > 1 {
			_ = os.WriteFile("/dev/termination-log", []byte(rest[1]), 0o600)
		}
		fmt.Fprintln(out, "about to end with", code)
		return code
	case "show": // NAME of environment or /PATH of a file, ...
		for _, name := range rest {
			if !strings.HasPrefix(name, "/") {
				fmt.Fprintf(out, "%s=%s\n", name, os.Getenv(name))
				continue
			}
			text, err := os.ReadFile(name)
			fmt.Fprintf(out, "%s: %s %v\n", name, text, err)
		}
	case "echo":
		fmt.Fprintf(out, "%q\n", rest)
	case "wait": // until SIGTERM
		fmt.Fprintln(out, "waiting")
		<-term
		fmt.Fprintln(out, "terminated")
	case "stubborn":
		fmt.Fprintln(out, "waiting")
		for {
			<-term
			fmt.Fprintln(out, "no")
		}
	case "follow": // FILE until SIGTERM
		last := ""
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			if text, _ := os.ReadFile(rest[0]); string(text) != last {
				last = string(text)
				fmt.Fprintln(out, "now", last)
			}
			select {
			case <-tick.C:
			case <-term:
				return 0
			}
		}
	case "whoami": // again and again, until SIGTERM or once if "once"
		return whoami(out, term, len(rest) > 0)
	case "serve": // ADDRESS: /healthz, and /set?healthz=503
		code := new(atomic.Int32)
		code.Store(http.StatusOK)
		go func() { <-term; os.Exit(0) }()
		fmt.Fprintln(out, "serving")
		err := http.ListenAndServe(rest[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/set":
				n, _ := strconv.Atoi(r.URL.Query().Get("healthz"))
				code.Store(int32(n))
			case "/healthz":
				w.WriteHeader(int(code.Load()))
			}
			name, _ := os.Hostname()
			fmt.Fprint(w, name)
		}))
		fmt.Fprintln(out, err)
		return 1
	case "get": // URL
		resp, err := http.Get(rest[0])
		if err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		defer resp.Body.Close()
		_, _ = io.Copy(out, resp.Body)
	case "burn": // MIB of memory, until 300 ms of CPU are used
		n, _ := strconv.Atoi(rest[0])
		held := make([]byte, n<<20)
		var used syscall.Rusage
		for used.Utime.Nano() < int64(300*time.Millisecond) {
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
			for i := 0; i < len(held); i += 4096 {
				held[i]++
			}
		}
	}
	return 0
}

// whoami asks the API server who the pod is, as client-go in any pod would.
func whoami(out io.Writer, term <-chan os.Signal, once bool) int {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	cfg.Timeout = 2 * time.Second
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		answer, err := client.AuthenticationV1().SelfSubjectReviews().Create(context.Background(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			fmt.Fprintln(out, "no answer:", err)
		} else {
			fmt.Fprintln(out, "I am", answer.Status.UserInfo.Username, "pod", answer.Status.UserInfo.Extra["authentication.kubernetes.io/pod-name"], "node", answer.Status.UserInfo.Extra["authentication.kubernetes.io/node-name"])
		}
		if once {
			return 0
		}
		select {
		case <-tick.C:
		case <-term:
			return 0
		}
	}
}

// cluster is a fleet of a test's own and a namespace in it.
type cluster struct {
	*Fleet
	*testing.T
	ns string
}

// stage starts a fleet, of one node if none is named. The names are the test's own.
func stage(t *testing.T, cfg Config) *cluster {
	t.Helper()
	ns, err := suite.PodNamespace(t.Context(), "kubelet")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Nodes == nil {
		cfg.Nodes = []string{"a"}
	}
	for i, name := range cfg.Nodes {
		cfg.Nodes[i] = ns + "-" + name
	}
	cfg.Images = map[string]Image{"program": {Program: program, Env: []string{inPod + "=1"}}}
	cfg.Labels = map[string]string{"of": ns}
	f := New(t, suite.Rig, cfg)
	t.Cleanup(func() { // others must not get pods here, nor wait for what is here
		for _, name := range cfg.Nodes {
			_ = suite.Client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
		}
	})
	return &cluster{Fleet: f, T: t, ns: ns}
}

// in is the same cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	t.Parallel()
	return &cluster{Fleet: c.Fleet, T: t, ns: c.ns}
}

// node is the name of a node of the test.
func (c *cluster) node(name string) string { return c.ns + "-" + name }

// spec is a pod that runs the program with the arguments, on the test's nodes.
func (c *cluster) spec(args ...string) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "main", Image: "program:v1", Args: args}},
	}
}

// create makes a pod.
func (c *cluster) create(name string, spec corev1.PodSpec) *corev1.Pod {
	c.Helper()
	return c.make(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
}

func (c *cluster) make(pod *corev1.Pod) *corev1.Pod {
	c.Helper()
	if pod.Spec.NodeName == "" && pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{"of": c.ns}
	}
	pod, err := suite.Client.CoreV1().Pods(c.ns).Create(c.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return pod
}

// get reads a pod; nil if it is gone.
func (c *cluster) get(name string) *corev1.Pod {
	c.Helper()
	pods, err := suite.Client.CoreV1().Pods(c.ns).List(c.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		c.Fatal(err)
	}
	if len(pods.Items) == 0 {
		return nil
	}
	return &pods.Items[0]
}

// until waits until a pod is so.
func (c *cluster) until(name, sentence string, is func(*corev1.Pod) bool) *corev1.Pod {
	c.Helper()
	var pod *corev1.Pod
	c.eventually(name+" "+sentence, func() bool {
		pod = c.get(name)
		return pod != nil && is(pod)
	})
	return pod
}

// eventually fails the test unless the sentence comes true within two minutes.
func (c *cluster) eventually(sentence string, is func() bool) {
	c.Helper()
	ctx, cancel := context.WithTimeoutCause(c.Context(), 2*time.Minute, errors.New("it did not in two minutes"))
	defer cancel()
	if err := rig.Until(ctx, 50*time.Millisecond, func(context.Context) (bool, error) { return is(), nil }); err != nil {
		pods, _ := suite.Client.CoreV1().Pods(c.ns).List(context.Background(), metav1.ListOptions{})
		for _, p := range pods.Items {
			c.Logf("%s on %s, deleted %v: %+v", p.Name, p.Spec.NodeName, p.DeletionTimestamp, p.Status)
		}
		c.Fatalf("%s: %v", sentence, err)
	}
}

// says waits for a line of a pod's log that holds the text.
func (c *cluster) says(name, text string) {
	c.Helper()
	c.eventually(fmt.Sprintf("%s says %q", name, text), func() bool { return strings.Contains(c.Logs(c.ns, name), text) })
}

func phase(want corev1.PodPhase) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return p.Status.Phase == want }
}

// only is the state of the only container.
func only(p *corev1.Pod) corev1.ContainerStatus { return p.Status.ContainerStatuses[0] }
