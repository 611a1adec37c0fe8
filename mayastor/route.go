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

// Route plans the whole move of a volume: a step for each replica that is not
// on a target pool, or every reason why it may not begin, never both. Neither
// means that all is on target already. It is pure, and the only home of the
// preconditions (MS 5.4.1, 5.7), the placement filters (MS 4.3) and the removal
// order (MS 4.5).
func Route(v Volume, pools []Pool, nodes []Node, ask Ask, capability Capability) ([]Step, []Refusal) {
	no := refusals(Healthy(v))
	no.add("NotPlanned", "moves are not planned yet")
	return nil, no
}

// RemovalOrder predicts in which order -1 removes the replicas (MS 4.5).
func RemovalOrder(v Volume, nodes []Node, pools []Pool, capability Capability) []ReplicaRef {
	return nil
}

// FirstVictim predicts which replica -1 removes; the second result is false
// where another may be as likely.
func FirstVictim(v Volume, nodes []Node, pools []Pool, capability Capability) (ReplicaRef, bool) {
	return ReplicaRef{}, false
}

// Candidate is one pool and why the server would not place a replica there; an
// empty Reject means that it may.
type Candidate struct{ Pool, Reject string }

// Candidates judges each pool for one more replica of the volume (MS 4.3).
func Candidates(v Volume, pools []Pool, nodes []Node) []Candidate { return nil }
