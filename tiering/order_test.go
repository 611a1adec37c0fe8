package tiering

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The queue must give wishes in the order that sorting them all would.
func TestTheQueueIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []wish
		for i := range rapid.IntRange(0, 40).Draw(t, "wishes") {
			all = append(all, wish{
				class: rapid.SampledFrom([]class{finish, promote, demote}).Draw(t, "class"),
				score: rapid.SampledFrom([]float64{0, 1, 2, 3, 1e9}).Draw(t, "score"), at: i,
			})
		}
		want := slices.SortedFunc(slices.Values(all), inOrder)
		q := queue(slices.Clone(rapid.Permutation(all).Draw(t, "as given")))
		q.arrange()
		var got []wish
		for len(q) > 0 {
			got = append(got, q.next())
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(wish{})); diff != "" {
			t.Fatalf("-sorted +queue\n%s", diff)
		}
	})
}

// The entries must be the first of those that sorting them all would give.
func TestThePlanShowsTheFirstOfAllEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() Input {
			var volumes []Volume
			for i := range rapid.IntRange(0, 60).Draw(t, "volumes") {
				edits := []volumeEdit{score(rapid.SampledFrom([]float64{1, 2, 300, 6000, 6000.04, 7000, 9000}).Draw(t, "score"))}
				edits = append(edits, on(rapid.SampledFrom([]string{"cold-1", "hot-1", "spare"}).Draw(t, "pool")))
				if rapid.Bool().Draw(t, "mixed") {
					edits = append(edits, on("hot-2", "cold-2"))
				}
				switch rapid.IntRange(0, 9).Draw(t, "memory") {
				case 0:
					edits = append(edits, live(LiveJob{Name: "j", Policy: pick(t, "of", "gold", "other"), From: Cold, To: Hot, ScoreIOPS: 5100}))
				case 1:
					edits = append(edits, attempt(Attempt{N: 1, Policy: "gold", State: AttemptStarted, At: ago(day)}))
				case 2:
					edits = append(edits, func(v *Volume) { remember(v).LastMigration = ago(1) })
				}
				volumes = append(volumes, volume(fmt.Sprintf("v%02d", i), edits...))
			}
			in := input(t, volumes)
			in.Policy.Rules.DryRun = rarely(t, "dry run", 4)
			return in
		}
		prev := Decide(draw()).Status(StoragePolicyStatus{}).Plan
		p := Decide(draw())
		before, wanted := kept(prev), wantedBefore(prev)
		type row struct {
			place
			e PlanEntry
		}
		var all []row
		for i := range p.Decisions {
			if at, ok := p.place(&p.Decisions[i]); ok {
				e := p.entry(&at)
				before.keep(&e)
				wanted.keep(&e)
				at.score = e.ScoreIOPS
				all = append(all, row{at, e})
			}
		}
		slices.SortStableFunc(all, func(a, b row) int {
			switch {
			case a.before(&b.place):
				return -1
			case b.before(&a.place):
				return 1
			}
			return 0
		})
		var want []PlanEntry
		for _, r := range all[:min(len(all), mostEntries)] {
			want = append(want, r.e)
		}
		got := p.entries(prev)
		for i := range got {
			got[i].Claim, got[i].Reason = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-all sorted +shown\n%s", diff)
		}
	})
}
