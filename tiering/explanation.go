package tiering

import (
	"time"
)

// Explanation says what was decided for one policy, and why: it is what plan,
// explain and the service's /explain print. It is made of a [Plan] and the
// status that came with it, and of nothing else, so that all of them say the
// same. Its JSON is stable: fields are added, not changed.
type Explanation struct {
	Policy     string `json:"policy"`
	Generation int64  `json:"generation"`
	// DecidedAt is the plan's own now; AgeSeconds is set by whoever prints it.
	DecidedAt  time.Time `json:"decidedAt"`
	AgeSeconds float64   `json:"ageSeconds"`
	Phase      Phase     `json:"phase"`
	Mode       string    `json:"mode,omitempty"`
	ModeReason string    `json:"modeReason,omitempty"`
	// Sources are Prometheus, Mayastor and, where it is read by itself and did
	// not come with a request, Kubernetes.
	Sources []SourceExplanation `json:"sources"`
	// Notes are the conditions of the status that are out of the ordinary.
	Notes  []Note `json:"notes,omitempty"`
	Counts Counts `json:"counts"`
	// Volumes: first what moves, then what wants to and is held, then what is
	// not known, then what stays; by claim within each.
	Volumes []VolumeSummary `json:"volumes"`
	// Moves that run, in the order of volumes, then those planned, in the order
	// in which they start.
	Moves []MoveExplanation `json:"moves"`
	// Tiers, hottest first, then the pools that are in none.
	Tiers []TierExplanation `json:"tiers"`
	// Watermarks are absent where the policy has faults; so is
	// MaxPoolUsedPercent, up to which moves fill a pool.
	Watermarks         *Watermarks `json:"watermarks,omitempty"`
	MaxPoolUsedPercent int         `json:"maxPoolUsedPercent,omitempty"`
	// History and Results are those of the status: the last results, newest
	// first, and counts of all.
	History []HistoryEntry `json:"history,omitempty"`
	Results []ResultCount  `json:"results,omitempty"`
}

// Watermarks are the scores at which the bands of a policy meet, in IOPS.
type Watermarks struct {
	High int64 `json:"highIOPS"`
	// Warm is 0 where there is no warm tier.
	Warm int64 `json:"warmIOPS,omitempty"`
	Low  int64 `json:"lowIOPS"`
}

// SourceExplanation is the state of one thing the decision was made of.
type SourceExplanation struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// ReadAt is when the reading in use began; zero if not known.
	ReadAt  time.Time `json:"readAt,omitzero"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	// Supports says what the source lets be done, or which version would.
	Supports string `json:"supports,omitempty"`
}

// Note is a condition in words.
type Note struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// Counts of the volumes by what was decided.
type Counts struct {
	Volumes int `json:"volumes"`
	// Moves are those to start now, or in dry run those that would.
	Moves   int `json:"moves"`
	Moving  int `json:"moving"`
	Recover int `json:"recover"`
	// Held want to move, and a gate holds them.
	Held int `json:"held"`
	// Unknown have no score that may be acted on.
	Unknown int `json:"unknown"`
	Stay    int `json:"stay"`
}

// VolumeSummary is a volume's row in the table of its policy.
type VolumeSummary struct {
	// Volume is the name of the PersistentVolume, Claim namespace/name of the
	// bound claim.
	Volume string `json:"volume"`
	Claim  string `json:"claim,omitempty"`
	UUID   string `json:"uuid"`
	// Tier is where it is: hot, warm, cold, mixed or none; To is where it
	// belongs, none if that is not known.
	Tier string `json:"tier"`
	To   string `json:"to"`
	// ScoreIOPS and CoveragePercent are absent while there is no score.
	ScoreIOPS       *float64 `json:"scoreIOPS,omitempty"`
	CoveragePercent *float64 `json:"coveragePercent,omitempty"`
	// Band is the tier that the score alone asks for, stay, or unknown.
	Band string `json:"band"`
	// Decision is Hold, Stay, Move, WouldMove, Moving or Recover.
	Decision string `json:"decision"`
	// Gate is the first that holds it, and OpensAt when that opens by itself.
	Gate    string    `json:"gate,omitempty"`
	OpensAt time.Time `json:"opensAt,omitzero"`
	// Reason is a sentence.
	Reason string `json:"reason"`
}

// MoveExplanation is one move that runs or is planned.
type MoveExplanation struct {
	// Order counts from 1 in the order of start; 0 for a move that runs.
	Order  int    `json:"order"`
	Volume string `json:"volume"`
	Claim  string `json:"claim,omitempty"`
	// Action is Move, WouldMove, Moving or Recover.
	Action string `json:"action"`
	From   string `json:"from"`
	To     string `json:"to"`
	// SourcePools hold the replicas that are to go, TargetPools are those on
	// which Mayastor may place the new ones; it chooses among them.
	SourcePools []string `json:"sourcePools"`
	TargetPools []string `json:"targetPools"`
	// Replicas is how many have to move, CopyBytes what all their rebuilds
	// read, ExpectedSeconds how long that takes at the expected rate, one after
	// the other. Of a move that runs they are those of its beginning, and 0
	// where that is not known.
	Replicas        int     `json:"replicas"`
	CopyBytes       int64   `json:"copyBytes"`
	ExpectedSeconds float64 `json:"expectedSeconds"`
	// Job is that of a move that runs, Started when it was made.
	Job     string    `json:"job,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Reason  string    `json:"reason"`
}

// TierExplanation is how full one tier is.
type TierExplanation struct {
	// Tier is hot, warm, cold, or none for the pools that are in no tier.
	Tier string `json:"tier"`
	// Sums over the pools whose figures are known.
	CapacityBytes int64   `json:"capacityBytes"`
	UsedBytes     int64   `json:"usedBytes"`
	UsedPercent   float64 `json:"usedPercent"`
	// AfterBytes is used once the planned moves have ended: what they copy has
	// come, and what they leave is gone, but for what snapshots keep. Moves that
	// run are not in it, as what of them is in UsedBytes already is not known.
	AfterBytes   int64             `json:"afterBytes"`
	AfterPercent float64           `json:"afterPercent"`
	Pools        []PoolExplanation `json:"pools"`
}

// PoolExplanation is how full one pool is.
type PoolExplanation struct {
	Pool   string `json:"pool"`
	Node   string `json:"node"`
	Online bool   `json:"online"`
	// CapacityBytes of 0 means that the figures are not known.
	CapacityBytes int64   `json:"capacityBytes"`
	UsedBytes     int64   `json:"usedBytes"`
	UsedPercent   float64 `json:"usedPercent"`
	// ReservedBytes is what moves that run and moves planned may put there at
	// most: each may land on one of several pools, and is counted on all.
	ReservedBytes int64 `json:"reservedBytes"`
	// Note says why the pool is in no tier, if somebody might expect it in one.
	Note string `json:"note,omitempty"`
}

// VolumeExplanation says all there is to say of one volume: every gate with
// what it saw, asks for and when it opens, every pool it could go to, and what
// was done with it before.
type VolumeExplanation struct {
	Policy     string    `json:"policy"`
	Generation int64     `json:"generation"`
	DecidedAt  time.Time `json:"decidedAt"`
	AgeSeconds float64   `json:"ageSeconds"`
	VolumeSummary
	// Sentence sums the decision up.
	Sentence string `json:"sentence"`
	// Winner is the policy that wins the volume, if it is another one.
	Winner string `json:"winner,omitempty"`
	// Listed is false if Mayastor does not show the volume; then nothing is
	// known of its size and replicas.
	Listed         bool  `json:"listed"`
	SizeBytes      int64 `json:"sizeBytes"`
	AllocatedBytes int64 `json:"allocatedBytes"`
	Thin           bool  `json:"thin"`
	Snapshots      int   `json:"snapshots"`
	// Replicas in the order of their pools.
	Replicas []ReplicaExplanation `json:"replicas"`
	// Gates are all of them, in the order in which they are asked.
	Gates []GateExplanation `json:"gates"`
	// Candidates are the pools of the tier To, each as a place for one more
	// replica. nil if the volume has no other tier to go to, or nothing is
	// known of its places.
	Candidates []Candidate `json:"candidates,omitempty"`
	// Move is the volume's, if it has one.
	Move   *MoveExplanation  `json:"move,omitempty"`
	Memory MemoryExplanation `json:"memory"`
	// History are the volume's last moves by this policy, newest first.
	History []HistoryEntry `json:"history,omitempty"`
}

// ReplicaExplanation is one copy of the volume.
type ReplicaExplanation struct {
	UUID string `json:"uuid"`
	Pool string `json:"pool"`
	Node string `json:"node"`
	Tier string `json:"tier"`
}

// GateExplanation is what one gate says of one volume.
type GateExplanation struct {
	Gate string `json:"gate"`
	// Pass is true also for a gate that has nothing to ask, for which Asked is
	// false.
	Pass    bool      `json:"pass"`
	Asked   bool      `json:"asked"`
	Have    string    `json:"have"`
	Want    string    `json:"want,omitempty"`
	OpensAt time.Time `json:"opensAt,omitzero"`
	// Sentence names the gate and says what to do next.
	Sentence string `json:"sentence"`
}

// Candidate is a pool as a place for one more replica of a volume.
type Candidate struct {
	Pool string `json:"pool"`
	Node string `json:"node"`
	// Reject says why no replica can be placed there, to complete "the pool
	// ..."; empty if one can. Reason is the same for machines.
	Reject string `json:"reject,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// MemoryExplanation is what is remembered of a volume, whoever moved it.
type MemoryExplanation struct {
	// Attempts is the greatest number seen; 0 means that none was ever made.
	Attempts int64 `json:"attempts"`
	// The last attempt, as [Attempt] has it.
	Policy   string       `json:"policy,omitempty"`
	State    AttemptState `json:"state,omitempty"`
	To       string       `json:"to,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Failures int64        `json:"failures"`
	At       time.Time    `json:"at,omitzero"`
	// LastMigration is when a replica last changed pool.
	LastMigration time.Time `json:"lastMigration,omitzero"`
	// Fault is empty, or why the memory cannot be read.
	Fault string `json:"fault,omitempty"`
}
