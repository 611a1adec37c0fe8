package simulator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// CreatedBy is the label key every CSI volume demands of its pools; its value
// is "operator-diskpool" (MS 2.1). Touching it is forbidden.
const (
	CreatedBy      = "openebs.io/created-by"
	createdByValue = "operator-diskpool"
)

// Node describes a storage node.
type Node struct {
	ID      string
	Labels  map[string]string
	Version string // of its io-engine; empty: one that fits the profile
}

// Pool describes a DiskPool.
type Pool struct {
	ID, Node string
	Capacity int64             // bytes; 0 means 1 TiB
	Used     int64             // bytes used by something that is no volume here
	Labels   map[string]string // created-by is added unless NotByOperator
	Latency  time.Duration     // of one I/O; 0 means 1 ms
	// NotByOperator leaves the created-by label out: CSI volumes never land there.
	NotByOperator bool
}

// Volume describes a volume that exists already, in sync on all its pools.
type Volume struct {
	UUID      string   // empty: drawn from the seed
	Size      int64    // bytes; 0 means 10 GiB
	Thick     bool     // not thin
	Allocated int64    // bytes written, of a thin volume; 0 means half of Size
	Pools     []string // one replica each, in order of creation
	Replicas  int      // num_replicas; 0 means len(Pools)
	// Target is the node of its nexus; empty means unpublished, but published
	// once before (there is nexus info and data).
	Target string
	// NeverPublished means that no nexus info exists. Without a Source the
	// volume then holds no data at all.
	NeverPublished bool
	Snapshots      int    // so many are taken, each a tenth of Allocated
	Source         string // snapshot uuid it was restored from: its replicas are clones
	SourceVolume   string // volume of that snapshot
	AffinityGroup  string
	PoolInclusion  map[string]string // besides created-by; value "" = key must exist
	NodeInclusion  map[string]string
	NodeSpread     []string // node topology exclusion keys
	AllowedNodes   []string
	NoSelfHeal     bool
	Labels         map[string]string
	// NotByCSI leaves the created-by inclusion out.
	NotByCSI bool
	Load     Load
}

// AddNode adds an Online node. Like all Add methods it panics on a world that
// cannot be, which is a fault of the test.
func (s *Simulator) AddNode(o Node) {
	s.locked(func() {
		version := map[Profile]string{Old: "2.7.1", V2_9: "2.9.0", V2_10: "2.10.0", V2_12: "2.12.1"}[s.cfg.Profile]
		s.nodes.add(o.ID, &node{
			id: o.ID, version: cmp.Or(o.Version, version), index: s.nodes.len(),
			labels: clone(o.Labels), up: true, status: "Online",
		})
		s.changed(nil, "node "+o.ID+" added")
	})
}

// AddPool adds an Online pool to a node.
func (s *Simulator) AddPool(o Pool) {
	s.locked(func() {
		n, ok := s.nodes.get(o.Node)
		if !ok {
			panic(fmt.Sprintf("simulator: pool %s on unknown node %q", o.ID, o.Node))
		}
		p := &pool{
			id: o.ID, uuid: s.newUUID(), node: n, labels: clone(o.Labels), capacity: cmp.Or(o.Capacity, tib),
			other: o.Used, up: true, imported: true, latency: cmp.Or(o.Latency, time.Millisecond),
		}
		if !o.NotByOperator {
			p.labels[CreatedBy] = createdByValue
		}
		s.pools.add(o.ID, p)
		p.seen = s.observePool(p)
		s.changed(nil, "pool "+o.ID+" added")
	})
}

// AddVolume adds a volume and returns its uuid. Its replicas are in sync.
func (s *Simulator) AddVolume(o Volume) (uuid string) {
	s.locked(func() {
		size := cmp.Or(o.Size, 10*gib)
		v := &volume{
			uuid: o.UUID, size: size, thin: !o.Thick, allocated: cmp.Or(o.Allocated, size/2),
			want: cmp.Or(o.Replicas, len(o.Pools)), status: "Created", selfHeal: !o.NoSelfHeal, labels: maps.Clone(o.Labels),
			poolInclusion: clone(o.PoolInclusion), nodeInclusion: maps.Clone(o.NodeInclusion),
			nodeExclusion: slices.Clone(o.NodeSpread), allowedNodes: slices.Clone(o.AllowedNodes),
			group: o.AffinityGroup, source: o.Source, sourceVolume: o.SourceVolume, clean: true, version: 1, load: o.Load,
			truth: record{allow: -1},
		}
		if v.uuid == "" {
			v.uuid = s.newUUID()
		}
		if o.Thick {
			v.allocated = size
		}
		if !o.NotByCSI {
			v.poolInclusion[CreatedBy] = createdByValue
		}
		if o.NeverPublished && o.Source == "" {
			v.empty, v.allocated = true, 0
		}
		if o.Source != "" && o.SourceVolume == "" {
			v.sourceVolume = s.newUUID()
		}
		s.volumes.add(v.uuid, v)
		for _, id := range o.Pools {
			p, ok := s.pools.get(id)
			if !ok {
				panic(fmt.Sprintf("simulator: volume %s on unknown pool %q", v.uuid, id))
			}
			r := s.addReplica(v, p)
			r.version, r.blank, r.written, r.clone = v.version, false, v.allocated, o.Source != ""
		}
		if !o.NeverPublished {
			v.info = map[string]bool{}
			for _, r := range v.own {
				v.info[r.uuid] = true
			}
		}
		if o.Target != "" {
			n, ok := s.nodes.get(o.Target)
			if !ok {
				panic(fmt.Sprintf("simulator: volume %s published on unknown node %q", v.uuid, o.Target))
			}
			if err := s.publish(v, n); err != nil {
				panic(fmt.Sprintf("simulator: volume %s: %v", v.uuid, err))
			}
		}
		for range o.Snapshots {
			s.takeSnapshot(v)
		}
		s.observeWithPools(v)
		s.remark(v)
		uuid = v.uuid
		s.changed(v, "volume added")
	})
	return uuid
}

// clone copies m; the copy of nil is empty, not nil.
func clone(m map[string]string) map[string]string {
	c := maps.Clone(m)
	if c == nil {
		c = map[string]string{}
	}
	return c
}

// Cluster is a simulator with a tidy set of nodes: each has a SATA pool labelled
// tier=sata and an NVMe pool labelled tier=nvme.
type Cluster struct{ *Simulator }

// NewCluster makes nodes node-1..node-n with pools sata-1..n and nvme-1..n of
// 1 TiB each.
func NewCluster(cfg Config, nodes int) Cluster {
	c := Cluster{New(cfg)}
	for i := 1; i <= nodes; i++ {
		id := fmt.Sprintf("node-%d", i)
		c.AddNode(Node{ID: id})
		c.AddPool(Pool{ID: fmt.Sprintf("sata-%d", i), Node: id, Labels: map[string]string{"tier": "sata"}, Latency: 4 * time.Millisecond})
		c.AddPool(Pool{ID: fmt.Sprintf("nvme-%d", i), Node: id, Labels: map[string]string{"tier": "nvme"}, Latency: 150 * time.Microsecond})
	}
	return c
}

// Published adds a thin volume of size bytes on pools, published on the node of
// the first one, and returns its uuid.
func (c Cluster) Published(size int64, pools ...string) string {
	var target string
	c.locked(func() {
		if p, ok := c.pools.get(pools[0]); ok {
			target = p.node.id
		}
	})
	return c.AddVolume(Volume{Size: size, Pools: pools, Target: target})
}
