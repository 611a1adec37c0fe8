package e2e

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/tiering"
)

func upAndDown(t *testing.T, s *stage) {
	up := s.volume(t, "tides", quick, "sata-1", "sata-2")
	down := s.volume(t, "tides", quick, "nvme-1", "nvme-2")
	stays := s.volume(t, "tides", quick, "sata-3", "sata-4")
	s.policy(t, "tides")
	s.busy(up)
	s.idle(down)

	went := s.recorded(t, "tides", up, tiering.OutcomeMoved)
	if went.FromTier != "cold" || went.ToTier != "hot" || !went.Success || went.TriggerIOPS <= 5000 || went.JobUID == "" {
		t.Errorf("got history entry %+v", went)
	}
	s.recorded(t, "tides", down, tiering.OutcomeMoved)
	s.on(t, up, "nvme", 2)
	s.on(t, down, "sata", 2)
	if _, moved, err := s.memory(t.Context(), up); err != nil || moved == "" {
		t.Errorf("the volume does not remember when it moved: %q, %v", moved, err)
	}
	if c := s.sim.Counts(stays); c.Ups+c.Downs > 0 {
		t.Errorf("a volume between its watermarks was touched: %+v", c)
	}

	// The Job's log is the audit trail; its pod is kept with it.
	pods := s.pods(t, went.JobName)
	if len(pods) != 1 {
		t.Fatalf("the Job had %d pods, want 1", len(pods))
	}
	log := s.fleet.Logs(system, pods[0].Name)
	for _, want := range []string{`"action":"move_started"`, `"action":"move_completed"`, `"policy":"tides"`, "pvc-" + up} {
		if !strings.Contains(log, want) {
			t.Errorf("the Job's log lacks %s:\n%s", want, log)
		}
	}

	// One id joins what the service decided with what the Job did.
	var told []string
	for _, line := range append(s.serviceLog(t), strings.Split(log, "\n")...) {
		if strings.Contains(line, `"move":"`+went.JobName+`"`) {
			told = append(told, line)
		}
	}
	t.Logf("one move, from the decision to the record:\n%s", strings.Join(told, "\n"))
	for _, line := range told {
		if !strings.Contains(line, `"actor":"system:serviceaccount:couchestor-system:couchestor`) {
			t.Errorf("the line does not say which service account and pod acted: %s", line)
		}
	}
	for _, action := range []string{"decision_changed", "move_started", "move_admitted", "replica_add", "step_completed", "move_completed"} {
		if !slices.ContainsFunc(told, func(line string) bool { return strings.Contains(line, `"action":"`+action+`"`) }) {
			t.Errorf("no line of the move has action %s", action)
		}
	}

	// And what goes up comes down, once its cooldown is over.
	s.idle(up)
	eventually(t, "the volume is back on SATA", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, "tides")
		return err == nil && p.Status.TotalMigrations == 3 && p.Status.ColdVolumes == 3, err
	})
	s.on(t, up, "sata", 2)
	p, err := s.get(t.Context(), "tides")
	if err != nil {
		t.Fatal(err)
	}
	if p.Status.FailedMigrations != 0 || p.Status.ActiveMigrations != 0 || p.Status.Phase != tiering.PhaseActive {
		t.Errorf("got status %+v", p.Status)
	}
	for _, j := range p.Status.MigrationHistory {
		a, err := s.jobs(t.Context(), strings.TrimPrefix(j.VolumeName, "pvc-"))
		if err != nil || len(a) > 2 {
			t.Errorf("volume %s: %d Jobs, %v; want one for each move", j.VolumeName, len(a), err)
		}
	}
	show(t)
	s.gone(t, "tides")
}

// serviceLog are the lines that the service's pods wrote.
func (s *stage) serviceLog(t *testing.T) []string {
	t.Helper()
	pods, err := suite.Client.CoreV1().Pods(system).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=service"})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range pods.Items {
		lines = append(lines, strings.Split(s.fleet.Logs(system, p.Name), "\n")...)
	}
	return lines
}

// show prints what kubectl get shows.
func show(t *testing.T) {
	t.Helper()
	body, err := suite.Client.Discovery().RESTClient().Get().AbsPath("/apis/"+tiering.APIVersion+"/storagepolicies").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := table(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl get storagepolicies -o wide\n%s", rows)
}

func dryRun(t *testing.T, s *stage) {
	busy := s.volume(t, "watched", quick, "sata-1", "sata-2")
	s.policy(t, "watched", func(spec map[string]any) { spec["dryRun"] = true })
	s.busy(busy)
	eventually(t, "the plan shows the move", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, "watched")
		return err == nil && slices.ContainsFunc(p.Status.Plan, func(e tiering.PlanEntry) bool { return e.VolumeName == "pvc-"+busy }), err
	})
	jobs, err := s.jobs(t.Context(), busy)
	if err != nil || len(jobs) > 0 {
		t.Errorf("a dry run made Jobs: %v, %v", jobs, err)
	}
	s.on(t, busy, "sata", 2)
	s.gone(t, "watched")
}

func deletedInTheBackground(t *testing.T, s *stage) {
	v := s.volume(t, "leaving", slow, "sata-1")
	s.policy(t, "leaving")
	s.busy(v)
	job, _ := s.moving(t, v)
	s.gone(t, "leaving")
	// It was let go only after the move: the policy outlived its Job's work.
	s.on(t, v, "nvme", 1)
	if a, _, err := s.memory(t.Context(), v); err != nil || a.State != "moved" {
		t.Errorf("the volume remembers %+v, %v; want moved by %s", a, err, job.Name)
	}
	s.noJobs(t, v)
}

func deletedInTheForeground(t *testing.T, s *stage) {
	v := s.volume(t, "pushed", slow, "sata-1")
	s.policy(t, "pushed")
	s.busy(v)
	s.moving(t, v)
	s.gone(t, "pushed", metav1.DeletePropagationForeground)
	s.remembers(t, v, "aborted")
	s.on(t, v, "sata", 1)
	s.noJobs(t, v)
}

// noJobs waits until the volume has no Job.
func (s *stage) noJobs(t *testing.T, uuid string) {
	t.Helper()
	eventually(t, "the volume's Jobs are gone", func(ctx context.Context) (bool, error) {
		jobs, err := s.jobs(ctx, uuid)
		return len(jobs) == 0, err
	})
}

func madeAgain(t *testing.T, s *stage) {
	long := func(spec map[string]any) { spec["cooldownPeriod"] = "1h" }
	v := s.volume(t, "again", quick, "sata-1", "sata-2")
	s.policy(t, "again", long)
	s.busy(v)
	first := s.recorded(t, "again", v, tiering.OutcomeMoved)
	s.gone(t, "again")
	s.idle(v)
	s.policy(t, "again", long)
	eventually(t, "the cooldown still holds", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, "again")
		return err == nil && slices.ContainsFunc(p.Status.Plan, func(e tiering.PlanEntry) bool {
			return e.VolumeName == "pvc-"+v && e.Gate == "cooldown"
		}), err
	})
	s.patch(t, "again", `{"spec":{"cooldownPeriod":"1s"}}`)
	second := s.recorded(t, "again", v, tiering.OutcomeMoved)
	if !strings.HasSuffix(first.JobName, "-1") || !strings.HasSuffix(second.JobName, "-2") {
		t.Errorf("got Jobs %s and %s, want numbers 1 and 2", first.JobName, second.JobName)
	}
	s.on(t, v, "sata", 2)
	s.gone(t, "again")
}

func jobDeleted(t *testing.T, s *stage) {
	v := s.volume(t, "deleted", slow, "sata-1")
	s.policy(t, "deleted")
	s.busy(v)
	job, _ := s.moving(t, v)
	propagation := metav1.DeletePropagationBackground
	if err := suite.Client.BatchV1().Jobs(system).Delete(t.Context(), job.Name, metav1.DeleteOptions{PropagationPolicy: &propagation}); err != nil {
		t.Fatal(err)
	}
	s.recorded(t, "deleted", v, tiering.OutcomeAborted)
	s.on(t, v, "sata", 1)
	s.gone(t, "deleted")
}

func upgraded(t *testing.T, s *stage) {
	before := s.volume(t, "upgrade", slow, "sata-1")
	after := s.volume(t, "upgrade", quick, "sata-2")
	s.policy(t, "upgrade")
	s.busy(before)
	job, _ := s.moving(t, before)
	s.apply(t, "v0.2.0")
	s.ready(t)
	s.busy(after)
	s.recorded(t, "upgrade", after, tiering.OutcomeMoved)
	s.recorded(t, "upgrade", before, tiering.OutcomeMoved)
	if got := s.pods(t, job.Name); len(got) != 1 {
		t.Errorf("the move that was under way had %d pods, want the one it began with", len(got))
	}
	jobs, err := s.jobs(t.Context(), after)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("got Jobs %v, %v", jobs, err)
	}
	for name, want := range map[*batchv1.Job]string{job: "billyronks/couchestor:v0.1.0", &jobs[0]: "billyronks/couchestor:v0.2.0"} {
		if got := name.Spec.Template.Spec.Containers[0].Image; got != want {
			t.Errorf("Job %s has image %s, want %s", name.Name, got, want)
		}
	}
	s.on(t, before, "nvme", 1)
	s.on(t, after, "nvme", 1)
	s.gone(t, "upgrade")
}

// quietFor is how long nothing may be written.
const quietFor = time.Minute

func quiet(t *testing.T, s *stage) {
	// Right after a write: a policy that was just applied, with a volume that wants to
	// move and may not, and one that is where it belongs.
	v := s.volume(t, "quiet", quick, "sata-1", "sata-2")
	s.volume(t, "quiet", quick, "nvme-1", "nvme-2")
	s.policy(t, "quiet", func(spec map[string]any) { spec["dryRun"] = true })
	s.busy(v)
	version := func() string {
		o, err := s.policies.Get(t.Context(), "quiet", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return o.GetResourceVersion()
	}
	eventually(t, "the plan shows the move", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, "quiet")
		return err == nil && len(p.Status.Plan) == 1, err
	})
	written, calls := version(), requests(t)
	timer := time.NewTimer(quietFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
	if now := version(); now != written {
		p, err := s.get(t.Context(), "quiet")
		t.Errorf("the policy was written while nothing changed: resourceVersion %s, was %s; now %+v, %v", now, written, p.Status, err)
	}
	var lines []string
	for what, n := range requests(t) {
		if n -= calls[what]; n > 0 {
			lines = append(lines, fmt.Sprintf("%6d  %s", n, what))
		}
		if strings.Contains(what, "storagepolicies") && !strings.HasPrefix(what, "GET") && !strings.HasPrefix(what, "WATCH") && !strings.HasPrefix(what, "LIST") && n > 0 {
			t.Errorf("%d calls %s while nothing changed", n, what)
		}
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	t.Logf("calls to the API server in %s, nodes and controllers included:\n%s", quietFor, strings.Join(lines, "\n"))
	s.gone(t, "quiet")
}
