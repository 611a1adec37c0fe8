package mayastor

import "time"

// The annotations by which a migrator leaves its record.
const (
	// AttemptAnnotation of a PersistentVolume holds an [Attempt] as JSON.
	AttemptAnnotation = "storage.billyronks.io/attempt"
	// LastMigrationAnnotation of a PersistentVolume holds the RFC 3339 time at
	// which a replica of it last changed pool.
	LastMigrationAnnotation = "storage.billyronks.io/last-migration"
	// ResultAnnotation of a Job holds a [Result] as JSON.
	ResultAnnotation = "storage.billyronks.io/result"
)

// Attempt is the memory of a volume: what was last tried with it. It is
// written with state started before the first side effect, and again once
// nothing of the attempt is left to clean up.
type Attempt struct {
	// N numbers the attempts of the volume, over all policies, from 1.
	N int64 `json:"n"`
	// Move is the id that joins the audit lines of one move.
	Move   string `json:"move"`
	Policy string `json:"policy,omitempty"`
	// Generation is the policy's generation when the Job was made.
	Generation int64 `json:"generation,omitempty"`
	// From and To are tiers.
	From  string `json:"from,omitempty"`
	To    string `json:"to,omitempty"`
	State State  `json:"state"`
	// Reason is machine-readable; empty for started and moved.
	Reason string `json:"reason,omitempty"`
	// Error is a sentence; empty for started and moved.
	Error string `json:"error,omitempty"`
	// Failures counts failures in a row; refused and aborted leave it alone,
	// but for a crash that had to be recovered; moved sets it to 0.
	Failures int64     `json:"failures"`
	At       time.Time `json:"at"`
	// ByHand is true if a person ran it, and no Job.
	ByHand bool `json:"byHand,omitempty"`
	// Replicas is num_replicas when the attempt began, and what it must be at
	// its end. It is there while the state is started, and 0 where nobody wrote
	// it down; of another attempt it says nothing.
	Replicas int `json:"replicas,omitempty"`
}

// State is what became of an attempt.
type State string

// The states. Refused means nothing was touched. Aborted means that a person,
// a signal or a stop ended it at a safe place. Started without a live migrator
// means that somebody has to clean up.
const (
	Started State = "started"
	Moved   State = "moved"
	Failed  State = "failed"
	Refused State = "refused"
	Aborted State = "aborted"
)

// Result is what a migrator reports when its volume is at rest again.
type Result struct {
	N      int64  `json:"n"`
	Move   string `json:"move"`
	Volume string `json:"volume"`
	Policy string `json:"policy,omitempty"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	// State is any but started.
	State State `json:"state"`
	// Recovered is true if this finished or undid what another attempt left.
	Recovered bool `json:"recovered,omitempty"`
	// Reason is machine-readable, Error a sentence; both empty when moved.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
	// FromPools and ToPools are the distinct pools left and reached, sorted.
	FromPools []string `json:"fromPools,omitempty"`
	ToPools   []string `json:"toPools,omitempty"`
	// Replicas counts those that changed pool.
	Replicas int `json:"replicas"`
	// Bytes is the volume's size times Replicas; a rebuild of a thin volume
	// copies less.
	Bytes    int64     `json:"bytes,omitempty"`
	Failures int64     `json:"failures"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
}
