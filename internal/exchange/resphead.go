// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// captured is the offset behind the bytes of the head that were captured.
func (e *exchange) captured() uint64 { return e.msgOff + uint64(len(e.buf)) }

// maxBuffered is more than the kernel captures of one head, in bytes.
const maxBuffered = 2 * events.MaxHead

// readResponseHead adds data to the head and reads it. False: nothing more to do.
func (t *Tracker) readResponseHead(c *conn, e *exchange, r *events.Record, off uint64, data []byte) bool {
	have := e.captured()
	missed := off > have
	switch {
	case off < have:
		return false // told before
	case e.unread && r.Has&events.HasStatus == 0:
		return false // more of the same
	case missed && e.status != 0:
		e.loseHead()
		return true
	case missed, len(e.buf) == 0:
		e.msgOff, e.msgNS, e.buf, e.owned = off, r.NowNS, data, false
	default:
		e.buf = append(e.buf, data...)
	}
	if e.unread { // what begins here is the final response, or one more before it
		e.unread, missed = false, true
	}
	if missed {
		e.flags |= uncertain
	}
	for {
		v := t.heads.response(e.buf, &t.resp)
		if v == http1.VerdictInvalid {
			t.dropResponse(c, missed)
			return false
		}
		interim := t.resp.Status < 200 && t.resp.Status != 101
		if !interim && e.status == 0 {
			e.status, e.minor, e.firstNS = t.resp.Status, t.resp.ProtoMinor, e.msgNS
		}
		switch {
		case t.resp.Complete && !interim:
			c.mayKeepBody(e)
			t.readBodyKind(e, r)
			return true
		case t.resp.Complete:
			e.buf = e.buf[t.resp.HeadLen:]
			e.msgOff, e.msgNS = e.msgOff+uint64(t.resp.HeadLen), r.NowNS
			if len(e.buf) == 0 {
				e.hidden = r.RespEnd > e.msgOff
				return false
			}
		case r.RespEnd <= e.captured() && len(e.buf) <= maxBuffered:
			return false
		case interim: // its end was not captured: a final head must follow
			e.msgOff, e.buf, e.hidden = r.RespEnd, nil, true
			e.flags |= uncertain
			return false
		case e.opensTunnel():
			t.endTunnelHead(c, e.captured(), e.lastNS)
			return false
		default:
			c.cutHead(e, r, &t.resp)
			return true
		}
	}
}

// mayKeepBody: a client that asked before it sends its body, and has sent nothing of
// it when the answer comes, need not send it (RFC 9110 section 10.1.1).
func (c *conn) mayKeepBody(e *exchange) {
	if e.expects && e.reqBody != 0 && c.reqEnd == e.reqBody && len(c.queue) == 1 {
		c.reqPos, c.openEnd, c.sureEnd = e.reqBody, true, false
	}
}

// loseHead notes that the rest of the head was not captured.
func (e *exchange) loseHead() {
	e.headDone, e.body, e.buf = true, http1.BodyUnknown, nil
	e.flags |= uncertain
}

// dropResponse drops a request answered by something that is no response, or
// whose first bytes are missing.
func (t *Tracker) dropResponse(c *conn, missed bool) {
	if missed {
		t.unseenResponse(c, t.now)
		return
	}
	t.stats.NotHTTP++
	t.drop(c)
	c.doubt() // it may have been more than the response before said
}

// readBodyKind decides how the body of the complete head in t.resp ends.
func (t *Tracker) readBodyKind(e *exchange, r *events.Record) {
	bodyOff := e.msgOff + uint64(t.resp.HeadLen)
	rest := e.buf[t.resp.HeadLen:]
	e.headDone, e.buf, e.bodyOff = true, nil, bodyOff
	kind, length := http1.ResponseBody(e.method, &t.resp)
	e.body = kind
	switch kind {
	case http1.BodyNone:
		e.hasEnd, e.bodyEnd = true, bodyOff
	case http1.BodyTunnel:
		e.hasEnd, e.bodyEnd = true, bodyOff
		if t.resp.HTTP2 {
			t.stats.HTTP2++
		}
	case http1.BodyLength:
		e.hasEnd, e.bodyEnd = true, bodyOff+uint64(length)
	case http1.BodyChunked:
		e.chunks, e.chunkPos = http1.Chunked{}, bodyOff
		e.feedChunks(r, bodyOff, rest)
	}
}
