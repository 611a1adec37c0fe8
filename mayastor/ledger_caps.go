package mayastor

import (
	"fmt"
	"slices"
)

// Fits decides whether the move fits beside those that run, of which an older
// entry of the same volume is not counted. It returns nil, or [ErrNotAdmitted]
// with the cap that is reached.
func (a Admission) Fits(running []Admission) error {
	if why := a.reached(running); why != "" {
		return fmt.Errorf("%w: %s", ErrNotAdmitted, why)
	}
	return nil
}

// reached names the cap that keeps the move out, or "".
func (a Admission) reached(running []Admission) string {
	others := slices.DeleteFunc(slices.Clone(running), func(r Admission) bool { return r.Volume == a.Volume })
	c := a.Caps
	if c.Moves > 0 && len(others) >= c.Moves {
		return fmt.Sprintf("%d moves run and the cap is %d", len(others), c.Moves)
	}
	var bytes int64
	perPool, perNode := map[string]int{}, map[string]int{}
	for _, r := range others {
		bytes += r.Bytes
		for _, p := range r.ToPools {
			perPool[p]++
		}
		for _, n := range r.FromNodes {
			perNode[n]++
		}
	}
	// A single move larger than the cap would never run; it may run alone.
	if c.Bytes > 0 && len(others) > 0 && bytes+a.Bytes > c.Bytes {
		return fmt.Sprintf("%d bytes are in flight, this move has %d and the cap is %d", bytes, a.Bytes, c.Bytes)
	}
	for _, p := range a.ToPools {
		if c.PerPool > 0 && perPool[p] >= c.PerPool {
			return fmt.Sprintf("%d moves may land on pool %s and the cap is %d", perPool[p], p, c.PerPool)
		}
	}
	for _, n := range a.FromNodes {
		if c.PerNode > 0 && perNode[n] >= c.PerNode {
			return fmt.Sprintf("%d moves leave node %s and the cap is %d", perNode[n], n, c.PerNode)
		}
	}
	return ""
}
