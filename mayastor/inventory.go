package mayastor

import "time"

// Inventory is one reading of the whole control plane. It is not a snapshot:
// pages may skip or repeat a volume under concurrent deletes (MS 1.4). It is
// never changed after it was read.
type Inventory struct {
	// At is when the reading was complete.
	At time.Time
	// Volumes are sorted by uuid, without duplicates; Pools and Nodes by id.
	Volumes []Volume
	Pools   []Pool
	Nodes   []Node
	// Capability of the server.
	Capability Capability
	// PoolOnlineSince and NodeOnlineSince hold, for what is Online now, the
	// time of the first of the unbroken run of readings that saw it so.
	PoolOnlineSince map[string]time.Time
	NodeOnlineSince map[string]time.Time
}
