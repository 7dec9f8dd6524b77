// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"
	"math"
)

// Errors of Chunked.
var (
	// ErrChunkSyntax: the bytes are not chunked coding.
	ErrChunkSyntax = errors.New("chunked body: malformed")
	// ErrChunkTooLong: a size line or the trailer section is over its limit.
	ErrChunkTooLong = errors.New("chunked body: line or trailer too long")
	// ErrChunkLost: bytes were skipped beyond the data of one chunk.
	ErrChunkLost = errors.New("chunked body: position lost")
)

type chunkState uint8

const (
	chunkSizeFirst  chunkState = iota // first digit of a size
	chunkSize                         // further digits
	chunkSizeSpace                    // white space after the size
	chunkExtension                    // after ';'
	chunkSizeLF                       // LF of the size line
	chunkData                         // size bytes of data
	chunkDataCR                       // line end after the data
	chunkDataLF                       // LF of it
	chunkTrailer                      // first byte of a trailer line
	chunkTrailerRow                   // rest of a trailer line
	chunkFinalLF                      // LF of the empty line
	chunkDone
	chunkFailed
)

// Chunked follows a body in chunked coding (RFC 9112 section 7.1) to its end.
// The zero value stands at the start of a body. It accepts any split, chunk
// extensions, trailers and bare LF line ends, and keeps none of the bytes.
type Chunked struct {
	err error
	// left is the size being read, then the data bytes still to come.
	left  int64
	data  int64
	line  int32 // bytes of the size line, or of the trailer section
	state chunkState
}

// Data returns the number of data bytes passed so far, framing not counted.
func (c *Chunked) Data() int64 { return c.data }

// Left returns how many data bytes of the current chunk are still to come.
func (c *Chunked) Left() int64 {
	if c.state != chunkData {
		return 0
	}
	return c.left
}

// Feed takes the next bytes of the body. consumed is the number that belongs to
// the body: less than len(b) only if the body is done or err is not nil. done
// reports that the last byte of the body was reached. After an error (one of
// ErrChunkSyntax, ErrChunkTooLong, ErrChunkLost) every call returns it.
func (c *Chunked) Feed(b []byte) (consumed int, done bool, err error) {
	i := 0
	for i < len(b) && c.state < chunkDone {
		if c.state == chunkData {
			n := min(c.left, int64(len(b)-i))
			c.advance(n)
			i += int(n)
			continue
		}
		if err := c.step(b[i]); err != nil {
			c.state, c.err = chunkFailed, err
			return i, false, err
		}
		i++
	}
	return i, c.state == chunkDone, c.err
}

// Skip says that n bytes follow that were not seen. It returns true if they lie
// within the data of the current chunk. Otherwise the position is lost: it
// returns false, and Feed returns ErrChunkLost from then on.
func (c *Chunked) Skip(n int64) bool {
	if n == 0 {
		return c.state != chunkFailed
	}
	if c.state == chunkData && n > 0 && n <= c.left {
		c.advance(n)
		return true
	}
	if c.state != chunkFailed {
		c.state, c.err = chunkFailed, ErrChunkLost
	}
	return false
}

// advance passes n <= left bytes of data.
func (c *Chunked) advance(n int64) {
	c.left -= n
	if c.data += n; c.data < 0 {
		c.data = math.MaxInt64 // sizes are hostile; their sum may not fit
	}
	if c.left == 0 {
		c.state = chunkDataCR
	}
}

// step takes one byte outside of chunk data.
func (c *Chunked) step(b byte) error {
	switch c.state {
	case chunkSizeFirst, chunkSize, chunkSizeSpace, chunkExtension:
		return c.stepSize(b)
	case chunkSizeLF:
		if b != '\n' {
			return ErrChunkSyntax
		}
		c.endSize()
	case chunkDataCR:
		switch b {
		case '\r':
			c.state = chunkDataLF
		case '\n':
			c.state = chunkSizeFirst
		default:
			return ErrChunkSyntax
		}
	case chunkDataLF:
		if b != '\n' {
			return ErrChunkSyntax
		}
		c.state = chunkSizeFirst
	default:
		return c.stepTrailer(b)
	}
	return nil
}

func (c *Chunked) stepSize(b byte) error {
	if c.line++; c.line > maxSizeLine {
		return ErrChunkTooLong
	}
	if c.state <= chunkSize {
		if d, ok := hexDigit(b); ok {
			if c.left > math.MaxInt64>>4 {
				return ErrChunkSyntax
			}
			c.left = c.left<<4 | int64(d)
			c.state = chunkSize
			return nil
		}
		if c.state == chunkSizeFirst {
			return ErrChunkSyntax
		}
	}
	switch {
	case b == '\n':
		c.endSize()
	case b == '\r':
		c.state = chunkSizeLF
	case c.state == chunkExtension:
		if !isReasonByte(b) {
			return ErrChunkSyntax
		}
	case b == ';':
		c.state = chunkExtension
	case b == ' ' || b == '\t':
		c.state = chunkSizeSpace
	default:
		return ErrChunkSyntax
	}
	return nil
}

// endSize acts on a finished size line.
func (c *Chunked) endSize() {
	c.line = 0
	if c.left == 0 {
		c.state = chunkTrailer
	} else {
		c.state = chunkData
	}
}

func (c *Chunked) stepTrailer(b byte) error {
	if c.line++; c.line > maxTrailer {
		return ErrChunkTooLong
	}
	switch c.state {
	case chunkTrailer:
		switch b {
		case '\n':
			c.state = chunkDone
		case '\r':
			c.state = chunkFinalLF
		default:
			c.state = chunkTrailerRow
		}
	case chunkTrailerRow:
		if b == '\n' {
			c.state = chunkTrailer
		}
	case chunkFinalLF:
		if b != '\n' {
			return ErrChunkSyntax
		}
		c.state = chunkDone
	}
	return nil
}

func hexDigit(c byte) (byte, bool) {
	if isDigit(c) {
		return c - '0', true
	}
	if c |= 0x20; c >= 'a' && c <= 'f' {
		return c - 'a' + 10, true
	}
	return 0, false
}

// EndsChunked reports whether tail, the last bytes of a write, looks like the
// end of a chunked body: a size of zero, which may have an extension, perhaps
// trailer fields, and an empty line. The size must be behind a line end or, without
// an extension, at the start of tail. Five bytes are enough for the usual
// "0\r\n\r\n"; seven also tell it from a size that ends in 0. Data can look the
// same, so this is only for when Chunked has lost its place.
func EndsChunked(tail []byte) bool {
	rest, ok := bytes.CutSuffix(tail, []byte("\r\n\r\n"))
	for ok {
		i := bytes.LastIndexByte(rest, '\n') + 1
		line := rest[i:]
		if isLastSize(line, i > 0) {
			return true
		}
		if i == 0 || !isTrailer(line) {
			return false
		}
		rest, ok = bytes.CutSuffix(rest[:i-1], []byte("\r"))
	}
	return false
}

// isLastSize: line is the size of the last chunk; whole if its start was seen.
func isLastSize(line []byte, whole bool) bool {
	after := bytes.TrimLeft(line, "0")
	if len(after) == len(line) || len(after) == 0 {
		return len(line) > 0 && len(after) == 0
	}
	after = bytes.TrimLeft(after, " \t")
	return whole && len(after) > 0 && after[0] == ';'
}

// isTrailer: line begins like a field.
func isTrailer(line []byte) bool {
	i := 0
	for i < len(line) && isTokenByte(line[i]) {
		i++
	}
	return i > 0 && i < len(line) && line[i] == ':'
}
