package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Find returns the absolute path of the binary that is named. If none is, it says on
// talk that it builds one, and does so in dir.
func Find(ctx context.Context, binary, dir string, talk io.Writer) (string, error) {
	if binary != "" {
		return filepath.Abs(binary)
	}
	fmt.Fprintln(talk, "building couchestor ...")
	return Build(ctx, dir)
}

// Build makes the binary in dir, from the repository that this module lives in, and
// returns its absolute path.
func Build(ctx context.Context, dir string) (string, error) {
	binary, err := filepath.Abs(filepath.Join(dir, "couchestor"))
	if err != nil {
		return "", err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/billyronks/couchestor")
	list.Stderr = os.Stderr
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w; run it inside of that, or name a binary with --binary", err)
	}
	// No version: git may not be able to read the checkout.
	compile := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-o", binary, "./server/couchestor")
	compile.Dir = strings.TrimSpace(string(root))
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	compile.Stdout, compile.Stderr = os.Stderr, os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("build couchestor: %w", err)
	}
	return binary, nil
}
