package mayastor_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
)

func TestTargetsSayOfEachPoolWhatIsInTheWay(t *testing.T) {
	s := newScene(5, "sata-1")
	s.cordonPool("nvme-2")
	s.ask.MaxUsedPercent = 50
	s.pool("nvme-3").State.Used = 504 * gibibyte
	s.pool("nvme-4").State.Status = mayastor.StatusDegraded
	s.ask.Targets = append(s.ask.Targets, "nope", "nvme-5") // named twice
	want := []mayastor.Candidate{
		{Pool: "nope", Reject: "is not known to Mayastor", Reason: mayastor.ReasonPoolUnknown},
		{Pool: "nvme-1", Node: "node-1", Reject: "is on node node-1, which holds a replica of the volume already", Reason: mayastor.ReasonNoFreeNode},
		{Pool: "nvme-2", Node: "node-2", Reject: "is cordoned against new replicas", Reason: mayastor.ReasonPoolCordoned},
		{Pool: "nvme-3", Node: "node-3", Reject: "has 504 GiB of 1 TiB used, and 9 GiB more would exceed 50%", Reason: mayastor.ReasonPoolUsedPercent},
		{Pool: "nvme-4", Node: "node-4", Reject: "is Degraded, not Online", Reason: mayastor.ReasonPoolNotOnline},
		{Pool: "nvme-5", Node: "node-5"},
	}
	if diff := cmp.Diff(want, mayastor.Targets(s.v, s.pools, s.nodes, s.ask)); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

// A pool that is no target is not judged: Route would not use it either.
func TestTargetsAreThoseAskedFor(t *testing.T) {
	s := newScene(3, "sata-1", "sata-2")
	steps, _ := s.route()
	if len(steps) != 2 {
		t.Fatalf("got %d steps, want 2", len(steps))
	}
	var open []string
	for _, c := range mayastor.Targets(s.v, s.pools, s.nodes, s.ask) {
		if c.Reject == "" {
			open = append(open, c.Pool)
		}
	}
	if !slices.Equal(open, steps[0].Landing) {
		t.Errorf("got %v open, and the route begins on %v", open, steps[0].Landing)
	}
}
