// SPDX-License-Identifier: Apache-2.0

package route

import "bytes"

// shape counts what a segment is made of.
type shape struct {
	digits, lower, upper int
	// hexLetters are the letters a to f of either case.
	hexLetters int
	// separators are - _ ~ = and +, which tokens may have; others are all
	// remaining bytes.
	separators, others int
	// switches counts neighbours of which one is a digit and one a letter;
	// changes counts neighbours of different kinds (digit, lower, upper). Words
	// have few, random strings many.
	switches, changes int
}

const (
	kindNone = iota
	kindDigit
	kindLower
	kindUpper
)

func measure(b []byte) shape {
	var s shape
	last := kindNone
	for _, c := range b {
		kind := kindNone
		switch {
		case isDigit(c):
			kind = kindDigit
			s.digits++
		case c >= 'a' && c <= 'z':
			kind = kindLower
			s.lower++
		case c >= 'A' && c <= 'Z':
			kind = kindUpper
			s.upper++
		case c == '-' || c == '_' || c == '~' || c == '=' || c == '+':
			s.separators++
		default:
			s.others++
		}
		if kind >= kindLower && c|0x20 <= 'f' {
			s.hexLetters++
		}
		if kind != last && kind != kindNone && last != kindNone {
			s.changes++
			if kind == kindDigit || last == kindDigit {
				s.switches++
			}
		}
		last = kind
	}
	return s
}

// isNumber accepts 42, -42, +42, 48.8566 (three decimals and more; fewer may be
// a version) and lists like 1,2,3.
func isNumber(b []byte, s *shape) bool {
	if s.digits == len(b) {
		return true
	}
	if s.lower+s.upper > 0 {
		return false
	}
	commas, dots, decimals := 0, 0, 0
	for i, c := range b {
		switch {
		case isDigit(c):
			decimals++
		case c == ',':
			commas++
		case c == '.':
			dots++
			decimals = 0
		case (c == '-' || c == '+') && (i == 0 || b[i-1] == ','):
		default:
			return false
		}
	}
	return commas > 0 || dots == 0 || dots == 1 && decimals >= 3
}

const uuidLen = 36

func isUUID(b []byte, s *shape) bool {
	if len(b) == 32 {
		return s.digits+s.hexLetters == 32
	}
	return len(b) == uuidLen && s.digits+s.hexLetters == 32 &&
		b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-'
}

func isHex(b []byte, s *shape) bool {
	n := len(b)
	if n > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		n -= 2
		return n >= minMixedHex && s.digits+s.hexLetters == n+1
	}
	return s.digits+s.hexLetters == n && (n >= minHex || n >= minMixedHex && s.hexLetters > 0)
}

// isULID follows github.com/ulid/spec: 26 digits of Crockford's base 32, of
// which the first is at most 7.
func isULID(b []byte, s *shape) bool {
	if len(b) != 26 || s.digits+s.lower+s.upper != 26 || b[0] > '7' || s.lower > 0 && s.upper > 0 {
		return false
	}
	for _, c := range b {
		switch c | 0x20 {
		case 'i', 'l', 'o', 'u':
			return false
		}
	}
	return true
}

const dateLen = len("2024-01-31")

// isDate accepts a year of 1000 to 2999 with month and day, alone or before T.
func isDate(b []byte) bool {
	if len(b) < dateLen || b[4] != '-' || b[7] != '-' || len(b) > dateLen && (b[dateLen]|0x20 != 't' || len(b) > len("2024-01-31T12:00:00.000000000+00:00")) {
		return false
	}
	for i, c := range b[:dateLen] {
		if i != 4 && i != 7 && !isDigit(c) {
			return false
		}
	}
	month, day := int(b[5]-'0')*10+int(b[6]-'0'), int(b[8]-'0')*10+int(b[9]-'0')
	return (b[0] == '1' || b[0] == '2') && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

func isIPv4(b []byte) bool {
	dots, n, digits := 0, 0, 0
	for _, c := range b {
		switch {
		case isDigit(c):
			n = n*10 + int(c-'0')
			if digits++; digits > 3 || n > 255 {
				return false
			}
		case c == '.' && digits > 0:
			dots++
			n, digits = 0, 0
		default:
			return false
		}
	}
	return dots == 3 && digits > 0
}

// isVersion accepts v1, v2.1, V3, v1beta1, v20240131.
func isVersion(b []byte) bool {
	return len(b) > 1 && len(b) <= 12 && b[0]|0x20 == 'v' && isDigit(b[1])
}

// isEmail accepts name@domain, also with an encoded @, whose last label is two
// letters or more (package@1.2.3 is not one).
func isEmail(b []byte) bool {
	at, domain := bytes.IndexByte(b, '@'), 1
	if at < 0 {
		at, domain = bytes.Index(b, []byte("%40")), 3
	}
	if at <= 0 {
		return false
	}
	host := b[at+domain:]
	dot := bytes.LastIndexByte(host, '.')
	if dot <= 0 || len(host)-dot-1 < 2 {
		return false
	}
	for i, c := range host {
		if !isLetter(c) && (i > dot || !isDigit(c) && c != '-' && c != '.') {
			return false
		}
	}
	return true
}

// isJWT accepts a short JSON Web Token (RFC 7519): its first part is {" in base64url.
func isJWT(b []byte) bool {
	return len(b) >= minToken && bytes.HasPrefix(b, []byte("eyJ")) && bytes.IndexByte(b, '.') > 0
}

// isToken accepts long irregular strings: base64url, base 62 and base 36 keys,
// and keys after a short lower-case prefix (cus_NffrFeUfNV2Hib).
// How irregular they must be was chosen so that names made of words and numbers
// (sha256, OAuth2, us-east-1) stay below.
func isToken(b []byte, s *shape) bool {
	if s.others > 0 || s.lower+s.upper == 0 {
		return false
	}
	n := len(b)
	mixed := s.lower > 0 && s.upper > 0
	if n >= minToken {
		if s.switches >= 5 || s.separators == 0 && s.switches >= 4 {
			return true
		}
		if mixed && 20*s.changes >= 9*n {
			return true
		}
	}
	if n >= minHex && (s.separators == 0 && s.switches >= 5 || mixed && s.digits >= 2 && 2*s.changes >= n) {
		return true
	}
	return isPrefixedKey(b)
}

func isPrefixedKey(b []byte) bool {
	const minKey, maxPrefix = 12, 8
	i := bytes.LastIndexByte(b, '_')
	if i < 2 || i > maxPrefix || len(b)-i-1 < minKey {
		return false
	}
	for _, c := range b[:i] {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	s := measure(b[i+1:])
	return s.separators == 0 && s.digits > 0 && s.upper > 0 && s.lower > 0 && 20*s.changes >= 9*(len(b)-i-1)
}

// isPrefixedNumber accepts numbers that carry a name: B00012345, user_1234,
// PROJ-42, 12345-a-title, a-title-12345, sg-903004f8. Short numbers after a
// lower-case word (orders-2, top-100, sha256) are part of the word.
func isPrefixedNumber(b []byte) bool {
	const minAfterWord, minAfterCapitals, shortPrefix = 4, 2, 5
	lead := 0
	for lead < len(b) && isDigit(b[lead]) {
		lead++
	}
	if lead >= longNumber && lead < len(b) && (b[lead] == '-' || b[lead] == '_') {
		return true
	}
	start := len(b)
	for start > 0 && isDigit(b[start-1]) {
		start--
	}
	tail := len(b) - start
	if start == 0 {
		return false
	}
	prefix := b[:start]
	if c := b[start-1]; c != '-' && c != '_' {
		p := measure(prefix)
		return tail >= longNumber && p.lower+p.upper == start && start <= shortPrefix || endsInHex(b)
	}
	prefix = prefix[:start-1]
	p := measure(prefix)
	switch {
	case len(prefix) == 0 || tail == 0:
		return false
	case tail >= longNumber:
		return true
	case p.upper == len(prefix) && p.upper >= 2:
		return tail >= minAfterCapitals
	}
	return tail >= minAfterWord && p.lower+p.upper == len(prefix) && len(prefix) <= shortPrefix
}

// endsInHex accepts a prefix, a separator and hexadecimal digits.
func endsInHex(b []byte) bool {
	i := bytes.LastIndexAny(b, "-_")
	if i <= 0 {
		return false
	}
	tail := b[i+1:]
	s := measure(tail)
	return s.digits > 0 && s.hexLetters > 0 && isHex(tail, &s)
}

func isDigit(c byte) bool  { return c-'0' <= 9 }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
