// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// A server may read the first bytes of the next request before its answer has returned
// to be seen. Behind a body that came with its head the kernel takes them for more of
// that, and the next request begins without them.

// maxLead is as many bytes as a read too short to be one has for the kernel.
const maxLead = 8

// lead is what stood behind the last request, at off.
type lead struct {
	off   uint64
	n     uint8
	bytes [maxLead]byte
}

// keep takes what is behind a request, if it may begin the next one.
func (l *lead) keep(off uint64, b []byte, room *http1.Request) {
	if len(b) > 0 && len(b) <= maxLead && b[0] > ' ' && http1.ParseRequest(b, room) == http1.VerdictPartial {
		l.off, l.n = off, uint8(copy(l.bytes[:], b))
	}
}

// withLead is where the request of r begins, and its head, with what was kept of it.
func (t *Tracker) withLead(c *conn, r *events.Record) (off uint64, head []byte) {
	l := &c.lead
	if l.n == 0 || r.ReqOff != l.off+uint64(l.n) {
		return r.ReqOff, r.ReqHead
	}
	t.joined = append(append(t.joined[:0], l.bytes[:l.n]...), r.ReqHead...)
	return l.off, t.joined
}
