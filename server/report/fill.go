package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/billyronks/couchestor/tiering"
)

// fill is how full the tiers are.
type fill struct {
	Rows []fillRow
	// Limit is the share of a pool up to which moves fill it, "" if there is none or
	// the policies differ.
	Limit string
	Pools []poolRow
}

// fillRow is one tier. Stays is what is used now and after the planned moves,
// Leaves and Comes is what they take away or bring, in percent of its capacity.
type fillRow struct {
	Tier, Label, Now, After, Size, Fullest string
	Stays, Leaves, Comes                   pct
	// Limit is up to where moves fill a pool, the least of the policies'.
	Limit pct
}

// poolRow is one pool.
type poolRow struct {
	Pool, Node, Tier, Used, Size, Reserved, Note string
}

// tierOfSome is a tier that is the same for some policies, as it has the same
// pools.
type tierOfSome struct {
	tiering.TierExplanation
	policies []string
	limit    int
}

// fills shows a tier of the same pools once, with the planned moves of all policies
// that share it. Pools in no tier are in the list of pools alone.
func fills(plans []tiering.Explanation) fill {
	var tiers []tierOfSome
	for i := range plans {
		for _, t := range plans[i].Tiers {
			at := slices.IndexFunc(tiers, func(have tierOfSome) bool { return samePools(&have.TierExplanation, &t) })
			if at < 0 {
				at = len(tiers)
				tiers = append(tiers, tierOfSome{TierExplanation: t, limit: plans[i].MaxPoolUsedPercent})
			} else {
				tiers[at].add(&t, plans[i].MaxPoolUsedPercent)
			}
			tiers[at].policies = append(tiers[at].policies, plans[i].Policy)
		}
	}
	slices.SortStableFunc(tiers, func(a, b tierOfSome) int {
		return cmp.Compare(slices.Index(places(), a.Tier), slices.Index(places(), b.Tier))
	})
	var f fill
	limits := map[int]bool{}
	for i := range tiers {
		t := &tiers[i]
		of := ""
		if len(t.policies) < len(plans) {
			of = " of " + strings.Join(t.policies, ", ")
		}
		f.Pools = append(f.Pools, poolsOf(&t.TierExplanation, of)...)
		if t.Tier != tiering.NoTier.String() {
			f.Rows = append(f.Rows, t.row(of))
			limits[t.limit] = true
			f.Limit = percent(float64(t.limit))
		}
	}
	if len(limits) != 1 || limits[0] {
		f.Limit = ""
	}
	return f
}

func samePools(a, b *tiering.TierExplanation) bool {
	return a.Tier == b.Tier && slices.EqualFunc(a.Pools, b.Pools, func(p, q tiering.PoolExplanation) bool { return p.Pool == q.Pool })
}

// add adds what the moves of another policy change.
func (t *tierOfSome) add(other *tiering.TierExplanation, limit int) {
	t.AfterBytes = max(0, t.AfterBytes+other.AfterBytes-other.UsedBytes)
	t.limit = min(t.limit, limit)
	t.Pools = slices.Clone(t.Pools)
	for k := range t.Pools {
		// What runs is reserved by every policy, and its own moves on top of that;
		// nobody can tell the two apart here, so the greatest counts.
		t.Pools[k].ReservedBytes = max(t.Pools[k].ReservedBytes, other.Pools[k].ReservedBytes)
	}
}

func (t *tierOfSome) row(of string) fillRow {
	r := fillRow{Tier: t.Tier, Label: placeText(t.Tier) + of, Limit: pct(t.limit)}
	if t.CapacityBytes <= 0 {
		r.Now, r.After, r.Size = "–", "–", "its size is not known"
		if len(t.Pools) == 0 {
			r.Size = "no pools"
		}
		return r
	}
	whole := float64(t.CapacityBytes)
	at := func(bytes int64) pct { return pct(min(100, 100*float64(bytes)/whole)) }
	r.Now, r.After = percent(100*float64(t.UsedBytes)/whole), percent(100*float64(t.AfterBytes)/whole)
	r.Stays = at(min(t.UsedBytes, t.AfterBytes))
	r.Size = fmt.Sprintf("%s of %s in %s", size(t.UsedBytes), size(t.CapacityBytes), plural(len(t.Pools), "pool"))
	switch d := t.AfterBytes - t.UsedBytes; {
	case d > 0:
		r.Comes = at(t.AfterBytes) - r.Stays
		r.Size += ", " + size(d) + " to come"
	case d < 0:
		r.Leaves = at(t.UsedBytes) - r.Stays
		r.Size += ", " + size(-d) + " to leave"
	}
	if len(t.Pools) > 1 {
		most := slices.MaxFunc(t.Pools, func(a, b tiering.PoolExplanation) int { return cmp.Compare(a.UsedPercent, b.UsedPercent) })
		r.Fullest = "fullest is " + most.Pool + " with " + percent(most.UsedPercent)
	}
	return r
}

func poolsOf(t *tiering.TierExplanation, of string) []poolRow {
	rows := make([]poolRow, 0, len(t.Pools))
	for i := range t.Pools {
		p := &t.Pools[i]
		r := poolRow{Pool: p.Pool, Node: p.Node, Tier: placeText(t.Tier) + of, Used: "–", Size: "–", Note: p.Note}
		if p.CapacityBytes > 0 {
			r.Used, r.Size = percent(p.UsedPercent), size(p.CapacityBytes)
		}
		if p.ReservedBytes > 0 {
			r.Reserved = size(p.ReservedBytes)
		}
		if !p.Online {
			r.Note = strings.TrimPrefix(r.Note+"; it is not online", "; ")
		}
		rows = append(rows, r)
	}
	return rows
}
