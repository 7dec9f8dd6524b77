// SPDX-License-Identifier: Apache-2.0

package http1

// BodyKind says how the end of a message's body is found.
type BodyKind uint8

const (
	// BodyUnknown: the head does not say, because it was cut before a framing
	// field or because its fields contradict each other.
	BodyUnknown BodyKind = iota
	// BodyNone: the message ends with its head.
	BodyNone
	// BodyLength: a known number of bytes follows the head.
	BodyLength
	// BodyChunked: chunked coding; see Chunked and EndsChunked.
	BodyChunked
	// BodyUntilClose: the body ends when the connection does.
	BodyUntilClose
	// BodyTunnel: the connection leaves HTTP after this head.
	BodyTunnel
)

// String returns "unknown", "none", "length", "chunked", "until_close" or "tunnel".
func (k BodyKind) String() string {
	names := [...]string{"unknown", "none", "length", "chunked", "until_close", "tunnel"}
	if int(k) < len(names) {
		return names[k]
	}
	return "invalid"
}

// ResponseBody says how the body of resp ends (RFC 9112 section 6.3). method is
// that of the request, empty if it was not seen. length is the number of body
// bytes for BodyLength, 0 for BodyNone, else -1.
//
// Of a head that is not Complete the answer is as good as what was captured,
// and the offset at which the body starts is not known.
func ResponseBody(method []byte, resp *Response) (kind BodyKind, length int64) {
	status := resp.Status
	switch {
	case status == 0:
		return BodyUnknown, -1
	case status == 101:
		return BodyTunnel, -1
	case status < 200, status == 204, status == 304, string(method) == "HEAD":
		return BodyNone, 0
	case status < 300 && string(method) == "CONNECT":
		return BodyTunnel, -1
	}
	if kind, length = resp.declared(); kind == BodyNone {
		return BodyUntilClose, -1
	}
	if resp.OtherCoding {
		return BodyUntilClose, -1
	}
	return kind, length
}

// RequestBody says how the body of req ends; the results are those of
// ResponseBody. A CONNECT request has no body; what follows it belongs to the
// tunnel.
func RequestBody(req *Request) (kind BodyKind, length int64) {
	if string(req.Method) == "CONNECT" {
		return BodyNone, 0
	}
	return req.declared()
}

// declared is the framing that the fields declare; BodyNone if they have none.
func (f *Framing) declared() (BodyKind, int64) {
	switch {
	case f.Chunked:
		return BodyChunked, -1
	case f.OtherCoding, f.AmbiguousLength:
		return BodyUnknown, -1
	case f.ContentLength >= 0:
		return BodyLength, f.ContentLength
	case !f.Complete:
		return BodyUnknown, -1
	}
	return BodyNone, 0
}
