// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"strings"
	"testing"

	"probe/internal/exchange"
	"probe/pkg/events"
)

func TestPipelined(t *testing.T) {
	one, two, three := get("/1"), get("/2"), get("/3")
	r1, r2, r3 := reply(200, "1"), reply(404, "22"), reply(500, "333")
	both := []seen{ok(one, r1), ok(two, r2)}
	all := append(both, ok(three, r3)) //nolint:gocritic // its own array
	inOne := func(n uint64) func(*exchange.Stats) {
		return func(s *exchange.Stats) { s.Started, s.Pipelined = s.Started-n, n }
	}
	chunked := "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	runScripts(t, []script{
		{name: "one read, two writes", steps: []step{in(one + two), out(r1, r2)}, want: both, stats: inOne(1)},
		{name: "one read, one write", steps: []step{in(one + two), out(r1 + r2)}, want: both, stats: inOne(1)},
		{name: "two reads, two writes", steps: []step{in(one, two), out(r1, r2)}, want: both},
		{name: "two reads, one write", steps: []step{in(one, two), out(r1 + r2)}, want: both},
		{name: "three reads, three writes", steps: []step{in(one, two, three), out(r1, r2, r3)}, want: all},
		{name: "three in one read, three writes", steps: []step{in(one + two + three), out(r1, r2, r3)}, want: all, stats: inOne(2)},
		{name: "second answered while the third arrives", steps: []step{in(one, two), out(r1), in(three), out(r2, r3)}, want: all},
		{name: "read between the halves of the first answer",
			steps: []step{in(one), out(r1[:len(r1)-1]), in(two), out(r1[len(r1)-1:], r2)}, want: both},
		{name: "second head in two reads", steps: []step{in(one+two[:9], two[9:]), out(r1, r2)}, want: both, stats: inOne(1)},
		{name: "second head in two reads, swept between",
			steps: []step{in(one + two[:9]), sweepOld(), in(two[9:]), out(r1, r2)}, want: both, stats: inOne(1)},
		{name: "second found after the first was swept half",
			steps: []step{in(one[:9]), sweepOld(), in(one[9:] + two), out(r1, r2)}, want: both, stats: inOne(1)},
		{name: "with bodies", steps: []step{in(post("/1", "abc") + post("/2", "")), out(r1 + r2)},
			want: []seen{ok(post("/1", "abc"), r1), ok(post("/2", ""), r2)}, stats: inOne(1)},
		{name: "behind a chunked request", steps: []step{in(chunked + two), out(r1, r2)},
			want: []seen{ok(chunked, r1), ok(two, r2)}, stats: inOne(1)},
		{name: "blank line between", steps: []step{in(one + "\r\n" + two), out(r1, r2)},
			want: []seen{ok(one, r1), ok(two, r2).read(2)}, stats: inOne(1)},
		{name: "answers cut in the middle of the second", steps: []step{in(one + two), out(halves(r1+r2, len(r1)+10)...)},
			want: both, stats: inOne(1)},
		{name: "chunked answers in one write", steps: []step{in(one + two), out(chunkedReply + chunkedReply)},
			want: []seen{ok(one, chunkedReply), ok(two, chunkedReply)}, stats: inOne(1)},
	})
}

// read adds bytes to the request.
func (s seen) read(n int) seen {
	s.In += n
	return s
}

// What lies beyond the capture limit is not seen. It is counted, and the
// exchanges around it stay right.
func TestPipelinedBeyondTheCapture(t *testing.T) {
	one, two, three := get("/1"), get("/2"), get("/3")
	r1, r2, r3 := reply(200, "1"), reply(200, strings.Repeat("2", 700)), reply(200, "333")
	long := reply(200, strings.Repeat("1", 600))
	runScripts(t, []script{
		{name: "second request not captured", capture: 64, steps: []step{in(post("/1", strings.Repeat("b", 64)) + two), out(r1, r3), end()},
			want:  []seen{ok(post("/1", strings.Repeat("b", 64)), r1), {Status: 200, Outcome: "ok", Out: len(r3), Flags: noRequest}},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
		{name: "second answer in the write of the first", steps: []step{in(one + two), out(long + r3), in(three), out(r3), end()},
			want:  []seen{ok(one, long), ok(three, r3)},
			stats: func(s *exchange.Stats) { s.Started, s.Pipelined, s.Unseen = 2, 1, 1 }},
		{name: "second answer behind the rest of the first, third seen",
			steps: []step{in(one + two + three), out(long[:600], long[600:]+r2, r3), end()},
			want:  []seen{ok(one, long).with(events.FlagTimeUncertain), ok(three, r3).with(uncertain)},
			stats: func(s *exchange.Stats) { s.Started, s.Pipelined, s.Unseen = 1, 2, 1 }},
	})
}

// Of the last request that was captured it is not known where it ends: those behind it
// in the same read may be among its bytes.
func TestPipelinedHeadCut(t *testing.T) {
	one, two, three := get("/1"), get("/2"), get("/3")
	runScripts(t, []script{
		{name: "third request not captured", capture: len(one) + len(two) - 8, steps: []step{in(one + two + three), out(okReply, okReply, okReply), end()},
			want: []seen{ok(one, okReply), ok(two, okReply).read(len(three)).with(events.FlagBytesUncertain),
				{Status: 200, Outcome: "ok", Out: len(okReply), Flags: noRequest}},
			stats: func(s *exchange.Stats) { s.Started, s.Pipelined, s.Orphans = 1, 1, 1 }},
	})
}

// An answer whose head is cut takes the bytes of those behind it; whoever gets the next
// one, and what follows, says that it may be a neighbour's.
func TestPipelinedAnswerCut(t *testing.T) {
	first := reply(201, strings.Repeat("1", 460))
	s := newStage(t, exchange.Options{})
	s.play(in(get("/1")+get("/2")+get("/3")), out(first+reply(202, "2")+reply(203, "3")))
	s.play(in(get("/4")), out(reply(204, "")), in(get("/5")), out(reply(205, "")), in(get("/6")), out(reply(206, "")), end())
	for _, got := range s.seen {
		if got.Target != "/"+string('0'+rune(got.Status%10)) && got.Flags == 0 {
			t.Errorf("paired wrongly and not flagged: %+v", got)
		}
	}
}

// What was pipelined is told again by a longer head, wherever the first told
// one ended.
func TestPipelinedToldAgain(t *testing.T) {
	one, two, three := get("/1"), get("/two"), get("/3")
	r1, r2, r3 := reply(201, "1"), reply(202, "22"), reply(203, "")
	want := []seen{ok(one, r1), ok(two, r2), ok(three, r3)}
	for at := 1; at < len(two); at++ {
		s := newStage(t, exchange.Options{})
		s.play(in(one+two[:at]), sweepOld(), in(two[at:]+three), out(r1, r2, r3), end())
		s.want(want...)
	}
}

// Two hidden answers are counted as one: whoever comes while the queue is off
// by one may get the wrong answer, and says so.
func TestUnseenMakesUnsure(t *testing.T) {
	long := reply(201, large)
	s := newStage(t, exchange.Options{})
	s.play(in(get("/1"), get("/2"), get("/3"), get("/4")), out(long[:600], long[600:]+reply(202, "")+reply(203, "")))
	s.play(in(get("/5")), out(reply(204, "")), in(get("/6")), out(reply(205, ""), reply(206, "")), end())
	s.wantFlagged(5, func(got seen) bool { return got.Target == "/"+string('0'+rune(got.Status%10)) })
}

// The same where an answer is no HTTP.
func TestNoAnswerMakesUnsure(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(in(get("/1"), get("/2"), get("/3")), out(reply(201, "")+"\r\n"), in(get("/4")), out(reply(202, "")))
	s.play(in(get("/5")), out(reply(203, "")), in(get("/6")), out(reply(204, ""), reply(205, ""), reply(206, "")), end())
	s.wantFlagged(6, func(got seen) bool {
		return got.Target == "" || got.Target == "/"+string('0'+rune(got.Status%10))
	})
}

// Bytes behind the end of a response, which no request explains, are not the answer to
// a request that came after them; and a request that is told again counts once.
func TestMoreThanItSays(t *testing.T) {
	long := reply(201, large)
	next := []step{sweepOld(), out(reply(202, "")), in(get("/3")), out(reply(203, "")), end()}
	first, third := ok(get("/1"), long), ok(get("/3"), reply(203, ""))
	runScripts(t, []script{
		{name: "swept with the next request", steps: append([]step{in(get("/1")), out(long[:600], long[600:]+"and more than a status line"), in(get("/2"))}, next...),
			want: []seen{first.with(events.FlagTimeUncertain), ok(get("/2"), reply(202, "")).with(uncertain), third}},
		{name: "... which was read before the call returned", steps: append([]step{in(get("/1")), sending(okReply + "\r\n"), in(get("/2")), sweepOld(), out(okReply + "\r\n")}, next...),
			want: []seen{ok(get("/1"), okReply), ok(get("/2"), reply(202, "")).with(uncertain), third}},
	})
}
