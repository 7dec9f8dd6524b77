// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"
	"time"

	"probe/pkg/events"
	"probe/pkg/loader"
)

// splicedAnswer: the client splices the body of the answer out of the socket, long
// after it has read the head. Of times only LastRead is told.
func splicedAnswer(s *stage) {
	client, server := s.kept[0], s.kept[1]
	client.write(get(s.target))
	server.read()
	server.write("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
	client.read()
	time.Sleep(50 * time.Millisecond)
	server.write(repeated(3000))
	s.times = append(s.times, moments{LastRead: during(client.spliceOut)})
}

// No hook of the socket source sees a splice. Its bytes are told by a sweep, with the
// next request and with the end of the connection, and their time to the kernel's tick.
func TestSplicedAnswers(t *testing.T) {
	tick := kernelTick(t)
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Client: true, Comms: []string{player.comm}})
		player.play(order{Scenario: "keep a connection"})
		player.play(order{Scenario: "burst on the kept connection", Repeat: 100}) // then the tick is known
		obs.await(101)
		var read []span
		splice := func() {
			player.begin(order{Scenario: "splice an answer on the kept connection"})
			read = append(read, player.report().Times[0].LastRead)
			obs.drain()
		}
		told := func(by string, n int) {
			t.Helper()
			if len(obs.requests) != n {
				t.Fatalf("%d exchanges told by %s, want %d", len(obs.requests), by, n)
			}
			q, last := obs.requests[n-1], read[n-1]
			marked := q.Flags&events.FlagTimeUncertain != 0
			if marked != (source == loader.SourceSocket) {
				t.Errorf("by %s: marked %v", by, marked)
			}
			if marked {
				last.From, last.To = last.From-tick, last.To+tick
			}
			expectIn(t, "by "+by+": end", q.EndNS, last)
			if body := q.ResponseBytes; body < 3000 || body > 3100 {
				t.Errorf("by %s: %d bytes of response", by, body)
			}
		}
		splice()
		obs.sweep(0)
		told("a sweep", 1)
		splice()
		splice()
		told("the next request", 2)
		player.play(order{Scenario: "close the kept connection"})
		obs.drain()
		told("the close", 3)
	})
}
