package hooks

import (
	"slices"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// route returns the gate route of a policy: mayastor.Route on the whole move.
func (f *facts) route(rules *tiering.Rules) func(*tiering.Volume, tiering.Tier, []string) tiering.Route {
	return func(v *tiering.Volume, _ tiering.Tier, pools []string) tiering.Route {
		i, ok := f.index[v.UUID]
		if !ok {
			return tiering.Route{
				Reason:   "NotListed",
				Refusals: []string{"Mayastor does not list the volume; look whether it still exists"},
			}
		}
		steps, refusals := mayastor.Route(f.inventory.Volumes[i], f.inventory.Pools, f.inventory.Nodes, askOf(rules, pools), f.inventory.Capability)
		var r tiering.Route
		for _, refusal := range refusals {
			r.Refusals = append(r.Refusals, refusal.Sentence)
		}
		if len(refusals) > 0 {
			r.Reason = string(refusals[0].Reason)
			return r
		}
		r.Replicas = len(steps)
		for i := range steps {
			r.Landing = append(r.Landing, steps[i].Landing...)
		}
		slices.Sort(r.Landing)
		r.Landing = slices.Compact(r.Landing)
		return r
	}
}
