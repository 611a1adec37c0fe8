package mayastor

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// Candidate is one pool as a place for one more replica of a volume.
type Candidate struct {
	Pool, Node string
	// Reject says why the server would not place a replica there, to complete
	// "the pool ..."; empty if it may. Reason is the same for machines.
	Reject string
	Reason Reason
}

// Candidates judges every pool by the server's own filters (MS 4.3), for one
// more replica beside those the volume has. They are sorted by pool. The
// server's thin-provisioning limits are taken as upstream's defaults, and what
// it sees may be newer than what is known here: it is a prediction.
func Candidates(v Volume, pools []Pool, nodes []Node) []Candidate {
	p := placementOf(v, clusterOf(pools, nodes))
	all := make([]Candidate, 0, len(pools))
	placed := p.placed()
	for i := range p.sorted {
		pool := &p.sorted[i]
		c := Candidate{Pool: pool.ID, Node: pool.home()}
		if no := p.reject(pool, placed); no != nil {
			c.Reject, c.Reason = no.text, no.reason
		}
		all = append(all, c)
	}
	return all
}

// rejection is one filter that a pool does not pass.
type rejection struct {
	reason Reason
	// text completes "pool x ...".
	text string
	// doubtful filters differ between versions of the server: the pool may be
	// used all the same, so it is neither to be relied on nor to be ignored.
	doubtful bool
	// passing ones may be gone in a while: the pool is down, closed or full.
	passing bool
}

// placement judges pools for one volume.
type placement struct {
	cluster
	v Volume
	// thin is how the server does the sums; a thick volume with snapshots is
	// treated as thin.
	thin bool
	// free is how much room a pool must exceed (MS 4.3).
	free int64
	// kept is how much room a replica takes in the end.
	kept int64

	poolIn, nodeIn     *LabelledTopology
	allowed            []string
	memo               map[string]*rejection
	encrypted, spreads bool
}

// The server's limits for thin volumes, by default (MS 1.5, 4.3).
const (
	thinWatermark     = 16 << 20 // bytes
	thinSlackPercent  = 40       // of the size, beyond what is allocated
	overcommitPercent = 250
)

func placementOf(v Volume, c cluster) *placement {
	p := &placement{
		cluster: c, v: v,
		thin: v.Spec.Thin || v.Spec.AsThin, free: v.Spec.Size, kept: v.Spec.Size,
		memo:      map[string]*rejection{},
		encrypted: v.Spec.Encrypted != nil && *v.Spec.Encrypted,
	}
	if p.thin && v.State.Usage != nil {
		allocated := min(max(v.State.Usage.Allocated, 0), v.Spec.Size)
		p.free = min(allocated+v.Spec.Size/100*thinSlackPercent+v.Spec.Size%100*thinSlackPercent/100, v.Spec.Size)
		p.kept = p.free
	}
	// The new replica gets the merged view of snapshots and of what a clone is
	// backed by, which may be as much as the size (MS 4.9).
	if v.Spec.NumSnapshots > 0 || present(v.Spec.ContentSource) {
		p.kept = v.Spec.Size
	}
	if t := v.Spec.Topology; t != nil {
		if t.Pool != nil {
			p.poolIn = t.Pool.Labelled
		}
		if t.Node != nil {
			p.nodeIn = t.Node.Labelled
			if t.Node.Explicit != nil {
				p.allowed = t.Node.Explicit.AllowedNodes
			}
		}
	}
	p.spreads = spreads(p.poolIn) || spreads(p.nodeIn)
	return p
}

// spreads says whether where one replica is restricts where another may be.
func spreads(t *LabelledTopology) bool {
	return t != nil && len(t.Exclusion)+len(t.AffinityKey) > 0
}

// placed is where the volume's replicas are, excess and broken ones included:
// they all count (MS 4.3).
func (p *placement) placed() []ReplicaRef {
	all := make([]ReplicaRef, 0, len(p.v.State.Replicas))
	for _, id := range slices.Sorted(maps.Keys(p.v.State.Replicas)) {
		r := p.v.State.Replicas[id]
		all = append(all, ReplicaRef{UUID: id, Pool: r.Pool, Node: r.Node})
	}
	return all
}

// reject returns the first filter the pool does not pass beside the placed
// replicas, nil if it passes all: first those that hold for ever, then those
// that depend on the other replicas, then those that pass with time.
func (p *placement) reject(pool *Pool, placed []ReplicaRef) *rejection {
	f := p.fixed(pool)
	if f != nil && !f.passing {
		return f
	}
	if no := p.beside(pool, placed); no != nil {
		return no
	}
	return f
}

// may says whether the server might place a replica on the pool.
func (p *placement) may(pool *Pool, placed []ReplicaRef) bool {
	if f := p.fixed(pool); f != nil && !f.doubtful {
		return false
	}
	no := p.beside(pool, placed)
	return no == nil || no.doubtful
}

// fixed is what does not depend on the other replicas.
func (p *placement) fixed(pool *Pool) *rejection {
	if no, done := p.memo[pool.ID]; done {
		return no
	}
	no := p.forEver(pool)
	// A doubtful filter must not hide one that is certain.
	if no == nil || no.doubtful {
		if now := p.forNow(pool); now != nil {
			no = now
		}
	}
	p.memo[pool.ID] = no
	return no
}

// forEver are the filters that no waiting helps against.
func (p *placement) forEver(pool *Pool) *rejection {
	node := p.nodes[pool.home()]
	if text := mismatch(p.poolIn, pool.labels()); text != "" {
		return &rejection{reason: ReasonPinnedTopology, text: text}
	}
	if len(p.allowed) > 0 && !slices.Contains(p.allowed, pool.home()) {
		return &rejection{reason: ReasonNodeNotAllowed, text: fmt.Sprintf("is on node %s, and the volume is allowed on %s only", pool.home(), enumerate(p.allowed))}
	}
	if text := mismatch(p.nodeIn, node.labels()); text != "" {
		return &rejection{reason: ReasonNodeTopology, text: "is on node " + pool.home() + ", which " + text}
	}
	if pool.State != nil && pool.State.Capacity <= p.v.Spec.Size {
		return &rejection{reason: ReasonPoolTooSmall, text: fmt.Sprintf("holds %s, and the volume's size is %s", bytesText(pool.State.Capacity), bytesText(p.v.Spec.Size))}
	}
	if is := pool.Spec != nil && pool.Spec.Encrypted != nil && *pool.Spec.Encrypted; is != p.encrypted {
		text := "is encrypted, and the volume is not"
		if p.encrypted {
			text = "is not encrypted, and the volume is"
		}
		// Servers before 2.8 do not look, and newer ones may be told to prefer only.
		return &rejection{reason: ReasonEncryption, text: text, doubtful: true}
	}
	return nil
}

// mismatch says how labels fail to match the inclusions of t: every key must
// be there, with the value if one is given. Affinity keys must be there, too.
func mismatch(t *LabelledTopology, labels map[string]string) string {
	if t == nil {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(t.Inclusion)) {
		want := t.Inclusion[key]
		have, ok := labels[key]
		switch {
		case !ok && want == "":
			return fmt.Sprintf("has no label %s, and the volume demands one", key)
		case !ok:
			return fmt.Sprintf("has no label %s, and the volume demands %s=%s", key, key, want)
		case want != "" && have != want:
			return fmt.Sprintf("has label %s=%s, and the volume demands %s=%s", key, have, key, want)
		}
	}
	for _, key := range t.AffinityKey {
		if _, ok := labels[key]; !ok {
			return fmt.Sprintf("has no label %s, and the volume demands one", key)
		}
	}
	return ""
}

// beside is what depends on where the other replicas are.
func (p *placement) beside(pool *Pool, placed []ReplicaRef) *rejection {
	home := pool.home()
	for _, r := range placed {
		if r.Node == home {
			return &rejection{reason: ReasonNoFreeNode, text: fmt.Sprintf("is on node %s, which holds a replica of the volume already", home)}
		}
	}
	if !p.spreads {
		return nil
	}
	node := p.nodes[home]
	for _, r := range placed {
		if no := apart(p.nodeIn, "node "+home, node.labels(), p.nodes[r.Node].labels()); no != nil {
			return no
		}
		if no := apart(p.poolIn, "it", pool.labels(), p.pools[r.Pool].labels()); no != nil {
			return no
		}
	}
	// Without another replica there is still the demand for the key.
	for _, t := range []struct {
		topology *LabelledTopology
		labels   map[string]string
	}{{p.nodeIn, node.labels()}, {p.poolIn, pool.labels()}} {
		if no := apart(t.topology, "it", t.labels, nil); no != nil {
			return no
		}
	}
	return nil
}

// apart checks two places against the keys by which replicas are spread, whose
// values must differ, and those by which they are kept together, whose values
// must not. Which servers look at this on a +1 is not certain (MS 4.3).
func apart(t *LabelledTopology, who string, here, there map[string]string) *rejection {
	if t == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(t.Exclusion)) {
		value, ok := here[key]
		if !ok {
			return &rejection{reason: ReasonSpreadTopology, doubtful: true, text: fmt.Sprintf("does not qualify, as %s has no label %s by which the volume's replicas are spread", who, key)}
		}
		if other, taken := there[key]; taken && other == value {
			return &rejection{reason: ReasonSpreadTopology, doubtful: true, text: fmt.Sprintf("does not qualify, as another replica has %s=%s already and they are to be spread by it", key, value)}
		}
	}
	for _, key := range t.AffinityKey {
		if other, ok := there[key]; ok && other != here[key] {
			return &rejection{reason: ReasonAffinityKey, doubtful: true, text: fmt.Sprintf("does not qualify, as the other replicas have %s=%s and are to stay together by it", key, other)}
		}
	}
	return nil
}

// forNow are the filters that may let the pool pass later.
func (p *placement) forNow(pool *Pool) *rejection {
	home := pool.home()
	node := p.nodes[home]
	switch {
	case node.status() != StatusOnline:
		return &rejection{reason: ReasonNodeNotOnline, passing: true, text: fmt.Sprintf("is on node %s, which is %s", home, node.status())}
	case node.cordoned():
		return &rejection{reason: ReasonNodeCordoned, passing: true, text: fmt.Sprintf("is on node %s, which is cordoned (%s)", home, enumerate(node.owners()))}
	case pool.State == nil:
		return &rejection{reason: ReasonPoolNotOnline, passing: true, text: "has no state: it is not imported"}
	case pool.status() == StatusUnknown || pool.status() == StatusFaulted:
		return &rejection{reason: ReasonPoolNotOnline, passing: true, text: fmt.Sprintf("is %s", pool.status())}
	case pool.cordoned():
		return &rejection{reason: ReasonPoolCordoned, passing: true, text: "is cordoned against new replicas"}
	}
	s := pool.State
	free := s.Capacity - s.Used
	need := p.free
	if p.thin {
		need = max(need, thinWatermark)
	}
	if free <= need {
		return &rejection{reason: ReasonPoolFull, passing: true, text: fmt.Sprintf("has %s free, and more than %s are needed", bytesText(free), bytesText(need))}
	}
	committed := s.Used
	if s.Committed != nil {
		committed = *s.Committed
	}
	if p.thin && !lessProduct(add(p.v.Spec.Size, committed), 100, s.Capacity, overcommitPercent) {
		return &rejection{reason: ReasonPoolOvercommit, passing: true, text: fmt.Sprintf("has promised %s of its %s, and the server stops at %d%%", bytesText(committed), bytesText(s.Capacity), overcommitPercent)}
	}
	return nil
}

// overfull is the rule of ours: Online pools only, with room left at the end.
func (p *placement) overfull(pool *Pool, maxUsedPercent int) *rejection {
	s := pool.State
	if s.Status != StatusOnline {
		return &rejection{reason: ReasonPoolNotOnline, passing: true, text: fmt.Sprintf("is %s, not Online", pool.status())}
	}
	if maxUsedPercent <= 0 || maxUsedPercent > 100 {
		maxUsedPercent = 100
	}
	if lessProduct(s.Capacity, int64(maxUsedPercent), add(s.Used, p.kept), 100) {
		return &rejection{reason: ReasonPoolUsedPercent, passing: true, text: fmt.Sprintf("has %s of %s used, and %s more would exceed %d%%", bytesText(s.Used), bytesText(s.Capacity), bytesText(p.kept), maxUsedPercent)}
	}
	return nil
}

// add saturates, and takes negative sizes for nothing.
func add(a, b int64) int64 {
	a, b = max(a, 0), max(b, 0)
	if sum := a + b; sum >= 0 {
		return sum
	}
	return 1<<63 - 1
}

// lessProduct says whether a*x < b*y, which may not fit into 64 bits. Negative
// numbers count as 0.
func lessProduct(a, x, b, y int64) bool {
	ah, al := bits.Mul64(uint64(max(a, 0)), uint64(max(x, 0)))
	bh, bl := bits.Mul64(uint64(max(b, 0)), uint64(max(y, 0)))
	return ah < bh || ah == bh && al < bl
}

// bytesText is n for a sentence.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f /= 1024
		u++
	}
	if f == float64(int64(f)) {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}
