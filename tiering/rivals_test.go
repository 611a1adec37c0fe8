package tiering

import (
	"fmt"
	"math/rand/v2"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestThePolicyThatRanksHighestWins(t *testing.T) {
	others := []Policy{
		policy(t, "b", ranked(5)),
		policy(t, "a", ranked(5)),
		policy(t, "best", ranked(7), func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"shop", "other"} }),
		policy(t, "bank", ranked(9), func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"bank"} }),
		policy(t, "label", ranked(8), func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "db") }),
		policy(t, "low", ranked(-5)),
	}
	db := func(v *Volume) { v.Labels = map[string]string{"app": "db"} }
	inBank := func(v *Volume) { v.ClaimNamespace = "bank" }
	elsewhere := func(v *Volume) { v.ClaimNamespace = "zoo" }
	tests := []struct {
		name  string
		edits []volumeEdit
		want  string
	}{
		{"by namespace", nil, "best"},
		{"by another namespace", vol(inBank), "bank"},
		{"by label", vol(db), "label"},
		{"the highest of several", vol(db, inBank), "bank"},
		{"by name among equals", vol(elsewhere), "a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, d := one(t, volume("v", test.edits...), rivalled(others...))
			if d.Winner != test.want || d.Held.Gate != GateWins || d.Held.Have.text != test.want {
				t.Errorf("got winner %q, held by %q because of %q, want %q", d.Winner, d.Held.Gate, d.Held.Have, test.want)
			}
		})
	}
}

func TestLosersAndWinnersAgree(t *testing.T) {
	a := policy(t, "a", ranked(1), func(s *StoragePolicySpec) { s.VolumeSelector = selector("app", "db") })
	b := policy(t, "b", ranked(2), func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"shop"} })
	c := policy(t, "c", ranked(2))
	all := []Policy{a, b, c}
	v := volume("v", func(v *Volume) { v.Labels = map[string]string{"app": "db"} })
	winners := 0
	for i := range all {
		in := input(t, []Volume{v}, rivalled(all...))
		in.Policy = all[i]
		d := decide(t, in).Decisions[0]
		if d.Winner == "" {
			winners++
			if all[i].Name != "b" {
				t.Errorf("%s wins, want b", all[i].Name)
			}
		} else if d.Winner != "b" {
			t.Errorf("%s believes that %s wins, want b", all[i].Name, d.Winner)
		}
	}
	if winners != 1 {
		t.Errorf("got %d winners, want 1", winners)
	}
}

// Policies by label or namespace must not be gone through one by one.
func TestRivalsThatAskForOneLabelOrNamespaceAreFoundByIt(t *testing.T) {
	us := policy(t, "us")
	r := rivalsOf(&us, together([]Policy{
		policy(t, "a", ranked(1), func(s *StoragePolicySpec) { s.VolumeSelector = selector("tenant", "a") }),
		policy(t, "b", ranked(1), func(s *StoragePolicySpec) {
			s.VolumeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: metav1.LabelSelectorOpExists},
				{Key: "tenant", Operator: metav1.LabelSelectorOpIn, Values: []string{"b"}},
			}}
		}),
		policy(t, "c", ranked(1), func(s *StoragePolicySpec) { s.ClaimNamespaces = []string{"c"} }),
	}...))
	if len(r.anyhow) != 0 || len(r.byLabel["tenant"]) != 2 || len(r.byNamespace["c"]) != 1 {
		t.Errorf("got %d to go through, labels %v, namespaces %v", len(r.anyhow), r.byLabel, r.byNamespace)
	}
}

// The index of rivals must say what a plain search over all of them says.
func TestTheIndexOfRivalsIsAPlainSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) string { return fmt.Sprintf("x%d", random.IntN(n)) }
	for range 300 {
		var others []Policy
		for k := range random.IntN(12) {
			others = append(others, policy(t, fmt.Sprintf("p%02d", k), ranked(int64(random.IntN(3))), func(s *StoragePolicySpec) {
				if random.IntN(3) == 0 {
					s.ClaimNamespaces = []string{pick(3) + "a", pick(3)}
				}
				switch random.IntN(4) {
				case 0:
					s.VolumeSelector = selector(pick(2), pick(3))
				case 1:
					s.VolumeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
						{Key: pick(2), Operator: metav1.LabelSelectorOpIn, Values: []string{pick(3), pick(3)}},
					}}
				case 2:
					s.VolumeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
						{Key: pick(2), Operator: metav1.LabelSelectorOpNotIn, Values: []string{pick(3)}},
					}}
				}
				if random.IntN(5) == 0 {
					s.StorageClassName = new("other")
				}
			}))
		}
		us := policy(t, "p06x", ranked(int64(random.IntN(3))))
		r := rivalsOf(&us, together(others...))
		for range 10 {
			v := volume("v", func(v *Volume) {
				v.ClaimNamespace = pick(3)
				v.Labels = map[string]string{pick(2): pick(3), pick(2): pick(3)}
			})
			var want *Policy
			for i := range others {
				o := &others[i]
				if o.Rules.Selects(&v) && rank(o, &us) < 0 && (want == nil || rank(o, want) < 0) {
					want = o
				}
			}
			got := r.winner(&v)
			if (got == nil) != (want == nil) || got != nil && got.Name != want.Name {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	}
}

// The policies of a cluster are arranged once for all of them, so each finds
// itself among them, be it as it was a while ago.
func TestAPolicyIsNotItsOwnRival(t *testing.T) {
	for name, earlier := range map[string]Policy{
		"as it is":                   policy(t, "gold"),
		"when it ranked higher":      policy(t, "gold", ranked(9)),
		"when it ranked lower":       policy(t, "gold", ranked(-9)),
		"when it was of other pools": policy(t, "gold", func(s *StoragePolicySpec) { s.HotPoolSelector = selector("tier", "warm") }),
	} {
		t.Run(name, func(t *testing.T) {
			_, d := one(t, volume("v"), rivalled(earlier, policy(t, "low", ranked(-1))))
			if d.Winner != "" || d.Act != Move {
				t.Errorf("got winner %q and %s, want it to move", d.Winner, d.Act)
			}
			_, d = one(t, volume("v"), rivalled(earlier, policy(t, "high", ranked(1))))
			if d.Winner != "high" {
				t.Errorf("got winner %q, want high", d.Winner)
			}
		})
	}
}
