package soak

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
)

// migrators leave what the migrators of Jobs leave: the memory on the
// PersistentVolume, the result on the Job, and the replicas where they were to go.
type migrators struct {
	town *town

	mu   sync.Mutex
	jobs []*job

	moved, failed, refused, lost, recovered, gone int
}

type job struct {
	id, uuid     string
	ref          driver.Ref
	n            int64
	labels       map[string]string
	started, due time.Time
}

// JobCreated implements [driver.JobRunner].
func (m *migrators) JobCreated(j *batchv1.Job) {
	rest := strings.TrimPrefix(j.Name, mayastor.LabelPrefix)
	i := strings.LastIndexByte(rest, '-')
	n, err := strconv.ParseInt(rest[i+1:], 10, 64)
	if err != nil {
		m.town.t.Errorf("a Job is named %s", j.Name)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, &job{
		id: string(j.UID), uuid: rest[:i], ref: driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: j.Namespace, Name: j.Name},
		n: n, labels: j.Labels,
	})
}

// JobDeleted implements [driver.JobRunner].
func (m *migrators) JobDeleted(j *batchv1.Job) { m.forget(string(j.UID)) }

func (m *migrators) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return j.id == id })
}

// work goes on with all Jobs.
func (m *migrators) work() {
	m.mu.Lock()
	jobs := slices.Clone(m.jobs)
	m.mu.Unlock()
	now := time.Now()
	for _, j := range jobs {
		switch {
		case j.started.IsZero():
			j.started, j.due = now, now.Add(time.Duration(60+m.town.rng.IntN(180))*time.Second)
			m.remember(j, mayastor.Attempt{State: mayastor.Started, Replicas: replicas}, time.Time{})
		case now.After(j.due):
			m.end(j)
			m.forget(j.id)
		}
	}
}

// end brings a Job to one of its ends.
func (m *migrators) end(j *job) {
	r := mayastor.Result{State: mayastor.Moved}
	v := m.town.volumes[j.uuid]
	chance := m.town.rng.IntN(100)
	switch {
	case j.labels[hooks.RecoveryLabel] == "true":
		r.State, r.Recovered, r.Reason = mayastor.Aborted, true, string(mayastor.ReasonRecovered)
		r.Error = "an attempt was cut short; the volume was brought to rest, and the next attempt starts afresh"
		m.recovered++
	case v == nil:
		r.State, r.Reason, r.Error = mayastor.Failed, "VolumeGone", "volume "+j.uuid+" is gone"
		m.gone++
	case chance < 2:
		// Its pods failed too often, and nobody wrote how it ended.
		m.lost++
		m.conclude(j, "Failed", "BackoffLimitExceeded")
		return
	case chance < 8:
		r.State, r.Reason, r.Failures = mayastor.Failed, "RebuildFailed", 1
		r.Error = fmt.Sprintf("rebuild of volume %s on pool nvme-1 failed at %d %%", j.uuid, chance)
		m.failed++
	case chance < 12:
		r.State, r.Reason, r.Error = mayastor.Refused, "NotAdmitted", "as many moves run as may"
		m.refused++
	default:
		r.Replicas, r.Bytes = replicas, replicas*volumeBytes
		r.FromPools = v.pools
		v.tier = strings.ReplaceAll(strings.ReplaceAll(j.labels[hooks.ToTierLabel], "hot", "nvme"), "cold", "sata")
		m.town.place(v)
		r.ToPools = v.pools
		m.moved++
	}
	var moved time.Time
	if r.State == mayastor.Moved {
		moved = time.Now()
	}
	m.remember(j, mayastor.Attempt{State: r.State, Reason: r.Reason, Error: r.Error, Failures: r.Failures}, moved)
	r.N, r.Move, r.Volume, r.Policy = j.n, j.ref.Name, j.uuid, j.labels[hooks.PolicyLabel]
	r.From, r.To, r.Started, r.Ended = j.labels[hooks.FromTierLabel], j.labels[hooks.ToTierLabel], j.started, time.Now()
	m.annotate(j.ref, mayastor.ResultAnnotation, r)
	m.conclude(j, "Complete", "CompletionsReached")
}

func (m *migrators) remember(j *job, a mayastor.Attempt, moved time.Time) {
	a.N, a.Move, a.Policy, a.At = j.n, j.ref.Name, j.labels[hooks.PolicyLabel], time.Now().UTC()
	a.From, a.To = j.labels[hooks.FromTierLabel], j.labels[hooks.ToTierLabel]
	pv := driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + j.uuid}
	m.annotate(pv, mayastor.AttemptAnnotation, a)
	if !moved.IsZero() {
		m.note(pv, mayastor.LastMigrationAnnotation, moved.UTC().Format(time.RFC3339))
	}
}

func (m *migrators) annotate(ref driver.Ref, key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		m.town.t.Fatal(err)
	}
	m.note(ref, key, string(text))
}

// note writes an annotation; what is gone needs none.
func (m *migrators) note(ref driver.Ref, key, value string) {
	_, err := m.town.api.Edit(ref, func(o *driver.Object) {
		all := o.GetAnnotations()
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
		o.SetAnnotations(all)
	})
	if err != nil && !apierrors.IsNotFound(err) {
		m.town.t.Fatal(err)
	}
}

// conclude is what the Job controller does.
func (m *migrators) conclude(j *job, condition, reason string) {
	now := time.Now().UTC().Format(time.RFC3339)
	_, err := m.town.api.EditStatus(j.ref, func(o *driver.Object) {
		o.Object["status"] = map[string]any{
			"startTime": j.started.UTC().Format(time.RFC3339),
			"conditions": []any{map[string]any{
				"type": condition, "status": "True", "reason": reason, "lastProbeTime": now, "lastTransitionTime": now,
			}},
		}
	})
	if err != nil && !apierrors.IsNotFound(err) {
		m.town.t.Fatal(err)
	}
}
