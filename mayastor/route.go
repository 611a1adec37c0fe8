package mayastor

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
