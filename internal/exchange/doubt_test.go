// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"strings"
	"testing"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// exchanges are n requests to /n0 and so on, each answered with a status of its own.
func exchanges(n int) (steps []step, want []seen) {
	for i := range n {
		q, a := get(fmt.Sprint("/n", i)), reply(210+i, "")
		steps, want = append(steps, in(q), out(a)), append(want, ok(q, a))
	}
	return append(steps, end()), want
}

// What begins like a request may be a part of a body whose end is not known. The
// responses go to the right requests again, at the latest with the second.
func TestFalseRequests(t *testing.T) {
	evil := get("/evil")
	length := fmt.Sprintf("POST /p HTTP/1.1\r\nCookie: %s\r\nContent-Length: %d\r\n\r\n", strings.Repeat("c", 700), len(evil))
	chunked := "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	size, answer := fmt.Sprintf("%x\r\n", len(evil)), reply(201, "")
	next, after := exchanges(3)
	flagged := append([]seen{after[0].with(uncertain)}, after[1:]...)
	early := ok(chunked, answer)
	play := func(steps ...step) []step { return append(steps, next...) }
	books := func(started, doubtful, inside uint64) func(*exchange.Stats) {
		return func(s *exchange.Stats) { s.Started, s.Doubtful, s.InsideBody = started, doubtful, inside }
	}
	runScripts(t, []script{
		{name: "length beyond the capture", steps: play(in(length, evil), out(answer)),
			want: append([]seen{ok(length, answer).with(events.FlagBytesUncertain)}, flagged...), stats: books(5, 1, 0)},
		{name: "... twice", steps: play(in(length, evil, evil), out(answer)),
			want: append([]seen{ok(length, answer).with(events.FlagBytesUncertain)}, flagged...), stats: books(6, 2, 0)},
		{name: "... then closed", steps: []step{in(length, evil), out(answer), end()},
			want: []seen{ok(length, answer).with(events.FlagBytesUncertain)}, stats: books(2, 1, 0)},
		{name: "chunks behind an early answer", steps: play(in(chunked), out(answer), in(size, evil, "\r\n", "0\r\n\r\n")),
			want: append([]seen{early}, flagged...), stats: books(5, 1, 0)},
		{name: "... behind a request that was as doubtful, and none", steps: play(in(chunked), out(answer), in("0\r\n\r\n", get("/2")),
			out(okReply), in(length, evil), out(answer)),
			want:  append([]seen{early, ok(get("/2"), okReply).with(uncertain), ok(length, answer).with(events.FlagBytesUncertain)}, flagged...),
			stats: books(7, 1, 0)},
		{name: "a chunk behind its size and an early answer", steps: play(in(chunked+size), out(answer), in(evil, "\r\n", "0\r\n\r\n")),
			want: append([]seen{early.read(len(size))}, flagged...), stats: books(4, 0, 1)},
	})
}

// Real requests that look no different: all are told, and those behind flagged.
func TestDoubtfulButReal(t *testing.T) {
	long := func(target string) string {
		return "GET " + target + " HTTP/1.1\r\nCookie: " + strings.Repeat("c", 600) + "\r\n\r\n"
	}
	one, two, three, four := long("/1"), long("/2"), long("/3"), long("/4")
	r1, r2, r3, r4 := reply(201, ""), reply(202, ""), reply(203, ""), reply(204, "")
	bytes := events.FlagBytesUncertain
	upload := "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
	body := "5\r\nhello\r\n0\r\n\r\n"
	const go100 = "HTTP/1.1 100 Continue\r\n\r\n"
	runScripts(t, []script{
		{name: "long heads, one by one", steps: []step{in(one), out(r1), in(two), out(r2), end()},
			want: []seen{ok(one, r1), ok(two, r2)}},
		{name: "long heads, pipelined", steps: []step{in(one, two), out(r1, r2), in(three, four), out(r3, r4), end()},
			want: []seen{ok(one, r1).with(bytes), ok(two, r2).with(uncertain), ok(three, r3).with(bytes), ok(four, r4).with(uncertain)}},
		{name: "... and then always two at a time", steps: []step{in(one, two), out(r1, r2), in(one, two), out(r1), in(three), out(r2), in(four), out(r3, r4), end()},
			want: []seen{ok(one, r1).with(bytes), ok(two, r2).with(uncertain), ok(one, r1).with(bytes), ok(two, r2).with(uncertain),
				ok(three, r3).with(uncertain), ok(four, r4).with(uncertain)}},
		{name: "chunks behind a 100", steps: []step{in(upload), out(go100), in(body), out(r1), in(get("/2")), out(okReply), end()},
			want: []seen{ok(upload+body, r1).plus(go100), ok(get("/2"), okReply)}},
	})
}

// A request was not seen among pipelined ones: whoever may have got the answer of
// a neighbour says so.
func TestUnseenRequest(t *testing.T) {
	one, three := get("/1"), get("/3")
	unseen := strings.Replace(get("/2"), "GET", "g.t", 1) // no method for the kernel
	r1, r2, r3 := reply(201, ""), reply(202, ""), reply(203, "")
	orphan := seen{Status: 203, Outcome: "ok", Out: len(r3), Flags: noRequest}
	var many []string
	for i := range 24 {
		many = append(many, get(fmt.Sprintf("/b%02d", i)))
	}
	runScripts(t, []script{
		{name: "between two", steps: []step{in(one, unseen, three), out(r1, r2, r3), in(get("/4")), out(okReply), end()},
			want:  []seen{ok(one, r1), ok(three, r2).with(uncertain), orphan, ok(get("/4"), okReply)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 3, 1 }},
		{name: "behind an answered one", steps: []step{in(one), out(r1), in(unseen, three), out(r2, r3), end()},
			want:  []seen{ok(one, r1), ok(three, r2).with(uncertain), orphan},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 2, 1 }},
	})
	s := newStage(t, exchange.Options{})
	s.play(in(strings.Join(many[:20], ""), strings.Join(many[20:], "")))
	for i := range many {
		s.play(out(reply(200+i, "")))
	}
	s.wantFlagged(len(many), func(got seen) bool { return got.Target == fmt.Sprintf("/b%02d", got.Status-200) })
}

// A head that was not whole when the answer began: what else was read then may be
// of others.
func TestSplitHeadsBytes(t *testing.T) {
	one, two, three := get("/1"), get("/2"), get("/3")
	cut := len(one) + 9
	all := one + two + three
	s := newStage(t, exchange.Options{})
	s.play(in(all[:cut]), out(reply(201, "")), in(all[cut:]), out(reply(202, "")), out(reply(203, "")), end())
	s.want(ok(one, reply(201, "")), ok(two, reply(202, "")).read(len(three)).with(events.FlagBytesUncertain),
		seen{Status: 203, Outcome: "ok", Out: len(reply(203, "")), Flags: noRequest})
}

// Behind a body whose end is not known the first byte of a request may be taken for a
// part of it. Then the method is wrong, and marked.
func TestFirstByteMissing(t *testing.T) {
	long := fmt.Sprintf("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunk(large))
	rest := "ET /2 HTTP/1.1\r\n\r\n"
	runScripts(t, []script{
		{name: "read while the answer leaves", steps: []step{in(long), sending(okReply), in("G"), out(okReply), in(rest), out(okReply), end()},
			want: []seen{ok(long, okReply).read(1).with(events.FlagBytesUncertain), ok("G"+rest, okReply)}},
		{name: "read before", steps: []step{in(long), in("G"), out(okReply), in(rest), out(okReply), end()},
			want: []seen{ok(long, okReply).read(1), ok(rest, okReply).with(uncertain)}},
	})
}

// A request that is told behind a response without one, and was read before it: that
// may have been its own.
func TestToldBehindItsResponse(t *testing.T) {
	head, two := "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", get("/2")
	body := fmt.Sprintf("a0\r\n%s\r\n0\r\n\r\n", large[:0xa0])
	first, orphan := ok(head+body, okReply).with(events.FlagBytesUncertain), seen{Status: 202, Outcome: "ok", Out: len(reply(202, "")), Flags: noRequest}
	runScripts(t, []script{{name: "the size of a chunk was taken for the next request", steps: []step{
		in(get("/1")), out(okReply[:20]), sending(okReply[20:]), in(head, body[:1]), out(okReply[20:]), in(body[1:]), out(okReply), in(two[:1], two[1:]), out(reply(202, "")), end()},
		want:  []seen{ok(get("/1"), okReply), first, orphan, ok(two, "").outcome("unanswered").with(uncertain)},
		stats: func(s *exchange.Stats) { s.Started, s.InsideBody, s.Orphans = 3, 1, 1 }}})
}
