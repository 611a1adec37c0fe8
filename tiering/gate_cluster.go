package tiering

import "time"

// calm: nothing goes on in the cluster, or on the volume's nodes, that a move
// would make worse (MS 5.7). A server that lets no move be steered holds real
// moves only: a dry run may still show what a newer one would do.
func calm(t *turn) Verdict {
	want := words("a cluster at rest")
	w := t.plan.in.World
	switch {
	case w.Kubernetes != nil && !w.Kubernetes.OK:
		return holds(words("what is known of volumes and Jobs is too old to act on"), words("a fresh view of Kubernetes"))
	case w.Unsettled != "":
		return holds(words(w.Unsettled), want)
	case w.Movable != "" && !t.plan.dryRun():
		return holds(words(w.Movable), words("a version that lets it be steered"))
	}
	for i := range t.v.Replicas {
		name := t.v.Replicas[i].Node
		switch n := t.node(i); {
		case n == nil:
			return holds(words("Mayastor does not list node "+name+", which has a replica"), want)
		case !n.Online:
			return holds(words("node "+name+", which has a replica, is not Online"), want)
		case n.Draining:
			return holds(words("node "+name+", which has a replica, is being drained"), want)
		}
	}
	return passes(words("the cluster is at rest"), want)
}

// settled: the volume's nodes and the target pools, with theirs, have been
// Online for a while. A pool that is not Online is no target now and holds
// nobody, as long as another one is; but one that came back a moment ago does.
func settled(t *turn) Verdict {
	if !t.wishes() {
		return notAsked("the volume has no other tier to go to")
	}
	v := t.plan.settledPools[t.to]
	for i := range t.v.Replicas {
		name, n := t.v.Replicas[i].Node, t.node(i)
		if n == nil || !n.Online {
			continue // The gate calm speaks of it.
		}
		if u := t.plan.settledSince("node ", name, n.OnlineSince); !u.Pass && later(&u, &v) {
			v = u
		}
	}
	return v
}

// later reports whether u opens later than v does; what opens at no known time
// opens last.
func later(u, v *Verdict) bool {
	switch {
	case v.Pass:
		return true
	case v.OpensAt.IsZero():
		return false
	}
	return u.OpensAt.IsZero() || u.OpensAt.After(v.OpensAt)
}

func (p *Plan) settledSince(kind, name string, since time.Time) Verdict {
	least := p.in.Limits.Settle
	want := span(least)
	if least <= 0 {
		return passes(words("pools and nodes are Online"), want)
	}
	if since.IsZero() {
		return holds(words(kind+name+" is Online since nobody knows when"), want)
	}
	if opens := since.Add(least); p.in.Now.Before(opens) {
		return holdsUntil(opens, instant(kind+name+" is Online only since", since), want)
	}
	return passes(words("pools and nodes are settled"), want)
}

// settleTier is the verdict of settled on the pools of a tier.
func (p *Plan) settleTier(t Tier) Verdict {
	names := p.Tiers.Pools(t)
	if len(names) == 0 {
		return notAsked("the tier has no pool")
	}
	var worst Verdict
	worst.Pass = true
	usable, lost := 0, ""
	for _, name := range names {
		pool := &p.in.World.Pools[p.pools[name]]
		n := p.nodes[pool.Node]
		if !pool.Online || n == nil || !n.Online {
			lost = name
			continue
		}
		usable++
		for _, v := range [...]Verdict{p.settledSince("pool ", name, pool.OnlineSince), p.settledSince("node ", n.Name, n.OnlineSince)} {
			if !v.Pass && later(&v, &worst) || v.Pass && worst.Pass {
				worst = v
			}
		}
	}
	if usable == 0 {
		return holds(words("no pool of tier "+t.String()+" is Online (pool "+lost+" for one)"), span(p.in.Limits.Settle))
	}
	return worst
}
