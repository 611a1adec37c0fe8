package kubelet

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// job makes a Job whose pods run on the test's nodes.
func (c *cluster) job(name string, spec batchv1.JobSpec) *batchv1.Job {
	c.Helper()
	spec.Template.Spec.NodeSelector = map[string]string{"of": c.ns}
	job, err := suite.Client.BatchV1().Jobs(c.ns).Create(c.Context(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return job
}

// concluded waits for the end of a Job.
func (c *cluster) concluded(name string, how batchv1.JobConditionType) *batchv1.Job {
	c.Helper()
	var job *batchv1.Job
	c.eventually("job "+name+" is "+string(how), func() bool {
		var err error
		if job, err = suite.Client.BatchV1().Jobs(c.ns).Get(c.Context(), name, metav1.GetOptions{}); err != nil {
			c.Fatal(err)
		}
		for _, cond := range job.Status.Conditions {
			if cond.Type == how && cond.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
	return job
}

// pods are those of a Job.
func (c *cluster) pods(job string) []corev1.Pod {
	c.Helper()
	list, err := suite.Client.CoreV1().Pods(c.ns).List(c.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
	if err != nil {
		c.Fatal(err)
	}
	return list.Items
}

// running is a pod of a Job that runs and is not being deleted, or nil.
func (c *cluster) running(job string) *corev1.Pod {
	c.Helper()
	for _, p := range c.pods(job) {
		if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
			return &p
		}
	}
	return nil
}

func TestAJobIsCompleteOnceItsPodEndedWell(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a Job is complete once its pod ended well")
	c := stage(t, Config{})
	c.job("good", batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: c.spec("exit", "0")}})
	job := c.concluded("good", batchv1.JobComplete)
	if job.Status.Succeeded != 1 || job.Status.Failed != 0 {
		t.Errorf("got %+v", job.Status)
	}
}

func TestAJobTriesAgainUntilItsLimit(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a Job whose pods fail tries again, up to backoffLimit, and fails")
	c := stage(t, Config{Nodes: []string{"a", "b"}})
	c.job("bad", batchv1.JobSpec{BackoffLimit: new(int32(1)), Template: corev1.PodTemplateSpec{Spec: c.spec("exit", "1", "no luck")}})
	job := c.concluded("bad", batchv1.JobFailed)
	if job.Status.Failed != 2 || job.Status.Conditions[len(job.Status.Conditions)-1].Reason != batchv1.JobReasonBackoffLimitExceeded {
		t.Errorf("got %+v", job.Status)
	}
	pods := c.pods("bad")
	if len(pods) != 2 {
		t.Fatalf("got %d pods", len(pods))
	}
	for _, p := range pods {
		if got := only(&p).State.Terminated; p.Status.Phase != corev1.PodFailed || got.ExitCode != 1 || got.Message != "no luck" {
			t.Errorf("got %+v", p.Status)
		}
	}
}

func TestADeletedJobsPodHasItsGrace(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "a Job is deleted: its pod gets SIGTERM and its grace, and is gone when it ended")
	c := stage(t, Config{})
	for policy, name := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationBackground: "background", metav1.DeletePropagationForeground: "foreground",
	} {
		spec := c.spec("stubborn")
		spec.TerminationGracePeriodSeconds = new(int64(3))
		c.job(name, batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}})
		c.eventually("the Job has a pod", func() bool { return len(c.pods(name)) == 1 })
		pod := c.pods(name)[0].Name
		c.says(pod, "waiting")
		begun := time.Now()
		if err := suite.Client.BatchV1().Jobs(c.ns).Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
			t.Fatal(err)
		}
		c.says(pod, "no\n")
		_, err := suite.Client.BatchV1().Jobs(c.ns).Get(t.Context(), name, metav1.GetOptions{})
		if gone := apierrors.IsNotFound(err); gone != (policy == metav1.DeletePropagationBackground) {
			t.Errorf("%s: while the pod ends the Job is gone: %v", name, gone)
		}
		c.eventually("the pod is gone", func() bool { return c.get(pod) == nil })
		if took := time.Since(begun); took < 3*time.Second {
			t.Errorf("%s: it had %s", name, took)
		}
		c.eventually("the Job is gone", func() bool {
			_, err := suite.Client.BatchV1().Jobs(c.ns).Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}
