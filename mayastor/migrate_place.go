package mayastor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// world is one reading of all that a step depends on.
type world struct {
	vol   Volume
	pools []Pool
	nodes []Node
}

func (r *run) world(ctx context.Context) (world, error) {
	if r.cap.Source == "" {
		var err error
		if r.cap, err = r.Client.Capability(ctx, r.Claimed); err != nil {
			return world{}, err
		}
	}
	vol, err := r.Client.Volume(ctx, r.order.Volume)
	if err != nil {
		return world{}, err
	}
	pools, err := r.Client.Pools(ctx)
	if err != nil {
		return world{}, err
	}
	nodes, err := r.Client.Nodes(ctx)
	if err != nil {
		return world{}, err
	}
	return world{vol: vol, pools: pools, nodes: nodes}, nil
}

// route reads everything and asks [Route]. A refusal while cordons are up, or
// a step that gives a copy up first for want of a place, is asked again under
// the placement lock: cordons of other migrators of ours are down then, and
// what is left is somebody's wish.
func (r *run) route(ctx context.Context) (Volume, []Step, []Refusal, error) {
	w, err := r.world(ctx)
	if err != nil {
		return Volume{}, nil, nil, err
	}
	steps, refusals := Route(w.vol, w.pools, w.nodes, r.order.Ask, r.cap)
	wanting := len(refusals) > 0 || len(steps) > 0 && steps[0].Kind == RemoveFirst
	if !wanting || !w.cordoned() {
		return w.vol, steps, refusals, nil
	}
	err = r.placed(ctx, func(ctx context.Context, _ *placing) error {
		w, err := r.world(ctx)
		if err == nil {
			steps, refusals = Route(w.vol, w.pools, w.nodes, r.order.Ask, r.cap)
		}
		return err
	})
	return w.vol, steps, refusals, err
}

// cordoned reports whether any cordon is up that could be ours.
func (w world) cordoned() bool {
	return slices.ContainsFunc(w.pools, closed) || slices.ContainsFunc(w.nodes, func(n Node) bool {
		return slices.ContainsFunc(n.cordonLabels(), func(l string) bool {
			return strings.HasPrefix(l, LabelPrefix) || strings.HasPrefix(l, LocalLabelPrefix)
		})
	})
}

// steer says whether the server will remove the victim first, and which node
// has to be cordoned for that; "" for none.
func (w world) steer(victim ReplicaRef, label string, capability Capability) (node string, ok bool) {
	if first, strict := FirstVictim(w.vol, w.nodes, w.pools, capability); strict && first.UUID == victim.UUID {
		return "", true
	}
	if first, strict := FirstVictim(w.vol, withCordon(w.nodes, victim.Node, label), w.pools, capability); strict && first.UUID == victim.UUID {
		return victim.Node, true
	}
	return "", false
}

// withCordon returns the nodes as they would be with one more cordon.
func withCordon(nodes []Node, id, label string) []Node {
	nodes = slices.Clone(nodes)
	for i, n := range nodes {
		if n.ID != id {
			continue
		}
		spec := NodeSpec{}
		if n.Spec != nil {
			spec = *n.Spec
		}
		labels := []string{label}
		if spec.Cordon != nil && spec.Cordon.Cordoned != nil {
			labels = append(labels, spec.Cordon.Cordoned.CordonLabels...)
		}
		cordon := NodeCordon{}
		if spec.Cordon != nil {
			cordon = *spec.Cordon
		}
		cordon.Cordoned = &CordonLabels{CordonLabels: labels}
		spec.Cordon = &cordon
		nodes[i].Spec = &spec
	}
	return nodes
}

// placing is a placement lock held, with the cordons of ours that may be up.
type placing struct {
	r  *run
	p  Placement
	up Cordons
}

func (p *placing) label() string { return p.p.Label() }

// placeLimit bounds how long the placement lock is held with cordons up: a PUT
// that is answered takes seconds, and one that is not is looked after later.
const placeLimit = 90 * time.Second

var errPlaceLimit = errors.New("it took longer than cordons may be up")

// placed does something under the placement lock. Whatever it does, and
// however it ends, the cordons it set are lifted before the lock is given up;
// what cannot be lifted stays in the record, and is tried again at each poll.
func (r *run) placed(ctx context.Context, do func(context.Context, *placing) error) error {
	lock, err := r.place(ctx)
	if err != nil {
		return err
	}
	p := &placing{r: r, p: lock, up: lock.Leftovers()}
	err = r.shortly(ctx, func(ctx context.Context) error {
		if err := p.sweep(ctx); err != nil {
			return err
		}
		return do(ctx, p)
	})
	lerr := p.lift(ctx)
	r.unlifted = !p.up.empty()
	release, cancel := context.WithTimeout(ctx, maxBackoff)
	defer cancel()
	if rerr := lock.Release(release); rerr != nil {
		// It runs out by itself, and is ours to take again.
		lerr = errors.Join(lerr, retry{fmt.Errorf("give the placement lock up: %w", rerr)})
	}
	return errors.Join(err, lerr)
}

// place waits for the placement lock, but not beyond the first word of a stop.
func (r *run) place(ctx context.Context) (lock Placement, err error) {
	err = r.unlessStopped(ctx, func(ctx context.Context) (err error) {
		lock, err = r.lock.Place(ctx)
		return err
	})
	if errors.Is(err, errStopped) {
		err = retry{err}
	}
	return lock, err
}

// shortly does something that must not take longer than placeLimit, nor than
// the lock is certain to be held.
func (r *run) shortly(ctx context.Context, do func(context.Context) error) error {
	guarded, cancel, err := r.lock.Guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	end := time.Now().Add(placeLimit)
	if until, ok := guarded.Deadline(); ok && until.Before(end) {
		end = until
	}
	limited, cancel := context.WithDeadlineCause(ctx, end, errPlaceLimit)
	defer cancel()
	err = do(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrLockLost) {
		return retry{err}
	}
	return err
}

// lift lifts what an earlier holder of the placement lock left, or what we
// could not, and tries for as long as the server does not answer.
func (r *run) lift(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, maxBackoff) {
		err := r.placed(ctx, func(context.Context, *placing) error { return nil })
		if err == nil || !retriable(err) {
			return err
		}
		r.warn(ctx, "cordons cannot be lifted yet", "error", err.Error())
		if err := r.pause(ctx, r.jitter(wait)); err != nil {
			return err
		}
	}
}

// sweep lifts what the last holder's record names, and every node label of
// ours: while we hold the lock nobody else has a use for one (DESIGN 6).
func (p *placing) sweep(ctx context.Context) error {
	nodes, err := p.r.Client.Nodes(ctx)
	if err != nil {
		return retry{err}
	}
	for _, n := range nodes {
		for _, label := range n.cordonLabels() {
			left := NodeLabel{Node: n.ID, Label: label}
			if strings.HasPrefix(label, p.p.Prefix()) && !slices.Contains(p.up.Nodes, left) {
				p.up.Nodes = append(p.up.Nodes, left)
			}
		}
	}
	if !p.up.empty() {
		p.r.say(ctx, ActionSweep, "lift cordons that an earlier migrator left", "pools", p.up.Pools, "nodes", p.up.Nodes)
	}
	return p.lift(ctx)
}

// cordonPools keeps new replicas off the pools. A pool that somebody else
// keeps closed already is not ours to open again (MS 3.3).
func (p *placing) cordonPools(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	pools, err := p.r.Client.Pools(ctx)
	if err != nil {
		return retry{err}
	}
	for _, id := range ids {
		i := slices.IndexFunc(pools, func(x Pool) bool { return x.ID == id })
		if i >= 0 && !closed(pools[i]) {
			p.up.Pools = append(p.up.Pools, id)
		}
	}
	if err := p.p.Record(ctx, p.up); err != nil {
		return err
	}
	for _, id := range slices.Clone(p.up.Pools) {
		if err := p.r.unlessEnding(ctx); err != nil {
			return err
		}
		guarded, cancel, err := p.r.lock.Guard(ctx)
		if err != nil {
			return err
		}
		changed, err := p.r.Client.CordonPool(guarded, id)
		cancel()
		if IsUnsupported(err) {
			// Once may be a proxy's doing; twice, the server said it could and
			// cannot, and nothing else that it says of itself is to be believed.
			if p.r.unsupported++; p.r.unsupported > 1 {
				p.r.cap = Capability{Source: "the server's API description has the pool cordon, and the server answers it as an unknown route"}
			}
		}
		if err != nil {
			return retry{fmt.Errorf("cordon pool %s: %w", id, err)}
		}
		if changed {
			p.r.say(ctx, ActionCordon, "cordon a pool", "pool", id)
		} else {
			// Somebody closed it between our look and our call: theirs.
			p.up.Pools = slices.DeleteFunc(p.up.Pools, func(x string) bool { return x == id })
			if err := p.p.Record(ctx, p.up); err != nil {
				return err
			}
		}
	}
	return nil
}

// cordonNode makes the server prefer the replica on the node at the -1.
func (p *placing) cordonNode(ctx context.Context, node string) error {
	label := NodeLabel{Node: node, Label: p.label()}
	p.up.Nodes = append(p.up.Nodes, label)
	if err := p.p.Record(ctx, p.up); err != nil {
		return err
	}
	guarded, cancel, err := p.r.lock.Guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if _, err := p.r.Client.CordonNode(guarded, node, label.Label); err != nil {
		return retry{fmt.Errorf("cordon node %s: %w", node, err)}
	}
	p.r.say(ctx, ActionCordon, "cordon a node", "node", node)
	return nil
}

// lift lifts our cordons and clears the record of those that are gone. It
// tries a few times; beyond the time for which the lock is certain to be ours
// it lifts nothing, as the record is the next holder's to work off then.
func (p *placing) lift(ctx context.Context) error {
	if p.up.empty() {
		return nil
	}
	ctx, cancel, err := p.p.Guard(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	var errs []error
	for try := range 5 {
		errs = errs[:0]
		p.up.Pools = slices.DeleteFunc(p.up.Pools, func(id string) bool {
			err := p.liftPool(ctx, id)
			errs = append(errs, err)
			return err == nil
		})
		p.up.Nodes = slices.DeleteFunc(p.up.Nodes, func(l NodeLabel) bool {
			err := p.liftNode(ctx, l)
			errs = append(errs, err)
			return err == nil
		})
		if p.up.empty() || sleep(ctx, p.r.jitter(time.Second<<min(try, 3))) != nil {
			break
		}
	}
	if err := errors.Join(errors.Join(errs...), p.p.Record(ctx, p.up)); err != nil {
		if errors.Is(err, ErrLockLost) {
			return err
		}
		return retry{err}
	}
	return nil
}

// liftPool opens a pool again. What was answered matters less than what is
// there: a server that has no such route never closed the pool either.
func (p *placing) liftPool(ctx context.Context, id string) error {
	lifted, err := p.r.Client.UncordonPool(ctx, id)
	if err != nil && !IsGone(err) {
		if pool, rerr := p.r.Client.Pool(ctx, id); rerr != nil || closed(pool) {
			return fmt.Errorf("uncordon pool %s: %w", id, err)
		}
	}
	if lifted || err != nil {
		p.r.say(ctx, ActionUncordon, "lift the cordon of a pool", "pool", id)
	}
	return nil
}

// liftNode takes our label off a node.
func (p *placing) liftNode(ctx context.Context, l NodeLabel) error {
	lifted, err := p.r.Client.UncordonNode(ctx, l.Node, l.Label)
	if err != nil && !IsGone(err) {
		if node, rerr := p.r.Client.Node(ctx, l.Node); rerr != nil || slices.Contains(node.cordonLabels(), l.Label) {
			return fmt.Errorf("uncordon node %s: %w", l.Node, err)
		}
	}
	if lifted || err != nil {
		p.r.say(ctx, ActionUncordon, "lift the cordon of a node", "node", l.Node)
	}
	return nil
}

// cordonLabels returns the labels of everybody who cordons the node.
func (n Node) cordonLabels() []string {
	if n.Spec == nil || n.Spec.Cordon == nil {
		return nil
	}
	var labels []string
	for _, c := range []*CordonLabels{n.Spec.Cordon.Cordoned, n.Spec.Cordon.Draining, n.Spec.Cordon.Drained} {
		if c != nil {
			labels = append(labels, c.CordonLabels...)
		}
	}
	return labels
}

// retry marks an error after which the state is looked at again; every other
// one ends the attempt without a record.
type retry struct{ error }

func (r retry) Unwrap() error { return r.error }

// retriable reports whether nothing in err ends the attempt. A joined error is
// as final as the most final of its parts.
func retriable(err error) bool {
	switch e := err.(type) { //nolint:errorlint // a retry inside a lost lock would be no retry
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(x error) bool { return !retriable(x) })
	case retry:
		return true
	}
	return false
}

// closed reports whether the pool takes no new replicas by somebody's cordon.
func closed(p Pool) bool {
	return p.Spec != nil && p.Spec.CordonDrain != nil && p.Spec.CordonDrain.Cordoned != nil && p.Spec.CordonDrain.Cordoned.Replicas
}
