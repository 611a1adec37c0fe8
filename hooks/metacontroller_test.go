package hooks

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
	"github.com/billyronks/couchestor/tiering"
)

// cluster is an API server and Metacontroller with stale caches, our hooks, and
// migrators that only write the records of a move.
type cluster struct {
	*rig
	t     *testing.T
	api   *driver.API
	meta  *driver.Driver
	dice  *rand.Rand
	moves map[string]*move

	reported map[string]mayastor.State // by Job
	byHand   map[string]bool
}

// move is a Job's pod, and how far it got.
type move struct {
	volume int
	n      int64
	stage  int
	result mayastor.Result
	// withoutResult ends the Job by its deadline.
	withoutResult, recovery bool
}

const volumesInCluster = 8

func newCluster(t *testing.T, seed uint64) *cluster {
	t.Helper()
	c := &cluster{
		t: t, dice: rand.New(rand.NewPCG(seed, 7)), moves: map[string]*move{},
		reported: map[string]mayastor.State{}, byHand: map[string]bool{},
	}
	c.rig = newRig(t, func(config *Config) { config.Now = time.Now })
	c.api = driver.NewAPI(driver.Resources()...)
	clear(c.volumes)
	for i := 1; i <= volumesInCluster; i++ {
		c.volume(i)
		c.place(i, "cold-1", "cold-2")
		c.score(i, busy+float64(i))
	}
	for node := range c.mayastor.Inventory.NodeOnlineSince {
		c.mayastor.Inventory.NodeOnlineSince[node] = time.Now().Add(-time.Hour)
	}
	for pool := range c.mayastor.Inventory.PoolOnlineSince {
		c.mayastor.Inventory.PoolOnlineSince[pool] = time.Now().Add(-time.Hour)
	}
	delete(c.policy.at("metadata"), "creationTimestamp")
	c.policy.at("spec")["cooldownPeriod"] = "1h"
	c.policy.at("spec")["maxConcurrentMigrations"] = 3
	c.put(c.policy)
	for _, o := range c.volumes {
		c.put(o)
	}
	for _, o := range c.claims {
		c.put(o)
	}
	document, err := os.ReadFile("../manifests/base/compositecontroller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	controller, err := driver.ReadController(document)
	if err != nil {
		t.Fatal(err)
	}
	c.meta, err = driver.New(c.api, driver.Options{Controller: controller, Transport: c})
	if err != nil {
		t.Fatal(err)
	}
	c.api.RunJobs(c)
	return c
}

// RoundTrip answers without a network, which testing/synctest could not see.
func (c *cluster) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	w := httptest.NewRecorder()
	c.hooks.Routes().ServeHTTP(w, q)
	if hook := path.Base(q.URL.Path); hook != "customize" {
		c.twin.agrees(c.t, c.hooks, hook, body, w)
	}
	return w.Result(), nil
}

func (c *cluster) put(o object) {
	c.t.Helper()
	objects, err := driver.Objects(o)
	if err == nil {
		_, err = c.api.Put(objects[0])
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// JobCreated starts a migrator.
func (c *cluster) JobCreated(j *batchv1.Job) {
	uuid, n, ok := parseJobName(j.Name)
	if !ok {
		c.t.Errorf("a Job of the name %s was created", j.Name)
		return
	}
	m := &move{n: n, recovery: j.Labels[RecoveryLabel] == "true"}
	_, _ = fmt.Sscanf(uuid[24:], "%d", &m.volume)
	for name, other := range c.moves {
		// From stage 3 on the other has reported and only lets go.
		if other.volume == m.volume && other.stage < 3 {
			c.t.Errorf("%s was created while %s works on the same volume", j.Name, name)
		}
	}
	c.moves[j.Name] = m
}

// JobDeleted must not meet a migrator at work, unless somebody did it by hand.
func (c *cluster) JobDeleted(j *batchv1.Job) {
	if m := c.moves[j.Name]; m != nil && !c.byHand[j.Name] {
		c.t.Errorf("running Job %s was deleted at stage %d", j.Name, m.stage)
	}
}

// step lets one migrator do the next thing.
func (c *cluster) step(name string, m *move) {
	pv := driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + uuid(m.volume)}
	job := driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: "couchestor-system", Name: name}
	remember := func(state mayastor.State, failures int64) {
		a := attempt(m.n, state, time.Now())
		a.Failures = failures
		_, err := c.api.Edit(pv, func(o *driver.Object) {
			annotations := o.GetAnnotations()
			annotations[mayastor.AttemptAnnotation] = text(a)
			if state == mayastor.Moved {
				annotations[mayastor.LastMigrationAnnotation] = stamp(time.Now())
			}
			o.SetAnnotations(annotations)
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	finish := func(kind, reason string) {
		_, err := c.api.EditStatus(job, func(o *driver.Object) {
			o.Object["status"] = map[string]any{"conditions": []any{map[string]any{
				"type": kind, "status": "True", "reason": reason, "lastTransitionTime": stamp(time.Now()),
			}}}
		})
		if err != nil {
			c.t.Fatal(err)
		}
		delete(c.moves, name)
	}
	m.stage++
	switch m.stage {
	case 1:
		remember(mayastor.Started, 0)
		m.withoutResult = c.dice.IntN(8) == 0
	case 2:
		if m.withoutResult {
			c.reported[name] = mayastor.Failed
			finish("Failed", "DeadlineExceeded")
			return
		}
		m.result = moved(m.n)
		m.result.Started, m.result.Ended = time.Now().Add(-time.Minute), time.Now()
		switch state := []mayastor.State{mayastor.Moved, mayastor.Moved, mayastor.Failed, mayastor.Refused, mayastor.Aborted}[c.dice.IntN(5)]; {
		case m.recovery:
			m.result = resultOf(m.n, mayastor.Aborted, "Recovered")
			m.result.Ended, m.result.Recovered = time.Now(), true
		case state == mayastor.Moved:
			c.place(m.volume, "hot-3", "hot-4")
		default:
			m.result = resultOf(m.n, state, "Reason")
			m.result.Ended, m.result.Failures = time.Now(), 1
		}
		remember(m.result.State, m.result.Failures)
	case 3:
		_, err := c.api.Edit(job, func(o *driver.Object) {
			annotations := o.GetAnnotations()
			m.result.Volume = uuid(m.volume)
			annotations[mayastor.ResultAnnotation] = text(m.result)
			o.SetAnnotations(annotations)
		})
		if err != nil {
			c.t.Fatal(err)
		}
		c.reported[name] = m.result.State
	case 4:
		finish("Complete", "CompletionsReached")
	}
}

// round syncs once and lets things happen.
func (c *cluster) round(jobsByHand bool) {
	if _, err := c.meta.SyncOnce(c.t.Context(), "db"); err != nil {
		c.t.Fatal(err)
	}
	for _, name := range sortedKeys(c.moves) {
		m := c.moves[name]
		switch roll := c.dice.IntN(10); {
		case jobsByHand && roll == 0 && m.stage == 1:
			c.byHand[name] = true
			err := c.api.Delete(driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: "couchestor-system", Name: name}, driver.Deletion{})
			if err != nil {
				c.t.Fatal(err)
			}
			delete(c.moves, name)
		case roll < 7:
			c.step(name, m)
		}
	}
	// Volumes change their minds.
	for i := 1; i <= volumesInCluster; i++ {
		if c.dice.IntN(30) == 0 {
			c.score(i, []float64{busy, middle, idle}[c.dice.IntN(3)])
		}
	}
	<-time.After(time.Duration(c.dice.IntN(4)) * time.Second)
}

// pass lets time pass, in which caches catch up.
func (c *cluster) pass(d time.Duration) {
	c.meta.SetLag(driver.Lag{})
	if _, err := c.meta.SyncOnce(c.t.Context(), "db"); err != nil {
		c.t.Fatal(err)
	}
	<-time.After(d)
}

// settle lets every migrator and cache come to the end.
func (c *cluster) settle() (status tiering.StoragePolicyStatus) {
	c.meta.SetLag(driver.Lag{})
	for i := 1; i <= volumesInCluster; i++ {
		c.score(i, middle)
	}
	for range 40 {
		if _, err := c.meta.SyncOnce(c.t.Context(), "db"); err != nil {
			c.t.Fatal(err)
		}
		for _, name := range sortedKeys(c.moves) {
			c.step(name, c.moves[name])
		}
		<-time.After(uncleanFor)
	}
	if _, err := c.meta.Fixpoint(c.t.Context(), "db", 5); err != nil {
		c.t.Error(err)
	}
	o, err := c.api.Get(driver.Ref{APIVersion: tiering.APIVersion, Kind: tiering.Kind, Name: "db"})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := jsonInto(o.Object["status"], &status); err != nil {
		c.t.Fatal(err)
	}
	return status
}

func TestUnderMetacontrollersRulesWithStaleCaches(t *testing.T) {
	results := 0
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, seed)
				for range 10 {
					c.meta.SetLag(driver.Lag{Children: int(seed % 5), Related: int(seed % 4), Parent: int(seed % 3), Seed: seed + 1})
					for range 7 {
						c.round(seed%3 == 2)
					}
					c.pass(time.Duration(c.dice.IntN(40)) * time.Minute)
				}
				status := c.settle()
				results += len(c.reported)

				outcome := map[string]string{}
				total, failed := int64(0), int64(0)
				for _, e := range status.MigrationHistory {
					outcome[e.JobName] = e.Outcome
				}
				for name, state := range c.reported {
					got, ok := outcome[name]
					if !ok && len(status.MigrationHistory) < historyEntries {
						t.Errorf("%s ended %s and is not recorded", name, state)
					}
					if ok && got != string(state) && got != tiering.OutcomeRecovered {
						t.Errorf("%s ended %s and is recorded as %s", name, state, got)
					}
				}
				for name, state := range c.reported {
					switch {
					case state == mayastor.Refused || outcome[name] == tiering.OutcomeRecovered:
					case state == mayastor.Failed:
						failed++
						total++
					default:
						total++
					}
				}
				// Those deleted by hand may be known from their volume alone.
				if hand := int64(len(c.byHand)); status.TotalMigrations < total || status.TotalMigrations > total+hand || status.FailedMigrations != failed {
					t.Errorf("got %d in total, %d failed, want %d (to %d) and %d", status.TotalMigrations, status.FailedMigrations, total, total+hand, failed)
				}
				if n := c.meta.Counters().Errors; n != 0 {
					t.Errorf("got %d failed syncs: %v", n, c.meta.Events())
				}
			})
		})
	}
	t.Logf("%d results recorded", results)
}

func TestUnderMetacontrollersRulesDeletionWaitsForMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		for range 6 {
			c.round(false)
		}
		if len(c.moves) == 0 {
			t.Fatal("nothing moves; the test shows nothing")
		}
		policy := driver.Ref{APIVersion: tiering.APIVersion, Kind: tiering.Kind, Name: "db"}
		if err := c.api.Delete(policy, driver.Deletion{}); err != nil {
			t.Fatal(err)
		}
		before := c.meta.Counters().Creates
		for range 40 {
			c.round(false)
			<-time.After(20 * time.Second)
		}
		if _, err := c.api.Get(policy); err == nil || !strings.Contains(err.Error(), "not found") {
			t.Errorf("got %v, want the policy gone after its moves ended", err)
		}
		if jobs := c.api.List("batch/v1", "Job"); len(jobs) != 0 {
			t.Errorf("got %d Jobs left, want none", len(jobs))
		}
		for i := 1; i <= volumesInCluster; i++ {
			o, err := c.api.Get(driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + uuid(i)})
			if err != nil {
				t.Fatal(err)
			}
			if a := readMemory(o.GetAnnotations()[mayastor.AttemptAnnotation], ""); a.Attempt.State == tiering.AttemptStarted {
				t.Errorf("volume %d was left started", i)
			}
		}
		t.Logf("%d Jobs were created after the deletion, for recovery", c.meta.Counters().Creates-before)
	})
}
