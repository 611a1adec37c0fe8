package moves

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/simulator"
)

const (
	gib = int64(1) << 30
	// leaseDuration is what every migrator here is told.
	leaseDuration = 3 * time.Second
	// patience is what anything may take on a machine that is busy otherwise.
	patience = 3 * time.Minute
)

// Rights by which a test takes some away.
var (
	toLeases  = rig.Rule("coordination.k8s.io", "leases", "get", "create", "update", "delete")
	toJobs    = rig.Rule("batch", "jobs", "get", "patch")
	toVolumes = rig.Rule("", "persistentvolumes", "get", "patch")
	// Who may not read the limits gets no place.
	toGovernance = rig.Rule("", "configmaps", "get")
)

// scene is a namespace with its own Leases and an own simulated Mayastor.
type scene struct {
	t   *testing.T
	rig *rig.Rig
	ns  string
	sim simulator.Cluster
	dir string
	// kubeconfig is that of the Jobs' account, person that of somebody who
	// works by hand.
	kubeconfig, person string
	// program is what is started.
	program string
	*watchman
}

// seed makes the uuids of each scene its own: PersistentVolumes are shared.
var seed atomic.Uint64

// newScene makes a scene with nodes storage nodes on a control plane.
func newScene(t *testing.T, r *rig.Rig, cfg simulator.Config, nodes int) *scene {
	t.Helper()
	cfg.Seed = seed.Add(1)
	s := &scene{t: t, rig: r, sim: simulator.NewCluster(cfg, nodes), dir: t.TempDir(), program: couchestor}
	var err error
	if s.ns, err = r.Namespace(t.Context(), "moves"); err != nil {
		t.Fatal(err)
	}
	account := rig.Account(s.ns, "couchestor-migrate")
	job, err := r.ServiceAccount(t.Context(), account.Namespace, account.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.grant(account, inNamespace, inCluster)
	s.kubeconfig = rig.Kubeconfig(t, job)

	name := "alice-" + s.ns
	alice, err := r.User(name, "storage")
	if err != nil {
		t.Fatal(err)
	}
	s.grant(rig.Person(name), inNamespace, inCluster)
	s.person = rig.Kubeconfig(t, alice)
	s.watchman = watch(t, s)
	return s
}

func (s *scene) grant(to rbacv1.Subject, namespaced, cluster []rbacv1.PolicyRule) {
	s.t.Helper()
	if err := s.rig.Grant(s.t.Context(), to, s.ns, namespaced...); err != nil {
		s.t.Fatal(err)
	}
	if err := s.rig.Grant(s.t.Context(), to, "", cluster...); err != nil {
		s.t.Fatal(err)
	}
}

// volume adds a published volume with a replica on each pool, and its
// PersistentVolume.
func (s *scene) volume(size int64, pools ...string) string {
	s.t.Helper()
	uuid := s.sim.Published(size, pools...)
	s.expect(uuid, len(pools))
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pvc-" + uuid},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:         corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(size, resource.BinarySI)},
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: "mayastor",
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "io.openebs.csi-mayastor", VolumeHandle: uuid},
			},
		},
	}
	if _, err := s.rig.Client.CoreV1().PersistentVolumes().Create(s.t.Context(), pv, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return uuid
}

// claim binds the volume to a claim of the scene's namespace.
func (s *scene) claim(volume string) *corev1.PersistentVolumeClaim {
	s.t.Helper()
	claims := s.rig.Client.CoreV1().PersistentVolumeClaims(s.ns)
	c, err := claims.Create(s.t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data-" + volume[:8]},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeName: "pvc-" + volume, StorageClassName: new("mayastor"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"claimRef": map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": c.Namespace, "name": c.Name, "uid": c.UID,
	}}})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.rig.Client.CoreV1().PersistentVolumes().Patch(s.t.Context(), "pvc-"+volume, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// annotate sets an annotation of the volume's PersistentVolume.
func (s *scene) annotate(volume, key, value string) {
	s.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.rig.Client.CoreV1().PersistentVolumes().Patch(s.t.Context(), "pvc-"+volume, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// job makes the Job of the volume's nth attempt and returns its name.
func (s *scene) job(volume string, n int64) string {
	s.t.Helper()
	name := fmt.Sprintf("couchestor-%s-%d", volume, n)
	_, err := s.rig.Client.BatchV1().Jobs(s.ns).Create(s.t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "migrate", Image: "couchestor"}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return name
}

// result is what the Job's annotation says; false if there is none.
func (s *scene) result(job string) (r mayastor.Result, ok bool) {
	s.t.Helper()
	object, err := s.rig.Client.BatchV1().Jobs(s.ns).Get(s.t.Context(), job, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return r, s.decode(object.Annotations, mayastor.ResultAnnotation, &r)
}

// memory is what the PersistentVolume's annotations say.
func (s *scene) memory(volume string) (a mayastor.Attempt, moved string) {
	s.t.Helper()
	pv, err := s.rig.Client.CoreV1().PersistentVolumes().Get(s.t.Context(), "pvc-"+volume, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.decode(pv.Annotations, mayastor.AttemptAnnotation, &a)
	return a, pv.Annotations[mayastor.LastMigrationAnnotation]
}

func (s *scene) decode(annotations map[string]string, key string, to any) bool {
	s.t.Helper()
	text, ok := annotations[key]
	if !ok {
		return false
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		s.t.Errorf("annotation %s: %v", key, err)
	}
	return true
}

// lease returns a Lease's annotations and whether it is there.
func (s *scene) lease(name string) (annotations map[string]string, there bool) {
	s.t.Helper()
	l, err := s.rig.Client.CoordinationV1().Leases(s.ns).Get(s.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return l.Annotations, true
}

// until waits for something to become true.
func (s *scene) until(what string, done func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := rig.Until(ctx, 10*time.Millisecond, func(context.Context) (bool, error) { return done(), nil }); err != nil {
		s.t.Fatalf("wait until %s: %v", what, err)
	}
}

// atRest asserts what holds after every move, however it ended: every replica
// is on a pool with the prefix and in sync, nothing forbidden happened, no
// cordon is left.
func (s *scene) atRest(volume, prefix string, replicas int) {
	s.t.Helper()
	if v := s.sim.Violations(); len(v) > 0 {
		s.t.Errorf("violations:\n%s", strings.Join(v, "\n"))
	}
	var pools []string
	for _, r := range s.sim.Truth(volume) {
		pools = append(pools, r.Pool)
	}
	slices.Sort(pools)
	if len(pools) != replicas || slices.ContainsFunc(pools, func(p string) bool { return !strings.HasPrefix(p, prefix) }) {
		s.t.Errorf("replicas on %s, want %d on %s", strings.Join(pools, ","), replicas, prefix)
	}
	if got := s.sim.Replicas(volume); got != replicas {
		s.t.Errorf("num_replicas %d, want %d", got, replicas)
	}
	if got := s.sim.LowestSynced(volume); got < replicas {
		s.t.Errorf("copies in sync fell to %d, want never below %d", got, replicas)
	}
	s.noCordons()
}

func (s *scene) noCordons() {
	s.t.Helper()
	if c := s.sim.Cordons(); len(c.Pools)+len(c.Nodes) > 0 {
		s.t.Errorf("cordons are left: %+v", c)
	}
}

// ledgerEmpty asserts that the Leases say that nobody works on anything.
func (s *scene) ledgerEmpty() {
	s.t.Helper()
	list, err := s.rig.Client.CoordinationV1().Leases(s.ns).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range list.Items {
		if l.Name != leases.ClusterName {
			s.t.Errorf("Lease %s is left", l.Name)
			continue
		}
		if l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" {
			s.t.Errorf("the placement lock is held by %s", *l.Spec.HolderIdentity)
		}
		for key, text := range l.Annotations {
			if text != "[]" && text != "{}" {
				s.t.Errorf("Lease %s: annotation %s is %s", l.Name, key, text)
			}
		}
	}
}

// moved asserts the whole good end of a Job.
func (s *scene) moved(volume, job string, replicas int) {
	s.t.Helper()
	s.atRest(volume, "nvme", replicas)
	if r, ok := s.result(job); !ok || r.State != mayastor.Moved || r.Volume != volume {
		s.t.Errorf("the Job's result is %+v, want moved", r)
	}
	a, when := s.memory(volume)
	if a.State != mayastor.Moved {
		s.t.Errorf("the volume's memory is %+v, want moved", a)
	}
	if at, err := time.Parse(time.RFC3339, when); err != nil || time.Since(at).Abs() > 48*time.Hour {
		s.t.Errorf("last migration %q: %v", when, err)
	}
}

// migrator is a process of the product and its way to Mayastor.
type migrator struct {
	*rig.Process
	*door
	s      *scene
	stdout string
}

var serial atomic.Int64

// start starts `couchestor migrate` with its own door and the rights of a
// kubeconfig file.
func (s *scene) start(name, kubeconfig string, args ...string) *migrator {
	s.t.Helper()
	return s.startAt(s.door(name), kubeconfig, args...)
}

func (s *scene) startAt(d *door, kubeconfig string, args ...string) *migrator {
	s.t.Helper()
	base := filepath.Join(s.dir, fmt.Sprintf("%s-%d", d.name, serial.Add(1)))
	m := &migrator{door: d, s: s, stdout: base + ".out"}
	args = append([]string{
		"migrate", "--mayastor-url=" + d.url, "--job-namespace=" + s.ns, "--lease-duration=" + leaseDuration.String(),
		"--poll-interval=50ms", "--mayastor-cache-period=100ms", "--target-pools=nvme-1,nvme-2,nvme-3,nvme-4,nvme-5,nvme-6",
		"--verbose",
	}, args...)
	d.process.Lock()
	defer d.process.Unlock()
	var err error
	m.Process, err = rig.Command{
		Name: d.name, Path: s.program, Args: args, Log: base + ".err", Stdout: m.stdout,
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "KUBECONFIG=" + kubeconfig, "POD_NAME=" + d.name},
	}.Start()
	if err != nil {
		s.t.Fatal(err)
	}
	d.running = m.Process
	s.t.Cleanup(func() {
		m.Kill()
		if s.t.Failed() {
			s.t.Logf("----- %s\n%s", d.name, m.said())
		}
	})
	return m
}

// pod starts a pod of the Job of the volume's first attempt.
func (s *scene) pod(name, volume, job string, args ...string) *migrator {
	s.t.Helper()
	return s.start(name, s.kubeconfig, append([]string{"--volume=" + volume, "--attempt=1", "--job-name=" + job}, args...)...)
}

// byHand starts a migrator as a person would.
func (s *scene) byHand(name, volume string, args ...string) *migrator {
	s.t.Helper()
	return s.start(name, s.person, append([]string{"--volume=" + volume}, args...)...)
}

// said is all it wrote.
func (m *migrator) said() string {
	out, err := os.ReadFile(m.stdout)
	if err != nil {
		return err.Error()
	}
	return m.Output() + string(out)
}

// waits is true once it waits for somebody else's Lease.
func (m *migrator) waits() bool {
	return strings.Contains(m.said(), `"message":"wait for a Lease"`)
}

// exit waits for the process and returns its exit status.
func (m *migrator) exit() int {
	m.s.t.Helper()
	ctx, cancel := context.WithTimeout(m.s.t.Context(), patience)
	defer cancel()
	status, err := m.Wait(ctx)
	if err != nil {
		m.s.t.Fatalf("%v; it said\n%s", err, m.said())
	}
	return status
}

// wantExit asserts the exit status and words on the way.
func (m *migrator) wantExit(status int, words ...string) {
	m.s.t.Helper()
	if got := m.exit(); got != status {
		m.s.t.Errorf("%s ended with %d, want %d", m.door.name, got, status)
	}
	for _, w := range words {
		if !strings.Contains(m.said(), w) {
			m.s.t.Errorf("%s did not say %q", m.door.name, w)
		}
	}
}

// again runs pods of the Job until one says that the result is recorded, as
// the Job controller would.
func (s *scene) again(volume, job string, args ...string) {
	s.t.Helper()
	for try := range 20 {
		if s.pod(fmt.Sprintf("pod-%d", try+2), volume, job, args...).exit() == 0 {
			return
		}
	}
	s.t.Fatalf("the Job of volume %s failed for good", volume)
}

// together runs functions at once and waits for all.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}
