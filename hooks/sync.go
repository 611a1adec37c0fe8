package hooks

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// The seconds after which Metacontroller asks again: soon after something was
// recorded, since only the next request shows whether it was kept, and at the
// latest after latestLook.
const (
	soon       = 2
	latestLook = 300
)

// answer is what Metacontroller is told (MC 2.3).
type answer struct {
	Status json.RawMessage `json:"status"`
	// Children is never nil: null would be no list.
	Children           []child `json:"children"`
	ResyncAfterSeconds int64   `json:"resyncAfterSeconds"`
	// Finalized is left out unless the policy is being let go, as it is
	// honoured in any answer (MC 0.12).
	Finalized bool `json:"finalized,omitempty"`
}

// conclude answers what should exist for one policy. It depends on the request,
// the sources and the clock alone.
func (h *Hooks) conclude(ctx context.Context, q *request) ([]byte, error) {
	kubernetes, err := h.look(q)
	if err != nil {
		return nil, err
	}
	before, err := readStatus(&q.Parent)
	if err != nil {
		return nil, err
	}
	rs := readRuns(q)
	recorded := readHistory(before.MigrationHistory)
	entries, onlyOnVolume := h.unrecorded(q, rs, recorded)
	next := before.StoragePolicyStatus
	next.MigrationHistory = slices.Clone(next.MigrationHistory)
	added := tiering.Record(&next, entries...)

	c := h.decide(ctx, q, rs, recorded, kubernetes, &before.StoragePolicyStatus, next)
	now := c.now
	if err := ctx.Err(); err != nil {
		return nil, faultf(http.StatusServiceUnavailable, "the caller went away; nothing was done")
	}
	a := answer{ResyncAfterSeconds: c.look}
	if added > 0 {
		a.ResyncAfterSeconds = soon
	}
	if stale(kubernetes) {
		// A Job or a record that nobody saw may be there: nothing starts, not even a
		// recovery, and the policy is not let go.
		c.orders, c.holds = nil, true
	}
	orders := slices.DeleteFunc(c.orders, func(o order) bool {
		wait := o.wait(now, onlyOnVolume)
		if wait > 0 {
			a.ResyncAfterSeconds = min(a.ResyncAfterSeconds, wait)
		}
		return wait > 0 || !validUUID(o.volume.UUID) || o.n < 1 || o.n > maxN
	})
	keep := kept(rs, recorded, readHistory(c.status.MigrationHistory), now)
	if q.Finalizing {
		keep = rs.children
		if len(orders) == 0 && !c.holds {
			keep = nil
			a.Finalized = len(rs.children) == 0
			a.ResyncAfterSeconds = soon
		}
	}
	a.Children = h.children(keep, orders)
	if !q.Finalizing || len(a.Children) > 0 {
		if name, ok := forgotten(rs, a.Children, recorded); ok {
			return nil, faultf(http.StatusInternalServerError, "Job %s would be deleted while it may still be needed, which is a fault of this service; nothing was done: report it with the request", clip(name))
		}
	}
	if a.Status, err = before.encode(&c.status); err != nil {
		return nil, faultf(http.StatusInternalServerError, "the status cannot be encoded (%s), which is a fault of this service; nothing was done: report it with the request", clip(err.Error()))
	}
	body, err := json.Marshal(a)
	if err != nil {
		return nil, faultf(http.StatusInternalServerError, "the answer cannot be encoded (%s), which is a fault of this service; nothing was done: report it with the request", clip(err.Error()))
	}
	h.changes.decided(ctx, &round{
		policy: q.Parent.Name, plan: c.plan, entries: entries,
		approve: q.Parent.Approve, before: &before.StoragePolicyStatus, after: &c.status, governed: c.governed, now: c.now,
	})
	// A copy: who keeps the status must not keep all that was concluded.
	status := c.status
	h.config.Observer.Decided(q.Parent.Name, c.plan, &status)
	if a.Finalized {
		h.changes.gone(q.Parent.Name)
		h.config.Observer.Gone(q.Parent.Name)
	}
	return append(body, '\n'), nil
}

// look fills in what is related from the service's own view of Kubernetes, if it
// has one; the source is nil if it has none. Before the first view there is no
// answer: an empty world would be a lie.
func (h *Hooks) look(q *request) (*tiering.Source, error) {
	if h.config.Cluster == nil {
		return nil, nil //nolint:nilnil // the request has it all
	}
	view, source := h.config.Cluster.View()
	if view == nil {
		return nil, faultf(http.StatusServiceUnavailable, "Kubernetes is not read yet: %s; nothing was done, Jobs stay: ask again", clip(strings.TrimRight(source.Message, ".")))
	}
	q.Related = view
	return &source, nil
}

// stale reports whether the view of Kubernetes is too old to begin anything by.
// What comes with a request is as fresh as the request.
func stale(kubernetes *tiering.Source) bool { return kubernetes != nil && !kubernetes.OK }

// uncleanFor is how long a volume has to have been started without a Job before
// it is recovered: its Job may be there and not be seen yet, since caches of
// volumes and of Jobs are not of the same age (MC 0.7).
const uncleanFor = time.Minute

// wait returns the seconds for which a Job should not be started yet; 0 for
// none. onlyOnVolume are the volumes of which a result is known from them alone:
// that is recorded before the next attempt overwrites it there.
func (o *order) wait(now time.Time, onlyOnVolume map[string]bool) int64 {
	age := now.Sub(o.volume.Remembered().Attempt.At).Abs()
	switch {
	case onlyOnVolume[o.volume.UUID]:
		return soon
	case o.recover && age < uncleanFor:
		return seconds(uncleanFor-age) + 1
	}
	return 0
}

// conclusion is what follows for one policy.
type conclusion struct {
	// now is the time of the decision.
	now time.Time
	// plan is nil if the policy does not compile.
	plan   *tiering.Plan
	status tiering.StoragePolicyStatus
	orders []order
	// governed is nil where no governance is configured.
	governed *tiering.Governed
	// holds is true while a volume or Job still needs the policy.
	holds bool
	// look is in seconds.
	look int64
}

// decide asks tiering. Of a policy that does not compile only recoveries are
// wanted, which depend on nothing but the volumes' own memory.
func (h *Hooks) decide(ctx context.Context, q *request, rs *runs, recorded *history, kubernetes *tiering.Source, previous *tiering.StoragePolicyStatus, next tiering.StoragePolicyStatus) conclusion {
	policy, faults := h.compiled(&q.Parent)
	in := tiering.Input{
		Policy: *policy, Limits: h.config.Limits,
		Finalizing: q.Finalizing, Previous: previous, Approve: q.Parent.Approve,
	}
	c := conclusion{look: latestLook, governed: h.config.Governance()}
	var plan *tiering.Plan
	if len(faults) > 0 {
		c.now = h.config.Now()
		in.Now = c.now
		in.Volumes = h.join(q.Related, &joining{policy: policy, runs: rs, facts: newFacts(nil), history: recorded})
		plan = tiering.Decide(in)
		if n := rs.active(); n != next.ActiveMigrations {
			next.ActiveMigrations, next.LastReconcileTime = n, nil
		}
		c.status = tiering.ErrorStatus(next, c.now, q.Parent.Generation, faults)
	} else {
		ask := h.ask
		if q.Awaited {
			ask = h.awaited
		}
		reading, scores := ask(ctx, policy)
		// The sources may have kept us waiting.
		c.now = h.config.Now()
		in.Now = c.now
		facts := h.facts.of(reading.Inventory)
		in.World = facts.world(scores.Source, reading.Source, q.Related.DiskPools)
		in.World.Kubernetes = kubernetes
		in.World.ScoresReadAt = scores.ReadAt
		in.Volumes = h.join(q.Related, &joining{policy: policy, runs: rs, facts: facts, samples: scores.Samples, history: recorded})
		in.Route, in.Candidates = facts.route(&policy.Rules), facts.candidates(&policy.Rules)
		all := h.all(q.Related)
		in.Others, in.Broken = all.arranged, all.broken
		in.Governed = c.governed
		plan = tiering.Decide(in)
		c.plan, c.status = plan, plan.Status(next)
		c.look = min(max(int64((plan.NextLook(c.now)+time.Second-1)/time.Second), 1), latestLook)
	}
	c.holds = rs.atWork(&q.Parent)
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		switch d.Act {
		case tiering.Recover:
			c.holds = true
			c.orders = append(c.orders, order{volume: d.Volume, policy: policy, n: d.N, recover: true})
		case tiering.Move:
			wanted, shown := c.status.WantedSince(d.Volume.Name, d.To)
			if !shown {
				wanted = c.now
			}
			c.orders = append(c.orders, order{volume: d.Volume, policy: policy, n: d.N, decision: d, wanted: wanted})
		case tiering.Hold, tiering.Stay, tiering.WouldMove, tiering.Moving:
		}
	}
	return c
}

// join returns the volumes of a decision. What it remembers for the next is of
// use only where a view outlives its request.
func (h *Hooks) join(view *View, j *joining) []*tiering.Volume {
	if h.config.Cluster == nil {
		return bind(view, nil).join(j)
	}
	return h.views.join(view, j)
}

// atWork reports whether a pod of the policy's Jobs may still do something, if
// only letting go of its lock, be the Job among the children or only among the
// related ones.
func (rs *runs) atWork(p *parent) bool {
	for _, list := range rs.byVolume {
		if slices.ContainsFunc(list, func(r *run) bool { return r.live() && r.ours(p) }) {
			return true
		}
	}
	return slices.ContainsFunc(rs.children, func(r *run) bool { return !r.over() })
}

// active counts the policy's Jobs that run.
func (rs *runs) active() (n int64) {
	for _, r := range rs.children {
		if r.live() {
			n++
		}
	}
	return n
}

// children are the Jobs of an answer, in the order of names, each once.
func (h *Hooks) children(keep []*run, orders []order) []child {
	children := make([]child, 0, len(keep)+len(orders))
	for _, r := range keep {
		children = append(children, stub(r))
	}
	for i := range orders {
		children = append(children, h.spawn(&orders[i]))
	}
	slices.SortStableFunc(children, func(a, b child) int {
		return cmp.Or(cmp.Compare(a.Metadata.Namespace, b.Metadata.Namespace), cmp.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	return slices.CompactFunc(children, func(a, b child) bool {
		return a.Metadata.Namespace == b.Metadata.Namespace && a.Metadata.Name == b.Metadata.Name
	})
}

// forgotten returns a child that has not ended, or whose result the request's
// status does not show, and that the answer would delete all the same.
func forgotten(rs *runs, children []child, recorded *history) (string, bool) {
	listed := make(map[string]bool, len(children))
	for i := range children {
		listed[children[i].Metadata.Namespace+"/"+children[i].Metadata.Name] = true
	}
	for _, r := range rs.children {
		if !listed[r.Namespace+"/"+r.Name] && (!r.over() || !recorded.has(r.Name, r.at())) {
			return r.Name, true
		}
	}
	return "", false
}
