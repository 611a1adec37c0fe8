package mayastor

import (
	"encoding/json"
	"unique"
)

// sharing keeps one copy of what thousands of volumes have alike: names of nodes
// and pools, statuses, labels and topologies. That is a third of the memory of
// a large cluster's volumes. What was read is never changed, so it can be
// shared.
type sharing struct {
	labels     map[string]map[string]string
	topologies map[string]*Topology
}

func newSharing() *sharing {
	return &sharing{labels: map[string]map[string]string{}, topologies: map[string]*Topology{}}
}

func shareText[T ~string](t *T) { *t = T(unique.Make(string(*t)).Value()) }

// volume replaces what is alike in v.
func (s *sharing) volume(v *Volume) {
	shareText(&v.Spec.Status)
	v.Spec.Labels = shareValue(s.labels, v.Spec.Labels)
	v.Spec.Topology = shareValue(s.topologies, v.Spec.Topology)
	if t := v.Spec.Target; t != nil {
		shareText(&t.Node)
		shareText(&t.Protocol)
	}
	shareText(&v.State.Status)
	if t := v.State.Target; t != nil {
		shareText(&t.Node)
		shareText(&t.State)
		shareText(&t.Protocol)
		for i := range t.Children {
			shareText(&t.Children[i].State)
			shareText(&t.Children[i].StateReason)
		}
	}
	for id, r := range v.State.Replicas {
		shareText(&r.Node)
		shareText(&r.Pool)
		shareText(&r.State)
		shareText(&r.ChildStatus)
		shareText(&r.ChildStatusReason)
		v.State.Replicas[id] = r
	}
}

// shareValue returns the first value seen with the same JSON, in which keys are
// sorted. One that cannot be encoded is left alone.
func shareValue[V any](seen map[string]V, v V) V {
	key, err := json.Marshal(v)
	if err != nil {
		return v
	}
	if first, ok := seen[string(key)]; ok {
		return first
	}
	seen[string(key)] = v
	return v
}
