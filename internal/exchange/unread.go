// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// A response whose first bytes no hook could read is told all the same, without
// data: else the request would get the next response, and every later request that
// of its successor.

// beginUnread takes the beginning of such a response.
func (t *Tracker) beginUnread(c *conn, r *events.Record) {
	switch {
	case len(c.queue) == 0: // its request was refused
		t.stats.InsideAnswer++
	case c.queue[0].begun: // more of what is open
		t.feed(c, r, r.RespEnd, nil)
	case len(c.queue) > 1:
		t.unseenResponse(c, r.NowNS)
	default:
		e := c.queue[0]
		e.begun, e.unread = true, true
		e.flags |= uncertain
		e.respOff, e.msgOff, e.msgNS = r.RespOff, r.RespEnd, r.NowNS
		e.respEnd, e.lastNS = r.RespEnd, r.NowNS
		e.takeTimes(r)
		c.reqMet = c.reqEnd
	}
}

// endUnread drops the first request, whose response could not be read: the next one
// has come. It came after that response, which was therefore all of it, unless the
// client does not wait for responses and this was only an interim one.
func (t *Tracker) endUnread(c *conn) {
	doubt := c.several || c.queue[0].expects
	t.dropUnseen(c)
	if doubt {
		c.doubt()
	}
}

// unseenResponse drops the request whose response head was not captured, in bytes
// up to atNS. More than one may have been, so the others are not certain any more.
func (t *Tracker) unseenResponse(c *conn, atNS uint64) {
	if len(c.queue) == 0 {
		return
	}
	if c.queue[0].readNS <= atNS { // else it came later: they were nobody's
		t.dropUnseen(c)
	}
	c.doubt()
	for _, q := range c.queue {
		q.perhaps = q.perhaps || q.readNS <= t.now
	}
}

func (t *Tracker) dropUnseen(c *conn) {
	c.sureResp = false
	t.stats.Unseen++
	t.drop(c)
}

// finalUnseen: bytes before r, behind what was captured of the head of e, were not
// captured.
func (e *exchange) finalUnseen(r *events.Record) bool {
	return !e.headDone && (e.hidden || r.RespOff > e.captured())
}

// endsSomewhere: the first response is over, and where it ended was not seen. Those to
// requests that waited when its last byte came may be among the bytes taken for its own.
func (c *conn) endsSomewhere(lastNS uint64) {
	for _, q := range c.queue[1:] {
		q.perhaps = q.perhaps || q.readNS <= lastNS
	}
}

// endUnseen: where its message ends was not seen, and it does not end with the connection.
func (e *exchange) endUnseen() bool {
	return e.begun && (!e.headDone || e.body == http1.BodyUnknown || e.body == http1.BodyChunked && e.lost())
}
