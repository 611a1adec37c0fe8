package tiering

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Input is all that a decision depends on. Neither [Decide] nor a [Plan]
// changes it, and the plan refers to it as long as it lives.
type Input struct {
	// Now is the only clock.
	Now time.Time
	// Policy is the policy that asks, with its name and generation.
	Policy Policy
	// Others are the other policies of the cluster that compile, those that are
	// disabled or being deleted included. The policy that asks may be among them,
	// also as it was before; it is left out.
	Others *Policies
	World  *World
	// Volumes are all volumes of the cluster that concern the policy (see
	// [Policy.Concerns]), in any order; none is nil. They may be shared between
	// inputs. A plan that is kept holds on to those it decided on, so they should
	// not lie in one array with many others.
	Volumes []*Volume
	// Route is asked for each volume that wants to move and passed the gates
	// before it; it must be pure. nil refuses every move.
	Route func(v *Volume, to Tier, pools []string) Route
	// Candidates judges, for an explanation, each of the pools as a place for
	// one more replica of a volume. It is asked once and returns what judges, or
	// nil for a volume it does not know; that is pure, holds on to no more than
	// it needs of what the input refers to, and is called only if somebody asks.
	// nil explains no pool.
	Candidates func(v *Volume, pools []string) func() []Candidate
	Limits     Limits
	// Finalizing is true once the policy is being deleted: nothing new starts.
	Finalizing bool
	// Approve is the value of the policy's [ApproveAnnotation]; "" for none.
	Approve string
	// Governed is what the cluster's operators hold the policy to; nil where no
	// governance is configured: then the policy acts at once and as it says.
	Governed *Governed
	// Broken are the names of the policies that exist but do not compile. They
	// win no volume, and still own the recovery of what they started.
	Broken []string
	// Previous is the status in the request, which the dry-run clock is read
	// from; nil for none.
	Previous *StoragePolicyStatus
	// Conditions go into the status beside those of the plan, and win over
	// them by type. Their times and generation are ignored.
	Conditions []metav1.Condition
}

// Policy is a compiled policy.
type Policy struct {
	Name string
	// UID is that of the object, so that one that was created anew is another;
	// Compile leaves it empty.
	UID        string
	Generation int64
	Created    time.Time
	Rules      Rules
}

// Limits are what the operator of the service decided.
type Limits struct {
	// MaxConcurrentMigrations over all policies.
	MaxConcurrentMigrations int
	// RebuildBytesPerSecond is the expected speed of a rebuild.
	RebuildBytesPerSecond int64
	// Settle is how long pools and nodes must have been Online.
	Settle time.Duration
	// DryRun makes every policy decide without acting.
	DryRun bool
}

// Route is the verdict of mayastor.Route on a whole move.
type Route struct {
	// Refusals are sentences; empty means that every replica has a step. Status
	// keeps the first one it saw while Reason stays the same, so that a figure
	// in it does not write status each round.
	Refusals []string
	// Reason is a machine-readable word when refused.
	Reason string
	// Landing lists, sorted, each pool a new replica may land on; all are pools
	// of the tier to reach.
	Landing []string
	// Replicas is how many replicas have to move.
	Replicas int
}

// Act is what becomes of a volume.
type Act uint8

// The acts. Hold is the zero value.
const (
	// Hold: the volume's tier is unknown or a gate holds its wish to move.
	Hold Act = iota
	// Stay: the volume is where it belongs.
	Stay
	// Move: a Job should start now.
	Move
	// WouldMove: the same, in dry run.
	WouldMove
	// Moving: a Job works on it.
	Moving
	// Recover: an earlier attempt left it unclean; a recovery Job should start now.
	Recover
)

// Decision is what was decided for one volume and why.
type Decision struct {
	Volume *Volume
	// From is where all replicas are; NoTier with Mixed false if on no tier's
	// pool or not known.
	From  Tier
	Mixed bool
	// Selected is false for a volume that the policy does not select (any
	// more) and that is here because of its Job or its recovery.
	Selected bool
	// To is the tier the volume belongs on; NoTier if unknown, or if it is on
	// no tier's pool and may stay there.
	To  Tier
	Act Act
	// Winner is the name of the policy that wins the volume instead of this
	// one; empty if this one does or does not select it.
	Winner string
	// ThresholdIOPS is the edge that the score crossed; 0 if none was.
	ThresholdIOPS float64
	// Held is the first gate that did not pass; its Gate is NoGate if none.
	// It is GateNotLive for Moving and GateClean for Recover, whatever the
	// gates before say.
	Held Verdict
	// N numbers the Job to start for Move and Recover; 0 otherwise.
	N int64
	// TargetPools, sorted, are the pools of the tier To for Move and WouldMove.
	TargetPools []string
	// StartBy, for Move, is when it has to have started to end before the
	// maintenance window closes; zero where there are no windows.
	StartBy time.Time
	// Route of the move for Move and WouldMove, and for what is held by a gate
	// after route; nil for all others. It is never changed.
	Route *Route
}
