package simulator

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Profile is the control-plane version that is played: it decides which routes
// exist and which replica a -1 removes (MS 4.5).
type Profile string

// The profiles, oldest first. Their values are the words [Config.Claims] takes.
const (
	// Old is 2.7.1: node cordons and labels, no pool cordon, removal that looks
	// neither at topology nor at cordons and takes the replica local to the
	// target last.
	Old Profile = "old"
	// V2_9 removes replicas on cordoned nodes first and reports volume health;
	// it has no pool cordon.
	V2_9 Profile = "2.9"
	// V2_10 has the pool cordon too.
	V2_10 Profile = "2.10"
	// V2_12 is V2_10 with fields and enum values a client has never seen, and
	// with slashes allowed in label keys on the delete and cordon routes.
	V2_12 Profile = "2.12"
)

// rank orders profiles; an unknown one is the default.
func (p Profile) rank() int {
	switch p {
	case Old:
		return 1
	case V2_9:
		return 2
	case V2_12:
		return 4
	default:
		return 3
	}
}

// atLeast says whether p is q or newer.
func (p Profile) atLeast(q Profile) bool { return p.rank() >= q.rank() }

// Config is what a simulator is made of. The zero value is a 2.10 control plane
// with fresh reads, instant operations and upstream's periods.
type Config struct {
	// Profile is the version played. Empty means V2_10.
	Profile Profile
	// Now is the clock. Nil means time.Now, which is virtual inside a
	// testing/synctest bubble. With a clock of the test's own the simulator never
	// sleeps: latencies, guard waits and delays then take no time at all.
	Now func() time.Time
	// CachePeriod is the core's state-cache poll: reads show rebuild progress,
	// child states and pool usage as of the last tick (MS 1.5). 0 means always
	// fresh; upstream has 30 s.
	CachePeriod time.Duration
	// RebuildRate is the speed of one rebuild in bytes a second; 0 means 200 MiB/s.
	RebuildRate int64
	// Seed feeds uuids, tie breaks and chaos. The same seed and the same calls
	// at the same instants give the same world.
	Seed uint64
	// MaxRebuilds caps the rebuilds running in the cluster; 0 means no cap.
	MaxRebuilds int
	// SelfHealBusy and SelfHealIdle are the reconciler's periods; 0 means 10 s
	// and 30 s.
	SelfHealBusy, SelfHealIdle time.Duration
	// FaultedWait is how long a faulted child may come back before it is
	// replaced; 0 means 10 min.
	FaultedWait time.Duration
	// KeepAlive is how long a dead node is still taken for Online; 0 means 10 s.
	KeepAlive time.Duration
	// WarmUp is how long the cache stays empty after a core restart; 0 means 3 s.
	WarmUp time.Duration
	// Latency is how long a replica_count operation takes. While it runs
	// spec.operation is visible and others get 409. 0 means instant.
	Latency time.Duration
	// GuardWait is how long a call waits for a busy volume before 409; 0 means
	// upstream's 0.8 s, negative means not at all.
	GuardWait time.Duration
	// NoHealth leaves the health object out and computes the status of
	// unpublished volumes the old way, as a 2.9 server with the feature off.
	NoHealth bool
	// Claims makes /v0/api/spec lie: the name of the profile whose routes are
	// listed ("old", "2.9", "2.10", "2.12"), and after it, separated by commas,
	// +PATH and -PATH to add and drop single paths. Empty means honest.
	Claims string
	// Faults are injected from the start; see [Simulator.Inject].
	Faults []Fault
}

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
	tib = int64(1) << 40
)

// Simulator is a Mayastor control plane and its cluster. It is an
// [http.Handler]; all methods are safe for concurrent use. It runs no
// goroutine: every request and every method first brings the world up to
// Config.Now.
type Simulator struct {
	cfg     Config
	sleeps  bool // the clock is time.Now, so waiting makes it advance
	started time.Time

	mu     sync.Mutex
	clock  time.Time // instant the world is at; never goes back
	agenda agenda
	seq    uint64
	polls  int64 // cache polls that took place
	rng    *rand.Rand

	nodes    ordered[*node]
	pools    ordered[*pool]
	volumes  ordered[*volume]
	replicas ordered[*replica]

	cold      time.Time // cache is empty until then
	coreDown  time.Time // REST cannot reach the core until then
	lastHeal  time.Time
	nextHeal  time.Time // zero: the reconciler sleeps, nothing can change
	healTicks int
	actor     actor
	watchers  []func(View)

	calls      []*Call
	violations []string
	faults     []*armedFault
	fired      int
	answers    map[string][]byte // last good body of each GET, for stale reads
	routes     []route
}

// New makes an empty cluster.
func New(cfg Config) *Simulator {
	cfg.Profile = cmp.Or(cfg.Profile, V2_10)
	cfg.RebuildRate = cmp.Or(cfg.RebuildRate, 200*mib)
	cfg.SelfHealBusy = cmp.Or(cfg.SelfHealBusy, 10*time.Second)
	cfg.SelfHealIdle = cmp.Or(cfg.SelfHealIdle, 30*time.Second)
	cfg.FaultedWait = cmp.Or(cfg.FaultedWait, 10*time.Minute)
	cfg.KeepAlive = cmp.Or(cfg.KeepAlive, 10*time.Second)
	cfg.WarmUp = cmp.Or(cfg.WarmUp, 3*time.Second)
	cfg.GuardWait = cmp.Or(cfg.GuardWait, 800*time.Millisecond)
	s := &Simulator{cfg: cfg, sleeps: cfg.Now == nil, answers: map[string][]byte{}}
	if s.sleeps {
		s.cfg.Now = time.Now
	}
	s.started = s.cfg.Now()
	s.clock, s.lastHeal = s.started, s.started
	s.rng = rand.New(rand.NewPCG(cfg.Seed, 0x6d61796173746f72))
	s.routes = routesOf(s.cfg.Profile)
	for _, f := range cfg.Faults {
		s.faults = append(s.faults, &armedFault{Fault: f})
	}
	return s
}

var _ http.Handler = (*Simulator)(nil)
