// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// Thousands of connections a second that come to nothing: some never send, some
// send a byte, some are reset, some ask and leave before the answer.
func TestSiegeChurn(t *testing.T) {
	const each, kinds = 6000, 5
	s := besiege(t)
	var heads, letters atomic.Int64 // connections by what the server has read
	addresses := serveRaw(t, func(c net.Conn) {
		switch text, _ := io.ReadAll(c); len(text) {
		case 0:
		case 1:
			letters.Add(1)
		default:
			heads.Add(1)
		}
	})
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
	// What was not reset is read, sooner or later.
	for tries := 0; heads.Load() < each || letters.Load() < each; tries++ {
		if tries == 600 {
			t.Fatalf("the server has read %d heads and %d letters of %d", heads.Load(), letters.Load(), each)
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.end()
	if got := s.sink.sum(requests + " route:/churn"); got != each {
		t.Errorf("%d requests without an answer, want %d", got, each)
	}
	// A byte that was reset may not have been read.
	if got := s.self("exchange.dropped.not_http"); got < each || got > 2*each {
		t.Errorf("exchange.dropped.not_http: %d, want %d to %d", got, each, 2*each)
	}
}
