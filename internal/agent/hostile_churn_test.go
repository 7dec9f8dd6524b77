// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"net"
	"testing"
)

// Thousands of connections a second that come to nothing: some never send, some
// send a byte, some are reset, some ask and leave before the answer.
func TestSiegeChurn(t *testing.T) {
	const each, kinds = 6000, 5
	s := besiege(t)
	addresses := serveRaw(t, drain)
	attack(t, each*kinds, 64, addresses, func(i int, c *net.TCPConn) {
		switch i % kinds {
		case 0: // never sends
		case 1:
			c.SetLinger(0)
		case 2:
			write(c, "G")
		case 3:
			write(c, "G")
			c.SetLinger(0)
		case 4:
			write(c, "GET /churn HTTP/1.1\r\nHost: a\r\n\r\n")
		}
	})
	s.end()
	if got := s.sink.sum(requests + " route:/churn"); got != each {
		t.Errorf("%d requests without an answer, want %d", got, each)
	}
	// A byte that was reset may not have been read.
	if got := s.self("exchange.dropped.not_http"); got < each || got > 2*each {
		t.Errorf("exchange.dropped.not_http: %d, want %d to %d", got, each, 2*each)
	}
}
