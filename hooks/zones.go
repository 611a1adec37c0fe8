package hooks

import (
	"fmt"
	"sync"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// zones looks time zones up and keeps those that exist, of which there are a few
// hundred. It may be used at once.
type zones struct {
	mu    sync.Mutex
	known map[string]*time.Location
}

func (z *zones) load(name string) (*time.Location, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if zone, ok := z.known[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	if z.known == nil {
		z.known = make(map[string]*time.Location)
	}
	z.known[name] = zone
	return zone, nil
}

// resolve looks up the zones of a policy's maintenance windows. What a schema
// cannot know is a fault here: a name that is none.
func (z *zones) resolve(r *tiering.Rules) []error {
	unknown := tiering.ResolveZones(r.Windows, z.load)
	faults := make([]error, 0, len(unknown))
	for _, name := range unknown {
		faults = append(faults, tiering.Fault{
			Field:   "spec.maintenanceWindows",
			Problem: fmt.Sprintf("names the time zone %q, which is not known; write a name of the IANA database, such as Europe/Berlin", clip(name)),
		})
	}
	return faults
}
