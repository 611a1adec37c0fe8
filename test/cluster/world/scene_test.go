package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server/cluster"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/tiering"
)

var suite rig.Suite

func TestMain(m *testing.M) {
	os.Exit(suite.Main(m, applyCRD))
}

// applyCRD makes StoragePolicies known.
func applyCRD(ctx context.Context, r *rig.Rig) error {
	root, err := rig.Root()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "manifests", "base", "crd", "storage.billyronks.io_storagepolicies.yaml"))
	if err != nil {
		return err
	}
	return r.Apply(ctx, text)
}

// rights are all that a reader needs.
func rights() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rig.Rule("", "persistentvolumes", "list", "watch"),
		rig.Rule("", "persistentvolumeclaims", "list", "watch"),
		rig.Rule("batch", "jobs", "list", "watch"),
		rig.Rule(tiering.Group, "storagepolicies", "list", "watch"),
		rig.Rule("openebs.io", "diskpools", "list", "watch"),
	}
}

// paths are where a fresh list of each kind is.
var paths = map[hooks.Kind]string{
	hooks.Volumes:  "/api/v1/persistentvolumes",
	hooks.Claims:   "/api/v1/persistentvolumeclaims",
	hooks.Policies: "/apis/" + tiering.APIVersion + "/storagepolicies",
	hooks.Jobs:     "/apis/batch/v1/jobs",
}

// scene is one reader of one API server, and somebody who changes things there.
type scene struct {
	*rig.Rig
	t      *testing.T
	space  string
	dice   *rand.Rand
	wire   *wire
	reader *cluster.Reader
}

// quick are limits in which a test can wait.
var quick = cluster.Limits{Fresh: 6 * time.Second, Silence: 2 * time.Second, Settle: 200 * time.Millisecond, Discover: time.Second}

// newScene starts a reader with the least rights, which ends with the test.
func newScene(t *testing.T, r *rig.Rig, limits cluster.Limits) *scene {
	t.Helper()
	s := &scene{Rig: r, t: t, dice: rand.New(rand.NewPCG(1, 2)), wire: newWire()}
	var err error
	if s.space, err = r.Namespace(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	cfg, err := r.ServiceAccount(t.Context(), s.space, "reader")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Grant(t.Context(), rig.Account(s.space, "reader"), "", rights()...); err != nil {
		t.Fatal(err)
	}
	s.reader = s.follow(cfg, limits)
	return s
}

// follow runs a reader until the test ends.
func (s *scene) follow(cfg *rest.Config, limits cluster.Limits) *cluster.Reader {
	s.t.Helper()
	cfg = rest.CopyConfig(cfg)
	cfg.Dial = s.wire.dial
	reader, err := cluster.New(cluster.Config{
		REST: cfg, Claims: true, Limits: limits, Log: slog.New(slog.NewTextHandler(s.t.Output(), nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reader.Run(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			s.t.Error("the reader does not end")
		}
	})
	return reader
}

// until waits until something is so.
func (s *scene) until(what string, done func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), 2*time.Minute, errors.New("not in time"))
	defer cancel()
	err := rig.Until(ctx, 20*time.Millisecond, func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		_, source := s.reader.View()
		s.t.Fatalf("wait until %s: %v; the source is %+v", what, err, source)
	}
}

// fresh is the view that lists of this moment give.
func (s *scene) fresh() *hooks.View {
	s.t.Helper()
	var m hooks.Mirror
	for kind, path := range paths {
		get := s.Client.Discovery().RESTClient().Get().AbsPath(path)
		if kind == hooks.Jobs {
			get = get.Param("labelSelector", hooks.VolumeLabel)
		}
		body, err := get.Stream(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		var all []hooks.Object
		_, _, err = hooks.ReadList(kind, body, func(o hooks.Object) { all = append(all, o) })
		if err = errors.Join(err, body.Close()); err != nil {
			s.t.Fatal(err)
		}
		m.Replace(kind, all)
	}
	return m.View()
}

// agrees waits until the view is OK and what a fresh list shows.
func (s *scene) agrees() *hooks.View {
	s.t.Helper()
	want := s.fresh()
	var view *hooks.View
	var diff string
	ctx, cancel := context.WithTimeoutCause(s.t.Context(), 2*time.Minute, errors.New("not in time"))
	defer cancel()
	err := rig.Until(ctx, 20*time.Millisecond, func(context.Context) (bool, error) {
		v, source := s.reader.View()
		if v == nil || !source.OK {
			diff = fmt.Sprintf("the source is %+v", source)
			return false, nil
		}
		have := *v
		have.DiskPools = nil
		diff = cmp.Diff(want, &have)
		view = v
		return diff == "", nil
	})
	if err != nil {
		s.t.Fatalf("%v: -fresh list +view\n%s", err, diff)
	}
	return view
}

func (s *scene) check(err error) {
	s.t.Helper()
	if err != nil && !apierrors.IsNotFound(err) {
		s.t.Fatal(err)
	}
}

func name(i int) string { return fmt.Sprintf("pvc-5e1f0000-0000-4000-8000-%012d", i) }

// volume creates volume i with its claim; each seventh is of another driver.
func (s *scene) volume(i int) {
	s.t.Helper()
	driver := "io.openebs.csi-mayastor"
	if i%7 == 0 {
		driver = "nfs.csi.k8s.io"
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim, err := s.Client.CoreV1().PersistentVolumeClaims(s.space).Create(s.t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("data-%d", i), Labels: map[string]string{"app": "db"}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, VolumeName: name(i), StorageClassName: new("mayastor"),
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	s.check(err)
	_, err = s.Client.CoreV1().PersistentVolumes().Create(s.t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name(i)},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: "mayastor", Capacity: size, AccessModes: modes,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: name(i)[4:]}},
			ClaimRef:               &corev1.ObjectReference{Namespace: s.space, Name: claim.Name, UID: claim.UID},
		},
	}, metav1.CreateOptions{})
	s.check(err)
}

// job creates attempt n at volume i.
func (s *scene) job(i, n int) {
	s.t.Helper()
	_, err := s.Client.BatchV1().Jobs(s.space).Create(s.t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("couchestor-%s-%d", name(i)[4:], n),
			Labels:      map[string]string{hooks.VolumeLabel: name(i)[4:], hooks.PolicyLabel: "db"},
			Annotations: map[string]string{hooks.ScoreAnnotation: "7.0", "example.com/other": "x"},
		},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "migrate", Image: "x"}},
		}}},
	}, metav1.CreateOptions{})
	s.check(err)
}

func (s *scene) policy(i int) {
	s.t.Helper()
	err := s.Apply(s.t.Context(), fmt.Appendf(nil, "apiVersion: %s\nkind: StoragePolicy\nmetadata: {name: p%d}\nspec: {priority: %d, hotPoolSelector: {matchLabels: {tier: hot}}}\n", tiering.APIVersion, i, s.dice.IntN(100)))
	s.check(err)
}

func (s *scene) patchVolume(i int, patch string) {
	s.t.Helper()
	_, err := s.Client.CoreV1().PersistentVolumes().Patch(s.t.Context(), name(i), types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	s.check(err)
}

// remember is what a migrator writes on its volume.
func (s *scene) remember(i, n int) {
	s.t.Helper()
	s.patchVolume(i, fmt.Sprintf(`{"metadata":{"annotations":{%q:"{\"n\":%d,\"move\":\"m\",\"policy\":\"db\",\"state\":\"started\",\"at\":\"2026-03-14T12:00:00Z\"}"}}}`, mayastor.AttemptAnnotation, n))
}

// change does one thing at random to volume i or what belongs to it.
func (s *scene) change(i int) {
	s.t.Helper()
	ctx := s.t.Context()
	jobs := s.Client.BatchV1().Jobs(s.space)
	job := fmt.Sprintf("couchestor-%s-1", name(i)[4:])
	switch s.dice.IntN(9) {
	case 0, 1:
		s.remember(i, s.dice.IntN(50)+1)
	case 2:
		s.patchVolume(i, fmt.Sprintf(`{"metadata":{"labels":{"shelf":"%d"}}}`, s.dice.IntN(9)))
	case 3:
		_, err := s.Client.CoreV1().PersistentVolumeClaims(s.space).Patch(ctx, fmt.Sprintf("data-%d", i), types.MergePatchType,
			fmt.Appendf(nil, `{"metadata":{"labels":{"app":"a%d"}}}`, s.dice.IntN(9)), metav1.PatchOptions{})
		s.check(err)
	case 4:
		// It stays until its finalizer is gone, and that may be never.
		s.check(s.Client.CoreV1().PersistentVolumes().Delete(ctx, name(i), metav1.DeleteOptions{}))
		if s.dice.IntN(2) == 0 {
			s.patchVolume(i, `{"metadata":{"finalizers":null}}`)
		}
	case 5:
		s.check(jobs.Delete(ctx, job, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	case 6:
		_, err := jobs.Patch(ctx, job, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"{}"}}}`, mayastor.ResultAnnotation), metav1.PatchOptions{})
		s.check(err)
	case 7:
		_, err := jobs.Patch(ctx, job, types.MergePatchType,
			[]byte(`{"status":{"startTime":"2026-03-14T12:00:00Z","conditions":[{"type":"FailureTarget","status":"True"},{"type":"Failed","status":"True","reason":"DeadlineExceeded","lastTransitionTime":"2026-03-14T12:00:00Z"}]}}`),
			metav1.PatchOptions{}, "status")
		if !apierrors.IsInvalid(err) { // it may have ended before, at another time
			s.check(err)
		}
	case 8:
		s.policy(i % 10)
	}
}
