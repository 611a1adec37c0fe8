package kubelet

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// binder is in the place of the scheduler, with its rights: it binds each pod to
// the node with the fewest pods among those that are ready, not cordoned, selected
// and tolerated. Resources and affinity are nothing to it.
type binder struct {
	client kubernetes.Interface
	view   *view
	log    *slog.Logger
	// bound are those whose binding the view does not show yet.
	bound map[types.UID]string
}

func (b *binder) run(ctx context.Context) {
	b.bound = map[types.UID]string{}
	again := time.NewTicker(retryIn)
	defer again.Stop()
	for {
		select {
		case <-b.view.changed:
		case <-again.C:
		case <-ctx.Done():
			return
		}
		b.round(ctx)
	}
}

// round binds what can be bound now, the oldest first.
func (b *binder) round(ctx context.Context) {
	pods, nodes := b.view.all()
	load := map[string]int{}
	var waiting []*corev1.Pod
	for _, p := range pods {
		node := cmp.Or(p.Spec.NodeName, b.bound[p.UID])
		if p.Spec.NodeName != "" {
			delete(b.bound, p.UID)
		}
		switch {
		case node != "" && !terminal(p.Status.Phase):
			load[node]++
		case node == "" && p.DeletionTimestamp == nil && len(p.Spec.SchedulingGates) == 0 && p.Spec.SchedulerName == corev1.DefaultSchedulerName:
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, func(x, y *corev1.Pod) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.UID, y.UID))
	})
	slices.SortFunc(nodes, func(x, y *corev1.Node) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range waiting {
		var best *corev1.Node
		for _, n := range nodes {
			if fits(p, n) && (best == nil || load[n.Name] < load[best.Name]) {
				best = n
			}
		}
		if best == nil {
			continue
		}
		err := b.client.CoreV1().Pods(p.Namespace).Bind(ctx, &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
			Target:     corev1.ObjectReference{Kind: "Node", Name: best.Name},
		}, metav1.CreateOptions{})
		switch {
		case err == nil:
			b.bound[p.UID] = best.Name
			load[best.Name]++
		case ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err):
			b.log.WarnContext(ctx, "no binding", "pod", p.Namespace+"/"+p.Name, "node", best.Name, "err", err)
		}
	}
}

// fits reports whether a pod may go to a node.
func fits(p *corev1.Pod, n *corev1.Node) bool {
	if !ready(n) || !selects(p.Spec.NodeSelector, n.Labels) {
		return false
	}
	taints := n.Spec.Taints
	if n.Spec.Unschedulable {
		taints = append(slices.Clone(taints), corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	for _, t := range taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerated(p, t) {
			return false
		}
	}
	return true
}

// tolerated reports whether a pod bears a taint.
func tolerated(p *corev1.Pod, t corev1.Taint) bool {
	return slices.ContainsFunc(p.Spec.Tolerations, func(l corev1.Toleration) bool {
		return (l.Effect == "" || l.Effect == t.Effect) &&
			(l.Key == "" || l.Key == t.Key) &&
			(l.Operator == corev1.TolerationOpExists || l.Value == t.Value)
	})
}

// terminal reports whether a pod is over.
func terminal(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }
