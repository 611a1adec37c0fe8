package tiering

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Source is the state of one thing the world is read from. The zero value
// means the source was never read with success.
type Source struct {
	// OK is true while the last good reading is fresh enough to act on.
	OK bool
	// Since is since when it has been OK without a break, as its reader saw it;
	// zero if that is not known.
	Since time.Time
	// Reason is a CamelCase word for a condition, such as QueryFailed.
	Reason string
	// Message is a sentence for people; it holds no age and no live figure.
	Message string
}

// World is what the sources said of the whole cluster, apart from volumes.
// It is shared between policies and never changed after it was built.
type World struct {
	Metrics  Source
	Mayastor Source
	// Kubernetes is nil if the volumes came with the request, and so are as fresh
	// as that.
	Kubernetes *Source
	// ReadAt is when the reading of Mayastor began, by the reader's clock; zero
	// if not known.
	ReadAt time.Time
	// ScoresReadAt is when the reading of Prometheus in use began; zero if not
	// known. It is for explanations alone.
	ScoresReadAt time.Time
	// Movable is empty if the server's version lets moves be steered (MS 5.3),
	// else a sentence that says which version would do. It holds moves, and lets
	// a dry run show them.
	Movable string
	// Steering says, for explanations, by what it is known that moves can be
	// steered, while Movable is empty.
	Steering string
	// Unsettled is empty, or why nothing should move in the whole cluster now:
	// mixed io-engine versions, a running upgrade, a pool drain.
	Unsettled string
	// Pools and Nodes are sorted by name.
	Pools []Pool
	Nodes []Node
}

// Pool is a Mayastor pool.
type Pool struct {
	Name   string
	Node   string
	Labels labels.Set
	// Conflict is empty, or says which label of the pool its sources
	// contradict each other on; such a pool is in no tier.
	Conflict string
	// Online is true only for status Online with its numbers present.
	Online bool
	// OnlineSince is when this reader saw it go Online without a break; zero
	// when it is not.
	OnlineSince time.Time
	// CapacityBytes, UsedBytes and CommittedBytes are 0 when unknown.
	CapacityBytes  int64
	UsedBytes      int64
	CommittedBytes int64
}

// Node is a Mayastor io-engine node.
type Node struct {
	Name        string
	Online      bool
	OnlineSince time.Time
	Cordoned    bool
	Draining    bool
	Version     string
}

// Volume is a PersistentVolume of a Mayastor storage class, joined with its
// claim, with what Mayastor says of it, its score and its memory. The zero
// value of each part means unknown and holds the volume.
type Volume struct {
	// Name is the PersistentVolume's, UUID its volumeHandle.
	Name, UUID string
	// ClaimNamespace and ClaimName are empty while unbound.
	ClaimNamespace, ClaimName string
	StorageClass              string
	// Labels are those of the PersistentVolume joined with the claim's; the
	// claim's win. nil when there are none.
	Labels labels.Set
	// Deleting is true once the PersistentVolume has a deletion timestamp.
	Deleting bool

	// Listed is true if Mayastor lists the volume; the fields up to Snapshots
	// are meaningless otherwise.
	Listed bool
	// SizeBytes of 0 is unknown and goes nowhere. AllocatedBytes, by the
	// fullest replica of a thin volume, counts as SizeBytes when it is 0.
	SizeBytes      int64
	AllocatedBytes int64
	Thin           bool
	Replicas       []Replica
	// The next three become part of sentences in status, so they hold no figure
	// that changes from minute to minute, such as the progress of a rebuild.
	//
	// Unpublished is empty if the volume has a live target, else why not.
	Unpublished string
	// Unhealthy is empty if every replica is online and in sync, else why not.
	Unhealthy string
	// Content is empty unless the volume's content forbids a move: a clone
	// that was never published (MS 4.7).
	Content string
	// Snapshots counts the volume's snapshots.
	Snapshots int

	// Sample is the volume's score over the policy's window.
	Sample Sample

	// Memory is what is remembered of the volume, nil if nothing is, as of most:
	// that is why it lies apart.
	Memory *Memory
	// Live is the Job of any policy that now works on the volume, or nil.
	Live *LiveJob
}

// Replica is one copy of a volume.
type Replica struct {
	UUID, Pool, Node string
}

// LiveJob is a Job without a result that has neither completed nor failed.
type LiveJob struct {
	Name, Policy string
	// From and To are the tiers of the move; NoTier for a recovery.
	From, To Tier
	Recovery bool
	// TargetPools are the pools a new replica may land on; while they are not
	// known, the pools of the tier To of the named policy count, and if that is
	// gone too, all pools.
	TargetPools []string
	// ScoreIOPS is the score that caused it.
	ScoreIOPS float64
	Started   time.Time
	// Wanted is when the plan first showed the wish; zero if not known.
	Wanted time.Time
	// Deadline is when the Job is ended if it has not by itself; zero if not
	// known.
	Deadline time.Time
}

// Claim returns namespace/name of the bound claim, or "" while unbound.
func (v *Volume) Claim() string {
	if v.ClaimName == "" {
		return ""
	}
	return v.ClaimNamespace + "/" + v.ClaimName
}

// Memory is what the volume's annotations, its Jobs and the history remember of
// it. It may be shared and is never changed.
type Memory struct {
	Attempt Attempt
	// LastMigration is the time a replica last changed pool, zero if none ever did.
	LastMigration time.Time
	// Fault is empty, or a sentence that says why the memory cannot be read and
	// what to do.
	Fault string
	// LastN is the greatest attempt number seen anywhere: on the volume, in
	// each Job of it, in the history.
	LastN int64
}

// Remembered is the volume's memory; the zero Memory, not nil, if it has none. It
// must not be changed.
func (v *Volume) Remembered() *Memory {
	if v.Memory == nil {
		return &Memory{}
	}
	return v.Memory
}

// Attempt is the volume's own memory of what was last tried with it. The zero
// value means that nothing was ever attempted.
type Attempt struct {
	// N numbers the attempts of the volume, over all policies, from 1.
	N int64
	// Policy is the name of the policy that started it.
	Policy string
	// To is the tier the volume was to go to.
	To string
	// State is started, moved, failed, refused or aborted.
	State AttemptState
	// Failures counts failures in a row.
	Failures int64
	// Generation is the policy's generation at the attempt; after too many
	// failures only another generation tries again.
	Generation int64
	// Reason is the machine-readable reason of any state but started and moved.
	Reason string
	// At is when the state was written.
	At time.Time
}

// AttemptState is what became of an attempt.
type AttemptState string

// The states of an attempt. Refused means that nothing was touched; started
// without a live Job means that somebody has to clean up.
const (
	AttemptStarted AttemptState = "started"
	AttemptMoved   AttemptState = "moved"
	AttemptFailed  AttemptState = "failed"
	AttemptRefused AttemptState = "refused"
	AttemptAborted AttemptState = "aborted"
)

// Scores are one reading of how busy every volume is over one window. It is
// shared and never changed after it was built.
type Scores struct {
	Source Source
	// ReadAt is when the reading began; zero if not known.
	ReadAt time.Time
	// Samples by PersistentVolume name; a volume without one is unknown.
	Samples map[string]Sample
}
