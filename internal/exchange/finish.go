// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"time"

	"probe/internal/http1"
	"probe/pkg/events"
)

func outcomeOf(status uint16) events.Outcome {
	if status >= 500 {
		return events.OutcomeError
	}
	return events.OutcomeOK
}

// finish hands out the oldest exchange of the connection and removes it. end is
// the offset behind its last response byte, atNS the time of that byte.
func (t *Tracker) finish(c *conn, end, atNS uint64, outcome events.Outcome) {
	e := c.queue[0]
	if e.endUnseen() {
		c.endsSomewhere(atNS)
	}
	if e.respEnd == 0 || end < e.respOff {
		end = e.respOff
	}
	c.respPos = max(c.respPos, end)
	c.sureResp = e.hasEnd && end == e.bodyEnd
	if e.doubtful && len(c.queue) == 1 && e.readNS < c.answeredNS {
		c.pipelines = true
	}
	c.answeredNS = atNS
	t.fill(c, e, end, atNS, outcome)
	t.stats.Finished++
	t.emit(&t.out)
	t.drop(c)
}

// fill puts what is known of e into t.out.
func (t *Tracker) fill(c *conn, e *exchange, end, atNS uint64, outcome events.Outcome) {
	q := &t.out
	// Field by field: a literal would be made elsewhere and copied.
	*q = events.Request{}
	q.Conn, q.Role, q.Outcome = t.describe(c), c.role, outcome
	q.PID, q.TID = e.pid, e.tid
	q.Method, q.Target, q.Host, q.HeadID = e.method, e.target, e.host, e.headID
	q.ProtoMinor, q.Status = e.minor, e.status
	q.EndNS, q.Flags = atNS, e.flags
	q.RequestBytes, q.ResponseBytes = e.requestBytes(c), end-e.respOff
	if e.flags&events.FlagNoRequest != 0 && !e.malformed {
		return
	}
	told := len(c.queue) == 1 && c.reqBegun > max(e.reqOff, c.reqFalse)
	if e.reqEnd == 0 && (told || e.behind) || e.headEnd != 0 && c.reqEnd > e.headEnd {
		// Some of the bytes may be of a request that is told later, or not at all.
		q.Flags |= events.FlagBytesUncertain
	}
	if e.rough {
		q.Flags |= events.FlagTimeUncertain
	}
	q.StartNS = e.startNS
	q.Duration = since(e.startNS, atNS)
	if e.firstNS != 0 {
		q.TTFB = since(e.startNS, e.firstNS)
	}
	q.Wait = e.wait(c)
	if t.opt.Times && c.role == events.RoleServer {
		e.fillTimes(q)
	}
}

// requestBytes: as far as the framing says and as far as they were seen.
func (e *exchange) requestBytes(c *conn) uint64 {
	if e.flags&events.FlagNoRequest != 0 && !e.malformed {
		return 0
	}
	end := c.reqEnd
	if len(c.queue) > 1 && c.queue[0] == e && c.queue[1].reqOff > e.reqOff {
		end = min(end, c.queue[1].reqOff)
	}
	if e.reqEnd != 0 {
		end = min(end, e.reqEnd)
	}
	return max(end, e.reqOff) - e.reqOff
}

// wait splits arrival → read at the first touch of the connection.
func (e *exchange) wait(c *conn) events.Wait {
	if c.role != events.RoleServer || c.info == nil || c.isUnix() || c.info.Family == events.FamilyUnknown {
		return events.Wait{}
	}
	total := since(e.startNS, e.readNS)
	w := events.Wait{Known: true}
	if e.first {
		touched := e.readNS
		if e.touchNS != 0 {
			touched = e.touchNS
		}
		w.Accept = min(since(e.startNS, touched), total)
	}
	w.Socket = total - w.Accept
	return w
}

func since(from, to uint64) time.Duration {
	if to <= from {
		return 0
	}
	return time.Duration(to - from)
}

// closeConn ends everything on a connection. respEnd is the number of response
// bytes it ever carried, lastNS the time of the last of them, or 0.
func (t *Tracker) closeConn(c *conn, lastNS, respEnd uint64) {
	for len(c.queue) > 0 {
		e := c.queue[0]
		switch {
		case e.begun && e.status != 0:
			at := max(lastNS, e.lastNS)
			if e.endUnseen() && len(c.queue) > 1 && c.queue[1].readNS <= at {
				e.flags |= uncertain // another response may be among its bytes
			}
			if e.hasEnd {
				respEnd = min(respEnd, e.bodyEnd)
			}
			t.finish(c, respEnd, at, e.outcomeAtClose(respEnd, c.reset))
		case e.malformed, e.partial && len(e.method) == 0, e.flags&events.FlagNoRequest != 0:
			t.stats.NotHTTP++
			t.drop(c)
		case e.doubtful && !e.begun && e.readNS < c.answeredNS && !c.pipelines:
			t.stats.Doubtful++
			t.drop(c)
		case e.begun && (e.hidden || e.respEnd > e.captured()): // of its head something was not captured
			c.endsSomewhere(max(lastNS, e.lastNS))
			t.dropUnseen(c)
		case e.unread, e.perhaps && !e.begun:
			t.dropUnseen(c)
		case e.begun: // cut short before its status was complete
			t.finish(c, respEnd, max(lastNS, e.lastNS), events.OutcomeAborted)
		default:
			if c.respPos != 0 && respEnd > c.respPos {
				e.flags |= uncertain // nothing else explains these bytes
			}
			t.finish(c, e.respOff, t.now, events.OutcomeUnanswered)
		}
	}
	t.forget(c)
}

// outcomeAtClose: was the response complete when its connection ended?
func (e *exchange) outcomeAtClose(respEnd uint64, reset bool) events.Outcome {
	switch {
	case reset && (e.body == http1.BodyUntilClose || e.body == http1.BodyUnknown):
		return events.OutcomeAborted // its end is a close, and that was none
	case !e.headDone, e.hasEnd && respEnd < e.bodyEnd, respEnd < e.least:
		return events.OutcomeAborted
	case e.least != 0:
		e.flags |= uncertain
	case e.body == http1.BodyChunked && !e.hasEnd:
		if reset || e.surelyCut() {
			return events.OutcomeAborted
		}
		if e.last == endingUnknown {
			e.flags |= events.FlagBytesUncertain
		}
	}
	return outcomeOf(e.status)
}

// Tick reports exchanges over the age limit as in progress and forgets Unix
// sockets that were idle for long. Call it about once a second.
func (t *Tracker) Tick(nowNS uint64) {
	t.tickedNS = nowNS
	for c := range t.pending {
		if c.rests(nowNS, quietLimit) && c.queue[0].least != 0 {
			t.endResting(c)
		} else if c.rests(nowNS, t.opt.AgeLimit/2) {
			continue
		}
		for _, e := range c.queue {
			if !e.reported && e.isHTTP() && since(e.begunNS(), nowNS) > t.opt.AgeLimit {
				e.reported = true
				t.report(c, e, nowNS)
			}
		}
	}
	if since(t.forgotNS, nowNS) < t.opt.IdleLimit/4 {
		return
	}
	t.forgotNS = nowNS
	for _, c := range t.conns {
		if c.isUnix() && len(c.queue) == 0 && since(c.lastNS, nowNS) > t.opt.IdleLimit {
			t.forget(c)
		}
	}
}

// begunNS is the start of the request, or of the response where only that is known.
func (e *exchange) begunNS() uint64 {
	if e.startNS != 0 {
		return e.startNS
	}
	return e.firstNS
}

// isHTTP: a valid request line, or a status, was seen.
func (e *exchange) isHTTP() bool {
	return e.status != 0 || e.flags&events.FlagNoRequest == 0 && len(e.method) > 0
}

func (t *Tracker) report(c *conn, e *exchange, nowNS uint64) {
	t.stats.InProgress++
	t.fill(c, e, max(e.respEnd, e.respOff), nowNS, events.OutcomeInProgress)
	t.emit(&t.out)
}

// BeginSweep notes that a sweep with every Unix socket alive starts now.
func (t *Tracker) BeginSweep(nowNS uint64) { t.sweepNS = nowNS }

// EndSweep ends the exchanges of Unix sockets that the sweep did not find: they
// are closed. Call it after the records of the sweep were fed. One of them may
// wait for an earlier record: then the next sweep decides.
func (t *Tracker) EndSweep() {
	for c := range t.pending {
		if c.isUnix() && c.lastNS < t.sweepNS && len(c.held) == 0 {
			t.endUnix(c)
		}
	}
}

func (t *Tracker) endUnix(c *conn) {
	first := c.queue[0]
	lastNS, respEnd := c.queue[len(c.queue)-1].lastNS, first.respEnd
	t.now = c.lastNS
	if first.opensTunnel() { // of its head only the beginning is told
		t.endTunnelHead(c, first.captured(), first.lastNS)
	} else {
		c.markUntold()
	}
	t.closeConn(c, lastNS, respEnd)
}

// markUntold marks what the end of a Unix socket leaves open: its last words are not told,
// neither the rest of a request since the last sweep, nor what a client has spliced out.
func (c *conn) markUntold() {
	e := c.queue[len(c.queue)-1]
	switch {
	case !e.begun && (e.reqEnd == 0 || c.reqEnd < e.reqEnd):
		e.flags |= events.FlagBytesUncertain
	case e.begun && c.role == events.RoleClient && e.body != http1.BodyUntilClose:
		e.flags |= uncertain
	}
}

// InFlight calls fn for every connection with open exchanges.
func (t *Tracker) InFlight(fn func(c *events.Conn, role events.Role, pid uint32, open int)) {
	for c := range t.pending {
		if c.rests(t.tickedNS, quietLimit) {
			continue // most likely over
		}
		fn(t.describe(c), c.role, c.queue[0].pid, len(c.queue))
	}
}

// Close reports everything that is open as in progress. The tracker stays usable.
func (t *Tracker) Close(nowNS uint64) {
	t.endHeld(0)
	for _, c := range t.late {
		c.lateAge = 0
		t.applyLate(c)
	}
	t.late = t.late[:0]
	for c := range t.pending {
		if c.rests(nowNS, quietLimit) || c.rests(nowNS, 0) && c.queue[0].least != 0 {
			t.endResting(c)
		}
		for _, e := range c.queue {
			if !e.reported && e.isHTTP() {
				e.reported = true
				t.report(c, e, nowNS)
			}
		}
	}
}
