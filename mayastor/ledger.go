package mayastor

import (
	"context"
	"errors"
	"time"
)

// Ledger is where the migrators of a cluster agree on who works on which
// volume, how many may, and who may steer placement now. Two implementations
// exist: a directory, for use by hand, and Leases in the cluster.
type Ledger interface {
	// Lock takes the lock of one volume and waits for it until ctx ends.
	// An error of the wait names the holder if it is known.
	Lock(ctx context.Context, volume string) (Lock, error)
}

// Lock is the right to work on one volume, together with everything that is
// remembered of it. It is for one goroutine. A method that fails with
// [ErrLockLost] means that somebody else may work on the volume now: no side
// effect may follow.
type Lock interface {
	// Journal is what the last holder left, or nil when the volume is clean.
	Journal() *Journal
	// Write makes the journal durable. No side effect may be caused unless the
	// Write before it succeeded.
	Write(ctx context.Context, j *Journal) error
	// Guard bounds a side effect by the time for which the lock is certainly
	// held; it fails if that time is over.
	Guard(ctx context.Context) (context.Context, context.CancelFunc, error)

	// Memory returns what was last tried with the volume; zero for nothing.
	Memory(ctx context.Context) (Attempt, error)
	// Remember replaces it. moved, if not zero, is when a replica last changed
	// pool; it is kept as it was when zero.
	Remember(ctx context.Context, a Attempt, moved time.Time) error
	// Report leaves the result where the planner looks for it.
	Report(ctx context.Context, r Result) error

	// Admit enters the move among those that run, or fails with
	// [ErrNotAdmitted]. It may be called again for the same volume: what is
	// entered keeps its place.
	Admit(ctx context.Context, a Admission) error
	// Place takes the placement lock, of which the cluster has one: cordons
	// exist only while it is held. It waits until ctx ends.
	Place(ctx context.Context) (Placement, error)

	// Release gives up admission, journal and lock. The journal is gone then.
	Release(ctx context.Context) error
	// Abandon gives up the lock and leaves journal and admission to the next
	// holder.
	Abandon()
}

// Placement is the right to set cordons. It is held for seconds.
type Placement interface {
	// Leftovers are the cordons that the last holder's record names.
	Leftovers() Cordons
	// Record makes durable which cordons are about to be up; it is written
	// before they are set and after they are lifted.
	Record(ctx context.Context, c Cordons) error
	// Label is the node label to cordon with; it starts with Prefix and
	// differs between holders.
	Label() string
	// Prefix begins every label of this ledger's migrators and of nobody
	// else's, so that whoever holds the lock may lift all of them.
	Prefix() string
	// Guard bounds the lifting of our cordons by the time for which nobody
	// else can have taken the lock; it fails if that time is over.
	Guard(ctx context.Context) (context.Context, context.CancelFunc, error)
	// Release gives the placement lock up.
	Release(ctx context.Context) error
}

// The prefixes of our node cordon labels, one for each kind of ledger: those
// who share no ledger must not lift each other's cordons. LabelPrefix also
// begins the names of Jobs and moves.
const (
	LabelPrefix      = "couchestor-"
	LocalLabelPrefix = "couchestorlocal-"
)

// Cordons are the cordons of ours that may be up.
type Cordons struct {
	// Pools whose flag replicas was not set before.
	Pools []string `json:"pools,omitempty"`
	// Nodes with the label they may carry.
	Nodes []NodeLabel `json:"nodes,omitempty"`
}

// NodeLabel is one owner's cordon of a node.
type NodeLabel struct {
	Node  string `json:"node"`
	Label string `json:"label"`
}

// empty reports whether nothing may be up.
func (c Cordons) empty() bool { return len(c.Pools) == 0 && len(c.Nodes) == 0 }

// Admission is one move as the caps see it.
type Admission struct {
	Volume string `json:"volume"`
	// Bytes is the volume's size times the replicas that have to move.
	Bytes int64 `json:"bytes"`
	// FromNodes and ToPools, sorted, are what the move loads.
	FromNodes []string `json:"fromNodes,omitempty"`
	ToPools   []string `json:"toPools,omitempty"`
	// Caps are checked with the entry made, in one atomic change.
	Caps Caps `json:"-"`
}

var (
	// ErrNotAdmitted is returned by Lock.Admit when a cap is reached.
	ErrNotAdmitted = errors.New("not admitted")
	// ErrLockLost is returned by the methods of a Lock or Placement that is no
	// longer certainly held.
	ErrLockLost = errors.New("lock lost")
)
