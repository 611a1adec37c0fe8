package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/cluster/watchloop"
)

// suite is the control plane.
var suite rig.Suite

// programs are built once.
var programs struct {
	couchestor, prometheus string
	loop                   watchloop.Program
}

func TestMain(m *testing.M) {
	os.Exit(suite.Main(m, prepare))
}

func prepare(ctx context.Context, r *rig.Rig) error {
	begun := time.Now()
	var err error
	if programs.couchestor, err = rig.Product(ctx, r.Dir); err != nil {
		return err
	}
	if programs.prometheus, err = buildPrometheus(ctx, r.Dir); err != nil {
		return err
	}
	if programs.loop, err = watchloop.Choose(ctx, r.Dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "e2e: programs built in %s; the watch loop is the %s\n", time.Since(begun).Round(time.Second), programs.loop.Name)
	diskPools, err := os.ReadFile(filepath.Join("testdata", "diskpools.yaml"))
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, diskPools); err != nil {
		return err
	}
	// A node counts as lost as soon as a busy machine allows.
	if err := r.StartControllers(ctx, rig.Controllers{NodeGrace: 8 * time.Second}); err != nil {
		return err
	}
	return watchloop.Install(ctx, r)
}

// buildPrometheus builds the real Prometheus, which lives in a module of its own.
func buildPrometheus(ctx context.Context, dir string) (string, error) {
	root, err := rig.Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "prometheusd")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "./prometheus/prometheusd")
	cmd.Dir = filepath.Join(root, "test", "live")
	cmd.Env = append(os.Environ(), "GOWORK=off") // as that module's own tests build it
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build prometheusd: %w\n%s", err, out)
	}
	return path, nil
}

// patience is what anything may take on a machine that is busy otherwise.
const patience = 3 * time.Minute

// eventually fails the test unless the sentence comes true.
func eventually(t *testing.T, sentence string, is func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("it did not come true"))
	defer cancel()
	var last error
	err := rig.Until(ctx, 100*time.Millisecond, func(ctx context.Context) (bool, error) {
		ok, err := is(ctx)
		if err != nil {
			last = err // an API server that restarts is no verdict
		}
		return ok && err == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", sentence, errors.Join(err, last))
	}
}

// startPrometheus starts Prometheus on the targets and returns its address.
func startPrometheus(t *testing.T, r *rig.Rig, targets []string) (address string) {
	t.Helper()
	dir := t.TempDir()
	said := filepath.Join(dir, "stdout")
	p, err := rig.Command{
		Name: "prometheusd", Path: programs.prometheus, Log: r.LogFile("prometheus"), Stdout: said, Env: os.Environ(),
		Args: append([]string{"--dir", filepath.Join(dir, "tsdb"), "--interval", "1s"}, targets...),
	}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(10 * time.Second) })
	eventually(t, "Prometheus serves", func(context.Context) (bool, error) {
		text, err := os.ReadFile(said)
		line, _, whole := strings.Cut(string(text), "\n")
		address = strings.TrimPrefix(line, "http://")
		return whole, err
	})
	return address
}
