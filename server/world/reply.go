package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/common/model"
)

// reply is what the API of Prometheus answers to a query, without the elements
// of the result.
type reply struct {
	status, errorType, err string
	warnings               []string
	// instead is what the answer holds instead of a vector; empty if it holds one.
	instead string
}

// decodeReply reads an answer as a stream, and hands on the elements of its
// result one after the other, each valid until the next. An error of element ends
// that, and is returned only if the result turns out to be a vector, as nothing
// else is an answer to a query. With element nil the data may be anything.
//
// All of the text is checked. The error is nil if it is an answer of the API,
// good or bad.
func decodeReply(r io.Reader, element func(raw []byte) error) (reply, error) {
	a := reply{instead: "no result"}
	dec := json.NewDecoder(r)
	_, err := object(dec, map[string]func() error{
		"status":    func() error { return dec.Decode(&a.status) },
		"errortype": func() error { return dec.Decode(&a.errorType) },
		"error":     func() error { return dec.Decode(&a.err) },
		"warnings":  func() error { return dec.Decode(&a.warnings) },
		"infos":     func() error { return dec.Decode(new([]string)) },
		"data": func() error {
			if element == nil {
				return skip(dec)
			}
			return a.data(dec, element)
		},
	})
	if err == nil {
		var next json.Token
		switch next, err = dec.Token(); {
		case err == nil:
			err = fmt.Errorf("%v after the end of the answer", next)
		case errors.Is(err, io.EOF):
			return a, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("unexpected end of JSON input")
	}
	return a, err
}

// data reads the data of an answer.
func (a *reply) data(dec *json.Decoder, element func(raw []byte) error) error {
	var kind model.ValueType
	wrong := errors.New("a vector without its elements")
	null, err := object(dec, map[string]func() error{
		"resulttype": func() error { return dec.Decode(&kind) },
		"result": func() (err error) {
			wrong, err = elements(dec, element)
			return err
		},
	})
	if err != nil || null {
		return err
	}
	switch kind {
	case model.ValVector:
		a.instead = ""
		return wrong
	case model.ValScalar, model.ValMatrix:
		a.instead = "a " + kind.String()
		return nil
	case model.ValNone, model.ValString:
	}
	return fmt.Errorf("unexpected value type %q", kind)
}

// elements reads a list, or null as an empty one. wrong is what element says of
// an element; the elements after it are not handed on.
func elements(dec *json.Decoder, element func(raw []byte) error) (wrong, err error) {
	switch t, err := dec.Token(); {
	case err != nil || t == nil:
		return nil, err
	case t != json.Delim('['):
		return nil, fmt.Errorf("a result that begins with %v", t)
	}
	var raw json.RawMessage
	for dec.More() {
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		if wrong == nil {
			wrong = element(raw)
		}
	}
	_, err = dec.Token()
	return wrong, err
}

// object reads an object, and its members with what is in fields under their
// names, which as in encoding/json may be written in letters of any case; those
// there are small. Other members are skipped. One of fields given twice is
// refused, as it cannot be known which is meant. null is true for null, which has
// no members.
func object(dec *json.Decoder, fields map[string]func() error) (null bool, err error) {
	switch t, err := dec.Token(); {
	case err != nil || t == nil:
		return t == nil, err
	case t != json.Delim('{'):
		return false, fmt.Errorf("%v where an object should begin", t)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false, err
		}
		// Some letters have more than two forms.
		folded := strings.ToLower(strings.ToUpper(fmt.Sprint(name)))
		read, known := fields[folded]
		switch {
		case !known:
			err = skip(dec)
		case read == nil:
			err = fmt.Errorf("%q twice in one object", folded)
		default:
			fields[folded] = nil
			err = read()
		}
		if err != nil {
			return false, err
		}
	}
	_, err = dec.Token()
	return false, err
}

// skip reads one value of any kind.
func skip(dec *json.Decoder) error { return dec.Decode(new(json.RawMessage)) }
