package mayastor

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestNext is the table above Journal.next: what is seen in each phase, and
// what follows from it.
func TestNext(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	stop := &Ending{State: Aborted, Reason: ReasonStopped, Sentence: "told to stop"}
	const a, b, c, x = "a", "b", "c", "x" // x is the replica that this step added
	type seen struct {
		n        int               // num_replicas
		children map[string]Status // replica to child status; "" is no child
		untarget bool              // no target
		op       bool
		gone     bool
	}
	online := func(ids ...string) map[string]Status {
		m := map[string]Status{}
		for _, id := range ids {
			m[id] = StatusOnline
		}
		return m
	}
	with := func(m map[string]Status, id string, s Status) map[string]Status { m[id] = s; return m }
	blind := func(j *Journal) {
		j.Blind, j.Before, j.Victim = true, nil, ReplicaRef{}
		j.Ending = &Ending{State: Aborted, Reason: ReasonRecovered, Sentence: "its journal is lost"}
	}
	blindForLong := func(j *Journal) {
		blind(j)
		j.PhaseSince = now.Add(-adriftGrace - time.Second)
	}
	for _, tt := range []struct {
		name    string
		phase   Phase
		journal func(*Journal)
		seen    seen
		signals signals
		want    act
		phaseTo Phase
		ending  Reason
	}{
		{"idle and whole: plan", PhaseIdle, nil, seen{n: 2, children: online(a, b)}, signals{}, actPlan, PhaseIdle, ""},
		{"idle and told to stop: end", PhaseIdle, nil, seen{n: 2, children: online(a, b)}, signals{stop: stop}, actEnd, PhaseIdle, ReasonStopped},
		{"idle at another number: it is the user's", PhaseIdle, nil, seen{n: 4, children: online(a, b)}, signals{}, actEnd, PhaseIdle, ReasonScaled},
		{"idle at N+1 after a +1 of ours: it took effect late", PhaseIdle, func(j *Journal) { j.Tries = 1 }, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actWait, PhaseUp, ""},
		{"idle with a surplus: wait for self-heal", PhaseIdle, nil, seen{n: 2, children: online(a, b, c)}, signals{}, actWait, PhaseIdle, ""},
		{"an operation in flight: wait", PhaseUp, nil, seen{n: 2, op: true, children: online(a, b)}, signals{}, actWait, PhaseUp, ""},
		{"the volume is gone: end", PhaseUp, nil, seen{gone: true}, signals{}, actEnd, PhaseUp, ReasonVolumeGone},

		{"up, and the +1 did not take: plan again", PhaseUp, nil, seen{n: 2, children: online(a, b)}, signals{}, actPlan, PhaseIdle, ""},
		{"up, and it did not take three times: end", PhaseUp, func(j *Journal) { j.Tries = 3 }, seen{n: 2, children: online(a, b)}, signals{}, actEnd, PhaseIdle, ReasonNotPlaced},
		{"up, rebuilding: wait", PhaseUp, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actWait, PhaseUp, ""},
		{"up, Online but not proven: wait", PhaseUp, nil, seen{n: 3, children: online(a, b, x)}, signals{}, actWait, PhaseUp, ""},
		{"up, proven: give the old one up", PhaseUp, nil, seen{n: 3, children: online(a, b, x)}, signals{whole: true}, actDown, PhaseUp, ""},
		{"up, the rebuild failed: take it back", PhaseUp, nil, seen{n: 3, children: with(online(a, b), x, StatusFaulted)}, signals{}, actUndo, PhaseUp, ReasonRebuildFailed},
		{"up, late while rebuilding: take it back", PhaseUp, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{late: true}, actUndo, PhaseUp, ReasonTimeout},
		{"up, stalled: take it back", PhaseUp, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{stalled: true}, actUndo, PhaseUp, ReasonStalled},
		{"up, stopped while rebuilding: take it back", PhaseUp, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{stop: stop}, actUndo, PhaseUp, ReasonStopped},
		{"up, stopped and proven: finish this replica", PhaseUp, nil, seen{n: 3, children: online(a, b, x)}, signals{stop: stop, whole: true}, actDown, PhaseUp, ""},
		{"up, stopped and in sync but not proven: wait for the proof", PhaseUp, nil, seen{n: 3, children: online(a, b, x)}, signals{stop: stop}, actWait, PhaseUp, ReasonStopped},
		{"up, late and unpublished: nobody knows what is in sync, hold", PhaseUp, nil, seen{n: 3, untarget: true, children: map[string]Status{a: "", b: "", x: ""}}, signals{late: true}, actWait, PhaseUp, ""},
		{"up, unpublished for long and every replica within reach: take it back", PhaseUp, nil, seen{n: 3, untarget: true, children: map[string]Status{a: "", b: "", x: ""}}, signals{adrift: true}, actUndo, PhaseUp, ReasonAdrift},
		{"up, stopped and in sync on a pool that is not well: give the new one up", PhaseUp, nil, seen{n: 3, children: online(a, b, x)}, signals{stop: stop, inSync: true}, actDown, PhaseUp, ReasonStopped},
		{"up, stopped and the new one vanished: lower the number", PhaseUp, func(j *Journal) { j.Before = []string{a, b} }, seen{n: 3, children: online(a, b)}, signals{stop: stop}, actUndo, PhaseUp, ReasonStopped},
		{"up, the new one vanished: self-heal brings another", PhaseUp, func(j *Journal) { j.Before = []string{a, b} }, seen{n: 3, children: online(a, b)}, signals{}, actWait, PhaseUp, ""},
		{"up, landed on a wrong pool: take it back", PhaseUp, func(j *Journal) { j.Ask.Targets = []string{"elsewhere"} }, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actUndo, PhaseUp, ""},
		{"up, landed on a wrong pool three times: and end", PhaseUp, func(j *Journal) { j.Ask.Targets, j.Tries = []string{"elsewhere"}, 3 }, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actUndo, PhaseUp, ReasonWrongPool},
		{"up, at N+2: it is the user's", PhaseUp, nil, seen{n: 4, children: online(a, b, c, x)}, signals{whole: true}, actEnd, PhaseUp, ReasonScaled},

		{"down, not taken and proven: again", PhaseDown, nil, seen{n: 3, children: online(a, b, x)}, signals{whole: true}, actDown, PhaseDown, ""},
		{"down, the new one is behind again: back to waiting", PhaseDown, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actWait, PhaseUp, ""},
		{"down, the victim is gone: next replica", PhaseDown, nil, seen{n: 2, children: online(b, x)}, signals{}, actPlan, PhaseIdle, ""},
		{"down, the new one was removed instead: never again", PhaseDown, nil, seen{n: 2, children: online(a, b)}, signals{}, actEnd, PhaseIdle, ReasonNotSteerable},
		{"down, only the number fell: wait for self-heal", PhaseDown, nil, seen{n: 2, children: online(a, b, x)}, signals{}, actWait, PhaseDown, ""},

		{"undo, still behind: again", PhaseUndo, nil, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actUndo, PhaseUndo, ""},
		{"undo, in sync meanwhile and proven: give the old one up", PhaseUndo, nil, seen{n: 3, children: online(a, b, x)}, signals{whole: true}, actDown, PhaseUndo, ""},
		{"undo, done: end as decided", PhaseUndo, func(j *Journal) { j.Ending = stop }, seen{n: 2, children: online(a, b)}, signals{}, actEnd, PhaseIdle, ReasonStopped},

		{"reduce, not proven: wait", PhaseReduce, nil, seen{n: 2, children: online(a, b)}, signals{}, actWait, PhaseReduce, ""},
		{"reduce, proven: give one up", PhaseReduce, nil, seen{n: 2, children: online(a, b)}, signals{whole: true}, actReduce, PhaseReduce, ""},
		{"reduce, stopped before: end", PhaseReduce, nil, seen{n: 2, children: online(a, b)}, signals{whole: true, stop: stop}, actEnd, PhaseIdle, ReasonStopped},
		{"reduce, done: restore", PhaseReduce, nil, seen{n: 1, children: online(b)}, signals{}, actRestore, PhaseRestore, ""},
		{"reduce, the wrong one went: restore and end", PhaseReduce, nil, seen{n: 1, children: online(a)}, signals{}, actRestore, PhaseRestore, ReasonNotSteerable},
		{"restore, stopped: restore all the same", PhaseRestore, nil, seen{n: 1, children: online(b)}, signals{stop: stop}, actRestore, PhaseRestore, ReasonStopped},
		{"restore, rebuilding and stopped: wait all the same", PhaseRestore, nil, seen{n: 2, children: with(online(b), x, StatusDegraded)}, signals{stop: stop}, actWait, PhaseRestore, ReasonStopped},
		{"restore, rebuilding and late: the number is whole, end", PhaseRestore, nil, seen{n: 2, children: with(online(b), x, StatusDegraded)}, signals{late: true}, actEnd, PhaseIdle, ReasonTimeout},
		{"blind, one is behind: take one back", PhaseIdle, blind, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{}, actUndo, PhaseIdle, ReasonRecovered},
		{"blind, one is faulted: take one back", PhaseUndo, blind, seen{n: 3, children: with(online(b, x), a, StatusFaulted)}, signals{}, actUndo, PhaseUndo, ReasonRecovered},
		{"blind, two are behind: wait", PhaseIdle, blind, seen{n: 3, children: with(with(online(a), b, StatusDegraded), x, StatusDegraded)}, signals{}, actWait, PhaseIdle, ReasonRecovered},
		{"blind, one is behind and one is unknown: wait", PhaseIdle, blind, seen{n: 3, children: with(with(online(a), b, StatusUnknown), x, StatusDegraded)}, signals{}, actWait, PhaseIdle, ReasonRecovered},
		{"blind, one is behind and one is not there: wait", PhaseIdle, blind, seen{n: 3, children: with(online(a), x, StatusDegraded)}, signals{}, actWait, PhaseIdle, ReasonRecovered},
		{"blind, in sync and not proven: wait", PhaseIdle, blind, seen{n: 3, children: online(a, b, x)}, signals{}, actWait, PhaseIdle, ReasonRecovered},
		{"blind, proven: give one up", PhaseDown, blind, seen{n: 3, children: online(a, b, x)}, signals{inSync: true}, actDown, PhaseDown, ReasonRecovered},
		{"blind and unpublished: wait", PhaseIdle, blind, seen{n: 3, untarget: true, children: map[string]Status{a: "", b: "", x: ""}}, signals{adrift: true}, actWait, PhaseIdle, ReasonRecovered},
		{"blind and unpublished for long: leave it as it is", PhaseIdle, blindForLong, seen{n: 3, untarget: true, children: map[string]Status{a: "", b: "", x: ""}}, signals{adrift: true}, actEnd, PhaseIdle, ReasonRecovered},
		{"blind, told to stop and one is behind: take one back all the same", PhaseIdle, blind, seen{n: 3, children: with(online(a, b), x, StatusDegraded)}, signals{stop: stop}, actUndo, PhaseIdle, ReasonRecovered},
		{"blind, an operation in flight: wait", PhaseIdle, blind, seen{n: 3, op: true, children: with(online(a, b), x, StatusDegraded)}, signals{}, actWait, PhaseIdle, ReasonRecovered},
		{"blind, back at N: end", PhaseUndo, blind, seen{n: 2, children: online(a, b)}, signals{}, actEnd, PhaseUndo, ReasonRecovered},
		{"blind, back at N and one too many: wait for self-heal", PhaseUndo, blind, seen{n: 2, children: online(a, b, x)}, signals{}, actWait, PhaseUndo, ReasonRecovered},
		{"blind, at N-1: it is the user's", PhaseDown, blind, seen{n: 1, children: online(a)}, signals{}, actEnd, PhaseDown, ReasonScaled},
		{"blind, at N+2: it is the user's", PhaseIdle, blind, seen{n: 4, children: online(a, b, c, x)}, signals{inSync: true}, actEnd, PhaseIdle, ReasonScaled},
		{"restore, proven: next replica", PhaseRestore, nil, seen{n: 2, children: online(b, x)}, signals{whole: true}, actPlan, PhaseIdle, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := &Journal{
				Volume: "v", N: 2, Phase: tt.phase, PhaseSince: now.Add(-time.Minute), Touched: true,
				Ask: Ask{Targets: []string{"nvme-x"}}, Victim: ReplicaRef{UUID: a, Pool: "sata-a"}, Before: []string{a, b, c},
			}
			if tt.journal != nil {
				tt.journal(j)
			}
			v := view{gone: tt.seen.gone}
			v.vol.Spec.Status, v.vol.Spec.NumReplicas = StatusCreated, tt.seen.n
			if tt.seen.op {
				v.vol.Spec.Operation = &Operation{Operation: "Resize"}
			}
			if !tt.seen.untarget {
				v.vol.State.Target = &Nexus{State: StatusOnline}
			}
			v.vol.State.Replicas = map[string]ReplicaTopology{}
			for id, s := range tt.seen.children {
				pool := "sata-" + id
				if id == x {
					pool = "nvme-x"
				}
				v.vol.State.Replicas[id] = ReplicaTopology{Pool: pool, Node: "node-" + id, State: StatusOnline, ChildStatus: s}
				if v.vol.State.Target != nil {
					v.vol.State.Target.Children = append(v.vol.State.Target.Children, Child{URI: fmt.Sprintf("nvmf://h/n?uuid=%s", id), State: s})
				}
			}
			tt.signals.now = now
			got, why := j.next(v, tt.signals)
			if got != tt.want || j.Phase != tt.phaseTo {
				t.Errorf("act %d in phase %s (%s), want %d in %s", got, j.Phase, why, tt.want, tt.phaseTo)
			}
			var ending Reason
			if j.Ending != nil {
				ending = j.Ending.Reason
			}
			if ending != tt.ending {
				t.Errorf("ending %q, want %q", ending, tt.ending)
			}
			if why == "" {
				t.Error("nothing says why")
			}
		})
	}
}

func TestASurplusThatStaysIsToldBesideWhatElseEndedTheMove(t *testing.T) {
	v := Volume{State: VolumeState{Replicas: map[string]ReplicaTopology{"a": {}, "b": {}, "x": {}}}}
	v.Spec.Status, v.Spec.NumReplicas = StatusCreated, 2
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		before *Ending
		reason Reason
		state  State
		says   string
	}{
		{nil, ReasonExtraReplica, Failed, "the volume has more replicas than it wants"},
		{&Ending{State: Aborted, Reason: ReasonStopped, Sentence: "told to stop"}, ReasonStopped, Aborted, "told to stop; the volume has more replicas than it wants"},
		{&Ending{State: Moved}, ReasonExtraReplica, Failed, "the volume has more replicas than it wants"},
	} {
		j := &Journal{Volume: "v", N: 2, Phase: PhaseUndo, PhaseSince: now.Add(-trimGrace), Touched: true, Ending: tt.before}
		if do, why := j.next(view{vol: v}, signals{now: now}); do != actEnd || j.Ending.Reason != tt.reason || j.Ending.State != tt.state || !strings.HasPrefix(j.Ending.Sentence, tt.says) {
			t.Errorf("act %d (%s), ending %+v, want the end, %s (%s) with %q", do, why, j.Ending, tt.state, tt.reason, tt.says)
		}
	}
}
