package kubelet

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

const (
	// restartDelayMax is the longest delay between two starts, and a container that
	// ran for forgetAfter is one that never failed.
	restartDelayMax = 5 * time.Minute
	forgetAfter     = 10 * time.Minute
	// What a termination message is cut to, from the file and from the log.
	messageMax    = 4096
	logMessageMax = 2048
	logLinesMax   = 80
)

// container is one of a pod. Its fields but the first two are guarded by the pod's
// lock.
type container struct {
	pod  *pod
	spec *corev1.Container

	state    corev1.ContainerState
	last     *corev1.ContainerStateTerminated
	restarts int32
	id       string
	ready    bool
	started  bool // its startup probe, if any, was answered
	over     bool
}

// newContainer takes up a container as the object tells of it. What ran then does
// not run now, because the machine booted since: its runtime knows no more than
// that it ended.
func newContainer(p *pod, spec *corev1.Container, object *corev1.Pod) *container {
	c := &container{pod: p, spec: spec}
	c.wait("ContainerCreating", "")
	for _, s := range object.Status.ContainerStatuses {
		if s.Name != spec.Name {
			continue
		}
		c.restarts, c.last, c.id = s.RestartCount, s.LastTerminationState.Terminated, s.ContainerID
		ended := s.State.Terminated
		if s.State.Running != nil {
			ended = &corev1.ContainerStateTerminated{
				ExitCode: 255, Reason: "Unknown", StartedAt: s.State.Running.StartedAt, FinishedAt: metav1.Now().Rfc3339Copy(), ContainerID: s.ContainerID,
			}
		}
		if ended == nil {
			continue
		}
		if again(object, ended.ExitCode) {
			c.last = ended
			c.restarts++
		} else {
			c.over, c.state = true, corev1.ContainerState{Terminated: ended}
		}
	}
	return c
}

// again reports whether a container that ended so is started again.
func again(object *corev1.Pod, code int32) bool {
	switch object.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	default:
		return true
	}
}

func (c *container) wait(reason, message string) {
	c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// status is what is told of it. The caller holds the lock.
func (c *container) status() corev1.ContainerStatus {
	s := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image, ContainerID: c.id,
		State: *c.state.DeepCopy(), RestartCount: c.restarts,
	}
	if c.last != nil {
		s.LastTerminationState.Terminated = c.last
	}
	running := c.state.Running != nil
	s.Ready, s.Started = running && c.ready, new(running && c.started)
	if w := s.State.Waiting; w != nil && c.pod.hindrance != "" {
		w.Message = c.pod.hindrance
	}
	if s.State.Waiting != nil && c.pod.over {
		s.State = corev1.ContainerState{Terminated: c.last}
		s.LastTerminationState.Terminated = nil
		if c.last == nil {
			s.State.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the pod was terminated",
			}
		}
	}
	return s
}

// run starts the container as often as its pod's policy says, until it is over, the
// pod is to end, or the machine is lost.
func (c *container) run(ctx context.Context) {
	var delay time.Duration
	for !c.over { // nobody else sets it
		ended := c.once(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-c.pod.stopping:
			return
		default:
		}
		if ended == nil { // it could not be tried
			if !c.rest(ctx, retryIn) {
				return
			}
			continue
		}
		if !again(c.pod.newest(), ended.ExitCode) {
			c.pod.edit(func() { c.over = true })
			return
		}
		if ended.FinishedAt.Sub(ended.StartedAt.Time) > forgetAfter {
			delay = 0
		}
		c.pod.edit(func() {
			c.last = ended
			c.wait("CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s", delay, c.spec.Name))
		})
		if !c.rest(ctx, delay) {
			return
		}
		// The first restart comes at once.
		delay = min(cmp.Or(2*delay, c.pod.node.fleet.cfg.RestartDelay), restartDelayMax)
		c.pod.edit(func() { c.restarts++ })
	}
}

// rest waits; it reports false if the pod is to end before that.
func (c *container) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.pod.stopping:
	case <-ctx.Done():
	}
	return false
}

// once starts the container and returns how it ended. It returns nil if it could
// not be tried, and then the reason is what it waits for.
func (c *container) once(ctx context.Context) *corev1.ContainerStateTerminated {
	call, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	object := c.pod.newest().DeepCopy()
	object.Status.PodIP, object.Status.HostIP = c.pod.address, c.pod.node.machine()
	image, ok := c.pod.node.fleet.image(c.spec.Image)
	if !ok {
		c.pod.edit(func() {
			c.wait("ErrImagePull", fmt.Sprintf("failed to pull image %q: the test named no program for it", c.spec.Image))
		})
		return nil
	}
	box, err := c.describe(call, object, image)
	if err != nil {
		c.pod.edit(func() { c.wait("CreateContainerConfigError", err.Error()) })
		return nil
	}
	id := fmt.Sprintf("process://%s-%s-%d", c.pod.uid, c.spec.Name, c.restarts)
	begun := metav1.Now().Rfc3339Copy()
	process, err := c.pod.box.Run(box)
	if err != nil {
		ended := &corev1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: err.Error(), StartedAt: begun, FinishedAt: metav1.Now().Rfc3339Copy(), ContainerID: id,
		}
		c.pod.edit(func() { c.id, c.state = id, corev1.ContainerState{Terminated: ended} })
		return ended
	}
	c.pod.edit(func() {
		c.id, c.state = id, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: begun}}
		c.started = c.spec.StartupProbe == nil
		c.ready = c.started && c.spec.ReadinessProbe == nil
	})
	exit := c.attend(ctx, process)
	ended := &corev1.ContainerStateTerminated{
		ExitCode: int32(exit.Code), Reason: "Completed", StartedAt: begun, FinishedAt: metav1.Now().Rfc3339Copy(), ContainerID: id,
	}
	if exit.Signal != 0 {
		ended.ExitCode = int32(128 + exit.Signal) // as a runtime tells of signals
	}
	if ended.ExitCode != 0 {
		ended.Reason = "Error"
	}
	ended.Message = c.message(box.Log, ended.ExitCode)
	if ctx.Err() == nil {
		c.pod.edit(func() {
			c.state, c.ready, c.started = corev1.ContainerState{Terminated: ended}, false, false
		})
	}
	return ended
}

// attend waits for the end of a process, measures and probes it meanwhile, and
// ends it when it is to end.
func (c *container) attend(ctx context.Context, process *sandbox.Process) sandbox.Exit {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	measure := c.pod.node.fleet.measure(c.pod.newest(), c.spec.Name, c.restarts, process)
	defer measure()
	sick := c.probe(ctx)
	stopping, killing, late := c.pod.stopping, c.pod.killing, (<-chan time.Time)(nil)
	for {
		select {
		case <-process.Done():
			return process.Exit()
		case <-stopping:
			stopping = nil
			_ = process.Signal(syscall.SIGTERM, false)
		case <-killing:
			killing = nil
			_ = process.Signal(syscall.SIGKILL, true)
		case <-sick:
			sick = nil
			_ = process.Signal(syscall.SIGTERM, false)
			t := time.NewTimer(grace(c.pod.newest()))
			defer t.Stop()
			late = t.C
		case <-late:
			_ = process.Signal(syscall.SIGKILL, true)
		}
	}
}

func (c *container) messageFile() string {
	return filepath.Join(c.pod.dir, "c", c.spec.Name, "termination-log")
}

// message is the termination message of a container that ended so.
func (c *container) message(log string, code int32) string {
	text, err := os.ReadFile(c.messageFile())
	if err != nil {
		return ""
	}
	if len(text) == 0 && code != 0 && c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		if text, err = os.ReadFile(log); err != nil {
			return ""
		}
		lines := bytes.SplitAfter(text, []byte("\n"))
		text = bytes.Join(lines[max(0, len(lines)-logLinesMax-1):], nil)
		text = text[max(0, len(text)-logMessageMax):]
	}
	return strings.ToValidUTF8(string(text[:min(len(text), messageMax)]), "")
}
