package mayastor

import "encoding/json"

// The models below hold the fields of the REST API (MS 2) that are used, with
// their exact JSON names. Unknown fields are ignored and unknown values of an
// enumeration are kept as they came; neither is ever an error, and no value
// but the known good one counts as good.

// Status is an enumeration of the API as text; each kind of object has its own
// values.
type Status string

// The values that are looked at.
const (
	StatusCreated  Status = "Created"
	StatusOnline   Status = "Online"
	StatusDegraded Status = "Degraded"
	StatusFaulted  Status = "Faulted"
	StatusUnknown  Status = "Unknown"
	StatusOffline  Status = "Offline"
)

// Volume is one volume: what is wanted and what is.
type Volume struct {
	Spec  VolumeSpec  `json:"spec"`
	State VolumeState `json:"state"`
}

// VolumeSpec is what is wanted of a volume.
type VolumeSpec struct {
	UUID string `json:"uuid"`
	// Size is in bytes.
	Size        int64  `json:"size"`
	NumReplicas int    `json:"num_replicas"`
	Status      Status `json:"status"`
	Policy      struct {
		SelfHeal bool `json:"self_heal"`
	} `json:"policy"`
	Thin          bool           `json:"thin"`
	AsThin        bool           `json:"as_thin"`
	Operation     *Operation     `json:"operation"`
	Target        *TargetSpec    `json:"target"`
	Topology      *Topology      `json:"topology"`
	AffinityGroup *AffinityGroup `json:"affinity_group"`
	// ContentSource is absent unless the volume was restored from a snapshot.
	ContentSource json.RawMessage `json:"content_source"`
	NumSnapshots  int             `json:"num_snapshots"`
	Encrypted     *bool           `json:"encrypted"`
}

// Operation is present while an operation is in flight or unfinished.
type Operation struct {
	Operation string `json:"operation"`
	Result    *bool  `json:"result"`
}

// TargetSpec is present while the volume is published. A temporary target of
// an offline rebuild has no protocol (MS 4.7).
type TargetSpec struct {
	Node     string `json:"node"`
	Protocol string `json:"protocol"`
}

// AffinityGroup names the group of volumes that are kept apart.
type AffinityGroup struct {
	ID string `json:"id"`
}

// Topology restricts where replicas may be; it cannot be changed (MS 3.7).
type Topology struct {
	Node *NodeTopology `json:"node_topology"`
	Pool *PoolTopology `json:"pool_topology"`
}

// NodeTopology is one of its two forms.
type NodeTopology struct {
	Explicit *struct {
		AllowedNodes   []string `json:"allowed_nodes"`
		PreferredNodes []string `json:"preferred_nodes"`
	} `json:"explicit"`
	Labelled *LabelledTopology `json:"labelled"`
}

// PoolTopology has one form.
type PoolTopology struct {
	Labelled *LabelledTopology `json:"labelled"`
}

// LabelledTopology asks that every inclusion matches; an empty value matches any.
type LabelledTopology struct {
	Exclusion   map[string]string `json:"exclusion"`
	Inclusion   map[string]string `json:"inclusion"`
	AffinityKey []string          `json:"affinity_key"`
}

// VolumeState is what is.
type VolumeState struct {
	Size   int64  `json:"size"`
	Status Status `json:"status"`
	// Target is the live nexus; nil when there is none.
	Target *Nexus `json:"target"`
	// Replicas by replica uuid, with excess and orphaned ones.
	Replicas map[string]ReplicaTopology `json:"replica_topology"`
	Usage    *struct {
		Capacity  int64 `json:"capacity"`
		Allocated int64 `json:"allocated"`
	} `json:"usage"`
}

// ReplicaTopology is one replica. State speaks of the block device, not of the
// data: a blank replica is Online (MS 2.1).
type ReplicaTopology struct {
	Node  string `json:"node"`
	Pool  string `json:"pool"`
	State Status `json:"state"`
	// ChildStatus is empty when the replica is not a child of the nexus.
	ChildStatus       Status `json:"child-status"`
	ChildStatusReason string `json:"child-status-reason"`
	// RebuildProgress is nil unless the replica is being rebuilt.
	RebuildProgress *int `json:"rebuild-progress"`
}

// Nexus is the volume's target: it serves I/O and keeps the replicas in sync.
type Nexus struct {
	UUID     string  `json:"uuid"`
	Node     string  `json:"node"`
	State    Status  `json:"state"`
	Protocol string  `json:"protocol"`
	Rebuilds int     `json:"rebuilds"`
	Children []Child `json:"children"`
}

// Child is one replica as its nexus sees it; its URI ends in ?uuid=<replica>.
type Child struct {
	URI             string `json:"uri"`
	State           Status `json:"state"`
	StateReason     string `json:"state_reason"`
	RebuildProgress *int   `json:"rebuildProgress"`
}

// Pool is one pool. State is nil when its node is down or it is not imported;
// that is not an empty pool (MS 2.4).
type Pool struct {
	ID    string     `json:"id"`
	Spec  *PoolSpec  `json:"spec"`
	State *PoolState `json:"state"`
	Meta  *struct {
		Drain json.RawMessage `json:"drain"`
	} `json:"meta"`
}

// PoolSpec is what is wanted of a pool.
type PoolSpec struct {
	Node        string            `json:"node"`
	Status      Status            `json:"status"`
	Labels      map[string]string `json:"labels"`
	CordonDrain *CordonDrain      `json:"cordonDrain"`
	Encrypted   *bool             `json:"encrypted"`
}

// CordonDrain is absent while no flag is set.
type CordonDrain struct {
	Cordoned *PoolCordon     `json:"cordoned"`
	Drain    json.RawMessage `json:"drain"`
}

// PoolCordon is a set of flags; in a request, true ones are set or cleared and
// false ones are left alone (MS 3.3).
type PoolCordon struct {
	Replicas  bool `json:"replicas"`
	Snapshots bool `json:"snapshots"`
	Restores  bool `json:"restores"`
	Import    bool `json:"import"`
}

// PoolState is what is. Sizes are in bytes.
type PoolState struct {
	Node      string `json:"node"`
	Status    Status `json:"status"`
	Capacity  int64  `json:"capacity"`
	Used      int64  `json:"used"`
	Committed *int64 `json:"committed"`
}

// Node is one io-engine node.
type Node struct {
	ID    string     `json:"id"`
	Spec  *NodeSpec  `json:"spec"`
	State *NodeState `json:"state"`
}

// NodeSpec is what is wanted of a node.
type NodeSpec struct {
	Labels  map[string]string `json:"labels"`
	Cordon  *NodeCordon       `json:"cordondrainstate"`
	Version string            `json:"version"`
}

// NodeCordon is one of its three forms; each label is one owner's.
type NodeCordon struct {
	Cordoned *CordonLabels `json:"cordonedstate"`
	Draining *CordonLabels `json:"drainingstate"`
	Drained  *CordonLabels `json:"drainedstate"`
}

// CordonLabels are the owners of a cordon and of a drain.
type CordonLabels struct {
	CordonLabels []string `json:"cordonlabels"`
	DrainLabels  []string `json:"drainlabels"`
}

// NodeState is what is. Version is the io-engine's, not the control plane's.
type NodeState struct {
	Status  Status `json:"status"`
	Version string `json:"version"`
}
