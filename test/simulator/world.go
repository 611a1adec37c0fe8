package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// node is a storage node: its io-engine, and what the core believes about it.
type node struct {
	id, version string
	index       int // for addresses
	labels      map[string]string
	up          bool   // the io-engine runs
	status      string // what the core believes: Online, Offline, Unknown
	downs       int    // times it went down; tells one keep-alive deadline from the next
	cordons     []string
	drains      []string
	drained     bool
}

func (n *node) cordoned() bool { return len(n.cordons)+len(n.drains) > 0 }
func (n *node) address() string {
	return fmt.Sprintf("10.1.%d.%d", n.index/250, n.index%250+1)
}

// pool is a DiskPool.
type pool struct {
	id, uuid    string
	node        *node
	labels      map[string]string
	capacity    int64
	other       int64 // bytes used by what is no replica and no snapshot of ours
	own         []*replica
	snapshots   int64 // bytes of snapshot copies
	up          bool
	imported    bool // false after a restart of its node under an import cordon
	degraded    bool
	latency     time.Duration
	cordon      PoolCordon
	failCreates int // so many replica creations to come fail
	io          ioCounters
	seen        poolView
}

// online says whether the pool serves its replicas, whatever the core believes.
func (p *pool) online() bool { return p.up && p.imported && p.node.up }

// replica is one copy of a volume, and the hidden truth about its data.
type replica struct {
	uuid    string
	volume  *volume // nil once disowned
	pool    *pool
	size    int64
	thin    bool
	clone   bool
	blank   bool   // never held the volume's data
	version uint64 // of the data it holds
	written int64  // allocated bytes; size when thick
	io      ioCounters
	seen    replicaView
}

// volume is a volume's spec, target, persisted nexus info and truth.
type volume struct {
	uuid          string
	size          int64
	thin          bool
	allocated     int64
	want          int // num_replicas
	own           []*replica
	status        string
	selfHeal      bool
	labels        map[string]string
	poolInclusion map[string]string
	nodeInclusion map[string]string
	nodeExclusion []string
	allowedNodes  []string
	group         string
	source        string // snapshot it was restored from
	sourceVolume  string
	maxSnapshots  *int
	snapshots     []*snapshot
	target        *node // nil: not published
	nexus         *nexus
	info          map[string]bool // persisted nexus info: replica -> healthy; nil: never published
	clean         bool            // the last nexus was shut down in order
	op            *operation
	draining      bool // a pool drain holds a hidden spare
	version       uint64
	empty         bool // no data was ever written, so any replica is a good copy
	load          Load
	seen          nexusView
	truth         record
	failAttach    int
	failRebuild   float64 // percent at which the next or running rebuild fails; 0: none
	stalled       bool
	hiddenUntil   time.Time
	ups, downs    int
	scaledBy      actor
	owes          bool // the caller's last -1 removed nothing yet (MS 4.5)
}

// operation is a persisted operation of a volume.
type operation struct {
	kind   string
	until  time.Time
	grows  bool // a SetReplica that adds one
	dirty  bool // its record could not be closed: 507 until the reconciler clears it
	cancel bool // the core that ran it is gone
	answer *answer
}

// record is what the truth of a volume was measured against.
type record struct {
	wanted int         // num_replicas as others than the caller set it
	allow  int         // synced copies the test lets the caller go down to; -1: none fewer
	synced int         // at the last change
	losses []time.Time // synced copies that others lost, and no read may show yet
	lowest int         // since the mark
	// strayed counts synced copies that others took away while a -1 of the caller
	// had removed nothing yet: which copy goes then is not the caller's choice.
	strayed int
}

// nexus is a live target.
type nexus struct {
	uuid     string
	node     *node
	children []*child
	since    time.Time
	io       ioCounters
	history  []rebuildRecord
}

// child is one leg of a nexus.
type child struct {
	replica *replica
	state   string // Online, Degraded, Faulted
	reason  string
	since   time.Time // of the state
	partial bool      // was in sync before it faulted, so a partial rebuild will do
	job     *rebuild
}

// snapshot is a volume snapshot: copies that stay on the pools they were taken on.
type snapshot struct {
	uuid     string
	at       time.Time
	size     int64
	copies   []snapshotCopy
	restores int
}

type snapshotCopy struct {
	uuid, replica string
	pool          *pool
	bytes         int64
}

// owned returns the replicas of v in the core's map order.
func (s *Simulator) owned(v *volume) []*replica {
	own := slices.Clone(v.own)
	slices.SortFunc(own, func(a, b *replica) int {
		return cmp.Compare(s.replicas.index[a.uuid], s.replicas.index[b.uuid])
	})
	return own
}

// addReplica creates the bookkeeping of a blank replica of v on p.
func (s *Simulator) addReplica(v *volume, p *pool) *replica {
	r := &replica{uuid: s.newUUID(), volume: v, pool: p, size: v.size, thin: v.thin, blank: true, written: v.size}
	if r.thin {
		r.written = 0
	}
	s.replicas.add(r.uuid, r)
	v.own, p.own = append(v.own, r), append(p.own, r)
	return r
}

// dropReplica destroys r. Its traffic stays counted in its pool.
func (s *Simulator) dropReplica(r *replica) {
	s.replicas.remove(r.uuid)
	r.pool.own = without(r.pool.own, r)
	s.disown(r)
}

// disown takes r from its volume; it stays on its pool until it is collected.
func (s *Simulator) disown(r *replica) {
	if v := r.volume; v != nil {
		v.own = without(v.own, r)
		delete(v.info, r.uuid)
		r.volume = nil
	}
}

func (v *volume) child(r *replica) *child {
	if v.nexus == nil {
		return nil
	}
	for _, c := range v.nexus.children {
		if c.replica == r {
			return c
		}
	}
	return nil
}

// local says whether r sits on the node of v's target.
func (v *volume) local(r *replica) bool { return v.target != nil && v.target == r.pool.node }

// healthy says what the persisted nexus info says; without any info all count
// as healthy (MS 4.5).
func (v *volume) healthy(r *replica) bool { return v.info == nil || v.info[r.uuid] }

func (r *replica) uri(local bool) string {
	if local {
		return fmt.Sprintf("bdev:///%s?uuid=%s", r.uuid, r.uuid)
	}
	return fmt.Sprintf("nvmf://%s:8420/nqn.2019-05.io.openebs:%s?uuid=%s", r.pool.node.address(), r.uuid, r.uuid)
}

// used is what is allocated on p right now.
func (s *Simulator) used(p *pool) int64 {
	sum := p.other
	for _, r := range p.own {
		sum += s.allocatedOf(r)
	}
	return sum + p.snapshots
}

// committed is the sum of the sizes promised on p (MS 2.4).
func (s *Simulator) committed(p *pool) int64 {
	var sum int64
	for _, r := range p.own {
		sum += r.size
	}
	return sum
}

// allocatedOf is what r takes on its pool, with a rebuild counted as far as it got.
func (s *Simulator) allocatedOf(r *replica) int64 {
	if !r.thin {
		return r.size
	}
	if r.volume != nil {
		if c := r.volume.child(r); c != nil && c.job != nil {
			return max(r.written, int64(float64(c.job.target)*s.fraction(c.job)))
		}
	}
	return r.written
}

func (s *Simulator) nodePools(n *node) []*pool {
	var own []*pool
	for _, p := range s.pools.values {
		if p.node == n {
			own = append(own, p)
		}
	}
	return own
}

func without[T comparable](list []T, x T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(y T) bool { return x == y })
}
