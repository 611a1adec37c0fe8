package kubelet

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// publish tells the API server what became of the pod, until the object is gone.
func (p *pod) publish(ctx context.Context) {
	again := time.NewTicker(retryIn)
	defer again.Stop()
	failed := false
	for {
		select {
		case <-p.dirty:
		case <-again.C:
			if !failed {
				continue
			}
		case <-p.gone:
			return
		case <-ctx.Done():
			return
		}
		err := p.report(ctx)
		failed = err != nil
		if failed && ctx.Err() == nil && !apierrors.IsConflict(err) {
			p.node.fleet.log.WarnContext(ctx, "status not told", "node", p.node.Name, "pod", string(p.uid), "err", err)
		}
	}
}

// report tells the status if it is another than the one that is known, and has the
// object of a deleted pod removed once the pod is over.
func (p *pod) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	pods := p.node.client.CoreV1().Pods(p.newest().Namespace)
	p.mu.Lock()
	object, over := p.object, p.over
	status := object.Status
	if !p.relic {
		status = p.status()
	}
	p.mu.Unlock()
	if !equality.Semantic.DeepEqual(status, object.Status) {
		next := object.DeepCopy()
		next.Status = status
		told, err := pods.UpdateStatus(ctx, next, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			if fresh, err := pods.Get(ctx, object.Name, metav1.GetOptions{}); err == nil && fresh.UID == p.uid {
				p.update(fresh)
			}
		}
		if err != nil {
			return p.absent(err)
		}
		p.update(told)
		object = told
	}
	if !over || object.DeletionTimestamp == nil {
		return nil
	}
	return p.absent(pods.Delete(ctx, object.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(p.uid)),
	}))
}

// absent takes an error for what it is: that of an object that is gone is none.
func (p *pod) absent(err error) error {
	if apierrors.IsNotFound(err) {
		p.vanish()
		return nil
	}
	return err
}

// status is what there is to tell. The caller holds the lock.
func (p *pod) status() corev1.PodStatus {
	s := *p.object.Status.DeepCopy()
	s.StartTime, s.ObservedGeneration = &p.started, p.object.Generation
	s.HostIP, s.HostIPs = p.node.machine(), []corev1.HostIP{{IP: p.node.machine()}}
	if p.address != "" {
		s.PodIP, s.PodIPs = p.address, []corev1.PodIP{{IP: p.address}}
	}
	s.ContainerStatuses = nil
	var unready []string
	for _, c := range p.containers {
		cs := c.status()
		if !cs.Ready {
			unready = append(unready, cs.Name)
		}
		s.ContainerStatuses = append(s.ContainerStatuses, cs)
	}
	s.Phase = p.phase(s.ContainerStatuses)
	if p.verdict != nil && p.over {
		s.Reason, s.Message = p.verdict.reason, p.verdict.message
	}
	set := func(kind corev1.PodConditionType, is bool, reason, message string) {
		condition(&s, corev1.PodCondition{Type: kind, Status: truth(is), Reason: reason, Message: message})
	}
	set(corev1.PodReadyToStartContainers, p.box != nil && !p.over, "", "")
	set(corev1.PodInitialized, true, "", "")
	var reason, message string
	switch {
	case s.Phase == corev1.PodSucceeded:
		reason = "PodCompleted"
	case s.Phase == corev1.PodFailed:
		reason = "PodFailed"
	case len(unready) > 0:
		reason, message = "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	set(corev1.ContainersReady, reason == "", reason, message)
	set(corev1.PodReady, reason == "", reason, message)
	return s
}

// phase follows from the containers and from whether they are over. The caller
// holds the lock.
func (p *pod) phase(containers []corev1.ContainerStatus) corev1.PodPhase {
	if p.over {
		if p.verdict != nil {
			return corev1.PodFailed
		}
		for _, c := range containers {
			if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
				return corev1.PodFailed
			}
		}
		return corev1.PodSucceeded
	}
	for _, c := range containers {
		if c.State.Waiting != nil && c.LastTerminationState.Terminated == nil {
			return corev1.PodPending
		}
	}
	return corev1.PodRunning
}

func truth(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// condition sets a condition; its time is that of the last change of its status.
// Conditions of others stay.
func condition(s *corev1.PodStatus, c corev1.PodCondition) {
	c.LastTransitionTime = metav1.Now().Rfc3339Copy()
	for i, have := range s.Conditions {
		if have.Type != c.Type {
			continue
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
		c.ObservedGeneration, c.LastProbeTime = have.ObservedGeneration, have.LastProbeTime
		s.Conditions[i] = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}
