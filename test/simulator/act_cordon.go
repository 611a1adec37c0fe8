package simulator

import (
	"fmt"
	"slices"
)

// ForeignPoolCordon sets and unsets flags of a pool's cordon for somebody else.
func (s *Simulator) ForeignPoolCordon(id string, set, unset PoolCordon) error {
	return s.withPool(id, func(p *pool) error {
		p.cordon = p.cordon.andNot(unset).or(set)
		s.changed(nil, "pool "+id+": foreign cordon")
		return nil
	})
}

// ForeignNodeCordon sets a cordon label of somebody else on a node.
func (s *Simulator) ForeignNodeCordon(id, label string) error {
	return s.withNode(id, func(n *node) error {
		if slices.Contains(n.cordons, label) {
			return fmt.Errorf("node %s has label %q already", id, label)
		}
		n.cordons = append(n.cordons, label)
		s.changed(nil, "node "+id+": foreign cordon")
		return nil
	})
}

// ForeignNodeUncordon removes a cordon label, whoever set it.
func (s *Simulator) ForeignNodeUncordon(id, label string) error {
	return s.withNode(id, func(n *node) error {
		if !slices.Contains(n.cordons, label) {
			return fmt.Errorf("node %s has no label %q", id, label)
		}
		n.cordons = without(n.cordons, label)
		s.changed(nil, "node "+id+": foreign uncordon")
		return nil
	})
}
