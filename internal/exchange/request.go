// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// addRequest takes a request head, and the pipelined ones behind it.
func (t *Tracker) addRequest(c *conn, r *events.Record) {
	off, head := t.withLead(c, r)
	e := c.findRequest(off)
	switch {
	case e != nil && e.begun, e == nil && c.startedEnd == off+1, c.evictedEnd == off+1:
		return // told before
	case e != nil: // told before by a sweep, now perhaps longer
		t.readHead(c, e, head)
	case c.tunnel: // the kernel does not always see that it is one
		t.refuseRequest(c, off)
		return
	case off < c.reqPos:
		t.refuseRequest(c, off)
		c.reqFalse = max(c.reqFalse, off)
		skip := c.reqPos - off
		if skip >= uint64(len(head)) || c.evictedEnd == c.reqPos || !t.beginsRequest(head[skip:]) {
			return
		}
		// The kernel took the end of a body for a request and has kept the
		// real one behind it; the times are those of the former.
		off, head = c.reqPos, head[skip:]
		if e = t.startRequest(c, r, off, head); e != nil {
			e.flags |= events.FlagTimeUncertain
		}
		t.stats.Pipelined++
	case c.openEnd && !t.surelyRequest(c, off, head):
		t.refuseRequest(c, off)
		return
	case r.Has&events.HasClean == 0 && c.insideChunks():
		t.refuseRequest(c, off)
		c.reqFalse = max(c.reqFalse, off)
		return
	default:
		doubtful := (c.openEnd || len(c.queue) > 0 || off != c.reqPos) && t.weigh(c, r, off, head)
		if e = t.startRequest(c, r, off, head); e != nil {
			e.doubtful = e.doubtful || doubtful
		}
		if c.refusedEnd == off+1 { // its head has become longer
			t.stats.Pipelined++
		} else {
			t.stats.Started++
		}
		c.startedEnd = off + 1
	}
	t.addBehind(c, r, e, off, head)
}

// addBehind takes the pipelined requests behind e in head, the captured bytes from off
// on, where e begins.
func (t *Tracker) addBehind(c *conn, r *events.Record, e *exchange, off uint64, head []byte) {
	for e != nil && e.reqEnd != 0 && e.reqEnd-off < uint64(len(head)) {
		off, head = e.reqEnd, head[e.reqEnd-off:]
		if e = c.findRequest(off); e != nil && !e.begun { // told before by a sweep, now perhaps longer
			t.readHead(c, e, head)
			continue
		}
		if e != nil || c.evictedEnd == off+1 {
			return
		}
		if !t.beginsRequest(head) {
			c.lead.keep(off, head, &t.req)
			return
		}
		if e = t.startRequest(c, r, off, head); e != nil {
			e.behind = true
		}
		t.stats.Pipelined++
	}
}

// refuseRequest counts what begins like a request and is part of a body: once,
// though the kernel tells it again with what follows if a sweep was told of it.
func (t *Tracker) refuseRequest(c *conn, off uint64) {
	if c.refusedEnd != off+1 {
		t.stats.InsideBody++
	}
	c.refusedEnd = off + 1
}

// startRequest puts a request into the queue; nil when there is no room.
func (t *Tracker) startRequest(c *conn, r *events.Record, off uint64, head []byte) *exchange {
	if r.ReadNS < c.orphanNS { // that response may have been its own
		c.unsure = true
	}
	e := t.push(c)
	if e == nil {
		c.reqPos, c.sureEnd = max(c.reqPos, off+1), false
		c.evictedEnd = off + 1
		return nil
	}
	if n := len(c.queue); n > 1 {
		e.doubtful = c.queue[n-2].doubtful
		c.several = c.several || !c.queue[n-2].begun
	}
	e.pid, e.tid = r.PID, r.TID
	e.startNS, e.readNS, e.touchNS = r.StartNS, r.ReadNS, r.TouchNS
	e.first, e.rough = r.Has&events.HasFirst != 0, r.Has&events.HasRough != 0
	e.reqOff = off
	t.readHead(c, e, head)
	return e
}

// beginsRequest: blank lines between requests are allowed, other bytes are not.
func (t *Tracker) beginsRequest(head []byte) bool {
	return http1.ParseRequest(head, &t.req) != http1.VerdictInvalid && len(t.req.Method) > 0
}

// surelyRequest is for bytes that may as well be of a body: the kernel calls
// every word a method.
func (t *Tracker) surelyRequest(c *conn, off uint64, head []byte) bool {
	v := http1.ParseRequest(head, &t.req)
	if v == http1.VerdictInvalid {
		c.reqFalse = max(c.reqFalse, off) // else it may become a request
	}
	return v == http1.VerdictOK || len(t.req.Target) > 0
}

// insideChunks: the last request waits and its chunked body was not seen to end.
// Such an end leaves an empty line before the next request (events.HasClean).
func (c *conn) insideChunks() bool {
	n := len(c.queue)
	return n > 0 && c.queue[n-1].chunkedBody && c.queue[n-1].reqEnd == 0 && !c.queue[n-1].begun
}

func (c *conn) findRequest(off uint64) *exchange {
	for _, e := range c.queue {
		if e.reqOff == off && (e.malformed || e.flags&events.FlagNoRequest == 0) {
			return e
		}
	}
	return nil
}

// readHead parses the request of e and says where it ends, if that is certain.
func (t *Tracker) readHead(c *conn, e *exchange, head []byte) {
	v := t.heads.request(head, &t.req)
	e.headID = t.heads.id
	e.malformed, e.partial = v == http1.VerdictInvalid, v == http1.VerdictPartial
	e.owned = false
	e.method, e.target, e.host = t.req.Method, t.req.Target, t.req.Host
	e.minor, e.expects = t.req.ProtoMinor, t.req.ExpectContinue
	e.flags &^= events.FlagTargetCut
	e.headEnd, c.sureEnd = 0, false
	if end := e.reqOff + uint64(len(head)); end == c.reqEnd && !t.req.Complete {
		e.headEnd = end
	}
	if t.req.TargetCut || e.partial && len(e.method) == 0 {
		e.flags |= events.FlagTargetCut
	}
	if e.malformed {
		e.flags |= events.FlagNoRequest
		c.reqPos = max(c.reqPos, e.reqOff+1)
		return
	}
	e.flags &^= events.FlagNoRequest
	least := e.reqOff + e.measure(&t.req, head)
	c.openEnd, c.sureEnd = e.reqEnd == 0, e.reqEnd != 0
	c.reqPos = max(c.reqPos, least)
}

// measure sets where the request ends and returns the bytes it has at least.
func (e *exchange) measure(q *http1.Request, head []byte) (least uint64) {
	least = uint64(len(head))
	if q.Complete {
		least = uint64(q.HeadLen)
	}
	kind, length := http1.RequestBody(q)
	e.chunkedBody = kind == http1.BodyChunked
	if kind == http1.BodyLength {
		least += uint64(length)
	}
	if !q.Complete {
		return least
	}
	e.reqBody = e.reqOff + uint64(q.HeadLen)
	switch kind {
	case http1.BodyNone, http1.BodyLength:
		e.reqEnd = e.reqOff + least
	case http1.BodyChunked:
		var chunks http1.Chunked
		n, done, _ := chunks.Feed(head[q.HeadLen:])
		least += uint64(n)
		if done {
			e.reqEnd = e.reqOff + least
		}
		least += uint64(chunks.Left())
	}
	return least
}
