// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// minResponse is the length of "HTTP/1.1 200\r\n\r\n".
const minResponse = 16

// beginResponse takes a piece that begins like a response.
func (t *Tracker) beginResponse(c *conn, r *events.Record) {
	if r.RespOff < c.respPos || c.tunnel {
		t.stats.InsideAnswer++
		return
	}
	switch {
	case len(c.queue) < 2:
	case c.queue[0].unread:
		t.endUnread(c)
	case !c.queue[0].begun && c.sureResp && r.RespOff-c.respPos >= minResponse:
		t.unseenResponse(c, r.NowNS) // nothing else explains the bytes before this one
	}
	if len(c.queue) > 0 && c.queue[0].begun {
		e := c.queue[0]
		switch {
		case e.status == 0 && e.finalUnseen(r) && len(c.queue) > 1 && c.queue[1].readNS > e.lastNS:
			// The next request came after it: the final response was there.
			t.unseenResponse(c, r.PrevNS)
		case e.bodyGoesOn(c, r):
			t.stats.InsideAnswer++
			t.continueResponse(c, r)
			return
		case e.headDone, e.status >= 200 && e.captured() != r.RespOff:
			t.finishBefore(c, e, r)
		}
	}
	if len(r.RespData) == 0 {
		t.beginUnread(c, r)
		return
	}
	t.feed(c, r, r.RespOff, r.RespData)
}

// bodyGoesOn: what begins like a response is inside the body of e.
func (e *exchange) bodyGoesOn(c *conn, r *events.Record) bool {
	switch {
	case !e.headDone || e.chunkPos > r.RespOff:
		return false
	case c.splicedOut(e):
		c.doubt()
		return false
	case e.least > r.RespOff:
		return true
	case e.hasEnd && r.RespOff == e.bodyOff && e.perhapsHead(c):
		e.flags |= events.FlagBytesUncertain
		return false
	case e.body == http1.BodyUntilClose:
		// Unless another request waits: then the server has left out the length.
		return c.onlyAnswers(e, r)
	case e.body != http1.BodyChunked || e.hasEnd:
		inside := e.hasEnd && r.RespOff < e.bodyEnd
		if inside && len(c.queue) > 1 && e.perhapsHead(c) {
			c.doubt() // there may be no such body
		}
		return inside
	}
	probe := e.chunks
	if !probe.Skip(int64(r.RespOff - e.chunkPos)) {
		// The place is lost: as for a body that the close ends.
		return c.onlyAnswers(e, r)
	}
	_, _, err := probe.Feed(r.RespData)
	return err == nil
}

// perhapsHead: where no body came this may have answered a HEAD that was not seen.
func (e *exchange) perhapsHead(c *conn) bool {
	return e.flags&events.FlagNoRequest != 0 || len(c.queue) > 1 && e.flags&uncertain != 0
}

// splicedOut: a client that waits for answers on a Unix socket has asked again
// though the answer e is short of bytes: it has spliced them out of the socket,
// which no hook of the socket source sees, and such a socket has no numbers of its
// own as TCP has. One that pipelines looks the same until the rest comes.
func (c *conn) splicedOut(e *exchange) bool {
	return c.isUnix() && c.role == events.RoleClient && len(c.queue) > 1 && c.queue[1].readNS > e.lastNS
}

// onlyAnswers: no request but that of e waits, or is on its way, so nothing but e can
// be answered by r.
func (c *conn) onlyAnswers(e *exchange, r *events.Record) bool {
	return len(c.queue) == 1 && r.Has&events.HasLate == 0 && e.flags&(events.FlagNoRequest|uncertain) == 0
}

// finishBefore ends e, because the next response begins at r.RespOff.
func (t *Tracker) finishBefore(c *conn, e *exchange, r *events.Record) {
	end := r.RespOff
	if e.hasEnd {
		end = min(end, e.bodyEnd)
	}
	hidden := r.RespOff-end >= minResponse
	if hidden {
		e.flags |= events.FlagTimeUncertain
	}
	switch {
	case !e.headDone:
		e.flags |= uncertain
	case e.body == http1.BodyUnknown && len(c.queue) > 1 && c.queue[1].readNS <= e.lastNS:
		c.doubt() // the next one's may be among its bytes
	case e.least != 0 && len(c.queue) == 1:
		e.flags |= uncertain
	}
	t.finish(c, end, r.PrevNS, outcomeOf(e.status))
	if hidden {
		t.unseenResponse(c, r.PrevNS)
	}
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
			e.respOff, e.msgOff, e.msgNS, e.buf = off, off, r.NowNS, nil
		}
		e.respEnd, e.lastNS = r.RespEnd, r.NowNS
		e.takeTimes(r)
		if !e.headDone {
			c.reqMet = c.reqEnd
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
			c.tunnel = e.flags&uncertain == 0
			t.leaveHTTP(c, end, r.NowNS)
			return
		}
		// More bytes in this piece: the next pipelined response.
		more := end < r.RespEnd
		hidden := more && (end < off || end-off >= uint64(len(data)))
		if hidden && len(data) == 0 {
			e.flags |= events.FlagTimeUncertain
		}
		t.finish(c, end, r.NowNS, outcomeOf(e.status))
		if hidden {
			t.unseenResponse(c, r.NowNS)
		}
		if hidden || !more {
			return
		}
		data, off = data[end-off:], end
		if len(c.queue) > 0 && http1.ParseResponse(data, &t.resp) == http1.VerdictInvalid {
			c.doubt() // more than it said: nobody's
			return
		}
	}
}

// addOrphan starts an exchange for a response without a request.
func (t *Tracker) addOrphan(c *conn, r *events.Record, data []byte) bool {
	if v := http1.ParseResponse(data, &t.resp); v == http1.VerdictInvalid {
		t.stats.InsideAnswer++
		return false
	}
	t.stats.Orphans++
	e := t.push(c)
	if e == nil {
		return false
	}
	c.refused, c.orphanNS = false, r.NowNS
	e.flags |= events.FlagNoRequest
	e.pid, e.tid = r.PID, r.TID
	return true
}

func (e *exchange) ended(r *events.Record) bool { return e.hasEnd && r.RespEnd >= e.bodyEnd }

// continueResponse takes a later piece, or only how far the response has come.
func (t *Tracker) continueResponse(c *conn, r *events.Record) {
	if len(c.queue) == 0 || !c.queue[0].begun {
		// A head whose first bytes were too few for the kernel to know it; else
		// the rest of something already told, or of something lost.
		if r.Has&events.HasMore != 0 && len(c.queue) > 0 && r.RespOff == c.respPos {
			t.feed(c, r, r.RespOff, r.RespData)
		}
		return
	}
	e := c.queue[0]
	if r.RespEnd <= e.respEnd && r.Has&events.HasMore == 0 {
		return
	}
	late := *r
	if r.Has&(events.HasProgress|events.HasClose) != 0 { // what it only counts was moved before
		late.NowNS = r.PrevNS
	}
	if r.Has&(events.HasMore|events.HasStatus) != 0 {
		t.feed(c, &late, r.RespOff, r.RespData)
		return
	}
	t.feed(c, &late, r.RespEnd, nil)
}
