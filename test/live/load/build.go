package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build makes the binary from the repository that this module lives in.
func build(ctx context.Context, dir string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/billyronks/couchestor")
	list.Stderr = os.Stderr
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w; run it inside of that, or name a binary with --binary", err)
	}
	binary := filepath.Join(dir, "couchestor")
	compile := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./server/couchestor")
	compile.Dir = strings.TrimSpace(string(root))
	compile.Stdout, compile.Stderr = os.Stderr, os.Stderr
	if err := compile.Run(); err != nil {
		return "", fmt.Errorf("build couchestor: %w", err)
	}
	return binary, nil
}
