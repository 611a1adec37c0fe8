package moves

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// suite is the control plane that all tests share, but for those that harm it.
var suite rig.Suite

// couchestor is the path of the product's program, and inNamespace and inCluster
// are the rights of its Jobs as they are shipped.
var (
	couchestor             string
	inNamespace, inCluster []rbacv1.PolicyRule
)

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
	if err := readRights(); err != nil {
		return err
	}
	return applyCRD(ctx, r)
}

// readRights reads the roles of the Jobs.
func readRights() error {
	root, err := rig.Root()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "manifests", "base", "rbac.yaml"))
	if err != nil {
		return err
	}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var role rbacv1.Role
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			return err
		}
		if role.Name != "couchestor-migrate" {
			continue
		}
		switch role.Kind {
		case "Role":
			inNamespace = role.Rules
		case "ClusterRole":
			inCluster = role.Rules
		}
	}
	if len(inNamespace) == 0 || len(inCluster) == 0 {
		return errors.New("the manifests have not both roles couchestor-migrate")
	}
	return nil
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
