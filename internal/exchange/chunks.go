// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// ending is what the last bytes of a chunked body look like.
type ending uint8

const (
	endingUnknown ending = iota // they were not seen
	endingBlank                 // an empty line, as behind a trailer or an extension
	endingOpen                  // something else
)

// endingOf judges tail, the last bytes that were seen.
func endingOf(tail []byte) ending {
	const blank = "\r\n\r\n"
	n := min(len(tail), len(blank))
	switch {
	case string(tail[len(tail)-n:]) != blank[len(blank)-n:]:
		return endingOpen
	case n < len(blank):
		return endingUnknown
	}
	return endingBlank
}

// feedChunks follows a chunked body over data at off and the bytes up to
// r.RespEnd that were not captured, of which the last are known. Where it loses
// its place, these decide.
func (e *exchange) feedChunks(r *events.Record, off uint64, data []byte) {
	if e.hasEnd {
		return
	}
	if len(data) == 0 { // all up to r.RespEnd was only counted
		off = e.chunkPos
	}
	e.follow(off, data)
	if e.hasEnd {
		return
	}
	tail := r.Tail
	if e.chunkPos < r.RespEnd {
		n := min(uint64(len(tail)), r.RespEnd-e.chunkPos)
		e.follow(r.RespEnd-n, tail[uint64(len(tail))-n:])
	}
	if len(data) > len(tail) && off+uint64(len(data)) == r.RespEnd {
		tail = data
	}
	if len(r.Tail) > 0 && r.TailOpen {
		e.last = endingOpen
		return
	}
	e.last = endingOf(tail)
	if !e.hasEnd && e.lost() && len(tail) >= 7 && http1.EndsChunked(tail) {
		e.hasEnd, e.bodyEnd = true, r.RespEnd
	}
}

// follow passes what lies before off, and takes data.
func (e *exchange) follow(off uint64, data []byte) {
	if off < e.chunkPos {
		data = data[min(e.chunkPos-off, uint64(len(data))):]
		off = e.chunkPos
	}
	e.chunks.Skip(int64(off - e.chunkPos))
	n, done, _ := e.chunks.Feed(data)
	if done {
		e.hasEnd, e.bodyEnd = true, off+uint64(n)
	}
	e.chunkPos = off + uint64(len(data))
}

// lost: it is not known where in its chunked body the response is.
func (e *exchange) lost() bool {
	_, _, err := e.chunks.Feed(nil)
	return err != nil
}

// surelyCut: the bytes seen of the chunked body do not end it. An end is lost
// where its bytes cannot be read (sendfile, too many pieces of one call), and
// behind an extension or a trailer there is only an empty line to see.
func (e *exchange) surelyCut() bool { return !e.lost() || e.last == endingOpen }
