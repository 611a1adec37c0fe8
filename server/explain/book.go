package explain

import (
	"slices"
	"sync"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// maxVolumes bounds what a book holds: a volume of a plan takes well below 1 KiB.
const maxVolumes = 50_000

// Book keeps what was last decided for each policy, to explain it. Its zero
// value is empty. All methods may be called at once.
type Book struct {
	mu       sync.Mutex
	policies map[string]*page
	// volumes is how many decisions the plans hold.
	volumes int
}

// page is the last decision on one policy; it is never changed.
type page struct {
	policy string
	// plan is nil where the policy does not compile, or left out to bound the
	// memory.
	plan    *tiering.Plan
	leftOut int
	status  *tiering.StoragePolicyStatus
	at      time.Time
}

// Decided takes down a round; see [hooks.Observer]. The plan of a policy that
// would have the book hold more than 50 000 volumes is left out.
func (b *Book) Decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	p := &page{policy: policy, status: status, at: time.Now()}
	n := 0
	if plan != nil {
		n = len(plan.Decisions)
	}
	b.mu.Lock()
	room := maxVolumes - b.volumes
	if last := b.policies[policy]; last != nil {
		room += last.volumes()
	}
	b.mu.Unlock()
	switch {
	case plan == nil:
	case n > room:
		p.leftOut = n
	default:
		p.plan = plan.Keep()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(policy)
	if b.policies == nil {
		b.policies = make(map[string]*page)
	}
	b.policies[policy] = p
	b.volumes += p.volumes()
}

// Gone forgets a policy.
func (b *Book) Gone(policy string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(policy)
}

// drop forgets a policy. The caller holds b.mu.
func (b *Book) drop(policy string) {
	if last := b.policies[policy]; last != nil {
		b.volumes -= last.volumes()
		delete(b.policies, policy)
	}
}

func (p *page) volumes() int {
	if p.plan == nil {
		return 0
	}
	return len(p.plan.Decisions)
}

// find returns the page of a policy, and the names of all, sorted.
func (b *Book) find(policy string) (*page, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.policies))
	for name := range b.policies {
		names = append(names, name)
	}
	slices.Sort(names)
	return b.policies[policy], names
}

// pages returns all pages in the order of names.
func (b *Book) pages() []*page {
	_, names := b.find("")
	all := make([]*page, 0, len(names))
	for _, name := range names {
		if p, _ := b.find(name); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// explain makes the explanation of the policy.
func (p *page) explain(now time.Time) tiering.Explanation {
	e := tiering.ExplainFaults(p.policy, p.at, p.status)
	if p.plan != nil {
		e = p.plan.Explain(p.status)
	}
	e.AgeSeconds = age(now, e.DecidedAt)
	return e
}

// age is in seconds with one decimal.
func age(now, at time.Time) float64 {
	return max(0, now.Sub(at).Round(100*time.Millisecond).Seconds())
}

// names are the names that a volume of the plan may be asked by.
func names(p *tiering.Plan) []string {
	var all []string
	for i := range p.Decisions {
		v := p.Decisions[i].Volume
		all = append(all, v.Name)
		if claim := v.Claim(); claim != "" {
			all = append(all, claim)
		}
	}
	return all
}
