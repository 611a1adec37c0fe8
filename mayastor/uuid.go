package mayastor

// uuidText is the length of a uuid as text: 8-4-4-4-12 hexadecimal digits.
const uuidText = 36

// indexUUID returns where the first uuid in lower-case hexadecimal begins in s,
// or -1. Only of such a one the text can be made again from its 16 bytes.
func indexUUID(s string) int {
	for i := range len(s) - uuidText + 1 {
		if s[i+8] == '-' && isUUID(s[i:i+uuidText]) {
			return i
		}
	}
	return -1
}

func isUUID(s string) bool {
	for i := range uuidText {
		c := s[i]
		if dash(i) {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func dash(i int) bool { return i == 8 || i == 13 || i == 18 || i == 23 }

// parseUUID reads the uuid with which s begins.
func parseUUID(s string) (u [16]byte) {
	k := 0
	for i := range uuidText {
		if dash(i) {
			continue
		}
		c := s[i] - '0'
		if c > 9 {
			c = s[i] - 'a' + 10
		}
		u[k/2] = u[k/2]<<4 | c
		k++
	}
	return u
}

// uuidString is the text of 16 bytes.
func uuidString(u string) string {
	const digits = "0123456789abcdef"
	var b [uuidText]byte
	k := 0
	for i := range b {
		if dash(i) {
			b[i] = '-'
			continue
		}
		c := u[k/2]
		if k%2 == 0 {
			c >>= 4
		}
		b[i] = digits[c&15]
		k++
	}
	return string(b[:])
}
