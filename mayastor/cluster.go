package mayastor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Cluster is the pools and nodes of one reading, with what is looked up of them
// for every volume again. It points into the slices it is made of, which must
// not change while it is used, and is safe for concurrent use.
type Cluster struct {
	sites []site // by id of the pool
	pools map[string]*site
	nodes map[string]*Node
	// restless is why nothing at all should move now.
	restless []Refusal
}

// site is a pool where it is.
type site struct {
	*Pool
	index int    // among the sites
	node  string // its home
	on    *Node  // nil if it is not known
	// shut is what keeps every new replica off the pool now, "" for nothing.
	shut Reason
}

// NewCluster indexes a reading.
func NewCluster(pools []Pool, nodes []Node) *Cluster {
	c := &Cluster{
		sites: make([]site, len(pools)),
		pools: make(map[string]*site, len(pools)),
		nodes: make(map[string]*Node, len(nodes)),
	}
	for i := range nodes {
		c.nodes[nodes[i].ID] = &nodes[i]
	}
	sorted := make([]*Pool, len(pools))
	for i := range pools {
		sorted[i] = &pools[i]
	}
	byID := func(a, b *Pool) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(sorted, byID) {
		slices.SortStableFunc(sorted, byID)
	}
	for i, pool := range sorted {
		home := pool.home()
		s := &c.sites[i]
		*s = site{Pool: pool, index: i, node: home, on: c.nodes[home]}
		s.shut = s.closed()
		c.pools[pool.ID] = s
	}
	c.restless = c.unsettled()
	return c
}

// pool is nil if it is not known.
func (c *Cluster) pool(id string) *Pool {
	if s := c.pools[id]; s != nil {
		return s.Pool
	}
	return nil
}

// closed are the filters that may let the pool pass later, whatever the volume.
func (s *site) closed() Reason {
	switch {
	case s.on.status() != StatusOnline:
		return ReasonNodeNotOnline
	case s.on.cordoned():
		return ReasonNodeCordoned
	case s.status() == StatusUnknown || s.status() == StatusFaulted:
		return ReasonPoolNotOnline
	case s.cordoned():
		return ReasonPoolCordoned
	}
	return ""
}

// home is the node a pool is on.
func (p *Pool) home() string {
	if p.Spec != nil && p.Spec.Node != "" {
		return p.Spec.Node
	}
	if p.State != nil {
		return p.State.Node
	}
	return ""
}

// labels of the pool; nil if it has none.
func (p *Pool) labels() map[string]string {
	if p == nil || p.Spec == nil {
		return nil
	}
	return p.Spec.Labels
}

// status is what is known of the pool now; without a state that is nothing.
func (p *Pool) status() Status {
	if p == nil || p.State == nil || p.State.Status == "" {
		return StatusUnknown
	}
	return p.State.Status
}

// draining says whether a drain of the pool is under way. One that is over
// leaves its record behind.
func (p *Pool) draining() bool {
	recorded := p.Spec != nil && p.Spec.CordonDrain != nil && present(p.Spec.CordonDrain.Drain)
	if p.Meta == nil || !present(p.Meta.Drain) {
		return recorded
	}
	phase := drainPhase(p.Meta.Drain)
	return phase != "Drained" && phase != "Cancelled"
}

// cordoned says whether the pool takes no new replica. A drain that is over but
// on record keeps it shut.
func (p *Pool) cordoned() bool {
	if p.Spec == nil || p.Spec.CordonDrain == nil {
		return false
	}
	c := p.Spec.CordonDrain
	return c.Cordoned != nil && c.Cordoned.Replicas || present(c.Drain)
}

// labels of the node; nil if it has none or is not known.
func (n *Node) labels() map[string]string {
	if n == nil || n.Spec == nil {
		return nil
	}
	return n.Spec.Labels
}

// status is what is known of the node now.
func (n *Node) status() Status {
	if n == nil || n.State == nil || n.State.Status == "" {
		return StatusUnknown
	}
	return n.State.Status
}

// cordoned says whether anybody's cordon or drain is on the node.
func (n *Node) cordoned() bool {
	if n == nil || n.Spec == nil || n.Spec.Cordon == nil {
		return false
	}
	c := n.Spec.Cordon
	return c.Cordoned != nil || c.Draining != nil || c.Drained != nil
}

// owners of the node's cordons and drains, sorted.
func (n *Node) owners() []string {
	if !n.cordoned() {
		return nil
	}
	var all []string
	c := n.Spec.Cordon
	for _, l := range []*CordonLabels{c.Cordoned, c.Draining, c.Drained} {
		if l != nil {
			all = append(append(all, l.CordonLabels...), l.DrainLabels...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// version of the io-engine on the node, or "".
func (n *Node) version() string {
	if n.State != nil && n.State.Version != "" {
		return n.State.Version
	}
	if n.Spec != nil {
		return n.Spec.Version
	}
	return ""
}

// unsettled returns why this is no time to move any volume: upgrades and drains
// (MS 5.7.9).
func (c *Cluster) unsettled() []Refusal {
	var no refusals
	versions := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(c.nodes)) {
		n := c.nodes[id]
		// One that is down for good must not hold up the others for ever.
		if n.status() == StatusOnline {
			versions[n.version()] = true
		}
		if n.Spec != nil && n.Spec.Cordon != nil && n.Spec.Cordon.Draining != nil {
			no.add(ReasonNodeDraining, "node %s is being drained, and nothing is moved meanwhile; wait until it is done", id)
		}
	}
	if len(versions) > 1 {
		no.add(ReasonMixedVersions, "the nodes run different versions of the io-engine (%s), as in an upgrade; wait until all run the same", enumerate(slices.Sorted(maps.Keys(versions))))
	}
	for i := range c.sites {
		if c.sites[i].draining() {
			no.add(ReasonPoolDraining, "pool %s is being drained, and nothing is moved meanwhile; wait until it is done", c.sites[i].ID)
		}
	}
	return no
}

// unrest returns why this is no time to move the volume, whatever the volume
// itself says: that nothing should move, and what is down (MS 5.4.1).
func (c *Cluster) unrest(v Volume) []Refusal {
	no := refusals(slices.Clone(c.restless))
	homes, places := map[string]bool{}, map[string]bool{}
	if v.Spec.Target != nil && v.Spec.Target.Node != "" {
		homes[v.Spec.Target.Node] = true
	}
	for _, r := range v.State.Replicas {
		if r.Node != "" && r.Pool != "" {
			homes[r.Node], places[r.Pool] = true, true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(homes)) {
		n := c.nodes[id]
		if s := n.status(); s != StatusOnline {
			no.add(ReasonNodeNotOnline, "node %s of the volume is %s, not Online; wait until it is back", id, s)
		}
		if n != nil && n.Spec != nil && n.Spec.Cordon != nil && n.Spec.Cordon.Drained != nil {
			no.add(ReasonNodeDrained, "node %s of the volume is drained and may be taken down at any time; uncordon it, or wait until it is back in service", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(places)) {
		if s := c.pool(id).status(); s != StatusOnline {
			no.add(ReasonPoolNotOnline, "pool %s of the volume is %s, not Online; wait until it is back", id, s)
		}
	}
	return no
}

// enumerate joins names for a sentence, the first few of them.
func enumerate(names []string) string {
	const most = 4
	shown := make([]string, 0, most)
	for _, n := range names[:min(len(names), most)] {
		shown = append(shown, cmp.Or(n, "unknown"))
	}
	text := strings.Join(shown, ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// drainPhase reads the phase out of a pool's drain, or "".
func drainPhase(raw json.RawMessage) string {
	var d struct {
		Phase string `json:"phase"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return ""
	}
	return d.Phase
}
