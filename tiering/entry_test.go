package tiering

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// brief writes an entry in one line.
func brief(e PlanEntry) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s-%s %v %s", e.VolumeName, e.Action, e.FromTier, e.ToTier, e.ScoreIOPS, e.Gate))
}

func briefs(entries []PlanEntry) (lines []string) {
	for _, e := range entries {
		lines = append(lines, brief(e))
	}
	return lines
}

func TestPlanEntries(t *testing.T) {
	volumes := []Volume{
		volume("stays", on("hot-1")),
		volume("unknown", unknown),
		volume("busy", score(6000.06)), volume("busier", score(7000)), volume("third", score(5500)),
		volume("cooling", score(8000), func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }),
		volume("snaps", on("hot-1"), score(3), func(v *Volume) { v.Snapshots = 2 }),
		volume("moving", live(LiveJob{Name: "j1", Policy: "gold", From: Cold, To: Hot, ScoreIOPS: 5432.19, Started: ago(time.Minute)})),
		volume("undoing", live(LiveJob{Name: "j2", Policy: "gold", Recovery: true})),
		volume("left", attempt(Attempt{N: 1, Policy: "gold", State: AttemptStarted, At: ago(time.Hour)})),
		volume("lost", func(v *Volume) { v.Labels = map[string]string{"app": "db"} }),
		volume("lost-moving", live(LiveJob{Name: "j3", Policy: "aaa"}), func(v *Volume) { v.Labels = map[string]string{"app": "db"} }),
	}
	in := input(t, volumes, limits(func(l *Limits) { l.MaxConcurrentMigrations = 25 }),
		rivalled(policy(t, "aaa", func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "db") })))
	in.Policy.Rules.MaxConcurrentMigrations = 5
	s := decide(t, in).Status(StoragePolicyStatus{})
	want := []string{
		"moving Moving cold-hot 5432.2",
		"undoing Moving cold-none 0",
		"left Recover cold-none 0",
		"busier Move cold-hot 7000",
		"busy Move cold-hot 6000.1",
		"cooling Hold cold-hot 8000 cooldown",
		"third Hold cold-hot 5500 caps",
		"snaps Hold hot-cold 3 snapshots",
	}
	if diff := cmp.Diff(want, briefs(s.Plan)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	for _, e := range s.Plan {
		if e.Claim != "shop/"+e.VolumeName || !strings.HasSuffix(e.Reason, ".") || e.Reason[:1] != strings.ToUpper(e.Reason[:1]) {
			t.Errorf("%s: claim %q, reason %q", e.VolumeName, e.Claim, e.Reason)
		}
		if since := e.Since.Time; !since.Equal(noon()) && (e.VolumeName != "moving" || !since.Equal(ago(time.Minute))) {
			t.Errorf("%s: since %v", e.VolumeName, since)
		}
	}
}

func TestAPlanHasAtMostTwentyEntries(t *testing.T) {
	var volumes []Volume
	for i := range 50 {
		volumes = append(volumes, volume(fmt.Sprintf("v%02d", i), score(6000+float64(i))))
	}
	s := decide(t, input(t, volumes)).Status(StoragePolicyStatus{})
	if len(s.Plan) != 20 || s.Plan[0].VolumeName != "v49" || s.Plan[19].VolumeName != "v30" {
		t.Errorf("got %d entries: %v", len(s.Plan), briefs(s.Plan))
	}
}

func TestAnEntryKeepsItsScoreAndTimeWhileItIsTheSame(t *testing.T) {
	cooling := func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }
	first := reread(t, decide(t, input(t, []Volume{volume("v", cooling, score(6000))})).Status(StoragePolicyStatus{}))
	tests := []struct {
		name  string
		edits []volumeEdit
		want  string
		since time.Time
	}{
		{"the same wish with another score", vol(cooling, score(7777)), "v Hold cold-hot 6000 cooldown", noon()},
		{"another gate", vol(cooling, score(7777), func(v *Volume) { v.Snapshots = 1 }), "v Hold cold-hot 7777 snapshots", noon().Add(time.Minute)},
		{"another direction", vol(cooling, on("hot-1"), score(7)), "v Hold hot-cold 7 cooldown", noon().Add(time.Minute)},
		{"no gate", vol(score(7777)), "v Move cold-hot 7777", noon().Add(time.Minute)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := input(t, []Volume{volume("v", test.edits...)})
			in.Now = noon().Add(time.Minute)
			s := decide(t, in).Status(first)
			if got := brief(s.Plan[0]); got != test.want || !s.Plan[0].Since.Time.Equal(test.since) {
				t.Errorf("got %q since %v, want %q since %v", got, s.Plan[0].Since, test.want, test.since)
			}
		})
	}
}

func TestTheOrderOfEntriesDoesNotFollowEachReading(t *testing.T) {
	cooling := func(v *Volume) { remember(v).LastMigration = ago(time.Hour) }
	round := func(a, b float64, prev StoragePolicyStatus) StoragePolicyStatus {
		return reread(t, decide(t, input(t, []Volume{volume("a", cooling, score(a)), volume("b", cooling, score(b))})).Status(prev))
	}
	first := round(6000, 6001, StoragePolicyStatus{})
	second := round(6002, 6001, first)
	if marshal(t, first) != marshal(t, second) {
		t.Errorf("the status follows the scores (-was +is):\n%s", cmp.Diff(first, second))
	}
}

func TestARefusalKeepsItsSentenceWhileItsReasonIsTheSame(t *testing.T) {
	round := func(reason, sentence string, prev StoragePolicyStatus) string {
		in := input(t, []Volume{volume("v")})
		in.Route = func(*Volume, Tier, []string) Route { return Route{Reason: reason, Refusals: []string{sentence}} }
		s := reread(t, decide(t, in).Status(prev))
		return s.Plan[0].Reason
	}
	in := input(t, []Volume{volume("v")})
	in.Route = func(*Volume, Tier, []string) Route {
		return Route{Reason: "NoSpace", Refusals: []string{"7 GiB are free, 10 are needed; add space"}}
	}
	first := reread(t, decide(t, in).Status(StoragePolicyStatus{}))
	if got := round("NoSpace", "6 GiB are free, 10 are needed; add space", first); got != "NoSpace: 7 GiB are free, 10 are needed; add space." {
		t.Errorf("the same reason with another figure: got %q", got)
	}
	if got := round("NoNode", "no node is free", first); got != "NoNode: no node is free." {
		t.Errorf("another reason: got %q", got)
	}
}

// What a gate says in status must not change with what changes all the time.
func TestReasonsInStatusHoldNoLiveFigure(t *testing.T) {
	nine := 10 * tib / 10 * 9
	tests := []struct {
		name string
		make func(step int64) (Volume, []inputEdit)
	}{
		{"capacity", func(step int64) (Volume, []inputEdit) {
			return volume("v", score(6000+float64(step))), inp(where(func(w *World) { w.pool("hot-1").UsedBytes = nine + step*gib }))
		}},
		{"fits", func(step int64) (Volume, []inputEdit) {
			return volume("v", func(v *Volume) { v.Thin, v.SizeBytes, v.AllocatedBytes = true, 2*tib, tib+step*gib }),
				inp(with(func(s *StoragePolicySpec) { s.MigrationTimeout = new(Duration("1m")) }))
		}},
		{"caps", func(step int64) (Volume, []inputEdit) {
			return volume("v", score(6000+float64(step))), inp(limits(func(l *Limits) { l.MaxConcurrentMigrations = 0 }))
		}},
		{"move", func(step int64) (Volume, []inputEdit) { return volume("v", score(6000+float64(step))), nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var reasons []string
			for step := range int64(3) {
				v, edits := test.make(step)
				s := decide(t, input(t, []Volume{v}, edits...)).Status(StoragePolicyStatus{})
				if len(s.Plan) != 1 {
					t.Fatalf("got the plan %v", s.Plan)
				}
				reasons = append(reasons, s.Plan[0].Reason)
			}
			if len(slices.Compact(slices.Clone(reasons))) != 1 {
				t.Errorf("got %q", reasons)
			}
		})
	}
}
