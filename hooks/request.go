package hooks

import (
	"encoding/json"
	"time"
)

// request is what the hooks use of a sync or finalize request (MC 2.2). Lists
// are sorted by name, so that nothing depends on the order of the sender.
type request struct {
	Parent     parent
	Finalizing bool
	// Children are the Jobs this policy owns, as Metacontroller sees them.
	Children []*job
	// Related is never nil. It comes with the request, or from [Config.Cluster].
	Related *View
	// Awaited is true if the sources were waited for before all this was read, so
	// that nobody waits for them again.
	Awaited bool
}

// parent is a StoragePolicy. Its spec and status are kept as text, because a
// spec that does not decode must not cost the running Jobs their place in the
// answer.
type parent struct {
	Name, UID  string
	Generation int64
	Created    time.Time
	Deleting   bool
	Spec       json.RawMessage
	// Approve is the value of the annotation that approves a proposal; "" for none.
	Approve string
	// Status is nil for policies other than the one that asks.
	Status json.RawMessage
}

// volume is a PersistentVolume of Mayastor's driver; others are dropped while
// they are read.
type volume struct {
	Name     string
	Deleting bool
	// Labels may be shared with other volumes, as may a claim's.
	Labels map[string]string
	// Memory is never nil.
	Memory *memory
	// StorageClass is "" if the volume has none.
	StorageClass string
	// Handle is Mayastor's uuid of the volume.
	Handle string
	Claim  reference
}

// reference names the claim a volume is bound to; the zero value means none.
type reference struct {
	Namespace, Name, UID string
}

// claim is a PersistentVolumeClaim.
type claim struct {
	Namespace, Name, UID string
	Labels               map[string]string
}

// job is a Job, ours or not. Of its annotations only ours are kept.
type job struct {
	Namespace, Name, UID string
	Created              time.Time
	Deleting             bool
	Labels               map[string]string
	Annotations          map[string]string
	// Ended is the first of the conditions Complete and Failed that is True;
	// the zero value if there is none. SuccessCriteriaMet and FailureTarget
	// come earlier, while pods still end, and do not count (MC 8).
	Ended condition
}

// condition is a condition of a Job.
type condition struct {
	Type, Reason, Message string
	At                    time.Time
}

// diskPool is a DiskPool of whichever version the cluster serves.
type diskPool struct {
	Namespace, Name string
	Labels          map[string]string
}
