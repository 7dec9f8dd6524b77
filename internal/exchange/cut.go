// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"time"

	"probe/internal/http1"
	"probe/pkg/events"
)

// quietLimit is when a response with a cut head that may be complete is.
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

// endQuiet ends a response whose head was cut, where all it has at least was moved and
// nothing followed: on a kept connection the next request may be long in coming.
func (t *Tracker) endQuiet(c *conn, nowNS uint64, limit time.Duration) {
	if len(c.queue) != 1 || len(c.held)+len(c.late) > 0 {
		return
	}
	e := c.queue[0]
	if e.least == 0 || e.respEnd < e.least || since(e.lastNS, nowNS) < limit {
		return
	}
	e.flags |= uncertain
	t.finish(c, e.respEnd, e.lastNS, outcomeOf(e.status))
	t.settle(c)
}
