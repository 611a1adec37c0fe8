package hooks

import (
	"fmt"
	"slices"
	"sync"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// routes keeps what was asked of one reading of Mayastor, as volumes that wait
// for their turn ask the same at each sync, and the search is dear. A route is
// never changed.
type routes struct {
	mu    sync.Mutex
	known map[question]tiering.Route
}

// question is what a route depends on besides the reading: the place of the
// volume, and the text of the [mayastor.Ask].
type question struct {
	volume int
	ask    string
}

// maxRoutes bounds the memory.
const maxRoutes = 10_000

// of returns the answer to a question, found by search if need be.
func (r *routes) of(q question, search func() tiering.Route) tiering.Route {
	r.mu.Lock()
	route, ok := r.known[q]
	r.mu.Unlock()
	if ok {
		return route
	}
	route = search()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[question]tiering.Route)
	}
	if len(r.known) < maxRoutes {
		r.known[q] = route
	}
	return route
}

// route returns the gate route of a policy: mayastor.Route on the whole move. It
// is asked by one goroutine.
func (f *facts) route(rules *tiering.Rules) func(*tiering.Volume, tiering.Tier, []string) tiering.Route {
	var pools []string
	var ask mayastor.Ask
	var asked string
	return func(v *tiering.Volume, _ tiering.Tier, to []string) tiering.Route {
		i, ok := f.find(v.UUID)
		if !ok {
			return tiering.Route{
				Reason:   "NotListed",
				Refusals: []string{"Mayastor does not list the volume; look whether it still exists"},
			}
		}
		if asked == "" || !slices.Equal(to, pools) {
			pools, ask = to, askOf(rules, to)
			asked = fmt.Sprintf("%+v", ask)
		}
		return f.routes.of(question{i, asked}, func() tiering.Route { return f.search(i, &ask) })
	}
}

// search asks for the whole move of the volume at that place.
func (f *facts) search(volume int, ask *mayastor.Ask) tiering.Route {
	steps, refusals := f.cluster.Route(f.inventory.Volumes[volume].Volume(), *ask, f.inventory.Capability)
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
