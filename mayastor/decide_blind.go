package mayastor

import "fmt"

// nextBlind decides for a volume of which the mark alone tells what it was: N,
// and that a +1 of ours may be there. To take one replica back is safe where one
// is behind, since the server gives that one up in every version (MS 4.5), and
// where all of N+1 are proven in sync, since then any may go. Whatever else is
// seen for too long stays as it is, for a person to judge.
//
//	num_replicas  seen                              next
//	N             a surplus replica                 wait for self-heal, then end
//	N             -                                 end
//	N+1           one is behind, the rest in sync   undo
//	N+1           all in sync, twice                down
//	N+1           anything else, for adriftGrace    end; it is left as it is
//	another       -                                 end; it is somebody's number
func (j *Journal) nextBlind(v Volume, s signals) (act, string) {
	switch v.Spec.NumReplicas {
	case j.N:
		if len(v.State.Replicas) > j.N {
			return j.surplus(s, actWait)
		}
		return actEnd, "the volume is back at its number of replicas"
	case j.N + 1:
	default:
		j.Ending = nil
		return j.scaled(v)
	}
	switch {
	case oneBehind(v):
		return actUndo, "one replica is not in sync and the others are"
	case s.whole || s.inSync:
		return actDown, "every replica is in sync; give one up"
	case s.now.Sub(j.PhaseSince) > adriftGrace:
		j.Ending.Sentence = fmt.Sprintf("an attempt ended without a record and its journal is lost; it began with num_replicas %d and the volume has %d now, and which replica is to go cannot be known while it is not whole; lower it by hand once it is", j.N, v.Spec.NumReplicas)
		return actEnd, "it is left as it is"
	}
	return actWait, "wait until it is known which replicas are in sync"
}

// oneBehind reports whether the target says that exactly one replica of those
// wanted is not in sync, and that all others are.
func oneBehind(v Volume) bool {
	t := v.State.Target
	if t == nil || len(v.State.Replicas) != v.Spec.NumReplicas {
		return false
	}
	behinds := 0
	for id := range v.State.Replicas {
		switch {
		case behind(v, id):
			behinds++
		case !Synced(v, id):
			return false
		}
	}
	return behinds == 1
}
