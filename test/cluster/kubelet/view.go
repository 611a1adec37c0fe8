package kubelet

import (
	"context"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// view is what is known of the cluster's pods, nodes and services. Objects in it are
// not to be changed.
type view struct {
	changed chan struct{} // holds one token after a change

	mu       sync.Mutex
	pods     map[types.UID]*corev1.Pod
	nodes    map[string]*corev1.Node
	services map[types.NamespacedName]*corev1.Service
}

func newView() *view {
	return &view{
		changed: make(chan struct{}, 1),
		pods:    map[types.UID]*corev1.Pod{}, nodes: map[string]*corev1.Node{}, services: map[types.NamespacedName]*corev1.Service{},
	}
}

// run keeps the view up to date until ctx ends.
func (v *view) run(ctx context.Context, client kubernetes.Interface) {
	var wg sync.WaitGroup
	wg.Go(func() {
		follow(ctx, client.CoreV1().Pods(metav1.NamespaceAll), "",
			func(p *corev1.Pod) { v.edit(func() { v.pods[p.UID] = p }) },
			func(p *corev1.Pod) { v.edit(func() { delete(v.pods, p.UID) }) })
	})
	wg.Go(func() {
		follow(ctx, client.CoreV1().Nodes(), "",
			func(n *corev1.Node) { v.edit(func() { v.nodes[n.Name] = n }) },
			func(n *corev1.Node) { v.edit(func() { delete(v.nodes, n.Name) }) })
	})
	key := func(s *corev1.Service) types.NamespacedName {
		return types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	}
	wg.Go(func() {
		follow(ctx, client.CoreV1().Services(metav1.NamespaceAll), "",
			func(s *corev1.Service) { v.edit(func() { v.services[key(s)] = s }) },
			func(s *corev1.Service) { v.edit(func() { delete(v.services, key(s)) }) })
	})
	wg.Wait()
}

func (v *view) edit(change func()) {
	v.mu.Lock()
	change()
	v.mu.Unlock()
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// usable reports whether a node is ready for pods that tolerate nothing.
func (v *view) usable(node string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.nodes[node]
	return n != nil && ready(n) && !n.Spec.Unschedulable && len(n.Spec.Taints) == 0
}

// all returns the pods and the nodes.
func (v *view) all() ([]*corev1.Pod, []*corev1.Node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Values(v.pods)), slices.Collect(maps.Values(v.nodes))
}

// service returns a service, or nil, and the pods that it selects.
func (v *view) service(name types.NamespacedName) (*corev1.Service, []*corev1.Pod) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.services[name]
	if s == nil || len(s.Spec.Selector) == 0 {
		return s, nil
	}
	var pods []*corev1.Pod
	for _, p := range v.pods {
		if p.Namespace == name.Namespace && selects(s.Spec.Selector, p.Labels) {
			pods = append(pods, p)
		}
	}
	return s, pods
}

// selects reports whether labels have all that is asked for.
func selects(want, labels map[string]string) bool {
	for k, v := range want {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
