package rig

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestControllers(t *testing.T) {
	r := New(t)
	ctx := t.Context()
	if err := r.StartControllers(ctx, Controllers{}); err != nil {
		t.Fatal(err)
	}
	ns, err := r.PodNamespace(ctx, "controlled")
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a Job gets its pod, and deleted in the background takes it along", func(t *testing.T) {
		job, err := r.Client.BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: "one"},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "main", Image: "none"}},
			}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var pods *corev1.PodList
		eventually(t, "the Job has a pod with a token", func(ctx context.Context) (bool, error) {
			pods, err = r.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=one"})
			return err == nil && len(pods.Items) == 1, err
		})
		if pod := pods.Items[0]; pod.Spec.ServiceAccountName != "default" || len(pod.Spec.Volumes) != 1 || pod.Spec.Volumes[0].Projected == nil {
			t.Errorf("the pod has no token: %+v", pod.Spec)
		}
		err = r.Client.BatchV1().Jobs(ns).Delete(ctx, job.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pod is gone with its Job", func(ctx context.Context) (bool, error) {
			pods, err := r.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
			return err == nil && len(pods.Items) == 0, err
		})
	})

	t.Run("an aggregated role takes up the rules of the roles it names", func(t *testing.T) {
		roles := r.Client.RbacV1().ClusterRoles()
		label := map[string]string{"aggregate-to-whole": "true"}
		for _, role := range []*rbacv1.ClusterRole{
			{ObjectMeta: metav1.ObjectMeta{Name: "whole"}, AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: label}, Rules: []rbacv1.PolicyRule{Rule("", "configmaps", "get")}},
		} {
			if _, err := roles.Create(ctx, role, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the rule is there", func(ctx context.Context) (bool, error) {
			role, err := roles.Get(ctx, "whole", metav1.GetOptions{})
			return err == nil && len(role.Rules) == 1, err
		})
	})

	t.Run("they outlive the API server", func(t *testing.T) {
		r.API.Kill()
		if err := r.StartAPI(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := r.PodNamespace(ctx, "after"); err != nil {
			t.Error(err)
		}
	})

	t.Run("a namespace that is deleted goes with all that is in it", func(t *testing.T) {
		if err := r.Client.CoreV1().Namespaces().Delete(ctx, ns, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the namespace is gone", func(ctx context.Context) (bool, error) {
			_, err := r.Client.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		})
	})

	t.Run("they end with the rig", func(t *testing.T) {
		pid := r.Controllers.PID()
		r.Close()
		if alive(pid) {
			t.Errorf("process %d is left", pid)
		}
	})
}

// eventually fails the test unless the sentence comes true within a minute.
func eventually(t *testing.T, sentence string, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := Until(ctx, 50*time.Millisecond, done); err != nil {
		t.Fatalf("not in a minute: %s: %v", sentence, err)
	}
}
