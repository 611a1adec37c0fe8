package hooks

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// metadata consumes an object's metadata like members, and notes its
// resourceVersion where that is asked for.
func (d *decoder) metadata(names []string, member func(i int) error) error {
	if !d.versions {
		return d.members(names, member)
	}
	n := len(names)
	return d.members(append(names[:n:n], "resourceVersion"), func(i int) error {
		if i < n {
			return member(i)
		}
		b, err := d.bytes()
		d.version = string(b)
		return err
	})
}

// named refuses an object without a name.
func named(kind, name string) error {
	if name != "" {
		return nil
	}
	return badRequest("a %s in the request has no metadata.name; nothing was done: look at what sends it", kind)
}

// text reads a string; null is "".
func (d *decoder) text() (string, error) {
	if null, err := d.null(); null || err != nil {
		return "", err
	}
	b, err := d.bytes()
	if err != nil || len(b) == 0 {
		return "", err
	}
	return d.shared(b), nil
}

// shared returns b as a string, the same copy for equal short ones.
func (d *decoder) shared(b []byte) string {
	if len(b) > sharedTextBytes {
		return string(b)
	}
	if text, ok := d.texts[string(b)]; ok {
		return text
	}
	text := string(b)
	if len(d.texts) < sharedTexts {
		d.texts[text] = text
	}
	return text
}

// optional reads an object, or null, of which only strings are wanted.
func (d *decoder) optional(names []string, into ...*string) error {
	if null, err := d.null(); null || err != nil {
		return err
	}
	return d.members(names, func(i int) (err error) {
		*into[i], err = d.text()
		return err
	})
}

// within returns text, as the end of whole if it is that, so that the two share
// their bytes.
func within(whole, text string) string {
	if strings.HasSuffix(whole, text) {
		return whole[len(whole)-len(text):]
	}
	return text
}

// labels reads labels as pairs does, and returns the same map for the same text:
// most volumes have the labels of many others.
func (d *decoder) labels() (map[string]string, error) {
	text, err := d.slice()
	if err != nil {
		return nil, err
	}
	if set, ok := d.sets[string(text)]; ok {
		return set, nil
	}
	set, err := d.again(text).pairs()
	if err == nil && len(text) <= sharedSetBytes && len(d.sets) < sharedSets {
		d.sets[string(text)] = set
	}
	return set, err
}

// later consumes a value and returns a decoder of a copy of it, as it is not known
// yet what it is.
func (d *decoder) later() (*decoder, error) {
	text, err := d.raw()
	return d.again(text), err
}

// again returns a decoder of the value that was just consumed, which shares with d
// what it has seen.
func (d *decoder) again(text []byte) *decoder {
	inner := *d
	inner.scanner = &scanner{
		buf: text, end: len(text), keep: -1, exhausted: io.EOF, base: d.base + int64(d.pos-len(text)),
	}
	return &inner
}

// pairs reads labels; nil for null or none.
func (d *decoder) pairs() (map[string]string, error) {
	return d.pairsIf(func([]byte) bool { return true })
}

// ownPairs reads the annotations that are ours.
func (d *decoder) ownPairs() (map[string]string, error) {
	return d.pairsIf(func(name []byte) bool {
		return strings.HasPrefix(string(name), tiering.Group+"/")
	})
}

func (d *decoder) pairsIf(wanted func(name []byte) bool) (map[string]string, error) {
	if null, err := d.null(); null || err != nil {
		return nil, err
	}
	var pairs map[string]string
	err := d.object(func(name []byte) error {
		if !wanted(name) {
			return d.skip()
		}
		if _, ok := pairs[string(name)]; ok {
			return d.twice(string(name))
		}
		key := d.shared(name)
		value, err := d.text()
		if err != nil {
			return err
		}
		if pairs == nil {
			pairs = make(map[string]string)
		}
		pairs[key] = value
		return nil
	})
	return pairs, err
}

// present reads whether a value is there at all; null and "" are not.
func (d *decoder) present() (bool, error) {
	text, err := d.text()
	return text != "", err
}

// time reads a time of Kubernetes; null is the zero time.
func (d *decoder) time() (time.Time, error) {
	text, err := d.text()
	if err != nil || text == "" {
		return time.Time{}, err
	}
	return parseTime(text)
}

func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badRequest("the request has %q where a time such as 2026-01-02T15:04:05Z should be; nothing was done: look at what sends it", clip(text))
	}
	return t.UTC(), nil
}

// integer reads a whole number; null is 0.
func (d *decoder) integer() (int64, error) {
	b, err := d.raw()
	if err != nil || string(b) == "null" {
		return 0, err
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, badRequest("the request has %s where a whole number should be; nothing was done: look at what sends it", clip(string(b)))
	}
	return n, nil
}

// tree reads a value as text and refuses names given twice at any depth; null
// is nil.
func (d *decoder) tree() ([]byte, error) {
	text, err := d.raw()
	if err != nil || string(text) == "null" {
		return nil, err
	}
	if text[0] != '{' {
		return text, nil
	}
	inner := &scanner{buf: text, end: len(text), keep: -1, exhausted: io.EOF}
	return text, inner.unique()
}

// unique consumes a value and refuses names given twice.
func (s *scanner) unique() error {
	c, err := s.peek()
	switch {
	case err != nil:
		return err
	case c == '[':
		return s.array(s.unique)
	case c != '{':
		return s.skip()
	}
	seen := make(map[string]bool)
	return s.object(func(name []byte) error {
		if seen[string(name)] {
			return s.twice(string(name))
		}
		seen[string(name)] = true
		return s.unique()
	})
}
