package mayastor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// maxBackoff is the ceiling between two tries at a server that does not
// answer or refuses.
const maxBackoff = 30 * time.Second

const (
	// adriftGrace is how long a volume that was unpublished in its move may
	// come back before the new replica is taken back.
	adriftGrace = 10 * time.Minute
	// staleAfter is how long what was seen may be acted on.
	staleAfter = 10 * time.Second
	// complainEvery is how often the same trouble is told.
	complainEvery = 5 * time.Minute
)

// jitter spreads what several migrators would try again at once.
func (m *Migrator) jitter(d time.Duration) time.Duration {
	if m.Jitter != nil {
		return m.Jitter(d)
	}
	return d/2 + rand.N(d/2+1)
}

// loop looks, decides and acts until the volume is at rest.
func (r *run) loop(ctx context.Context) error {
	for {
		v, err := r.look(ctx)
		if err != nil {
			return err
		}
		was := *r.j
		do, why := r.j.next(v, r.signals(ctx, v))
		if r.j.Phase != was.Phase {
			r.stepOver(ctx, &was)
			if err := r.lock.Write(ctx, r.j); err != nil {
				return err
			}
		}
		r.explain(ctx, why)
		if r.unlifted && do != actEnd {
			if err := r.placed(ctx, func(context.Context, *placing) error { return nil }); err != nil && !retriable(err) {
				return err
			}
		}
		switch do {
		case actEnd:
			if r.unlifted {
				if err := r.lift(ctx); err != nil {
					return err
				}
			}
			return r.finish(ctx, v.vol)
		case actWait:
			err = r.pause(ctx, r.PollInterval)
		default:
			if wait := time.Until(r.retryAt); wait > 0 {
				err = r.pause(ctx, min(wait, r.PollInterval))
				break
			}
			err = r.act(ctx, do)
		}
		if err != nil {
			return err
		}
	}
}

// look reads the volume, and waits for as long as that cannot be done. That a
// volume is gone is believed on the second word only.
func (r *run) look(ctx context.Context) (view, error) {
	gone := false
	for wait := time.Second; ; wait = min(2*wait, maxBackoff) {
		vol, err := r.Client.Volume(ctx, r.j.Volume)
		switch {
		case err == nil:
			return view{vol: vol}, nil
		case IsGone(err) && gone:
			return view{gone: true}, nil
		case IsDenied(err):
			return view{}, fmt.Errorf("%w; mend the credentials for Mayastor, the move goes on from its journal", err)
		}
		gone = IsGone(err)
		r.complain(ctx, err)
		r.proof = proof{}
		if err := r.pause(ctx, r.jitter(wait)); err != nil {
			return view{}, err
		}
	}
}

// signals gathers what a decision depends on beside the view.
func (r *run) signals(ctx context.Context, v view) signals {
	now := time.Now()
	s := signals{now: now, stop: r.stopped(ctx)}
	if v.gone {
		return s
	}
	s.whole = r.proof.see(v.vol, len(Healthy(v.vol)) == 0, now, r.CachePeriod)
	s.inSync = r.loose.see(v.vol, inSync(v.vol), now, r.CachePeriod)
	s.late = r.late(now)
	if v.vol.State.Target != nil || v.vol.Spec.Target != nil {
		r.adrift = time.Time{}
	} else if r.adrift.IsZero() {
		r.adrift = now
	}
	s.adrift = !r.adrift.IsZero() && now.Sub(r.adrift) > adriftGrace
	if rt, ok := v.vol.State.Replicas[r.j.New.UUID]; ok && (r.j.Phase == PhaseUp || r.j.Phase == PhaseRestore) {
		s.stalled = r.rate.see(r.j.New.UUID, rt, now) > max(r.StallAfter, 3*r.rate.longest, r.Timeout/50) && !Synced(v.vol, r.j.New.UUID)
		r.progress(rt)
	}
	return s
}

// late reports whether the time of the replica under way is over.
func (r *run) late(now time.Time) bool {
	return !r.j.StepStarted.IsZero() && now.Sub(r.j.StepStarted) > r.Timeout
}

// act causes one side effect, or finds that it is not to be caused now.
func (r *run) act(ctx context.Context, do act) error {
	var err error
	switch do {
	case actPlan:
		err = r.plan(ctx)
	case actRestore:
		err = r.restore(ctx)
	case actDown, actReduce:
		err = r.giveUp(ctx, do)
	case actUndo:
		r.say(ctx, ActionUndo, "take the new replica back", "to_pool", r.j.New.Pool, "reason", r.last)
		err = r.undo(ctx)
	case actWait, actEnd:
	}
	r.proof, r.loose = proof{}, proof{}
	if err == nil {
		r.retries = 0
		return nil
	}
	if !retriable(err) {
		return err
	}
	now := time.Now()
	r.retries++
	r.retryAt = now.Add(r.jitter(r.backoff(err)))
	r.warn(ctx, "not done yet; look again", "error", err.Error())
	if r.j.Phase == PhaseIdle && now.Sub(r.j.PhaseSince) > r.AdmitWait {
		state := Refused
		if r.j.Touched {
			state = Failed
		}
		r.j.end(state, ReasonUnsettled, err.Error())
	}
	return nil
}

// backoff is how long to leave alone what did not take several times in a row. A
// store that does not take writes needs longer to mend than a busy volume (MS
// 5.5); a volume on its way to rest, or below its number, is not kept waiting.
func (r *run) backoff(err error) time.Duration {
	wait, most := time.Second<<min(r.retries, 9), 10*time.Minute
	if IsPersist(err) {
		wait *= 8
	}
	if r.j.Ending != nil || r.j.Phase == PhaseRestore {
		most = maxBackoff
	}
	return min(wait, most)
}

// plan asks Route for the next step from the state as it is now.
func (r *run) plan(ctx context.Context) error {
	vol, steps, refusals, err := r.route(ctx)
	if err != nil {
		return retry{err}
	}
	now := time.Now()
	switch {
	case len(refusals) > 0 && !r.j.Touched:
		r.j.end(Refused, refusals[0].Reason, sentences(refusals))
	case len(refusals) > 0 && now.Sub(r.j.PhaseSince) > calmGrace:
		r.j.end(Failed, refusals[0].Reason, sentences(refusals))
	case len(refusals) > 0:
		return retry{fmt.Errorf("wait for the volume to be ready for its next replica: %s", sentences(refusals))}
	case len(steps) == 0 && r.j.Touched:
		left := Healthy(vol)
		switch {
		case len(left) == 0:
			r.j.end(Moved, "", "")
		case now.Sub(r.j.PhaseSince) <= calmGrace:
			return retry{fmt.Errorf("wait for the volume to be whole on its new pools: %s", sentences(left))}
		default:
			r.j.end(Failed, ReasonNotWhole, "every replica is on a target pool, and the volume is not whole: "+sentences(left))
		}
	case len(steps) == 0:
		r.j.end(Refused, ReasonNothingToDo, "every replica is on a target pool already")
	default:
		step := steps[0]
		r.j.Victim, r.j.New, r.j.Before = step.Victim, ReplicaRef{}, vol.uuids()
		if step.Kind == RemoveFirst {
			r.j.enter(PhaseReduce, now)
			return r.lock.Write(ctx, r.j)
		}
		return r.scaleUp(ctx)
	}
	return nil
}

// scaleUp asks for one replica more, with every pool but the targets kept out.
func (r *run) scaleUp(ctx context.Context) error {
	return r.placed(ctx, func(ctx context.Context, p *placing) error {
		w, err := r.world(ctx)
		if err != nil {
			return retry{err}
		}
		steps, refusals := Route(w.vol, w.pools, w.nodes, r.order.Ask, r.cap)
		if len(refusals) > 0 || len(steps) == 0 || steps[0].Kind != AddFirst || w.vol.Spec.NumReplicas != r.j.N {
			return retry{fmt.Errorf("the cluster changed while the step was prepared: %s", sentences(refusals))}
		}
		step := steps[0]
		if err := p.cordonPools(ctx, step.Cordon); err != nil {
			return err
		}
		r.j.Victim, r.j.New, r.j.Before = step.Victim, ReplicaRef{}, w.vol.uuids()
		if err := r.intend(ctx, PhaseUp); err != nil {
			return err
		}
		r.say(ctx, ActionAdd, "add a replica", "from_pool", step.Victim.Pool, "landing", step.Landing, "kept_out", step.Cordon)
		return r.setReplicas(ctx, r.j.N+1)
	})
}

// restore asks for the replica that was given up first. After maxTries any
// pool will do: a volume never stays below its number for want of a tier.
func (r *run) restore(ctx context.Context) error {
	return r.placed(ctx, func(ctx context.Context, p *placing) error {
		w, err := r.world(ctx)
		if err != nil {
			return retry{err}
		}
		if w.vol.Spec.NumReplicas != r.j.N-1 {
			return nil
		}
		if r.j.Tries < maxTries && r.j.Ending == nil && r.cap.PoolCordon {
			if err := p.cordonPools(ctx, r.others(w)); err != nil {
				r.j.Tries++
				return err
			}
		}
		r.j.New, r.j.Before = ReplicaRef{}, w.vol.uuids()
		if err := r.intend(ctx, PhaseRestore); err != nil {
			return err
		}
		r.say(ctx, ActionAdd, "restore the replica that was given up", "from_pool", r.j.Victim.Pool)
		return r.setReplicas(ctx, r.j.N)
	})
}

// others are the pools off target that the server could choose now.
func (r *run) others(w world) []string {
	var ids []string
	for _, c := range Candidates(w.vol, w.pools, w.nodes) {
		if c.Reject == "" && !r.j.onTarget(c.Pool) {
			ids = append(ids, c.Pool)
		}
	}
	return ids
}

// giveUp asks for one replica less and steers which one goes. The volume is
// read again under the placement lock and must still be whole.
func (r *run) giveUp(ctx context.Context, do act) error {
	return r.placed(ctx, func(ctx context.Context, p *placing) error {
		w, err := r.world(ctx)
		if err != nil {
			return retry{err}
		}
		want, phase := r.j.N, PhaseDown
		if do == actReduce {
			want, phase = r.j.N-1, PhaseReduce
		}
		ending := r.j.Ending != nil || r.late(time.Now())
		refusals := Healthy(w.vol)
		if len(refusals) > 0 && ending && do == actDown && inSync(w.vol) {
			refusals = nil // a pool is not well, the data is
		}
		if !ending {
			refusals = append(refusals, NewCluster(w.pools, w.nodes).unrest(w.vol)...)
		}
		if len(refusals) > 0 || w.vol.Spec.NumReplicas != want+1 {
			return retry{fmt.Errorf("the volume or the cluster changed while the step was prepared: %s", sentences(refusals))}
		}
		if _, there := w.vol.State.Replicas[r.j.Victim.UUID]; r.j.Blind {
			r.j.Victim = r.blindVictim(w, p.label())
		} else if !there {
			// Self-heal replaced it meanwhile; any replica off target will do.
			r.j.Victim = r.otherVictim(w.vol)
		}
		if do == actDown {
			if err := r.crossCheck(ctx, ending); err != nil {
				return err
			}
		}
		if do == actReduce && !r.cap.PoolCordon && !r.cap.Removal {
			r.j.enter(PhaseIdle, time.Now())
			return nil
		}
		cordon, ok := w.steer(r.j.Victim, p.label(), r.cap)
		if !ok && (do == actReduce || !ending) {
			return retry{fmt.Errorf("the server would not remove the replica on pool %s first; wait for cordons of others to be lifted", r.j.Victim.Pool)}
		}
		r.j.Unsteered = !ok
		if do == actReduce && r.cap.PoolCordon {
			// Below its number a volume must find its way back: that the server
			// can be steered is proven before, not after.
			if err := p.cordonPools(ctx, append(r.others(w), r.j.Victim.Pool)); err != nil {
				return err
			}
		}
		if cordon != "" {
			if err := p.cordonNode(ctx, cordon); err != nil {
				return err
			}
		}
		if err := r.intend(ctx, phase); err != nil {
			return err
		}
		r.say(ctx, ActionRemove, "give a replica up", "from_pool", r.j.Victim.Pool, "to_pool", r.j.New.Pool)
		return r.setReplicas(ctx, want)
	})
}

// otherVictim is a replica to give up in place of one that vanished.
func (r *run) otherVictim(v Volume) ReplicaRef {
	refs := v.replicas()
	if i := slices.IndexFunc(refs, func(x ReplicaRef) bool { return !r.j.onTarget(x.Pool) }); i >= 0 {
		return refs[i]
	}
	return r.j.New
}

// undo takes the new replica back while it is not in sync: the server removes
// what is not healthy first, in every version (MS 4.5).
func (r *run) undo(ctx context.Context) error {
	if err := r.intend(ctx, PhaseUndo); err != nil {
		return err
	}
	return r.setReplicas(ctx, r.j.N)
}

// intend makes the next side effect known before it is caused.
func (r *run) intend(ctx context.Context, p Phase) error {
	if p == PhaseUp || p == PhaseReduce {
		if err := r.unlessEnding(ctx); err != nil {
			r.j.enter(PhaseIdle, time.Now())
			return err
		}
	}
	now := time.Now().UTC()
	r.j.enter(p, now)
	r.j.Touched = true
	if p == PhaseUp || p == PhaseReduce || p == PhaseRestore {
		r.j.Tries++
		if r.j.StepStarted.IsZero() {
			r.j.StepStarted = now
		}
	}
	if err := r.lock.Write(ctx, r.j); err != nil {
		return err
	}
	if took := time.Since(now); took > staleAfter {
		return retry{fmt.Errorf("the journal took %s to write; look again before anything is changed", took.Round(time.Second))}
	}
	return nil
}

// setReplicas asks for a replica count and waits until the volume is settled,
// whatever was answered: the state decides (MS 1.5, 5.4.4).
func (r *run) setReplicas(ctx context.Context, n int) error {
	guarded, cancel, err := r.lock.Guard(ctx)
	if err != nil {
		return err
	}
	_, err = r.Client.SetReplicas(guarded, r.j.Volume, n)
	cancel()
	r.j.LastError = ""
	if err != nil {
		r.j.LastError = err.Error()
		r.warn(ctx, "the server did not confirm the replica count; look what it did", "replicas", n, "error", err.Error())
	}
	if serr := r.settle(ctx); serr != nil {
		return serr
	}
	if err != nil {
		return retry{err}
	}
	return nil
}

// settle waits until two reads agree and no operation is in flight.
func (r *run) settle(ctx context.Context) error {
	var before string
	for {
		v, err := r.look(ctx)
		if err != nil {
			return err
		}
		now := ""
		if !v.gone && v.vol.Spec.Operation == nil {
			now = fmt.Sprint(v.vol.Spec.NumReplicas, v.vol.uuids())
		}
		if v.gone || now != "" && now == before {
			return nil
		}
		before = now
		if err := sleep(ctx, min(r.PollInterval, time.Second)); err != nil {
			return err
		}
	}
}

// sentences joins refusals for people.
func sentences(refusals []Refusal) string {
	if len(refusals) == 0 {
		return "look again"
	}
	texts := make([]string, len(refusals))
	for i, x := range refusals {
		texts[i] = x.Sentence
	}
	return strings.Join(texts, "; ")
}
