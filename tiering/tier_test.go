package tiering

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestTierWordsAreReadAsWritten(t *testing.T) {
	for _, tier := range []Tier{NoTier, Hot, Warm, Cold} {
		if got, ok := ParseTier(tier.String()); !ok || got != tier {
			t.Errorf("%s is read as %s, %v", tier, got, ok)
		}
	}
	for _, word := range []string{"", "HOT", "mixed", "nvme"} {
		if got, ok := ParseTier(word); ok || got != NoTier {
			t.Errorf("%q is read as %s, %v", word, got, ok)
		}
	}
}

func TestEachPoolIsInAtMostOneTier(t *testing.T) {
	p := policy(t, "gold", withWarm, func(s *StoragePolicySpec) {
		s.WarmPoolSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "tier", Operator: metav1.LabelSelectorOpIn, Values: []string{"warm", "tepid"}},
		}}
		s.HotPoolSelector = selector("disk", "nvme")
	})
	pools := []Pool{
		{Name: "z", Labels: labels.Set{"disk": "nvme"}},
		{Name: "a", Labels: labels.Set{"disk": "nvme"}},
		{Name: "w", Labels: labels.Set{"tier": "tepid"}},
		{Name: "c", Labels: labels.Set{"tier": "cold"}},
		{Name: "both", Labels: labels.Set{"disk": "nvme", "tier": "cold"}},
		{Name: "all", Labels: labels.Set{"disk": "nvme", "tier": "warm"}},
		{Name: "none", Labels: labels.Set{"tier": "glacial"}},
		{Name: "bare"},
		{Name: "torn", Labels: labels.Set{"disk": "nvme"}, Conflict: "its label tier is hot here and cold there"},
	}
	m := Tiers(&p.Rules, pools)
	for tier, want := range map[Tier][]string{Hot: {"a", "z"}, Warm: {"w"}, Cold: {"c"}, NoTier: nil} {
		if diff := cmp.Diff(want, m.Pools(tier)); diff != "" {
			t.Errorf("pools of %s (-want +got):\n%s", tier, diff)
		}
	}
	want := []Ambiguity{
		{"all", "it matches the selectors of both hot and warm"},
		{"both", "it matches the selectors of both hot and cold"},
		{"torn", "its label tier is hot here and cold there"},
	}
	if diff := cmp.Diff(want, m.Ambiguous()); diff != "" {
		t.Errorf("ambiguous (-want +got):\n%s", diff)
	}
	for name, want := range map[string]Tier{"a": Hot, "w": Warm, "c": Cold, "both": NoTier, "torn": NoTier, "unheard of": NoTier} {
		if got := m.Of(name); got != want {
			t.Errorf("pool %s is in %s, want %s", name, got, want)
		}
	}
	if got := m.Pools(Tier(9)); got != nil {
		t.Errorf("a tier that does not exist has the pools %v", got)
	}
}

func TestAVolumeIsWhereAllItsReplicasAre(t *testing.T) {
	p := policy(t, "gold", withWarm)
	m := Tiers(&p.Rules, world().Pools)
	tests := []struct {
		name  string
		pools []string
		from  Tier
		mixed bool
	}{
		{"no replica", nil, NoTier, false},
		{"one", []string{"hot-1"}, Hot, false},
		{"three of a tier", []string{"cold-1", "cold-2", "cold-3"}, Cold, false},
		{"the last of three is elsewhere", []string{"cold-1", "cold-2", "hot-3"}, NoTier, true},
		{"the first of three is elsewhere", []string{"warm-1", "cold-2", "cold-3"}, NoTier, true},
		{"partly on no tier's pool", []string{"hot-1", "spare"}, NoTier, true},
		{"partly on no tier's pool, first", []string{"spare", "hot-1"}, NoTier, true},
		{"only on pools of no tier", []string{"spare", "other"}, NoTier, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := volume("v", on(test.pools...))
			from, mixed := m.Place(v.Replicas)
			if from != test.from || mixed != test.mixed {
				t.Errorf("got %s, mixed %v, want %s, mixed %v", from, mixed, test.from, test.mixed)
			}
		})
	}
}
