package hooks

// object consumes an object and calls member with the scanner in front of each
// value. The name is valid only until member reads.
func (s *scanner) object(member func(name []byte) error) error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return err
		}
		name, err := s.bytes()
		if err != nil {
			return err
		}
		s.name = append(s.name[:0], name...)
		if err := s.expect(':', "a colon"); err != nil {
			return err
		}
		if err := member(s.name); err != nil {
			return err
		}
	}
}

// array consumes an array and calls element with the scanner in front of each
// value.
func (s *scanner) array(element func() error) error {
	if err := s.open('[', "an array"); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more(']', first)
		if err != nil || !more {
			return err
		}
		if err := element(); err != nil {
			return err
		}
	}
}

// open consumes the bracket that opens an object or array.
func (s *scanner) open(bracket byte, want string) error {
	if err := s.expect(bracket, want); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return s.wrong("no deeper than 10 000 levels")
	}
	return nil
}

// more consumes what stands between two values of an object or array, and
// reports false once it consumed the bracket that closes it.
func (s *scanner) more(bracket byte, first bool) (bool, error) {
	c, err := s.peek()
	switch {
	case err != nil:
		return false, err
	case c == bracket:
		s.pos++
		s.depth--
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, s.wrong("a comma or the closing " + string(bracket))
	}
	s.pos++
	if c, err = s.peek(); err != nil {
		return false, err
	}
	if c == bracket {
		return false, s.wrong("a value after the comma")
	}
	return true, nil
}

// members consumes an object, calls member with the index of each name in
// names and skips all else. A name given twice is refused, because it cannot
// be known which of the two was meant.
func (s *scanner) members(names []string, member func(i int) error) error {
	var seen uint64
	return s.object(func(name []byte) error {
		for i, wanted := range names {
			if string(name) != wanted {
				continue
			}
			if seen&(1<<i) != 0 {
				return s.twice(wanted)
			}
			seen |= 1 << i
			return member(i)
		}
		return s.skip()
	})
}

// twice refuses a name given twice.
func (s *scanner) twice(name string) error {
	return badRequest("the request gives %q twice in one object, near byte %d, and it cannot be known which is meant; nothing was done: look at what sends it", clip(name), s.base+int64(s.pos))
}

// skip consumes and checks a value of any kind.
func (s *scanner) skip() error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '{':
		return s.skipObject()
	case '[':
		return s.array(s.skip)
	case '"':
		s.pos++
		_, err := s.quoted()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	return s.number()
}

// skipObject is object without a look at the names.
func (s *scanner) skipObject() error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.more('}', first)
		if err != nil || !more {
			return err
		}
		if err := s.expect('"', "a string"); err != nil {
			return err
		}
		if _, err := s.quoted(); err != nil {
			return err
		}
		if err := s.expect(':', "a colon"); err != nil {
			return err
		}
		if err := s.skip(); err != nil {
			return err
		}
	}
}

// literal consumes true, false or null.
func (s *scanner) literal(word string) error {
	for i := range len(word) {
		c, err := s.next()
		if err != nil {
			return err
		}
		if c != word[i] {
			s.pos--
			return s.wrong("the word " + word)
		}
	}
	return nil
}

// number consumes a number; what follows it is somebody else's to judge.
func (s *scanner) number() error {
	if err := s.fill(); err != nil {
		return err
	}
	if s.buf[s.pos] == '-' {
		s.pos++
	}
	c, err := s.next()
	switch {
	case err != nil:
		return err
	case c < '0' || c > '9':
		s.pos--
		return s.wrong("a value")
	case c != '0':
		if err := s.digits(); err != nil {
			return err
		}
	}
	if err := s.fill(); err != nil {
		return err
	}
	if s.buf[s.pos] == '.' {
		s.pos++
		if err := s.someDigits(); err != nil {
			return err
		}
	}
	if s.buf[s.pos]|0x20 != 'e' {
		return nil
	}
	s.pos++
	if err := s.fill(); err != nil {
		return err
	}
	if c := s.buf[s.pos]; c == '+' || c == '-' {
		s.pos++
	}
	return s.someDigits()
}

// someDigits consumes one digit or more, and leaves a byte unread.
func (s *scanner) someDigits() error {
	c, err := s.next()
	if err != nil {
		return err
	}
	if c < '0' || c > '9' {
		s.pos--
		return s.wrong("a digit")
	}
	return s.digits()
}

// digits consumes all digits that follow, and leaves a byte unread.
func (s *scanner) digits() error {
	for {
		if err := s.fill(); err != nil {
			return err
		}
		if c := s.buf[s.pos]; c < '0' || c > '9' {
			return nil
		}
		s.pos++
	}
}
