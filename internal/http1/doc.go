// SPDX-License-Identifier: Apache-2.0

// Package http1 parses the heads of HTTP/1 messages and follows the framing of
// their bodies (RFC 9110, RFC 9112). It only observes: what it is given may be
// cut at the capture limit, may start in the middle of something else, and may
// be hostile. Nothing here allocates, reads a clock or keeps the input.
//
// The first line decides whether bytes are HTTP at all. Field lines are read
// leniently: a malformed one is passed over, because the peers have already
// agreed on its meaning, and a field counts only once its line end was seen.
package http1

// Limits of what is accepted, in bytes unless stated.
const (
	// maxMethod bounds a method; the longest registered one has 17 bytes.
	maxMethod = 32
	// maxScheme bounds the scheme of an absolute-form target.
	maxScheme = 16
	// maxLeadingLines is the number of empty lines allowed before a request
	// (RFC 9112 section 2.2 asks for at least one).
	maxLeadingLines = 8
	// maxSizeLine bounds a chunk-size line with its extensions.
	maxSizeLine = 4 << 10
	// maxTrailer bounds the whole trailer section of a chunked body.
	maxTrailer = 64 << 10
)

// Verdict says what the bytes given to a parser are.
type Verdict uint8

const (
	// VerdictInvalid: not the start of an HTTP/1 message of the asked kind.
	VerdictInvalid Verdict = iota
	// VerdictPartial: a prefix of a valid first line, whose end was not seen.
	VerdictPartial
	// VerdictOK: the first line is complete and valid; the fields after it may
	// be cut (see Framing.Complete).
	VerdictOK
)

// String returns "invalid", "partial" or "ok".
func (v Verdict) String() string {
	switch v {
	case VerdictOK:
		return "ok"
	case VerdictPartial:
		return "partial"
	default:
		return "invalid"
	}
}
