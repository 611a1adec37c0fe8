package rig

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Binaries are the programs of a control plane.
type Binaries struct {
	Etcd, APIServer, ControllerManager string
	// Source says where they came from.
	Source string
}

// program is one of them, and the package it is built from.
type program struct{ name, pkg string }

var programs = []program{
	{"etcd", "go.etcd.io/etcd/server/v3"},
	{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
	{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
}

// Find returns the programs, and builds them where there are none. It tells say
// what takes long.
func Find(ctx context.Context, say io.Writer) (Binaries, error) {
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		if b, ok := in(dir); ok {
			b.Source = "KUBEBUILDER_ASSETS, " + dir
			return b, nil
		}
		fmt.Fprintf(say, "rig: KUBEBUILDER_ASSETS is %s, which has not all of etcd, kube-apiserver and kube-controller-manager\n", dir)
	}
	etcd, err := exec.LookPath("etcd")
	api, err2 := exec.LookPath("kube-apiserver")
	controllers, err3 := exec.LookPath("kube-controller-manager")
	if cmp.Or(err, err2, err3) == nil {
		return Binaries{Etcd: etcd, APIServer: api, ControllerManager: controllers, Source: "PATH"}, nil
	}
	return build(ctx, say)
}

// in returns the programs of a directory that has them all.
func in(dir string) (Binaries, bool) {
	missing := slices.ContainsFunc(programs, func(p program) bool {
		_, err := os.Stat(filepath.Join(dir, p.name))
		return err != nil
	})
	return Binaries{
		Etcd:              filepath.Join(dir, "etcd"),
		APIServer:         filepath.Join(dir, "kube-apiserver"),
		ControllerManager: filepath.Join(dir, "kube-controller-manager"),
	}, !missing
}

// build builds the programs that the module controlplane pins, unless that was
// done already: what they are built from is part of the directory's name.
func build(ctx context.Context, say io.Writer) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	module := filepath.Join(root, "test", "cluster", "controlplane")
	mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return Binaries{}, err
	}
	sum, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return Binaries{}, err
	}
	version, flags, err := stamp(string(mod))
	if err != nil {
		return Binaries{}, err
	}
	key := sha256.Sum256(slices.Concat(mod, sum, []byte(flags+runtime.Version()+runtime.GOOS+runtime.GOARCH)))
	dir := filepath.Join(root, "bin", "controlplane", version+"-"+hex.EncodeToString(key[:4]))
	source := fmt.Sprintf("built from source, Kubernetes %s", version)
	if b, ok := in(dir); ok {
		b.Source = source
		return b, nil
	}
	unlock, err := Lock(dir)
	if err != nil {
		return Binaries{}, err
	}
	defer unlock()
	for _, p := range programs {
		to := filepath.Join(dir, p.name)
		if _, err := os.Stat(to); err == nil {
			continue // by whom we waited for
		}
		fmt.Fprintf(say, "rig: build %s from %s; from scratch all takes about a quarter of an hour on two cores, and is kept\n", p.name, p.pkg)
		start := time.Now()
		cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", flags, "-o", to+".new", p.pkg)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return Binaries{}, fmt.Errorf("build %s: %w\n%s", p.name, err, out)
		}
		if err := os.Rename(to+".new", to); err != nil {
			return Binaries{}, err
		}
		fmt.Fprintf(say, "rig: %s built in %s\n", p.name, time.Since(start).Round(time.Second))
	}
	b, _ := in(dir)
	b.Source = source
	return b, nil
}

var kubernetesVersion = regexp.MustCompile(`\sk8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)`)

// stamp returns the version that go.mod requires, and the linker flags that
// make the programs say so: kubectl asks for it.
func stamp(mod string) (version, flags string, err error) {
	m := kubernetesVersion.FindStringSubmatch(mod)
	if m == nil {
		return "", "", errors.New("controlplane/go.mod requires no k8s.io/kubernetes")
	}
	const pkg = "k8s.io/component-base/version."
	return m[1], strings.Join([]string{
		"-s", "-w",
		"-X", pkg + "gitVersion=" + m[1], "-X", pkg + "gitMajor=" + m[2], "-X", pkg + "gitMinor=" + m[3],
	}, " "), nil
}

// Lock makes dir and keeps others from building there until unlock is called.
func Lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing ends the flock
}

// Root is the directory of the checkout: the nearest one above that holds the
// product's go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/billyronks/couchestor\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("this is no checkout of github.com/billyronks/couchestor")
		}
		dir = up
	}
}

// Product builds the product's program into dir, as `make build` does, and
// returns its path. More arguments are handed to go build.
func Product(ctx context.Context, dir string, args ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "couchestor")
	args = slices.Concat([]string{"build", "-buildvcs=false", "-trimpath"}, args, []string{"-o", path, "./server/couchestor"})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build couchestor: %w\n%s", err, out)
	}
	return path, nil
}
