package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

// pod is one that is bound to a node, from when the node learns of it until its
// object is gone.
//
//	live     its containers start, run and end; stop has them end
//	over     none will run again
//	publish  tells the API server meanwhile, and has the object removed if the pod
//	         was deleted and is over
type pod struct {
	node *Node
	uid  types.UID
	dir  string
	// relic is that it was over before we saw it.
	relic bool
	// tokens are for live alone.
	tokens map[string]token

	stopping chan struct{} // closed when containers are to end
	killing  chan struct{} // closed when they had the time to
	gone     chan struct{} // closed once the object is
	dirty    chan struct{} // holds one token if there is something to tell

	mu         sync.Mutex
	object     *corev1.Pod // the newest that was seen; not to be changed
	started    metav1.Time
	address    string
	box        *sandbox.Sandbox
	lost       bool
	containers []*container
	hindrance  string // why no container can start
	verdict    *verdict
	deadline   *time.Timer // until killing
	killAt     time.Time
	over       bool
}

// verdict is why a pod failed, whatever its containers did.
type verdict struct{ reason, message string }

func newPod(n *Node, object *corev1.Pod) *pod {
	p := &pod{
		node: n, uid: object.UID, object: object, tokens: map[string]token{},
		relic:    terminal(object.Status.Phase),
		stopping: make(chan struct{}), killing: make(chan struct{}), gone: make(chan struct{}), dirty: make(chan struct{}, 1),
		started: metav1.Now().Rfc3339Copy(),
	}
	if object.Status.StartTime != nil {
		p.started = *object.Status.StartTime
	}
	for i := range object.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, &object.Spec.Containers[i], object))
	}
	return p
}

// run sees to the pod until its object is gone or the machine is lost.
func (p *pod) run(ctx context.Context) {
	defer p.node.forget(p)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { p.publish(ctx) })
	p.update(p.newest())
	if !p.relic {
		p.live(ctx)
	}
	p.edit(func() { p.over = true })
	select {
	case <-p.gone:
	case <-ctx.Done():
	}
}

// live runs the containers until all are over or the machine is lost.
func (p *pod) live(ctx context.Context) {
	dir, err := os.MkdirTemp(p.node.dir, "") // short, as it has sockets
	if err != nil {
		p.edit(func() { p.verdict = &verdict{"Unexpected", err.Error()} })
		return
	}
	p.dir = dir
	defer os.RemoveAll(dir)
	if !p.prepare(ctx) {
		return
	}
	defer p.cut()
	over := make(chan struct{})
	go func() {
		defer close(over)
		var wg sync.WaitGroup
		for _, c := range p.containers {
			wg.Go(func() { c.run(ctx) })
		}
		wg.Wait()
	}()
	refresh := time.NewTicker(p.node.fleet.cfg.Sync)
	defer refresh.Stop()
	object := p.newest()
	var expired <-chan time.Time
	if seconds := object.Spec.ActiveDeadlineSeconds; seconds != nil {
		t := time.NewTimer(time.Until(p.started.Add(time.Duration(*seconds) * time.Second)))
		defer t.Stop()
		expired = t.C
	}
	for {
		select {
		case <-over:
			return
		case <-refresh.C:
			ctx, cancel := context.WithTimeout(ctx, callFor)
			if err := p.volumes(ctx, p.newest()); err != nil && ctx.Err() == nil {
				p.node.fleet.log.WarnContext(ctx, "volumes stay as they were", "pod", object.Namespace+"/"+object.Name, "err", err)
			}
			cancel()
		case <-expired:
			p.edit(func() {
				p.verdict = &verdict{"DeadlineExceeded", "Pod was active on the node longer than the specified deadline"}
			})
			p.stop(grace(object))
		}
	}
}

// prepare makes volumes and sandbox, and tries again for as long as that cannot be
// done. It reports false if the pod is to end, or the machine was lost, before.
func (p *pod) prepare(ctx context.Context) bool {
	for {
		select {
		case <-p.stopping:
			return false
		case <-ctx.Done():
			return false
		default:
		}
		err := p.furnish(ctx)
		if err == nil {
			p.edit(func() { p.hindrance = "" })
			return true
		}
		p.edit(func() { p.hindrance = err.Error() })
		t := time.NewTimer(retryIn)
		select {
		case <-t.C:
		case <-p.stopping:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func (p *pod) furnish(ctx context.Context) error {
	object := p.newest()
	if err := supported(object); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	if err := p.volumes(call, object); err != nil {
		return err
	}
	reach, hosts := p.node.fleet.reach()
	address := p.node.address()
	hosts = fmt.Sprintf("127.0.0.1\tlocalhost\n%s\t%s\n%s", address, object.Name, hosts)
	if err := os.WriteFile(filepath.Join(p.dir, "hosts"), []byte(hosts), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(p.node.fleet.logDir(object), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(p.node.fleet.logDir(object), "pause.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	box, err := sandbox.Start(p.node.fleet.pause, sandbox.Config{
		Hostname: object.Name, Address: address, Reach: reach,
		Uplink: p.node.socket(), Downlink: filepath.Join(p.dir, "down"),
	}, log)
	if err != nil {
		return err
	}
	p.edit(func() { p.box, p.address = box, address })
	p.mu.Lock()
	lost := p.lost
	p.mu.Unlock()
	if lost { // before it was there to be cut
		box.Kill()
		return errors.New("the machine is lost")
	}
	return nil
}

// supported fails for what this kubelet does not do.
func supported(object *corev1.Pod) error {
	if len(object.Spec.InitContainers) > 0 || len(object.Spec.EphemeralContainers) > 0 {
		return errors.New("the test kubelet runs no init and no ephemeral containers")
	}
	for _, c := range object.Spec.Containers {
		if c.Lifecycle != nil {
			return fmt.Errorf("container %s: the test kubelet calls no lifecycle hooks", c.Name)
		}
		for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			if probe != nil && probe.HTTPGet == nil && probe.TCPSocket == nil {
				return fmt.Errorf("container %s: the test kubelet probes by httpGet and tcpSocket only", c.Name)
			}
		}
	}
	return nil
}

// grace is the time a pod has to end if nobody says another.
func grace(object *corev1.Pod) time.Duration {
	if object.DeletionGracePeriodSeconds != nil {
		return time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
	}
	if object.Spec.TerminationGracePeriodSeconds != nil {
		return time.Duration(*object.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}

// stop has the containers end, and be killed after grace if they have not. Said
// again, the earlier end counts.
func (p *pod) stop(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := time.Now().Add(grace)
	switch {
	case p.deadline == nil:
		close(p.stopping)
		p.killAt = at
		p.deadline = time.AfterFunc(grace, func() { close(p.killing) })
	case at.Before(p.killAt) && p.deadline.Stop():
		p.killAt = at
		p.deadline = time.AfterFunc(grace, func() { close(p.killing) })
	}
}

// cut kills all that runs, as the loss of the machine does.
func (p *pod) cut() {
	p.mu.Lock()
	p.lost = true
	box := p.box
	p.mu.Unlock()
	if box != nil {
		box.Kill()
	}
}

// newest is the object as it was last seen. It is not to be changed.
func (p *pod) newest() *corev1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.object
}

// update takes note of the object, unless a newer one was seen.
func (p *pod) update(object *corev1.Pod) {
	p.edit(func() {
		if version(object) >= version(p.object) {
			p.object = object
		}
	})
	if object.DeletionTimestamp != nil {
		p.stop(grace(object))
	}
}

// version of an object; the API server counts up.
func version(object *corev1.Pod) uint64 {
	v, _ := strconv.ParseUint(object.ResourceVersion, 10, 64)
	return v
}

// vanish takes note that the object is gone: there is nobody left to tell, and
// nothing is to run.
func (p *pod) vanish() {
	p.mu.Lock()
	select {
	case <-p.gone:
	default:
		close(p.gone)
	}
	object := p.object
	p.mu.Unlock()
	p.stop(grace(object))
}

// edit changes what is told of the pod.
func (p *pod) edit(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}
