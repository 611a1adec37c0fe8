package moves

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// suite is the control plane that all tests share, but for those that harm it.
var suite rig.Suite

// couchestor is the path of the product's program.
var couchestor string

func TestMain(m *testing.M) {
	os.Exit(suite.Main(m, prepare))
}

func prepare(ctx context.Context, r *rig.Rig) error {
	start := time.Now()
	var err error
	if couchestor, err = rig.Product(ctx, r.Dir); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "rig: couchestor built in %s\n", time.Since(start).Round(time.Second))
	return applyCRD(ctx, r)
}

// applyCRD makes StoragePolicies known.
func applyCRD(ctx context.Context, r *rig.Rig) error {
	root, err := rig.Root()
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(root, "manifests", "base", "crd", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("the manifests have no CRD: %w", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := r.Apply(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
