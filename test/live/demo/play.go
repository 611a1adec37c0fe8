package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

// play sets the stage, plays the acts and judges them.
func play(ctx context.Context, f flags, dir string, v *voice, stderr io.Writer) (_ *report, err error) {
	s := &stage{
		began: time.Now(), voice: v, told: map[string]string{},
		dir: dir, binary: f.binary, requests: &requests{dir: filepath.Join(dir, "requests")},
	}
	defer func() {
		// Ctrl-C ends the processes, too, and that is how a play that lingers ends.
		if ended := s.TearDown(); !s.lingered {
			err = errors.Join(err, ended)
		}
	}()
	v.line("%s", v.paint(bold, "CoucheStor: a demonstration"))
	for _, line := range wrap(introduction, width-2) {
		v.line("  %s", line)
	}
	if err := s.setUp(ctx, f, dir, stderr); err != nil {
		return nil, err
	}
	v.line("")
	v.line("  %-11s %s", "Mayastor", fmt.Sprintf("simulated, %d nodes with an NVMe (hot), an SSD (warm) and a SATA (cold) pool each", nodes))
	v.line("  %-11s %s, scrapes every %s", "Prometheus", s.prometheus.URL(), scrapeInterval)
	v.line("  %-11s %s, hooks on %s", "service", f.binary, s.service.Hooks)
	v.line("  %-11s %d in all, %s", "volumes", len(s.volumes), "watched by the policies databases, caches and logs")
	v.line("  %-11s window 15s, cooldown 12s, at most %d moves at once", "times", atOnce)

	for _, act := range []func(context.Context) error{s.blindStart, s.upAndDown, s.coolDown, s.askWhy, s.goDark, s.curtain} {
		if err := act(ctx); err != nil {
			return nil, err
		}
	}
	r := s.judge()
	if f.linger {
		return r, s.linger(ctx)
	}
	return r, nil
}

const introduction = `A StoragePolicy says how busy a volume must be for which tier. Prometheus says how busy each volume is.
CoucheStor decides, and moves the volumes that are on the wrong tier: each move is a process of its own that adds a
replica on a pool of the right tier, proves that it is in sync, and only then gives an old one up. In the tables below
a volume shows up when something about it changed.`

// round is the least time between two tables, and silence the longest without
// one.
const (
	round   = 2 * time.Second
	silence = 6 * time.Second
)

// table has TIME, VOLUME, CLAIM, IOPS, TIER and DECISION, and then WHY.
func table() columns { return columns{6, 12, 22, 6, 5, 9} }

// tableHead begins the tables of an act.
func (s *stage) tableHead() {
	head := func(text string) cell { return cell{text, faint} }
	s.voice.row(table(), head("TIME"), head("VOLUME"), head("CLAIM"), head("IOPS"), head("TIER"), head("DECISION"), head("WHY"))
}

// until looks again and again, and shows what is new about once in two seconds,
// until the condition holds. What does not come about in time is no error here:
// the judgement at the end finds it.
func (s *stage) until(ctx context.Context, patience time.Duration, condition func(*sight) bool) error {
	deadline := time.Now().Add(patience)
	for {
		if err := s.kubelet.err(); err != nil {
			return err
		}
		seen, err := s.look(ctx)
		if err != nil {
			return err
		}
		s.last = seen
		s.evidence.note(seen)
		if condition(seen) || time.Now().After(deadline) {
			return nil
		}
		if time.Since(s.shown) >= round {
			s.show(seen)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// show prints one table: the rows that changed and a summary. Without a change
// it keeps quiet for a while.
func (s *stage) show(seen *sight) {
	if seen.watched() == 0 {
		return // the first answer is still to come
	}
	rows := seen.news(s.told, s.volumes)
	if len(rows) == 0 && time.Since(s.shown) < silence {
		return
	}
	s.shown = time.Now()
	at := fmt.Sprintf("%5.1fs", seen.at.Sub(s.began).Seconds())
	for i, r := range rows {
		when := ""
		if i == 0 {
			when = at
		}
		s.voice.row(table(), cell{when, faint}, cell{r.volume.pv()[:12], plain}, cell{r.volume.claim, plain},
			cell{fmt.Sprintf("%6s", r.iops), plain}, cell{r.tier, tierColor(r.tier)}, cell{r.decision, decisionColor(r.decision)}, cell{r.why, plain})
	}
	metrics := "Prometheus answers"
	if why := seen.allBlind(); why != "" {
		metrics = "no metrics"
		if s.blind != why {
			metrics += ": " + why
		}
		s.blind = why
	}
	summary := fmt.Sprintf("%d volumes: %s; %d unknown; %d moving, %d moves ended; %s",
		len(seen.rows), seen.tiers(), seen.unknown(), seen.moving(), seen.ended(), metrics)
	s.voice.row(columns{6}, cell{at, faint}, cell{summary, faint})
}

func tierColor(tier string) string {
	return map[string]string{"hot": bad, "warm": warned, "cold": doing}[tier]
}

func decisionColor(decision string) string {
	return map[string]string{decisionMoved: good, decisionMoving: doing, decisionHeld: warned, decisionEnded: bad}[decision]
}
