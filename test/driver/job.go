package driver

import (
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The labels that the Job controller gives to pods, old and new spelling.
var jobLabels = []string{"controller-uid", "job-name", batchv1.ControllerUidLabel, batchv1.JobNameLabel}

// maxJobName is the longest name that fits into a pod's label.
const maxJobName = 63

// admitJob decodes, checks and defaults a Job as far as it matters to those
// who write Jobs: fields that do not exist are dropped, the selector and the
// pod labels are the server's (MC 3.2), defaults are filled in.
func admitJob(o *Object) (*Object, error) {
	job := new(batchv1.Job)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, job); err != nil {
		return nil, apierrors.NewBadRequest("Job in version \"v1\" cannot be handled as a Job: " + err.Error())
	}
	if faults := jobFaults(job); len(faults) > 0 {
		return nil, apierrors.NewInvalid(batchv1.SchemeGroupVersion.WithKind("Job").GroupKind(), job.Name, faults)
	}
	defaultJob(job)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(job)
	if err != nil {
		return nil, fmt.Errorf("encode Job %s: %w", job.Name, err)
	}
	delete(content, "status")
	return canonical(&Object{Object: content})
}

func jobFaults(job *batchv1.Job) field.ErrorList {
	var faults field.ErrorList
	spec := field.NewPath("spec")
	if len(job.Name) > maxJobName {
		faults = append(faults, field.TooLong(field.NewPath("metadata", "name"), job.Name, maxJobName))
	}
	if job.Spec.Selector != nil && (job.Spec.ManualSelector == nil || !*job.Spec.ManualSelector) {
		faults = append(faults, field.Invalid(spec.Child("selector"), "...", "`selector` not auto-generated"))
	}
	template := spec.Child("template")
	for _, label := range jobLabels {
		if value, found := job.Spec.Template.Labels[label]; found {
			faults = append(faults, field.Invalid(template.Child("metadata", "labels").Key(label), value, "is set by the Job controller"))
		}
	}
	pod := job.Spec.Template.Spec
	switch pod.RestartPolicy {
	case corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure:
	default:
		faults = append(faults, field.NotSupported(template.Child("spec", "restartPolicy"), pod.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}))
	}
	containers := template.Child("spec", "containers")
	if len(pod.Containers) == 0 {
		faults = append(faults, field.Required(containers, ""))
	}
	for i, c := range pod.Containers {
		if c.Name == "" {
			faults = append(faults, field.Required(containers.Index(i).Child("name"), ""))
		}
		if c.Image == "" {
			faults = append(faults, field.Required(containers.Index(i).Child("image"), ""))
		}
	}
	return faults
}

func defaultJob(job *batchv1.Job) {
	if len(job.Labels) == 0 {
		job.Labels = maps.Clone(job.Spec.Template.Labels)
	}
	uid := string(job.UID)
	if job.Spec.Template.Labels == nil {
		job.Spec.Template.Labels = map[string]string{}
	}
	for _, label := range []string{"controller-uid", batchv1.ControllerUidLabel} {
		job.Spec.Template.Labels[label] = uid
	}
	for _, label := range []string{"job-name", batchv1.JobNameLabel} {
		job.Spec.Template.Labels[label] = job.Name
	}
	job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: uid}}
	fill(&job.Spec.Parallelism, 1)
	fill(&job.Spec.Completions, 1)
	fill(&job.Spec.BackoffLimit, 6)
	fill(&job.Spec.Suspend, false)
	fill(&job.Spec.ManualSelector, false)
	fill(&job.Spec.CompletionMode, batchv1.NonIndexedCompletion)
	fill(&job.Spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	pod := &job.Spec.Template.Spec
	fill(&pod.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	if pod.DNSPolicy == "" {
		pod.DNSPolicy = corev1.DNSClusterFirst
	}
	if pod.SchedulerName == "" {
		pod.SchedulerName = corev1.DefaultSchedulerName
	}
	if pod.SecurityContext == nil {
		pod.SecurityContext = &corev1.PodSecurityContext{}
	}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		if c.TerminationMessagePath == "" {
			c.TerminationMessagePath = corev1.TerminationMessagePathDefault
		}
		if c.TerminationMessagePolicy == "" {
			c.TerminationMessagePolicy = corev1.TerminationMessageReadFile
		}
		if c.ImagePullPolicy == "" {
			c.ImagePullPolicy = corev1.PullIfNotPresent
		}
	}
}

func fill[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
