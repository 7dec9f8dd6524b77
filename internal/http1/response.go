// SPDX-License-Identifier: Apache-2.0

package http1

// Response is the head of a response.
type Response struct {
	Framing
	// Status is the status code, 100 to 999; 0 while it was not seen.
	Status uint16
	// ProtoMinor is x of HTTP/1.x, 0 to 9.
	ProtoMinor uint8
	// HTTP2: the Upgrade field is "h2c".
	HTTP2 bool
}

// ParseResponse reads the head of a response from b into r, which it resets
// first. The verdicts are those of ParseRequest. The reason phrase may be
// absent, with or without the space before it.
func ParseResponse(b []byte, r *Response) Verdict {
	*r = Response{Framing: Framing{ContentLength: -1}}
	next, v := r.parseLine(b)
	switch v {
	case VerdictOK:
		r.parseFields(b, next)
	case VerdictInvalid:
		*r = Response{}
	}
	return v
}

// parseLine reads the status line and returns the offset after it.
func (r *Response) parseLine(b []byte) (int, Verdict) {
	minor, v := parseProto(b)
	if v != VerdictOK {
		return 0, v
	}
	r.ProtoMinor = minor
	i := protoLen
	if i == len(b) {
		return 0, VerdictPartial
	}
	if b[i] != ' ' {
		return 0, VerdictInvalid
	}
	i++
	var status uint16
	for end := i + 3; i < end; i++ {
		if i == len(b) {
			return 0, VerdictPartial
		}
		if !isDigit(b[i]) || status == 0 && b[i] == '0' {
			return 0, VerdictInvalid
		}
		status = status*10 + uint16(b[i]-'0')
	}
	if i == len(b) {
		return 0, VerdictPartial
	}
	if b[i] == ' ' {
		for i < len(b) && isReasonByte(b[i]) {
			i++
		}
	}
	next, v := lineEnd(b, i)
	if v != VerdictInvalid {
		r.Status = status
	}
	return next, v
}

func isReasonByte(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }
