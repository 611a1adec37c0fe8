package hooks

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// The limits of a scanner. maxDepth is that of encoding/json; maxKept is well
// above the 1.5 MiB that etcd takes for a whole object.
const (
	windowBytes = 64 << 10
	maxKept     = 4 << 20
	maxDepth    = 10_000
)

// A scanner reads one JSON text from a stream, byte by byte and in one pass.
// It checks all of it, keeps only what it is asked for, and holds no more than
// a window and the value being kept. What it accepts is what encoding/json
// accepts, less names given twice among those that are asked for.
//
// Each method that reads a value expects the scanner in front of it. After an
// error the scanner is of no further use.
type scanner struct {
	src io.Reader
	// buf[pos:end] is read and not yet consumed; base is the offset of buf[0]
	// in the stream. Bytes from keep on survive a refill; keep is -1 for none.
	buf       []byte
	pos, end  int
	base      int64
	keep      int
	depth     int
	exhausted error
	// cut is true once bytes were asked for that there are not.
	cut bool
	// name is that of the member being read.
	name []byte
}

func newScanner(src io.Reader) *scanner {
	return &scanner{src: src, buf: make([]byte, windowBytes), keep: -1}
}

// fill reads more, so that pos < end, or says why it cannot.
func (s *scanner) fill() error {
	if s.pos < s.end {
		return nil
	}
	from := s.pos
	if s.keep >= 0 {
		from = s.keep
	}
	if from > 0 {
		copy(s.buf, s.buf[from:s.end])
		s.base += int64(from)
		s.pos -= from
		s.end -= from
		if s.keep >= 0 {
			s.keep = 0
		}
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= maxKept {
			return badRequest("one value of the request is longer than 4 MiB, which no object of Kubernetes is; nothing was done: look at what sends it")
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		if s.exhausted != nil {
			return s.ended()
		}
		var n int
		n, s.exhausted = s.src.Read(s.buf[s.end:])
		s.end += n
		if n > 0 {
			return nil
		}
	}
	s.exhausted = io.ErrNoProgress
	return s.ended()
}

// ended says why there are no more bytes.
func (s *scanner) ended() error {
	s.cut = true
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](s.exhausted); ok {
		return oversized(tooLarge.Limit)
	}
	at := s.base + int64(s.end)
	switch {
	case !errors.Is(s.exhausted, io.EOF):
		return badRequest("reading the request stopped after %d bytes, the connection broke; nothing was done: send it again", at)
	case at == 0:
		return badRequest("the request is empty; a hook wants the JSON object that Metacontroller sends: send that")
	}
	return badRequest("the request ends in the middle of its JSON after %d bytes, so it was cut off; nothing was done: send all of it", at)
}

// wrong says that the next byte is not what JSON allows there.
func (s *scanner) wrong(want string) error {
	return badRequest("the request is not JSON: byte %d should be %s; nothing was done: send the JSON object that Metacontroller sends", s.base+int64(s.pos)+1, want)
}

// next returns the next byte and consumes it.
func (s *scanner) next() (byte, error) {
	if err := s.fill(); err != nil {
		return 0, err
	}
	c := s.buf[s.pos]
	s.pos++
	return c, nil
}

// peek returns the next byte that is no space and leaves it there.
func (s *scanner) peek() (byte, error) {
	for {
		for s.pos < s.end {
			switch c := s.buf[s.pos]; c {
			case ' ', '\n', '\t', '\r':
				s.pos++
			default:
				return c, nil
			}
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// expect consumes c after spaces.
func (s *scanner) expect(c byte, name string) error {
	got, err := s.peek()
	if err != nil {
		return err
	}
	if got != c {
		return s.wrong(name)
	}
	s.pos++
	return nil
}

// finish makes sure that nothing but spaces follows.
func (s *scanner) finish() error {
	for {
		for ; s.pos < s.end; s.pos++ {
			switch s.buf[s.pos] {
			case ' ', '\n', '\t', '\r':
			default:
				return badRequest("after the JSON object of the request comes something else, at byte %d; nothing was done: send one object", s.base+int64(s.pos)+1)
			}
		}
		if err := s.fill(); err != nil {
			if errors.Is(s.exhausted, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// quoted consumes the rest of a string after its opening quote and reports
// whether all its bytes stand for themselves.
func (s *scanner) quoted() (simple bool, err error) {
	simple = true
	for {
		rest := s.buf[s.pos:s.end]
		i := 0
		for i < len(rest) && rest[i] >= ' ' && rest[i] < 0x80 && rest[i] != '"' && rest[i] != '\\' {
			i++
		}
		s.pos += i
		c, err := s.next()
		switch {
		case err != nil:
			return false, err
		case c == '"':
			return simple, nil
		case c == '\\':
			simple = false
			if err := s.escape(); err != nil {
				return false, err
			}
		case c >= 0x80:
			simple = false
		case c < ' ':
			s.pos--
			return false, s.wrong("no control character inside a string")
		}
	}
}

// escape consumes the rest of an escape sequence after its backslash.
func (s *scanner) escape() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			if c, err = s.next(); err != nil {
				return err
			}
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				s.pos--
				return s.wrong("a hexadecimal digit")
			}
		}
		return nil
	}
	s.pos--
	return s.wrong("an escape that JSON knows")
}

// bytes consumes a string and returns its content, which is valid until the
// scanner is used again.
func (s *scanner) bytes() ([]byte, error) {
	if err := s.expect('"', "a string"); err != nil {
		return nil, err
	}
	s.keep = s.pos - 1
	simple, err := s.quoted()
	from := s.keep
	s.keep = -1
	if err != nil {
		return nil, err
	}
	if simple {
		return s.buf[from+1 : s.pos-1], nil
	}
	var text string
	if err := json.Unmarshal(s.buf[from:s.pos], &text); err != nil {
		return nil, s.wrong("the end of a string that can be read")
	}
	return []byte(text), nil
}

// raw consumes a value and returns a copy of its bytes.
func (s *scanner) raw() ([]byte, error) {
	text, err := s.slice()
	return append([]byte(nil), text...), err
}

// slice consumes a value and returns its bytes, which are valid until the scanner
// is used again.
func (s *scanner) slice() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	s.keep = s.pos
	err := s.skip()
	from := s.keep
	s.keep = -1
	if err != nil {
		return nil, err
	}
	return s.buf[from:s.pos], nil
}

// null consumes null if that is the next value.
func (s *scanner) null() (bool, error) {
	c, err := s.peek()
	if err != nil || c != 'n' {
		return false, err
	}
	return true, s.skip()
}

// boolean consumes true or false.
func (s *scanner) boolean() (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c != 't' && c != 'f':
		return false, s.wrong("true or false")
	}
	return c == 't', s.skip()
}
