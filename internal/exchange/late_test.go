// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
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
		{name: "client reads it in pieces too short to know it", steps: []step{out(one), in(r1), sending(two), in(r2[:1], r2[1:]), out(two), end()},
			want: []seen{ok(one, r1), ok(two, "").outcome("unanswered").with(uncertain)}},
		{name: "closed before the write returned", steps: []step{out(one), in(r1), sending(two), in(r2), end()},
			want:  []seen{ok(one, r1), {Status: 404, Outcome: "ok", Out: len(r2), Flags: noRequest}},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
		{name: "server reads the next request first", steps: []step{in(one), sending(r1), in(two), out(r1), out(r2), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "server, for each of three", steps: []step{in(one), sending(r1), in(two), out(r1), sending(r2), in(one), out(r2), out(r1), end()},
			want: []seen{ok(one, r1), ok(two, r2), ok(one, r1)}},
		{name: "server reads the first byte of it, behind a body", steps: []step{in(post("/1", "a")), sending(r1), in(two[:1]), out(r1), in(two[1:]), sweepOld(), out(r2), end()},
			want: []seen{ok(post("/1", "a"), r1), ok(two, r2)}},
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

// However often a client was faster than its writer within one batch, the last
// request is waited for as long as any.
func TestLateManyTimes(t *testing.T) {
	s := newStage(t, exchange.Options{})
	steps, want := []step{out(get("/0")), in(okReply)}, []seen{ok(get("/0"), okReply)}
	for i := range 20 {
		q, r := get(fmt.Sprint("/", i+1)), reply(201+i, "")
		steps, want = append(steps, sending(q), in(r), out(q)), append(want, ok(q, r))
	}
	last := get("/last")
	s.play(append(steps, sending(last), in(okReply))...)
	s.play(out(last))
	s.want(append(want, ok(last, okReply))...)
}

// The request comes when its response was told without it: it is counted, and
// does not take the response of the next one.
func TestLateRequestTooLate(t *testing.T) {
	orphan := seen{Status: 404, Outcome: "ok", Out: len(reply(404, "x")), Flags: noRequest}
	for name, halves := range map[string][]string{
		"whole": {reply(404, "x")}, "in two": {reply(404, "x")[:20], reply(404, "x")[20:]},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, exchange.Options{})
			s.play(out(get("/1")), in(okReply), sending(get("/2")), in(halves[0]))
			s.settle()
			s.play(out(get("/2")))
			s.play(in(halves[1:]...), out(get("/3")), in(reply(201, "")), out(get("/4")), in(reply(202, "")), end())
			s.want(ok(get("/1"), okReply), orphan, ok(get("/3"), reply(201, "")), ok(get("/4"), reply(202, "")))
			if got := s.Stats(); got.Started != 4 || got.Orphans != 1 || got.Evicted != 1 {
				t.Errorf("%+v", got)
			}
			s.checkKernel(&s.sim.kernel)
		})
	}
}

// A request that comes when its turn was given up opens no wait of its own.
func TestLateRequestOutOfTurn(t *testing.T) {
	raw := records([]step{out(get("/1")), in(okReply), sending(get("/2")), in(reply(202, "")), out(get("/2")),
		out(get("/3")), in(reply(203, "")), out(get("/4")), in(reply(204, "")), sending(get("/5")), in(reply(205, "")), out(get("/5"))})
	w := watch(t, exchange.Options{})
	w.batch(raw[0], raw[1], raw[3])
	w.settle()
	w.batch(raw[2])
	w.batch(raw[4:]...)
	last := w.seen[len(w.seen)-2:]
	for i, want := range []seen{ok(get("/4"), reply(204, "")), ok(get("/5"), reply(205, ""))} {
		if last[i] != want {
			t.Errorf("%+v, want %+v", last[i], want)
		}
	}
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

// An answer that comes before its request is told ends one whose end was not seen, also
// where it has more pieces than are waited with.
func TestLateAnswerEndsAnother(t *testing.T) {
	r1 := chunkedHead + chunk(large) + chunk(large) + "0\r\nX-Sum: 1\r\n\r\n"
	r2 := reply(404, "")
	pieces := append([]string{r2[:7]}, bytewise(r2[7:])...)
	runScripts(t, []script{{name: "in many pieces", steps: []step{out(get("/1")), in(r1), sending(get("/2")), in(pieces...), out(get("/2")), end()},
		want:  []seen{ok(get("/1"), r1), {Status: 404, Outcome: "ok", Out: len(r2), Flags: noRequest}},
		stats: func(s *exchange.Stats) { s.Started, s.Orphans, s.Evicted = 2, 1, 1 }}})
}
