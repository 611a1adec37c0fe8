package simulator

import (
	"errors"
	"fmt"
	"strconv"
)

// failure is an operation's error with upstream's kind.
type failure struct{ kind, details string }

func (f *failure) Error() string { return f.kind + ": " + f.details }

func fail(kind, format string, args ...any) error {
	return &failure{kind, fmt.Sprintf(format, args...)}
}

// answerOf turns an operation's error into an answer.
func answerOf(err error) *answer {
	if f, is := errors.AsType[*failure](err); is {
		return refuse(f.kind, f.details)
	}
	return refuse("Internal", err.Error())
}

// putReplicaCount is MS 4.
func putReplicaCount(s *Simulator, req *Request) *answer {
	v, bad := s.volumeOf(req)
	if bad != nil {
		return bad
	}
	n, err := strconv.ParseUint(req.params["replica_count"], 10, 8)
	if err != nil {
		return refuse("Deserialize", "replica_count: "+err.Error())
	}
	if bad := s.guard(v); bad != nil {
		return bad
	}
	if err := s.checkScale(v, int(n)); err != nil {
		return answerOf(err)
	}
	op := &operation{kind: "SetReplica", grows: int(n) > v.want}
	finish := func() {
		if v.op == op {
			v.op = nil
		}
		if _, there := s.volumes.get(v.uuid); !there {
			op.answer = refuse("NotFound", "Volume '"+v.uuid+"' not found")
			return
		}
		if err := s.scale(v, int(n)); err != nil {
			op.answer = answerOf(err)
			s.changed(v, "SetReplica failed: "+err.Error())
			return
		}
		op.answer = ok(s.volumeOut(v))
	}
	if s.cfg.Latency <= 0 || !s.sleeps {
		finish()
		return op.answer
	}
	v.op = op
	op.until = s.clock.Add(s.cfg.Latency)
	s.schedule(op.until, func() {
		if !op.cancel {
			s.as(caller, finish)
		}
	})
	s.changed(v, "SetReplica begun")
	return &answer{op: op}
}

// guard is the first two checks of MS 4.1.
func (s *Simulator) guard(v *volume) *answer {
	if v.op != nil && v.op.dirty {
		return refuse("FailedPersist", "volume '"+v.uuid+"' has an unfinished operation in the store")
	}
	busy := v.op != nil
	if v.group != "" {
		for _, other := range s.volumes.values {
			busy = busy || other.group == v.group && other.op != nil && !other.op.dirty
		}
	}
	if busy {
		a := refuse("Conflict", "volume '"+v.uuid+"' has another operation in progress")
		a.busy = true
		return a
	}
	return nil
}

// checkScale is the rest of MS 4.1, in its order.
func (s *Simulator) checkScale(v *volume, n int) error {
	up := n > v.want
	switch {
	case v.status != "Created":
		return fail("FailedPrecondition", "volume is %s", v.status)
	case v.target != nil && !s.nexusSeen(v).present:
		return fail("Unavailable", "the nexus of the volume is not ready")
	case n == v.want:
		return fail("FailedPrecondition", "the volume already has %d replicas", n)
	case n < 1:
		return fail("FailedPrecondition", "a volume needs at least one replica")
	case n-v.want > 1 || v.want-n > 1:
		return fail("FailedPrecondition", "the replica count can change by one at a time only")
	case up && s.statusOf(v) != "Online":
		return fail("FailedPrecondition", "the volume is %s: cannot increase its replica count", s.statusOf(v))
	case v.group != "" && n < 2:
		return fail("FailedPrecondition", "a volume of an affinity group cannot go below 2 replicas")
	case v.draining && up:
		return fail("FailedPrecondition", "a pool drain holds a spare replica of the volume")
	case v.draining && s.nexusSeen(v).rebuilds > 0:
		return fail("FailedPrecondition", "the spare replica of a pool drain is still rebuilding")
	}
	if up && len(v.snapshots) > 0 {
		for _, r := range v.own {
			if olderThan(r.pool.node.version, 2, 7) {
				return fail("FailedPrecondition", "node %s runs an io-engine too old to rebuild a volume with snapshots", r.pool.node.id)
			}
		}
	}
	return nil
}

// olderThan compares a version's first two numbers.
func olderThan(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return true
	}
	return a < major || a == major && b < minor
}

// scale carries out a checked change by one, for whoever acts.
func (s *Simulator) scale(v *volume, n int) error {
	if n > v.want {
		if err := s.grow(v); err != nil {
			return err
		}
	} else if err := s.shrink(v); err != nil {
		return err
	}
	v.scaledBy = s.actor
	// What a -1 asked for and did not remove, self-heal removes on its behalf;
	// any other surplus is the control plane's own.
	v.owes = s.actor == caller && n < v.want && len(v.own) > n
	v.truth.strayed = 0
	switch {
	case s.actor != caller:
		v.truth.wanted = n
	case n > v.want:
		v.ups++
	default:
		v.downs++
	}
	v.want = n
	s.observeWithPools(v)
	s.changed(v, fmt.Sprintf("scaled to %d", n))
	return nil
}

// grow creates one replica and attaches it (MS 4.2). When attaching fails, the
// replica stays.
func (s *Simulator) grow(v *volume) error {
	r, err := s.create(v)
	if err != nil {
		return err
	}
	if v.target != nil {
		if err := s.attach(v, r); err != nil {
			s.observeWithPools(v)
			s.changed(v, "replica created but not attached")
			return err
		}
	}
	return nil
}

// create makes a blank replica on the first candidate that takes it.
func (s *Simulator) create(v *volume) (*replica, error) {
	err := fail("ResourceExhausted", "no suitable pool was found for a replica of volume %s", v.uuid)
	for _, p := range s.candidates(v) {
		need := v.size
		if v.thin {
			need = clusterSize
		}
		switch {
		case p.failCreates > 0:
			p.failCreates--
			err = fail("Internal", "pool %s could not create the replica", p.id)
		case !p.online():
			err = fail("Unavailable", "node %s does not answer", p.node.id)
		case p.capacity-s.used(p) < need:
			err = fail("ResourceExhausted", "pool %s has no space left", p.id)
		default:
			return s.addReplica(v, p), nil
		}
	}
	return nil, err
}

// attach adds r to v's nexus and starts its rebuild; every other rebuild of
// that nexus starts over (MS 4.6).
func (s *Simulator) attach(v *volume, r *replica) error {
	switch {
	case s.rebuildsCapped():
		return fail("ResourceExhausted", "%d rebuilds are running, no more are allowed", s.cfg.MaxRebuilds)
	case v.failAttach > 0:
		v.failAttach--
		return fail("Internal", "the nexus could not open the new child")
	case v.nexus == nil || !v.nexus.node.up:
		return fail("Unavailable", "the nexus is not ready")
	}
	s.accrue(v)
	s.restartRebuilds(v)
	c := &child{replica: r, state: "Degraded", since: s.clock}
	v.nexus.children = append(v.nexus.children, c)
	if v.info != nil {
		v.info[r.uuid] = false
	}
	s.startRebuild(v, c)
	return nil
}

func (s *Simulator) rebuildsCapped() bool {
	if s.cfg.MaxRebuilds <= 0 {
		return false
	}
	running := 0
	for _, v := range s.volumes.values {
		running += v.rebuilds()
	}
	return running >= s.cfg.MaxRebuilds
}

// detach takes r out of v's nexus; it is no error when it is not in there. A
// nexus that is gone without the core having seen it yet does not answer.
func (s *Simulator) detach(v *volume, r *replica) error {
	c := v.child(r)
	if c == nil {
		seen := s.nexusSeen(v)
		if _, isChild := seen.childSeen(r); isChild && v.nexus == nil {
			return fail("Unavailable", "node %s does not answer", seen.node)
		}
		return nil
	}
	if c.state == "Online" && v.onlineChildren() == 1 {
		return fail("FailedPrecondition", "replica %s is the last healthy child of the nexus", r.uuid)
	}
	if !v.nexus.node.up {
		return fail("Unavailable", "node %s does not answer", v.nexus.node.id)
	}
	s.accrue(v)
	if c.job != nil {
		s.endRebuild(v, c, "Stopped")
	}
	v.nexus.children = without(v.nexus.children, c)
	s.restartRebuilds(v)
	return nil
}

// shrink removes the replica upstream would, if any (MS 4.5).
func (s *Simulator) shrink(v *volume) error {
	if len(v.own) <= 1 {
		return fail("FailedPrecondition", "the last replica cannot be removed")
	}
	r := s.victim(v, v.want-1)
	if r == nil {
		return nil // only the number drops
	}
	if r.pool.node.status != "Online" {
		return fail("Internal", "node %s of the replica is unknown", r.pool.node.id)
	}
	return s.remove(v, r)
}

// remove takes r out of the nexus and destroys it.
func (s *Simulator) remove(v *volume, r *replica) error {
	if err := s.detach(v, r); err != nil {
		return err
	}
	if !r.pool.online() {
		s.changed(v, "child removed but its replica not destroyed")
		return fail("Unavailable", "node %s does not answer", r.pool.node.id)
	}
	s.dropReplica(r)
	if r.pool.node.up && !s.isCold() {
		r.pool.seen = s.observePool(r.pool)
	}
	return nil
}

func (v *volume) onlineChildren() int {
	n := 0
	if v.nexus != nil {
		for _, c := range v.nexus.children {
			if c.state == "Online" {
				n++
			}
		}
	}
	return n
}
