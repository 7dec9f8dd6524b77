// SPDX-License-Identifier: Apache-2.0

package exchange

import "probe/pkg/events"

// weigh tells whether the request that r begins may be a part of the body of the
// one before, whose end is not known: then it and what follows it is flagged until
// nothing is open. Flagged, too, is what comes behind bytes that no request explains:
// one may not have been seen, and its response would go to a neighbour.
//
// Where such a request has no answer when the next one is read, none will come, or
// every later response went one request too far. Only a client that pipelines has
// read on before.
func (t *Tracker) weigh(c *conn, r *events.Record) (doubtful bool) {
	for len(c.queue) > 0 && c.queue[0].doubtful && !c.queue[0].begun && !c.pipelines && r.ReadNS > c.answeredNS {
		t.stats.Doubtful++
		t.drop(c)
		doubtful = true
	}
	n := len(c.queue)
	switch {
	case doubtful: // as little is known of this one
	case c.openEnd && n > 0 && !c.queue[n-1].begun:
		c.queue[n-1].flags |= events.FlagBytesUncertain
		doubtful = true
	case c.openEnd: // if more was read since the answer began, that came early
		doubtful = r.ReqOff > c.reqMet
	}
	if doubtful || c.sureEnd && r.ReqOff > c.reqPos && !c.behindBlank(r) {
		c.unsure = true
	}
	return doubtful
}

// behindBlank: between the last request and that of r is an empty line, which some
// clients send behind a body (RFC 9112 section 2.2), and not the beginning of a method.
func (c *conn) behindBlank(r *events.Record) bool {
	if r.ReqOff-c.reqPos > 2 || len(r.ReqHead) < 4 {
		return false
	}
	switch string(r.ReqHead[:4]) {
	case "GET ", "POST", "HEAD", "PUT ", "DELE", "PATC", "OPTI":
		return true
	}
	return false
}
