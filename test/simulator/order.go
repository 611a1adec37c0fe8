package simulator

import (
	"cmp"
	"fmt"
	"slices"
)

// ordered is upstream's IndexMap: insertion order, where a removal moves the
// last element into the hole (MS 1.4, 4.5). The zero value is empty.
type ordered[V any] struct {
	keys   []string
	values []V
	index  map[string]int
}

func (o *ordered[V]) len() int { return len(o.keys) }

// get returns the value of key, and false with a zero value when there is none.
func (o *ordered[V]) get(key string) (V, bool) {
	i, ok := o.index[key]
	if !ok {
		var none V
		return none, false
	}
	return o.values[i], true
}

// add appends key; adding one that is there already replaces its value in place.
func (o *ordered[V]) add(key string, v V) {
	if i, ok := o.index[key]; ok {
		o.values[i] = v
		return
	}
	if o.index == nil {
		o.index = map[string]int{}
	}
	o.index[key] = len(o.keys)
	o.keys, o.values = append(o.keys, key), append(o.values, v)
}

// remove drops key and moves the last element into its place.
func (o *ordered[V]) remove(key string) {
	i, ok := o.index[key]
	if !ok {
		return
	}
	last := len(o.keys) - 1
	o.keys[i], o.values[i] = o.keys[last], o.values[last]
	o.index[o.keys[i]] = i
	delete(o.index, key)
	var none V
	o.values[last] = none
	o.keys, o.values = o.keys[:last], o.values[:last]
}

// sort orders by key, as a core does that reads its store anew.
func (o *ordered[V]) sort() {
	type pair struct {
		key   string
		value V
	}
	pairs := make([]pair, len(o.keys))
	for i, k := range o.keys {
		pairs[i] = pair{k, o.values[i]}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	for i, p := range pairs {
		o.keys[i], o.values[i], o.index[p.key] = p.key, p.value, i
	}
}

// newUUID draws a version 4 uuid from the seed.
func (s *Simulator) newUUID() string {
	hi, lo := s.rng.Uint64(), s.rng.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(0xc<<60) | 0x8<<60
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&0xffffffffffff)
}
