// SPDX-License-Identifier: Apache-2.0

package exchange

import "probe/pkg/events"

// opensTunnel: the status of its response says that the connection leaves HTTP behind
// the head, whose end is still to come. There are clients that read that head byte by
// byte, more of them than the kernel tells (curl of proxies, of WebSockets some).
func (e *exchange) opensTunnel() bool {
	return e.begun && !e.headDone && e.flags&(events.FlagNoRequest|uncertain) == 0 &&
		(e.status == 101 || e.status/100 == 2 && string(e.method) == "CONNECT")
}

// passTunnelHead ends the oldest exchange where it opens a tunnel and r tells of
// something behind what was captured of its head.
func (t *Tracker) passTunnelHead(c *conn, r *events.Record) {
	e := c.queue[0]
	if !e.opensTunnel() {
		return
	}
	goesOn := r.RespOff == e.captured() && len(r.RespData) > 0
	if r.Has&events.HasStart != 0 && r.ReqOff > e.reqOff || r.RespEnd > e.captured() && !goesOn {
		end, at := e.captured(), e.lastNS
		if r.Has&events.HasStatus != 0 { // who asks in a tunnel mostly has heard nothing there yet
			end, at = max(end, r.RespOff), max(at, r.PrevNS)
		}
		t.endTunnelHead(c, end, at)
	}
}

// endTunnelHead ends the oldest exchange, which opens a tunnel, near the end of its head.
func (t *Tracker) endTunnelHead(c *conn, end, atNS uint64) {
	c.queue[0].flags |= events.FlagBytesUncertain
	c.tunnel = true
	t.leaveHTTP(c, end, atNS)
}

// leaveHTTP ends the oldest exchange, behind which the connection is a tunnel or,
// where it may have had another one's response, perhaps is.
func (t *Tracker) leaveHTTP(c *conn, end, atNS uint64) {
	t.finish(c, end, atNS, events.OutcomeUpgraded)
	for c.tunnel && len(c.queue) > 0 { // sent ahead, into the tunnel
		t.stats.NotHTTP++
		t.drop(c)
	}
}
