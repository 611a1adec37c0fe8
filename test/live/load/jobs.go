package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/live/program"
)

// jobs are the Jobs of the cluster: what Metacontroller creates and deletes, and the
// Job controller with its pods, each of which is a process `couchestor migrate`.
type jobs struct {
	kube *kube
	town *town
	ctx  context.Context //nolint:containedctx // the processes end with the run
	// binary migrates, with a ledger in dir, on the Mayastor at url.
	binary, dir, url string
	// changed is told of the policy whose child changed.
	changed func(policy string)

	mu      sync.Mutex
	all     map[string]*jobRun // by namespace/name
	results map[mayastor.State]int
	fault   error
	wg      sync.WaitGroup
}

// jobRun is one Job.
type jobRun struct {
	policy *policy
	volume string
	job    batchv1.Job
	gone   context.CancelFunc
}

// of returns the children of a policy.
func (j *jobs) of(p *policy) []*entry {
	var children []*entry
	entries := j.kube.list(jobsPath)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		if r := j.all[e.key]; r != nil && r.policy == p {
			children = append(children, e)
		}
	}
	return children
}

// reconcile creates the Jobs that an answer has and that are not there, and deletes
// those that it has not.
func (j *jobs) reconcile(p *policy, children []json.RawMessage) error {
	wanted := map[string]bool{}
	for _, child := range children {
		var job batchv1.Job
		if err := json.Unmarshal(child, &job); err != nil {
			return fmt.Errorf("read a child of %s: %w", p.name, err)
		}
		key := job.Namespace + "/" + job.Name
		wanted[key] = true
		j.mu.Lock()
		_, found := j.all[key]
		j.mu.Unlock()
		if !found {
			if err := j.create(p, key, &job, child); err != nil {
				return err
			}
		}
	}
	j.mu.Lock()
	var unwanted []*jobRun
	for key, r := range j.all {
		if r.policy == p && !wanted[key] {
			unwanted = append(unwanted, r)
			delete(j.all, key)
		}
	}
	j.mu.Unlock()
	for _, r := range unwanted {
		r.gone()
		j.kube.remove(jobsPath, r.key())
	}
	return nil
}

func (r *jobRun) key() string { return r.job.Namespace + "/" + r.job.Name }

// create makes the Job and starts its pod.
func (j *jobs) create(p *policy, key string, job *batchv1.Job, as json.RawMessage) error {
	if len(job.Spec.Template.Spec.Containers) == 0 {
		// A stub keeps a Job; this one is gone, and Metacontroller would fail to make it.
		return fmt.Errorf("an answer for %s keeps the Job %s, which is not there", p.name, key)
	}
	r := &jobRun{policy: p, volume: job.Labels[hooks.VolumeLabel], job: *job}
	o := &r.job.ObjectMeta
	o.UID, o.CreationTimestamp = types.UID("j0b"+job.Name), metav1.NewTime(time.Now().UTC().Truncate(time.Second))
	o.Labels = maps.Clone(o.Labels)
	o.Labels["controller-uid"] = p.uid
	o.Annotations = maps.Clone(o.Annotations)
	o.Annotations["metacontroller.k8s.io/last-applied-configuration"] = string(as)
	o.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "storage.billyronks.io/v1", Kind: "StoragePolicy", Name: p.name, UID: types.UID(p.uid), Controller: new(true), BlockOwnerDeletion: new(true),
	}}
	o.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "metacontroller", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "batch/v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(text(map[string]any{"f:spec": map[string]any{"f:template": map[string]any{"f:spec": map[string]any{"f:containers": map[string]any{}}}}})),
	}}
	r.job.Status = batchv1.JobStatus{Active: 1, StartTime: &o.CreationTimestamp, Ready: new(int32(1))}
	ctx, gone := context.WithCancel(j.ctx)
	r.gone = gone
	j.town.hold(r.volume)
	j.mu.Lock()
	j.all[key] = r
	j.mu.Unlock()
	j.put(r)
	j.wg.Go(func() {
		defer gone()
		if err := j.run(ctx, r); err != nil && j.ctx.Err() == nil {
			j.failed(fmt.Errorf("run Job %s: %w", key, err))
		}
	})
	return nil
}

// put writes the Job's object; its policy hears of it as of any change of a child.
func (j *jobs) put(r *jobRun) {
	j.kube.put(jobsPath, r.key(), func(version int64) []byte {
		j.mu.Lock()
		defer j.mu.Unlock()
		r.job.ResourceVersion = strconv.FormatInt(version, 10)
		return []byte(text(r.job))
	})
	j.changed(r.policy.name)
}

// change changes the Job unless it was deleted.
func (j *jobs) change(r *jobRun, change func(*batchv1.Job)) {
	j.mu.Lock()
	found := j.all[r.key()] == r
	if found {
		change(&r.job)
	}
	j.mu.Unlock()
	if found {
		j.put(r)
	}
}

// lookEvery is how soon what a migrator records shows on the objects.
const lookEvery = 200 * time.Millisecond

// run is the Job's pod: it runs the program, brings what it records to the objects
// in the order in which it does, and ends the Job.
func (j *jobs) run(ctx context.Context, r *jobRun) error {
	log, err := os.Create(filepath.Join(j.dir, r.job.Name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(r.job.Spec.Template.Spec.Containers[0].Args,
		"--local-lock="+filepath.Join(j.dir, "ledger"), "--mayastor-url="+j.url, "--poll-interval=500ms", "--mayastor-cache-period=1s")
	cmd := exec.CommandContext(ctx, j.binary, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "POD_NAME="+r.job.Name, "POD_NAMESPACE="+r.job.Namespace)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithUs(cmd)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if err := j.mirror(r); err != nil {
				return err
			}
		case err := <-ended:
			if ctx.Err() != nil {
				return nil // it was told to end
			}
			if err != nil {
				return fmt.Errorf("the migrator ended badly, %w; its log is %s", err, log.Name())
			}
			if err := j.mirror(r); err != nil {
				return err
			}
			now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
			j.change(r, func(job *batchv1.Job) {
				job.Status = batchv1.JobStatus{
					StartTime: job.Status.StartTime, CompletionTime: &now, Succeeded: 1,
					Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: "True", Reason: "CompletionsReached", LastProbeTime: now, LastTransitionTime: now}},
				}
			})
			return nil
		}
	}
}

// mirror brings what the ledger has of the volume to its PersistentVolume, and then
// the result to the Job.
func (j *jobs) mirror(r *jobRun) error {
	record, err := program.ReadRecord(filepath.Join(j.dir, "ledger"), r.volume)
	if err != nil {
		return err
	}
	if v := j.town.volume(r.volume); v != nil && v.remember(record.Attempt, record.LastMigration) {
		j.kube.put(volumesPath, v.name(), v.persistentVolume)
	}
	j.mu.Lock()
	told := r.job.Annotations[mayastor.ResultAnnotation] != ""
	j.mu.Unlock()
	if told || record.Result == "" {
		return nil
	}
	result, err := record.Read()
	if err != nil {
		return err
	}
	if !strings.HasSuffix(r.job.Name, fmt.Sprintf("-%d", result.N)) {
		return nil // that of an earlier attempt
	}
	j.mu.Lock()
	j.results[result.State]++
	j.mu.Unlock()
	j.change(r, func(job *batchv1.Job) { job.Annotations[mayastor.ResultAnnotation] = record.Result })
	return nil
}

// counts returns how the moves ended so far.
func (j *jobs) counts() map[mayastor.State]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.results)
}

func (j *jobs) failed(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fault = errors.Join(j.fault, err)
}

func (j *jobs) err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fault
}
