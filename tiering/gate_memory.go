package tiering

import (
	"strconv"
	"time"
)

const (
	firstBackOff    = 15 * time.Minute
	longestBackOff  = 24 * time.Hour
	lastBackOff     = 5 // failures in a row, after which time alone opens nothing
	reasonNoRoomNow = "NotAdmitted"
)

// notLive: no Job works on the volume, of this policy or another.
func notLive(t *turn) Verdict {
	want := words("no Job at work")
	if t.v.Live != nil {
		return holds(words("Job "+t.v.Live.Name+" of policy "+t.v.Live.Policy), want)
	}
	return passes(words("no Job works on it"), want)
}

// clean: the volume's memory can be read, and no attempt is half done.
func clean(t *turn) Verdict {
	want := words("no unfinished attempt")
	m := t.v.Remembered()
	a := &m.Attempt
	switch {
	case m.Fault != "":
		return holds(words(m.Fault), want)
	case t.v.Live != nil:
		return passes(words("its Job is at work"), want)
	}
	switch a.State {
	case AttemptStarted:
		return holds(unfinished(a.N, a.Policy), want)
	case "":
		return passes(words("no move was ever tried"), want)
	case AttemptMoved, AttemptFailed, AttemptRefused, AttemptAborted:
		if a.At.IsZero() && a.State != AttemptMoved {
			return holds(words("its last attempt has no time"), want)
		}
		return passes(words("the last attempt is over: "+string(a.State)), want)
	}
	return holds(words("its last attempt has the unknown state "+strconv.Quote(string(a.State))), want)
}

// backOff: the last attempt, if it did not succeed, is long enough ago. Each
// failure in a row doubles the time; after the fifth only a changed policy, or
// another one, tries again, and where it is not known which policy tried, time
// goes on to tell. What was refused or interrupted is no failure.
func backOff(t *turn) Verdict {
	a := &t.v.Remembered().Attempt
	switch {
	case a.State == "" || a.State == AttemptMoved:
		return passes(words("the last attempt did not fail"), Value{})
	case a.Reason == reasonNoRoomNow || a.State == AttemptRefused || a.State == AttemptAborted:
		have := string(a.State) + " at"
		if a.Reason != "" {
			have = string(a.State) + " (" + a.Reason + ") at"
		}
		return t.opensAfter(a.At, firstBackOff, instant(have, a.At))
	case a.State != AttemptFailed:
		return notAsked("the attempt is not over")
	}
	k := max(a.Failures, 1)
	have := items(k, "failures in a row")
	if k < lastBackOff || a.Policy == "" || a.Generation == 0 {
		return t.opensAfter(a.At, backOffAfter(k), have)
	}
	p := &t.plan.in.Policy
	same := a.Policy == p.Name && a.Generation == p.Generation && !p.Created.After(a.At)
	return answer(!same, have, words("a policy that changed since"))
}

func (t *turn) opensAfter(at time.Time, wait time.Duration, have Value) Verdict {
	if opens := at.Add(wait); t.plan.in.Now.Before(opens) {
		return holdsUntil(opens, have, span(wait))
	}
	return passes(have, span(wait))
}

// backOffAfter returns how long the kth failure in a row holds a volume, k from
// 1.
func backOffAfter(k int64) time.Duration {
	if k > 8 {
		return longestBackOff
	}
	return min(firstBackOff<<(k-1), longestBackOff)
}

// cooldown: the volume's last change of pools is long enough ago. To finish a
// volume that is mixed is no new move.
func cooldown(t *turn) Verdict {
	want := span(t.rules().CooldownPeriod)
	last := t.v.Remembered().LastMigration
	switch {
	case t.mixed:
		return passes(words("not asked of a volume that is mixed, to finish it"), want)
	case last.IsZero():
		return passes(words("it never moved"), want)
	}
	return t.opensAfter(last, t.rules().CooldownPeriod, instant("pools changed at", last))
}
