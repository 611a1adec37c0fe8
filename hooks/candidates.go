package hooks

import (
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// candidates returns what judges the pools that a volume could go to, for an
// explanation: mayastor.Targets with the question that route asks. What it
// returns for a volume holds on to that volume, the pools and the nodes of the
// reading, not to all its volumes.
func (f *facts) candidates(rules *tiering.Rules) func(*tiering.Volume, []string) func() []tiering.Candidate {
	return func(v *tiering.Volume, targets []string) func() []tiering.Candidate {
		i, ok := f.find(v.UUID)
		if !ok {
			return nil
		}
		volume, pools, nodes := f.inventory.Volumes[i], f.inventory.Pools, f.inventory.Nodes
		ask := askOf(rules, targets)
		return func() []tiering.Candidate {
			judged := mayastor.Targets(volume.Volume(), pools, nodes, ask)
			all := make([]tiering.Candidate, len(judged))
			for k, c := range judged {
				all[k] = tiering.Candidate{Pool: c.Pool, Node: c.Node, Reject: c.Reject, Reason: string(c.Reason)}
			}
			return all
		}
	}
}

// askOf is the question that a policy asks of a way to some pools.
func askOf(rules *tiering.Rules, targets []string) mayastor.Ask {
	return mayastor.Ask{
		Targets:        targets,
		MoveSnapshots:  rules.VolumesWithSnapshots == tiering.MoveSnapshots,
		AllowReduced:   rules.AllowReducedRedundancy,
		MaxUsedPercent: rules.MaxPoolUsedPercent,
	}
}
