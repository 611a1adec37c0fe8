package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
	"github.com/billyronks/couchestor/test/live/program"
)

const (
	// grace between SIGTERM and SIGKILL; the Job's own is for a real cluster.
	grace = 10 * time.Second
	// podBackoff before a pod that failed is replaced. The Job controller's is
	// 10 s, doubled each time.
	podBackoff = 500 * time.Millisecond
	// mirrorEvery is how soon a migrator's notes show on the objects.
	mirrorEvery = 100 * time.Millisecond
)

// kubelet stands for the Job controller and the kubelet: it runs the container
// of each Job as a process, replaces it when it fails, up to backoffLimit, and
// ends it when the Job is deleted.
type kubelet struct {
	api    *driver.API
	mirror *mirror
	binary string
	// extra arguments for each migrator.
	extra []string
	// logs is a directory; also, if not nil, gets all output, too.
	logs string
	also io.Writer
	ctx  context.Context // ends every process

	mu    sync.Mutex
	jobs  map[string]*jobRun // by uid
	done  []mayastor.Result  // in order
	fault error              // the first one of our own
	wg    sync.WaitGroup
}

// jobRun is one Job under way or over.
type jobRun struct {
	job    *batchv1.Job
	volume string
	// stop ends it; gone is closed once its Job was deleted.
	gone chan struct{}
	once sync.Once
	// made is when the Job was.
	made time.Time
	// pids of its processes, in order; running is true while the last lives.
	pids    []int
	running bool
}

// JobCreated implements [driver.JobRunner].
func (k *kubelet) JobCreated(job *batchv1.Job) {
	r := &jobRun{job: job, volume: volumeOf(job.Name), gone: make(chan struct{}), made: time.Now()}
	k.mu.Lock()
	k.jobs[string(job.UID)] = r
	k.mu.Unlock()
	k.wg.Go(func() {
		if err := k.run(r); err != nil && k.ctx.Err() == nil {
			k.failed(fmt.Errorf("run Job %s: %w", job.Name, err))
		}
	})
}

// JobDeleted implements [driver.JobRunner].
func (k *kubelet) JobDeleted(job *batchv1.Job) {
	k.mu.Lock()
	r := k.jobs[string(job.UID)]
	k.mu.Unlock()
	if r != nil {
		r.once.Do(func() { close(r.gone) })
	}
}

// run starts pods until one exits with 0, the Job is gone, or there were too
// many.
func (k *kubelet) run(r *jobRun) error {
	limit := int(*r.job.Spec.BackoffLimit)
	for try := 0; try <= limit; try++ {
		code, err := k.pod(r, try)
		if mirrored := k.mirror.copy(r.volume, r.job.Namespace); mirrored != nil {
			return mirrored
		}
		select {
		case <-r.gone:
			return nil
		case <-k.ctx.Done():
			return context.Cause(k.ctx)
		default:
		}
		if err != nil {
			return err
		}
		if code == 0 {
			record, err := program.ReadRecord(k.mirror.dir, r.volume)
			if err != nil {
				return err
			}
			result, err := record.Read()
			if err != nil {
				return err
			}
			k.note(func() { k.done = append(k.done, result) })
			return k.conclude(r, "Complete", "CompletionsReached", "")
		}
		select {
		case <-time.After(podBackoff):
		case <-r.gone:
			return nil
		case <-k.ctx.Done():
			return context.Cause(k.ctx)
		}
	}
	k.note(func() { k.done = append(k.done, mayastor.Result{Volume: r.volume, State: mayastor.Failed}) })
	return k.conclude(r, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
}

// pod runs one process to its end and returns its exit code, or the number of
// the signal that ended it, negated. Meanwhile it mirrors what it writes.
func (k *kubelet) pod(r *jobRun, try int) (int, error) {
	name := fmt.Sprintf("%s-%d", r.job.Name, try+1)
	log, err := os.Create(filepath.Join(k.logs, name+".log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	var out io.Writer = log
	if k.also != nil {
		out = io.MultiWriter(log, k.also)
	}
	container := r.job.Spec.Template.Spec.Containers[0]
	cmd := exec.CommandContext(k.ctx, k.binary, slices.Concat(container.Args, k.extra)...)
	cmd.Env = append(os.Environ(), "POD_NAME="+name, "POD_NAMESPACE="+r.job.Namespace,
		"SERVICE_ACCOUNT="+r.job.Spec.Template.Spec.ServiceAccountName)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	k.note(func() { r.pids, r.running = append(r.pids, cmd.Process.Pid), true })
	defer k.note(func() { r.running = false })

	ended := make(chan error, 1)
	k.wg.Go(func() { ended <- cmd.Wait() })
	tick := time.NewTicker(mirrorEvery)
	defer tick.Stop()
	gone, kill := r.gone, (<-chan time.Time)(nil)
	for {
		select {
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
					return -int(status.Signal()), nil
				}
				return exit.ExitCode(), nil
			}
			return 0, err
		case <-tick.C:
			if err := k.mirror.copy(r.volume, r.job.Namespace); err != nil {
				k.failed(err)
			}
		case <-gone:
			gone, kill = nil, time.After(grace)
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended just now
		case <-kill:
			_ = cmd.Process.Kill()
		}
	}
}

// conclude gives the Job its last condition.
func (k *kubelet) conclude(r *jobRun, condition, reason, message string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	ref := driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: r.job.Namespace, Name: r.job.Name}
	_, err := k.api.EditStatus(ref, func(o *driver.Object) {
		o.Object["status"] = map[string]any{
			"startTime": r.job.CreationTimestamp.UTC().Format(time.RFC3339),
			"conditions": []any{map[string]any{
				"type": condition, "status": "True", "reason": reason, "message": message,
				"lastProbeTime": now, "lastTransitionTime": now,
			}},
		}
	})
	select {
	case <-r.gone:
		return nil
	default:
		return err
	}
}

// kill ends the process of the volume's Job as a node that loses power does.
// It reports whether there was one.
func (k *kubelet) kill(volume string) (pid int, found bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.jobs {
		if r.volume == volume && r.running {
			pid = r.pids[len(r.pids)-1]
			return pid, syscall.Kill(pid, syscall.SIGKILL) == nil
		}
	}
	return 0, false
}

// pids returns the processes that worked on the volume so far.
func (k *kubelet) pids(volume string) (pids []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.jobs {
		if r.volume == volume {
			pids = append(pids, r.pids...)
		}
	}
	return pids
}

// ended returns how each Job that ended did, in order.
func (k *kubelet) ended() []mayastor.Result {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.done)
}

// results are those of one volume.
func (k *kubelet) results(volume string) []mayastor.Result {
	return slices.DeleteFunc(k.ended(), func(r mayastor.Result) bool { return r.Volume != volume })
}

// started returns when each Job was made.
func (k *kubelet) started() (times []time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.jobs {
		times = append(times, r.made)
	}
	return times
}

func (k *kubelet) note(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// failed keeps the first error of the play itself, which ends it.
func (k *kubelet) failed(err error) {
	k.note(func() {
		if k.fault == nil {
			k.fault = err
		}
	})
}

func (k *kubelet) err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// volumeOf reads the uuid from couchestor-<uuid>-<n>.
func volumeOf(job string) string {
	rest := strings.TrimPrefix(job, "couchestor-")
	return rest[:max(0, strings.LastIndexByte(rest, '-'))]
}
