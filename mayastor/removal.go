package mayastor

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// RemovalOrder predicts in which order -1 gives up replicas, the first first
// (MS 4.5). Without Removal in the capability it is the order of the oldest
// servers. Where the server's own order is not known, as among equals, the
// order is by uuid and means nothing; see [FirstVictim].
func RemovalOrder(v Volume, nodes []Node, pools []Pool, capability Capability) []ReplicaRef {
	ranks := removalOf(v, nodes, pools, capability).ranks()
	all := make([]ReplicaRef, len(ranks))
	for i, r := range ranks {
		all[i] = r.ref
	}
	return all
}

// FirstVictim predicts which replica the next -1 gives up. The second result is
// true if that is certain by what is known: the replica comes strictly before
// each other one, and the server will not just lower the number. A volume
// without replicas has no victim.
func FirstVictim(v Volume, nodes []Node, pools []Pool, capability Capability) (ReplicaRef, bool) {
	ranks := removalOf(v, nodes, pools, capability).ranks()
	if len(ranks) == 0 {
		return ReplicaRef{}, false
	}
	// Without a live target nothing is known of anybody's health, and a replica
	// in an unknown place has no rank.
	certain := v.Spec.Target != nil && v.State.Target != nil
	healthy, whole := 0, 0
	for i, r := range ranks {
		certain = certain && !r.ref.nowhere() && (i == 0 || ranks[0].before(r))
		if r.keys[byHealth] == 1 {
			healthy++
			if v.State.Replicas[r.ref.UUID].State == StatusOnline {
				whole++
			}
		}
	}
	// A replica in sync goes only while more of them are there than are wanted.
	// And without one in sync the record of health is not what children show: the
	// last child to fault stays healthy in it.
	certain = certain && healthy > 0 && (ranks[0].keys[byHealth] == 0 || whole > v.Spec.NumReplicas-1)
	return ranks[0].ref, certain
}

// The keys of the order since 2.9, first things first. Of each the smaller
// value goes first.
const (
	byHealth = iota // 0 not in sync, 1 in sync
	byUse           // 0 no child of the nexus, 1 a child
	byChild         // 0 nothing known, 1 Faulted, 2 Unknown, 3 Degraded, 4 Online
	byProgress
	byNode    // 0 the node's labels do not match, 1 they do
	byPool    // 0 the pool's labels do not match, 1 they do
	byClashes // minus the number of clashes of the spread
	byCordon  // 0 on a cordoned node, 1 not
	byLocality
	keyCount
)

// Beyond these keys the server prefers the pool with more replicas of the
// affinity group, which is not known here, and then its own order: so whatever
// is equal in all of them is a tie.

// rank is where one replica stands.
type rank struct {
	ref  ReplicaRef
	keys [keyCount]int
	// vague locality: the nexus and the nodes' names disagree about it.
	vague bool
}

// before says whether r certainly goes before o.
func (r rank) before(o rank) bool {
	for k := range keyCount {
		switch {
		case k == byLocality && (r.vague || o.vague):
			return false
		case r.keys[k] != o.keys[k]:
			return r.keys[k] < o.keys[k]
		}
	}
	return false
}

// removal knows what the order depends on.
type removal struct {
	*Cluster
	v      Volume
	modern bool // 2.9 or newer
	// The inclusions of the volume's topologies.
	poolIn, nodeIn demand
	spread         []string // labels of nodes by which it is spread
	// alone holds what of a rank depends on the place only, by pool.
	alone map[string]rank
}

func removalOf(v Volume, nodes []Node, pools []Pool, capability Capability) *removal {
	return removalIn(v, NewCluster(pools, nodes), capability)
}

func removalIn(v Volume, c *Cluster, capability Capability) *removal {
	r := &removal{Cluster: c, v: v, modern: capability.Removal || capability.PoolCordon, alone: map[string]rank{}}
	if t := v.Spec.Topology; t != nil {
		if t.Pool != nil {
			r.poolIn = demandOf(inclusions(t.Pool.Labelled))
		}
		if t.Node != nil {
			r.nodeIn = demandOf(inclusions(t.Node.Labelled))
			r.spread = spreadOf(t.Node.Labelled).differ
		}
	}
	return r
}

// inclusions is t without what decides about placement only.
func inclusions(t *LabelledTopology) *LabelledTopology {
	if t == nil {
		return nil
	}
	return &LabelledTopology{Inclusion: t.Inclusion}
}

// ranks of the replicas that the volume has, first to go first.
func (r *removal) ranks() []rank {
	refs := make([]ReplicaRef, 0, len(r.v.State.Replicas))
	for _, id := range slices.Sorted(maps.Keys(r.v.State.Replicas)) {
		t := r.v.State.Replicas[id]
		refs = append(refs, ReplicaRef{UUID: id, Pool: t.Pool, Node: t.Node})
	}
	all := make([]rank, len(refs))
	for i, ref := range refs {
		all[i] = r.rank(ref, refs, "")
		r.look(&all[i])
	}
	slices.SortStableFunc(all, func(a, b rank) int { return slices.Compare(a.keys[:], b.keys[:]) })
	return all
}

// rank of a replica in sync among others, with one more node cordoned.
func (r *removal) rank(ref ReplicaRef, all []ReplicaRef, cordon string) rank {
	k, known := r.alone[ref.Pool]
	if !known || k.ref != ref {
		k = r.place(ref)
		r.alone[ref.Pool] = k
	}
	if !r.modern {
		return k
	}
	if cordon != "" && ref.Node == cordon {
		k.keys[byCordon] = 0
	}
	for _, key := range r.spread {
		mine := r.nodes[ref.Node].labels()[key]
		for _, other := range all {
			if other != ref && r.nodes[other.Node].labels()[key] == mine {
				k.keys[byClashes]--
			}
		}
	}
	return k
}

// place ranks a replica in sync by where it is alone.
func (r *removal) place(ref ReplicaRef) rank {
	k := rank{ref: ref}
	k.keys[byHealth], k.keys[byUse], k.keys[byChild], k.keys[byProgress] = 1, 1, 4, math.MaxInt
	if ref.Node == r.targetNode() {
		k.keys[byLocality] = 1
	}
	if child, used := r.child(ref.UUID); used {
		// What decides is whether the replica is shared, and its address says so.
		k.vague = strings.HasPrefix(child.URI, "bdev:") != (k.keys[byLocality] == 1)
	}
	if !r.modern {
		return k
	}
	node := r.nodes[ref.Node]
	if _, ok := r.nodeIn.met(node.labels()); ok {
		k.keys[byNode] = 1
	}
	if _, ok := r.poolIn.met(r.pool(ref.Pool).labels()); ok {
		k.keys[byPool] = 1
	}
	if !node.cordoned() {
		k.keys[byCordon] = 1
	}
	return k
}

// targetNode is where the nexus is or should be.
func (r *removal) targetNode() string {
	switch {
	case r.v.State.Target != nil:
		return r.v.State.Target.Node
	case r.v.Spec.Target != nil:
		return r.v.Spec.Target.Node
	}
	return ""
}

// look fills in what a reading says of a replica that is there.
func (r *removal) look(k *rank) {
	t := r.v.State.Replicas[k.ref.UUID]
	// The persisted record of health is not shown; a child that is Online and
	// not being rebuilt is healthy in it, and nothing else is (MS 4.5, 4.6).
	if t.ChildStatus != StatusOnline || t.RebuildProgress != nil {
		k.keys[byHealth] = 0
	}
	states := []Status{StatusFaulted, StatusUnknown, StatusDegraded, StatusOnline}
	k.keys[byChild] = slices.Index(states, t.ChildStatus) + 1
	if t.RebuildProgress != nil {
		k.keys[byProgress] = *t.RebuildProgress
	}
	if _, used := r.child(k.ref.UUID); !used {
		k.keys[byUse] = 0
	}
	if !r.modern {
		// The quirk of the old order: children go before what is no child, and a
		// known state before an unknown one.
		k.keys[byUse] = 1 - k.keys[byUse]
		if k.keys[byChild] == 0 {
			k.keys[byChild] = len(states) + 1
		}
		k.keys[byProgress] = math.MaxInt
	}
}

// child of the nexus behind a replica.
func (r *removal) child(uuid string) (Child, bool) {
	if r.v.State.Target == nil {
		return Child{}, false
	}
	i := slices.IndexFunc(r.v.State.Target.Children, func(c Child) bool { return c.replica() == uuid })
	if i < 0 {
		return Child{}, false
	}
	return r.v.State.Target.Children[i], true
}

// steering is how a -1 can be made to take one replica.
type steering uint8

const (
	// astray: no cordon of ours makes the victim the first for certain.
	astray steering = iota
	// byItself: it is the first anyway.
	byItself
	// byOurCordon: it is the first while its node is cordoned.
	byOurCordon
)

// steer judges a -1 once all are in sync. When it is astray, it names the
// replica that is in the way.
func (r *removal) steer(victim ReplicaRef, all []ReplicaRef) (steering, ReplicaRef) {
	if _, ok := r.first(victim, all, ""); ok {
		return byItself, ReplicaRef{}
	}
	rival, ok := r.first(victim, all, victim.Node)
	if ok {
		return byOurCordon, ReplicaRef{}
	}
	return astray, rival
}

// first says whether victim is strictly first of all with one more node
// cordoned, or else who is not certainly behind it.
func (r *removal) first(victim ReplicaRef, all []ReplicaRef, cordon string) (ReplicaRef, bool) {
	k := r.rank(victim, all, cordon)
	for _, other := range all {
		if other != victim && !k.before(r.rank(other, all, cordon)) {
			return other, false
		}
	}
	return ReplicaRef{}, true
}

// rivalry says why other goes as early as victim, or earlier, although the
// victim's node is cordoned.
func (r *removal) rivalry(victim, other ReplicaRef, all []ReplicaRef) string {
	a, b := r.rank(victim, all, victim.Node), r.rank(other, all, victim.Node)
	where := fmt.Sprintf("the replica on pool %s", other.Pool)
	for k := range keyCount {
		if a.keys[k] == b.keys[k] || k > byCordon {
			continue
		}
		switch k {
		case byNode:
			labels := r.nodes[other.Node].labels()
			key, _ := r.nodeIn.met(labels)
			return fmt.Sprintf("%s goes first, as its node %s %s", where, other.Node, demanded(r.nodeIn, key, labels))
		case byPool:
			labels := r.pool(other.Pool).labels()
			key, _ := r.poolIn.met(labels)
			return fmt.Sprintf("%s goes first, as its pool %s", where, demanded(r.poolIn, key, labels))
		case byClashes:
			return fmt.Sprintf("%s goes first, as its node %s clashes with others by the labels that spread the volume", where, other.Node)
		}
	}
	if other.Node == victim.Node {
		return fmt.Sprintf("%s is on the same node %s", where, other.Node)
	}
	if n := r.nodes[other.Node]; n.cordoned() {
		return fmt.Sprintf("%s may go as well, as its node %s is cordoned (%s); lift that cordon", where, other.Node, enumerate(n.owners()))
	}
	return where + " may go as well"
}

// preference orders victims: the one local to the target last (MS 5.4.8), so
// that reads stay local for as long as they can.
func (r *removal) preference(a, b ReplicaRef) int {
	local := func(ref ReplicaRef) int {
		if ref.Node == r.targetNode() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(local(a), local(b)), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.UUID, b.UUID))
}
