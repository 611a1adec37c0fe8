package driver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
)

// run starts the driver; the function it returns stops it and waits.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.d.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func TestMC5Resync(t *testing.T) {
	// at returns when the hook was asked, in seconds since the start.
	at := func(t *testing.T, length time.Duration, answer func(n int) string, options ...rigOption) []float64 {
		var times []float64
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, options...)
			r.put(gold)
			began := time.Now()
			r.answers["sync"] = func(map[string]any) *http.Response {
				times = append(times, time.Since(began).Seconds())
				return reply(200, answer(len(times)))
			}
			stop := r.run()
			time.Sleep(length)
			stop()
		})
		return times
	}
	constant := func(body string) func(int) string { return func(int) string { return body } }

	for _, c := range []struct {
		name    string
		length  time.Duration
		answer  func(int) string
		options []rigOption
		want    []float64
	}{
		{"every parent is synced at the start and once in resyncPeriodSeconds", 601 * time.Second, constant(`{}`), nil, []float64{0, 300, 600}},
		{"a period below a second is a second", 2500 * time.Millisecond, constant(`{}`), []rigOption{edited("resyncPeriodSeconds: 300", "resyncPeriodSeconds: 0")}, []float64{0, 1, 2}},
		{"without a period the informer's half hour remains", 1801 * time.Second, constant(`{}`), []rigOption{edited("resyncPeriodSeconds: 300", "")}, []float64{0, 1800}},
		{"the option shortens it", 25 * time.Second, constant(`{}`), []rigOption{func(o *Options, _ *[]byte) { o.ResyncPeriod = 10 * time.Second }}, []float64{0, 10, 20}},
		{"resyncAfterSeconds is one-shot", 100 * time.Second, func(n int) string {
			if n == 1 {
				return `{"resyncAfterSeconds":2}`
			}
			return `{}`
		}, nil, []float64{0, 2}},
		{"resyncAfterSeconds is asked for anew each time", 7 * time.Second, constant(`{"resyncAfterSeconds":2}`), nil, []float64{0, 2, 4, 6}},
		{"a status written by ourselves triggers nothing", 100 * time.Second, func(n int) string { return fmt.Sprintf(`{"status":{"n":%d}}`, n) }, nil, []float64{0}},
		{"without ignoreStatusChanges a status that changes each time is a loop", time.Millisecond, func(n int) string {
			return fmt.Sprintf(`{"status":{"n":%d}}`, min(n, 5))
		}, []rigOption{edited("ignoreStatusChanges: true", "ignoreStatusChanges: false")}, []float64{0, 0, 0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := at(t, c.length, c.answer, c.options...)
			if c.want[len(c.want)-1] == 0 && len(c.want) > 1 {
				if len(got) < 5 { // the first also saw the finalizer come; the exact number is the queue's
					t.Errorf("asked %d times", len(got))
				}
				return
			}
			if diff := cmp.Diff(got, c.want); diff != "" {
				t.Error(diff)
			}
		})
	}

	t.Run("of two appointments the earlier one holds and the later is dropped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue()
			q.addAfter("gold", 5*time.Second)
			q.addAfter("gold", 9*time.Second)
			q.addAfter("gold", 2*time.Second)
			began := time.Now()
			name, ok := q.wait(t.Context())
			if !ok || name != "gold" || time.Since(began) != 2*time.Second {
				t.Errorf("%s %t after %s", name, ok, time.Since(began))
			}
			q.done("gold")
			if _, found, wait := q.next(); found || wait != notAppointed {
				t.Errorf("found %t, wait %s", found, wait)
			}
		})
	})
	t.Run("an event while the hook is asked is worked on after, once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			asked, at := 0, 0
			r.answers["sync"] = func(map[string]any) *http.Response {
				asked++
				if at++; at > 1 {
					t.Error("two syncs of one parent at once")
				}
				time.Sleep(5 * time.Second)
				at--
				return reply(200, `{}`)
			}
			stop := r.run()
			time.Sleep(time.Second)
			for i := range 10 {
				r.put(pvText(fmt.Sprintf("pvc-%d", i)))
			}
			time.Sleep(time.Minute)
			stop()
			if asked != 2 {
				t.Errorf("asked %d times", asked)
			}
		})
	})
	t.Run("a restart syncs every parent again and knows no appointment", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.put(gold)
			r.answer("sync", `{"resyncAfterSeconds":50}`)
			stop := r.run()
			time.Sleep(10 * time.Second)
			stop()
			stop = r.run()
			time.Sleep(45 * time.Second)
			stop()
			if n := r.d.Counters(); n.Syncs != 2 || n.Customizes < 2 {
				t.Errorf("counters %+v", n)
			}
		})
	})
}

func TestMC0_7StaleCaches(t *testing.T) {
	t.Run("children lag: the Job just created is not seen, and its create again is silent", func(t *testing.T) {
		r := newRig(t, lagging(Lag{Children: 1}))
		r.put(gold)
		r.wants(jobText("a"))
		r.sync()
		r.sync()
		if has(t, r.last(), "children", "Job.batch/v1", "couchestor-system/a") {
			t.Error("the Job is seen")
		}
		if n := r.d.Counters(); n.Creates != 1 || n.Existed != 1 {
			t.Errorf("counters %+v", n)
		}
	})
	t.Run("parent lag: the status just written is not seen", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.sync()
		r.d.SetLag(Lag{Parent: 1})
		r.answer("sync", `{"status":{"phase":"Active"}}`)
		r.sync()
		r.sync()
		if has(t, r.last(), "parent", "status", "phase") {
			t.Error("the status is seen")
		}
		r.d.SetLag(Lag{})
		r.sync()
		if !has(t, r.last(), "parent", "status", "phase") {
			t.Error("the status is never seen")
		}
	})
	t.Run("related lag", func(t *testing.T) {
		r := newRig(t, lagging(Lag{Related: 2}))
		r.put(gold)
		r.sync()
		for _, name := range []string{"pvc-1", "pvc-2", "pvc-3"} {
			r.put(pvText(name))
		}
		r.sync()
		if got := dig(t, r.last(), "related", "PersistentVolume.v1").(map[string]any); len(got) != 1 || got["pvc-1"] == nil {
			t.Errorf("related %v", got)
		}
	})
	t.Run("seeded lag repeats itself and never shows an older state again", func(t *testing.T) {
		history := func() (seen []int) {
			r := newRig(t, lagging(Lag{Related: 3, Seed: 42}))
			r.put(gold)
			for i := range 30 {
				r.put(pvText(fmt.Sprintf("pvc-%02d", i)))
				r.sync()
				seen = append(seen, len(dig(t, r.last(), "related", "PersistentVolume.v1").(map[string]any)))
			}
			return seen
		}
		first := history()
		if !slices.IsSorted(first) {
			t.Errorf("went backwards: %v", first)
		}
		if diff := cmp.Diff(history(), first); diff != "" {
			t.Error(diff)
		}
		behind := 0
		for i, n := range first {
			if n < i+1 {
				behind++
			}
		}
		if behind == 0 {
			t.Errorf("never behind: %v", first)
		}
	})
	t.Run("while running a stale cache catches up by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, lagging(Lag{Children: 3, Related: 3, Parent: 3, Seed: 7}))
			r.put(gold)
			stop := r.run()
			time.Sleep(time.Second)
			r.put(pvText("pvc-1"))
			time.Sleep(10 * time.Second)
			stop()
			if !has(t, r.last(), "related", "PersistentVolume.v1", "pvc-1") {
				t.Error("the volume was never seen")
			}
		})
	})
}

// finisher completes each Job as soon as it is created.
type finisher struct {
	api     *API
	deleted []string
}

func (f *finisher) JobCreated(job *batchv1.Job) {
	f.api.EditStatus(Ref{"batch/v1", "Job", job.Namespace, job.Name}, func(o *Object) {
		o.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Complete", "status": "True"}}}
	})
}

func (f *finisher) JobDeleted(job *batchv1.Job) { f.deleted = append(f.deleted, job.Name) }

func TestJobRunner(t *testing.T) {
	r := newRig(t)
	f := &finisher{api: r.api}
	r.api.RunJobs(f)
	r.put(gold)
	r.wants(jobText("a"))
	r.sync()
	r.sync()
	t.Run("learns of a Job and may report on it at once", func(t *testing.T) {
		if dig(t, r.last(), "children", "Job.batch/v1", "couchestor-system/a", "status", "conditions") == nil {
			t.Error("no conditions")
		}
	})
	t.Run("learns once that a Job goes, also if it is held", func(t *testing.T) {
		r.edit(r.get("Job", "couchestor-system", "a"), func(o *Object) { o.SetFinalizers([]string{"test/hold"}) })
		r.wants()
		r.sync()
		r.edit(r.get("Job", "couchestor-system", "a"), func(o *Object) { o.SetFinalizers(nil) })
		if diff := cmp.Diff(f.deleted, []string{"a"}); diff != "" {
			t.Error(diff)
		}
	})
}

func TestMC9_3Fixpoint(t *testing.T) {
	t.Run("an answer that settles has one", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		r.answer("sync", `{"status":{"phase":"Active"},"children":[`+jobText("a")+`]}`)
		if n, err := r.d.Fixpoint(t.Context(), "gold", 5); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
	})
	t.Run("a counter in the status has none", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		n := 0
		r.answers["sync"] = func(map[string]any) *http.Response {
			n++
			return reply(200, fmt.Sprintf(`{"status":{"n":%d}}`, n))
		}
		if _, err := r.d.Fixpoint(t.Context(), "gold", 5); err == nil {
			t.Error("no error")
		}
	})
	t.Run("other bytes for the same request are found although they mean the same", func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		n := 0
		r.answers["sync"] = func(map[string]any) *http.Response {
			n++
			return reply(200, fmt.Sprintf(`{"resyncAfterSeconds":%d}`, n))
		}
		if _, err := r.d.Fixpoint(t.Context(), "gold", 5); err == nil {
			t.Error("no error")
		}
	})
}
