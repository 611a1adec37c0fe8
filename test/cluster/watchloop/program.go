package watchloop

import (
	"context"
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
