package install

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// The flags are those of the Dockerfile, as a test of the manifests holds. It is
// here and not there because a build for another machine takes minutes.
func TestTheBinaryForArm64IsStatic(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "the image's binary for arm64 is static")
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "couchestor")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, "./server/couchestor")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if program.Machine != elf.EM_AARCH64 {
		t.Errorf("got a binary for %s", program.Machine)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the binary wants a dynamic loader, and the image has none")
		}
	}
}
