package mayastor

import (
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
	for _, pool := range p.sorted {
		c := Candidate{Pool: pool.ID, Node: pool.home()}
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
	cluster
	v Volume
	// thin is how the server does the sums; a thick volume with snapshots is
	// treated as thin.
	thin bool
	// free is how much room a pool must exceed (MS 4.3).
	free int64
	// kept is how much room a replica takes in the end.
	kept int64

	poolIn, nodeIn         *LabelledTopology
	poolSpread, nodeSpread spread
	allowed                []string
	encrypted              bool
	memo                   map[*Pool]*rejection
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
		memo:      make(map[*Pool]*rejection, len(c.sorted)),
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
	p.poolSpread, p.nodeSpread = spreadOf(p.poolIn), spreadOf(p.nodeIn)
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
	if no, done := p.memo[pool]; done {
		return no
	}
	no := p.forEver(pool)
	// A doubtful filter must not hide one that is certain.
	if no == nil || no.doubtful {
		if now := p.forNow(pool); now != nil {
			no = now
		}
	}
	p.memo[pool] = no
	return no
}

// forEver are the filters that no waiting helps against.
func (p *placement) forEver(pool *Pool) *rejection {
	if key, ok := matches(p.poolIn, pool.labels()); !ok {
		return &rejection{reason: ReasonPinnedTopology, key: key}
	}
	if len(p.allowed) > 0 && !slices.Contains(p.allowed, pool.home()) {
		return &rejection{reason: ReasonNodeNotAllowed}
	}
	if key, ok := matches(p.nodeIn, p.nodes[pool.home()].labels()); !ok {
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

// matches says whether labels satisfy the inclusions of t, and if not the key
// that they fail: every key must be there, with the value if one is given. The
// keys by which replicas are kept together must be there, too.
func matches(t *LabelledTopology, labels map[string]string) (failed string, ok bool) {
	if t == nil {
		return "", true
	}
	ok = true
	for key, want := range t.Inclusion {
		have, there := labels[key]
		if (!there || want != "" && have != want) && (ok || key < failed) {
			failed, ok = key, false
		}
	}
	for _, key := range t.AffinityKey {
		if _, there := labels[key]; !there && ok {
			failed, ok = key, false
		}
	}
	return failed, ok
}

// beside is what depends on where the other replicas are.
func (p *placement) beside(pool *Pool, placed []ReplicaRef) *rejection {
	if taken(pool, placed) {
		return &rejection{reason: ReasonNoFreeNode}
	}
	if no := p.nodeSpread.beside(p.nodes[pool.home()].labels(), placed, p.nodeLabels); no != nil {
		return no
	}
	return p.poolSpread.beside(pool.labels(), placed, p.poolLabels)
}

// taken says whether one of the replicas is on the node of the pool.
func taken(pool *Pool, placed []ReplicaRef) bool {
	home := pool.home()
	return slices.ContainsFunc(placed, func(r ReplicaRef) bool { return r.Node == home })
}

func (p *placement) nodeLabels(r ReplicaRef) map[string]string { return p.nodes[r.Node].labels() }
func (p *placement) poolLabels(r ReplicaRef) map[string]string { return p.pools[r.Pool].labels() }

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

// beside checks the labels of a place against those of the others.
func (s spread) beside(here map[string]string, placed []ReplicaRef, there func(ReplicaRef) map[string]string) *rejection {
	for _, key := range s.differ {
		value, ok := here[key]
		if !ok {
			return &rejection{reason: ReasonSpreadTopology, doubtful: true, key: key, absent: true}
		}
		for _, r := range placed {
			if other, used := there(r)[key]; used && other == value {
				return &rejection{reason: ReasonSpreadTopology, doubtful: true, key: key, value: value}
			}
		}
	}
	for _, key := range s.share {
		for _, r := range placed {
			if other, ok := there(r)[key]; ok && other != here[key] {
				return &rejection{reason: ReasonAffinityKey, doubtful: true, key: key, value: other}
			}
		}
	}
	return nil
}

// forNow are the filters that may let the pool pass later.
func (p *placement) forNow(pool *Pool) *rejection {
	node := p.nodes[pool.home()]
	switch {
	case node.status() != StatusOnline:
		return &rejection{reason: ReasonNodeNotOnline, passing: true}
	case node.cordoned():
		return &rejection{reason: ReasonNodeCordoned, passing: true}
	case pool.status() == StatusUnknown || pool.status() == StatusFaulted:
		return &rejection{reason: ReasonPoolNotOnline, passing: true}
	case pool.cordoned():
		return &rejection{reason: ReasonPoolCordoned, passing: true}
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
func (p *placement) overfull(pool *Pool, maxUsedPercent int) *rejection {
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
