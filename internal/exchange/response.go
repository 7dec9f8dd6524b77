// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// beginResponse takes a piece that begins like a response.
func (t *Tracker) beginResponse(c *conn, r *events.Record) {
	if len(c.queue) > 0 && c.queue[0].begun {
		e := c.queue[0]
		switch {
		case e.hasEnd && r.RespOff < e.bodyEnd, e.chunksGoOn(r.RespOff):
			t.stats.InsideBody++
			t.continueResponse(c, r)
			return
		case e.headDone && e.body != http1.BodyUnknown || e.status >= 200:
			t.finish(c, t.endBefore(e, r), r.PrevNS, outcomeOf(e.status))
		}
	}
	t.feed(c, r, r.RespOff, r.RespData)
}

// chunksGoOn: the chunked body is followed exactly and does not end before off.
func (e *exchange) chunksGoOn(off uint64) bool {
	if !e.headDone || e.body != http1.BodyChunked || e.chunkPos > off {
		return false
	}
	probe := e.chunks
	return probe.Skip(int64(off-e.chunkPos)) && e.chunkPos < off
}

// endBefore is the end of e when the next response begins at r.RespOff.
func (t *Tracker) endBefore(e *exchange, r *events.Record) uint64 {
	if e.hasEnd {
		return e.bodyEnd
	}
	return r.RespOff
}

// feed gives data at off to the response at the head of the queue, and goes on
// with the next one where the data holds more than one.
func (t *Tracker) feed(c *conn, r *events.Record, off uint64, data []byte) {
	for {
		if len(c.queue) == 0 {
			if off < c.respPos {
				return // the end of something already told
			}
			if !t.addOrphan(c, r, data) {
				return
			}
		}
		e := c.queue[0]
		if !e.begun {
			e.begun = true
			e.respOff, e.msgOff, e.buf = off, off, nil
		}
		e.respEnd, e.lastNS = r.RespEnd, r.NowNS
		if !e.headDone {
			if !t.readResponseHead(c, e, r, off, data) {
				return
			}
		} else if e.body == http1.BodyChunked {
			e.feedChunks(r, off, data)
		}
		if !e.ended(r) {
			return
		}
		end := e.bodyEnd
		if e.body == http1.BodyTunnel {
			t.finish(c, end, r.NowNS, events.OutcomeUpgraded)
			return
		}
		t.finish(c, end, r.NowNS, outcomeOf(e.status))
		if end >= r.RespEnd {
			return
		}
		// More bytes in this piece: the next pipelined response.
		if end < off || end-off >= uint64(len(data)) {
			t.unseenResponse(c)
			return
		}
		data, off = data[end-off:], end
	}
}

// addOrphan starts an exchange for a response without a request.
func (t *Tracker) addOrphan(c *conn, r *events.Record, data []byte) bool {
	if v := http1.ParseResponse(data, &t.resp); v == http1.VerdictInvalid {
		t.stats.InsideBody++
		return false
	}
	t.stats.Orphans++
	e := t.push(c)
	if e == nil {
		return false
	}
	e.flags |= events.FlagNoRequest
	e.pid, e.tid = r.PID, r.TID
	return true
}

// unseenResponse drops the request whose response head was not captured.
func (t *Tracker) unseenResponse(c *conn) {
	if len(c.queue) > 0 {
		t.stats.Unseen++
		t.drop(c)
	}
}

// readResponseHead adds data to the head and reads it. False: nothing more to do.
func (t *Tracker) readResponseHead(c *conn, e *exchange, r *events.Record, off uint64, data []byte) bool {
	have := e.msgOff + uint64(len(e.buf))
	switch {
	case off == have && len(e.buf) == 0:
		e.buf = data
		e.ownBuf()
	case off == have:
		e.buf = append(e.buf, data...)
	case off < have:
		return false // told before
	default: // a record between was lost: this piece is what there is
		e.msgOff, e.buf = off, data
		e.ownBuf()
	}
	cut := r.RespEnd > e.msgOff+uint64(len(e.buf))
	for {
		v := http1.ParseResponse(e.buf, &t.resp)
		if v == http1.VerdictInvalid {
			t.stats.NotHTTP++
			t.drop(c)
			return false
		}
		interim := t.resp.Status < 200 && t.resp.Status != 101
		if v == http1.VerdictOK && t.resp.Complete && interim {
			e.buf = e.buf[t.resp.HeadLen:]
			e.msgOff += uint64(t.resp.HeadLen)
			if len(e.buf) > 0 {
				continue
			}
			return false
		}
		if v == http1.VerdictOK && !interim && e.status == 0 {
			e.status, e.minor, e.firstNS = t.resp.Status, t.resp.ProtoMinor, r.NowNS
		}
		if !t.resp.Complete {
			if cut { // the rest of the head was not captured
				e.headDone, e.body, e.buf = true, http1.BodyUnknown, nil
			}
			return cut
		}
		t.readBodyKind(e, r)
		return true
	}
}

// ownBuf notes that buf is borrowed again.
func (e *exchange) ownBuf() {
	if e.owned {
		e.owned = false
	}
}

// readBodyKind decides how the body of the complete head in t.resp ends.
func (t *Tracker) readBodyKind(e *exchange, r *events.Record) {
	bodyOff := e.msgOff + uint64(t.resp.HeadLen)
	rest := e.buf[t.resp.HeadLen:]
	e.headDone, e.buf = true, nil
	kind, length := http1.ResponseBody(e.method, &t.resp)
	e.body = kind
	switch kind {
	case http1.BodyNone, http1.BodyTunnel:
		e.hasEnd, e.bodyEnd = true, bodyOff
	case http1.BodyLength:
		e.hasEnd, e.bodyEnd = true, bodyOff+uint64(length)
	case http1.BodyChunked:
		e.chunks, e.chunkPos = http1.Chunked{}, bodyOff
		e.feedChunks(r, bodyOff, rest)
	}
}

// feedChunks follows a chunked body over data at off and the bytes up to
// r.RespEnd that were not captured. Where it loses its place, the last bytes of
// the stream decide.
func (e *exchange) feedChunks(r *events.Record, off uint64, data []byte) {
	if e.hasEnd {
		return
	}
	if off < e.chunkPos {
		if e.chunkPos-off >= uint64(len(data)) {
			data = nil
		} else {
			data = data[e.chunkPos-off:]
		}
		off = e.chunkPos
	}
	e.chunks.Skip(int64(off - e.chunkPos))
	n, done, err := e.chunks.Feed(data)
	if done {
		e.hasEnd, e.bodyEnd = true, off+uint64(n)
		return
	}
	pos := off + uint64(len(data))
	if r.RespEnd > pos {
		e.chunks.Skip(int64(r.RespEnd - pos))
		pos = r.RespEnd
		_, _, err = e.chunks.Feed(nil)
	}
	e.chunkPos = pos
	if err != nil && len(r.Tail) >= 7 && http1.EndsChunked(r.Tail) {
		e.hasEnd, e.bodyEnd = true, r.RespEnd
	}
}

func (e *exchange) ended(r *events.Record) bool { return e.hasEnd && r.RespEnd >= e.bodyEnd }

// continueResponse takes a later piece, or only how far the response has come.
func (t *Tracker) continueResponse(c *conn, r *events.Record) {
	if len(c.queue) == 0 || !c.queue[0].begun {
		if r.Has&events.HasMore != 0 && len(r.RespData) > 0 && len(c.queue) > 0 {
			t.feed(c, r, r.RespOff, r.RespData)
		}
		return
	}
	e := c.queue[0]
	if r.RespEnd <= e.respEnd && r.Has&events.HasMore == 0 {
		return
	}
	// What this record only counts was moved at PrevNS, not now.
	at := r.NowNS
	if r.Has&(events.HasProgress|events.HasClose) != 0 {
		at = r.PrevNS
	}
	late := *r
	late.NowNS = at
	if r.Has&(events.HasMore|events.HasStatus) != 0 {
		t.feed(c, &late, r.RespOff, r.RespData)
		return
	}
	t.feed(c, &late, r.RespEnd, nil)
}
