package tiering

import (
	"cmp"
	"slices"
)

// TierMap says which pool is in which tier of one policy. It is not changed
// once built.
type TierMap struct {
	of        map[string]Tier
	pools     [Cold + 1][]string
	ambiguous []Ambiguity
}

// Ambiguity is a pool that is in no tier because it is not clear in which.
type Ambiguity struct {
	Pool string
	// Why says what contradicts what.
	Why string
}

// Tiers puts each pool into the tier whose selector matches its labels. A pool
// that two selectors match, or whose labels its sources contradict each other
// on, is in no tier and is reported by [TierMap.Ambiguous].
func Tiers(rules *Rules, pools []Pool) *TierMap {
	m := &TierMap{of: make(map[string]Tier, len(pools))}
	for i := range pools {
		p := &pools[i]
		if p.Conflict != "" {
			m.ambiguous = append(m.ambiguous, Ambiguity{p.Name, p.Conflict})
			continue
		}
		tier, second := NoTier, NoTier
		for t := Hot; t <= Cold; t++ {
			switch s := rules.poolSelector(t); {
			case s == nil || !s.Matches(p.Labels):
			case tier == NoTier:
				tier = t
			case second == NoTier:
				second = t
			}
		}
		switch {
		case second != NoTier:
			m.ambiguous = append(m.ambiguous, Ambiguity{p.Name, "it matches the selectors of both " + tier.String() + " and " + second.String()})
		case tier != NoTier:
			m.of[p.Name] = tier
			m.pools[tier] = append(m.pools[tier], p.Name)
		}
	}
	for _, names := range m.pools {
		slices.Sort(names)
	}
	slices.SortFunc(m.ambiguous, func(a, b Ambiguity) int { return cmp.Compare(a.Pool, b.Pool) })
	return m
}

// Of returns the pool's tier, or NoTier.
func (m *TierMap) Of(pool string) Tier { return m.of[pool] }

// Pools returns the names of the tier's pools, sorted. The slice is shared and
// must not be changed.
func (m *TierMap) Pools(t Tier) []string {
	if t == NoTier || t > Cold {
		return nil
	}
	return m.pools[t]
}

// Ambiguous returns the pools left out, sorted by name.
func (m *TierMap) Ambiguous() []Ambiguity { return m.ambiguous }

// Place says where a volume is, from all its replicas: on one tier if each of
// them is, mixed if they are on several tiers or only some are on one, and
// otherwise (on no tier's pool, or without replicas) on none and not mixed.
func (m *TierMap) Place(replicas []Replica) (from Tier, mixed bool) {
	for i := range replicas {
		t := m.of[replicas[i].Pool]
		if i > 0 && t != from {
			return NoTier, true
		}
		from = t
	}
	return from, false
}
