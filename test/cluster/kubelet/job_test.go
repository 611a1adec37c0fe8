package kubelet

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
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
