// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// Most records tell a whole exchange, on a connection where nothing else is open:
// the request up to its end, and the response up to its end. For these the queue
// and all that may happen to a response are a detour that takes longer than the
// rest. takeWhole comes to the same result without it (TestWholeExchanges).

const (
	wholeHas  = events.HasStart | events.HasStatus
	wholeMays = wholeHas | events.HasClean | events.HasFirst | events.HasTimes | events.HasOnCPU | events.HasLoop
)

// takeWhole takes a record in its turn, if it tells a whole exchange. False: it has
// done nothing.
func (t *Tracker) takeWhole(c *conn, r *events.Record) bool {
	if r.Has&wholeHas != wholeHas || r.Has&^wholeMays != 0 || len(r.RespData) == 0 || !c.awaits(r) {
		return false
	}
	resp := t.heads.wholeResponse(c, r.RespData)
	if resp == nil || resp.Status < 200 {
		return false
	}
	req, id, size := t.heads.wholeRequest(c, r.ReqHead)
	if req == nil || size < uint64(len(r.ReqHead)) {
		return false
	}
	end := r.RespOff + uint64(resp.HeadLen)
	switch kind, length := http1.ResponseBody(req.Method, resp); kind {
	case http1.BodyNone:
	case http1.BodyLength:
		end += uint64(length)
	default:
		return false
	}
	if end != r.RespEnd {
		return false
	}
	t.advance(c, r)
	c.reqPos, c.respPos, c.sureEnd, c.sureResp = r.ReqOff+size, end, true, true
	t.stats.Started++
	t.stats.Finished++
	t.whole.headID = id
	t.fillWhole(c, r, req, resp, size)
	t.emit(&t.out)
	return true
}

// awaits: the next on this connection is a request, and this is one.
func (c *conn) awaits(r *events.Record) bool {
	return len(c.queue) == 0 && len(c.late) == 0 && !c.isPending &&
		!c.unsure && !c.tunnel && !c.openEnd &&
		(r.ReqOff == c.reqPos || r.ReqOff > c.reqPos && !c.sureEnd) && r.RespOff >= c.respPos &&
		c.refusedEnd != r.ReqOff+1 && c.evictedEnd != r.ReqOff+1
}

// fillWhole is fill for the exchange that r tells.
func (t *Tracker) fillWhole(c *conn, r *events.Record, req *http1.Request, resp *http1.Response, size uint64) {
	e := &t.whole // what is not set here is zero
	e.pid, e.tid = r.PID, r.TID
	e.startNS, e.readNS, e.touchNS = r.StartNS, r.ReadNS, r.TouchNS
	e.first = r.Has&events.HasFirst != 0
	e.reqOff, e.reqEnd = r.ReqOff, r.ReqOff+size
	e.method, e.target, e.host = req.Method, req.Target, req.Host
	e.minor, e.status = resp.ProtoMinor, resp.Status
	e.respOff, e.respEnd, e.firstNS = r.RespOff, r.RespEnd, r.NowNS
	e.timesNS = 0
	e.takeTimes(r)
	t.fill(c, e, r.RespEnd, r.NowNS, outcomeOf(e.status))
}
