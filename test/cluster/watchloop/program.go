package watchloop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// Program is something that can be the watch loop.
type Program struct {
	// Name is for people, Path the executable.
	Name, Path string
	// args are beyond those that both programs know.
	args []string
}

// Metacontroller is the real program, if METACONTROLLER names it. A name that
// leads to no file is an error: who sets it wants that one.
func Metacontroller() (p Program, found bool, err error) {
	path := os.Getenv("METACONTROLLER")
	if path == "" {
		return Program{}, false, nil
	}
	if path, err = filepath.Abs(path); err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return Program{}, false, fmt.Errorf("METACONTROLLER: %w", err)
	}
	// Level 4 tells of actions and of what set them off (MC 7.5).
	return Program{Name: "Metacontroller", Path: path, args: []string{"--zap-log-level=4", "--events-burst=100"}}, true, nil
}

// ContractDriver builds the contract driver into dir.
func ContractDriver(ctx context.Context, dir string) (Program, error) {
	root, err := rig.Root()
	if err != nil {
		return Program{}, err
	}
	p := Program{Name: "contract driver", Path: filepath.Join(dir, "contractdriver")}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", p.Path, "./test/driver/contractdriver")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Program{}, fmt.Errorf("build the contract driver: %w\n%s", err, out)
	}
	return p, nil
}

// Choose is Metacontroller where there is one, else the contract driver, built
// into dir.
func Choose(ctx context.Context, dir string) (Program, error) {
	p, found, err := Metacontroller()
	if found || err != nil {
		return p, err
	}
	return ContractDriver(ctx, dir)
}

// Loop is the watch loop of a control plane. Its methods are for one goroutine.
type Loop struct {
	Program
	// Process is the one that runs, or the last that did.
	*rig.Process

	rig        *rig.Rig
	kubeconfig string
}

// Start starts the program as service account metacontroller/metacontroller, which
// [Install] has made. It returns at once: what comes of it shows in the cluster.
func Start(ctx context.Context, r *rig.Rig, p Program) (*Loop, error) {
	cfg, err := r.ServiceAccount(ctx, namespace, account)
	if err != nil {
		return nil, err
	}
	l := &Loop{Program: p, rig: r, kubeconfig: filepath.Join(r.Dir, "metacontroller.kubeconfig")}
	if err := rig.WriteKubeconfig(l.kubeconfig, cfg); err != nil {
		return nil, err
	}
	return l, l.Start()
}

// Start starts the program again.
func (l *Loop) Start() error {
	if l.Process != nil {
		select {
		case <-l.Done():
		default:
			return errors.New("the watch loop runs already")
		}
	}
	var err error
	l.Process, err = rig.Command{
		Name: "watchloop", Path: l.Path, Log: l.rig.LogFile("watchloop"), Env: []string{"HOME=" + l.rig.Dir},
		Args: append([]string{
			"--kubeconfig=" + l.kubeconfig,
			"--discovery-interval=1s", "--client-go-qps=200", "--client-go-burst=400",
			"--metrics-address=0", "--health-probe-bind-address=0",
		}, l.args...),
	}.Start()
	return err
}
