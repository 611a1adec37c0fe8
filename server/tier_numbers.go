package server

import "github.com/billyronks/couchestor/tiering"

// tierNumbers are those of the pools of one tier that are online, in bytes.
type tierNumbers struct{ capacity, used, committed, limit float64 }

// tiersOf returns the numbers of the policy's tiers; nil while Mayastor does not
// say. A sum in floats does not overflow.
func tiersOf(plan *tiering.Plan) map[tiering.Tier]tierNumbers {
	world := plan.World()
	if !world.Mayastor.OK {
		return nil
	}
	percent := float64(plan.Rules().MaxPoolUsedPercent)
	numbers := map[tiering.Tier]tierNumbers{tiering.Hot: {}, tiering.Cold: {}}
	if plan.Rules().HasWarm() {
		numbers[tiering.Warm] = tierNumbers{}
	}
	for i := range world.Pools {
		pool := &world.Pools[i]
		n, ok := numbers[plan.Tiers.Of(pool.Name)]
		if !ok || !pool.Online {
			continue
		}
		n.capacity += float64(pool.CapacityBytes)
		n.used += float64(pool.UsedBytes)
		n.committed += float64(pool.CommittedBytes)
		n.limit += float64(pool.CapacityBytes) * percent / 100
		numbers[plan.Tiers.Of(pool.Name)] = n
	}
	return numbers
}

func collectTiers(x exposition, policy string, tiers map[tiering.Tier]tierNumbers) {
	for tier, n := range tiers {
		x.gauge("couchestor_tier_capacity_bytes", n.capacity, policy, tier.String())
		x.gauge("couchestor_tier_used_bytes", n.used, policy, tier.String())
		x.gauge("couchestor_tier_committed_bytes", n.committed, policy, tier.String())
		x.gauge("couchestor_tier_limit_bytes", n.limit, policy, tier.String())
	}
}
