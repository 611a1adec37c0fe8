package hooks

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

//go:embed job.yaml
var defaultTemplate []byte

// The values a template may leave out.
const (
	containerName       = "migrate"
	defaultBackoffLimit = 20
	defaultGraceSeconds = 180
)

// A JobTemplate is the form of every Job. The zero value is the default one.
// It is never changed after it was parsed.
type JobTemplate struct {
	job *batchv1.Job
}

// ParseJobTemplate reads a template as YAML or JSON. It may set whatever a Job
// can have, but for what a move depends on; each such field is named by the
// error, all at once, with the reason.
func ParseJobTemplate(text []byte) (JobTemplate, error) {
	var job batchv1.Job
	if err := yaml.UnmarshalStrict(text, &job); err != nil {
		return JobTemplate{}, fmt.Errorf("job template: %w; it must be one batch/v1 Job as YAML", err)
	}
	var faults []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("job template: "+format, args...))
		}
	}
	refuse(job.Kind != "Job" || job.APIVersion != "batch/v1",
		"it is apiVersion %q, kind %q, and must be apiVersion batch/v1, kind Job", job.APIVersion, job.Kind)
	refuse(job.GenerateName != "",
		"metadata.generateName would give each answer another Job, created and deleted in turn; remove it, the name is couchestor-<volume>-<n>")
	refuse(job.Name != "", "metadata.name is couchestor-<volume>-<n>, different for each Job; remove it")
	refuse(job.Namespace != "", "metadata.namespace is that of --job-namespace; remove it")

	spec := job.Spec
	refuse(spec.TTLSecondsAfterFinished != nil,
		"spec.ttlSecondsAfterFinished would delete a Job before its result is recorded; remove it, old Jobs are deleted after that")
	refuse(spec.Parallelism != nil, "spec.parallelism must stay 1, as one volume has one mover; remove it")
	refuse(spec.Completions != nil || spec.CompletionMode != nil || spec.SuccessPolicy != nil,
		"spec.completions, completionMode and successPolicy must stay unset, as exit 0 of one pod means that the result is recorded; remove them")
	refuse(spec.PodFailurePolicy != nil || spec.BackoffLimitPerIndex != nil || spec.MaxFailedIndexes != nil,
		"spec.podFailurePolicy, backoffLimitPerIndex and maxFailedIndexes could end a Job whose volume still needs it; remove them, backoffLimit is the bound")
	refuse(spec.ActiveDeadlineSeconds != nil || spec.Template.Spec.ActiveDeadlineSeconds != nil,
		"activeDeadlineSeconds is computed from the policy's migrationTimeout; remove it")
	refuse(spec.Suspend != nil && *spec.Suspend, "spec.suspend would keep every Job from starting; remove it")
	refuse(spec.Selector != nil || spec.ManualSelector != nil, "spec.selector is made by the Job controller; remove it")
	refuse(spec.ManagedBy != nil, "spec.managedBy hands the Job to another controller than Kubernetes' own; remove it")

	pod := spec.Template
	for _, labels := range []map[string]string{job.Labels, pod.Labels} {
		for _, reserved := range []string{
			"controller-uid", "job-name", batchv1.ControllerUidLabel, batchv1.JobNameLabel,
		} {
			_, set := labels[reserved]
			refuse(set, "label %s is set by Kubernetes and Metacontroller, and another value makes every Job fail; remove it", reserved)
		}
	}
	refuse(pod.Spec.RestartPolicy != corev1.RestartPolicyNever,
		"spec.template.spec.restartPolicy is %q and must be Never, so that each try is a pod with a log of its own", pod.Spec.RestartPolicy)
	at := slices.IndexFunc(pod.Spec.Containers, isMover)
	refuse(at < 0, "spec.template.spec.containers has none named %q, which is the one that moves the volume; add it", containerName)
	if len(faults) > 0 {
		return JobTemplate{}, errors.Join(faults...)
	}

	if job.Spec.BackoffLimit == nil {
		job.Spec.BackoffLimit = new(int32(defaultBackoffLimit))
	}
	if job.Spec.PodReplacementPolicy == nil {
		job.Spec.PodReplacementPolicy = new(batchv1.TerminatingOrFailed)
	}
	if job.Spec.Template.Spec.TerminationGracePeriodSeconds == nil {
		job.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(defaultGraceSeconds))
	}
	return JobTemplate{job: &job}, nil
}

func isMover(c corev1.Container) bool { return c.Name == containerName }

// withImage returns the template with the image that the move's container has
// if the template names none.
func (t JobTemplate) withImage(image string) (JobTemplate, error) {
	if t.job == nil {
		var err error
		if t, err = ParseJobTemplate(defaultTemplate); err != nil {
			return t, err
		}
	}
	job := t.job.DeepCopy()
	containers := job.Spec.Template.Spec.Containers
	mover := &containers[slices.IndexFunc(containers, isMover)]
	if mover.Image == "" {
		mover.Image = image
	}
	if mover.Image == "" {
		return t, errors.New("job image: neither --job-image nor the job template names one; give the image of this program")
	}
	return JobTemplate{job: job}, nil
}

// instance returns a copy to fill in, and the container of the move in it.
func (t JobTemplate) instance() (*batchv1.Job, *corev1.Container) {
	job := t.job.DeepCopy()
	containers := job.Spec.Template.Spec.Containers
	return job, &containers[slices.IndexFunc(containers, isMover)]
}
