package server

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/billyronks/couchestor/tiering"
)

// The values of the labels tier and state of couchestor_volumes.
var (
	volumeTiers  = []string{"hot", "warm", "cold", "mixed", "none"}
	volumeStates = []string{"unknown", "hold", "stay", "move", "would_move", "moving", "recover"}
)

// rounds keeps what was last decided for each policy, in numbers, and shows
// them at the scrape; a policy that is gone vanishes. Its methods may be called
// at once.
type rounds struct {
	mu   sync.Mutex
	last map[string]*round

	accepted, volumes, held, active, ended, failed *prometheus.Desc
}

// round is the last decision on one policy.
type round struct {
	accepted bool
	// volumes by tier and state, held by gate.
	volumes map[[2]string]int
	held    map[tiering.Gate]int
	// active, ended and failed are the status' own counts of moves.
	active, ended, failed int64
}

func newRounds() *rounds {
	return &rounds{
		last:     map[string]*round{},
		accepted: desc("couchestor_policy_accepted"),
		volumes:  desc("couchestor_volumes"),
		held:     desc("couchestor_held_volumes"),
		active:   desc("couchestor_active_moves"),
		ended:    desc("couchestor_moves_ended_total"),
		failed:   desc("couchestor_moves_failed_total"),
	}
}

// decided takes down the numbers of a round; it keeps nothing of the plan. plan
// is nil for a policy that does not compile: then no volume is counted.
func (r *rounds) decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) {
	n := &round{accepted: plan != nil, volumes: map[[2]string]int{}, held: map[tiering.Gate]int{}}
	if status != nil {
		n.active, n.ended, n.failed = status.ActiveMigrations, status.TotalMigrations, status.FailedMigrations
	}
	if plan != nil {
		for i := range plan.Decisions {
			d := &plan.Decisions[i]
			n.volumes[[2]string{tierOf(d), stateOf(d)}]++
			if d.Act == tiering.Hold && d.Held.Gate != tiering.NoGate {
				n.held[d.Held.Gate]++
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[policy] = n
}

// gone forgets a policy.
func (r *rounds) gone(policy string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, policy)
}

// tierOf is the tier on which the volume is now.
func tierOf(d *tiering.Decision) string {
	if d.Mixed {
		return "mixed"
	}
	return d.From.String()
}

// stateOf is what became of the volume; a hold for want of a score is unknown.
func stateOf(d *tiering.Decision) string {
	switch d.Act {
	case tiering.Hold:
		if !d.Volume.Sample.Known() {
			return "unknown"
		}
		return "hold"
	case tiering.Stay:
		return "stay"
	case tiering.Move:
		return "move"
	case tiering.WouldMove:
		return "would_move"
	case tiering.Moving:
		return "moving"
	case tiering.Recover:
		return "recover"
	}
	return "unknown"
}

// Describe implements [prometheus.Collector].
func (r *rounds) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.accepted, r.volumes, r.held, r.active, r.ended, r.failed} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector]. For each policy every label that
// is known in advance is shown, at zero if need be.
func (r *rounds) Collect(ch chan<- prometheus.Metric) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	for policy, n := range r.last {
		// A name that is no UTF-8 must not cost the whole scrape.
		policy = strings.ToValidUTF8(policy, "?")
		accepted := 0.0
		if n.accepted {
			accepted = 1
		}
		gauge(r.accepted, accepted, policy)
		gauge(r.active, float64(n.active), policy)
		counter(r.ended, float64(n.ended), policy)
		counter(r.failed, float64(n.failed), policy)
		if !n.accepted {
			continue
		}
		for _, tier := range volumeTiers {
			for _, state := range volumeStates {
				gauge(r.volumes, float64(n.volumes[[2]string{tier, state}]), policy, state, tier)
			}
		}
		for _, gate := range tiering.Gates() {
			gauge(r.held, float64(n.held[gate]), gate.String(), policy)
		}
	}
}
