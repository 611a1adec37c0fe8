package mayastor

import (
	"strconv"
	"strings"
)

// scanner reads one JSON text in one pass and copies nothing: texts it returns
// are parts of it. It takes the JSON that Mayastor writes and gives up on what
// is unusual, though it may be right: names given twice or in other case,
// escapes and what is not ASCII in what is asked for, numbers with a point.
// Whoever uses it asks encoding/json then, so that there is one judge of what
// an answer means; what the scanner takes it reads as encoding/json does.
//
// Each method that reads a value expects the scanner in front of it. Once it
// gave up they do nothing and return zero values.
type scanner struct {
	text   string
	pos    int
	depth  int
	gaveUp bool
}

// maxDepth of what is skipped; encoding/json takes more.
const maxDepth = 100

// giveUp makes sure that nothing more is read.
func (s *scanner) giveUp() {
	s.gaveUp = true
	s.pos = len(s.text)
}

// peek returns the next byte that is no space and leaves it there; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; c {
		case ' ', '\n', '\t', '\r':
		default:
			return c
		}
	}
	return 0
}

// take consumes c if it is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.pos == len(s.text) {
		return false
	}
	s.pos++
	return true
}

// finish makes sure that nothing but spaces follows.
func (s *scanner) finish() {
	if s.peek(); s.pos != len(s.text) {
		s.giveUp()
	}
}

// null consumes null if that is the next value.
func (s *scanner) null() bool {
	if s.peek() != 'n' {
		return false
	}
	s.literal("null")
	return !s.gaveUp
}

func (s *scanner) literal(word string) {
	if !strings.HasPrefix(s.text[s.pos:], word) {
		s.giveUp()
		return
	}
	s.pos += len(word)
}

// boolean reads true or false; null is false.
func (s *scanner) boolean() bool {
	switch s.peek() {
	case 't':
		s.literal("true")
		return !s.gaveUp
	case 'f':
		s.literal("false")
	default:
		s.literal("null")
	}
	return false
}

// string reads a text without escapes; null is "".
func (s *scanner) string() string {
	if s.null() {
		return ""
	}
	if !s.take('"') {
		s.giveUp()
		return ""
	}
	for i := s.pos; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			text := s.text[s.pos:i]
			s.pos = i + 1
			return text
		case c < ' ' || c >= 0x80 || c == '\\':
			s.giveUp()
			return ""
		}
	}
	s.giveUp()
	return ""
}

// integer reads a whole number; null is 0.
func (s *scanner) integer() int64 {
	if s.null() {
		return 0
	}
	s.peek()
	from := s.pos
	s.number()
	if s.gaveUp {
		return 0
	}
	n, err := strconv.ParseInt(s.text[from:s.pos], 10, 64)
	if err != nil {
		s.giveUp()
		return 0
	}
	return n
}

// raw consumes a value and returns its text.
func (s *scanner) raw() string {
	s.peek()
	from := s.pos
	s.skip()
	return s.text[from:s.pos]
}

// object calls member with the index of each name in names, the scanner in
// front of its value, and skips all else. It calls nothing for null.
func (s *scanner) object(names []string, member func(i int)) {
	if s.null() {
		return
	}
	var seen uint64
	s.members(func(name string) {
		i := index(names, name)
		switch {
		case i == folded, i >= 0 && seen&(1<<i) != 0:
			s.giveUp()
		case i < 0:
			s.skip()
		default:
			seen |= 1 << i
			member(i)
		}
	})
}

// folded is the index of a name that encoding/json would take for one of the
// names.
const folded = -2

func index(names []string, name string) int {
	for i, n := range names {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			if n == name {
				return i
			}
			return folded
		}
	}
	return -1
}

// members consumes an object and calls member with each name, the scanner in
// front of the value.
func (s *scanner) members(member func(name string)) {
	s.between('{', '}', func() {
		// A name is no null.
		if s.peek() != '"' {
			s.giveUp()
			return
		}
		name := s.string()
		if !s.take(':') {
			s.giveUp()
			return
		}
		member(name)
	})
}

// array consumes an array and calls element in front of each value.
func (s *scanner) array(element func()) { s.between('[', ']', element) }

// between consumes brackets and calls one for each thing between commas.
func (s *scanner) between(opening, closing byte, one func()) {
	if s.depth++; s.depth > maxDepth || !s.take(opening) {
		s.giveUp()
		return
	}
	if !s.take(closing) {
		one()
		for !s.gaveUp && !s.take(closing) {
			if !s.take(',') {
				s.giveUp()
				return
			}
			one()
		}
	}
	s.depth--
}

// skip consumes and checks a value of any kind.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		s.between('{', '}', s.skipMember)
	case '[':
		s.array(s.skip)
	case '"':
		s.skipString()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

func (s *scanner) skipMember() {
	s.skipString()
	if !s.take(':') {
		s.giveUp()
		return
	}
	s.skip()
}

func (s *scanner) skipString() {
	if !s.take('"') {
		s.giveUp()
		return
	}
	for i := s.pos; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.pos = i + 1
			return
		case c == '\\':
			n := escape(s.text[i+1:])
			if n == 0 {
				s.giveUp()
				return
			}
			i += n
		case c < ' ':
			s.giveUp()
			return
		}
	}
	s.giveUp()
}

// escape is how many bytes after the backslash belong to it; 0 if it is none
// that JSON knows.
func escape(rest string) int {
	if rest == "" {
		return 0
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(rest) < 5 {
			return 0
		}
		for _, c := range []byte(rest[1:5]) {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// number consumes a number; what follows it is somebody else's to judge.
func (s *scanner) number() {
	if s.pos < len(s.text) && s.text[s.pos] == '-' {
		s.pos++
	}
	if from := s.pos; !s.digits() || s.text[from] == '0' && s.pos > from+1 {
		s.giveUp()
		return
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		if !s.digits() {
			s.giveUp()
			return
		}
	}
	if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		if !s.digits() {
			s.giveUp()
		}
	}
}

// digits consumes digits, and says whether there were some.
func (s *scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > from
}
