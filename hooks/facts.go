package hooks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// facts are what a decision needs of one reading of Mayastor, worked out once
// and then shared; but for what was asked of them last they are never changed.
type facts struct {
	inventory *mayastor.Inventory
	// cluster is the inventory's pools and nodes, to find routes.
	cluster *mayastor.Cluster
	// reading numbers it; 0 for none.
	reading uint64
	// volumes hold only what Mayastor knows, in the inventory's order. They are
	// worked out when they are asked for.
	volumes func() []tiering.Volume
	pools   []tiering.Pool
	nodes   []tiering.Node
	movable string
	// steering says by what it is known that moves can be steered.
	steering string
	// unsettled is why nothing should move in the whole cluster now, or "".
	unsettled string
	// labelled are the pools as they were last asked for.
	labelled labelled
	// routes grow as they are asked for.
	routes routes
}

// labelled are pools with the labels that DiskPool objects add.
type labelled struct {
	mu    sync.Mutex
	by    []*diskPool
	pools []tiering.Pool
}

// factsCache keeps the facts of the newest reading.
type factsCache struct {
	mu   sync.Mutex
	last *facts
	// readings counts them.
	readings uint64
}

// of returns the facts of a reading, which may be nil.
func (c *factsCache) of(inventory *mayastor.Inventory) *facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || c.last.inventory != inventory {
		c.last = newFacts(inventory)
		c.readings++
		c.last.reading = c.readings
	}
	return c.last
}

// newFacts returns the facts of a reading, which may be nil.
func newFacts(inventory *mayastor.Inventory) *facts {
	f := &facts{inventory: inventory}
	if inventory == nil {
		return f
	}
	f.cluster = mayastor.NewCluster(inventory.Pools, inventory.Nodes)
	f.volumes = sync.OnceValue(func() []tiering.Volume {
		volumes := make([]tiering.Volume, len(inventory.Volumes))
		for i := range volumes {
			volumes[i] = volumeFacts(inventory.Volumes[i].Volume())
		}
		return volumes
	})
	for i := range inventory.Pools {
		f.pools = append(f.pools, poolFacts(&inventory.Pools[i], inventory))
	}
	for i := range inventory.Nodes {
		f.nodes = append(f.nodes, nodeFacts(&inventory.Nodes[i], inventory))
	}
	f.steering = inventory.Capability.Source
	if c := inventory.Capability; !c.PoolCordon && !c.Removal {
		f.movable = cmp.Or(c.Source, "it is not known whether this Mayastor lets moves be steered; moves need Mayastor 2.10, or 2.9 and --mayastor-version saying so")
	}
	f.unsettled = unsettled(inventory)
	return f
}

// find returns the place of a volume in the reading, if that lists it.
func (f *facts) find(uuid string) (int, bool) {
	if f.inventory == nil {
		return 0, false
	}
	return f.inventory.Find(uuid)
}

// says returns what the reading says of a volume; the zero value if it does not
// list it.
func (f *facts) says(uuid string) mayastor.Packed {
	if i, ok := f.find(uuid); ok {
		return f.inventory.Volumes[i]
	}
	return mayastor.Packed{}
}

// volume returns what Mayastor knows of a volume; the zero value if it does not
// list it. again is true if somebody who does not remember it will ask again.
func (f *facts) volume(uuid string, again bool) tiering.Volume {
	i, ok := f.find(uuid)
	switch {
	case !ok:
		return tiering.Volume{}
	case again:
		return f.volumes()[i]
	}
	return volumeFacts(f.inventory.Volumes[i].Volume())
}

func volumeFacts(v mayastor.Volume) tiering.Volume {
	t := tiering.Volume{
		UUID: v.Spec.UUID, Listed: true,
		SizeBytes: v.Spec.Size,
		// What is not known counts as full, as it may have to be reserved.
		AllocatedBytes: v.Spec.Size,
		Thin:           v.Spec.Thin || v.Spec.AsThin,
		Snapshots:      v.Spec.NumSnapshots,
	}
	if v.State.Usage != nil {
		t.AllocatedBytes = v.State.Usage.Allocated
	}
	t.Replicas = make([]tiering.Replica, 0, len(v.State.Replicas))
	for _, uuid := range slices.Sorted(maps.Keys(v.State.Replicas)) {
		r := v.State.Replicas[uuid]
		t.Replicas = append(t.Replicas, tiering.Replica{UUID: uuid, Pool: r.Pool, Node: r.Node})
	}
	for _, refusal := range mayastor.Healthy(v) {
		switch refusal.Reason {
		case mayastor.ReasonUnpublished, mayastor.ReasonTemporaryTarget, mayastor.ReasonTargetProtocol:
			t.Unpublished = cmp.Or(t.Unpublished, refusal.Sentence)
		case mayastor.ReasonCloneUnpublished:
			t.Unpublished = cmp.Or(t.Unpublished, refusal.Sentence)
			t.Content = cmp.Or(t.Content, refusal.Sentence)
		default:
			t.Unhealthy = cmp.Or(t.Unhealthy, refusal.Sentence)
		}
	}
	return t
}

func poolFacts(p *mayastor.Pool, inventory *mayastor.Inventory) tiering.Pool {
	t := tiering.Pool{Name: p.ID}
	if p.Spec != nil {
		t.Node = p.Spec.Node
		t.Labels = labels.Set(p.Spec.Labels)
	}
	if s := p.State; s != nil {
		t.Node = cmp.Or(s.Node, t.Node)
		t.CapacityBytes, t.UsedBytes = s.Capacity, s.Used
		if s.Committed != nil {
			t.CommittedBytes = *s.Committed
		}
		t.Online = s.Status == mayastor.StatusOnline && s.Capacity > 0
	}
	if t.Online {
		t.OnlineSince = inventory.PoolOnlineSince[p.ID]
	}
	return t
}

func nodeFacts(n *mayastor.Node, inventory *mayastor.Inventory) tiering.Node {
	t := tiering.Node{Name: n.ID, Version: nodeVersion(n)}
	if n.State != nil && n.State.Status == mayastor.StatusOnline {
		t.Online = true
		t.OnlineSince = inventory.NodeOnlineSince[n.ID]
	}
	if n.Spec != nil && n.Spec.Cordon != nil {
		c := n.Spec.Cordon
		t.Draining = c.Draining != nil || c.Drained != nil
		t.Cordoned = c.Cordoned != nil || t.Draining
	}
	return t
}

func nodeVersion(n *mayastor.Node) string {
	switch {
	case n.State != nil && n.State.Version != "":
		return n.State.Version
	case n.Spec != nil:
		return n.Spec.Version
	}
	return ""
}

// unsettled says why no volume at all should move now: an upgrade under way,
// which shows as mixed versions, or a drain of a pool (MS 5.7.9).
func unsettled(inventory *mayastor.Inventory) string {
	on := make(map[string]string)
	for i := range inventory.Nodes {
		n := &inventory.Nodes[i]
		if version := nodeVersion(n); version != "" && n.State != nil && n.State.Status == mayastor.StatusOnline && on[version] == "" {
			on[version] = n.ID
		}
	}
	if len(on) > 1 {
		each := make([]string, 0, len(on))
		for _, version := range slices.Sorted(maps.Keys(on)) {
			each = append(each, fmt.Sprintf("%s on node %s", version, on[version]))
		}
		return fmt.Sprintf("the nodes run different versions of the io-engine (%s), as in an upgrade; wait until all run the same", strings.Join(each, ", "))
	}
	for i := range inventory.Pools {
		if p := &inventory.Pools[i]; draining(p) {
			return fmt.Sprintf("pool %s is being drained, and Mayastor moves replicas itself meanwhile; wait until that is over", p.ID)
		}
	}
	return ""
}

// draining reports whether a drain of the pool may still move replicas; a
// phase that is not known may.
func draining(p *mayastor.Pool) bool {
	present := func(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }
	if p.Meta != nil && present(p.Meta.Drain) {
		var drain struct {
			Phase string `json:"phase"`
		}
		if err := json.Unmarshal(p.Meta.Drain, &drain); err != nil {
			return true
		}
		return drain.Phase != "Drained" && drain.Phase != "Cancelled"
	}
	return p.Spec != nil && p.Spec.CordonDrain != nil && present(p.Spec.CordonDrain.Drain)
}

// world is the world of one request: the shared facts, and the labels of its
// DiskPool objects added to those of the pools they name (MS 6.1). Where the
// two contradict each other, the pool is in no tier.
func (f *facts) world(metrics, mayastorSource tiering.Source, diskPools []*diskPool) *tiering.World {
	return &tiering.World{
		Metrics: metrics, Mayastor: mayastorSource, ReadAt: f.readAt(),
		Movable: f.movable, Steering: f.steering, Unsettled: f.unsettled,
		Pools: f.poolsWith(diskPools), Nodes: f.nodes,
	}
}

// poolsWith returns the pools with the labels of DiskPool objects added: the same
// ones for the same objects, since whoever keeps a plan keeps its pools.
func (f *facts) poolsWith(diskPools []*diskPool) []tiering.Pool {
	if len(diskPools) == 0 {
		return f.pools
	}
	l := &f.labelled
	l.mu.Lock()
	defer l.mu.Unlock()
	if same(l.by, diskPools) {
		return l.pools
	}
	pools := slices.Clone(f.pools)
	byName := make(map[string]*tiering.Pool, len(pools))
	for i := range pools {
		byName[pools[i].Name] = &pools[i]
	}
	for _, d := range diskPools {
		if p := byName[d.Name]; p != nil {
			addLabels(p, d.Labels)
		}
	}
	l.by, l.pools = diskPools, pools
	return pools
}

// readAt is when the reading began; zero if there never was one.
func (f *facts) readAt() time.Time {
	if f.inventory == nil {
		return time.Time{}
	}
	return f.inventory.At
}

func addLabels(p *tiering.Pool, more map[string]string) {
	if len(more) == 0 {
		return
	}
	joined := make(labels.Set, len(p.Labels)+len(more))
	maps.Copy(joined, p.Labels)
	for _, key := range slices.Sorted(maps.Keys(more)) {
		if have, ok := joined[key]; ok && have != more[key] {
			p.Conflict = cmp.Or(p.Conflict, fmt.Sprintf("label %s is %q in Mayastor and %q on the DiskPool object; make them the same", key, have, more[key]))
			continue
		}
		joined[key] = more[key]
	}
	p.Labels = joined
}
