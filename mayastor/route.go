package mayastor

import "slices"

// Capability says what the server's version lets a mover steer (MS 5.1).
type Capability struct {
	// PoolCordon: placement can be steered by cordoning pools (>= 2.10).
	PoolCordon bool
	// Removal: a replica on a cordoned node is removed first (>= 2.9); implied
	// by PoolCordon, else the operator's word.
	Removal bool
	// Source says how this is known, for people.
	Source string
}

// Ask is one move as asked for.
type Ask struct {
	// Targets are the pools of the tier to reach. Replicas on them stay.
	Targets []string
	// MoveSnapshots lets a volume with snapshots move; they stay behind.
	MoveSnapshots bool
	// AllowReduced lets a volume with a replica on every node give one up first.
	AllowReduced bool
	// MaxUsedPercent of a target pool after the move; 0 means 100.
	MaxUsedPercent int
}

// StepKind says in which order a step works.
type StepKind uint8

// The kinds of step.
const (
	// AddFirst: +1, wait for sync, -1.
	AddFirst StepKind = iota
	// RemoveFirst: -1, then +1 on the freed node, never below 2 synced copies.
	RemoveFirst
)

// Step moves one replica.
type Step struct {
	Kind StepKind
	// Victim is the replica to give up.
	Victim ReplicaRef
	// Landing lists, sorted, the target pools the new replica may land on.
	Landing []string
	// Cordon lists, sorted, the other pools that would be candidates and must
	// be kept out by a cordon while the +1 is placed.
	Cordon []string
	// CordonNode is the victim's node if the -1 has to be steered by cordoning
	// it, else "".
	CordonNode string
}

// ReplicaRef names a replica and where it is.
type ReplicaRef struct {
	UUID string `json:"uuid"`
	Pool string `json:"pool"`
	Node string `json:"node"`
}

// Refusal is why a volume is not moved: a machine-readable reason and a
// sentence that says what, why and what to do next.
type Refusal struct {
	Reason   Reason
	Sentence string
}

// Reason is a machine-readable CamelCase word.
type Reason string

// Route plans the whole move of a volume: a step for each replica that is not
// on a target pool, or every reason why it may not begin, never both. Neither
// means that all is on target already. It is pure, and the only home of the
// preconditions (MS 5.4.1, 5.7), the placement filters (MS 4.3) and the removal
// order (MS 4.5).
//
// The steps are walked through: each gives up a node that a later one may land
// on, and a pool is only in Landing if the rest of the move works from there,
// too. Later steps assume the first pool of each Landing before them, so ask
// again before each step.
func Route(v Volume, pools []Pool, nodes []Node, ask Ask, capability Capability) ([]Step, []Refusal) {
	return NewCluster(pools, nodes).Route(v, ask, capability)
}

// Route is the function of the same name, for many volumes of one reading.
func (c *Cluster) Route(v Volume, ask Ask, capability Capability) ([]Step, []Refusal) {
	p := placementOf(v, c)
	w := walkOf(p, removalIn(v, c, capability), ask, capability)
	if w.arrived() {
		return nil, nil
	}
	no := refusals(Healthy(v))
	no = append(no, c.unrest(v)...)
	no = append(no, w.unasked()...)
	// Of a volume whose replicas are not all known a walk would tell nonsense.
	if v.Spec.NumReplicas != len(v.State.Replicas) || len(v.State.Replicas) == 0 || slices.ContainsFunc(p.placed(), ReplicaRef.nowhere) {
		return nil, no
	}
	if len(ask.Targets) == 0 {
		return nil, no
	}
	w.survey()
	steps, ok := w.find()
	if !ok {
		no = append(no, w.obstacles()...)
	}
	if len(no) > 0 {
		return nil, no
	}
	return steps, nil
}

// nowhere says whether it is not known where the replica is.
func (r ReplicaRef) nowhere() bool { return r.Node == "" || r.Pool == "" }

// unasked returns why the move as it was asked for is none to make (MS 4.9, 5.1).
func (w *walk) unasked() []Refusal {
	var no refusals
	v := w.v
	if !w.steerable() {
		no.add(ReasonUnsupportedVersion, "which replica a removal takes cannot be steered: %s", w.capability.Source)
	}
	if len(w.ask.Targets) == 0 {
		no.add(ReasonNoTargetPools, "no pool belongs to the tier to reach; label its pools, or correct the policy's selector")
	}
	if v.Spec.NumSnapshots > 0 && !w.ask.MoveSnapshots {
		no.add(ReasonSnapshots, "the volume has %s, which would stay behind on the old pools and keep their space; delete them, or set volumesWithSnapshots to Move", count(v.Spec.NumSnapshots, "snapshot", "snapshots"))
	}
	if v.Spec.AffinityGroup != nil && v.Spec.NumReplicas < 2 {
		no.add(ReasonAffinityGroup, "the volume belongs to affinity group %s, and Mayastor does not let one of those go from 2 replicas to 1 again; give it 2 replicas first", v.Spec.AffinityGroup.ID)
	}
	return no
}
