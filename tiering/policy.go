package tiering

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// +groupName=storage.billyronks.io
// +versionName=v1

// The API group and version of StoragePolicy.
const (
	Group      = "storage.billyronks.io"
	Version    = "v1"
	APIVersion = Group + "/" + Version
	Kind       = "StoragePolicy"
)

// StoragePolicy keeps a set of Mayastor volumes on the tier that suits how
// busy they are.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=storagepolicies,scope=Cluster,shortName=sp;spolicy
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.status.mode`
// +kubebuilder:printcolumn:name="Volumes",type=integer,JSONPath=`.status.watchedVolumes`
// +kubebuilder:printcolumn:name="Moving",type=integer,JSONPath=`.status.activeMigrations`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failedMigrations`
// +kubebuilder:printcolumn:name="Unknown",type=integer,JSONPath=`.status.unknownVolumes`
// +kubebuilder:printcolumn:name="Hot",type=integer,JSONPath=`.status.hotVolumes`
// +kubebuilder:printcolumn:name="Warm",type=integer,JSONPath=`.status.warmVolumes`,priority=1
// +kubebuilder:printcolumn:name="Cold",type=integer,JSONPath=`.status.coldVolumes`
// +kubebuilder:printcolumn:name="Mixed",type=integer,JSONPath=`.status.mixedVolumes`,priority=1
// +kubebuilder:printcolumn:name="Last move",type=date,JSONPath=`.status.migrationHistory[0].timestamp`,priority=1
// +kubebuilder:printcolumn:name="Dry run until",type=string,JSONPath=`.status.governance.until`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.modeReason`,priority=1
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name must have at most 63 characters, because each Job carries it as a label; choose a shorter name"
type StoragePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   StoragePolicySpec   `json:"spec,omitempty"`
	Status StoragePolicyStatus `json:"status,omitempty"`
}

// StoragePolicySpec is what the platform engineer decides. Absent fields have
// the defaults shown here.
//
// +kubebuilder:validation:XValidation:rule="self.lowWatermarkIOPS < self.highWatermarkIOPS",message="lowWatermarkIOPS must be below highWatermarkIOPS, or each volume would be hot and cold at once"
// +kubebuilder:validation:XValidation:rule="self.warmWatermarkIOPS == 0 || (self.lowWatermarkIOPS < self.warmWatermarkIOPS && self.warmWatermarkIOPS < self.highWatermarkIOPS)",message="warmWatermarkIOPS must lie between lowWatermarkIOPS and highWatermarkIOPS, or be 0 for no warm tier"
// +kubebuilder:validation:XValidation:rule="(self.warmWatermarkIOPS > 0) == has(self.warmPoolSelector)",message="warmWatermarkIOPS and warmPoolSelector go together: set both for a warm tier, or neither"
// +kubebuilder:validation:XValidation:rule="!(has(self.hotPoolSelector) && has(self.nvmePoolSelector))",message="nvmePoolSelector is another name of hotPoolSelector: set one of them"
// +kubebuilder:validation:XValidation:rule="!(has(self.coldPoolSelector) && has(self.sataPoolSelector))",message="sataPoolSelector is another name of coldPoolSelector: set one of them"
type StoragePolicySpec struct {
	// Enabled false is the emergency stop of this policy: no new move starts, and running moves bring their volume to a safe end.
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// DryRun true decides, reports and logs as usual and starts nothing; running moves finish.
	// +kubebuilder:default=false
	DryRun *bool `json:"dryRun,omitempty"`

	// PausePromotions true holds moves to a faster tier; others start as before, and running moves finish.
	// +kubebuilder:default=false
	PausePromotions *bool `json:"pausePromotions,omitempty"`

	// PauseDemotions true holds moves to a slower tier; others start as before, and running moves finish.
	// +kubebuilder:default=false
	PauseDemotions *bool `json:"pauseDemotions,omitempty"`

	// Approval: Auto starts moves as the plan says; Manual puts at most 20 of them forward in status.proposal and starts them once the policy carries the annotation storage.billyronks.io/approve with the proposal's digest.
	// +kubebuilder:default=Auto
	Approval *ApprovalRule `json:"approval,omitempty"`

	// MaintenanceWindows say when moves may start; those of the cluster hold beside them. Without an Allow window any time will do that no Deny window covers. A move starts only if it is expected to end before the window does, and one that runs is not stopped by it.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	MaintenanceWindows []MaintenanceWindow `json:"maintenanceWindows,omitempty"`

	// StorageClassName selects PersistentVolumes of this class whose driver is io.openebs.csi-mayastor.
	// +kubebuilder:default=mayastor
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	StorageClassName *string `json:"storageClassName,omitempty"`

	// VolumeSelector narrows the volumes by the labels of the PersistentVolume joined with those of its claim; on a clash the claim's label wins. Absent or empty selects all.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	VolumeSelector *metav1.LabelSelector `json:"volumeSelector,omitempty"`

	// ClaimNamespaces narrows the volumes to those bound to a claim in one of these namespaces. Absent or empty selects all.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	ClaimNamespaces []string `json:"claimNamespaces,omitempty"`

	// HighWatermarkIOPS: a volume above it belongs on the hot tier.
	// +kubebuilder:default=5000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	HighWatermarkIOPS *int64 `json:"highWatermarkIOPS,omitempty"`

	// LowWatermarkIOPS: a volume below it belongs on the cold tier. 0 sends no volume there.
	// +kubebuilder:default=500
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	LowWatermarkIOPS *int64 `json:"lowWatermarkIOPS,omitempty"`

	// WarmWatermarkIOPS: a volume between it and highWatermarkIOPS belongs on the warm tier. 0 means there is no warm tier.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	WarmWatermarkIOPS *int64 `json:"warmWatermarkIOPS,omitempty"`

	// HotPoolSelector selects the pools of the hot tier by pool label. Absent or empty selects no pool.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	HotPoolSelector *metav1.LabelSelector `json:"hotPoolSelector,omitempty"`

	// WarmPoolSelector selects the pools of the warm tier by pool label. Absent or empty selects no pool.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	WarmPoolSelector *metav1.LabelSelector `json:"warmPoolSelector,omitempty"`

	// ColdPoolSelector selects the pools of the cold tier by pool label. Absent or empty selects no pool.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	ColdPoolSelector *metav1.LabelSelector `json:"coldPoolSelector,omitempty"`

	// NVMePoolSelector is the former name of hotPoolSelector.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	NVMePoolSelector *metav1.LabelSelector `json:"nvmePoolSelector,omitempty"`

	// SATAPoolSelector is the former name of coldPoolSelector.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && size(e.values) > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || size(e.values) == 0))",message="each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	SATAPoolSelector *metav1.LabelSelector `json:"sataPoolSelector,omitempty"`

	// SamplingWindow is the time over which IOPS are averaged, such as 30m or 6h; 24h at most.
	// +kubebuilder:default="1h"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[1-9][0-9]{9}') && self.findAll('[0-9]+[dhms]').map(p, int(p.substring(0, size(p) - 1)) * {'d': 86400, 'h': 3600, 'm': 60, 's': 1}[p.substring(size(p) - 1)]).sum() <= 86400",message="must be at most 24h"
	SamplingWindow *Duration `json:"samplingWindow,omitempty"`

	// MinCoverage is the percentage of the window that must hold samples of both counters; below it the volume's score is unknown and the volume holds its tier.
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=100
	MinCoverage *int64 `json:"minCoverage,omitempty"`

	// CooldownPeriod is the least time between two moves of one volume that changed pools, such as 24h or 7d.
	// +kubebuilder:default="24h"
	CooldownPeriod *Duration `json:"cooldownPeriod,omitempty"`

	// MaxConcurrentMigrations is how many volumes of this policy may move at once.
	// +kubebuilder:default=2
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=25
	MaxConcurrentMigrations *int64 `json:"maxConcurrentMigrations,omitempty"`

	// MigrationTimeout, such as 30m or 2h, bounds each replica of a move, from the moment its new copy is asked for, over all attempts of the Job.
	// +kubebuilder:default="30m"
	MigrationTimeout *Duration `json:"migrationTimeout,omitempty"`

	// AllowReducedRedundancy lets a volume of three or more replicas that has a replica on every node give one up first, and never goes below two synced copies.
	// +kubebuilder:default=false
	AllowReducedRedundancy *bool `json:"allowReducedRedundancy,omitempty"`

	// VolumesWithSnapshots: Skip leaves volumes with snapshots where they are; Move moves them, while their snapshots stay behind on the old pool and keep its space.
	// +kubebuilder:default=Skip
	VolumesWithSnapshots *SnapshotRule `json:"volumesWithSnapshots,omitempty"`

	// MaxPoolUsedPercent: a target pool is not filled beyond this share of its capacity.
	// +kubebuilder:default=90
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxPoolUsedPercent *int64 `json:"maxPoolUsedPercent,omitempty"`

	// Priority settles which policy wins a volume that two of them select: the higher one, then the name that sorts first.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority *int64 `json:"priority,omitempty"`

	// ECPolicyRef is accepted and ignored: erasure coding is out of scope, and a condition says so.
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	ECPolicyRef *runtime.RawExtension `json:"ecPolicyRef,omitempty"`

	// ECMinVolumeSizeBytes is accepted and ignored, as ecPolicyRef.
	ECMinVolumeSizeBytes *int64 `json:"ecMinVolumeSizeBytes,omitempty"`
}

// MaintenanceWindow is a part of the week, by the clocks of a time zone: what a
// clock shows twice in autumn is in it twice, and what it skips in spring is not
// in it at all.
//
// +kubebuilder:validation:XValidation:rule="self.start != self.end",message="start and end must differ; write 00:00 and 24:00 for a whole day"
type MaintenanceWindow struct {
	// Action is Allow or Deny; Deny wins.
	// +kubebuilder:default=Allow
	Action *WindowAction `json:"action,omitempty"`
	// Days on which the window begins, such as Sat; absent or empty means each day.
	// +kubebuilder:validation:MaxItems=7
	// +listType=set
	Days []Weekday `json:"days,omitempty"`
	// Start is the time of day at which it begins, such as 22:00.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	Start string `json:"start"`
	// End is the time of day at which it ends, up to 24:00; one that is not after start is on the next day.
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	End string `json:"end"`
	// TimeZone is a name of the IANA database, such as Europe/Berlin.
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9/_+-]{1,64}$`
	// +kubebuilder:validation:XValidation:rule="self != 'Local'",message="must be the name of a time zone; Local is that of the service's machine"
	TimeZone *string `json:"timeZone,omitempty"`
}

// Weekday is the name of a day in three letters.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// ApprovalRule says whether somebody has to approve moves.
//
// +kubebuilder:validation:Enum=Auto;Manual
type ApprovalRule string

// The approval rules.
const (
	AutoApproval   ApprovalRule = "Auto"
	ManualApproval ApprovalRule = "Manual"
)

// SnapshotRule says what becomes of volumes that have snapshots (MS 4.9).
//
// +kubebuilder:validation:Enum=Skip;Move
type SnapshotRule string

// The snapshot rules.
const (
	SkipSnapshots SnapshotRule = "Skip"
	MoveSnapshots SnapshotRule = "Move"
)

// Duration is a length of time as users write it: Go syntax in whole numbers,
// and d for days of 24 hours, as in 7d or 1h30m. [Duration.Parse] reads it.
//
// +kubebuilder:validation:Pattern=`^([0-9]+(d|h|m|s))+$`
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule="self.matches('[1-9]')",message="must be longer than zero"
// +kubebuilder:validation:XValidation:rule="!self.matches('[1-9][0-9]{9}') && self.findAll('[0-9]+[dhms]').map(p, int(p.substring(0, size(p) - 1)) * {'d': 86400, 'h': 3600, 'm': 60, 's': 1}[p.substring(size(p) - 1)]).sum() <= 315360000",message="must be at most 3650d"
type Duration string

// StoragePolicyStatus is what the policy's last reconciliation found. It holds
// no live score, fill or age, so that it changes only when something happened.
type StoragePolicyStatus struct {
	// ObservedGeneration is the generation of the spec this status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Phase sums the policy up.
	// +kubebuilder:validation:Enum=Pending;Active;DryRun;Disabled;Error
	Phase Phase `json:"phase,omitempty"`

	// Mode is what the policy may do now: Active, DryRun, Frozen, Stopped (emergency), Rejected (outside an approved range), Disabled, Waiting, Blind (no scores), Deleting or Error.
	Mode string `json:"mode,omitempty"`

	// ModeReason says why the mode is what it is.
	ModeReason string `json:"modeReason,omitempty"`

	// WatchedVolumes counts the volumes the policy selects and wins.
	WatchedVolumes int64 `json:"watchedVolumes"`
	// HotVolumes counts those with every replica on the hot tier.
	HotVolumes int64 `json:"hotVolumes"`
	// WarmVolumes counts those with every replica on the warm tier.
	WarmVolumes int64 `json:"warmVolumes"`
	// ColdVolumes counts those with every replica on the cold tier.
	ColdVolumes int64 `json:"coldVolumes"`
	// MixedVolumes counts those with replicas on more than one tier, or partly on none.
	MixedVolumes int64 `json:"mixedVolumes"`
	// UnknownVolumes counts those without a trustworthy score; they hold their tier.
	UnknownVolumes int64 `json:"unknownVolumes"`

	// ActiveMigrations counts the Jobs that run.
	ActiveMigrations int64 `json:"activeMigrations"`
	// TotalMigrations counts the moves that ended, whatever their outcome but refusals.
	TotalMigrations int64 `json:"totalMigrations"`
	// FailedMigrations counts those that failed.
	FailedMigrations int64 `json:"failedMigrations"`

	// Results counts all results since the policy was created, by what they have in common. Metrics are made from it, so that each result counts once, however often the service restarts.
	// +kubebuilder:validation:MaxItems=200
	// +listType=atomic
	Results []ResultCount `json:"results,omitempty"`

	// Governance is the memory of the dry run that a new or changed policy has to pass; absent where no governance is configured.
	Governance *GovernanceStatus `json:"governance,omitempty"`

	// Proposal holds the moves that wait for an approval or have it, where spec.approval is Manual.
	Proposal *Proposal `json:"proposal,omitempty"`

	// LastProposal is what became of the proposal before.
	LastProposal *PastProposal `json:"lastProposal,omitempty"`

	// LastReconcileTime is renewed when another field changes, and else every 15 minutes.
	LastReconcileTime *metav1.Time `json:"lastReconcileTime,omitempty"`

	// Conditions: Ready, PolicyAccepted, MetricsAvailable, MayastorAvailable and others.
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Plan holds the next moves and the holds that matter.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	Plan []PlanEntry `json:"plan,omitempty"`

	// MigrationHistory holds the results of the last moves, newest first.
	// +kubebuilder:validation:MaxItems=50
	// +listType=atomic
	MigrationHistory []HistoryEntry `json:"migrationHistory,omitempty"`
}

// Phase sums a policy up in one word.
type Phase string

// The phases.
const (
	PhasePending  Phase = "Pending"
	PhaseActive   Phase = "Active"
	PhaseDryRun   Phase = "DryRun"
	PhaseDisabled Phase = "Disabled"
	PhaseError    Phase = "Error"
)

// GovernanceStatus remembers which spec may act, and how long another one was
// watched.
type GovernanceStatus struct {
	// PolicyUID is the object that this is the memory of; a policy that was created anew has another one and begins anew.
	PolicyUID string `json:"policyUID,omitempty"`
	// AcceptedDigest names the spec that may act, apart from enabled, dryRun and pauses.
	AcceptedDigest string `json:"acceptedDigest,omitempty"`
	// AcceptedSelection names which volumes it selects.
	AcceptedSelection string `json:"acceptedSelection,omitempty"`
	// PendingDigest names the spec whose dry run is not over.
	PendingDigest string `json:"pendingDigest,omitempty"`
	// Rule says why there is a dry run: NewPolicy, SelectionChange (which counts as a new policy) or ThresholdChange.
	Rule DryRunRule `json:"rule,omitempty"`
	// Required is how long the dry run is.
	Required string `json:"required,omitempty"`
	// Observed is how much of it was counted up to countedTo: time with the policy enabled and scores to be had.
	Observed string `json:"observed,omitempty"`
	// Since is when this spec was first seen.
	Since *metav1.Time `json:"since,omitempty"`
	// CountedTo is up to when time was counted; it is renewed every 15 minutes.
	CountedTo *metav1.Time `json:"countedTo,omitempty"`
	// Counting is true while the clock goes on.
	Counting bool `json:"counting,omitempty"`
	// Until is when the dry run is over, if the clock goes on all the time; absent while it stands still.
	Until *metav1.Time `json:"until,omitempty"`
}

// Proposal is a list of moves that is frozen until it is approved and begun, or
// void.
type Proposal struct {
	// Digest names the list; a policy that carries it in the annotation storage.billyronks.io/approve lets its moves start.
	Digest string `json:"digest"`
	// State is Proposed, or Approved while the policy carries the digest.
	// +kubebuilder:validation:Enum=Proposed;Approved
	State ProposalState `json:"state"`
	// PolicyUID and generation are of the policy that proposes; another spec voids the list.
	PolicyUID string `json:"policyUID,omitempty"`
	// Generation of the spec.
	Generation int64 `json:"generation"`
	// ProposedAt is when the list was made.
	ProposedAt metav1.Time `json:"proposedAt"`
	// ApprovedAt is when the digest was first seen on the policy.
	ApprovedAt *metav1.Time `json:"approvedAt,omitempty"`
	// ExpiresAt is 24 hours after the list was made, or after it was first approved.
	ExpiresAt metav1.Time `json:"expiresAt"`
	// Moves that may start once approved, each once.
	// +kubebuilder:validation:MaxItems=20
	// +listType=atomic
	Moves []ProposedMove `json:"moves"`
}

// ProposedMove is one move of a proposal.
type ProposedMove struct {
	// VolumeName is the PersistentVolume.
	VolumeName string `json:"volumeName"`
	// Claim is namespace/name of the bound claim.
	Claim string `json:"claim,omitempty"`
	// FromTier is the tier the volume is on, mixed, or none.
	FromTier string `json:"fromTier"`
	// ToTier is the tier it is to go to.
	ToTier string `json:"toTier"`
	// Attempt numbers the attempt at the volume that is approved; a later one is not.
	Attempt int64 `json:"attempt"`
}

// ProposalState is how a proposal stands.
type ProposalState string

// The states of a proposal.
const (
	ProposalProposed ProposalState = "Proposed"
	ProposalApproved ProposalState = "Approved"
)

// PastProposal is what became of a proposal.
type PastProposal struct {
	// Digest of the proposal.
	Digest string `json:"digest"`
	// Outcome is Used, Expired, or Withdrawn (not wanted any more, or the spec changed).
	// +kubebuilder:validation:Enum=Used;Expired;Withdrawn
	Outcome ProposalOutcome `json:"outcome"`
	// At is when it ended.
	At metav1.Time `json:"at"`
}

// ProposalOutcome is how a proposal ended.
type ProposalOutcome string

// The outcomes of a proposal.
const (
	ProposalUsed      ProposalOutcome = "Used"
	ProposalExpired   ProposalOutcome = "Expired"
	ProposalWithdrawn ProposalOutcome = "Withdrawn"
)

// DryRunRule is why a policy has to pass a dry run.
type DryRunRule string

// The rules of dry runs.
const (
	RuleNewPolicy       DryRunRule = "NewPolicy"
	RuleSelectionChange DryRunRule = "SelectionChange"
	RuleThresholdChange DryRunRule = "ThresholdChange"
)

// PlanEntry is one volume's place in the plan: a move that is next, or a wish
// that a gate holds. Score and Since are those of the moment the entry
// appeared, kept while volume, direction and holding gate stay the same.
type PlanEntry struct {
	// VolumeName is the PersistentVolume.
	VolumeName string `json:"volumeName"`
	// Claim is namespace/name of the bound claim.
	Claim string `json:"claim,omitempty"`
	// FromTier is the tier the volume is on, mixed, or none.
	FromTier string `json:"fromTier"`
	// ToTier is the tier it belongs on; none for a recovery.
	ToTier string `json:"toTier"`
	// Action is Move, Moving, WouldMove (dry run), Recover or Hold.
	// +kubebuilder:validation:Enum=Move;Moving;WouldMove;Recover;Hold
	Action string `json:"action"`
	// Gate is the first gate that holds the volume.
	Gate string `json:"gate,omitempty"`
	// Reason is a sentence for people.
	Reason string `json:"reason,omitempty"`
	// ScoreIOPS is the score when the entry appeared, rounded to one decimal.
	ScoreIOPS float64 `json:"scoreIOPS"`
	// Since is when the entry appeared.
	Since metav1.Time `json:"since"`
	// WantedSince is when the plan first showed the volume's wish for that tier, whatever held it since; absent in dry run.
	WantedSince *metav1.Time `json:"wantedSince,omitempty"`
}

// HistoryEntry is the result of one move.
type HistoryEntry struct {
	// JobName is couchestor-<volume uuid>-<n>; it identifies the entry.
	JobName string `json:"jobName"`
	// JobUID is empty where the Job was gone before its result was read.
	JobUID string `json:"jobUID,omitempty"`
	// VolumeName is the PersistentVolume.
	VolumeName string `json:"volumeName"`
	// Claim is namespace/name of the bound claim.
	Claim string `json:"claim,omitempty"`
	// Timestamp is when the move ended.
	Timestamp metav1.Time `json:"timestamp"`
	// FromTier is the tier the volume was on, or mixed.
	FromTier string `json:"fromTier,omitempty"`
	// ToTier is the tier it was to go to.
	ToTier string `json:"toTier,omitempty"`
	// FromPool lists the distinct pools left, joined by commas.
	FromPool string `json:"fromPool,omitempty"`
	// ToPool lists the distinct pools reached, joined by commas.
	ToPool string `json:"toPool,omitempty"`
	// TriggerIOPS is the score that caused the move.
	TriggerIOPS float64 `json:"triggerIOPS"`
	// Duration is how long the move took, in Go syntax.
	Duration string `json:"duration,omitempty"`
	// Outcome is moved, failed, refused, aborted or recovered.
	Outcome string `json:"outcome,omitempty"`
	// Trigger is automatic, approved or by-hand.
	Trigger string `json:"trigger,omitempty"`
	// LeadTime is the time from when the plan first showed the wish to the verified end, in Go syntax; only of a move that moved.
	LeadTime string `json:"leadTime,omitempty"`
	// Bytes is the size of the copies that were rebuilt elsewhere; what is rebuilt of a thin volume is less.
	Bytes int64 `json:"bytes,omitempty"`
	// Reason is a machine-readable word if the volume did not end where it was to go.
	Reason string `json:"reason,omitempty"`
	// Success is true if the volume ended where it was to go.
	Success bool `json:"success"`
	// Error is a sentence if it did not.
	Error string `json:"error,omitempty"`
}

// ResultCount counts results that have direction, outcome, reason and trigger in
// common.
type ResultCount struct {
	// Direction is promotion, demotion or other.
	Direction string `json:"direction"`
	// Outcome is moved, failed, refused, aborted or recovered.
	Outcome string `json:"outcome"`
	// Reason is a machine-readable word; absent if moved.
	Reason string `json:"reason,omitempty"`
	// Trigger is automatic, approved or by-hand.
	Trigger string `json:"trigger"`
	// Count is how many results there were.
	Count int64 `json:"count"`
	// Seconds is how long they took together.
	Seconds int64 `json:"seconds,omitempty"`
	// Bytes is what they moved together.
	Bytes int64 `json:"bytes,omitempty"`
	// LeadTimes is how many of them have a lead time, LeadSeconds their sum.
	LeadTimes int64 `json:"leadTimes,omitempty"`
	// LeadSeconds is the sum of their lead times.
	LeadSeconds int64 `json:"leadSeconds,omitempty"`
}
