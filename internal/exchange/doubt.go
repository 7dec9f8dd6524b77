// SPDX-License-Identifier: Apache-2.0

package exchange

import "probe/pkg/events"

// weigh tells whether the request that r begins, at off, may be a part of the body of the
// one before, whose end is not known: then it and what follows it is flagged until
// nothing is open. Flagged, too, is what comes behind bytes that no request explains:
// one may not have been seen, and its response would go to a neighbour.
//
// Where such a request has no answer when the next one is read, none will come, or
// every later response went one request too far. Only a client that pipelines has
// read on before.
func (t *Tracker) weigh(c *conn, r *events.Record, off uint64, head []byte) (doubtful bool) {
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
		doubtful = off > c.reqMet
	}
	// Between the last request and this one may be an empty line, which some clients
	// send behind a body (RFC 9112 section 2.2).
	unseen := c.sureEnd && off > c.reqPos+2
	cut := c.sureEnd && off > c.reqPos || c.openEnd && r.Has&events.HasClean == 0
	if doubtful || unseen || cut && !hasCommonMethod(head) {
		c.unsure = true
	}
	return doubtful
}

// hasCommonMethod: the head is not the rest of one whose first letters are missing.
func hasCommonMethod(head []byte) bool {
	var word [4]byte
	for i := range min(len(word), len(head)) {
		word[i] = head[i] | 0x20 // lower case
	}
	switch string(word[:]) {
	case "get ", "post", "head", "put ", "dele", "patc", "opti":
		return true
	}
	return false
}
