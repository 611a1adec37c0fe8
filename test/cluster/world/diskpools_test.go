package world

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// definition is the CRD of DiskPools with versions; the first is stored, and old
// ones that were stored are no longer served.
func definition(served string, others ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: diskpools.openebs.io}\nspec:\n  group: openebs.io\n  scope: Namespaced\n  names: {plural: diskpools, singular: diskpool, kind: DiskPool}\n  versions:\n")
	for _, v := range append([]string{served}, others...) {
		fmt.Fprintf(&b, "  - {name: %s, served: %t, storage: %t, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n", v, v == served, v == served)
	}
	return []byte(b.String())
}

func (s *scene) diskPool(version, name, tier string) {
	s.t.Helper()
	s.check(s.Apply(s.t.Context(), fmt.Appendf(nil, "apiVersion: openebs.io/%s\nkind: DiskPool\nmetadata: {name: %s, namespace: %s, labels: {tier: %s}}\nspec: {node: n1}\n", version, name, s.space, tier)))
}

// pools are the labels of the DiskPools of the scene.
func (s *scene) pools() map[string]string {
	view, _ := s.reader.View()
	tiers := map[string]string{}
	if view != nil {
		for _, p := range view.DiskPools {
			tiers[p.Name] = p.Labels["tier"]
		}
	}
	return tiers
}

func (s *scene) untilPools(what string, want map[string]string) {
	s.t.Helper()
	s.until(what, func() bool { return maps.Equal(s.pools(), want) })
}

func TestDiskPoolsInWhicheverVersionIsServed(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	if err := applyCRD(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, r, quick)
	suite.Scenario(t, "DiskPools are not served, are, change their version, and go: their labels follow, and nothing else is touched")
	s.until("the first view", func() bool { _, source := s.reader.View(); return source.OK })
	s.untilPools("there are none", map[string]string{})

	s.check(r.Apply(t.Context(), definition("v1beta2")))
	s.diskPool("v1beta2", "pool-1", "hot")
	s.untilPools("the kind is found", map[string]string{"pool-1": "hot"})
	s.diskPool("v1beta2", "pool-1", "cold")
	s.untilPools("a label changes", map[string]string{"pool-1": "cold"})

	s.check(r.Apply(t.Context(), definition("v1beta3", "v1beta2")))
	s.diskPool("v1beta3", "pool-2", "hot")
	s.untilPools("the next version is followed", map[string]string{"pool-1": "cold", "pool-2": "hot"})
	s.until("and trusted", func() bool { _, source := s.reader.View(); return source.OK })

	s.check(r.Client.Discovery().RESTClient().Delete().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/diskpools.openebs.io").Do(t.Context()).Error())
	s.untilPools("the kind is gone", map[string]string{})
	s.until("which is no fault", func() bool { _, source := s.reader.View(); return source.OK })
}
