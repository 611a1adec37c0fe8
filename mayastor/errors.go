package mayastor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is a call that did not do, or may not have done, what was asked. It is
// the only type of error that the methods of [Reader] and [Client] return.
type Error struct {
	// Op says in words what was tried, and on what.
	Op string
	// Method and Path of the request; the address of the server is left out.
	Method, Path string
	// Status of the answer; 0 if there was none.
	Status int
	// Kind, Message and Details are Mayastor's own words (MS 1.3); all are empty
	// if the answer was none of Mayastor's.
	Kind, Message, Details string
	// Err is what went wrong on our side: the connection, a limit, an answer
	// that cannot be read. Nil if the server said no in its own words.
	Err error

	class  Class
	final  bool // asking again cannot help
	answer string
}

// Class says what an [Error] means for who called (MS 5.5).
type Class uint8

// The classes.
const (
	// ClassUnsure: nobody knows whether it was done. Read again and decide by
	// what is there. The zero value, so what is not understood is this.
	ClassUnsure Class = iota
	// ClassNoRoom: no pool is eligible, or the cap on rebuilds is reached. An
	// extra replica may have been left behind all the same.
	ClassNoRoom
	// ClassRefused: a precondition does not hold, or the request is wrong.
	ClassRefused
	// ClassGone: Mayastor itself says that an object does not exist. To a PUT an
	// io-engine may have said so: read before believing that a volume is gone.
	ClassGone
	// ClassUnsupported: this server has no such route.
	ClassUnsupported
	// ClassDenied: the credentials are missing or wrong.
	ClassDenied
)

// String is the class as one lower-case word.
func (c Class) String() string {
	switch c {
	case ClassUnsure:
		return "unsure"
	case ClassNoRoom:
		return "no-room"
	case ClassRefused:
		return "refused"
	case ClassGone:
		return "gone"
	case ClassUnsupported:
		return "unsupported"
	case ClassDenied:
		return "denied"
	}
	return "class(" + strconv.Itoa(int(c)) + ")"
}

// The kinds that are looked at by name.
const (
	kindAlreadyExists      = "AlreadyExists"
	kindFailedPersist      = "FailedPersist"
	kindFailedPrecondition = "FailedPrecondition"
)

// kindClass is MS 1.3 read with MS 5.5: what a kind means, whatever the status
// it came with. The second result is false for a kind that is not known.
func kindClass(kind string) (Class, bool) {
	switch kind {
	case "Timeout", "Conflict", "Deleting", "InUse", "Internal", "Aborted", "Unavailable", "DeadlineExceeded", kindFailedPersist:
		return ClassUnsure, true
	case "ResourceExhausted", "CapacityLimitExceeded":
		return ClassNoRoom, true
	case "Deserialize", "InvalidArgument", "NotAcceptable", "OutOfRange", kindFailedPrecondition, kindAlreadyExists,
		"NotShared", "AlreadyShared", "NotPublished", "AlreadyPublished":
		return ClassRefused, true
	case "NotFound":
		return ClassGone, true
	case "Unimplemented":
		return ClassUnsupported, true
	case "Unauthenticated", "Unauthorized", "PermissionDenied":
		return ClassDenied, true
	}
	return ClassUnsure, false
}

// statusClass is for kinds that are not known, and for answers that are not
// Mayastor's but a proxy's.
func statusClass(status int, mayastors bool) Class {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ClassDenied
	case status == http.StatusNotFound && mayastors:
		return ClassGone
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return ClassUnsupported
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooManyRequests:
		return ClassUnsure
	case status == http.StatusInsufficientStorage && mayastors:
		return ClassNoRoom
	case status >= 300 && status < 500:
		return ClassRefused
	}
	return ClassUnsure
}

// Class of the error.
func (e *Error) Class() Class { return e.class }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Error is one line: what was tried and what came of it. The server's words are
// quoted and cut short.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Method != "" {
		fmt.Fprintf(&b, ": %s %s", e.Method, e.Path)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d", e.Status)
	}
	switch {
	case e.Kind != "":
		fmt.Fprintf(&b, " %s", short(e.Kind, 40))
		for _, text := range []string{e.Message, e.Details} {
			if text != "" {
				fmt.Fprintf(&b, " %q", short(text, maxQuoted))
			}
		}
	case e.Err != nil:
		fmt.Fprintf(&b, ": %v", e.Err)
	case e.answer == "":
		b.WriteString(" with an empty body")
	}
	if e.answer != "" {
		fmt.Fprintf(&b, " (the answer begins %q)", e.answer)
	}
	return b.String()
}

// maxQuoted bounds what is repeated of a server's text, in bytes.
const maxQuoted = 200

// short cuts text to at most most bytes, at the border of a character.
func short(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "..."
}

// judge reads the body of an answer that is not 200 into e.
func (e *Error) judge(body []byte) {
	// All three fields are always there (MS 1.3). Less strictness would take a
	// proxy's 404 for a volume that is gone.
	var said struct {
		Details *string `json:"details"`
		Message *string `json:"message"`
		Kind    *string `json:"kind"`
	}
	err := json.Unmarshal(body, &said)
	mayastors := err == nil && said.Details != nil && said.Message != nil && said.Kind != nil && *said.Kind != ""
	if mayastors {
		e.Kind, e.Message, e.Details = *said.Kind, *said.Message, *said.Details
	} else {
		e.answer = short(string(body), maxQuoted)
	}
	class, known := kindClass(e.Kind)
	if !known {
		class = statusClass(e.Status, mayastors)
	}
	e.class = class
}

// ClassOf returns the class of the first [Error] in the chain of err, and
// ClassUnsure for any other error. It must not be asked about nil.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class()
	}
	return ClassUnsure
}

// is says whether err holds an [Error] of class c.
func is(err error, c Class) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Class() == c
}

// IsUnsure says whether err leaves open what happened.
func IsUnsure(err error) bool { return is(err, ClassUnsure) }

// IsNoRoom says whether no pool took the replica, or too many rebuilds run.
func IsNoRoom(err error) bool { return is(err, ClassNoRoom) }

// IsRefused says whether a precondition did not hold.
func IsRefused(err error) bool { return is(err, ClassRefused) }

// IsGone says whether Mayastor said that the object does not exist.
func IsGone(err error) bool { return is(err, ClassGone) }

// IsUnsupported says whether the server has no such route.
func IsUnsupported(err error) bool { return is(err, ClassUnsupported) }

// IsDenied says whether the credentials are missing or wrong.
func IsDenied(err error) bool { return is(err, ClassDenied) }

// IsPersist says whether the store behind Mayastor could not be written, or the
// object has an unfinished operation: wait longer than for other errors.
func IsPersist(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kindFailedPersist
}

// IsUnchanged says whether the request would have changed nothing.
func IsUnchanged(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Kind == kindAlreadyExists || e.Kind == "" && e.Status == http.StatusUnprocessableEntity)
}
