package mayastor

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Healthy returns every reason why the volume is not at rest and wholly in sync
// (MS 5.4.1, without what concerns pools, nodes and the move as asked for). It
// holds for N replicas and for N+1 alike, as it compares num_replicas with what
// is there. None means: published with a live target, nothing in flight,
// nothing being rebuilt, and every replica wanted is there and in sync.
func Healthy(v Volume) []Refusal {
	var no refusals
	s := v.Spec
	if s.Status != StatusCreated {
		no.add(ReasonVolumeNotCreated, "the volume's status is %s, not Created; wait until it is created, or leave it if it is being deleted", known(s.Status))
	}
	if s.Operation != nil {
		no.add(ReasonOperationInFlight, "operation %s on the volume is in flight or unfinished; wait until it is over", s.Operation.Operation)
	}
	if !s.Policy.SelfHeal {
		no.add(ReasonSelfHealOff, "self-healing is switched off for the volume, so a replica that fails in the move would not be replaced; switch it on")
	}
	no = append(no, published(v)...)
	if v.State.Status != StatusOnline {
		no.add(ReasonVolumeNotOnline, "the volume is %s, not Online; wait until it has healed", known(v.State.Status))
	}
	return append(no, replicasSynced(v)...)
}

// published checks the target (MS 4.7).
func published(v Volume) []Refusal {
	var no refusals
	want, have := v.Spec.Target, v.State.Target
	switch {
	case want == nil && present(v.Spec.ContentSource):
		no.add(ReasonCloneUnpublished, "the volume was restored from a snapshot and is not published; one that never was published could lose its data in a move; start a pod that uses it first")
	case want == nil:
		no.add(ReasonUnpublished, "the volume is not published, so no target exists that could copy its data; start a pod that uses it first")
	case want.Protocol == "":
		no.add(ReasonTemporaryTarget, "the volume's target on node %s is a temporary one of an offline rebuild; wait until it is gone and a pod uses the volume", want.Node)
	case want.Protocol != "nvmf":
		no.add(ReasonTargetProtocol, "the volume is published over %s, and only nvmf is known to move safely", want.Protocol)
	case have == nil:
		no.add(ReasonTargetNotOnline, "the volume is published on node %s but its target is not there; wait until it is back", want.Node)
	case have.Node != want.Node:
		no.add(ReasonTargetMoving, "the volume's target is on node %s and should be on node %s; wait until the switch-over is done", known(Status(have.Node)), want.Node)
	}
	if have == nil {
		return no
	}
	if have.State != StatusOnline {
		no.add(ReasonTargetNotOnline, "the volume's target on node %s is %s, not Online; wait until it has healed", have.Node, known(have.State))
	}
	if have.Rebuilds != 0 {
		no.add(ReasonRebuilding, "%s on the volume's target; wait until done", count(have.Rebuilds, "rebuild runs", "rebuilds run"))
	}
	return no
}

// replicasSynced checks that the wanted number of replicas is there and that
// the volume and its target agree about each.
func replicasSynced(v Volume) []Refusal {
	var no refusals
	children := 0
	if v.State.Target != nil {
		children = len(v.State.Target.Children)
	}
	if n, r := v.Spec.NumReplicas, len(v.State.Replicas); n < 1 || r != n || v.State.Target != nil && children != n {
		no.add(ReasonCountsDisagree, "the volume wants %s, %d exist and its target has %s; wait until they agree, or find out who changes them",
			count(n, "replica", "replicas"), r, count(children, "child", "children"))
	}
	for _, id := range slices.Sorted(maps.Keys(v.State.Replicas)) {
		r := v.State.Replicas[id]
		where := func() string { return fmt.Sprintf("replica %s on pool %s", id, known(Status(r.Pool))) }
		switch {
		case r.Node == "" || r.Pool == "":
			no.add(ReasonReplicaUnplaced, "it is not known where replica %s is; its node may be down", id)
		case r.State != StatusOnline:
			no.add(ReasonReplicaNotOnline, "%s is %s, not Online; wait until it is back or replaced", where(), known(r.State))
		case v.State.Target == nil:
		case r.RebuildProgress != nil:
			no.add(ReasonRebuilding, "%s is being rebuilt (%d%%); wait until it is in sync", where(), *r.RebuildProgress)
		case !Synced(v, id):
			no.add(ReasonReplicaNotSynced, "%s is not known to be in sync (child %s); wait until its target says so", where(), known(r.ChildStatus))
		}
	}
	return no
}

// Synced says whether a replica is known to hold all the data: it is Online as
// a device, Online and not being rebuilt as a child, and the live target says
// the same of exactly one child. Of an unpublished volume nothing is known, so
// it is false. Reads may be as old as the server's cache period (MS 1.5).
func Synced(v Volume, replica string) bool {
	r, ok := v.State.Replicas[replica]
	if !ok || r.State != StatusOnline || r.ChildStatus != StatusOnline || r.RebuildProgress != nil {
		return false
	}
	t := v.State.Target
	if t == nil || t.State != StatusOnline && t.State != StatusDegraded {
		return false
	}
	found := 0
	for _, c := range t.Children {
		if c.replica() == replica {
			found++
			if c.State != StatusOnline || c.RebuildProgress != nil {
				return false
			}
		}
	}
	return found == 1
}

// replica is the uuid of the replica behind a child, or "" (MS 2.3).
func (c Child) replica() string {
	_, query, _ := strings.Cut(c.URI, "?")
	// As it is in practice, and the same as below.
	if id, ok := strings.CutPrefix(query, "uuid="); ok && !strings.ContainsAny(id, "&;%+") {
		return id
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return values.Get("uuid")
}

// present says whether an optional part of the JSON was there.
func present(raw []byte) bool { return len(raw) > 0 && string(raw) != "null" }

// known is s for a sentence.
func known(s Status) Status {
	if s == "" {
		return "unknown"
	}
	return s
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// refusals are collected in the order of their checks.
type refusals []Refusal

func (r *refusals) add(why Reason, format string, args ...any) {
	*r = append(*r, Refusal{why, fmt.Sprintf(format, args...)})
}
