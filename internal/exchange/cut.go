// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"time"

	"probe/internal/http1"
	"probe/pkg/events"
)

// quietLimit is when a response with a cut head that may be complete is, if its length is
// known. Another one may go on, so it is told when more is known.
const quietLimit = time.Second

// cutHead is loseHead where what was captured says how the body ends, and no other
// response can be among its bytes.
func (c *conn) cutHead(e *exchange, r *events.Record, resp *http1.Response) {
	captured, flags := e.captured(), e.flags
	e.loseHead()
	if len(c.queue) > 1 || flags&(events.FlagNoRequest|uncertain) != 0 {
		return
	}
	e.flags = flags // what ends it says whether that is certain
	switch kind, length := http1.ResponseBody(e.method, resp); kind {
	case http1.BodyNone:
		e.least = captured
	case http1.BodyLength:
		e.least = captured + uint64(length)
	case http1.BodyChunked: // its last bytes tell, as where the place is lost
		e.body, e.chunks, e.chunkPos = kind, http1.Chunked{}, captured
		e.feedChunks(r, r.RespEnd, nil)
	default:
		e.flags |= uncertain
	}
}

// rests: of the only response, whose head was cut, as much was moved as it has at least,
// if that is known, and nothing followed for so long. On a kept connection the next
// request may be long in coming.
func (c *conn) rests(nowNS uint64, limit time.Duration) bool {
	if len(c.queue) != 1 || len(c.held)+len(c.late) > 0 {
		return false
	}
	e := c.queue[0]
	return e.headDone && e.body == http1.BodyUnknown && e.respEnd >= e.least && since(e.lastNS, nowNS) >= limit
}

// endResting ends the response of a connection that rests.
func (t *Tracker) endResting(c *conn) {
	e := c.queue[0]
	e.flags |= uncertain
	t.finish(c, e.respEnd, e.lastNS, outcomeOf(e.status))
	t.settle(c)
}
