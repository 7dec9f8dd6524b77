// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// addRequest takes a request head, and the pipelined ones behind it.
func (t *Tracker) addRequest(c *conn, r *events.Record) {
	if e := c.findRequest(r.ReqOff); e != nil {
		if !e.begun { // told before by a sweep, now perhaps longer
			t.readHead(e, r.ReqHead)
		}
		return
	}
	if r.ReqOff < c.reqPos {
		t.stats.InsideBody++
		return
	}
	off, head := r.ReqOff, r.ReqHead
	for found := &t.stats.Started; ; found = &t.stats.Pipelined {
		*found++
		e := t.push(c)
		if e == nil {
			return
		}
		e.pid, e.tid = r.PID, r.TID
		e.startNS, e.readNS, e.touchNS = r.StartNS, r.ReadNS, r.TouchNS
		e.first = r.Has&events.HasFirst != 0
		e.reqOff = off
		t.readHead(e, head)
		if e.reqEnd == 0 {
			return
		}
		c.reqPos = e.reqEnd
		used := e.reqEnd - off
		if used >= uint64(len(head)) {
			return
		}
		off, head = off+used, head[used:]
		if !t.beginsRequest(head) {
			return
		}
	}
}

// beginsRequest: blank lines between requests are allowed, other bytes are not.
func (t *Tracker) beginsRequest(head []byte) bool {
	return http1.ParseRequest(head, &t.req) != http1.VerdictInvalid && len(t.req.Method) > 0
}

func (c *conn) findRequest(off uint64) *exchange {
	for _, e := range c.queue {
		if e.reqOff == off && e.flags&events.FlagNoRequest == 0 {
			return e
		}
	}
	return nil
}

// readHead parses the request of e and says where it ends, if that is certain.
func (t *Tracker) readHead(e *exchange, head []byte) {
	v := http1.ParseRequest(head, &t.req)
	e.malformed, e.partial = v == http1.VerdictInvalid, v == http1.VerdictPartial
	e.owned = false
	e.method, e.target, e.host = t.req.Method, t.req.Target, t.req.Host
	e.minor = t.req.ProtoMinor
	e.flags &^= events.FlagTargetCut
	if t.req.TargetCut {
		e.flags |= events.FlagTargetCut
	}
	if e.malformed {
		e.flags |= events.FlagNoRequest
		return
	}
	if !t.req.Complete {
		return
	}
	bodyOff := e.reqOff + uint64(t.req.HeadLen)
	switch kind, length := http1.RequestBody(&t.req); kind {
	case http1.BodyNone:
		e.reqEnd = bodyOff
	case http1.BodyLength:
		e.reqEnd = bodyOff + uint64(length)
	case http1.BodyChunked:
		var chunks http1.Chunked
		if n, done, _ := chunks.Feed(head[t.req.HeadLen:]); done {
			e.reqEnd = bodyOff + uint64(n)
		}
	}
}
