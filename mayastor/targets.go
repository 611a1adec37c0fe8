package mayastor

import "slices"

// Targets judges the target pools of a move, each as a place for one more
// replica beside those the volume has: by the server's filters, as [Candidates]
// does, and by the rules of ours, which want a pool that is Online and not
// filled beyond ask.MaxUsedPercent. They are sorted by pool, each once.
//
// A pool that passes is one that [Route] would begin with, unless the rest of
// the move does not work from there; one that does not may be used by a later
// step, when an earlier one has freed its node.
func Targets(v Volume, pools []Pool, nodes []Node, ask Ask) []Candidate {
	p := placementOf(v, NewCluster(pools, nodes))
	placed := p.beside(p.placed())
	names := slices.Compact(slices.Sorted(slices.Values(ask.Targets)))
	all := make([]Candidate, 0, len(names))
	for _, id := range names {
		c := Candidate{Pool: id}
		pool := p.pools[id]
		if pool != nil {
			c.Node = pool.node
		}
		if no := p.obstacle(id, placed, ask.MaxUsedPercent); no != nil {
			c.Reject, c.Reason = p.obstacleText(id, no), no.reason
		}
		all = append(all, c)
	}
	return all
}

// obstacle is what keeps one target pool from being used beside the placed
// replicas, nil if nothing does.
func (p *placement) obstacle(id string, placed company, maxUsedPercent int) *rejection {
	pool := p.pools[id]
	if pool == nil {
		return &rejection{reason: ReasonPoolUnknown}
	}
	if no := p.reject(pool, placed); no != nil {
		return no
	}
	return p.overfull(pool, maxUsedPercent)
}

// obstacleText completes "the pool ...".
func (p *placement) obstacleText(id string, no *rejection) string {
	if no.reason == ReasonPoolUnknown {
		return "is not known to Mayastor"
	}
	return p.describe(p.pools[id], no)
}
