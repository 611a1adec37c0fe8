package hooks

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

func TestFactsOfAVolume(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mayastor.Volume)
		want   func(*tiering.Volume)
		says   string
	}{
		"at rest": {func(*mayastor.Volume) {}, func(*tiering.Volume) {}, ""},
		"not published": {
			func(v *mayastor.Volume) { v.Spec.Target, v.State.Target = nil, nil },
			func(v *tiering.Volume) { v.Unpublished = "X" }, "not published",
		},
		"a temporary target of an offline rebuild": {
			func(v *mayastor.Volume) { v.Spec.Target = &mayastor.TargetSpec{Node: "n1"} },
			func(v *tiering.Volume) { v.Unpublished = "X" }, "temporary",
		},
		"a clone that is not published": {
			func(v *mayastor.Volume) {
				v.Spec.Target, v.State.Target = nil, nil
				v.Spec.ContentSource = json.RawMessage(`{"snapshot":{}}`)
			},
			func(v *tiering.Volume) { v.Unpublished, v.Content = "X", "X" }, "restored from a snapshot",
		},
		"degraded": {
			func(v *mayastor.Volume) { v.State.Status = mayastor.StatusDegraded },
			func(v *tiering.Volume) { v.Unhealthy = "X" }, "Degraded",
		},
		"an operation in flight": {
			func(v *mayastor.Volume) { v.Spec.Operation = &mayastor.Operation{Operation: "Publish"} },
			func(v *tiering.Volume) { v.Unhealthy = "X" }, "Publish",
		},
		"snapshots, thick, but treated as thin": {
			func(v *mayastor.Volume) { v.Spec.NumSnapshots, v.Spec.Thin, v.Spec.AsThin = 3, false, true },
			func(v *tiering.Volume) { v.Snapshots = 3 }, "",
		},
		"usage known": {
			func(v *mayastor.Volume) {
				if err := json.Unmarshal([]byte(`{"usage":{"capacity":10737418240,"allocated":4096}}`), &v.State); err != nil {
					t.Fatal(err)
				}
			},
			func(v *tiering.Volume) { v.AllocatedBytes = 4096 }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSources()
			s.place(1, "cold-1", "hot-2")
			v := s.mayastor.Inventory.Volumes[0].Volume()
			c.change(&v)
			got := volumeFacts(v)
			want := tiering.Volume{
				UUID: uuid(1), Listed: true, SizeBytes: 10 << 30, AllocatedBytes: 10 << 30, Thin: true,
				Replicas: []tiering.Replica{{UUID: uuid(1) + "-r0", Pool: "cold-1", Node: "n1"}, {UUID: uuid(1) + "-r1", Pool: "hot-2", Node: "n2"}},
			}
			c.want(&want)
			for _, field := range []*string{&got.Unpublished, &got.Content, &got.Unhealthy} {
				if *field != "" {
					if !strings.Contains(*field, c.says) {
						t.Errorf("got %q, want it to say %q", *field, c.says)
					}
					*field = "X"
				}
			}
			// An unpublished volume is also not known to be in sync.
			if want.Unpublished != "" {
				want.Unhealthy = got.Unhealthy
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateComparable(tiering.Sample{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestFactsOfTheCluster(t *testing.T) {
	none := json.RawMessage(nil)
	for name, c := range map[string]struct {
		change             func(*mayastor.Inventory)
		unsettled, movable string
	}{
		"at rest":            {func(*mayastor.Inventory) {}, "", ""},
		"mixed versions":     {func(i *mayastor.Inventory) { i.Nodes[2].State.Version = "v2.9.0" }, "v2.10.0 on node n1, v2.9.0 on node n3", ""},
		"an old, lost node":  {func(i *mayastor.Inventory) { i.Nodes[2].State = nil; i.Nodes[2].Spec.Version = "v2.1.0" }, "", ""},
		"a drain":            {func(i *mayastor.Inventory) { drain(&i.Pools[1], none, `{"policy":{}}`) }, "pool cold-2 is being drained", ""},
		"a drain under way":  {func(i *mayastor.Inventory) { drain(&i.Pools[1], json.RawMessage(`{"phase":"Draining"}`), `{}`) }, "pool cold-2", ""},
		"a phase not known":  {func(i *mayastor.Inventory) { drain(&i.Pools[1], json.RawMessage(`{"phase":"Later"}`), `{}`) }, "pool cold-2", ""},
		"a drain not read":   {func(i *mayastor.Inventory) { drain(&i.Pools[1], json.RawMessage(`7`), `{}`) }, "pool cold-2", ""},
		"a drain that ended": {func(i *mayastor.Inventory) { drain(&i.Pools[1], json.RawMessage(`{"phase":"Drained"}`), `{}`) }, "", ""},
		"too old a server": {func(i *mayastor.Inventory) {
			i.Capability = mayastor.Capability{Source: "it is 2.7; moves need 2.10"}
		}, "", "moves need 2.10"},
		"removal vouched for": {func(i *mayastor.Inventory) { i.Capability = mayastor.Capability{Removal: true} }, "", ""},
		"nothing known":       {func(i *mayastor.Inventory) { i.Capability = mayastor.Capability{} }, "", "--mayastor-version"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSources()
			c.change(s.mayastor.Inventory)
			f := newFacts(s.mayastor.Inventory)
			if (c.unsettled == "") != (f.unsettled == "") || !strings.Contains(f.unsettled, c.unsettled) {
				t.Errorf("got unsettled %q, want %q", f.unsettled, c.unsettled)
			}
			if (c.movable == "") != (f.movable == "") || !strings.Contains(f.movable, c.movable) {
				t.Errorf("got movable %q, want %q", f.movable, c.movable)
			}
		})
	}
}

func drain(p *mayastor.Pool, meta json.RawMessage, spec string) {
	p.Spec.CordonDrain = &mayastor.CordonDrain{Drain: json.RawMessage(spec)}
	if meta != nil {
		p.Meta = &struct {
			Drain json.RawMessage `json:"drain"`
		}{meta}
	}
}

func TestPoolIsOnlineOnlyWithItsNumbers(t *testing.T) {
	for name, change := range map[string]func(*mayastor.Pool){
		"no state":  func(p *mayastor.Pool) { p.State = nil },
		"degraded":  func(p *mayastor.Pool) { p.State.Status = mayastor.StatusDegraded },
		"no status": func(p *mayastor.Pool) { p.State.Status = "" },
		"no size":   func(p *mayastor.Pool) { p.State.Capacity = 0 },
	} {
		s := newSources()
		change(&s.mayastor.Inventory.Pools[0])
		f := newFacts(s.mayastor.Inventory)
		if f.pools[0].Online || !f.pools[0].OnlineSince.IsZero() || !f.pools[1].Online || f.pools[1].OnlineSince.IsZero() {
			t.Errorf("%s: got %+v and %+v, want only the second Online", name, f.pools[0], f.pools[1])
		}
	}
}

func TestFactsAreWorkedOutOncePerReading(t *testing.T) {
	s := newSources()
	var c factsCache
	first := c.of(s.mayastor.Inventory)
	if c.of(s.mayastor.Inventory) != first {
		t.Error("the same reading was worked out twice")
	}
	next := *s.mayastor.Inventory
	if c.of(&next) == first {
		t.Error("another reading gave the facts of the last one")
	}
}

func TestDiskPoolLabelsAreAddedAndContradictionsPutThePoolInNoTier(t *testing.T) {
	r := newRig(t, func(c *Config) { c.DiskPools = "openebs.io/v1beta3" })
	r.policy.at("spec")["hotPoolSelector"] = object{"matchLabels": object{"media": "nvme"}}
	label := func(pool string, labels object) {
		r.diskPools["mayastor/"+pool] = object{"metadata": object{"name": pool, "namespace": "mayastor", "labels": labels}}
	}
	label("hot-3", object{"media": "nvme"})
	label("hot-4", object{"media": "nvme", "tier": "hot"})
	label("hot-2", object{"media": "nvme", "tier": "warm"})
	label("unknown", object{"media": "nvme"})
	a := r.sync(t)
	if got := a.Children[0].Annotations[LandingAnnotation]; got != "hot-3,hot-4" {
		t.Errorf("got landing pools %s, want those the DiskPools label, without the contradiction", got)
	}
	if got := a.condition("PoolsAmbiguous"); got != "True InNoTier" {
		t.Errorf("got condition %q, want hot-2 in no tier", got)
	}
	// The shared facts are not changed by what one request says.
	r.hooks.config.DiskPools = ""
	r.diskPools = map[string]object{}
	if a = r.sync(t); len(a.Children) != 0 || a.condition("PoolsAmbiguous") != "" {
		t.Errorf("got %v and %q without DiskPools, want no pool in tier hot and no contradiction", a.names(), a.condition("PoolsAmbiguous"))
	}
}

func TestClaimsLabelsWinAndAClaimOfTheSameNameHasNoSay(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*rig)
		moves   bool
	}{
		"the claim's label selects":            {func(*rig) {}, true},
		"the claim's label wins":               {func(r *rig) { r.volumes["pvc-"+uuid(1)].at("metadata", "labels")["app"] = "web" }, true},
		"the volume's own label counts":        {func(r *rig) { clear(r.claims); r.volumes["pvc-"+uuid(1)].at("metadata", "labels")["app"] = "db" }, true},
		"no claim, no label":                   {func(r *rig) { clear(r.claims) }, false},
		"a new claim of the name of an old":    {func(r *rig) { r.claims["shop/data-1"].at("metadata")["uid"] = "new" }, false},
		"a volume bound to nothing":            {func(r *rig) { delete(r.volumes["pvc-"+uuid(1)].at("spec"), "claimRef") }, false},
		"a claim of that name, in another one": {func(r *rig) { r.volumes["pvc-"+uuid(1)].at("spec", "claimRef")["namespace"] = "test" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.policy.at("spec")["volumeSelector"] = object{"matchLabels": object{"app": "db"}}
			c.arrange(r)
			if got := len(r.sync(t).Children) == 1; got != c.moves {
				t.Errorf("got moves %v, want %v", got, c.moves)
			}
		})
	}
}

func TestMemoryThatCannotBeReadHoldsTheVolume(t *testing.T) {
	for name, c := range map[string]struct{ attempt, last string }{
		"no JSON":            {"{", ""},
		"a list":             {"[]", ""},
		"number 0":           {text(attempt(0, mayastor.Moved, noon)), ""},
		"a number too large": {text(attempt(maxN, mayastor.Moved, noon)), ""},
		"another state":      {text(attempt(1, "paused", noon)), ""},
		"no time":            {`{"n":1,"state":"moved"}`, ""},
		"replicas below 0":   {`{"n":1,"state":"started","at":"2026-03-14T12:00:00Z","replicas":-1}`, ""},
		"failures below 0":   {`{"n":1,"state":"moved","at":"2026-03-14T12:00:00Z","failures":-1}`, ""},
		"a bad time":         {"", "yesterday"},
	} {
		r := newRig(t)
		annotations := r.volumes["pvc-"+uuid(1)].at("metadata", "annotations")
		if c.attempt != "" {
			annotations[mayastor.AttemptAnnotation] = c.attempt
		}
		if c.last != "" {
			annotations[mayastor.LastMigrationAnnotation] = c.last
		}
		a := r.sync(t)
		if got := a.held(1); len(a.Children) != 0 || !strings.HasPrefix(got, "Hold clean: Annotation storage.billyronks.io/") {
			t.Errorf("%s: got %v, %q, want that the gate clean holds the volume", name, a.names(), got)
		}
	}
}

func TestTheMarkOfARunningMoveIsReadWithAllItSays(t *testing.T) {
	m := readMemory(`{"n":7,"move":"m","state":"started","failures":0,"at":"2026-03-14T12:00:00Z","replicas":3,"later":{"more":1}}`, "")
	if m.Fault != "" || m.Attempt.N != 7 || m.Attempt.State != tiering.AttemptStarted || m.LastN != 7 {
		t.Errorf("got %+v, want attempt 7, started", m)
	}
}

func TestTwoVolumesOfOneHandleAreHeld(t *testing.T) {
	r := newRig(t)
	r.volume(2).at("spec", "csi")["volumeHandle"] = uuid(1)
	r.score(2, busy)
	a := r.sync(t)
	for i := 1; i <= 2; i++ {
		if got := a.held(i); !strings.Contains(got, "2 PersistentVolumes have the volumeHandle") {
			t.Errorf("volume %d: got %q", i, got)
		}
	}
	wantNames(t, "neither moves", a)
}
