package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/cluster/kubelet"
	"github.com/billyronks/couchestor/test/cluster/watchloop"
	"github.com/billyronks/couchestor/test/simulator"
	"github.com/billyronks/couchestor/tiering"
)

// system is the namespace of the service and its Jobs, apps that of claims.
const (
	system = "couchestor-system"
	apps   = "apps"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
	// speed of a rebuild in bytes a second. quick takes a second, slow a good while.
	speed = 64 * mib
	quick = 64 * mib
	slow  = 12 * speed
)

// stage is CoucheStor as it is installed, and the world it works in.
type stage struct {
	mode  mode
	fleet *kubelet.Fleet
	sim   simulator.Cluster
	loop  *watchloop.Loop
	// hooks is where the watch loop finds the service.
	hooks    string
	policies dynamic.ResourceInterface
}

// storageNodes is how many nodes Mayastor has, each with an NVMe and a SATA pool.
const storageNodes = 4

// serial makes volumes different from those of another installation.
var serial uint64

// install brings everything up, and has it end with the test.
func install(t *testing.T, m mode) *stage {
	t.Helper()
	serial++
	s := &stage{mode: m}
	s.sim = simulator.NewCluster(simulator.Config{
		Seed: serial, RebuildRate: speed, Latency: 20 * time.Millisecond,
		SelfHealBusy: 2 * time.Second, SelfHealIdle: 5 * time.Second,
	}, storageNodes)
	url, stop, err := s.sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	var targets []string
	for i := 1; i <= storageNodes; i++ {
		targets = append(targets, fmt.Sprintf("node-%d=%s/metrics/node-%d", i, url, i))
	}
	prometheus := startPrometheus(t, suite.Rig, targets)

	image := kubelet.Image{Program: programs.couchestor}
	s.fleet = kubelet.New(t, suite.Rig, kubelet.Config{
		Nodes:        []string{"worker-1", "worker-2", "worker-3"},
		Images:       map[string]kubelet.Image{"billyronks/couchestor": image},
		RestartDelay: time.Second,
	})
	s.fleet.Serve("mayastor-api-rest.mayastor.svc.cluster.local:8081", kubelet.Address(strings.TrimPrefix(url, "http://")))
	s.fleet.Serve("prometheus.monitoring.svc.cluster.local:9090", kubelet.Address(prometheus))
	s.hooks = s.fleet.Front(t, s.fleet.Service(system, "couchestor", 8080))

	client, err := dynamic.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	s.policies = client.Resource(schema.GroupVersionResource{Group: tiering.Group, Version: tiering.Version, Resource: "storagepolicies"})
	s.apply(t, "v0.1.0")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apps}}
	if _, err := suite.Client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	s.ready(t)
	if s.loop, err = watchloop.Start(t.Context(), suite.Rig, programs.loop); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.loop.Stop(10 * time.Second) })
	return s
}

// apply applies what is shipped.
func (s *stage) apply(t *testing.T, tag string) {
	t.Helper()
	if err := suite.Apply(t.Context(), local(t, s.mode.render(t, tag), s.hooks)); err != nil {
		t.Fatal(err)
	}
}

// ready waits until the service is rolled out.
func (s *stage) ready(t *testing.T) {
	t.Helper()
	eventually(t, "the service is rolled out", func(ctx context.Context) (bool, error) {
		d, err := suite.Client.AppsV1().Deployments(system).Get(ctx, "couchestor", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == 1 && d.Status.ReadyReplicas == 1 && d.Status.Replicas == 1, nil
	})
}

// volume adds a published volume with a replica on each pool and so many bytes to
// copy, its PersistentVolume, and the claim it is bound to, which has the label
// scenario. Its load keeps it where it is.
func (s *stage) volume(t *testing.T, scenario string, written int64, pools ...string) string {
	t.Helper()
	uuid := s.sim.AddVolume(simulator.Volume{
		Size: gib, Allocated: written, Pools: pools, Target: "node-" + pools[0][strings.LastIndex(pools[0], "-")+1:],
		Load: simulator.Load{ReadIOPS: 700, WriteIOPS: 300},
	})
	s.sim.Mark(uuid)
	capacity := corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(gib, resource.BinarySI)}
	class := "mayastor"
	claim, err := suite.Client.CoreV1().PersistentVolumeClaims(apps).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: scenario + "-" + uuid[:8], Labels: map[string]string{"scenario": scenario}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, VolumeName: "pvc-" + uuid,
			Resources: corev1.VolumeResourceRequirements{Requests: capacity},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = suite.Client.CoreV1().PersistentVolumes().Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + uuid},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: capacity, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: class,
			ClaimRef: &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: apps, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "io.openebs.csi-mayastor", VolumeHandle: uuid},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return uuid
}

// Loads by which a volume belongs on a tier at once: an average follows quickly.
func (s *stage) busy(uuid string) { s.sim.SetLoad(uuid, 70000, 30000, 4096) }
func (s *stage) idle(uuid string) { s.sim.SetLoad(uuid, 1, 0, 4096) }

// policy applies a policy for the volumes of a scenario.
func (s *stage) policy(t *testing.T, scenario string, change ...func(spec map[string]any)) {
	t.Helper()
	tier := func(name string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{"tier": name}}
	}
	spec := map[string]any{
		"volumeSelector":  map[string]any{"matchLabels": map[string]any{"scenario": scenario}},
		"hotPoolSelector": tier("nvme"), "coldPoolSelector": tier("sata"),
		"samplingWindow": "8s", "cooldownPeriod": "2s", "migrationTimeout": "2m", "maxConcurrentMigrations": int64(8),
	}
	for _, c := range change {
		c(spec)
	}
	_, err := s.policies.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": tiering.APIVersion, "kind": tiering.Kind, "metadata": map[string]any{"name": scenario}, "spec": spec,
	}}, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	// It has been watched for a whole window before anything happens.
	eventually(t, "policy "+scenario+" sees its volumes", func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, scenario)
		return err == nil && p.Status.WatchedVolumes > 0 && p.Status.UnknownVolumes == 0, err
	})
}

// get reads a policy.
func (s *stage) get(ctx context.Context, name string) (*tiering.StoragePolicy, error) {
	object, err := s.policies.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	p := new(tiering.StoragePolicy)
	return p, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, p)
}

// patch patches a policy.
func (s *stage) patch(t *testing.T, name, patch string) {
	t.Helper()
	if _, err := s.policies.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// recorded waits until the history of a policy shows how a move of the volume ended.
func (s *stage) recorded(t *testing.T, policy, uuid, outcome string) tiering.HistoryEntry {
	t.Helper()
	var found tiering.HistoryEntry
	eventually(t, fmt.Sprintf("policy %s records that %s %s", policy, uuid, outcome), func(ctx context.Context) (bool, error) {
		p, err := s.get(ctx, policy)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(p.Status.MigrationHistory, func(e tiering.HistoryEntry) bool {
			return e.VolumeName == "pvc-"+uuid && e.Outcome == outcome
		})
		if i < 0 {
			return false, fmt.Errorf("its status: phase %s, plan %+v, history %+v, conditions %+v", p.Status.Phase, p.Status.Plan, p.Status.MigrationHistory, p.Status.Conditions)
		}
		found = p.Status.MigrationHistory[i]
		return true, nil
	})
	return found
}

// moving waits until a rebuild of the volume runs and returns its Job and the pod.
func (s *stage) moving(t *testing.T, uuid string) (job *batchv1.Job, pod *corev1.Pod) {
	t.Helper()
	eventually(t, uuid+" is being moved", func(ctx context.Context) (bool, error) {
		if s.sim.Counts(uuid).Ups == 0 {
			return false, nil
		}
		jobs, err := s.jobs(ctx, uuid)
		if err != nil || len(jobs) == 0 {
			return false, err
		}
		job = &jobs[len(jobs)-1]
		pods, err := suite.Client.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name})
		if err != nil || len(pods.Items) == 0 {
			return false, err
		}
		pod = &pods.Items[0]
		return pod.Status.Phase == corev1.PodRunning, nil
	})
	return job, pod
}

// jobs are those of a volume, the newest last.
func (s *stage) jobs(ctx context.Context, uuid string) ([]batchv1.Job, error) {
	list, err := suite.Client.BatchV1().Jobs(system).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	jobs := slices.DeleteFunc(list.Items, func(j batchv1.Job) bool { return !strings.HasPrefix(j.Name, "couchestor-"+uuid+"-") })
	slices.SortFunc(jobs, func(a, b batchv1.Job) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return jobs, nil
}

// pods are those of a Job, the oldest first.
func (s *stage) pods(t *testing.T, job string) []corev1.Pod {
	t.Helper()
	list, err := suite.Client.CoreV1().Pods(system).List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return list.Items
}

// memory is what the volume's PersistentVolume remembers.
func (s *stage) memory(ctx context.Context, uuid string) (a mayastor.Attempt, moved string, err error) {
	pv, err := suite.Client.CoreV1().PersistentVolumes().Get(ctx, "pvc-"+uuid, metav1.GetOptions{})
	if err != nil {
		return a, "", err
	}
	if text, ok := pv.Annotations[mayastor.AttemptAnnotation]; ok {
		err = json.Unmarshal([]byte(text), &a)
	}
	return a, pv.Annotations[mayastor.LastMigrationAnnotation], err
}

// remembers waits until the volume's own memory says how its last attempt ended.
func (s *stage) remembers(t *testing.T, uuid, state string) {
	t.Helper()
	eventually(t, uuid+" remembers "+state, func(ctx context.Context) (bool, error) {
		a, _, err := s.memory(ctx, uuid)
		return string(a.State) == state, err
	})
}

// on checks where the volume's data is, by what Mayastor hides: each copy in sync
// and on a pool of the tier, as many as there were, and nothing left over.
func (s *stage) on(t *testing.T, uuid, tier string, replicas int) {
	t.Helper()
	truth := s.sim.Truth(uuid)
	if len(truth) != replicas || s.sim.Synced(uuid) != replicas || s.sim.Replicas(uuid) != replicas {
		t.Errorf("volume %s: got %d replicas of which %d in sync, asked for are %d; want %d of each", uuid, len(truth), s.sim.Synced(uuid), s.sim.Replicas(uuid), replicas)
	}
	for _, r := range truth {
		if !strings.HasPrefix(r.Pool, tier) {
			t.Errorf("volume %s: a replica is on %s, want all on %s", uuid, r.Pool, tier)
		}
	}
	if low := s.sim.LowestSynced(uuid); low < replicas {
		t.Errorf("volume %s had only %d copies in sync at a time, want never fewer than %d", uuid, low, replicas)
	}
	s.clean(t)
}

// clean checks that no rule was broken. Cordons are up for seconds while another
// volume is placed, so the end of a scenario waits for them.
func (s *stage) clean(t *testing.T) {
	t.Helper()
	if v := s.sim.Violations(); len(v) > 0 {
		t.Errorf("Mayastor saw: %q", v)
	}
	eventually(t, "no cordon is left", func(context.Context) (bool, error) {
		c := s.sim.Cordons()
		return len(c.Pools) == 0 && len(c.Nodes) == 0, nil
	})
}

// gone deletes a policy, in the background if not said otherwise, and waits until it
// is gone.
func (s *stage) gone(t *testing.T, name string, how ...metav1.DeletionPropagation) {
	t.Helper()
	propagation := metav1.DeletePropagationBackground
	if len(how) > 0 {
		propagation = how[0]
	}
	if err := s.policies.Delete(t.Context(), name, metav1.DeleteOptions{PropagationPolicy: &propagation}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "policy "+name+" is gone", func(ctx context.Context) (bool, error) {
		_, err := s.policies.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}
