package simulator

import "time"

// rebuild is a running rebuild of one child.
type rebuild struct {
	child   *child
	source  *replica
	target  int64   // bytes to copy
	done    float64 // bytes copied at since
	since   time.Time
	started time.Time
	running bool // false: stalled
	gen     int  // tells a planned end from one that was planned again
	counted float64
}

const (
	blockSize      = 512
	partialPercent = 5 // of a replica a partial rebuild copies
)

// copied is the number of bytes copied by now.
func (s *Simulator) copied(j *rebuild) float64 {
	done := j.done
	if j.running {
		done += s.clock.Sub(j.since).Seconds() * float64(s.cfg.RebuildRate)
	}
	return min(done, float64(j.target))
}

// fraction is how far j is, 0 to 1.
func (s *Simulator) fraction(j *rebuild) float64 { return s.copied(j) / float64(j.target) }

func (v *volume) rebuilds() int {
	n := 0
	if v.nexus != nil {
		for _, c := range v.nexus.children {
			if c.job != nil {
				n++
			}
		}
	}
	return n
}

// source is the replica a rebuild reads: a healthy child, the local one if it can.
func (v *volume) sourceReplica() *replica {
	var src *replica
	for _, c := range v.nexus.children {
		if c.state == "Online" && (src == nil || v.local(c.replica)) {
			src = c.replica
		}
	}
	return src
}

// view is what a full copy of v takes: its data and what only its snapshots
// hold, at most its size.
func (v *volume) view() int64 {
	if !v.thin {
		return v.size
	}
	need := v.allocated
	var snaps int64
	for _, r := range v.own {
		snaps = max(snaps, r.snapshotBytes(v))
	}
	return min(need+snaps, v.size)
}

// startRebuild begins to rebuild c from nothing, or what it missed.
func (s *Simulator) startRebuild(v *volume, c *child) {
	src := v.sourceReplica()
	if src == nil {
		s.fault(v, c, "")
		return
	}
	target := v.view()
	if c.partial {
		target = target * partialPercent / 100
	}
	c.state, c.reason = "Degraded", ""
	c.job = &rebuild{child: c, source: src, target: max(target, 1), since: s.clock, started: s.clock, running: !v.stalled}
	s.plan(v, c.job)
}

// restartRebuilds starts all rebuilds of v's nexus over, as adding or removing a
// child does.
func (s *Simulator) restartRebuilds(v *volume) {
	if v.nexus == nil {
		return
	}
	for _, c := range v.nexus.children {
		if c.job == nil {
			continue
		}
		s.record(v, c.job, "Stopped")
		c.job.done, c.job.counted, c.job.since, c.job.started = 0, 0, s.clock, s.clock
		s.plan(v, c.job)
	}
}

// plan schedules the end of j: done, failed where it was told to, or where its
// pool is full.
func (s *Simulator) plan(v *volume, j *rebuild) {
	j.gen++
	if !j.running {
		return
	}
	gen, end, state, reason := j.gen, float64(j.target), "Completed", ""
	if free := s.roomFor(j); free < end {
		end, state, reason = max(free, 0), "Failed", "OutOfSpace"
	}
	if at := v.failRebuild / 100 * float64(j.target); v.failRebuild > 0 && at < end {
		end, state, reason = at, "Failed", ""
	}
	left := max(0, end-s.copied(j)) / float64(s.cfg.RebuildRate)
	s.after(time.Duration(left*float64(time.Second)), func() {
		c := j.child
		if j.gen != gen || c.job != j {
			return
		}
		if state == "Completed" {
			s.complete(v, c)
			return
		}
		if reason == "" {
			v.failRebuild = 0
		}
		s.endRebuild(v, c, state)
		c.partial = false
		s.fault(v, c, reason)
		s.changed(v, "rebuild failed")
	})
}

// roomFor is how many bytes of j its pool can take, beside what other rebuilds
// there still will.
func (s *Simulator) roomFor(j *rebuild) float64 {
	r := j.child.replica
	if !r.thin {
		return float64(j.target)
	}
	free := float64(r.pool.capacity - s.used(r.pool))
	for _, other := range r.pool.own {
		if other.volume == nil || other == r {
			continue
		}
		if c := other.volume.child(other); c != nil && c.job != nil {
			free -= float64(c.job.target) - s.copied(c.job)
		}
	}
	return free + float64(s.allocatedOf(r))
}

// complete makes c a healthy child.
func (s *Simulator) complete(v *volume, c *child) {
	s.accrue(v)
	c.job.done, c.job.running = float64(c.job.target), false
	s.record(v, c.job, "Completed")
	c.job, c.state, c.reason, c.since, c.partial = nil, "Online", "", s.clock, false
	r := c.replica
	r.blank, r.version, r.written = false, v.version, v.view()
	v.info[r.uuid] = true
	s.changed(v, "rebuild of "+r.uuid+" completed")
}

// endRebuild stops c's rebuild and writes it into the history.
func (s *Simulator) endRebuild(v *volume, c *child, state string) {
	s.accrue(v)
	j := c.job
	c.replica.written = s.allocatedOf(c.replica)
	j.done, j.running = s.copied(j), false
	s.record(v, j, state)
	c.job = nil
}

func (s *Simulator) record(v *volume, j *rebuild, state string) {
	total, recovered := ceil(j.target, blockSize), int64(s.copied(j))/blockSize
	if state == "Completed" {
		recovered = total
	}
	v.nexus.history = append(v.nexus.history, rebuildRecord{
		ChildURI: j.child.replica.uri(v.local(j.child.replica)), SrcURI: j.source.uri(v.local(j.source)), RebuildJobState: state,
		BlocksTotal: total, BlocksRecovered: recovered, BlocksTransferred: recovered, BlocksRemaining: total - recovered, BlockSize: blockSize,
		IsPartial: j.child.partial, StartTime: stamp(j.started), EndTime: stamp(s.clock),
	})
}

// fault marks c as faulted and asks the reconciler to look soon. The last
// healthy child stays healthy in the persisted info: it has all the data.
func (s *Simulator) fault(v *volume, c *child, reason string) {
	if c.state == "Faulted" {
		return
	}
	s.accrue(v)
	last := c.state == "Online" && v.onlineChildren() == 1
	if c.job != nil {
		s.endRebuild(v, c, "Failed")
	} else {
		c.partial = c.state == "Online"
	}
	c.state, c.reason, c.since = "Faulted", reason, s.clock
	if v.info != nil && !last {
		v.info[c.replica.uuid] = false
	}
	if last {
		// Without a source no rebuild goes on.
		for _, other := range v.nexus.children {
			if other.job != nil {
				s.endRebuild(v, other, "Failed")
				other.state, other.since, other.partial = "Faulted", s.clock, false
			}
		}
	}
	s.observe(v)
	s.nudgeHeal()
}
