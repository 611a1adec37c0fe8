package hooks

import (
	stdjson "encoding/json"
	"maps"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"

	"github.com/billyronks/couchestor/tiering"
)

// status is the status in a request: what this release knows of it, and the
// rest, which it carries over as it is, so that a later release finds its
// memory again (invariant 2).
type status struct {
	tiering.StoragePolicyStatus
	foreign map[string]stdjson.RawMessage
}

// readStatus reads a policy's status; nil is that of a policy never seen.
func readStatus(p *parent) (status, error) {
	var s status
	if p.Status == nil {
		return s, nil
	}
	// Names are case-exact here, other than in encoding/json.
	if err := json.Unmarshal(p.Status, &s.StoragePolicyStatus); err != nil {
		return s, badRequest("the status of policy %s does not decode (%s), so what was recorded cannot be carried over; nothing was done: compare it with the CRD, and mend or remove the field", clip(p.Name), clip(err.Error()))
	}
	if err := stdjson.Unmarshal(p.Status, &s.foreign); err != nil {
		return s, badRequest("the status of policy %s is no JSON object; nothing was done: look at what sends it", clip(p.Name))
	}
	for _, name := range statusFields() {
		delete(s.foreign, name)
	}
	return s, nil
}

// statusFields are the names of the status fields that this release knows.
func statusFields() []string {
	var names []string
	for field := range reflect.TypeFor[tiering.StoragePolicyStatus]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// encode returns the status of an answer as JSON: next, and what is foreign.
func (s *status) encode(next *tiering.StoragePolicyStatus) (stdjson.RawMessage, error) {
	text, err := stdjson.Marshal(next)
	if err != nil || len(s.foreign) == 0 {
		return text, err
	}
	var all map[string]stdjson.RawMessage
	if err := stdjson.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	maps.Copy(all, s.foreign)
	return stdjson.Marshal(all)
}

// compile reads and compiles a policy's spec. The faults are sentences; with
// any, the policy decides nothing.
func (h *Hooks) compile(p *parent) (tiering.Policy, []error) {
	broken := tiering.Policy{Name: p.Name, UID: p.UID, Generation: p.Generation, Created: p.Created}
	var spec tiering.StoragePolicySpec
	if p.Spec != nil {
		if err := json.Unmarshal(p.Spec, &spec); err != nil {
			return broken, []error{tiering.Fault{Field: "spec", Problem: "does not decode (" + clip(err.Error()) + "); write it as the CRD describes"}}
		}
	}
	policy, faults := tiering.Compile(p.Name, p.Generation, p.Created, spec)
	if len(faults) == 0 {
		faults = append(h.config.Floors.faults(&policy.Rules), h.zones.resolve(&policy.Rules)...)
	}
	if len(faults) > 0 {
		return broken, faults
	}
	policy.UID = p.UID
	return policy, nil
}
