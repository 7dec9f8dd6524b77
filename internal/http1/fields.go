// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"math"
)

// Framing is what a head says about its own end and about its body.
type Framing struct {
	// ContentLength in bytes, 0 to math.MaxInt64; -1 if there is none, if it is
	// ambiguous, or if a transfer coding overrides it.
	ContentLength int64
	// HeadLen counts the bytes up to and including the empty line; 0 if the
	// head is not Complete.
	HeadLen int
	// Complete: the head's empty line was among the bytes.
	Complete bool
	// Chunked: the last transfer coding is chunked.
	Chunked bool
	// OtherCoding: there is a transfer coding, but the last one is not chunked.
	OtherCoding bool
	// AmbiguousLength: Content-Length is malformed, does not fit, or has
	// different values.
	AmbiguousLength bool
	// Credentials: there is an Authorization, Proxy-Authorization, Cookie or
	// Set-Cookie field among the bytes. Their values are not kept.
	Credentials bool
}

// parseFields reads the field lines that start at b[i].
func (r *Request) parseFields(b []byte, i int) {
	for i < len(b) {
		line, next := r.nextLine(b, i)
		if next < 0 {
			break
		}
		// No other name of interest starts with one of these letters.
		switch b[i] | 0x20 {
		case 'h':
			if hasName(line, "host") && r.Host == nil {
				r.Host = visible(fieldValue(b, i+len("host:"), next))
			}
		case 'a':
			r.Credentials = r.Credentials || hasName(line, "authorization")
		case 'p':
			r.Credentials = r.Credentials || hasName(line, "proxy-authorization")
		case 'c':
			if hasName(line, "content-length") {
				r.addLength(fieldValue(b, i+len("content-length:"), next))
			} else if hasName(line, "cookie") {
				r.Credentials = true
			}
		case 't':
			if hasName(line, "transfer-encoding") {
				r.addCodings(fieldValue(b, i+len("transfer-encoding:"), next))
			}
		case 'e':
			if hasName(line, "expect") && equalFold(fieldValue(b, i+len("expect:"), next), "100-continue") {
				r.ExpectContinue = true
			}
		}
		i = next
	}
	r.settle()
}

// parseFields reads the field lines that start at b[i].
func (r *Response) parseFields(b []byte, i int) {
	for i < len(b) {
		line, next := r.nextLine(b, i)
		if next < 0 {
			break
		}
		switch b[i] | 0x20 {
		case 's':
			r.Credentials = r.Credentials || hasName(line, "set-cookie")
		case 'c':
			if hasName(line, "content-length") {
				r.addLength(fieldValue(b, i+len("content-length:"), next))
			}
		case 't':
			if hasName(line, "transfer-encoding") {
				r.addCodings(fieldValue(b, i+len("transfer-encoding:"), next))
			}
		case 'u':
			if hasName(line, "upgrade") {
				r.HTTP2 = equalFold(fieldValue(b, i+len("upgrade:"), next), "h2c")
			}
		}
		i = next
	}
	r.settle()
}

// nextLine returns the line at b[i:], with its LF, and the offset after it. At
// the empty line it completes the head. next is -1 when there is nothing more.
func (f *Framing) nextLine(b []byte, i int) (line []byte, next int) {
	switch b[i] {
	case '\n', '\r':
		if end, v := lineEnd(b, i); v == VerdictOK {
			f.Complete, f.HeadLen = true, end
			return nil, -1
		}
	}
	n := bytes.IndexByte(b[i:], '\n')
	if n < 0 {
		return nil, -1
	}
	return b[i : i+n+1], i + n + 1
}

// settle applies "Transfer-Encoding overrides Content-Length" (RFC 9112
// section 6.3), whatever their order was.
func (f *Framing) settle() {
	if f.Chunked || f.OtherCoding {
		f.ContentLength, f.AmbiguousLength = -1, false
	} else if f.AmbiguousLength {
		f.ContentLength = -1
	}
}

// addLength merges one Content-Length value: a number or a list of equal ones.
func (f *Framing) addLength(v []byte) {
	for more := true; more; {
		var elem []byte
		elem, v, more = cutList(v)
		n, ok := parseLength(elem)
		if !ok || f.ContentLength >= 0 && f.ContentLength != n {
			f.AmbiguousLength = true
			return
		}
		f.ContentLength = n
	}
}

func parseLength(v []byte) (int64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range v {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// addCodings merges one Transfer-Encoding value; the last coding counts.
// "identity" (RFC 2616) means no coding.
func (f *Framing) addCodings(v []byte) {
	for more := true; more; {
		var elem []byte
		elem, v, more = cutList(v)
		if i := bytes.IndexByte(elem, ';'); i >= 0 {
			elem = trim(elem[:i])
		}
		if len(elem) == 0 || equalFold(elem, "identity") {
			continue
		}
		f.Chunked = equalFold(elem, "chunked")
		f.OtherCoding = !f.Chunked
	}
}

// hasName reports whether a field line has the given name (lower case,
// letters and dashes only).
func hasName(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && equalFold(line[:len(name)], name)
}

// equalFold compares with a lower-case string of letters, digits and dashes.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		// The second condition refuses CR, which the bit turns into a dash,
		// and what it turns into digits.
		if c|0x20 != lower[i] || c < 0x20 {
			return false
		}
	}
	return true
}

// fieldValue returns the value that starts at b[i], trimmed; the line's end is
// b[next]. A value that was folded over several lines (obs-fold) keeps its line
// breaks, which trim and cutList treat as white space.
func fieldValue(b []byte, i, next int) []byte {
	for next < len(b) && (b[next] == ' ' || b[next] == '\t') {
		n := bytes.IndexByte(b[next:], '\n')
		if n < 0 {
			break
		}
		next += n + 1
	}
	return trim(b[i:next])
}

// cutList returns the first element of a comma-separated list, trimmed.
func cutList(v []byte) (elem, rest []byte, more bool) {
	for i, c := range v {
		if c == ',' {
			return trim(v[:i]), v[i+1:], true
		}
	}
	return trim(v), nil, false
}

func trim(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v[:len(v):len(v)]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// visible returns v, or nil if v is empty or has a byte that is not visible ASCII.
func visible(v []byte) []byte {
	for _, c := range v {
		if c <= ' ' || c > '~' {
			return nil
		}
	}
	if len(v) == 0 {
		return nil
	}
	return v
}
