package hooks

import (
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// keeping is an observer that keeps plans as the service does.
type keeping struct {
	plan   *tiering.Plan
	status *tiering.StoragePolicyStatus
}

func (*keeping) Request(string, int, int64, time.Duration) {}
func (*keeping) Gone(string)                               {}
func (k *keeping) Decided(_ string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	if k.plan = plan; plan != nil {
		k.plan = plan.Keep()
	}
	k.status = status
}

// shown is an observer that keeps the status and only knows the plan.
type shown struct {
	plan   weak.Pointer[tiering.Plan]
	status *tiering.StoragePolicyStatus
}

func (*shown) Request(string, int, int64, time.Duration) {}
func (*shown) Gone(string)                               {}
func (s *shown) Decided(_ string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	s.plan, s.status = weak.Make(plan), status
}

func TestWhoKeepsTheStatusKeepsNoPlan(t *testing.T) {
	s := &shown{}
	r := newRig(t, func(c *Config) { c.Observer = s })
	r.sync(t)
	runtime.GC()
	if s.plan.Value() != nil {
		t.Error("the plan is still held")
	}
	if s.status.WatchedVolumes != 1 {
		t.Errorf("got %d volumes in the status", s.status.WatchedVolumes)
	}
}

func (k *keeping) explain(t *testing.T, i int) tiering.VolumeExplanation {
	t.Helper()
	at, ok := k.plan.Lookup(uuid(i))
	if !ok {
		t.Fatalf("volume %d has no decision", i)
	}
	return k.plan.ExplainVolume(at, k.status)
}

func TestEachPoolOfTheTierIsExplainedAlsoForAVolumeThatIsHeld(t *testing.T) {
	k := &keeping{}
	r := newRig(t, func(c *Config) { c.Observer = k })
	inv := *r.mayastor.Inventory
	inv.Pools = append([]mayastor.Pool(nil), inv.Pools...)
	for i := range inv.Pools {
		if inv.Pools[i].ID == "hot-3" {
			spec := *inv.Pools[i].Spec
			spec.CordonDrain = &mayastor.CordonDrain{Cordoned: &mayastor.PoolCordon{Replicas: true}}
			inv.Pools[i].Spec = &spec
		}
	}
	r.mayastor.Inventory = &inv
	// Unpublished and yet known to be busy: it is held long before the route.
	v := inv.Volumes[0].Volume()
	v.Spec.Target, v.State.Target = nil, nil
	inv.Volumes = mayastor.Pack(v)
	r.sync(t)

	e := k.explain(t, 1)
	if e.Gate != "published" || e.To != "hot" {
		t.Fatalf("got gate %q to %s", e.Gate, e.To)
	}
	got := map[string]string{}
	for _, c := range e.Candidates {
		got[c.Pool] = c.Reason
	}
	for pool, reason := range map[string]string{"hot-1": "NoFreeNode", "hot-2": "NoFreeNode", "hot-3": "PoolCordoned", "hot-4": ""} {
		if have, ok := got[pool]; !ok || have != reason {
			t.Errorf("pool %s: got %q, %t, want %q", pool, have, ok, reason)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v, want the four pools of the tier", got)
	}
}

func TestAVolumeOutsideOfMayastorHasNoCandidates(t *testing.T) {
	k := &keeping{}
	r := newRig(t, func(c *Config) { c.Observer = k })
	r.volume(2)
	r.score(2, busy)
	r.sync(t)
	e := k.explain(t, 2)
	if e.Listed || e.Candidates != nil || !strings.Contains(e.Reason, "does not list") {
		t.Errorf("got %+v", e)
	}
}

func TestTheExplanationSaysWhatTheReadingsSupport(t *testing.T) {
	k := &keeping{}
	r := newRig(t, func(c *Config) { c.Observer = k })
	r.scores.ReadAt = noon.Add(-7 * time.Second)
	r.sync(t)
	e := k.plan.Explain(k.status)
	for _, s := range e.Sources {
		switch s.Name {
		case "Prometheus":
			if !s.OK || !s.ReadAt.Equal(noon.Add(-7*time.Second)) {
				t.Errorf("got %+v", s)
			}
		case "Mayastor":
			if !s.OK || !s.ReadAt.Equal(noon) || s.Supports != "test" {
				t.Errorf("got %+v", s)
			}
		}
	}
	inv := *r.mayastor.Inventory
	inv.Capability = mayastor.Capability{Source: "older; moves need 2.10"}
	r.mayastor.Inventory = &inv
	r.sync(t)
	if got := k.plan.Explain(k.status).Sources[1].Supports; got != "older; moves need 2.10" {
		t.Errorf("got %q, want what would do", got)
	}
}
