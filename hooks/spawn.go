package hooks

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/tiering"
)

// slack is what a Job may take beyond its rebuilds: waiting for a place, locks
// and proofs.
const slack = 30 * time.Minute

// defaultTimeout is that of a recovery whose policy says nothing that can be
// read; it is the default of migrationTimeout.
const defaultTimeout = 30 * time.Minute

// order is a Job to start.
type order struct {
	volume *tiering.Volume
	policy *tiering.Policy
	n      int64
	// recover asks only to put in order what an earlier attempt left.
	recover  bool
	decision *tiering.Decision
	// wanted is since when the plan shows the wish.
	wanted time.Time
}

// child is what an answer holds of a Job: all of it to create it, and only its
// name to keep it, since under OnDelete nothing else is read (MC 3.4).
type child struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            *batchv1.JobSpec  `json:"spec,omitempty"`
}

func jobType() metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"}
}

// stub keeps a Job.
func stub(r *run) child {
	return child{TypeMeta: jobType(), Metadata: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Name}}
}

// spawn makes the Job of an order.
func (h *Hooks) spawn(o *order) child {
	job, mover := h.template.instance()
	name := nameJob(o.volume.UUID, o.n)
	rules := &o.policy.Rules
	timeout := rules.MigrationTimeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	replicas := max(1, len(o.volume.Replicas))

	labels := map[string]string{PolicyLabel: o.policy.Name, VolumeLabel: o.volume.UUID}
	annotations := map[string]string{GenerationAnnotation: strconv.FormatInt(o.policy.Generation, 10)}
	args := []string{
		"migrate",
		"--volume=" + o.volume.UUID,
		"--policy=" + o.policy.Name,
		"--policy-generation=" + annotations[GenerationAnnotation],
		"--attempt=" + strconv.FormatInt(o.n, 10),
		"--timeout=" + timeout.String(),
		"--job-name=" + name,
		"--job-namespace=" + h.config.Namespace,
	}
	if o.recover {
		labels[RecoveryLabel] = "true"
		a := &o.volume.Remembered().Attempt
		annotations[ReasonAnnotation] = fmt.Sprintf("attempt %d of policy %s left the volume unclean", a.N, a.Policy)
		args = append(args, "--recover")
	} else {
		d := o.decision
		from, score := d.FromWord(), figure(o.volume.Sample.IOPS())
		replicas = max(1, d.Route.Replicas)
		labels[FromTierLabel], labels[ToTierLabel] = from, d.To.String()
		annotations[ScoreAnnotation] = score
		annotations[ThresholdAnnotation] = figure(d.ThresholdIOPS)
		annotations[WindowAnnotation] = rules.SamplingWindow.String()
		annotations[ReasonAnnotation] = d.Why()
		annotations[TriggerAnnotation] = tiering.TriggerAutomatic
		if rules.Approval == tiering.ManualApproval {
			annotations[TriggerAnnotation] = tiering.TriggerApproved // or it would not start
		}
		annotations[WantedAnnotation] = o.wanted.UTC().Format(time.RFC3339)
		if len(d.Route.Landing) > 0 {
			annotations[LandingAnnotation] = strings.Join(d.Route.Landing, ",")
		}
		args = append(args,
			"--target-pools="+strings.Join(d.TargetPools, ","),
			"--from-tier="+from,
			"--to-tier="+d.To.String(),
			"--score="+score,
			"--max-pool-used-percent="+strconv.Itoa(rules.MaxPoolUsedPercent),
		)
		if !d.StartBy.IsZero() {
			// Its pod may have to wait: for a node, an image, a place.
			args = append(args, "--start-by="+d.StartBy.UTC().Format(time.RFC3339))
		}
		if rules.AllowReducedRedundancy {
			args = append(args, "--allow-reduced-redundancy")
		}
		if rules.VolumesWithSnapshots == tiering.MoveSnapshots {
			args = append(args, "--move-snapshots")
		}
	}

	mover.Args = append(append(args, h.config.JobArgs...), mover.Args...)
	grace := *job.Spec.Template.Spec.TerminationGracePeriodSeconds
	allowed := time.Duration(replicas) * timeout
	annotations[AllowedAnnotation] = allowed.String()
	job.Spec.ActiveDeadlineSeconds = new(seconds(allowed) + seconds(slack) + 2*grace)
	meta := job.ObjectMeta
	meta.Name, meta.Namespace = name, h.config.Namespace
	meta.Labels = with(meta.Labels, labels)
	meta.Annotations = with(meta.Annotations, annotations)
	job.Spec.Template.Labels = with(job.Spec.Template.Labels, labels)
	return child{TypeMeta: jobType(), Metadata: meta, Spec: &job.Spec}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// figure is a number of IOPS with one decimal.
func figure(iops float64) string { return strconv.FormatFloat(iops, 'f', 1, 64) }

// with returns a copy of labels with more added.
func with(labels, more map[string]string) map[string]string {
	joined := make(map[string]string, len(labels)+len(more))
	maps.Copy(joined, labels)
	maps.Copy(joined, more)
	return joined
}
