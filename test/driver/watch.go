package driver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	batchv1 "k8s.io/api/batch/v1"
)

// Change is one event of a watch. Old is nil for a new object, New for one
// that is gone. Both are shared and must not be changed.
type Change struct {
	Resource Resource
	Old, New *Object
	// Revision grows by one with each change of the API.
	Revision int64
}

// Watch calls the watcher for each change from now on, one at a time and in
// order, mostly on the goroutine that caused it. The watcher may use the API;
// what it causes is told after it has returned. A watcher is never removed.
func (a *API) Watch(watcher func(Change)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watch(watcher)
}

// watch adds a watcher under the lock of the caller, and returns what takes it
// away again.
func (a *API) watch(watcher func(Change)) (remove func()) {
	w := &watcher
	a.watchers = append(slices.Clip(a.watchers), w)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.watchers = slices.DeleteFunc(slices.Clone(a.watchers), func(x *func(Change)) bool { return x == w })
	}
}

// deliver tells the watchers. If another call is at it already, that one also
// tells what is new, so order holds and a watcher is never entered twice.
func (a *API) deliver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.delivering {
		return
	}
	a.delivering = true
	for len(a.undelivered) > 0 {
		change, watchers := a.undelivered[0], a.watchers
		a.undelivered = a.undelivered[1:]
		a.mu.Unlock()
		for _, watcher := range watchers {
			(*watcher)(change)
		}
		a.mu.Lock()
	}
	a.delivering = false
}

// JobRunner stands for the Job controller, the kubelet and the pods: it learns
// of Jobs here and reports by [API.EditStatus] and [API.Edit]. Calls come one
// at a time and must return soon.
type JobRunner interface {
	// JobCreated tells of a new Job.
	JobCreated(job *batchv1.Job)
	// JobDeleted tells, once, that a Job is gone or is about to go: its pods
	// get SIGTERM and may still run for their grace period.
	JobDeleted(job *batchv1.Job)
}

// RunJobs tells the runner of each Job from now on.
func (a *API) RunJobs(runner JobRunner) {
	a.Watch(func(c Change) {
		if c.Resource.id() != "batch/v1/jobs" {
			return
		}
		switch {
		case c.Old == nil:
			runner.JobCreated(asJob(c.New))
		case c.Old.GetDeletionTimestamp() != nil:
		case c.New == nil:
			runner.JobDeleted(asJob(c.Old))
		case c.New.GetDeletionTimestamp() != nil:
			runner.JobDeleted(asJob(c.New))
		}
	})
}

// asJob converts a Job that admission has let in, which cannot fail.
func asJob(o *Object) *batchv1.Job {
	job := new(batchv1.Job)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, job); err != nil {
		panic("driver: a Job that was admitted does not decode: " + err.Error())
	}
	return job
}
