package tiering

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/billyronks/couchestor/test/golden"
)

func selectorIn(key string, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}}}
}

// watch is a policy over time, looked at as hooks look: each look begins from
// the status that the last one left.
type watch struct {
	t    prover
	now  time.Time
	spec []specEdit
	data map[string]string
	// generation rises with each edit; uid is the object's.
	generation int64
	uid        string
	// scores are there since then; zero while they are not.
	scored time.Time
	status StoragePolicyStatus
	writes int
	// every is the time between two looks of run.
	every time.Duration
	// in is the input as long as nothing was edited.
	in     *Input
	edited bool
	read   map[string]string
}

func newWatch(t prover, spec ...specEdit) *watch {
	return &watch{t: t, now: noon(), spec: spec, data: map[string]string{}, generation: 1, uid: "first", scored: noon().Add(-time.Hour), every: 10 * time.Minute}
}

// look looks once, after the time is over, and returns whether a move starts.
func (w *watch) look(after time.Duration) (acts bool) {
	w.t.Helper()
	w.now = w.now.Add(after)
	if w.in == nil || w.edited || !maps.Equal(w.data, w.read) {
		in := input(w.t, []Volume{volume("v")}, with(w.spec...), governed(w.t, w.data))
		in.Volumes[0].StorageClass, in.Volumes[0].Labels = in.Policy.Rules.StorageClass, labels.Set{"app": "db"}
		in.Limits.Settle = 0
		w.in, w.edited, w.read = &in, false, maps.Clone(w.data)
	}
	in := *w.in
	in.Now, in.Policy.Generation, in.Policy.UID = w.now, w.generation, w.uid
	world := *in.World
	world.Metrics = Source{OK: !w.scored.IsZero(), Since: w.scored}
	in.World = &world
	prev := w.status
	in.Previous = &prev
	p := Decide(in)
	next := p.Status(prev)
	if !same(&next, &prev) || !next.LastReconcileTime.Equal(prev.LastReconcileTime) {
		w.writes++
		next = reread(w.t, next)
	}
	w.status = next
	return p.Decisions[0].Act == Move
}

// run looks again and again for so long, as the hooks do.
func (w *watch) run(long time.Duration) (acts bool) {
	w.t.Helper()
	for long > 0 {
		d := min(long, w.every)
		long -= d
		acts = w.look(d)
	}
	return acts
}

// edit changes the spec.
func (w *watch) edit(spec ...specEdit) {
	w.spec = spec
	w.generation++
	w.edited = true
}

func (w *watch) want(step string, acts, want bool) {
	w.t.Helper()
	if acts != want {
		w.t.Errorf("%s: acts is %v, want %v (%s; %+v)", step, acts, want, w.status.ModeReason, w.status.Governance)
	}
}

// proven is a policy whose dry run is over.
func proven(t prover, spec ...specEdit) *watch {
	t.Helper()
	w := newWatch(t, spec...)
	w.look(0)
	if !w.run(168 * time.Hour) {
		t.Fatalf("168h of dry run are not enough: %s", w.status.ModeReason)
	}
	return w
}

func high(n int64) specEdit {
	return func(s *StoragePolicySpec) { s.HighWatermarkIOPS = &n }
}

func TestANewPolicyActsAfter168HoursAndNotASecondBefore(t *testing.T) {
	w := newWatch(t)
	w.want("the first look", w.look(0), false)
	w.want("a second before", w.run(168*time.Hour-time.Second), false)
	if w.status.Mode != "DryRun" || w.status.Phase != PhaseDryRun {
		t.Errorf("got mode %s and phase %s", w.status.Mode, w.status.Phase)
	}
	want := "A new policy only shows its moves until 2026-11-30T12:00:00Z, if there are scores all the time: a dry run of 168h."
	if strings.Replace(w.status.ModeReason, "7d", "168h", 1) != want {
		t.Errorf("it says %q", w.status.ModeReason)
	}
	w.want("then", w.look(time.Second), true)
	if w.status.Mode != "Active" || w.status.Governance.PendingDigest != "" || w.status.Governance.AcceptedDigest == "" {
		t.Errorf("got mode %s, %+v", w.status.Mode, w.status.Governance)
	}
	w.want("and after a restart", w.look(3*time.Hour), true)
}

func TestADryRunShowsWhatItWouldDo(t *testing.T) {
	w := newWatch(t)
	w.look(0)
	if len(w.status.Plan) != 1 || w.status.Plan[0].Action != "WouldMove" {
		t.Errorf("got plan %+v", w.status.Plan)
	}
}

func TestAnotherThresholdActsAfter24HoursAndNotASecondBefore(t *testing.T) {
	w := proven(t)
	w.edit(high(4000))
	w.want("the change", w.look(time.Minute), false)
	if !strings.HasPrefix(w.status.ModeReason, "A changed policy only shows its moves until 2026-12-01T12:01:00Z") {
		t.Errorf("it says %q", w.status.ModeReason)
	}
	w.want("a second before", w.run(24*time.Hour-time.Second), false)
	w.want("then", w.look(time.Second), true)
}

func TestTheClockIsWrittenAtMostEvery15Minutes(t *testing.T) {
	w := newWatch(t)
	w.look(0)
	w.look(time.Minute)
	w.writes, w.every = 0, 5*time.Minute
	w.run(24 * time.Hour)
	if w.writes > 24*4 {
		t.Errorf("the status was written %d times in a day, want at most 96", w.writes)
	}
	acting := proven(t)
	acting.look(time.Minute)
	acting.writes, acting.every = 0, 5*time.Minute
	acting.run(24 * time.Hour)
	if acting.writes > 24*4 {
		t.Errorf("the status of a policy that acts was written %d times in a day, want at most 96", acting.writes)
	}
}

func TestNextLookIsTheEndOfTheDryRun(t *testing.T) {
	w := newWatch(t)
	w.data = map[string]string{keyNewPolicyDryRun: "100s"}
	w.look(0)
	in := input(t, []Volume{volume("v")}, with(), governed(t, w.data))
	in.World.Metrics = Source{OK: true, Since: ago(time.Hour)}
	in.Now, in.Policy.Generation, in.Policy.UID, in.Previous = noon().Add(40*time.Second), 1, "first", &w.status
	if got := Decide(in).NextLook(in.Now); got != time.Minute {
		t.Errorf("next look in %s, want 1m", got)
	}
}

func TestWhatIsDodgedAndWhatIsFree(t *testing.T) {
	t.Parallel()
	selects := func(app string) specEdit {
		return func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", app) }
	}
	inClass := func(s *StoragePolicySpec) { s.StorageClassName = new("mayastor-2") }
	inSpace := func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"shop"} }
	tests := []struct {
		name string
		do   func(w *watch) (acts bool)
		want bool
	}{
		{"a disabled policy parks no time", func(w *watch) bool {
			w.edit(disabled)
			w.look(time.Minute)
			w.run(200 * time.Hour)
			w.edit()
			w.look(time.Minute)
			return w.run(167 * time.Hour)
		}, false},
		{"and has its time once it is enabled", func(w *watch) bool {
			w.edit(disabled)
			w.look(time.Minute)
			w.run(200 * time.Hour)
			w.edit()
			w.look(time.Minute)
			return w.run(168 * time.Hour)
		}, true},
		{"time before it was disabled counts, but for a step", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.edit(disabled)
			w.look(time.Minute)
			w.run(50 * time.Hour)
			w.edit()
			w.look(time.Minute)
			return w.run(68*time.Hour + step + 5*time.Minute)
		}, true},
		{"and no more than that", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.edit(disabled)
			w.look(time.Minute)
			w.run(50 * time.Hour)
			w.edit()
			w.look(time.Minute)
			return w.run(68*time.Hour - time.Second)
		}, false},
		{"enabled for a moment at each look only, it counts nothing", func(w *watch) bool {
			for range 3000 {
				w.edit() // disabled and enabled again since the last look
				w.generation++
				w.look(5 * time.Minute)
			}
			return w.look(time.Second)
		}, false},
		{"spec.dryRun counts", func(w *watch) bool {
			w.edit(dryRun)
			w.look(time.Minute)
			w.run(168 * time.Hour)
			w.edit()
			return w.look(time.Minute)
		}, true},
		{"a policy created anew is new", func(w *watch) bool {
			w.run(167 * time.Hour)
			w.uid, w.generation = "second", 1
			w.look(time.Minute)
			return w.run(167 * time.Hour)
		}, false},
		{"also with the status that it had", func(w *watch) bool {
			w.run(170 * time.Hour)
			w.uid = "second"
			return w.look(time.Minute)
		}, false},
		{"without its status it counts anew", func(w *watch) bool {
			w.run(170 * time.Hour)
			w.status = StoragePolicyStatus{}
			w.look(time.Minute)
			return w.run(167 * time.Hour)
		}, false},
		{"a new policy that changes each day stays new", func(w *watch) bool {
			for day := range int64(20) {
				w.edit(high(4000 + day))
				w.look(time.Minute)
				w.run(23 * time.Hour)
			}
			return w.look(time.Second)
		}, false},
		{"an accepted one that changes each day never acts", func(w *watch) (acts bool) {
			w.run(168 * time.Hour)
			for day := range int64(20) {
				w.edit(high(4000 + day))
				acts = w.look(time.Minute) || w.run(23*time.Hour) || acts
			}
			return acts
		}, false},
		{"a revert is free", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(high(4000))
			w.look(time.Minute)
			w.edit()
			return w.look(time.Minute)
		}, true},
		{"a change, its revert and the change again counts anew", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(high(4000))
			w.look(time.Minute)
			w.run(23 * time.Hour)
			w.edit()
			w.look(time.Minute)
			w.edit(high(4000))
			w.look(time.Minute)
			return w.run(23 * time.Hour)
		}, false},
		{"what was accepted before the last is not free", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(high(4000))
			w.look(time.Minute)
			w.run(24 * time.Hour)
			w.edit()
			w.look(time.Minute)
			return w.run(23 * time.Hour)
		}, false},
		{"another spelling is no change", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(func(s *StoragePolicySpec) {
				s.CooldownPeriod, s.HighWatermarkIOPS = new(Duration("1440m")), new(int64(5000))
				s.NVMePoolSelector, s.HotPoolSelector = s.HotPoolSelector, nil
			})
			return w.look(time.Minute)
		}, true},
		{"a pause is no change", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(func(s *StoragePolicySpec) { s.PauseDemotions = new(true) })
			return w.look(time.Minute)
		}, true},
		{"to select by other labels counts as new", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(selects("db"))
			w.look(time.Minute)
			return w.status.Governance.Rule != RuleSelectionChange || w.run(167*time.Hour)
		}, false},
		{"to select another class counts as new", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(inClass)
			w.look(time.Minute)
			return w.status.Governance.Rule != RuleSelectionChange || w.run(167*time.Hour)
		}, false},
		{"to select other namespaces counts as new", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(inSpace)
			w.look(time.Minute)
			return w.status.Governance.Rule != RuleSelectionChange || w.run(167*time.Hour)
		}, false},
		{"and acts after the time of a new one", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.edit(inSpace)
			w.look(time.Minute)
			return w.run(168 * time.Hour)
		}, true},
		{"without scores no time counts", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.scored = time.Time{}
			w.run(100 * time.Hour)
			w.scored = w.now.Add(5 * time.Minute)
			w.look(5 * time.Minute)
			return w.run(68*time.Hour - time.Second)
		}, false},
		{"after an outage the clock goes on", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.scored = time.Time{}
			w.run(100 * time.Hour)
			w.scored = w.now.Add(5 * time.Minute)
			w.look(5 * time.Minute)
			return w.run(68*time.Hour + step + 5*time.Minute)
		}, true},
		{"scores that were away between two looks count from their return", func(w *watch) bool {
			for range 168 * 12 {
				w.scored = w.now.Add(4 * time.Minute)
				w.look(5 * time.Minute)
			}
			return w.run(100 * time.Hour)
		}, false},
		{"a service that was away for hours counted nothing", func(w *watch) bool {
			for range 168 {
				w.look(time.Hour)
			}
			return w.look(time.Second)
		}, false},
		{"a clock that goes back loses time and gains none", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.look(-50 * time.Hour)
			return w.run(68*time.Hour - time.Second)
		}, false},
		{"a clock that jumps ahead gains nothing", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.look(60 * time.Hour)
			return w.run(8 * time.Hour)
		}, false},
		{"a shorter dry run holds at once", func(w *watch) bool {
			w.run(48 * time.Hour)
			w.data = map[string]string{keyNewPolicyDryRun: "48h"}
			return w.look(time.Second)
		}, true},
		{"a longer one holds for what is pending", func(w *watch) bool {
			w.run(100 * time.Hour)
			w.data = map[string]string{keyNewPolicyDryRun: "200h"}
			return w.run(99 * time.Hour)
		}, false},
		{"and not for what is accepted", func(w *watch) bool {
			w.run(168 * time.Hour)
			w.data = map[string]string{keyNewPolicyDryRun: "3650d", keyThresholdChangeDryRun: "3650d"}
			return w.look(time.Second)
		}, true},
		{"outside an approved range no time counts", func(w *watch) bool {
			w.data = map[string]string{"highWatermarkIOPS.max": "4000"}
			w.run(200 * time.Hour)
			w.data = map[string]string{}
			return w.run(100 * time.Hour)
		}, false},
		{"a freeze does not stop the clock", func(w *watch) bool {
			w.data = map[string]string{keyFreezeUntil: noon().Add(150 * time.Hour).Format(time.RFC3339), keyFreezeReason: "year end"}
			return w.run(168 * time.Hour)
		}, true},
		{"no dry run at all", func(w *watch) bool {
			w.data = free()
			w.edit(high(4000))
			return w.look(time.Second)
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWatch(t)
			w.look(0)
			w.want(w.status.Mode, test.do(w), test.want)
		})
	}
}

func TestWithoutGovernanceThereIsNoDryRunAndTheMemoryStays(t *testing.T) {
	w := newWatch(t)
	w.look(0)
	w.run(time.Hour)
	in := input(t, []Volume{volume("v")})
	in.Previous = &w.status
	p := decide(t, in)
	if p.Decisions[0].Act != Move {
		t.Errorf("got %s, want Move", p.Decisions[0].Act)
	}
	if s := p.Status(w.status); !sameGovernance(s.Governance, w.status.Governance) {
		t.Errorf("the memory became %+v", s.Governance)
	}
	if s := ErrorStatus(w.status, noon(), 9, nil); s.Governance == nil || s.Governance.Observed != w.status.Governance.Observed || s.Governance.Counting {
		t.Errorf("with faults the memory became %+v, want it with a clock that stands still", s.Governance)
	}
}

func TestAMemoryThatCannotBeReadCountsForNothing(t *testing.T) {
	w := newWatch(t)
	w.look(0)
	w.run(100 * time.Hour)
	w.status.Governance.Observed = "a year"
	w.want("a word", w.run(167*time.Hour), false)
	w.status.Governance.CountedTo = nil
	w.want("no time", w.run(167*time.Hour), false)
	w.want("and then", w.run(time.Hour+w.every), true)
}

// The clock never credits more than the time for which the policy was enabled
// and scores were there, whatever happens: looks at any time, restarts, edits,
// outages that nobody looked at.
func TestTheClockNeverCreditsMoreThanRealTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWatch(rt)
		w.data = map[string]string{keyNewPolicyDryRun: "3650d"}
		w.look(0)
		enabled, real := true, time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			d := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "seconds")) * time.Second
			switch rapid.IntRange(0, 7).Draw(rt, "event") {
			case 0: // enabled or disabled, and looked at
				enabled = !enabled
				w.edit()
				if !enabled {
					w.edit(disabled)
				}
			case 1: // scores go
				w.scored = time.Time{}
			case 2: // scores come
				if w.scored.IsZero() {
					w.scored = w.now
				}
			case 3: // disabled and enabled again while nobody looked
				w.now = w.now.Add(d)
				w.generation += 2
				w.look(0)
				continue
			case 4: // scores go and come while nobody looked
				w.now = w.now.Add(d)
				if !w.scored.IsZero() {
					w.scored = w.now
				}
				w.look(0)
				continue
			}
			if enabled && !w.scored.IsZero() {
				real += d
			}
			w.look(d)
			if got := spanOf(w.status.Governance.Observed); got > real {
				rt.Fatalf("%s were credited, and %s went by", got, real)
			}
		}
	})
}

func TestDigestsAreTheSameFromReleaseToRelease(t *testing.T) {
	tests := []struct {
		name string
		spec []specEdit
	}{
		{"defaults", nil},
		{"much", []specEdit{withWarm, func(s *StoragePolicySpec) {
			s.VolumeSelector = selector("app", "db")
			s.ClaimNamespaces = []string{"shop", "bank"}
			s.CooldownPeriod = new(Duration("7d"))
		}}},
	}
	var b strings.Builder
	for _, test := range tests {
		p := policy(t, "gold", test.spec...)
		fmt.Fprintf(&b, "%s\n%s\n%s\n", test.name, p.Rules.Digest(), p.Rules.SelectionDigest())
	}
	golden.Check(t, "testdata/digests.golden", b.String())
}

func TestTheDigestIsOfWhatTheSpecMeans(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	base := policy(t, "gold")
	same := map[string]specEdit{
		"defaults written out": func(s *StoragePolicySpec) {
			s.HighWatermarkIOPS, s.StorageClassName, s.Priority = n(5000), new("mayastor"), n(0)
			s.SamplingWindow, s.CooldownPeriod, s.MigrationTimeout = new(Duration("60m")), new(Duration("1d")), new(Duration("1800s"))
		},
		"former names":                 func(s *StoragePolicySpec) { s.NVMePoolSelector, s.HotPoolSelector = s.HotPoolSelector, nil },
		"a set of one value":           func(s *StoragePolicySpec) { s.HotPoolSelector = selectorIn("tier", "hot") },
		"a value twice":                func(s *StoragePolicySpec) { s.HotPoolSelector = selectorIn("tier", "hot", "hot") },
		"an empty selector of volumes": func(s *StoragePolicySpec) { s.VolumeSelector = &metav1.LabelSelector{} },
	}
	for name, edit := range same {
		if p := policy(t, "gold", edit); p.Rules.Digest() != base.Rules.Digest() {
			t.Errorf("%s has another digest", name)
		}
	}
	a := policy(t, "gold", func(s *StoragePolicySpec) { s.VolumeSelector = selectorIn("app", "a", "b") })
	b := policy(t, "gold", func(s *StoragePolicySpec) { s.VolumeSelector = selectorIn("app", "b", "a") })
	if a.Rules.Digest() != b.Rules.Digest() || a.Rules.SelectionDigest() != b.Rules.SelectionDigest() {
		t.Error("the order of values changes the digest")
	}
	without := map[string]bool{
		"Enabled": true, "DryRun": true, "PausePromotions": true, "PauseDemotions": true,
		"ECPolicyRef": true, "ECMinVolumeSizeBytes": true,
	}
	for name, m := range mutations() {
		edits := []specEdit{m.change}
		before := base
		if m.base != nil {
			before = policy(t, "gold", m.base)
			edits = []specEdit{m.base, m.change}
		}
		after := policy(t, "gold", edits...)
		changed := before.Rules.Digest() != after.Rules.Digest()
		if name == "NVMePoolSelector" || name == "SATAPoolSelector" {
			continue // other names of two that are in the table
		}
		if changed == without[name] {
			t.Errorf("a change of %s changes the digest: %v", name, changed)
		}
		selection := before.Rules.SelectionDigest() != after.Rules.SelectionDigest()
		if want := name == "StorageClassName" || name == "VolumeSelector" || name == "ClaimNamespaces"; selection != want {
			t.Errorf("a change of %s changes what is selected: %v, want %v", name, selection, want)
		}
	}
	if got := (&Rules{}).Digest() + (&Rules{}).SelectionDigest(); got != "" {
		t.Errorf("rules that are none have the digests %q", got)
	}
}

// No value can pretend to be the field after it.
func TestDigestsAreNotFooledByWhatOthersWrite(t *testing.T) {
	a := policy(t, "gold", func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{`a","b`} })
	b := policy(t, "gold", func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"a", "b"} })
	if a.Rules.Digest() == b.Rules.Digest() {
		t.Error("one namespace and two have the same digest")
	}
	c := policy(t, "gold", func(s *StoragePolicySpec) { s.StorageClassName = new("x\"\nvolumeSelector=\"") })
	if d := policy(t, "gold", func(s *StoragePolicySpec) { s.StorageClassName = new("x") }); c.Rules.Digest() == d.Rules.Digest() {
		t.Error("a class of two lines has the digest of one")
	}
}
