package simulator

import "fmt"

// FailAttaches makes the next n attachments of a child to a volume's nexus
// fail: a +1 then leaves an extra replica behind (MS 4.2).
func (s *Simulator) FailAttaches(id string, n int) error {
	return s.withVolume(id, func(v *volume) error { v.failAttach = n; return nil })
}

// StallRebuild stops a volume's rebuilds where they are, also those to come,
// until ResumeRebuild.
func (s *Simulator) StallRebuild(id string) error { return s.stall(id, true) }

// ResumeRebuild lets stalled rebuilds go on.
func (s *Simulator) ResumeRebuild(id string) error { return s.stall(id, false) }

func (s *Simulator) stall(id string, stalled bool) error {
	return s.withVolume(id, func(v *volume) error {
		v.stalled = stalled
		s.eachRebuild(v, func(j *rebuild) {
			j.done, j.since, j.running = s.copied(j), s.clock, !stalled
			s.plan(v, j)
		})
		s.changed(v, "rebuild stalled or resumed")
		return nil
	})
}

// FailRebuildAt makes the running or next rebuild of a volume fail once it
// copied so many percent.
func (s *Simulator) FailRebuildAt(id string, percent float64) error {
	return s.withVolume(id, func(v *volume) error {
		v.failRebuild = percent
		s.eachRebuild(v, func(j *rebuild) { s.plan(v, j) })
		return nil
	})
}

// RestartRebuild starts a volume's rebuilds over.
func (s *Simulator) RestartRebuild(id string) error {
	return s.withVolume(id, func(v *volume) error {
		if v.rebuilds() == 0 {
			return fmt.Errorf("volume %s has no rebuild", id)
		}
		s.accrue(v)
		s.restartRebuilds(v)
		s.changed(v, "rebuild restarted")
		return nil
	})
}

func (s *Simulator) eachRebuild(v *volume, f func(*rebuild)) {
	if v.nexus == nil {
		return
	}
	s.accrue(v)
	for _, c := range v.nexus.children {
		if c.job != nil {
			f(c.job)
		}
	}
}
