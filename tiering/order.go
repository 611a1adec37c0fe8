package tiering

import "cmp"

// class orders moves: a volume left mixed is finished first, then the busy ones
// get the fast pools, then the idle ones leave them.
type class uint8

const (
	finish class = iota
	promote
	demote
)

func (d *Decision) class() class {
	switch {
	case d.Mixed:
		return finish
	case demotes(d.From, d.To):
		return demote
	}
	return promote
}

// demotes reports whether a move leads to a slower tier; from where replicas
// are on no tier or on several, only the slowest does.
func demotes(from, to Tier) bool { return to == Cold || from != NoTier && to > from }

// wish is a volume's place in the order of moves.
type wish struct {
	class class
	score float64
	// at is the place in Decisions, which are sorted by name.
	at int
}

func (p *Plan) wish(at int) wish {
	d := &p.Decisions[at]
	return wish{d.class(), d.Volume.Sample.iops, at}
}

// inOrder orders wishes by class, then the busiest promotion and the idlest
// demotion first, then by name.
func inOrder(a, b wish) int {
	if c := byTurn(a.class, b.class, a.score, b.score); c != 0 {
		return c
	}
	return a.at - b.at
}

func byTurn(a, b class, scoreA, scoreB float64) int {
	if a != b {
		return int(a) - int(b)
	}
	switch a {
	case promote:
		return cmp.Compare(scoreB, scoreA)
	case demote:
		return cmp.Compare(scoreA, scoreB)
	case finish:
	}
	return 0
}

// queue holds wishes of which the first in order can be taken. Mostly only a few
// are, before the caps hold all others, so they are not sorted.
type queue []wish

// arrange makes a queue of any slice: no wish comes before the one at half its
// place.
func (q queue) arrange() {
	for i := len(q)/2 - 1; i >= 0; i-- {
		q.sink(i)
	}
}

// next takes the first wish in order. The queue must not be empty.
func (q *queue) next() wish {
	all := *q
	first, last := all[0], len(all)-1
	all[0] = all[last]
	*q = all[:last]
	q.sink(0)
	return first
}

// sink moves the wish at a place back until none behind it comes before it.
func (q queue) sink(i int) {
	for {
		first := 2*i + 1
		if first >= len(q) {
			return
		}
		if other := first + 1; other < len(q) && inOrder(q[other], q[first]) < 0 {
			first = other
		}
		if inOrder(q[i], q[first]) < 0 {
			return
		}
		q[i], q[first] = q[first], q[i]
		i = first
	}
}
