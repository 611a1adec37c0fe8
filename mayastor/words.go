package mayastor

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
)

// words are the texts that thousands of volumes have alike, each kept once:
// names of nodes and pools, statuses, what comes before the uuid in addresses;
// and the topologies. Packed volumes name them by number. Words are never
// taken away or changed, so that one [Reader] can use the same for all its
// readings, and volumes of different readings can be compared. They are safe
// for concurrent use.
type words struct {
	all atomic.Pointer[wordList]

	mu    sync.Mutex
	index map[string]int
	// shapes are topologies by their JSON, as it came and as Go writes it: a
	// server may write the same in several orders.
	shapes map[string]int
	known  map[*Topology]int
}

// wordList is what was known at one moment.
type wordList struct {
	texts      []string
	topologies []*Topology
}

// The bounds of words. What finds no room is kept in each volume that has it,
// which takes more memory and is as right.
const (
	maxWords      = 1 << 16
	maxWordBytes  = 128
	maxTopologies = 1 << 12
	maxShapes     = 1 << 13
	maxShapeBytes = 4 << 10
)

func newWords() *words {
	w := &words{index: map[string]int{}, shapes: map[string]int{}, known: map[*Topology]int{}}
	w.all.Store(&wordList{})
	return w
}

// number of a text, which becomes a word if it can; false if there is no room.
// w.mu is held.
func (w *words) number(text string) (int, bool) {
	if i, ok := w.index[text]; ok {
		return i, true
	}
	old := w.all.Load()
	if len(old.texts) == maxWords || len(text) > maxWordBytes {
		return 0, false
	}
	// It may be a part of a page, which must not be kept for it.
	text = strings.Clone(text)
	i := len(old.texts)
	w.index[text] = i
	w.all.Store(&wordList{append(old.texts, text), old.topologies})
	return i, true
}

// topology decodes a topology, or returns the one with the same JSON. The
// result is nil for null and must not be changed. w.mu is held.
func (w *words) topology(text string) (*Topology, error) {
	if i, ok := w.shapes[text]; ok {
		return w.all.Load().topologies[i], nil
	}
	var t *Topology
	if err := json.Unmarshal([]byte(text), &t); err != nil || t == nil {
		return nil, err
	}
	i, _ := w.shape(t)
	if i < 0 {
		return t, nil
	}
	if len(w.shapes) < maxShapes && len(text) <= maxShapeBytes {
		w.shapes[strings.Clone(text)] = i
	}
	return w.all.Load().topologies[i], nil
}

// shape returns the number of a topology, which is kept if there is room, or a
// negative number and its JSON. w.mu is held.
func (w *words) shape(t *Topology) (int, string) {
	if i, ok := w.known[t]; ok {
		return i, ""
	}
	text, _ := json.Marshal(t) // Texts in maps and lists: it cannot fail, and sorts the keys.
	if i, ok := w.shapes[string(text)]; ok {
		return i, ""
	}
	old := w.all.Load()
	if len(old.topologies) == maxTopologies || len(text) > maxShapeBytes {
		return -1, string(text)
	}
	// Whoever gave t may change it.
	own := decodeTopology(string(text))
	i := len(old.topologies)
	w.shapes[string(text)], w.known[own] = i, i
	w.all.Store(&wordList{old.texts, append(old.topologies, own)})
	return i, ""
}

// decodeTopology reads what shape wrote.
func decodeTopology(text string) (t *Topology) {
	_ = json.Unmarshal([]byte(text), &t)
	return t
}
