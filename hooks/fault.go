package hooks

import (
	"fmt"
	"net/http"
	"strings"
)

// faultError is the whole of an answer that is no answer: a status other than
// 200, upon which Metacontroller touches neither children nor status
// (MC 2.6), and one line that says what is wrong, why, and what to do. The
// line ends up in events, so it holds nothing secret and little of the request.
type faultError struct {
	status int
	line   string
}

func (e *faultError) Error() string { return e.line }

func faultf(status int, format string, args ...any) error {
	return &faultError{status: status, line: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return faultf(http.StatusBadRequest, format, args...)
}

func oversized(limit int64) error {
	return faultf(http.StatusRequestEntityTooLarge, "the request is longer than the %d bytes allowed; nothing was done: raise --max-body, or let the service read the volumes itself", limit)
}

// clip shortens text of others to what fits in one line.
func clip(text string) string {
	const most = 120
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
