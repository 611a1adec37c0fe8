package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/driver"
)

const testVolume = "9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80"

// pen is a kubelet whose containers are shell scripts.
type pen struct {
	*kubelet
	t   *testing.T
	dir string
	// ended gets each Job's last condition.
	ended chan string
}

func newPen(t *testing.T) *pen {
	t.Helper()
	p := &pen{t: t, dir: t.TempDir(), ended: make(chan string, 10)}
	api := driver.NewAPI(driver.Resources()...)
	p.kubelet = &kubelet{
		api: api, mirror: &mirror{api: api, dir: p.dir}, binary: "/bin/sh", ctx: t.Context(),
		logs: p.dir, jobs: map[string]*jobRun{},
	}
	t.Cleanup(p.wg.Wait)
	api.RunJobs(p.kubelet)
	api.Watch(func(c driver.Change) {
		if c.New == nil || c.Resource.Kind != "Job" {
			return
		}
		if conditions, found := jobConditions(c.New); found && c.Old.Object["status"] == nil {
			p.ended <- conditions[0].(map[string]any)["type"].(string)
		}
	})
	p.put(map[string]any{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": map[string]any{"name": "pvc-" + testVolume}})
	return p
}

func (p *pen) put(value any) {
	p.t.Helper()
	objects, err := driver.Objects(value)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.api.Create(objects[0]); err != nil {
		p.t.Fatal(err)
	}
}

// job runs the script as attempt 1 at the volume.
func (p *pen) job(script string, backoffLimit int64) driver.Ref {
	p.t.Helper()
	name := "couchestor-" + testVolume + "-1"
	p.put(map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{"backoffLimit": backoffLimit, "template": map[string]any{"spec": map[string]any{
			"restartPolicy": "Never",
			"containers":    []any{map[string]any{"name": "migrate", "image": "img", "args": []any{"-c", "cd " + p.dir + "\n" + script}}},
		}}},
	})
	return driver.Ref{APIVersion: "batch/v1", Kind: "Job", Namespace: namespace, Name: name}
}

func (p *pen) wait() string {
	p.t.Helper()
	select {
	case condition := <-p.ended:
		return condition
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the Job has no condition (%v)", p.err())
		return ""
	}
}

const writeResult = `echo '{"n":1,"state":"moved"}' > volume-` + testVolume + `.result
`

func TestKubelet(t *testing.T) {
	t.Run("a process that exits with 0 completes the Job", func(t *testing.T) {
		p := newPen(t)
		p.job(writeResult, 20)
		if got := p.wait(); got != "Complete" {
			t.Errorf("condition %s", got)
		}
		if ended := p.kubelet.ended(); len(ended) != 1 || ended[0].State != mayastor.Moved {
			t.Errorf("ended %v", ended)
		}
	})
	t.Run("what the process noted is on the objects before the condition is", func(t *testing.T) {
		p := newPen(t)
		ref := p.job(`echo '{"n":1,"state":"moved","at":"2026-01-01T00:00:00Z"}' > volume-`+testVolume+`.attempt
			echo 2026-01-01T00:00:00Z > volume-`+testVolume+".last-migration\n"+writeResult, 20)
		p.wait()
		job, err := p.api.Get(ref)
		if err != nil {
			t.Fatal(err)
		}
		if got := job.GetAnnotations()[mayastor.ResultAnnotation]; got != `{"n":1,"state":"moved"}` {
			t.Errorf("result %q", got)
		}
		pv, err := p.api.Get(driver.Ref{APIVersion: "v1", Kind: "PersistentVolume", Name: "pvc-" + testVolume})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			mayastor.AttemptAnnotation: `{"n":1,"state":"moved","at":"2026-01-01T00:00:00Z"}`, mayastor.LastMigrationAnnotation: "2026-01-01T00:00:00Z",
		}
		if diff := cmp.Diff(pv.GetAnnotations(), want); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a result of another attempt is not this Job's", func(t *testing.T) {
		p := newPen(t)
		ref := p.job(strings.Replace(writeResult, `"n":1`, `"n":2`, 1), 20)
		p.wait()
		if job, err := p.api.Get(ref); err != nil || job.GetAnnotations()[mayastor.ResultAnnotation] != "" {
			t.Errorf("annotations %v, %v", job.GetAnnotations(), err)
		}
	})
	t.Run("a process that fails is replaced", func(t *testing.T) {
		p := newPen(t)
		p.job(writeResult+"test -e again && exit 0\ntouch again\nexit 1", 20)
		if got := p.wait(); got != "Complete" || len(p.pids(testVolume)) != 2 {
			t.Errorf("condition %s after processes %v", got, p.pids(testVolume))
		}
	})
	t.Run("after backoffLimit replacements the Job fails", func(t *testing.T) {
		p := newPen(t)
		p.job("exit 1", 1)
		if got := p.wait(); got != "Failed" || len(p.pids(testVolume)) != 2 {
			t.Errorf("condition %s after processes %v", got, p.pids(testVolume))
		}
	})
	t.Run("a process killed with -9 is replaced", func(t *testing.T) {
		p := newPen(t)
		p.job(writeResult+"test -e again && exit 0\ntouch again\nkill -9 $$", 20)
		if got := p.wait(); got != "Complete" || len(p.pids(testVolume)) != 2 {
			t.Errorf("condition %s after processes %v", got, p.pids(testVolume))
		}
	})
	t.Run("the process of a deleted Job gets SIGTERM and is not replaced", func(t *testing.T) {
		p := newPen(t)
		ref := p.job("trap 'touch terminated; exit 1' TERM\ntouch ready\nwhile :; do sleep 0.01; done", 20)
		await(t, filepath.Join(p.dir, "ready"))
		if err := p.api.Delete(ref, driver.Deletion{Propagation: "Background"}); err != nil {
			t.Fatal(err)
		}
		p.wg.Wait()
		if _, err := os.Stat(filepath.Join(p.dir, "terminated")); err != nil || len(p.pids(testVolume)) != 1 || p.err() != nil {
			t.Errorf("%v; processes %v; %v", err, p.pids(testVolume), p.err())
		}
	})
}

// await returns once the file exists.
func await(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s does not come", path)
}
