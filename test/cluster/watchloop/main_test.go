package watchloop

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// suite is the control plane of all tests; programs are what there is to show the
// facts, shown the names of those that did; runs and collects
// count how often the tests ran.
var (
	suite    rig.Suite
	programs []Program
	shown    []string
	runs     int
	collects int
)

func TestMain(m *testing.M) {
	status := suite.Main(m, prepare)
	fmt.Fprintf(os.Stdout, "the facts were shown by: %s\n", cmp.Or(strings.Join(shown, ", "), "nobody"))
	if len(programs) == 1 {
		fmt.Fprintln(os.Stdout, "and NOT by Metacontroller itself: METACONTROLLER does not name its program")
	}
	os.Exit(status)
}

func prepare(ctx context.Context, r *rig.Rig) error {
	contract, err := ContractDriver(ctx, r.Dir)
	if err != nil {
		return err
	}
	programs = append(programs, contract)
	upstream, found, err := Metacontroller()
	if err != nil {
		return err
	}
	if found {
		programs = append(programs, upstream)
	}
	root, err := rig.Root()
	if err != nil {
		return err
	}
	crd, err := os.ReadFile(filepath.Join(root, "manifests", "base", "crd", "storage.billyronks.io_storagepolicies.yaml"))
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, crd); err != nil {
		return err
	}
	if err := Served(ctx, r, policies); err != nil {
		return err
	}
	return Install(ctx, r)
}
