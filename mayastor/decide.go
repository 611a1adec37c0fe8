package mayastor

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The reasons a migrator itself may end a move for; those of [Route] are
// beside it.
const (
	ReasonStopped       Reason = "Stopped"
	ReasonTimeout       Reason = "Timeout"
	ReasonStalled       Reason = "Stalled"
	ReasonScaled        Reason = "ScaledByOther"
	ReasonVolumeGone    Reason = "VolumeGone"
	ReasonExtraReplica  Reason = "ExtraReplica"
	ReasonNotSteerable  Reason = "NotSteerable"
	ReasonNotPlaced     Reason = "NotPlaced"
	ReasonWrongPool     Reason = "WrongPool"
	ReasonRebuildFailed Reason = "RebuildFailed"
	ReasonUnsettled     Reason = "Unsettled"
	ReasonNotAdmitted   Reason = "NotAdmitted"
	ReasonUnreachable   Reason = "Unreachable"
	ReasonNothingToDo   Reason = "NothingToDo"
	ReasonRecovered     Reason = "Recovered"
	ReasonSuperseded    Reason = "Superseded"
	ReasonAdrift        Reason = "UnpublishedMeanwhile"
	ReasonNotWhole      Reason = "NotWhole"
	ReasonNoRecovery    Reason = "NothingToRecover"
)

const (
	// maxTries bounds the placements of one replica (MS 5.4.6).
	maxTries = 3
	// trimGrace is how long self-heal has to remove a surplus replica, which
	// takes it 10 to 30 s (MS 4.2), before that is reported.
	trimGrace = 3 * time.Minute
	// calmGrace is how long a volume has to look healthy again between two
	// replicas of one move.
	calmGrace = 2 * time.Minute
)

// view is one reading of a volume.
type view struct {
	vol Volume
	// gone is true once the server says that there is no such volume.
	gone bool
}

// signals are what a decision depends on beside the journal and the view.
type signals struct {
	now time.Time
	// stop is why the move is to end at the next safe place; nil to go on.
	stop *Ending
	// whole is true once every replica the volume wants is there and in sync,
	// seen unchanged on two reads at least a cache period apart (MS 5.4.7).
	whole bool
	// inSync is the same proof of the data alone: each replica is an Online
	// child of the target, whatever its pool's state.
	inSync bool
	// late and stalled speak of the replica under way.
	late, stalled bool
	// adrift is true once the volume has been unpublished for adriftGrace.
	adrift bool
}

// act is what to do next.
type act uint8

const (
	// actWait: look again after the poll interval.
	actWait act = iota
	// actPlan: ask Route for the next step.
	actPlan
	// actDown, actUndo, actReduce and actRestore each ask for a replica count;
	// the journal's phase has the same name.
	actDown
	actUndo
	actReduce
	actRestore
	// actEnd: the volume is at rest; report.
	actEnd
)

// next decides what to do next from what is seen, never from what was
// answered. It is pure but for the journal, in which it moves to another
// phase where the view shows that a step is over.
//
//	phase    num_replicas  seen                          next
//	idle     N             whole, steps left             up or reduce
//	idle     N             stopped, or no step left      end
//	idle     N+1           a +1 of this step was sent    up
//	up       N             nothing new                   idle, try again
//	up       N+1           new on a wrong pool           undo
//	up       N+1           new failed, stopped or late   undo if not in sync
//	up       N+1           all in sync, twice            down
//	down     N+1           all in sync, twice            down
//	down     N+1           new is being rebuilt again    up
//	down     N             victim gone                   idle, next replica
//	down     N             victim still there            idle, failed
//	undo     N+1           new known not to be in sync   undo
//	undo     N+1           all in sync, twice            down
//	undo     N             -                             idle
//	reduce   N             all in sync, twice            reduce
//	reduce   N-1           -                             restore
//	restore  N-1           -                             restore
//	restore  N             all in sync, twice            idle, next replica
//	any      another       -                             end; it is the user's number
//
// A blind journal has its own table, at nextBlind.
func (j *Journal) next(v view, s signals) (act, string) {
	if v.gone {
		j.end(Aborted, ReasonVolumeGone, "the volume was deleted while it was moved")
		return actEnd, "the volume is gone"
	}
	if j.Touched {
		if st := v.vol.Spec.Status; st != StatusCreated {
			return actWait, fmt.Sprintf("the volume's status is %s", st)
		}
		if op := v.vol.Spec.Operation; op != nil {
			return actWait, fmt.Sprintf("operation %s is in flight", op.Operation)
		}
	}
	if j.Blind && j.Phase != PhaseDone {
		return j.nextBlind(v.vol, s)
	}
	switch j.Phase {
	case PhaseIdle:
		return j.nextIdle(v.vol, s)
	case PhaseUp:
		return j.nextUp(v.vol, s)
	case PhaseDown:
		return j.nextDown(v.vol, s)
	case PhaseUndo:
		return j.nextUndo(v.vol, s)
	case PhaseReduce:
		return j.nextReduce(v.vol, s)
	case PhaseRestore:
		return j.nextRestore(v.vol, s)
	case PhaseDone:
	}
	return actEnd, "the move is over"
}

func (j *Journal) nextIdle(v Volume, s signals) (act, string) {
	if v.Spec.NumReplicas == j.N+1 && j.Tries > 0 {
		// The +1 that did not seem to take took effect late (MS 1.5).
		j.enter(PhaseUp, s.now)
		return j.nextUp(v, s)
	}
	if v.Spec.NumReplicas != j.N {
		return j.scaled(v)
	}
	if len(v.State.Replicas) > j.N && j.Touched {
		return j.surplus(s, actWait)
	}
	if j.Ending == nil && s.stop != nil {
		j.Ending = s.stop
	}
	if j.Ending != nil {
		return actEnd, "stopped at a safe place"
	}
	return actPlan, "look for the next step"
}

func (j *Journal) nextUp(v Volume, s signals) (act, string) {
	switch v.Spec.NumReplicas {
	case j.N:
		if len(v.State.Replicas) > j.N {
			return j.surplus(s, actWait)
		}
		// The +1 did not take, or somebody took it back.
		j.enter(PhaseIdle, s.now)
		if j.Tries >= maxTries {
			j.end(Failed, ReasonNotPlaced, fmt.Sprintf("the server did not add a replica in %d tries; its last answer: %s", j.Tries, cmp.Or(j.LastError, "success")))
		}
		return j.nextIdle(v, s)
	case j.N + 1:
		// Should a user's +1 have come at the same instant as ours, nothing
		// tells whose it is; to take it for theirs would pile up replicas
		// wherever a proxy repeats a PUT.
		return j.nextSync(v, s)
	default:
		return j.scaled(v)
	}
}

// nextSync waits for the new replica of PhaseUp.
func (j *Journal) nextSync(v Volume, s signals) (act, string) {
	found := j.findNew(v)
	if found && s.whole && j.onTarget(j.New.Pool) {
		return actDown, "every replica is in sync"
	}
	published := v.State.Target != nil
	switch {
	case s.stop != nil:
		j.Ending = orEnding(j.Ending, s.stop)
	case s.adrift:
		j.end(Aborted, ReasonAdrift, "the volume was unpublished while it was moved, so nothing could bring the new replica in sync")
	case published && s.late && j.doubted():
		j.end(Failed, ReasonRebuildFailed, fmt.Sprintf("the new replica on pool %s looked in sync, and the server's record of its last rebuild says %s; none completed before its time was over", j.New.Pool, j.Doubt.Record))
	case published && s.late:
		j.end(Failed, ReasonTimeout, fmt.Sprintf("the new replica (pool %s) was not proven in sync when its time was over; raise migrationTimeout or look at the load of the pool", cmp.Or(j.New.Pool, "not seen")))
	case published && s.stalled:
		j.end(Failed, ReasonStalled, fmt.Sprintf("the rebuild on pool %s made no progress", j.New.Pool))
	case found && !j.onTarget(j.New.Pool) && j.Tries >= maxTries:
		j.end(Failed, ReasonWrongPool, fmt.Sprintf("the server placed the new replica on pool %s, which is not a target, in each of %d tries", j.New.Pool, j.Tries))
	case found && v.State.Replicas[j.New.UUID].ChildStatus == StatusFaulted:
		j.end(Failed, ReasonRebuildFailed, fmt.Sprintf("the rebuild of the new replica on pool %s failed; see the io-engine's log on node %s", j.New.Pool, j.New.Node))
	}
	if j.Ending == nil && (!found || j.onTarget(j.New.Pool)) {
		if !found {
			return actWait, "the new replica is not visible yet"
		}
		return actWait, "wait for sync"
	}
	return j.takeBack(v, s)
}

// takeBack brings num_replicas from N+1 to N without lowering the number of
// copies in sync: by giving up what is known to be behind, what is not there
// at all, or one of N+1 that are proven in sync.
func (j *Journal) takeBack(v Volume, s signals) (act, string) {
	switch found := j.findNew(v); {
	case !found && j.restInSync(v):
		return actUndo, "the new replica is gone and the others are in sync"
	case !found:
		return actWait, "the new replica is not visible"
	case behind(v, j.New.UUID):
		return actUndo, "the new replica is not in sync"
	case s.whole && j.onTarget(j.New.Pool):
		// The rebuild was faster than the stop: to give the old one up is now
		// as safe, and nearer to what was asked for.
		return actDown, "every replica is in sync"
	case s.whole || s.inSync:
		j.Victim = j.New
		return actDown, "every replica is in sync; give the new one up"
	case s.adrift && allOnline(v):
		// The server keeps what its last target knew: a replica that was
		// behind goes first, and if none was, any of them may go (MS 4.7).
		return actUndo, "the volume is not published; the server knows which replica is behind"
	}
	return actWait, "wait until it is known which replicas are in sync"
}

func (j *Journal) nextDown(v Volume, s signals) (act, string) {
	switch v.Spec.NumReplicas {
	case j.N + 1:
		if s.stop != nil {
			j.Ending = orEnding(j.Ending, s.stop)
		}
		if s.whole {
			return actDown, "every replica is in sync"
		}
		if j.findNew(v) && !Synced(v, j.New.UUID) {
			j.enter(PhaseUp, s.now)
			return actWait, "the new replica is being rebuilt again"
		}
		if j.Ending != nil || s.late {
			return j.takeBack(v, s)
		}
		return actWait, "wait until every replica is proven in sync"
	case j.N:
		if len(v.State.Replicas) > j.N {
			return j.surplus(s, actWait)
		}
		j.enter(PhaseIdle, s.now)
		if _, there := v.State.Replicas[j.Victim.UUID]; there {
			j.wrongVictim()
		} else if j.Victim.UUID != j.New.UUID {
			j.finishReplica()
		}
		return j.nextIdle(v, s)
	default:
		return j.scaled(v)
	}
}

func (j *Journal) nextUndo(v Volume, s signals) (act, string) {
	switch v.Spec.NumReplicas {
	case j.N + 1:
		return j.takeBack(v, s)
	case j.N:
		if len(v.State.Replicas) > j.N {
			return j.surplus(s, actWait)
		}
		j.enter(PhaseIdle, s.now)
		return j.nextIdle(v, s)
	default:
		return j.scaled(v)
	}
}

func (j *Journal) nextReduce(v Volume, s signals) (act, string) {
	switch v.Spec.NumReplicas {
	case j.N:
		if len(v.State.Replicas) > j.N {
			return j.surplus(s, actWait)
		}
		switch {
		case s.stop != nil || j.Ending != nil || s.late || j.Tries >= maxTries:
			j.enter(PhaseIdle, s.now)
			j.end(Failed, ReasonNotPlaced, fmt.Sprintf("the server did not give up a replica in %d tries; its last answer: %s", j.Tries, cmp.Or(j.LastError, "success")))
			if s.stop != nil {
				j.Ending = s.stop
			}
			return j.nextIdle(v, s)
		case s.whole:
			return actReduce, "every replica is in sync"
		}
		return actWait, "wait until every replica is proven in sync"
	case j.N - 1:
		if len(v.State.Replicas) > j.N-1 {
			// Its surplus is trimmed by self-heal; adding one now would only
			// adopt it.
			return j.surplus(s, actRestore)
		}
		if _, there := v.State.Replicas[j.Victim.UUID]; there {
			j.wrongVictim()
		}
		j.enter(PhaseRestore, s.now)
		j.Tries = 0
		return actRestore, "one replica was given up"
	default:
		return j.scaled(v)
	}
}

// nextRestore brings the volume back to N whatever happens: there is no way
// back that would not go through another +1.
func (j *Journal) nextRestore(v Volume, s signals) (act, string) {
	if s.stop != nil {
		j.Ending = orEnding(j.Ending, s.stop)
	}
	switch v.Spec.NumReplicas {
	case j.N - 1:
		return actRestore, "one replica is missing"
	case j.N:
		j.findNew(v)
		if !s.whole && !s.late {
			return actWait, "wait for sync"
		}
		j.enter(PhaseIdle, s.now)
		if !s.whole {
			j.end(Failed, ReasonTimeout, fmt.Sprintf("the replica that was given up is back on pool %s, and was not proven in sync when its time was over; its rebuild goes on", j.New.Pool))
		} else if j.onTarget(j.New.Pool) && j.Ending == nil {
			j.finishReplica()
		} else {
			j.end(Failed, ReasonWrongPool, fmt.Sprintf("the replica that was given up came back on pool %s, which is not a target", j.New.Pool))
		}
		return j.nextIdle(v, s)
	default:
		return j.scaled(v)
	}
}

// behind reports whether the target itself says that the replica is not in
// sync. While there is no target nobody knows, and a -1 that was to take back a
// blank replica could find one that was finished a moment before: wait then.
func behind(v Volume, replica string) bool {
	r := v.State.Replicas[replica]
	return v.State.Target != nil && (r.ChildStatus == StatusDegraded || r.ChildStatus == StatusFaulted)
}

// restInSync reports whether the replicas of before this step's +1 are all
// there and in sync, and nothing else is.
func (j *Journal) restInSync(v Volume) bool {
	return v.State.Target != nil && slices.Equal(v.uuids(), j.Before) &&
		!slices.ContainsFunc(j.Before, func(id string) bool { return !Synced(v, id) })
}

// inSync reports whether every replica that is wanted is an Online child of
// the target and none is being rebuilt.
func inSync(v Volume) bool {
	t := v.State.Target
	if t == nil || t.Rebuilds != 0 || len(t.Children) != v.Spec.NumReplicas || len(v.State.Replicas) != v.Spec.NumReplicas {
		return false
	}
	for id := range v.State.Replicas {
		if !Synced(v, id) {
			return false
		}
	}
	return true
}

// allOnline reports whether the volume is unpublished with every replica it
// wants within reach.
func allOnline(v Volume) bool {
	if v.Spec.Target != nil || v.State.Target != nil || len(v.State.Replicas) != v.Spec.NumReplicas {
		return false
	}
	for _, r := range v.State.Replicas {
		if r.State != StatusOnline {
			return false
		}
	}
	return true
}

// findNew looks for the replica of this step's +1 and remembers it. Should
// self-heal have replaced it, its replacement is the new one.
func (j *Journal) findNew(v Volume) bool {
	added := j.added(v)
	if slices.ContainsFunc(added, func(r ReplicaRef) bool { return r.UUID == j.New.UUID }) {
		return true
	}
	if len(added) == 0 {
		return false
	}
	// More than one: an old replica was replaced as well. One on a target pool
	// is the better guess, and each is proven in sync before anything goes.
	j.New = added[0]
	for _, r := range added {
		if j.onTarget(r.Pool) {
			j.New = r
			break
		}
	}
	return true
}

// finishReplica clears what belonged to one replica.
func (j *Journal) finishReplica() {
	j.Finished++
	j.New, j.Victim, j.Before = ReplicaRef{}, ReplicaRef{}, nil
	j.StepStarted, j.Tries = time.Time{}, 0
}

// wrongVictim ends the move because the server cannot be steered: to try again
// would be a loop (MS 4.5).
func (j *Journal) wrongVictim() {
	why := "check that its version is the one it claims or was vouched for"
	if j.Unsteered {
		why = "the move had to end while cordons or drains of others kept that from being steered"
	}
	j.end(Failed, ReasonNotSteerable, fmt.Sprintf("the server removed another replica than the one on pool %s; no data was lost; %s", j.Victim.Pool, why))
}

// scaled ends the move because the replica count is nobody's that we know.
func (j *Journal) scaled(v Volume) (act, string) {
	j.end(Aborted, ReasonScaled, fmt.Sprintf("num_replicas is %d and was %d when the move began: somebody scales the volume; their number is kept", v.Spec.NumReplicas, j.N))
	return actEnd, "somebody scales the volume"
}

// surplus waits for self-heal to trim replicas beyond the count, and reports
// it where that does not happen.
func (j *Journal) surplus(s signals, then act) (act, string) {
	if s.now.Sub(j.PhaseSince) < trimGrace {
		return actWait, "wait for self-heal to remove the surplus replica"
	}
	if then != actWait {
		return then, "the surplus replica was not removed"
	}
	const extra = "the volume has more replicas than it wants and self-heal does not remove the surplus; look at the control plane's log"
	if j.Ending != nil && j.Ending.State == Moved {
		j.Ending = nil
	}
	if j.Ending != nil {
		// Why the move was cut short stays the reason; this must be told as well.
		told := *j.Ending
		told.Sentence += "; " + extra
		j.Ending = &told
	}
	j.end(Failed, ReasonExtraReplica, extra)
	return actEnd, "a surplus replica stays"
}

func orEnding(a, b *Ending) *Ending {
	if a != nil {
		return a
	}
	return b
}
