package main

import "time"

// evidence is what was seen on the way, for the judgement at the end.
type evidence struct {
	// held has the sentence with which each gate held a volume, by claim and
	// gate.
	held map[string]map[string]string
	// moved is true for claims that were seen to move.
	moved map[string]bool

	killedPID int
	killedAt  float64 // part of the rebuild done
	// turned is when the idle volume that had gone down was made busy.
	turned     time.Time
	turnedDown bool

	// explained and planned are true if the commands said what they had to.
	explained, planned bool

	dark, light time.Time
	blindWhy    string
	stillBlind  bool
}

// note adds what one look shows.
func (e *evidence) note(seen *sight) {
	if e.held == nil {
		e.held, e.moved = map[string]map[string]string{}, map[string]bool{}
	}
	for claim, r := range seen.rows {
		switch r.decision {
		case decisionHeld, decisionUnknown:
			if e.held[claim] == nil {
				e.held[claim] = map[string]string{}
			}
			if r.gate != "" {
				e.held[claim][r.gate] = r.why
			}
		case decisionMoving, decisionMoved:
			e.moved[claim] = true
		}
	}
}
