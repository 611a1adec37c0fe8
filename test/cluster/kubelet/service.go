package kubelet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

// Dial connects to a port of a pod, wherever it runs.
func (f *Fleet) Dial(ctx context.Context, namespace, name string, port int) (net.Conn, error) {
	for _, n := range f.nodes {
		if box := n.sandbox(func(p *corev1.Pod) bool { return p.Namespace == namespace && p.Name == name }); box != nil {
			return box.Dial(ctx, port)
		}
	}
	return nil, fmt.Errorf("pod %s/%s does not run", namespace, name)
}

// Signal sends a signal to each process that runs in a pod, SIGKILL as the kernel
// does when memory runs out. It fails if none runs.
func (f *Fleet) Signal(namespace, name string, s syscall.Signal) error {
	sent := false
	for _, u := range f.Usage(namespace, name) {
		if u.Pod == name && u.Ended.IsZero() {
			if err := syscall.Kill(u.PID, s); err != nil {
				return fmt.Errorf("send %s to %s of pod %s/%s: %w", s, u.Container, namespace, name, err)
			}
			sent = true
		}
	}
	if !sent {
		return fmt.Errorf("no process of pod %s/%s runs", namespace, name)
	}
	return nil
}

// sandbox is that of a pod which runs here, or nil.
func (n *Node) sandbox(is func(*corev1.Pod) bool) *sandbox.Sandbox {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pods {
		p.mu.Lock()
		found, box := is(p.object), p.box
		p.mu.Unlock()
		if found && box != nil {
			return box
		}
	}
	return nil
}

// Service dials a port of a service of the cluster: each connection goes to one of
// its pods that are ready and not being deleted, as kube-proxy has it. It is for
// [Fleet.Serve] and [Fleet.Front].
func (f *Fleet) Service(namespace, name string, port int32) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		service, pods := f.view.service(types.NamespacedName{Namespace: namespace, Name: name})
		if service == nil {
			return nil, fmt.Errorf("there is no service %s/%s", namespace, name)
		}
		rand.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
		for _, p := range pods {
			number, ok := target(service, p, port)
			if ok && p.DeletionTimestamp == nil && (able(p) || service.Spec.PublishNotReadyAddresses) {
				return f.Dial(ctx, namespace, p.Name, number)
			}
		}
		return nil, fmt.Errorf("service %s/%s has no pod that is ready on port %d", namespace, name, port)
	}
}

// Expose serves a port of a service of the cluster under each name that DNS would
// have for it in another namespace.
func (f *Fleet) Expose(namespace, name string, port int32) {
	for _, suffix := range []string{"", ".svc", ".svc.cluster.local"} {
		f.Serve(fmt.Sprintf("%s.%s%s:%d", name, namespace, suffix, port), f.Service(namespace, name, port))
	}
}

// target is the port of a pod that a port of a service leads to.
func target(s *corev1.Service, p *corev1.Pod, port int32) (int, bool) {
	for _, sp := range s.Spec.Ports {
		if sp.Port != port {
			continue
		}
		if sp.TargetPort.Type == intstr.Int {
			return sp.TargetPort.IntValue(), true
		}
		for i := range p.Spec.Containers {
			if n, ok := named(&p.Spec.Containers[i], sp.TargetPort.StrVal); ok {
				return n, true
			}
		}
	}
	return 0, false
}

// able reports whether a pod is ready.
func able(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Front listens on this host and carries each connection to a service. It returns
// its address, for programs that run beside the cluster.
func (f *Fleet) Front(tb testing.TB, dial Dial) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	tb.Cleanup(func() {
		cancel(errors.New("the test is over"))
		_ = l.Close()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				to, err := dial(ctx)
				if err != nil {
					_ = conn.Close()
					return
				}
				sandbox.Relay(conn, to)
			}()
		}
	}()
	return l.Addr().String()
}
