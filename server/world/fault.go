package world

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"
)

// The reasons of a source's state, as CamelCase words for a condition and
// values of a metric's label.
const (
	// Available: the last good reading is fresh enough to act on.
	Available = "Available"
	// NotReadYet: the first reading has not ended.
	NotReadYet = "NotReadYet"
	// TooOld: the last reading was good but is too old, and the next has not ended.
	TooOld = "TooOld"
	// Unreachable: there is no connection to the source.
	Unreachable = "Unreachable"
	// TimedOut: the source did not answer in time.
	TimedOut = "TimedOut"
	// Unauthorized: the source wants other credentials.
	Unauthorized = "Unauthorized"
	// QueryFailed: the source answered with an error.
	QueryFailed = "QueryFailed"
	// BadAnswer: the answer is not what the source's API promises.
	BadAnswer = "BadAnswer"
	// PartialAnswer: the source warned that the answer may be incomplete.
	PartialAnswer = "PartialAnswer"
	// NoData: the answer holds nothing. That is not zero.
	NoData = "NoData"
	// OneSided: only one of the two counters exists.
	OneSided = "OneSided"
	// WindowRefused: no score is read over a window of this length.
	WindowRefused = "WindowRefused"
	// TooManyWindows: all places for windows are being read at once.
	TooManyWindows = "TooManyWindows"
	// Closed: the service is ending.
	Closed = "Closed"
	// Internal: a fault of this program.
	Internal = "Internal"
)

// Reasons lists each reason for which a reading can fail while the service
// runs, so that a metric can begin with all of them at zero.
func Reasons() []string {
	return []string{
		Unreachable, TimedOut, Unauthorized, QueryFailed, BadAnswer, PartialAnswer, NoData, OneSided, Internal,
	}
}

// Fault is why a reading is no data.
type Fault struct {
	// Reason is one of [Reasons].
	Reason string
	// Message is a sentence for people. It is the same as long as the cause is:
	// it holds no time, address of a connection or figure that changes by itself,
	// as it ends up in a status.
	Message string
	// Err is the whole cause, for the log; nil where the message is all.
	Err error
}

func (f *Fault) Error() string {
	if f.Err == nil {
		return f.Message
	}
	return f.Reason + ": " + f.Err.Error()
}

func (f *Fault) Unwrap() error { return f.Err }

// asFault returns err as a fault; errors that name none are internal ones.
func asFault(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return &Fault{
		Reason:  Internal,
		Message: "CoucheStor met a fault of its own while it read this source; the log of the service has it.",
		Err:     err,
	}
}

// timedOut reports whether err means that the time for a reading ran out.
func timedOut(err error) bool {
	if errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// Cause is what is at the bottom of a transport error, without what differs
// from one try to the next: local ports, addresses of name servers.
func Cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		return "lookup " + d.Name + ": " + d.Err
	}
	if o, ok := errors.AsType[*net.OpError](err); ok {
		if s, ok := errors.AsType[*os.SyscallError](o.Err); ok {
			return o.Op + ": " + s.Err.Error()
		}
		return o.Op + ": " + clip(o.Err.Error())
	}
	return clip(err.Error())
}

// maxQuote is how much of another program's text is passed on, in bytes.
const maxQuote = 200

// clip makes one short line of another program's text.
func clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxQuote {
		return s
	}
	n := maxQuote
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
