package rig

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// parent makes the test binary play a program that starts a process of ours.
const parent = "RIG_TEST_PARENT"

func TestMain(m *testing.M) {
	if log := os.Getenv(parent); log != "" {
		p, err := Command{Name: "sleep", Path: "/bin/sleep", Args: []string{"1000"}, Log: log}.Start()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, p.PID())
		<-p.Done()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestControlPlane(t *testing.T) {
	r := New(t)
	ctx := t.Context()

	t.Run("an identity may do what it was granted and nothing else", func(t *testing.T) {
		ns, err := r.Namespace(ctx, "who")
		if err != nil {
			t.Fatal(err)
		}
		account, err := r.ServiceAccount(ctx, ns, "mover")
		if err != nil {
			t.Fatal(err)
		}
		person, err := r.User("alice", "storage")
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []struct {
			cfg   *rest.Config
			grant func() error
		}{
			{account, func() error { return r.Grant(ctx, Account(ns, "mover"), ns, Rule("", "configmaps", "list")) }},
			{person, func() error { return r.Grant(ctx, Person("alice"), ns, Rule("", "configmaps", "list")) }},
		} {
			c := clientOf(t, who.cfg)
			if _, err := c.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("before the grant: %v, want forbidden", err)
			}
			if err := who.grant(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{}); err != nil {
				t.Errorf("after the grant: %v", err)
			}
			if _, err := c.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("beside the grant: %v, want forbidden", err)
			}
			if _, err := c.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("in another namespace: %v, want forbidden", err)
			}
		}
	})

	t.Run("a kubeconfig file is the identity", func(t *testing.T) {
		cfg, err := clientcmd.BuildConfigFromFlags("", Kubeconfig(t, r.Admin))
		if err != nil {
			t.Fatal(err)
		}
		version, err := clientOf(t, cfg).Discovery().ServerVersion()
		if err != nil {
			t.Fatal(err)
		}
		// kubectl compares the numbers, and warns or fails where there are none.
		if version.Major != "1" || version.Minor == "" || !strings.HasPrefix(version.GitVersion, "v1."+strings.TrimSuffix(version.Minor, "+")+".") {
			t.Errorf("the server calls itself %+v", version)
		}
	})

	t.Run("a manifest is applied, also what it defines first", func(t *testing.T) {
		if err := r.Apply(ctx, []byte(twoDocuments)); err != nil {
			t.Fatal(err)
		}
		if err := r.Apply(ctx, []byte(twoDocuments)); err != nil {
			t.Errorf("once more: %v", err)
		}
		if err := r.Apply(ctx, []byte(strings.ReplaceAll(twoDocuments, "size: 3", "size: many"))); err == nil {
			t.Error("what the schema forbids was accepted")
		}
	})

	t.Run("a server that was killed comes back with the same data, and refuses what is stale", func(t *testing.T) {
		api := r.Client.CoordinationV1().Leases("default")
		old, err := api.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		next := old.DeepCopy()
		next.Spec.HolderIdentity = new("me")
		if _, err := api.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.API.Kill()
		if _, err := api.Get(ctx, "kept", metav1.GetOptions{}); err == nil {
			t.Error("a dead server answered")
		}
		if err := r.StartAPI(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := api.Get(ctx, "kept", metav1.GetOptions{})
		if err != nil || got.UID != old.UID || *got.Spec.HolderIdentity != "me" {
			t.Errorf("after it came back: %+v, %v", got, err)
		}
		if _, err := api.Update(ctx, old, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("a stale update: %v, want a conflict", err)
		}
	})

	t.Run("nothing is left of it", func(t *testing.T) {
		pids := []int{r.Etcd.PID(), r.API.PID()}
		r.Close()
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("process %d is left", pid)
			}
		}
		if _, err := os.Stat(r.Dir); !os.IsNotExist(err) {
			t.Errorf("directory %s is left: %v", r.Dir, err)
		}
	})
}

func clientOf(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// alive reports whether a process exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAProcessDiesWithItsParentHoweverThatDies(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), parent+"="+filepath.Join(t.TempDir(), "log"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !alive(pid) {
		t.Fatalf("process %q: %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = Until(ctx, 10*time.Millisecond, func(context.Context) (bool, error) { return !running(pid), nil })
	if err != nil {
		t.Errorf("process %d outlived its parent", pid)
	}
}

// running reports whether a process exists and is no zombie that waits for
// whoever inherited it.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestTheProgramsAreTakenFromWhereTheyAre(t *testing.T) {
	dir := t.TempDir()
	for _, p := range programs {
		if err := os.WriteFile(filepath.Join(dir, p.name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBEBUILDER_ASSETS", dir)
	b, err := Find(t.Context(), t.Output())
	if err != nil || b.Etcd != filepath.Join(dir, "etcd") || b.APIServer != filepath.Join(dir, "kube-apiserver") ||
		b.ControllerManager != filepath.Join(dir, "kube-controller-manager") {
		t.Errorf("from KUBEBUILDER_ASSETS: %+v, %v", b, err)
	}
	t.Setenv("KUBEBUILDER_ASSETS", "")
	t.Setenv("PATH", dir)
	b, err = Find(t.Context(), t.Output())
	if err != nil || b.Etcd != filepath.Join(dir, "etcd") || b.Source != "PATH" {
		t.Errorf("from PATH: %+v, %v", b, err)
	}
}

func TestTheVersionIsTheOneThatIsRequired(t *testing.T) {
	t.Parallel()
	version, flags, err := stamp("require (\n\tk8s.io/kubernetes v1.36.3\n)")
	if err != nil || version != "v1.36.3" || !strings.Contains(flags, "version.gitVersion=v1.36.3") || !strings.Contains(flags, "version.gitMinor=36") {
		t.Errorf("got %s, %s, %v", version, flags, err)
	}
	if _, _, err := stamp("module x"); err == nil {
		t.Error("a module without Kubernetes has a version")
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{1: "three\n", 2: "two\nthree\n", 3: "one\ntwo\nthree\n", 9: "one\ntwo\nthree\n"} {
		if got := Tail(path, lines); got != want {
			t.Errorf("%d lines: %q, want %q", lines, got, want)
		}
	}
}

const twoDocuments = `
# A kind, and one of it.
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: boxes.example.com
spec:
  group: example.com
  scope: Cluster
  names: {kind: Box, plural: boxes, singular: box, listKind: BoxList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
---
apiVersion: example.com/v1
kind: Box
metadata: {name: mine}
spec: {size: 3}
`
