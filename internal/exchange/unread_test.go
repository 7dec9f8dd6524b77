// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"strings"
	"testing"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// A response of which not even the beginning can be read takes its own request with
// it, and nothing else.
func TestUnreadResponse(t *testing.T) {
	unseen := func(started, unseen uint64) func(*exchange.Stats) {
		return func(s *exchange.Stats) { s.Started, s.Unseen = started, unseen }
	}
	two, three := ok(get("/2"), okReply), ok(get("/3"), reply(404, large))
	rest := []step{in(get("/2")), out(okReply), in(get("/3")), out(reply(404, large)), end()}
	late := ok(get("/1"), okReply).with(uncertain)
	late.Out += 25
	runScripts(t, []script{
		{name: "the first", steps: append([]step{in(get("/1")), sendfile(200)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "in two pieces", steps: append([]step{in(get("/1")), sendfile(200), sendfile(3000)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "and a body that can be read", steps: append([]step{in(get("/1")), sendfile(200), out(large)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "swept", steps: append([]step{in(get("/1")), sendfile(200), sendfile(99), sweep()}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "a later one", steps: append([]step{in(get("/0")), out(okReply), in(get("/1")), sendfile(200)}, rest...),
			want: []seen{ok(get("/0"), okReply), two, three}, stats: unseen(4, 1)},
		{name: "the last", steps: []step{in(get("/2")), out(okReply), in(get("/1")), sendfile(200), end()}, want: []seen{two}, stats: unseen(2, 1)},
		{name: "all", steps: []step{in(get("/1")), sendfile(200), in(get("/2")), sendfile(200), end()}, stats: unseen(2, 2)},
		{name: "then none", steps: []step{in(get("/1")), sendfile(200), in(getRequest), end()},
			want: []seen{ok(getRequest, "").outcome("unanswered")}, stats: unseen(2, 1)},
		{name: "an interim one", steps: append([]step{in(get("/1")), sendfile(25), out(okReply)}, rest...), want: []seen{late, two, three}},
		{name: "of two that wait", steps: []step{in(get("/1"), get("/2")), sendfile(200), out(okReply), in(get("/3")), out(reply(404, large)), end()},
			want: []seen{two.with(uncertain), three}, stats: unseen(3, 1)},
	})
}

// Answers to pipelined requests in one write, of which the captured bytes show the
// first ones only: the others are not told as unanswered.
func TestAnswersBehindTheCapture(t *testing.T) {
	const n = 5
	requests := make([]string, n)
	for i := range requests {
		requests[i] = get(fmt.Sprintf("/%d", i))
	}
	all := in(strings.Join(requests, ""))
	// sized is an answer of so many bytes.
	sized := func(size int) string {
		head := "HTTP/1.1 200 OK\r\nContent-Length: 26\r\nX: "
		return head + strings.Repeat("p", size-len(head)-30) + "\r\n\r\n" + strings.Repeat("b", 26)
	}
	answers := func(size, n int) string { return strings.Repeat(sized(size), n) }
	first := func(size int) []seen { return []seen{ok(requests[0], sized(size)), ok(requests[1], sized(size))} }
	books := func(unseen uint64) func(*exchange.Stats) {
		return func(s *exchange.Stats) { s.Started, s.Pipelined, s.Unseen, s.Finished = 1, n-1, unseen, n-unseen }
	}
	unanswered := []seen{ok(requests[0], sized(240))}
	for _, r := range requests[1:] {
		unanswered = append(unanswered, ok(r, "").outcome("unanswered"))
	}
	runScripts(t, []script{
		{name: "a head is cut", steps: []step{all, out(answers(240, n)), end()}, stats: books(2),
			want: append(first(240), ok(requests[2], answers(240, 3)).with(uncertain))},
		{name: "a status is cut", steps: []step{all, out(answers(250, n)), end()}, stats: books(3), want: first(250)},
		{name: "a head is behind them", steps: []step{all, out(answers(263, n)), end()}, stats: books(3),
			want: []seen{ok(requests[0], sized(263)), ok(requests[1], sized(263))}},
		{name: "no answer", steps: []step{all, out(answers(240, 1)), end()}, stats: books(0), want: unanswered},
	})
}

// After the final answer to one that asks before it sends its body, the client need
// not send it.
func TestBodyIsKeptBack(t *testing.T) {
	put := "PUT /a HTTP/1.1\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
	no := reply(417, "no")
	next := []step{in(get("/2")), out(okReply), end()}
	two := ok(get("/2"), okReply)
	runScripts(t, []script{
		{name: "kept", steps: append([]step{in(put), out(no)}, next...), want: []seen{ok(put, no), two}},
		{name: "sent all the same", steps: append([]step{in(put), out(no), in("0123456789")}, next...),
			want: []seen{ok(put, no), two.with(uncertain)}},
		{name: "sent when asked for", steps: append([]step{in(put), out("HTTP/1.1 100 Continue\r\n\r\n"), in("0123456789"), out(okReply)}, next...),
			want: []seen{{Method: "PUT", Target: "/a", Status: 200, Outcome: "ok", In: len(put) + 10, Out: len(okReply) + 25}, two}},
	})
}

// What a client sends behind CONNECT before it has the answer is in the tunnel.
func TestSentAheadIntoATunnel(t *testing.T) {
	connect := "CONNECT a:1 HTTP/1.1\r\n\r\n"
	answer := "HTTP/1.1 200 OK\r\n\r\n"
	runScripts(t, []script{{name: "a request", steps: []step{in(connect + get("/in")), out(answer), end()},
		want:  []seen{ok(connect, answer).outcome("upgraded")},
		stats: func(s *exchange.Stats) { s.Pipelined, s.NotHTTP = 1, 1 }}})
}

// Of a request behind a preamble that fills the captured bytes nothing is known.
func TestPreambleFillsTheCapture(t *testing.T) {
	preamble := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x02\x00" + strings.Repeat("x", 512)
	all := preamble + getRequest
	runScripts(t, []script{{name: "PROXY v2", steps: []step{in(all), out(okReply), end()},
		want: []seen{{Status: 200, Outcome: "ok", In: len(all), Out: len(okReply), Flags: events.FlagTargetCut}}}})
}
