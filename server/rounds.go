package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/billyronks/couchestor/tiering"
)

// rounds keeps what was last decided for each policy, in numbers, and shows
// them at the scrape; a policy that is gone vanishes. Its methods may be called
// at once.
type rounds struct {
	// since is when counting of starts began.
	since time.Time
	descs map[string]*prometheus.Desc

	mu   sync.Mutex
	last map[string]*round
	// taken and places are those of the last round of any policy.
	taken, places int
}

// round is the last decision on one policy. It keeps nothing of plan or status.
type round struct {
	accepted bool
	mode     string
	volumes  volumeNumbers
	tiers    map[tiering.Tier]tierNumbers
	moves    moveNumbers
	started  starts
}

func newRounds() *rounds {
	r := &rounds{since: time.Now(), last: map[string]*round{}, descs: map[string]*prometheus.Desc{}}
	for _, name := range []string{
		"couchestor_policy_accepted", "couchestor_policy_mode", "couchestor_watermark_iops",
		"couchestor_volumes", "couchestor_held_volumes", "couchestor_failing_volumes", "couchestor_scored_volumes",
		"couchestor_tier_score_iops", "couchestor_tier_capacity_bytes", "couchestor_tier_used_bytes",
		"couchestor_tier_committed_bytes", "couchestor_tier_limit_bytes",
		"couchestor_active_moves", "couchestor_active_move_age_seconds", "couchestor_overdue_moves", "couchestor_wish_age_seconds",
		"couchestor_moves_started_total", "couchestor_moves_ended_total", "couchestor_moves_unsuccessful_total",
		"couchestor_move_duration_seconds", "couchestor_move_lead_time_seconds", "couchestor_moved_bytes_total",
		"couchestor_volume_move_started_timestamp_seconds", "couchestor_volume_move_ended_timestamp_seconds",
		"couchestor_move_places", "couchestor_move_places_taken",
	} {
		r.descs[name] = desc(name)
	}
	return r
}

// decided takes down the numbers of a round; it keeps nothing of the plan. plan
// is nil for a policy that does not compile: then no volume is counted.
func (r *rounds) decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	if status == nil {
		status = &tiering.StoragePolicyStatus{}
	}
	n := &round{accepted: plan != nil, mode: modeOf(status), moves: movesOf(policy, plan, status)}
	if plan != nil {
		n.volumes, n.tiers = volumesOf(plan), tiersOf(plan)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var before starts
	if was := r.last[policy]; was != nil {
		before = was.started
	}
	n.started = before.seen(r.since, time.Now(), policy, plan, status)
	r.last[policy] = n
	if plan != nil {
		r.taken, r.places = plan.Places()
	}
}

// gone forgets a policy.
func (r *rounds) gone(policy string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, policy)
}

// Describe implements [prometheus.Collector].
func (r *rounds) Describe(ch chan<- *prometheus.Desc) {
	for d := range maps.Values(r.descs) {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. For each policy every label that
// is known in advance is shown, at zero if need be.
func (r *rounds) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := exposition{ch, r.descs}
	now := time.Now()
	for policy, n := range r.last {
		policy = text(policy)
		x.gauge("couchestor_policy_accepted", count(n.accepted), policy)
		for _, mode := range append(tiering.Modes(), otherMode) {
			x.gauge("couchestor_policy_mode", count(mode == n.mode), mode, policy)
		}
		n.moves.collect(x, policy, now)
		n.started.collect(x, policy)
		if n.accepted {
			n.volumes.collect(x, policy)
			collectTiers(x, policy, n.tiers)
		}
	}
	x.gauge("couchestor_move_places", float64(r.places))
	x.gauge("couchestor_move_places_taken", float64(r.taken))
}

// otherMode stands for a mode that is none of [tiering.Modes].
const otherMode = "Other"

func modeOf(status *tiering.StoragePolicyStatus) string {
	if slices.Contains(tiering.Modes(), status.Mode) {
		return status.Mode
	}
	return otherMode
}
