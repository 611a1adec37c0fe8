package mayastor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// listing collects the volumes of one reading, page by page. A volume that the
// reading before has just so is not kept twice.
type listing struct {
	before []Packed
	all    []Packed
	packer *packer
	buffer bytes.Buffer // of the page
}

func newListing(w *words, before []Packed) *listing {
	return &listing{before: before, all: make([]Packed, 0, len(before)+len(before)/64), packer: newPacker(w)}
}

// page is one answer to the request for volumes.
type page struct {
	*listing
	// present: it had entries. Something else that answers 200 must not look like
	// a cluster without volumes.
	present bool
	// nameless: one of them had no uuid.
	nameless bool
	next     *int64
}

// decode reads the answer by the rules of encoding/json. The copy made of it is
// small beside the reading, and what is read are parts of it until they are
// packed.
func (p *page) decode(body []byte) error {
	w := p.packer.words
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(p.all)
	if p.scan(string(body)) {
		return nil
	}
	clear(p.all[before:])
	p.all = p.all[:before]
	return p.unmarshal(body)
}

// unmarshal is the judge of all that is unusual.
func (p *page) unmarshal(body []byte) error {
	var answer struct {
		Entries *[]Volume `json:"entries"`
		Next    *int64    `json:"next_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	p.present, p.nameless, p.next = answer.Entries != nil, false, answer.Next
	if p.present {
		for i := range *answer.Entries {
			p.add(&(*answer.Entries)[i])
		}
	}
	return nil
}

// scan reads the answer if there is nothing unusual about it.
func (p *page) scan(text string) bool {
	p.present, p.nameless, p.next = false, false, nil
	s := &scanner{text: text}
	r := newVolumeReader(s, p.packer.words)
	s.object([]string{"entries", "next_token"}, func(i int) {
		switch {
		case s.null():
		case i == 0:
			p.present = true
			s.array(func() {
				if v := r.volume(); !s.gaveUp {
					p.add(v)
				}
			})
		default:
			p.next = new(s.integer())
		}
	})
	s.finish()
	return !s.gaveUp
}

// add packs v, which may change then.
func (p *page) add(v *Volume) {
	l := p.listing
	p.nameless = p.nameless || v.Spec.UUID == ""
	text := l.packer.pack(v)
	if old, ok := l.find(text); ok {
		l.all = append(l.all, old)
		return
	}
	l.all = append(l.all, Packed{l.packer.words, string(text)})
}

// find returns the volume of the reading before that is packed just so.
func (l *listing) find(text []byte) (Packed, bool) {
	i, ok := slices.BinarySearchFunc(l.before, text, l.order)
	if !ok || l.before[i].words != l.packer.words || l.before[i].text != string(text) {
		return Packed{}, false
	}
	return l.before[i], true
}

// order is that of old and of a text packed now, by uuid.
func (l *listing) order(old Packed, text []byte) int {
	if !strings.HasPrefix(old.text, plainUUID) || !bytes.HasPrefix(text, []byte(plainUUID)) {
		return cmp.Compare(old.UUID(), Packed{l.packer.words, string(text)}.UUID())
	}
	switch a, b := old.text[:plainBytes], text[:plainBytes]; {
	case a < string(b):
		return -1
	case a > string(b):
		return 1
	}
	return 0
}

// sorted returns the volumes by uuid, each once: of one that is on two pages
// what the first said.
func (l *listing) sorted() []Packed {
	slices.SortStableFunc(l.all, Packed.Compare)
	return slices.CompactFunc(l.all, func(a, b Packed) bool { return a.Compare(b) == 0 })
}
