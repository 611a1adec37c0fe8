package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReadList reads a list, or a page of one, of objects of a kind as the API server
// sends it, as a stream, and calls add for each. It reads what it reads with the
// same eyes as what Metacontroller sends. version is that of the list, next the
// token of the next page, empty if this is the last.
func ReadList(kind Kind, body io.Reader, add func(Object)) (version, next string, err error) {
	defer recovered(&err)
	d := newDecoder(body)
	listed := false
	err = d.members([]string{"metadata", "items"}, func(i int) error {
		if i == 0 {
			return d.optional([]string{"resourceVersion", "continue"}, &version, &next)
		}
		listed = true
		if null, err := d.null(); null || err != nil {
			return err
		}
		return d.array(func() error {
			o, err := d.of(kind)
			if err == nil {
				add(o)
			}
			return err
		})
	})
	if err == nil {
		err = d.finish()
	}
	switch {
	case err != nil:
		return "", "", asSent(err)
	case !listed || version == "":
		return "", "", errors.New("what the API server sent is no list")
	}
	return version, next, nil
}

// Events reads a watch. It is used by one goroutine.
type Events struct {
	kind Kind
	d    *decoder
}

// Event is one thing that a watch tells.
type Event struct {
	// Type is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR.
	Type string
	// Object is nil for the last two.
	Object Object
	// Version is the object's, or that of the bookmark.
	Version string
	// Initial is true for the bookmark after the objects that were there when
	// the watch began.
	Initial bool
	// Status is that of an ERROR, as JSON.
	Status json.RawMessage
}

// ReadEvents begins to read a watch of a kind.
func ReadEvents(kind Kind, body io.Reader) *Events {
	d := newDecoder(body)
	d.versions = true
	return &Events{kind: kind, d: d}
}

// Next waits for the next event. It returns io.EOF where the watch ends between
// two events, and io.ErrUnexpectedEOF where it breaks. After an error it is of no
// further use.
func (e *Events) Next() (v Event, err error) {
	defer recovered(&err)
	if err := e.d.between(); err != nil {
		return Event{}, err
	}
	// The API server tells the type first, so that the object is read as it comes;
	// JSON does not promise that, and of an object that comes first the text is kept.
	var early *decoder
	typed := false
	err = e.d.members([]string{"type", "object"}, func(i int) (err error) {
		switch {
		case i == 0:
			typed = true
			v.Type, err = e.d.text()
		case typed:
			err = e.object(&v, e.d)
		default:
			early, err = e.d.later()
		}
		return err
	})
	if err == nil && early != nil {
		err = e.object(&v, early)
	}
	switch {
	case e.d.cut:
		return Event{}, io.ErrUnexpectedEOF
	case err != nil:
		return Event{}, asSent(err)
	case v.Type != "ERROR" && v.Version == "":
		return Event{}, fmt.Errorf("the API server sent an event %q without a resourceVersion", clip(v.Type))
	}
	return v, nil
}

// object reads the object of an event of a known type.
func (e *Events) object(v *Event, d *decoder) (err error) {
	d.version = ""
	switch v.Type {
	case "ADDED", "MODIFIED", "DELETED":
		v.Object, err = d.of(e.kind)
	case "BOOKMARK":
		v.Initial, err = d.bookmark()
	case "ERROR":
		v.Status, err = d.raw()
	default:
		return badRequest("an event has the unknown type %q", clip(v.Type))
	}
	v.Version = d.version
	return err
}

// of reads an object of a kind.
func (d *decoder) of(kind Kind) (Object, error) {
	switch kind {
	case Volumes:
		return made(d.volume())
	case Claims:
		return made(d.claim())
	case Policies:
		return made(d.policy(false))
	case Jobs:
		return made(d.job())
	case DiskPools:
		return made(d.diskPool())
	}
	return nil, fmt.Errorf("no kind has the number %d", kind)
}

// made returns the object a decoder read.
func made[T any, P interface {
	*T
	Object
}](value T, err error) (Object, error) {
	if err != nil {
		return nil, err
	}
	return P(&value), nil
}

// bookmark reads an object that has nothing but a resourceVersion, and maybe the
// mark that says that what was there has been told.
func (d *decoder) bookmark() (initial bool, err error) {
	err = d.members([]string{"metadata"}, func(int) error {
		return d.metadata([]string{"annotations"}, func(int) error {
			var mark string
			err := d.optional([]string{metav1.InitialEventsAnnotationKey}, &mark)
			initial = mark == "true"
			return err
		})
	})
	return initial, err
}

// between waits for the next of several values, and returns io.EOF if there is
// none.
func (d *decoder) between() error {
	d.base, d.depth = 0, 0
	if _, err := d.peek(); err != nil {
		if errors.Is(d.exhausted, io.EOF) {
			return io.EOF
		}
		return io.ErrUnexpectedEOF
	}
	return nil
}

// asSent says of what the API server sent what a fault says of a request.
func asSent(err error) error {
	fault, ok := errors.AsType[*faultError](err)
	if !ok {
		return err
	}
	line, _, _ := strings.Cut(fault.line, "; nothing was done")
	return fmt.Errorf("what the API server sent cannot be read: %s", strings.Replace(line, "the request", "it", 1))
}

// recovered turns a panic over what was read into an error, as no goroutine of
// a reader may end the service.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic while reading an object: %v\n%s", p, debug.Stack())
	}
}
