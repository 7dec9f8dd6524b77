// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"

	"probe/internal/exchange"
)

// sending is a call that has put bytes on the wire and has not returned yet; the
// next out is its return.
func sending(text string) step {
	return func(s *sim) { s.kernel.flying = uint64(len(text)) }
}

// A call is seen when it returns. The peer, or a second thread, can be faster.
func TestFasterThanTheReturn(t *testing.T) {
	one, two := get("/1"), get("/2")
	r1, r2 := reply(201, "a"), reply(404, "bc")
	runScripts(t, []script{
		{name: "client reads the answer first", steps: []step{sending(one), in(r1), out(one), sending(two), in(r2), out(two), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "client reads it in pieces", steps: []step{out(one), in(r1), sending(two), in(r2[:20]), in(r2[20:]), out(two), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "client's write returns between the pieces", steps: []step{out(one), in(r1), sending(two), in(r2[:20]), out(two), in(r2[20:]), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "closed before the write returned", steps: []step{out(one), in(r1), sending(two), in(r2), end()},
			want:  []seen{ok(one, r1), {Status: 404, Outcome: "ok", Out: len(r2), Flags: noRequest}},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
		{name: "server reads the next request first", steps: []step{in(one), sending(r1), in(two), out(r1), out(r2), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "server, for each of three", steps: []step{in(one), sending(r1), in(two), out(r1), sending(r2), in(one), out(r2), out(r1), end()},
			want: []seen{ok(one, r1), ok(two, r2), ok(one, r1)}},
		{name: "server, swept between", steps: []step{in(one), sending(r1), in(two), sweepOld(), out(r1), sweepOld(), out(r2), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "server closes while it sends", steps: []step{in(one), out(r1[:20]), sending(r1[20:]), end()},
			want: []seen{ok(one, r1).with(uncertain)}},
	})
}

// The request never comes: its response is told without it, after a while.
func TestLateRequestLost(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(out(get("/1")), in(okReply), sending(get("/2")), in(reply(404, "x")))
	s.want(ok(get("/1"), okReply))
	for range 20 {
		s.play()
	}
	s.want(ok(get("/1"), okReply), seen{Status: 404, Outcome: "ok", Out: len(reply(404, "x")), Flags: noRequest})
}

// What waits for a request at the end of the program is told.
func TestLateAtTheEnd(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(out(get("/1")), in(okReply), sending(get("/2")), in(reply(404, "x")))
	s.Close(uint64(s.sim.now))
	s.want(ok(get("/1"), okReply), seen{Status: 404, Outcome: "ok", Out: len(reply(404, "x")), Flags: noRequest})
}

// A reset is no way to end a body.
func TestReset(t *testing.T) {
	runScripts(t, []script{
		{name: "after a whole response", steps: []step{in(getRequest), out(okReply), reset()}, want: []seen{ok(getRequest, okReply)}},
		{name: "in a body of known length", steps: []step{in(getRequest), out(okReply[:40]), reset()},
			want: []seen{ok(getRequest, okReply[:40]).outcome("aborted")}},
		{name: "in a body ended by the close", steps: []step{in(getRequest), out(closeHead, "abc"), reset()},
			want: []seen{ok(getRequest, closeHead+"abc").outcome("aborted")}},
		{name: "before the response", steps: []step{in(getRequest), reset()}, want: []seen{ok(getRequest, "").outcome("unanswered")}},
	})
}
