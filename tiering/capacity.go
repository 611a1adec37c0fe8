package tiering

import "math"

// thinReserveShare is what a thin replica may need beyond what is allocated
// today, in percent of its size; Mayastor itself asks for as much (MS 4.3).
const thinReserveShare = 40

// ledger is what stands against pools and caps at one moment of a plan: moves
// in flight, and those the plan chose before.
type ledger struct {
	// reserved is in bytes, by place of the pool in World.Pools.
	reserved []int64
	// policy and cluster count moves in flight and chosen.
	policy, cluster int
	// load is what the caps of the cluster count; it is kept only where there
	// are some.
	load load
}

func (l *ledger) clone() *ledger {
	c := *l
	c.reserved = append([]int64(nil), l.reserved...)
	c.load = l.load.clone()
	return &c
}

// reserve takes the space of one new replica on a pool. It never overflows.
func (l *ledger) reserve(pool int, need int64) {
	if l.reserved[pool] > math.MaxInt64-need {
		l.reserved[pool] = math.MaxInt64
		return
	}
	l.reserved[pool] += need
}

// need returns the bytes that a new replica of the volume may take on a pool:
// its size, or for a thin volume what is allocated and a reserve, at most its
// size. An allocation of 0 is not known, and counts as full.
func need(v *Volume) int64 {
	if !v.Thin || v.AllocatedBytes <= 0 || v.AllocatedBytes >= v.SizeBytes {
		return v.SizeBytes
	}
	reserve := v.SizeBytes/100*thinReserveShare + v.SizeBytes%100*thinReserveShare/100
	if v.AllocatedBytes > v.SizeBytes-reserve {
		return v.SizeBytes
	}
	return v.AllocatedBytes + reserve
}

// copied returns the bytes that a rebuild of one replica reads: unwritten
// ranges of a thin volume are left out (MS 4.6).
func copied(v *Volume) int64 {
	if v.Thin && v.AllocatedBytes > 0 {
		return min(v.AllocatedBytes, v.SizeBytes)
	}
	return v.SizeBytes
}

// limit returns the bytes to which a pool may be filled.
func limit(p *Pool, usedPercent int) int64 {
	return p.CapacityBytes/100*int64(usedPercent) + p.CapacityBytes%100*int64(usedPercent)/100
}

// room returns how far a pool is from its limit, with the reservations on it;
// negative if it is beyond.
func (l *ledger) room(p *Pool, place, usedPercent int) int64 {
	free := limit(p, usedPercent) - p.UsedBytes
	if l.reserved[place] > 0 && free < math.MinInt64+l.reserved[place] {
		return math.MinInt64
	}
	return free - l.reserved[place]
}

// inFlight counts the live Jobs of all policies, and reserves on each pool
// where one of them may put a replica.
func (p *Plan) inFlight() *ledger {
	l := &ledger{reserved: make([]int64, len(p.in.World.Pools))}
	for _, v := range p.in.Volumes {
		if v.Live == nil {
			continue
		}
		l.cluster++
		if v.Live.Policy == p.in.Policy.Name {
			l.policy++
		}
		if !v.Live.Recovery {
			p.reserveFor(l, v)
			if c := p.caps(); c.loads() {
				l.load.add(c, v, p.liveTargets(v.Live))
			}
		}
	}
	return l
}

func (p *Plan) reserveFor(l *ledger, v *Volume) {
	space := need(v)
	if space <= 0 {
		return
	}
	take := func(place int) {
		// A thick replica that is there already is in the pool's own figure,
		// and a pool takes one replica of a volume.
		if v.Thin || !isOn(v, p.in.World.Pools[place].Name) {
			l.reserve(place, space)
		}
	}
	targets, known := v.Live.TargetPools, true
	if len(targets) == 0 {
		targets, known = p.tierPools(v.Live.Policy, v.Live.To)
	}
	if !known {
		for place := range p.in.World.Pools {
			take(place)
		}
		return
	}
	for _, name := range targets {
		if place, ok := p.pools[name]; ok {
			take(place)
		}
	}
}

// liveTargets are the pools a Job was given to move to: those of its tier, or
// those it may land on where its policy is not known any more.
func (p *Plan) liveTargets(j *LiveJob) []string {
	if pools, known := p.tierPools(j.Policy, j.To); known {
		return pools
	}
	return j.TargetPools
}

// tierPools returns the pools of a tier of any policy; false if the policy is
// not known.
func (p *Plan) tierPools(policy string, t Tier) ([]string, bool) {
	if policy == p.in.Policy.Name && p.in.Policy.Rules.compiled {
		return p.Tiers.Pools(t), true
	}
	if o := p.in.Others.find(policy); o != nil && o.Name != p.in.Policy.Name && o.Rules.compiled {
		return Tiers(&o.Rules, p.in.World.Pools).Pools(t), true
	}
	return nil, false
}

func isOn(v *Volume, pool string) bool {
	for i := range v.Replicas {
		if v.Replicas[i].Pool == pool {
			return true
		}
	}
	return false
}
