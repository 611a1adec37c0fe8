package kubelet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

// API names the API server for [Node.Partition].
const API = apiName

// callFor is how long a call of a node to the API server may take.
const callFor = 10 * time.Second

// Node is one machine. Its methods may be called at once.
type Node struct {
	Name string

	fleet  *Fleet
	index  int
	dir    string
	client kubernetes.Interface
	uplink *uplink

	turn  sync.Mutex // held by Lose and Restart
	power context.CancelFunc
	wg    sync.WaitGroup

	mu    sync.Mutex
	pods  map[types.UID]*pod
	given int // addresses
}

func newNode(f *Fleet, name string, index int) (*Node, error) {
	n := &Node{
		Name: name, fleet: f, index: index, dir: filepath.Join(f.dir, name),
		uplink: &uplink{dial: f.dial, gates: map[string]*gate{}, links: map[*link]bool{}},
	}
	cfg, err := f.rig.User("system:node:"+name, "system:nodes")
	if err != nil {
		return nil, err
	}
	cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return n.uplink.connect(ctx, apiName) }
	cfg.UserAgent = "kubelet"
	n.client, err = kubernetes.NewForConfig(cfg)
	return n, err
}

// Restart boots the machine: it registers, if it was not there before, and takes up
// the pods that are bound to it. Of those that ran before none runs now. One that is
// up is lost first.
func (n *Node) Restart() error {
	n.Lose()
	n.turn.Lock()
	defer n.turn.Unlock()
	if err := os.RemoveAll(n.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	l, err := net.Listen("unix", n.socket())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.power = cancel
	n.mu.Lock()
	n.pods = map[types.UID]*pod{}
	n.mu.Unlock()
	n.wg.Go(func() { n.carry(ctx, l) })
	n.wg.Go(func() { n.live(ctx) })
	n.wg.Go(func() {
		follow(ctx, n.client.CoreV1().Pods(""), "spec.nodeName="+n.Name,
			func(p *corev1.Pod) { n.see(ctx, p) }, func(p *corev1.Pod) { n.miss(p) })
	})
	return nil
}

// Lose switches the machine off: all its processes are killed at once and nothing is
// heard of it from then on. It returns when they are gone.
func (n *Node) Lose() {
	n.turn.Lock()
	defer n.turn.Unlock()
	if n.power == nil {
		return
	}
	n.power()
	n.mu.Lock()
	pods := n.pods
	n.pods = map[types.UID]*pod{}
	n.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range pods {
		wg.Go(p.cut)
	}
	wg.Wait()
	n.uplink.hangUp()
	n.wg.Wait()
	n.power = nil
}

// Partition cuts the machine and its pods off from some services, as they are named
// for [Fleet.Serve], or from all if none is named. Its processes go on. Whatever they
// say gets no answer, not even a refusal.
func (n *Node) Partition(services ...string) { n.uplink.set(false, services) }

// Heal undoes Partition, for some services or for all.
func (n *Node) Heal(services ...string) { n.uplink.set(true, services) }

func (n *Node) socket() string { return filepath.Join(n.dir, "up") }

// carry takes the connections of pods to services.
func (n *Node) carry(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			sandbox.Answer(conn, func(name string) (net.Conn, error) { return n.uplink.connect(ctx, name) })
		})
	}
}

// address gives a pod its own.
func (n *Node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.given++
	return fmt.Sprintf("10.%d.%d.%d", 128+n.index, n.given/250, n.given%250+1)
}

// machine is the address of the node itself. Nothing listens there.
func (n *Node) machine() string { return fmt.Sprintf("192.168.0.%d", n.index+1) }

// see takes up a pod, or a change of one.
func (n *Node) see(ctx context.Context, object *corev1.Pod) {
	if ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	p, known := n.pods[object.UID]
	if !known {
		p = newPod(n, object)
		n.pods[object.UID] = p
	}
	n.mu.Unlock()
	if !known {
		n.wg.Go(func() { p.run(ctx) })
		return
	}
	p.update(object)
}

// miss lets go of a pod whose object is gone.
func (n *Node) miss(object *corev1.Pod) {
	n.mu.Lock()
	p := n.pods[object.UID]
	n.mu.Unlock()
	if p != nil {
		p.vanish()
	}
}

// forget is called once nothing of a pod is left.
func (n *Node) forget(p *pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pods, p.uid)
}

// live registers the node and gives signs of life.
func (n *Node) live(ctx context.Context) {
	tick := time.NewTicker(n.fleet.cfg.Heartbeat)
	defer tick.Stop()
	for {
		if err := n.beat(ctx); err != nil && ctx.Err() == nil {
			n.fleet.log.WarnContext(ctx, "no sign of life", "node", n.Name, "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat sees that the node is known and ready, and renews its lease.
func (n *Node) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	nodes := n.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, n.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		labels := map[string]string{corev1.LabelHostname: n.Name, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH}
		maps.Copy(labels, n.fleet.cfg.Labels)
		node, err = nodes.Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	if !ready(node) {
		n.describe(node)
		if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return n.renew(ctx)
}

// ready reports whether a node can run pods.
func ready(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// describe fills the status of a node that is ready.
func (n *Node) describe(node *corev1.Node) {
	now := metav1.Now()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	s := &node.Status
	s.Capacity, s.Allocatable = capacity, capacity
	s.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.machine()}, {Type: corev1.NodeHostName, Address: n.Name},
	}
	s.NodeInfo.OperatingSystem, s.NodeInfo.Architecture = runtime.GOOS, runtime.GOARCH
	s.NodeInfo.KubeletVersion, s.NodeInfo.ContainerRuntimeVersion = "v0.0.0-test", "process://1"
	fresh := corev1.NodeCondition{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the test kubelet takes pods",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type == corev1.NodeReady {
			s.Conditions[i] = fresh
			return
		}
	}
	s.Conditions = append(s.Conditions, fresh)
}

// renew renews the lease of the node, which is what it is believed to live by.
func (n *Node) renew(ctx context.Context) error {
	leases := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, n.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err
	}
	if missing {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	}
	lease.Spec.HolderIdentity = &n.Name
	lease.Spec.LeaseDurationSeconds = new(int32(40))
	lease.Spec.RenewTime = new(metav1.NowMicro())
	if missing {
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
	} else {
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	return err
}
