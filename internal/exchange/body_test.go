// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"probe/internal/exchange"
	"probe/pkg/events"
)

const noRequest = events.FlagNoRequest

// A piece of a body may begin like a message; the framing knows better.
func TestHeadsInsideBodies(t *testing.T) {
	lure, answer := get("/lure"), reply(201, "x")
	length := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 2*len(answer))
	chunk := fmt.Sprintf("%x\r\n", len(answer))
	chunkedBody := []string{chunkedHead, chunk, answer, "\r\n" + chunk, answer, "\r\n0\r\n\r\n"}
	chunkedAll := strings.Join(chunkedBody, "")
	first := fmt.Sprintf("POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n", 2*len(lure))
	whole := first + lure + lure
	rejected := func(n uint64) func(*exchange.Stats) { return func(s *exchange.Stats) { s.InsideBody = n } }
	answers := func(n uint64) func(*exchange.Stats) { return func(s *exchange.Stats) { s.InsideAnswer = n } }
	runScripts(t, []script{
		{name: "response in a body of known length", steps: []step{in(getRequest), out(length, answer, answer), in(get("/2")), out(okReply)},
			want: []seen{ok(getRequest, length+answer+answer), ok(get("/2"), okReply)}, stats: answers(2)},
		{name: "response in a chunked body", steps: []step{in(getRequest), out(chunkedBody...), in(get("/2")), out(okReply)},
			want: []seen{ok(getRequest, chunkedAll), ok(get("/2"), okReply)}, stats: answers(2)},
		{name: "response in a body ended by the close", steps: []step{in(getRequest), out(closeHead, answer, answer), end()},
			want: []seen{ok(getRequest, closeHead+answer+answer)}, stats: answers(2)},
		{name: "status line in a header value", steps: []step{in(getRequest), out("HTTP/1.1 200 OK\r\nVia: ", "HTTP/1.1 x\r\nContent-Length: 0\r\n\r\n"), end()},
			want: []seen{ok(getRequest, "HTTP/1.1 200 OK\r\nVia: HTTP/1.1 x\r\nContent-Length: 0\r\n\r\n")}},
		{name: "request in a request body", steps: []step{in(first, lure, lure), out(okReply), in(get("/2")), out(okReply)},
			want: []seen{ok(whole, okReply), ok(get("/2"), okReply)}, stats: rejected(2)},
		{name: "a word in a read of its own", steps: []step{in(post("/p", "hello")[:len(post("/p", "hello"))-5], "hello"), out(okReply), in(get("/2")), out(okReply)},
			want: []seen{ok(post("/p", "hello"), okReply), ok(get("/2"), okReply)}},
		{name: "... swept between, so told twice and counted once", steps: []step{in(first, lure), sweepOld(), in(lure), sweepOld(), out(okReply)},
			want: []seen{ok(whole, okReply)}, stats: rejected(2)},
	})
}

// Bodies whose end the captured head does not tell.
func TestBodiesOfUnknownLength(t *testing.T) {
	cookies := "POST /long HTTP/1.1\r\nContent-Length: 300\r\nCookie: " + strings.Repeat("c", 600) + "\r\n\r\n"
	boundary := "------WebKitFormBoundaryABCDEFGH\r\n" + strings.Repeat("a", 100)
	text := "Hello world, said the body, which has " + strings.Repeat("b", 128)
	upload := cookies + boundary + text
	lone := "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	prose := []string{lone, "b\r\n", "Hello world", "\r\n", "5\r\n", "words", "\r\n0\r\n\r\n"}
	next := []step{out(okReply), in(get("/2")), out(reply(404, "no")), in(get("/3")), out(okReply), end()}
	after := []seen{ok(get("/2"), reply(404, "no")), ok(get("/3"), okReply)}
	rejected := func(n uint64) func(*exchange.Stats) { return func(s *exchange.Stats) { s.InsideBody = n } }
	runScripts(t, []script{
		{name: "head longer than the capture, form data", steps: append([]step{in(cookies, boundary, text)}, next...),
			want: append([]seen{ok(upload, okReply)}, after...)},
		{name: "... that looks like requests", steps: append([]step{in(cookies, strings.Repeat(get("/lure"), 2), strings.Repeat("x", 300-2*len(get("/lure"))))}, next...),
			want: append([]seen{ok(cookies+strings.Repeat("x", 300), okReply)}, after...), stats: rejected(1)},
		{name: "chunked, one chunk is a request", steps: append([]step{in(lone, "1d\r\n", get("/lure"), "\r\n0\r\n\r\n")}, next...),
			want: append([]seen{ok(lone+"1d\r\n"+get("/lure")+"\r\n0\r\n\r\n", okReply)}, after...), stats: rejected(1)},
		{name: "chunked, written piece by piece", steps: append([]step{in(prose...)}, next...),
			want: append([]seen{ok(strings.Join(prose, ""), okReply)}, after...)},
	})
}

// The answer leaves before the request has arrived.
func TestEarlyResponse(t *testing.T) {
	head := fmt.Sprintf("POST /big HTTP/1.1\r\nContent-Length: %d\r\n\r\n", 2*len(large))
	tooLarge := reply(413, "too large")
	early := seen{Method: "POST", Target: "/big", Status: 413, Outcome: "ok", In: len(head), Out: len(tooLarge)}
	prose := strings.Repeat("Hello world ", 10)
	short := fmt.Sprintf("POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n", len(prose))
	tiny := seen{Method: "POST", Target: "/p", Status: 413, Outcome: "ok", In: len(short), Out: len(tooLarge)}
	late := ok(get("/2"), okReply).with(events.FlagTimeUncertain)
	chunked := "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	words := strings.Repeat("Hello world ", 100)
	cut := seen{Method: "POST", Target: "/c", Status: 413, Outcome: "ok", In: len(chunked), Out: len(tooLarge)}
	rejected := func(s *exchange.Stats) { s.InsideBody = 1 }
	runScripts(t, []script{
		{name: "body still arriving", steps: []step{in(head), out(tooLarge), in(large, large), in(get("/2")), out(okReply)},
			want: []seen{early, ok(get("/2"), okReply)}},
		{name: "body never arrives", steps: []step{in(head), out(tooLarge), end()}, want: []seen{early}},
		{name: "half of the body before, half after", steps: []step{in(head, large), out(tooLarge), in(large), end()},
			want: []seen{early.read(len(large))}},
		{name: "rest of the body begins like a request", steps: []step{in(short), out(tooLarge), in(prose), in(get("/2")), out(okReply)},
			want: []seen{tiny, late}, stats: func(s *exchange.Stats) { s.InsideBody, s.Started, s.Pipelined = 1, 1, 1 }},
		{name: "rest of a chunked body begins like a request", steps: []step{in(chunked), out(tooLarge), in(words, "\r\n0\r\n\r\n"), in(get("/2")), out(okReply)},
			want: []seen{cut, ok(get("/2"), okReply).with(uncertain)}, stats: func(s *exchange.Stats) { s.InsideBody = 1; s.Started = 2 }},
		{name: "rest of the body begins like a request, then closed", steps: []step{in(short), out(tooLarge), in(prose), end()},
			want: []seen{tiny}, stats: rejected},
	})
}

// Some clients send an empty line behind a body. It is of no request, and the next one
// begins when it comes.
func TestBlankLineBehindABody(t *testing.T) {
	body := post("/p", "hello world")
	head := body[:len(body)-len("hello world")]
	first, two := ok(body, okReply), ok(get("/2"), reply(201, ""))
	next := []step{in(get("/2")), out(reply(201, "")), end()}
	play := func(steps ...step) []step { return append(steps, next...) }
	tests := []script{
		{name: "in its read", steps: play(in(body+"\r\n"), out(okReply))},
		{name: "in the read of the body", steps: play(in(head, body[len(head):]+"\r\n"), out(okReply))},
		{name: "by itself", steps: play(in(body, "\r\n"), out(okReply))},
		{name: "byte by byte", steps: play(in(body, "\r", "\n"), out(okReply))},
		{name: "LF", steps: play(in(body+"\n"), out(okReply))},
		{name: "behind the answer", steps: play(in(body), out(okReply), in("\r\n"))},
		{name: "... byte by byte", steps: play(in(body), out(okReply), in("\r"), sweepOld(), in("\n"))},
	}
	for i := range tests {
		tests[i].want = []seen{first, two}
		last := run(t, events.MaxHead, tests[i].steps...).requests[1]
		if last.Duration != time.Millisecond {
			t.Errorf("%s: the next request took %v", tests[i].name, last.Duration)
		}
	}
	runScripts(t, append(tests,
		script{name: "with the next request", steps: play(in(body), out(okReply), in("\r\n"+get("/2")), out(reply(201, ""))),
			want: []seen{first, two.read(2), two}},
		script{name: "not so the first bytes of a method", steps: []step{in(body), out(okReply), in(".E", "T /2 HTTP/1.1\r\n\r\n"), out(okReply)},
			want: []seen{first, ok("T /2 HTTP/1.1\r\n\r\n", okReply).with(uncertain)}},
	))
}
