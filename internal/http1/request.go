// SPDX-License-Identifier: Apache-2.0

package http1

import "bytes"

// Request is the head of a request. Its slices point into the parsed bytes.
type Request struct {
	Framing
	// Method as sent, at most 32 bytes; nil while its end was not seen.
	Method []byte
	// Target as sent: origin, absolute, authority or asterisk form, with its
	// query; bytes from 0x21 on except 0x7f.
	Target []byte
	// Host is the value of the first Host field; nil if absent, empty, not
	// captured, or not made of visible ASCII.
	Host []byte
	// Skipped counts the bytes before the request line: empty lines and a
	// PROXY protocol header (version 1 or 2). HeadLen includes them.
	Skipped int
	// ProtoMinor is x of HTTP/1.x, 0 to 9.
	ProtoMinor uint8
	// TargetCut: the target's end was not seen; Target is a prefix, maybe empty.
	TargetCut bool
	// ExpectContinue: "Expect: 100-continue" was sent.
	ExpectContinue bool
}

// ParseRequest reads the head of a request from b into r, which it resets first.
//
// VerdictOK: the request line is valid; fields and body framing are as far as
// they were captured. VerdictPartial: the request line has no end yet; Method,
// Target and ProtoMinor are filled as far as they are certain. VerdictInvalid:
// not a request of HTTP/1; r is the zero value.
//
// Lines may end in a bare LF. HTTP/0.9 is not accepted.
func ParseRequest(b []byte, r *Request) Verdict {
	*r = Request{Framing: Framing{ContentLength: -1}}
	start, v := skipPreamble(b)
	r.Skipped = start
	if v == VerdictOK {
		var next int
		if next, v = r.parseLine(b, start); v == VerdictOK {
			r.parseFields(b, next)
		}
	}
	if v == VerdictInvalid {
		*r = Request{}
	}
	return v
}

// parseLine reads the request line at b[i:] and returns the offset after it.
func (r *Request) parseLine(b []byte, i int) (int, Verdict) {
	start := i
	for i < len(b) && isTokenByte(b[i]) {
		i++
	}
	if i-start > maxMethod {
		return 0, VerdictInvalid
	}
	if i == len(b) {
		r.TargetCut = true
		return 0, VerdictPartial
	}
	if i == start || b[i] != ' ' {
		return 0, VerdictInvalid
	}
	r.Method = b[start:i:i]
	i++
	start = i
	for i < len(b) && b[i] > ' ' && b[i] != 0x7f {
		i++
	}
	cut := i == len(b)
	if !cut && b[i] != ' ' {
		return 0, VerdictInvalid
	}
	r.Target = b[start:i:i]
	if !validTarget(r.Method, r.Target, cut) {
		return 0, VerdictInvalid
	}
	if cut {
		r.TargetCut = true
		return 0, VerdictPartial
	}
	i++
	minor, n, v := parseVersion(b[i:])
	r.ProtoMinor = minor
	return i + n, v
}

// parseVersion reads "HTTP/1.x" and a line end, and returns the bytes they take.
func parseVersion(b []byte) (minor uint8, n int, v Verdict) {
	minor, v = parseProto(b)
	if v != VerdictOK {
		return 0, 0, v
	}
	n, v = lineEnd(b, protoLen)
	return minor, n, v
}

const (
	protoName = "HTTP/1."
	protoLen  = len(protoName) + 1
)

// parseProto reads "HTTP/1.x" at the start of b.
func parseProto(b []byte) (minor uint8, v Verdict) {
	if len(b) < protoLen {
		n := min(len(b), len(protoName))
		if string(b[:n]) == protoName[:n] {
			return 0, VerdictPartial
		}
		return 0, VerdictInvalid
	}
	if string(b[:len(protoName)]) != protoName || !isDigit(b[protoLen-1]) {
		return 0, VerdictInvalid
	}
	return b[protoLen-1] - '0', VerdictOK
}

// lineEnd expects CRLF or LF at b[i:] and returns the offset after it.
func lineEnd(b []byte, i int) (int, Verdict) {
	if i < len(b) && b[i] == '\r' {
		i++
	}
	switch {
	case i >= len(b):
		return 0, VerdictPartial
	case b[i] == '\n':
		return i + 1, VerdictOK
	}
	return 0, VerdictInvalid
}

// validTarget checks the form of a request target (RFC 9112 section 3.2); of a
// cut one it checks that it can still become valid.
func validTarget(method, t []byte, cut bool) bool {
	if len(t) == 0 {
		return cut
	}
	switch {
	case t[0] == '/':
		return true
	case t[0] == '*':
		return len(t) == 1
	case string(method) == "CONNECT":
		return validAuthority(t, cut)
	}
	return validAbsolute(t, cut)
}

// validAuthority accepts host:port.
func validAuthority(t []byte, cut bool) bool {
	for _, c := range t {
		if c == '/' || c == '?' || c == '#' || c == '@' {
			return false
		}
	}
	if cut {
		return true
	}
	colon := bytes.LastIndexByte(t, ':')
	port := t[colon+1:]
	if colon <= 0 || len(port) == 0 || len(port) > 5 {
		return false
	}
	for _, c := range port {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// validAbsolute accepts scheme://rest with a rest of at least one byte.
func validAbsolute(t []byte, cut bool) bool {
	i := 0
	for i < len(t) && isSchemeByte(t[i], i == 0) {
		i++
	}
	if i == 0 || i > maxScheme {
		return false
	}
	const mark = "://"
	rest := t[i:]
	if len(rest) <= len(mark) {
		return cut && string(rest) == mark[:len(rest)]
	}
	return string(rest[:len(mark)]) == mark
}

func isSchemeByte(c byte, first bool) bool {
	if l := c | 0x20; l >= 'a' && l <= 'z' {
		return true
	}
	return !first && (isDigit(c) || c == '+' || c == '-' || c == '.')
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// Bit masks of the token bytes of RFC 9110 section 5.6.2, for 0x00 to 0x3f and
// 0x40 to 0x7f: !#$%&'*+-. digits, and letters ^_`|~.
const (
	tokenLow  = 0x03ff6cfa_00000000
	tokenHigh = 0x57ffffff_c7fffffe
)

func isTokenByte(c byte) bool {
	switch {
	case c < 0x40:
		return uint64(tokenLow)>>c&1 != 0
	case c < 0x80:
		return uint64(tokenHigh)>>(c-0x40)&1 != 0
	}
	return false
}
