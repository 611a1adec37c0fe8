package kubelet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
	"github.com/billyronks/couchestor/test/cluster/rig"
)

// Config describes a fleet of nodes.
type Config struct {
	// Nodes are their names; none is node-1 and node-2.
	Nodes []string
	// Labels are on each of them, beside name, system and architecture.
	Labels map[string]string
	// Images are what pods can run: by the whole name of the image, or by the name
	// without its tag and digest.
	Images map[string]Image
	// Heartbeat is the time between two signs of life of a node; 0 is 1 s.
	Heartbeat time.Duration
	// Sync is the time between two looks at what volumes show; 0 is 1 s.
	Sync time.Duration
	// RestartDelay is how long a container that failed again waits for its next
	// start; it doubles up to 5 min. 0 is 10 s, as in a cluster.
	RestartDelay time.Duration
	// Sample is the time between two looks at the memory of a process; 0 is 200 ms.
	Sample time.Duration
}

// Image is a program of this host.
type Image struct {
	// Program is its path on the host. It must be static, unless Files has its
	// libraries. A container finds it in its root, under its base name.
	Program string
	// Entrypoint is what runs if the container has no command; nil is the program.
	Entrypoint []string
	Env        []string
	// Files are more that the image has: paths on the host by paths inside.
	Files map[string]string
	// User is what runs if the pod does not say; 0 is root.
	User int
}

// Dial connects to a service.
type Dial func(context.Context) (net.Conn, error)

// Address dials a host and port of this host.
func Address(hostport string) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", hostport)
	}
}

// Fleet is some nodes and a binder that gives them pods. Its methods may be called
// at once.
type Fleet struct {
	rig   *rig.Rig
	cfg   Config
	dir   string
	pause string
	log   *slog.Logger
	nodes map[string]*Node
	view  *view
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu       sync.Mutex
	images   map[string]Image
	services map[string]Dial // by host:port
	hosts    []string        // in the order they were named: their addresses follow from it
	usage    []*process
}

// apiName is the API server, as pods know it.
const apiName = "kubernetes.default.svc:443"

// Start starts the nodes, and returns once they are ready for pods.
func Start(ctx context.Context, r *rig.Rig, cfg Config) (*Fleet, error) {
	if r.Controllers == nil {
		return nil, errors.New("start the controllers first: without them no pod gets a token and no node is found ready")
	}
	if len(cfg.Nodes) == 0 {
		cfg.Nodes = []string{"node-1", "node-2"}
	}
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, time.Second)
	cfg.Sync = cmp.Or(cfg.Sync, time.Second)
	cfg.RestartDelay = cmp.Or(cfg.RestartDelay, 10*time.Second)
	cfg.Sample = cmp.Or(cfg.Sample, 200*time.Millisecond)
	dir, err := os.MkdirTemp(r.Dir, "k")
	if err != nil {
		return nil, err
	}
	f := &Fleet{
		rig: r, cfg: cfg, dir: dir, nodes: map[string]*Node{}, view: newView(),
		images: maps.Clone(cfg.Images), services: map[string]Dial{},
	}
	if f.images == nil {
		f.images = map[string]Image{}
	}
	log, err := os.OpenFile(r.LogFile("kubelet"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	f.log = slog.New(slog.NewTextHandler(log, nil))
	f.Serve(apiName, Address(r.Address()))
	ctx2, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.wg.Go(func() {
		<-ctx2.Done()
		for _, n := range f.nodes {
			n.Lose()
		}
		_ = log.Close()
	})
	if err := f.start(ctx, ctx2); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) start(ctx, life context.Context) error {
	var err error
	if f.pause, err = sandbox.Build(ctx, f.rig.Dir); err != nil {
		return err
	}
	if err := sandbox.Try(f.pause, f.dir); err != nil {
		return err
	}
	scheduler, err := f.rig.User("system:kube-scheduler")
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(scheduler)
	if err != nil {
		return err
	}
	for i, name := range f.cfg.Nodes {
		if f.nodes[name], err = newNode(f, name, i); err != nil {
			return err
		}
	}
	f.wg.Go(func() { f.view.run(life, client) })
	f.wg.Go(func() { (&binder{client: client, view: f.view, log: f.log}).run(life) })
	for _, name := range f.cfg.Nodes {
		if err := f.nodes[name].Restart(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the nodes were not ready in time"))
	defer cancel()
	return rig.Until(ctx, 50*time.Millisecond, func(context.Context) (bool, error) {
		for _, name := range f.cfg.Nodes {
			if !f.view.usable(name) {
				return false, nil
			}
		}
		return true, nil
	})
}

// New starts a fleet for one test.
func New(tb testing.TB, r *rig.Rig, cfg Config) *Fleet {
	tb.Helper()
	f, err := Start(tb.Context(), r, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		f.Close()
		if tb.Failed() {
			f.Tails(tb.Output(), 30)
		}
	})
	return f
}

// Close ends all processes. What the API server knows of nodes and pods stays.
func (f *Fleet) Close() {
	f.stop()
	f.wg.Wait()
}

// Node is the one of that name; it panics if there is none.
func (f *Fleet) Node(name string) *Node {
	n := f.nodes[name]
	if n == nil {
		panic("there is no node " + name)
	}
	return n
}

// SetImage makes an image known from now on, or changes it for containers that
// start from now on.
func (f *Fleet) SetImage(name string, i Image) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images[name] = i
}

// image finds what is to run.
func (f *Fleet) image(name string) (Image, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.images[name]; ok {
		return i, true
	}
	name, _, _ = strings.Cut(name, "@")
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name = name[:at]
	}
	i, ok := f.images[name]
	return i, ok
}

// Serve gives pods that start from now on something to reach: a host and a port
// as "mayastor-api-rest.mayastor.svc.cluster.local:8081", for which each
// connection is made by dial. Named again, it changes for all pods at once; a dial
// that fails is a service that has no endpoint.
func (f *Fleet) Serve(name string, dial Dial) {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services[name] = dial
	if !slices.Contains(f.hosts, host) {
		f.hosts = append(f.hosts, host)
	}
}

// dial connects to a service by its name.
func (f *Fleet) dial(ctx context.Context, name string) (net.Conn, error) {
	f.mu.Lock()
	dial := f.services[name]
	f.mu.Unlock()
	if dial == nil {
		return nil, fmt.Errorf("nothing serves %s", name)
	}
	return dial(ctx)
}

// reach is what a pod that starts now can reach: addresses with their names, and
// the lines of its /etc/hosts.
func (f *Fleet) reach() (addresses map[string]string, hosts string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := map[string]string{}
	var lines strings.Builder
	for i, host := range f.hosts { // the first one is the API server
		at[host] = rig.ServiceAddress
		if i > 0 {
			at[host] = fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)
		}
		fmt.Fprintf(&lines, "%s\t%s\n", at[host], host)
	}
	addresses = map[string]string{}
	for name := range f.services {
		host, port, _ := net.SplitHostPort(name)
		addresses[net.JoinHostPort(at[host], port)] = name
	}
	return addresses, lines.String()
}

// logDir is where the logs of a pod are, as in /var/log/pods.
func (f *Fleet) logDir(p *corev1.Pod) string {
	return filepath.Join(f.dir, "logs", p.Namespace+"_"+p.Name+"_"+string(p.UID))
}

// Logs are all that the containers of a pod wrote, also before they were
// restarted, and also after the pod is gone; "" if none was started.
func (f *Fleet) Logs(namespace, pod string) string {
	files, err := filepath.Glob(filepath.Join(f.dir, "logs", namespace+"_"+pod+"_*", "*.log"))
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err.Error()
		}
		b.Write(text)
	}
	return b.String()
}

// Tails writes the ends of the logs of all pods, of so many lines each.
func (f *Fleet) Tails(w io.Writer, lines int) {
	files, err := filepath.Glob(filepath.Join(f.dir, "logs", "*", "*.log"))
	if err != nil {
		fmt.Fprintln(w, err)
	}
	for _, file := range files {
		fmt.Fprintf(w, "----- end of %s\n%s", file, rig.Tail(file, lines))
	}
}
