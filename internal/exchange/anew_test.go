// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"

	"probe/internal/exchange"
)

// leftOutIn and leftOutOut are calls that the hooks did not look at, because another
// call was on the connection and did not leave (bpf/lanes.h).
func leftOutIn(text string) step  { return leftOut(recv, text) }
func leftOutOut(text string) step { return leftOut(send, text) }

func leftOut(dir direction, text string) step {
	return func(s *sim) { s.kernel.leaveOut(piece{dir: dir, data: []byte(text), now: uint64(s.now)}) }
}

// What was moved then is missing. No response gets to a request that is not its own,
// and no rest of a request is one, and the next exchange but one is as it was.
func TestBeginsAnew(t *testing.T) {
	one, two, three := get("/1"), "POST /2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", get("/3")
	r1, r2, r3 := reply(201, "a"), reply(404, "bc"), reply(200, "def")
	second := seen{Status: 404, Outcome: "ok", Out: len(r2), Flags: noRequest}
	third := []step{in(three), out(r3), end()}
	after := func(steps ...step) []step { return append(steps, third...) }
	runScripts(t, []script{
		{name: "first byte of the next request", steps: after(in(one), out(r1), leftOutIn(two[:1]), in(two[1:]), out(r2)),
			want:  []seen{ok(one, r1), second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 2, 1 }},
		{name: "next request", steps: after(in(one), out(r1), leftOutIn(two), out(r2)),
			want:  []seen{ok(one, r1), second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 2, 1 }},
		{name: "response", steps: after(in(one), leftOutOut(r1), in(two), out(r2)),
			want:  []seen{second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
		{name: "response to a request that was told by a sweep", steps: after(in(one), sweepOld(), leftOutOut(r1), in(two), out(r2)),
			want:  []seen{second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans, s.Raced = 2, 1, 1 }},
		{name: "response, when the next request was read", steps: after(in(one), sending(r1), in(two[:1]), leftOutOut(r1), in(two[1:]), out(r2)),
			want:  []seen{second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans, s.Raced = 2, 1, 1 }},
		{name: "rest of a response", steps: after(in(one), out(r2[:20]), leftOutOut(r2[20:]), in(two), out(r2)),
			want:  []seen{second, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans, s.Raced = 2, 1, 1 }},
		{name: "response, and a sweep", steps: []step{in(one), sweepOld(), leftOutOut(r1), sweep()},
			stats: func(s *exchange.Stats) { s.Started, s.Raced = 1, 1 }},
		{name: "response, and the end", steps: []step{in(one), sweepOld(), leftOutOut(r1), end()},
			stats: func(s *exchange.Stats) { s.Started, s.Raced = 1, 1 }},
		{name: "first request of a connection", steps: after(leftOutIn(one), out(r1)),
			want:  []seen{{Status: 201, Outcome: "ok", Out: len(r1), Flags: noRequest}, ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
	})
}
