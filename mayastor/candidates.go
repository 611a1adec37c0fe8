package mayastor

import (
	"cmp"
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
	p := placementOf(v, NewCluster(pools, nodes))
	all := make([]Candidate, 0, len(pools))
	placed := p.beside(p.placed())
	for i := range p.sites {
		pool := &p.sites[i]
		c := Candidate{Pool: pool.ID, Node: pool.node}
		if no := p.reject(pool, placed); no != nil {
			c.Reject, c.Reason = p.describe(pool, no), no.reason
		}
		all = append(all, c)
	}
	return all
}

// rejection is one filter that a pool does not pass. Words are made of it only
// where somebody reads them; see describe.
type rejection struct {
	reason Reason
	// doubtful filters differ between versions of the server: the pool may be
	// used all the same, so it is neither to be relied on nor to be ignored.
	doubtful bool
	// passing ones may be gone in a while: the pool is down, closed or full.
	passing bool
	// key and value of the label it is about.
	key, value string
	// absent: the place lacks that label.
	absent bool
	// need is how many bytes it takes, limit a percentage.
	need  int64
	limit int
}

// placement judges pools for one volume.
type placement struct {
	*Cluster
	v Volume
	// thin is how the server does the sums; a thick volume with snapshots is
	// treated as thin.
	thin bool
	// free is how much room a pool must exceed (MS 4.3).
	free int64
	// kept is how much room a replica takes in the end.
	kept int64

	poolIn, nodeIn         demand
	poolSpread, nodeSpread spread
	allowed                []string
	encrypted              bool
	// noFreeNode is found again and again.
	noFreeNode rejection
	// judged holds what fixed found, by site.
	judged []judgement
}

type judgement struct {
	done bool
	no   *rejection
}

// The server's limits for thin volumes, by default (MS 1.5, 4.3).
const (
	thinWatermark     = 16 << 20 // bytes
	thinSlackPercent  = 40       // of the size, beyond what is allocated
	overcommitPercent = 250
)

func placementOf(v Volume, c *Cluster) *placement {
	p := &placement{
		Cluster: c, v: v,
		thin: v.Spec.Thin || v.Spec.AsThin, free: v.Spec.Size, kept: v.Spec.Size,
		noFreeNode: rejection{reason: ReasonNoFreeNode},
		judged:     make([]judgement, len(c.sites)),
		encrypted:  v.Spec.Encrypted != nil && *v.Spec.Encrypted,
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
			p.poolIn, p.poolSpread = demandOf(t.Pool.Labelled), spreadOf(t.Pool.Labelled)
		}
		if t.Node != nil {
			p.nodeIn, p.nodeSpread = demandOf(t.Node.Labelled), spreadOf(t.Node.Labelled)
			if t.Node.Explicit != nil {
				p.allowed = t.Node.Explicit.AllowedNodes
			}
		}
	}
	return p
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
func (p *placement) reject(pool *site, placed company) *rejection {
	f := p.fixed(pool)
	if f != nil && !f.passing {
		return f
	}
	if no := p.clash(pool, placed); no != nil {
		return no
	}
	return f
}

// may says whether the server might place a replica on the pool.
func (p *placement) may(pool *site, placed company) bool {
	if f := p.fixed(pool); f != nil && !f.doubtful {
		return false
	}
	no := p.clash(pool, placed)
	return no == nil || no.doubtful
}

// fixed is what does not depend on the other replicas.
func (p *placement) fixed(pool *site) *rejection {
	if j := p.judged[pool.index]; j.done {
		return j.no
	}
	no := p.forEver(pool)
	// A doubtful filter must not hide one that is certain.
	if no == nil || no.doubtful {
		if now := p.forNow(pool); now != nil {
			no = now
		}
	}
	p.judged[pool.index] = judgement{true, no}
	return no
}

// forEver are the filters that no waiting helps against.
func (p *placement) forEver(pool *site) *rejection {
	if key, ok := p.poolIn.met(pool.labels()); !ok {
		return &rejection{reason: ReasonPinnedTopology, key: key}
	}
	if len(p.allowed) > 0 && !slices.Contains(p.allowed, pool.node) {
		return &rejection{reason: ReasonNodeNotAllowed}
	}
	if key, ok := p.nodeIn.met(pool.on.labels()); !ok {
		return &rejection{reason: ReasonNodeTopology, key: key}
	}
	if pool.State != nil && pool.State.Capacity <= p.v.Spec.Size {
		return &rejection{reason: ReasonPoolTooSmall}
	}
	if encrypted := pool.Spec != nil && pool.Spec.Encrypted != nil && *pool.Spec.Encrypted; encrypted != p.encrypted {
		// Servers before 2.8 do not look, and newer ones may be told to prefer only.
		return &rejection{reason: ReasonEncryption, doubtful: true}
	}
	return nil
}

// demand is what a topology asks of the labels of a place: every inclusion must
// be there, with the value if one is given, and so must the keys by which
// replicas are kept together.
type demand struct {
	inclusion []inclusion // by key
	share     []string
}

type inclusion struct{ key, value string }

func demandOf(t *LabelledTopology) (d demand) {
	if t == nil {
		return d
	}
	d.share = t.AffinityKey
	if len(t.Inclusion) == 0 {
		return d
	}
	d.inclusion = make([]inclusion, 0, len(t.Inclusion))
	for key, value := range t.Inclusion {
		d.inclusion = append(d.inclusion, inclusion{key, value})
	}
	slices.SortFunc(d.inclusion, func(a, b inclusion) int { return cmp.Compare(a.key, b.key) })
	return d
}

// met says whether labels satisfy the demand, and if not the key that they fail.
func (d demand) met(labels map[string]string) (failed string, ok bool) {
	for _, want := range d.inclusion {
		if have, there := labels[want.key]; !there || want.value != "" && have != want.value {
			return want.key, false
		}
	}
	for _, key := range d.share {
		if _, there := labels[key]; !there {
			return key, false
		}
	}
	return "", true
}

// value that is demanded of a label, "" for any.
func (d demand) value(key string) string {
	for _, want := range d.inclusion {
		if want.key == key {
			return want.value
		}
	}
	return ""
}

// company are the replicas that a place would be beside, with the labels by
// which they might clash.
type company struct {
	placed       []ReplicaRef
	nodes, pools []map[string]string // nil if it does not matter
}

func (p *placement) beside(placed []ReplicaRef) company {
	c := company{placed: placed}
	if p.nodeSpread.any() {
		for _, r := range placed {
			c.nodes = append(c.nodes, p.nodes[r.Node].labels())
		}
	}
	if p.poolSpread.any() {
		for _, r := range placed {
			c.pools = append(c.pools, p.pool(r.Pool).labels())
		}
	}
	return c
}

// clash is what depends on where the other replicas are.
func (p *placement) clash(pool *site, c company) *rejection {
	if pool.taken(c.placed) {
		return &p.noFreeNode
	}
	if p.nodeSpread.any() {
		if no := p.nodeSpread.clash(pool.on.labels(), c.nodes); no != nil {
			return no
		}
	}
	if p.poolSpread.any() {
		return p.poolSpread.clash(pool.labels(), c.pools)
	}
	return nil
}

// taken says whether one of the replicas is on the node of the pool.
func (s *site) taken(placed []ReplicaRef) bool {
	for i := range placed {
		if placed[i].Node == s.node {
			return true
		}
	}
	return false
}

// spread is how where one replica is restricts where another may be: by some
// labels they must differ, by others they must not. Which servers look at this
// on a +1 is not certain (MS 4.3).
type spread struct{ differ, share []string }

func spreadOf(t *LabelledTopology) spread {
	if t == nil {
		return spread{}
	}
	return spread{slices.Sorted(maps.Keys(t.Exclusion)), t.AffinityKey}
}

func (s spread) any() bool { return len(s.differ)+len(s.share) > 0 }

// clash checks the labels of a place against those of the others.
func (s spread) clash(here map[string]string, others []map[string]string) *rejection {
	for _, key := range s.differ {
		value, ok := here[key]
		if !ok {
			return &rejection{reason: ReasonSpreadTopology, doubtful: true, key: key, absent: true}
		}
		for _, there := range others {
			if other, used := there[key]; used && other == value {
				return &rejection{reason: ReasonSpreadTopology, doubtful: true, key: key, value: value}
			}
		}
	}
	for _, key := range s.share {
		for _, there := range others {
			if other, ok := there[key]; ok && other != here[key] {
				return &rejection{reason: ReasonAffinityKey, doubtful: true, key: key, value: other}
			}
		}
	}
	return nil
}

// forNow are the filters that may let the pool pass later.
func (p *placement) forNow(pool *site) *rejection {
	if pool.shut != "" {
		return &rejection{reason: pool.shut, passing: true}
	}
	s := pool.State
	need := p.free
	if p.thin {
		need = max(need, thinWatermark)
	}
	if free := s.Capacity - max(s.Used, 0); free <= need {
		return &rejection{reason: ReasonPoolFull, passing: true, need: need}
	}
	committed := s.Used
	if s.Committed != nil {
		committed = *s.Committed
	}
	if p.thin && !lessProduct(add(p.v.Spec.Size, committed), 100, s.Capacity, overcommitPercent) {
		return &rejection{reason: ReasonPoolOvercommit, passing: true, need: committed}
	}
	return nil
}

// overfull is the rule of ours: Online pools only, with room left at the end.
// The pool has a state.
func (p *placement) overfull(pool *site, maxUsedPercent int) *rejection {
	s := pool.State
	if s.Status != StatusOnline {
		return &rejection{reason: ReasonPoolNotOnline, passing: true}
	}
	if maxUsedPercent <= 0 || maxUsedPercent > 100 {
		maxUsedPercent = 100
	}
	if lessProduct(s.Capacity, int64(maxUsedPercent), add(s.Used, p.kept), 100) {
		return &rejection{reason: ReasonPoolUsedPercent, passing: true, limit: maxUsedPercent}
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
