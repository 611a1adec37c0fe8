package simulator

// The JSON shapes of MS 2, with upstream's mixed casing. They are the
// simulator's own: a client that shared them could not be wrong on its own.

type volumeJSON struct {
	Spec  volumeSpecJSON  `json:"spec"`
	State volumeStateJSON `json:"state"`
}

type volumesJSON struct {
	Entries   []volumeJSON `json:"entries"`
	NextToken *int         `json:"next_token,omitempty"`
}

type volumeSpecJSON struct {
	UUID          string            `json:"uuid"`
	Size          int64             `json:"size"`
	NumReplicas   int               `json:"num_replicas"`
	Status        string            `json:"status"`
	Policy        policyJSON        `json:"policy"`
	Thin          bool              `json:"thin"`
	AsThin        *bool             `json:"as_thin,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Operation     *operationJSON    `json:"operation,omitempty"`
	Target        *targetJSON       `json:"target,omitempty"`
	Topology      *topologyJSON     `json:"topology,omitempty"`
	AffinityGroup *groupJSON        `json:"affinity_group,omitempty"`
	ContentSource *sourceJSON       `json:"content_source,omitempty"`
	NumSnapshots  int               `json:"num_snapshots"`
	MaxSnapshots  *int              `json:"max_snapshots,omitempty"`
	Encrypted     *bool             `json:"encrypted,omitempty"`
	SizeBdev      *int64            `json:"sizeBdev,omitempty"`
	LabelVersion  *string           `json:"labelVersion,omitempty"`
}

type policyJSON struct {
	SelfHeal bool `json:"self_heal"`
}

type operationJSON struct {
	Operation string `json:"operation"`
	Result    *bool  `json:"result,omitempty"`
}

type targetJSON struct {
	Node          string         `json:"node"`
	Protocol      string         `json:"protocol,omitempty"`
	FrontendNodes []frontendJSON `json:"frontend_nodes,omitempty"`
}

type frontendJSON struct {
	Name string `json:"name"`
	NQN  string `json:"nqn"`
}

type topologyJSON struct {
	NodeTopology *nodeTopologyJSON `json:"node_topology,omitempty"`
	PoolTopology *poolTopologyJSON `json:"pool_topology,omitempty"`
}

type nodeTopologyJSON struct {
	Explicit *explicitJSON `json:"explicit,omitempty"`
	Labelled *labelledJSON `json:"labelled,omitempty"`
}

type poolTopologyJSON struct {
	Labelled *labelledJSON `json:"labelled,omitempty"`
}

type explicitJSON struct {
	AllowedNodes   []string `json:"allowed_nodes"`
	PreferredNodes []string `json:"preferred_nodes"`
}

type labelledJSON struct {
	Exclusion   map[string]string `json:"exclusion"`
	Inclusion   map[string]string `json:"inclusion"`
	AffinityKey []string          `json:"affinity_key,omitempty"`
}

type groupJSON struct {
	ID string `json:"id"`
}

type sourceJSON struct {
	Snapshot snapshotSourceJSON `json:"snapshot"`
}

type snapshotSourceJSON struct {
	Snapshot string `json:"snapshot"`
	Volume   string `json:"volume"`
}

type volumeStateJSON struct {
	UUID            string                         `json:"uuid"`
	Size            int64                          `json:"size"`
	Status          string                         `json:"status"`
	Target          *nexusJSON                     `json:"target,omitempty"`
	ReplicaTopology map[string]replicaTopologyJSON `json:"replica_topology"`
	Usage           *volumeUsageJSON               `json:"usage,omitempty"`
	Health          *healthJSON                    `json:"health,omitempty"`
}

type volumeUsageJSON struct {
	Capacity                int64 `json:"capacity"`
	Allocated               int64 `json:"allocated"`
	AllocatedReplica        int64 `json:"allocated_replica"`
	AllocatedSnapshots      int64 `json:"allocated_snapshots"`
	AllocatedAllSnapshots   int64 `json:"allocated_all_snapshots"`
	TotalAllocated          int64 `json:"total_allocated"`
	TotalAllocatedReplicas  int64 `json:"total_allocated_replicas"`
	TotalAllocatedSnapshots int64 `json:"total_allocated_snapshots"`
}

type healthJSON struct {
	CleanShutdown         bool `json:"cleanShutdown"`
	HealthyReplicas       int  `json:"healthyReplicas"`
	CleanReplicas         int  `json:"cleanReplicas"`
	OnlineHealthyReplicas int  `json:"onlineHealthyReplicas"`
	OnlineCleanReplicas   int  `json:"onlineCleanReplicas"`
}

type replicaTopologyJSON struct {
	Node              string            `json:"node,omitempty"`
	Pool              string            `json:"pool,omitempty"`
	State             string            `json:"state"`
	ChildStatus       string            `json:"child-status,omitempty"`
	ChildStatusReason string            `json:"child-status-reason,omitempty"`
	RebuildProgress   *int              `json:"rebuild-progress,omitempty"`
	Usage             *replicaUsageJSON `json:"usage,omitempty"`
	Healthy           *bool             `json:"healthy,omitempty"`
	Encrypted         *bool             `json:"encrypted,omitempty"`
}

type replicaUsageJSON struct {
	Capacity              int64 `json:"capacity"`
	Allocated             int64 `json:"allocated"`
	AllocatedSnapshots    int64 `json:"allocated_snapshots"`
	AllocatedAllSnapshots int64 `json:"allocated_all_snapshots"`
}

type nexusJSON struct {
	UUID      string      `json:"uuid"`
	Node      string      `json:"node"`
	Size      int64       `json:"size"`
	State     string      `json:"state"`
	Protocol  string      `json:"protocol"`
	DeviceURI string      `json:"deviceUri"`
	Rebuilds  int         `json:"rebuilds"`
	Children  []childJSON `json:"children"`
}

type childJSON struct {
	URI             string `json:"uri"`
	State           string `json:"state"`
	StateReason     string `json:"state_reason,omitempty"`
	RebuildProgress *int   `json:"rebuildProgress,omitempty"`
}

type poolJSON struct {
	ID    string         `json:"id"`
	Spec  *poolSpecJSON  `json:"spec,omitempty"`
	State *poolStateJSON `json:"state,omitempty"`
}

type poolSpecJSON struct {
	ID          string            `json:"id"`
	Node        string            `json:"node"`
	Disks       []string          `json:"disks"`
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels,omitempty"`
	CordonDrain *cordonDrainJSON  `json:"cordonDrain,omitempty"`
	Encrypted   *bool             `json:"encrypted,omitempty"`
}

type cordonDrainJSON struct {
	Cordoned PoolCordon `json:"cordoned"`
}

type poolStateJSON struct {
	ID                string   `json:"id"`
	Node              string   `json:"node"`
	Disks             []string `json:"disks"`
	Status            string   `json:"status"`
	Capacity          int64    `json:"capacity"`
	Used              int64    `json:"used"`
	Committed         *int64   `json:"committed,omitempty"`
	DiskCapacity      *int64   `json:"diskCapacity,omitempty"`
	MaxExpandableSize *int64   `json:"maxExpandableSize,omitempty"`
}

type nodeJSON struct {
	ID    string         `json:"id"`
	Spec  *nodeSpecJSON  `json:"spec,omitempty"`
	State *nodeStateJSON `json:"state,omitempty"`
}

type nodeSpecJSON struct {
	ID               string               `json:"id"`
	GRPCEndpoint     string               `json:"grpcEndpoint"`
	Labels           map[string]string    `json:"labels,omitempty"`
	CordonDrainState *nodeCordonStateJSON `json:"cordondrainstate,omitempty"`
	NodeNQN          string               `json:"node_nqn,omitempty"`
	Version          string               `json:"version,omitempty"`
}

type nodeCordonStateJSON struct {
	CordonedState *cordonLabelsJSON `json:"cordonedstate,omitempty"`
	DrainingState *drainLabelsJSON  `json:"drainingstate,omitempty"`
	DrainedState  *drainLabelsJSON  `json:"drainedstate,omitempty"`
}

type cordonLabelsJSON struct {
	CordonLabels []string `json:"cordonlabels"`
}

type drainLabelsJSON struct {
	CordonLabels []string `json:"cordonlabels"`
	DrainLabels  []string `json:"drainlabels"`
}

type nodeStateJSON struct {
	ID           string `json:"id"`
	GRPCEndpoint string `json:"grpcEndpoint"`
	Status       string `json:"status"`
	NodeNQN      string `json:"node_nqn,omitempty"`
	Version      string `json:"version,omitempty"`
}

type replicaJSON struct {
	UUID     string       `json:"uuid"`
	Node     string       `json:"node"`
	Pool     string       `json:"pool"`
	PoolUUID string       `json:"poolUuid,omitempty"`
	Size     int64        `json:"size"`
	Thin     bool         `json:"thin"`
	Share    string       `json:"share"`
	State    string       `json:"state"`
	URI      string       `json:"uri"`
	Kind     string       `json:"kind"`
	Space    *replicaSize `json:"space,omitempty"`
}

type replicaSize struct {
	CapacityBytes              int64 `json:"capacity_bytes"`
	AllocatedBytes             int64 `json:"allocated_bytes"`
	AllocatedBytesSnapshots    int64 `json:"allocated_bytes_snapshots"`
	AllocatedBytesAllSnapshots int64 `json:"allocated_bytes_all_snapshots"`
	ClusterSize                int64 `json:"cluster_size"`
	Clusters                   int64 `json:"clusters"`
	AllocatedClusters          int64 `json:"allocated_clusters"`
}

type specsJSON struct {
	Volumes  []volumeSpecJSON  `json:"volumes"`
	Nexuses  []nexusSpecJSON   `json:"nexuses"`
	Pools    []poolSpecJSON    `json:"pools"`
	Replicas []replicaSpecJSON `json:"replicas"`
}

type nexusSpecJSON struct {
	UUID     string   `json:"uuid"`
	Children []string `json:"children"`
	Managed  bool     `json:"managed"`
	Node     string   `json:"node"`
	Owner    string   `json:"owner,omitempty"`
	Share    string   `json:"share"`
	Size     int64    `json:"size"`
	Status   string   `json:"status"`
}

type replicaSpecJSON struct {
	UUID     string     `json:"uuid"`
	Managed  bool       `json:"managed"`
	Owners   ownersJSON `json:"owners"`
	Pool     string     `json:"pool"`
	PoolUUID string     `json:"poolUuid,omitempty"`
	Share    string     `json:"share"`
	Size     int64      `json:"size"`
	Status   string     `json:"status"`
	Thin     bool       `json:"thin"`
	Kind     string     `json:"kind"`
}

type ownersJSON struct {
	Nexuses []string `json:"nexuses"`
	Volume  string   `json:"volume,omitempty"`
}

type rebuildHistoryJSON struct {
	TargetUUID string          `json:"targetUuid"`
	Records    []rebuildRecord `json:"records"`
}

type rebuildRecord struct {
	ChildURI          string `json:"childUri"`
	SrcURI            string `json:"srcUri"`
	RebuildJobState   string `json:"rebuildJobState"`
	BlocksTotal       int64  `json:"blocksTotal"`
	BlocksRecovered   int64  `json:"blocksRecovered"`
	BlocksTransferred int64  `json:"blocksTransferred"`
	BlocksRemaining   int64  `json:"blocksRemaining"`
	BlockSize         int64  `json:"blockSize"`
	IsPartial         bool   `json:"isPartial"`
	StartTime         string `json:"startTime"`
	EndTime           string `json:"endTime"`
}

type snapshotsJSON struct {
	Entries   []snapshotJSON `json:"entries"`
	NextToken *int           `json:"next_token,omitempty"`
}

type snapshotJSON struct {
	Definition snapshotDefinitionJSON `json:"definition"`
	State      snapshotStateJSON      `json:"state"`
}

type snapshotDefinitionJSON struct {
	Metadata snapshotMetadataJSON `json:"metadata"`
	Spec     snapshotSpecJSON     `json:"spec"`
}

type snapshotMetadataJSON struct {
	Status              string                           `json:"status"`
	Timestamp           string                           `json:"timestamp,omitempty"`
	Size                int64                            `json:"size"`
	SpecSize            int64                            `json:"spec_size"`
	TotalAllocatedSize  int64                            `json:"total_allocated_size"`
	TxnID               string                           `json:"txn_id"`
	Transactions        map[string][]replicaSnapshotJSON `json:"transactions"`
	NumRestores         int                              `json:"num_restores"`
	NumSnapshotReplicas int                              `json:"num_snapshot_replicas"`
}

type replicaSnapshotJSON struct {
	UUID     string `json:"uuid"`
	SourceID string `json:"source_id"`
	Status   string `json:"status"`
}

type snapshotSpecJSON struct {
	UUID         string `json:"uuid"`
	SourceVolume string `json:"source_volume"`
}

type snapshotStateJSON struct {
	UUID             string                     `json:"uuid"`
	AllocatedSize    int64                      `json:"allocated_size"`
	SourceVolume     string                     `json:"source_volume"`
	Timestamp        string                     `json:"timestamp,omitempty"`
	ReadyAsSource    bool                       `json:"ready_as_source"`
	ReplicaSnapshots []replicaSnapshotStateJSON `json:"replica_snapshots"`
}

type replicaSnapshotStateJSON struct {
	Online  *onlineSnapshotJSON  `json:"online,omitempty"`
	Offline *offlineSnapshotJSON `json:"offline,omitempty"`
}

type onlineSnapshotJSON struct {
	UUID                 string `json:"uuid"`
	SourceID             string `json:"source_id"`
	PoolID               string `json:"pool_id"`
	PoolUUID             string `json:"pool_uuid"`
	Timestamp            string `json:"timestamp"`
	Size                 int64  `json:"size"`
	AllocatedSize        int64  `json:"allocated_size"`
	PredecessorAllocSize int64  `json:"predecessor_alloc_size"`
}

type offlineSnapshotJSON struct {
	UUID     string `json:"uuid"`
	SourceID string `json:"source_id"`
	PoolID   string `json:"pool_id"`
	PoolUUID string `json:"pool_uuid"`
}

type errorJSON struct {
	Details string `json:"details"`
	Message string `json:"message"`
	Kind    string `json:"kind"`
}
