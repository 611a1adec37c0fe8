package mayastor

import (
	"fmt"
	"slices"
)

// Caps bound what may move at once among all who share the ledger. Zero means
// no bound.
type Caps struct {
	Moves int
	// Bytes bounds the sizes of all replicas that have to move.
	Bytes int64
	// PerPool and PerNode bound the moves that may land on one pool, or take a
	// replica from one node.
	PerPool int
	PerNode int
}

// Within returns the narrower of both for each bound.
func (c Caps) Within(d Caps) Caps {
	return Caps{
		Moves: narrower(c.Moves, d.Moves), Bytes: narrower(c.Bytes, d.Bytes),
		PerPool: narrower(c.PerPool, d.PerPool), PerNode: narrower(c.PerNode, d.PerNode),
	}
}

func narrower[N int | int64](a, b N) N {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// Cap names one of the [Caps].
type Cap string

// The caps; CapLimits stands for all of them while they cannot be read.
const (
	CapMoves   Cap = "moves"
	CapBytes   Cap = "bytes"
	CapPerPool Cap = "pool"
	CapPerNode Cap = "node"
	CapLimits  Cap = "limits"
)

// FullError is an [ErrNotAdmitted] that says which cap is reached.
type FullError struct {
	Cap      Cap
	Sentence string
}

func (e *FullError) Error() string { return ErrNotAdmitted.Error() + ": " + e.Sentence }

// Unwrap makes it an ErrNotAdmitted.
func (e *FullError) Unwrap() error { return ErrNotAdmitted }

// Fits decides whether the move fits beside those that run, and returns nil or
// a [FullError]. A move that is entered already with no less keeps its place,
// however the caps were lowered since.
func (a Admission) Fits(running []Admission) error {
	others := slices.Clone(running)
	for i, r := range running {
		if r.Volume == a.Volume && r.covers(a) {
			return nil
		}
		if r.Volume == a.Volume {
			others = slices.Delete(others, i, i+1)
			break
		}
	}
	if full := a.reached(others); full != nil {
		return full
	}
	return nil
}

// covers reports whether the entry loads all that b would.
func (a Admission) covers(b Admission) bool {
	within := func(all, some []string) bool {
		return !slices.ContainsFunc(some, func(x string) bool { return !slices.Contains(all, x) })
	}
	return a.Bytes >= b.Bytes && within(a.FromNodes, b.FromNodes) && within(a.ToPools, b.ToPools)
}

// reached names the cap that keeps the move out of those that run, or returns
// nil.
func (a Admission) reached(running []Admission) *FullError {
	c := a.Caps
	full := func(which Cap, format string, args ...any) *FullError {
		return &FullError{Cap: which, Sentence: fmt.Sprintf(format, args...)}
	}
	if c.Moves > 0 && len(running) >= c.Moves {
		return full(CapMoves, "%d moves run and the cap is %d", len(running), c.Moves)
	}
	var bytes int64
	perPool, perNode := map[string]int{}, map[string]int{}
	for _, r := range running {
		bytes += r.Bytes
		// A move of two replicas on one node is one move of that node.
		for _, p := range distinct(r.ToPools) {
			perPool[p]++
		}
		for _, n := range distinct(r.FromNodes) {
			perNode[n]++
		}
	}
	// A single move larger than the cap would never run; it may run alone.
	if c.Bytes > 0 && len(running) > 0 && bytes+a.Bytes > c.Bytes {
		return full(CapBytes, "%d bytes are in flight, this move has %d and the cap is %d", bytes, a.Bytes, c.Bytes)
	}
	for _, p := range a.ToPools {
		if c.PerPool > 0 && perPool[p] >= c.PerPool {
			return full(CapPerPool, "%d moves may land on pool %s and the cap is %d", perPool[p], p, c.PerPool)
		}
	}
	for _, n := range a.FromNodes {
		if c.PerNode > 0 && perNode[n] >= c.PerNode {
			return full(CapPerNode, "%d moves leave node %s and the cap is %d", perNode[n], n, c.PerNode)
		}
	}
	return nil
}

func distinct(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
