// SPDX-License-Identifier: Apache-2.0

package exchange

// maxClosed is how many closed connections are remembered: more than close
// within the moment in which a sweep on another CPU can still tell of one.
const maxClosed = 256

// closedConns are the connections that were closed last. A sweep may have looked
// at one just before its close and tell of it just after: such a record must not
// bring the connection back.
type closedConns struct {
	ids   map[uint64]struct{}
	order [maxClosed]uint64
	next  int
}

func newClosedConns() closedConns { return closedConns{ids: make(map[uint64]struct{}, maxClosed)} }

func (c *closedConns) has(id uint64) bool {
	_, closed := c.ids[id]
	return closed
}

func (c *closedConns) add(id uint64) {
	if c.has(id) {
		return
	}
	if len(c.ids) == maxClosed {
		delete(c.ids, c.order[c.next])
	}
	c.ids[id], c.order[c.next] = struct{}{}, id
	c.next = (c.next + 1) % maxClosed
}
