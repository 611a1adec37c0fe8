package main

import (
	"context"
	"fmt"
	"time"
)

// blindStart: until there is enough history nothing may move.
func (s *stage) blindStart(ctx context.Context) error {
	s.voice.heading("Act 1. Nobody knows anything yet",
		"The window is 15 seconds and at least 80 percent of it must hold samples. Until then every volume is unknown, and what is unknown stays where it is.")
	s.tableHead()
	return s.until(ctx, 25*time.Second, func(seen *sight) bool {
		return seen.watched() > 0 && seen.unknown() < seen.watched()
	})
}

// upAndDown: each volume goes where it belongs, and one migrator is killed.
func (s *stage) upAndDown(ctx context.Context) error {
	s.voice.heading("Act 2. Busy volumes go up, idle ones go down",
		"Above the high watermark a volume belongs on NVMe, below the low one on SATA, between them it stays. One migrator is killed with kill -9 in the middle of its rebuild.")
	s.tableHead()
	wanted := map[string]string{
		busy: "hot", idle: "cold", mixed: "hot", triple: "hot", killed: "hot", warming: "warm", cooling: "cold",
	}
	err := s.until(ctx, 45*time.Second, func(seen *sight) bool {
		s.killOnce()
		s.turnOnce(seen)
		for claim, tier := range wanted {
			if r := seen.rows[claim]; r.tier != tier || r.decision == decisionMoving {
				return false
			}
		}
		return !s.evidence.turned.IsZero()
	})
	s.show(s.last)
	return err
}

// killOnce kills the migrator of one volume when its rebuild is well under way.
func (s *stage) killOnce() {
	if s.evidence.killedPID != 0 {
		return
	}
	v := s.byClaim[killed]
	for _, r := range s.sim.Truth(v.uuid) {
		if r.Rebuilt < 0.2 || r.Rebuilt > 0.9 {
			continue
		}
		if pid, ok := s.kubelet.kill(v.uuid); ok {
			s.evidence.killedPID, s.evidence.killedAt = pid, r.Rebuilt
			s.voice.row(columns{6}, cell{}, cell{fmt.Sprintf("kill -9 %d: the migrator of %s, at %.0f%% of its rebuild", pid, killed, 100*r.Rebuilt), bad})
		}
	}
}

// turnOnce makes a volume busy as soon as it was moved down for being idle.
func (s *stage) turnOnce(seen *sight) {
	if !s.evidence.turned.IsZero() || seen.rows[turning].decision != decisionMoved {
		return
	}
	s.evidence.turned = time.Now()
	s.evidence.turnedDown = seen.rows[turning].tier == "cold"
	s.load(turning, 60000)
	s.voice.row(columns{6}, cell{}, cell{fmt.Sprintf("%s was just moved down, and now gets 60000 IOPS", turning), bold})
}

// coolDown: the volume wants back at once and has to wait.
func (s *stage) coolDown(ctx context.Context) error {
	s.voice.heading("Act 3. No volume goes back and forth",
		fmt.Sprintf("%s was moved down for being idle and turned busy right after. Its policy lets 12 seconds pass between two moves of one volume.", turning))
	s.tableHead()
	err := s.until(ctx, 30*time.Second, func(seen *sight) bool {
		return seen.rows[turning].tier == "hot" && seen.moving() == 0
	})
	s.show(s.last)
	return err
}

// goDark: without metrics nothing moves.
func (s *stage) goDark(ctx context.Context) error {
	s.voice.heading("Act 5. Prometheus goes dark",
		fmt.Sprintf("The service cannot reach Prometheus any more. Meanwhile %s turns busy, which only Prometheus sees.", later))
	s.tableHead()
	e := &s.evidence
	s.prometheus.Dark()
	e.dark = time.Now()
	if err := s.until(ctx, 20*time.Second, func(seen *sight) bool {
		return seen.allBlind() != "" && time.Since(e.dark) > fresh
	}); err != nil {
		return err
	}
	e.blindWhy = s.last.allBlind()
	s.load(later, 60000)
	s.voice.row(columns{6}, cell{}, cell{later + " gets 60000 IOPS now", bold})
	busyAt := time.Now()
	if err := s.until(ctx, 20*time.Second, func(*sight) bool { return time.Since(busyAt) > 8*time.Second }); err != nil {
		return err
	}
	e.stillBlind = s.last.allBlind() != ""
	e.light = time.Now()
	s.prometheus.Light()
	s.voice.row(columns{6}, cell{}, cell{"Prometheus is back", bold})
	err := s.until(ctx, 30*time.Second, func(seen *sight) bool {
		return seen.rows[later].tier == "hot" && seen.moving() == 0
	})
	s.show(s.last)
	return err
}

// curtain lets the last result be recorded.
func (s *stage) curtain(ctx context.Context) error {
	return s.until(ctx, 10*time.Second, func(seen *sight) bool {
		return seen.moving() == 0 && int(seen.ended()) >= len(s.kubelet.ended())
	})
}

func (s *stage) load(claim string, iops float64) {
	l := load(iops)
	s.sim.SetLoad(s.byClaim[claim].uuid, l.ReadIOPS, l.WriteIOPS, l.BytesPerOp)
}
