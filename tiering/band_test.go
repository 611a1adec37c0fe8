package tiering

import "testing"

// Two tiers: low 500, high 5000. Three: low 500, warm 2000, high 5000. The
// downward edges are 4500 and 450.
func TestBands(t *testing.T) {
	two, three := policy(t, "two"), policy(t, "three", withWarm)
	tests := []struct {
		rules     *Rules
		score     float64
		on, want  Tier
		threshold float64
	}{
		// Two tiers.
		{&two.Rules, 5000.1, Cold, Hot, 5000},
		{&two.Rules, 5000, Cold, NoTier, 0},
		{&two.Rules, 5000.1, NoTier, Hot, 5000},
		{&two.Rules, 5000.1, Hot, Hot, 5000},
		{&two.Rules, 4900, Hot, NoTier, 0},
		{&two.Rules, 4499, Hot, NoTier, 0}, // There is nothing between hot and cold to go to.
		{&two.Rules, 500, Hot, NoTier, 0},
		{&two.Rules, 499.9, Cold, Cold, 500},
		{&two.Rules, 499.9, NoTier, Cold, 500}, // On no tier, nothing is undone by going to cold.
		{&two.Rules, 499.9, Hot, NoTier, 0},
		{&two.Rules, 450, Hot, NoTier, 0},
		{&two.Rules, 449.9, Hot, Cold, 450},
		{&two.Rules, 0, Hot, Cold, 450},

		// Three tiers.
		{&three.Rules, 5000.1, Warm, Hot, 5000},
		{&three.Rules, 5000.1, Cold, Hot, 5000},
		{&three.Rules, 5000, Cold, Warm, 2000},
		{&three.Rules, 2000, Cold, Warm, 2000},
		{&three.Rules, 1999.9, Cold, NoTier, 0},
		{&three.Rules, 4900, Hot, NoTier, 0}, // 5 100 brought it there.
		{&three.Rules, 4500, Hot, NoTier, 0},
		{&three.Rules, 4499.9, Hot, Warm, 4500},
		{&three.Rules, 2000, Hot, Warm, 4500},
		{&three.Rules, 1999.9, Hot, NoTier, 0},
		{&three.Rules, 2000, NoTier, Warm, 2000},
		{&three.Rules, 1000, Warm, NoTier, 0},
		{&three.Rules, 450, Warm, NoTier, 0},
		{&three.Rules, 449.9, Warm, Cold, 450},
		{&three.Rules, 449.9, Hot, Cold, 450},
		{&three.Rules, 499.9, Cold, Cold, 500},
	}
	for _, test := range tests {
		got, threshold := test.rules.band(test.score, test.on)
		if got != test.want || threshold != test.threshold {
			t.Errorf("warm %d: %v IOPS on %s: got %s beyond %v, want %s beyond %v",
				test.rules.WarmWatermarkIOPS, test.score, test.on, got, threshold, test.want, test.threshold)
		}
	}
}

func TestALowWatermarkOfZeroSendsNothingToCold(t *testing.T) {
	p := policy(t, "p", func(s *StoragePolicySpec) { s.LowWatermarkIOPS = new(int64(0)) })
	if got, _ := p.Rules.band(0, Hot); got != NoTier {
		t.Errorf("got %s, want none", got)
	}
}

func TestWhatIsPromotedIsNotDemotedByTheSameScore(t *testing.T) {
	three := policy(t, "three", withWarm)
	for score := 0.0; score < 6000; score += 7 {
		for _, from := range []Tier{Hot, Warm, Cold} {
			to, _ := three.Rules.band(score, from)
			if to == NoTier || to == from {
				continue
			}
			if back, _ := three.Rules.band(score, to); back != NoTier && back != to {
				t.Errorf("%v IOPS move a volume from %s to %s and on to %s", score, from, to, back)
			}
		}
	}
}

func TestWhereAMixedVolumeLeans(t *testing.T) {
	two, three := policy(t, "two"), policy(t, "three", withWarm)
	tests := []struct {
		name  string
		rules *Rules
		last  string
		pools []string
		want  Tier
	}{
		{"to the tier of its last attempt", &two.Rules, "cold", []string{"hot-1", "hot-2", "cold-3"}, Cold},
		{"a tier that the policy does not have is none", &two.Rules, "warm", []string{"hot-1", "cold-2", "cold-3"}, Cold},
		{"a warm attempt counts where there is a warm tier", &three.Rules, "warm", []string{"hot-1", "cold-2", "cold-3"}, Warm},
		{"else where most of its replicas are", &two.Rules, "", []string{"hot-1", "cold-2", "cold-3"}, Cold},
		{"a replica on no tier's pool speaks for none", &two.Rules, "", []string{"spare", "other", "cold-1"}, Cold},
		{"of as many the hottest", &two.Rules, "", []string{"cold-1", "hot-2"}, Hot},
		{"of as many the hottest, not hot itself", &three.Rules, "", []string{"cold-1", "warm-2"}, Warm},
		{"an attempt to nowhere says nothing", &two.Rules, "none", []string{"hot-1", "cold-2", "cold-3"}, Cold},
		{"nonsense says nothing", &two.Rules, "lukewarm", []string{"hot-1", "cold-2", "cold-3"}, Cold},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := volume("v", on(test.pools...), attempt(Attempt{To: test.last}))
			if got := Tiers(test.rules, world().Pools).lean(test.rules, &v); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestWhereAVolumeBelongs(t *testing.T) {
	tests := []struct {
		name  string
		edits []volumeEdit
		want  Tier
		act   Act
	}{
		{"mixed and busy goes to hot", vol(on("hot-1", "cold-2"), score(6000)), Hot, Move},
		{"mixed and idle goes to cold", vol(on("hot-1", "cold-2"), score(10)), Cold, Move},
		{"mixed in between is finished where it leans", vol(on("hot-1", "cold-2", "cold-3"), score(1000)), Cold, Move},
		{"mixed and unknown holds", vol(on("hot-1", "cold-2"), unknown), NoTier, Hold},
		{"mixed, leaning to hot, is not yet idle at nine tenths", vol(on("hot-1", "cold-2"), score(470)), Hot, Move},
		{"on no tier's pool in between stays", vol(on("spare"), score(1000)), NoTier, Stay},
		{"on no tier's pool and busy goes to hot", vol(on("spare"), score(6000)), Hot, Move},
		{"on no tier's pool and idle goes to cold", vol(on("spare"), score(10)), Cold, Move},
		{"on no tier's pool and unknown holds", vol(on("spare"), unknown), NoTier, Hold},
		{"in between stays", vol(on("hot-1"), score(1000)), Hot, Stay},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, d := one(t, volume("v", test.edits...))
			if d.To != test.want || d.Act != test.act {
				t.Errorf("got %s to %s, want %s to %s", d.Act, d.To, test.act, test.want)
			}
		})
	}
}
