package mayastor

import (
	"fmt"
	"slices"
)

// obstacles explains why no walk was found.
func (w *walk) obstacles() []Refusal {
	if w.search(w.ask.AllowReduced, true) {
		return w.unsteered()
	}
	all := w.start.all()
	if !w.lands(all) && !(w.ask.AllowReduced && w.mayReduce(w.start)) {
		return w.unusable(all)
	}
	var no refusals
	moved := len(w.start.left) - w.fewest
	no.add(ReasonTooFewNodes, "%s to be moved, but in whatever order places are found for %d only; each needs a target pool on a node with no other replica of the volume; add target pools on other nodes",
		count(len(w.start.left), "replica is", "replicas are"), moved)
	// What is merely taken by a replica that can move is no obstacle of its own.
	for _, r := range w.unusable(w.start.there) {
		if r.Reason != ReasonNoFreeNode {
			no = append(no, r)
		}
	}
	return no
}

// unsteered names the replicas that the server might give up in place of each
// victim. A walk would exist if it did not.
func (w *walk) unsteered() []Refusal {
	var no refusals
	for _, victim := range w.start.left {
		all := w.start.all()
		for first := range w.landing(all) {
			all = w.start.with(first.ref()).all()
			break
		}
		if s, rival := w.removal.steer(victim, all); s == astray {
			no.add(ReasonRemovalAmbiguous, "Mayastor cannot be made to give up the replica on pool %s and no other: %s", victim.Pool, w.removal.rivalry(victim, rival, all))
		}
	}
	if len(no) == 0 {
		no.add(ReasonRemovalAmbiguous, "Mayastor cannot be made to give up the old replicas one after the other, and no others; look for cordoned nodes and for pools and nodes that do not match the volume's topology")
	}
	return no
}

// unusable says of each target pool what is in the way, in one refusal for each
// reason.
func (w *walk) unusable(beside []ReplicaRef) []Refusal {
	type group struct {
		first, text string
		more        []string
	}
	groups := map[Reason]*group{}
	placed := w.beside(beside)
	for _, id := range slices.Compact(slices.Sorted(slices.Values(w.ask.Targets))) {
		no := w.obstacle(id, placed, w.ask.MaxUsedPercent)
		if no == nil {
			continue
		}
		if g := groups[no.reason]; g != nil {
			g.more = append(g.more, id)
		} else {
			groups[no.reason] = &group{first: id, text: w.obstacleText(id, no)}
		}
	}
	var no refusals
	for _, reason := range landingReasons() {
		g := groups[reason]
		if g == nil {
			continue
		}
		likewise := ""
		if len(g.more) > 0 {
			likewise = fmt.Sprintf(" (likewise %s)", enumerate(g.more))
		}
		no.add(reason, "target pool %s %s%s; %s", g.first, g.text, likewise, w.remedy(reason))
	}
	return no
}

// landingReasons in the order in which they are told: what could be mended
// before that nodes are taken, which is often true of some pools beside.
func landingReasons() []Reason {
	return []Reason{
		ReasonPoolUnknown, ReasonPinnedTopology, ReasonNodeNotAllowed, ReasonNodeTopology, ReasonEncryption, ReasonPoolTooSmall,
		ReasonNodeNotOnline, ReasonPoolNotOnline, ReasonNodeCordoned, ReasonPoolCordoned,
		ReasonPoolFull, ReasonPoolOvercommit, ReasonPoolUsedPercent,
		ReasonSpreadTopology, ReasonAffinityKey, ReasonNoFreeNode,
	}
}

// remedy is what to do about target pools rejected for a reason.
func (w *walk) remedy(r Reason) string {
	switch r {
	case ReasonPoolUnknown:
		return "correct the names of the target pools"
	case ReasonPinnedTopology, ReasonNodeNotAllowed, ReasonNodeTopology:
		return "Mayastor fixes a volume's topology when it is created, so it can only move to what matches; use a StorageClass that names no tier for volumes that are to move"
	case ReasonEncryption:
		return "use target pools with the encryption of the volume"
	case ReasonPoolTooSmall:
		return "use larger target pools"
	case ReasonNodeNotOnline:
		return "wait until the node is back"
	case ReasonPoolNotOnline:
		return "wait until the pool is Online"
	case ReasonNodeCordoned:
		return "uncordon the node"
	case ReasonPoolCordoned:
		return "uncordon the pool"
	case ReasonPoolFull, ReasonPoolOvercommit:
		return "free space on it, or enlarge it"
	case ReasonPoolUsedPercent:
		return "free space on it, enlarge it, or raise maxPoolUsedPercent"
	case ReasonSpreadTopology, ReasonAffinityKey:
		return "add a node with a target pool whose labels suit"
	default:
		return w.freeNode()
	}
}

// freeNode is what to do when every node with a target pool is taken.
func (w *walk) freeNode() string {
	const add = "add a node with a target pool"
	switch n := len(w.start.all()); {
	case n < 3:
		return add + ", as a volume with fewer than 3 replicas never gives one up first"
	case w.ask.AllowReduced:
		return add
	}
	if w.search(true, false) {
		return add + ", or set allowReducedRedundancy to give one copy up before the new one is there"
	}
	return add
}
