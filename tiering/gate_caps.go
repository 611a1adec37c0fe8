package tiering

import (
	"maps"
	"math"
	"slices"
	"strconv"
)

// caps: there is room for one more move, in the policy and in the cluster,
// counting the Jobs of all policies and the moves planned before. The lowest of
// the policy's, the service's and the governance's caps holds. What the ledger of
// the Jobs enforces is counted here in the same way, as far as it can be seen
// (DESIGN section 6), so that a Job is not begun to wait there.
func caps(t *turn) Verdict {
	if t.plan.proposing {
		return passes(Value{}, Value{})
	}
	l := t.ledger
	if ours := t.rules().MaxConcurrentMigrations; l.policy >= ours {
		return holds(items(int64(l.policy), "moves of this policy"), setting("spec.maxConcurrentMigrations", ours))
	}
	c, most := t.plan.caps(), t.plan.mostMoves()
	all := setting("--max-concurrent-migrations", most)
	if most < t.plan.in.Limits.MaxConcurrentMigrations {
		all = setting(keyLimitMoves, most)
	}
	if l.cluster >= most {
		return holds(items(int64(l.cluster), "moves in the cluster"), all)
	}
	if v := l.load.reached(c, t); !v.Pass {
		return v
	}
	return passes(items(int64(l.cluster), "moves in the cluster"), all)
}

// full reports whether the gate caps holds every further move.
func (p *Plan) full(l *ledger) bool {
	return !p.proposing && (l.policy >= p.in.Policy.Rules.MaxConcurrentMigrations || l.cluster >= p.mostMoves())
}

// mostMoves is how many moves may run in the cluster at once.
func (p *Plan) mostMoves() int {
	most := p.in.Limits.MaxConcurrentMigrations
	if c := p.caps(); c.Moves > 0 {
		most = min(most, c.Moves)
	}
	return most
}

// caps are those of the governance; none where there is no governance.
func (p *Plan) caps() Caps {
	if g := p.in.Governed; g != nil {
		return g.Caps
	}
	return Caps{}
}

// load is what moves in flight and planned put on the cluster, as the admission
// ledger of the Jobs counts it.
type load struct {
	moves   int
	bytes   int64
	perPool map[string]int
	perNode map[string]int
}

func (l load) clone() load {
	l.perPool, l.perNode = maps.Clone(l.perPool), maps.Clone(l.perNode)
	return l
}

// loads reports whether a cap counts more than moves.
func (c Caps) loads() bool { return c.Bytes > 0 || c.PerPool > 0 || c.PerNode > 0 }

// add enters a move of the volume to the target pools, if the caps ask for it.
func (l *load) add(c Caps, v *Volume, targets []string) {
	if !c.loads() {
		return
	}
	l.moves++
	if bytes := moving(v, targets); l.bytes > math.MaxInt64-bytes {
		l.bytes = math.MaxInt64
	} else {
		l.bytes += bytes
	}
	if c.PerPool > 0 {
		if l.perPool == nil {
			l.perPool = make(map[string]int)
		}
		for _, name := range targets {
			l.perPool[name]++
		}
	}
	if c.PerNode > 0 {
		if l.perNode == nil {
			l.perNode = make(map[string]int)
		}
		for _, name := range leaving(v, targets) {
			l.perNode[name]++
		}
	}
}

// reached is the verdict on one more move.
func (l *load) reached(c Caps, t *turn) Verdict {
	targets := t.plan.Tiers.Pools(t.to)
	// A single move larger than the cap would never run; it may run alone.
	if c.Bytes > 0 && l.moves > 0 && l.bytes > c.Bytes-moving(t.v, targets) {
		return holds(items(l.bytes, "bytes"), words(keyLimitBytes+" is "+strconv.FormatInt(c.Bytes, 10)))
	}
	if c.PerPool > 0 {
		for _, name := range targets {
			if n := l.perPool[name]; n >= c.PerPool {
				return holds(items(int64(n), "moves to pool "+name), setting(keyLimitPerPool, c.PerPool))
			}
		}
	}
	if c.PerNode > 0 {
		for _, name := range leaving(t.v, targets) {
			if n := l.perNode[name]; n >= c.PerNode {
				return holds(items(int64(n), "moves from node "+name), setting(keyLimitPerNode, c.PerNode))
			}
		}
	}
	return passes(Value{}, Value{})
}

// moving is the size of all replicas that have to move; one where none is known
// to.
func moving(v *Volume, targets []string) int64 {
	n := int64(max(1, len(leaving(v, targets))))
	if v.SizeBytes > math.MaxInt64/n {
		return math.MaxInt64
	}
	return v.SizeBytes * n
}

// leaving are the nodes of the replicas that are not on a target pool.
func leaving(v *Volume, targets []string) []string {
	var nodes []string
	for i := range v.Replicas {
		if r := &v.Replicas[i]; !slices.Contains(targets, r.Pool) {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}
