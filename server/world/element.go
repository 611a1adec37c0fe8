package world

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"

	"github.com/prometheus/common/model"
)

// element is one element of a vector.
type element struct {
	// name is the label pv_name, empty if there is none. It is valid until the
	// next element.
	name []byte
	// metric has all labels, if there are others.
	metric    model.Metric
	at        model.Time
	value     float64
	histogram bool
}

// elementOf reads an element, which must be JSON. ok is false for null.
func elementOf(raw []byte) (e element, ok bool, err error) {
	if e, ok := usual(raw); ok {
		return e, true, nil
	}
	var s *model.Sample
	if err := json.Unmarshal(raw, &s); err != nil {
		return element{}, false, fmt.Errorf("read an element of a vector: %w", err)
	}
	if s == nil {
		return element{}, false, nil
	}
	return element{
		name: []byte(s.Metric[pvName]), metric: s.Metric,
		at: s.Timestamp, value: float64(s.Value), histogram: s.Histogram != nil,
	}, true, nil
}

// usual reads an element of the form in which Prometheus writes nearly all that
// it answers to us,
//
//	{"metric":{"pv_name":"pvc-1"},"value":[1700000000.123,"12.5"]}
//
// and ok is false if it is of any other. With the library alone, which is
// there for all others, an element takes four times as long and 20 pieces of
// garbage, and there may be 100 000 of them three times in half a minute.
func usual(raw []byte) (e element, ok bool) {
	rest, begins := bytes.CutPrefix(raw, []byte(`{"metric":{"`+pvName+`":"`))
	name, rest, names := bytes.Cut(rest, []byte(`"},"value":[`))
	at, value, pairs := bytes.Cut(rest, []byte(","))
	value, ends := bytes.CutSuffix(value, []byte("]}"))
	if !begins || !names || !pairs || !ends || !plain(name) {
		return element{}, false
	}
	// What these take is a number, and a string with a number in it: there is
	// nothing else in the element.
	var v model.SampleValue
	if e.at.UnmarshalJSON(at) != nil || v.UnmarshalJSON(value) != nil {
		return element{}, false
	}
	e.name, e.value = name, float64(v)
	return e, true
}

// plain reports whether each byte of what is in a JSON string stands for itself.
func plain(text []byte) bool {
	for _, c := range text {
		if c >= 0x80 || c == '\\' || c == '"' {
			return false
		}
	}
	return true
}

// flaw is why the value of an element must not be used.
type flaw uint8

const (
	absent flaw = iota
	fine
	twice
	histogram
	notANumber
	infinite
	negative
)

// flaw is fine, or what is wrong with the value by itself.
func (e element) flaw() flaw {
	switch {
	case e.histogram:
		return histogram
	case math.IsNaN(e.value):
		return notANumber
	case math.IsInf(e.value, 0):
		return infinite
	case e.value < 0:
		return negative
	}
	return fine
}

// text stands after the name of what was asked for.
func (f flaw) text() string {
	switch f {
	case twice:
		return "is in the answer twice"
	case histogram:
		return "is a histogram"
	case notANumber:
		return "is NaN"
	case infinite:
		return "is infinite"
	case negative:
		return "is negative"
	case absent, fine:
	}
	return ""
}
