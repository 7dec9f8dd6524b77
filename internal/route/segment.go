// SPDX-License-Identifier: Apache-2.0

package route

import "bytes"

// Placeholders for whole segments.
const (
	phID    = "{id}"    // a number, or a number with a short prefix
	phUUID  = "{uuid}"  // RFC 9562, with or without dashes
	phHex   = "{hex}"   // 16 or more hexadecimal digits, or 8 with digits and letters
	phULID  = "{ulid}"  // 26 characters of Crockford's base 32
	phEmail = "{email}" // name@domain
	phDate  = "{date}"  // 2024-01-31, with or without a time
	phToken = "{token}" // long and opaque: base64url, base 62, keys with a prefix
	phIP    = "{ip}"    // an IPv4 address
	phLong  = "{long}"  // over maxSegment bytes
	phBin   = "{bin}"   // bytes that are not visible ASCII

	phHash = "{hash}" // part of a file name: app.{hash}.js
)

const (
	// maxSegment is the longest segment that is looked at, in bytes. It is the
	// length of a SHA-256 in hexadecimal digits.
	maxSegment = 64
	// minHex is the length from which hexadecimal digits are no word, and
	// minMixedHex if both digits and letters are among them.
	minHex, minMixedHex = 16, 8
	// minToken is the length from which an irregular string is a token.
	minToken = 24
	// longNumber is a number of digits that is no year and no size.
	longNumber = 5
)

// isPlaceholder reports whether a segment of a template stands for any value.
func isPlaceholder(seg string) bool {
	switch seg {
	case phID, phUUID, phHex, phULID, phEmail, phDate, phToken, phIP, phLong, phBin, "*":
		return true
	}
	return false
}

// isVersionHolder reports whether a number after this segment is a version of
// an interface (/api/2/issue, /rest/api/3/search), not an identifier.
func isVersionHolder(seg []byte) bool {
	return string(seg) == "api" || string(seg) == "rest"
}

// appendSegment appends what a template has in place of seg. whole reports that
// it is a placeholder and nothing else. inVersion: a small number is a version.
func appendSegment(dst, seg []byte, inVersion bool) (_ []byte, whole bool) {
	if !isVisible(seg) {
		return append(dst, phBin...), true
	}
	if i := bytes.IndexByte(seg, ';'); i > 0 {
		seg = seg[:i] // matrix parameters, as in ;jsessionid=…
	}
	if len(seg) > maxSegment {
		return append(dst, phLong...), true
	}
	if inVersion && len(seg) <= 2 {
		return append(dst, seg...), false
	}
	s := measure(seg)
	if ph := identifier(seg, &s); ph != "" {
		return append(dst, ph...), true
	}
	if i := bytes.IndexByte(seg, '('); i > 0 && i < len(seg)-2 && seg[len(seg)-1] == ')' {
		return append(append(dst, seg[:i]...), "("+phID+")"...), false // OData key: Users(42)
	}
	if s.digits == 0 || isVersion(seg) {
		return append(dst, seg...), false
	}
	if out, ok := appendParts(dst, seg); ok {
		return out, false
	}
	if isPrefixedNumber(seg) {
		return append(dst, phID...), true
	}
	if isToken(seg, &s) {
		return append(dst, phToken...), true
	}
	return append(dst, seg...), false
}

func isVisible(seg []byte) bool {
	for _, c := range seg {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// identifier returns the placeholder of a string that is an identifier of a
// definite form, else "". The order matters: the narrower form comes first.
func identifier(b []byte, s *shape) string {
	if s.others > 0 && isEmail(b) { // the @
		return phEmail
	}
	if s.digits == 0 {
		if s.hexLetters == len(b) && len(b) >= minHex {
			return phHex
		}
		return ""
	}
	switch {
	case isNumber(b, s):
		return phID
	case isUUID(b, s):
		return phUUID
	case isDate(b):
		return phDate
	case isIPv4(b):
		return phIP
	case isHex(b, s):
		return phHex
	case isULID(b, s):
		return phULID
	case isJWT(b):
		return phToken
	}
	return ""
}
