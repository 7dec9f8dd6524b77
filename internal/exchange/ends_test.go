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

func TestEndsBadly(t *testing.T) {
	half := okReply[:len(okReply)-3]
	cutHead := okReply[:25]
	chunked := chunkedHead + "5\r\nhello\r\n"
	runScripts(t, []script{
		{name: "never answered", steps: []step{in(getRequest), end()},
			want: []seen{ok(getRequest, "").outcome("unanswered")}},
		{name: "never answered, swept before", steps: []step{in(getRequest), sweepOld(), sweepOld(), end()},
			want: []seen{ok(getRequest, "").outcome("unanswered")}},
		{name: "second one never answered", steps: []step{in(getRequest), out(okReply), in(get("/2")), end()},
			want: []seen{ok(getRequest, okReply), ok(get("/2"), "").outcome("unanswered")}},
		{name: "pipelined, none answered", steps: []step{in(getRequest, get("/2")), end()},
			want: []seen{ok(getRequest, "").outcome("unanswered"), ok(get("/2"), "").outcome("unanswered")}},
		{name: "aborted in the body", steps: []step{in(getRequest), out(half), end()},
			want: []seen{ok(getRequest, half).outcome("aborted")}},
		{name: "aborted in a counted body", steps: []step{in(getRequest), out(reply(200, large)[:2000], "more"), end()},
			want: []seen{ok(getRequest, reply(200, large)[:2000]+"more").outcome("aborted")}},
		{name: "aborted before the body", steps: []step{in(getRequest), out(okReply[:len(okReply)-5]), end()},
			want: []seen{ok(getRequest, okReply[:len(okReply)-5]).outcome("aborted")}},
		{name: "aborted in the head", steps: []step{in(getRequest), out(cutHead), end()},
			want: []seen{ok(getRequest, cutHead).outcome("aborted")}},
		{name: "aborted in the status line", steps: []step{in(getRequest), out("HTTP/1."), end()},
			want: []seen{{Method: "GET", Target: "/a?q=1", Outcome: "aborted", In: len(getRequest), Out: 7}}},
		{name: "aborted between chunks", steps: []step{in(getRequest), out(chunked), end()},
			want: []seen{ok(getRequest, chunked).outcome("aborted")}},
		{name: "aborted in a chunked body, position lost", steps: []step{in(getRequest), out(chunkedHead+"5\r\nhello\r\n", large, large), end()},
			want: []seen{ok(getRequest, chunkedHead+"5\r\nhello\r\n"+large+large).outcome("aborted")}},
		{name: "aborted with 5xx", steps: []step{in(getRequest), out(reply(500, "abc")[:39]), end()},
			want: []seen{ok(getRequest, reply(500, "abc")[:39]).outcome("aborted")}},
		{name: "request body cut, never answered", steps: []step{in(post("/p", "abcdef")[:42]), end()},
			want: []seen{{Method: "POST", Target: "/p", Outcome: "unanswered", In: 42}}},
		{name: "request head cut, never answered", steps: []step{in(getRequest[:len(getRequest)-2]), end()},
			want: []seen{{Method: "GET", Target: "/a?q=1", Outcome: "unanswered", In: len(getRequest) - 2}}},
	})
}

func TestNotHTTP(t *testing.T) {
	none := func(change func(*exchange.Stats)) func(*exchange.Stats) {
		return func(s *exchange.Stats) { *s = exchange.Stats{}; change(s) }
	}
	counted := none(func(s *exchange.Stats) { s.Started, s.NotHTTP = 1, 1 })
	bad := reply(400, "bad")
	runScripts(t, []script{
		{name: "memcached, closed before an answer", steps: []step{in("GET foo\r\n"), end()}, stats: counted},
		{name: "memcached", steps: []step{in("get foo\r\n"), out("END\r\n"), in("get bar\r\n"), out("END\r\n"), end()}, stats: none(func(*exchange.Stats) {})},
		{name: "memcached, swept before it answers", steps: []step{in("get foo\r\n"), sweepOld(), out("END\r\n"), end()}, stats: counted},
		{name: "redis inline, swept", steps: []step{in("GET foo\r\n"), sweepOld(), out("$-1\r\n"), end()}, stats: counted},
		{name: "redis, never a record", steps: []step{in("*1\r\n$4\r\nPING\r\n"), out("+PONG\r\n"), end()}, stats: none(func(*exchange.Stats) {})},
		{name: "part of a method, then closed", steps: []step{in("GE"), end()}, stats: counted},
		{name: "TLS", steps: []step{in("\x16\x03\x01\x02\x00"), out("\x16\x03\x03\x00"), end()}, stats: none(func(*exchange.Stats) {})},
		{name: "malformed, answered by 400", steps: []step{in("GET foo\r\n\r\n"), out(bad), end()},
			want: []seen{{Status: 400, Outcome: "ok", In: 11, Out: len(bad), Flags: noRequest}}},
		{name: "... swept before, so told twice and counted once", steps: []step{in("GET foo\r\n\r\n"), sweepOld(), out(bad), end()},
			want: []seen{{Status: 400, Outcome: "ok", In: 11, Out: len(bad), Flags: noRequest}}},
		{name: "HTTP/0.9 answered by HTTP/1.0", steps: []step{in("GET /\r\n"), out("HTTP/1.0 200 OK\r\n\r\nhi"), end()},
			want: []seen{{Status: 200, Outcome: "ok", In: 7, Out: 21, Flags: noRequest}}},
	})
}

// Connections that are older than the program.
func TestResponseWithoutRequest(t *testing.T) {
	orphan := seen{Status: 200, Outcome: "ok", Out: len(okReply), Flags: noRequest}
	first := func(s *exchange.Stats) { s.Started, s.Orphans = s.Started-1, 1 }
	fits := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 10+len(okReply))
	toHead := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	runScripts(t, []script{
		{name: "alone", steps: []step{out(okReply)}, want: []seen{orphan}, stats: first},
		{name: "then a whole exchange", steps: []step{out(okReply), in(getRequest), out(okReply)},
			want: []seen{orphan, ok(getRequest, okReply)}, stats: first},
		{name: "after the rest of a request", steps: []step{in(`{"a": 1}`), out(okReply), in(getRequest), out(okReply)},
			want: []seen{orphan, ok(getRequest, okReply)}, stats: first},
		{name: "after words of a request", steps: []step{in("rest of a body"), out(okReply), in(getRequest), out(okReply)},
			want: []seen{orphan.read(14), ok(getRequest, okReply)}},
		{name: "to a HEAD, then whole exchanges", steps: []step{out(toHead), in(getRequest), out(okReply), in(get("/2")), out(reply(404, "")), end()},
			want: []seen{{Status: 200, Outcome: "ok", Out: len(toHead), Flags: noRequest | events.FlagBytesUncertain},
				ok(getRequest, okReply), ok(get("/2"), reply(404, ""))}, stats: first},
		{name: "to a HEAD, then others", steps: []step{out(toHead, okReply, okReply), in(getRequest), out(okReply), end()},
			want:  []seen{{Status: 200, Outcome: "ok", Out: len(toHead), Flags: noRequest | events.FlagBytesUncertain}, orphan, orphan, ok(getRequest, okReply)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 3 }},
		{name: "whose body would end like the answer to a request that came later", steps: []step{out(fits, "0123456789"), in(getRequest), out(okReply), end()},
			want:  []seen{{Status: 200, Outcome: "ok", Out: len(fits) + 10 + len(okReply), Flags: noRequest | uncertain}, ok(getRequest, "").outcome("unanswered").with(uncertain)},
			stats: func(s *exchange.Stats) { s.Started, s.Orphans, s.InsideAnswer = 1, 1, 1 }},
		{name: "cut short", steps: []step{out(okReply[:len(okReply)-1]), end()},
			want: []seen{{Status: 200, Outcome: "aborted", Out: len(okReply) - 1, Flags: noRequest}}, stats: first},
		{name: "cut in its status line", steps: []step{out("HTTP/1.1"), end()},
			stats: func(s *exchange.Stats) { s.Orphans, s.NotHTTP = 1, 1 }},
	})
}

func TestByteByByte(t *testing.T) {
	slow := "HTTP/1.1 204 Y\r\nA: b\r\n\r\n"
	long := "HTTP/1.1 200 OK\r\nServer: " + strings.Repeat("s", 30) + "\r\nContent-Length: 1\r\n\r\nx"
	runScripts(t, []script{
		{name: "request", steps: []step{in(bytewise(getRequest)...), out(okReply)}, want: []seen{ok(getRequest, okReply)}},
		{name: "request and short response", steps: []step{in(bytewise(get("/"))...), out(bytewise(slow)...), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/"), slow), ok(get("/2"), okReply)}},
		{name: "head spread over more writes than followed, next request",
			steps: []step{in(get("/1")), out(bytewise(long)...), in(get("/2")), out(okReply)},
			want:  []seen{ok(get("/1"), long).with(uncertain), ok(get("/2"), okReply)}},
		{name: "head spread over more writes than followed, swept",
			steps: []step{in(get("/1")), out(bytewise(long)...), sweep(), in(get("/2")), out(okReply)},
			want:  []seen{ok(get("/1"), long).with(uncertain), ok(get("/2"), okReply)}},
		{name: "head spread over more writes than followed, closed",
			steps: []step{in(get("/1")), out(bytewise(long)...), end()},
			want:  []seen{ok(get("/1"), long).with(uncertain)}},
	})
}

// A response with such a head ends on a kept connection that rests, too, once it may be
// complete.
func TestHeadsBeyondTheCaptureRest(t *testing.T) {
	pad := "X: " + strings.Repeat("x", 1200) + "\r\n\r\n"
	length, none := "HTTP/1.1 500 No\r\nContent-Length: 700\r\n"+pad, "HTTP/1.1 304 Not Modified\r\n"+pad
	body := strings.Repeat("b", 700)
	for name, tt := range map[string]struct {
		answer []step
		want   seen
	}{
		"length":             {[]step{out(length + body)}, ok(getRequest, length+body).outcome("error").with(uncertain)},
		"body behind":        {[]step{out(length, body), sweep()}, ok(getRequest, length+body).outcome("error").with(uncertain)},
		"none":               {[]step{out(none)}, ok(getRequest, none).with(uncertain)},
		"length, incomplete": {[]step{out(length + body[:400])}, seen{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, exchange.Options{})
			s.play(append([]step{in(getRequest)}, tt.answer...)...)
			s.want()
			s.wait(2 * time.Second)
			if tt.want == (seen{}) {
				s.want()
				s.wait(time.Minute)
				s.want(ok(getRequest, length+body[:400]).outcome("in_progress"))
				return
			}
			s.want(tt.want)
			if q := s.requests[0]; q.Duration > time.Second {
				t.Errorf("it took %v", q.Duration)
			}
			if n, _ := s.Pending(); n != 0 {
				t.Errorf("%d pending", n)
			}
			s.play(in(get("/2")), out(okReply))
			s.want(tt.want, ok(get("/2"), okReply))
		})
	}
}

// Where the length lies beyond, too, more may come: it is told when that is decided, and is
// neither in flight nor in progress until then.
func TestHeadsBeyondTheCaptureOpen(t *testing.T) {
	answer := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1200) + "\r\n\r\n" + large
	for name, end := range map[string]func(s *stage){
		"next request":       func(s *stage) { s.play(in(get("/2"))); s.play(out(okReply)) },
		"end of the tracker": func(s *stage) { s.Close(uint64(s.sim.now)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, exchange.Options{})
			s.rests = true
			s.play(in(getRequest), out(answer))
			s.wait(2 * time.Minute)
			s.want()
			s.InFlight(func(*events.Conn, events.Role, uint32, int) { t.Error("in flight") })
			end(s)
			if got := s.seen[0]; got != ok(getRequest, answer).with(uncertain) || s.requests[0].Duration > time.Second {
				t.Errorf("%+v, %v", got, s.requests[0].Duration)
			}
		})
	}
}

// What ends it for sure is told without a flag.
func TestHeadsBeyondTheCaptureEnd(t *testing.T) {
	pad, body := "X: "+strings.Repeat("x", 1200)+"\r\n\r\n", strings.Repeat("b", 700)
	length := "HTTP/1.1 500 No\r\nContent-Length: 700\r\n" + pad
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + pad + chunk(body)
	last := "0\r\n\r\n"
	lure, next := okReply+body[len(okReply):], []step{in(get("/2")), out(okReply), end()}
	runScripts(t, []script{
		{name: "length, next request", steps: append([]step{in(getRequest), out(length + body)}, next...),
			want: []seen{ok(getRequest, length+body).outcome("error"), ok(get("/2"), okReply)}},
		{name: "body like a response", steps: append([]step{in(getRequest), out(length, lure)}, next...),
			want:  []seen{ok(getRequest, length+lure).outcome("error"), ok(get("/2"), okReply)},
			stats: func(s *exchange.Stats) { s.Started, s.InsideAnswer = 2, 1 }},
		{name: "length, closed", steps: []step{in(getRequest), out(length + body), end()}, want: []seen{ok(getRequest, length+body).outcome("error").with(uncertain)}},
		{name: "length, cut short", steps: []step{in(getRequest), out(length + body[:400]), end()}, want: []seen{ok(getRequest, length+body[:400]).outcome("aborted")}},
		{name: "chunked", steps: []step{in(getRequest), out(chunks + last)}, want: []seen{ok(getRequest, chunks+last)}},
		{name: "chunked, last chunk behind", steps: []step{in(getRequest), out(chunks, last), sweep()}, want: []seen{ok(getRequest, chunks+last)}},
		{name: "chunked, cut short", steps: []step{in(getRequest), out(chunks), end()}, want: []seen{ok(getRequest, chunks).outcome("aborted")}},
	})
}

// A head that ends within twice the capture is read in two pieces, and certain.
func TestLongHeads(t *testing.T) {
	for _, n := range []int{400, 470, 480, 490, 500, 600, 900} {
		pad := "Content-Security-Policy: " + strings.Repeat("x", n) + "\r\n"
		full := "HTTP/1.1 200 OK\r\n" + pad + "Content-Length: 700\r\n\r\n" + strings.Repeat("b", 700)
		chunked := "HTTP/1.1 200 OK\r\n" + pad + "Transfer-Encoding: chunked\r\n\r\n" + chunk(strings.Repeat("c", 900)) + "0\r\n\r\n"
		early := "HTTP/1.1 103 Early Hints\r\n" + pad + "\r\n"
		upgrade := "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
		switching := "HTTP/1.1 101 Switching Protocols\r\n" + pad + "Upgrade: websocket\r\n\r\n"
		runScripts(t, []script{
			{name: fmt.Sprint(n, " length"), steps: []step{in(getRequest), out(full)}, want: []seen{ok(getRequest, full)}},
			{name: fmt.Sprint(n, " body behind"), steps: []step{in(getRequest), out(full[:len(full)-500], full[len(full)-500:]), sweep()}, want: []seen{ok(getRequest, full)}},
			{name: fmt.Sprint(n, " chunked"), steps: []step{in(getRequest), out(chunked)}, want: []seen{ok(getRequest, chunked)}},
			{name: fmt.Sprint(n, " interim"), steps: []step{in(getRequest), out(early, okReply)}, want: []seen{ok(getRequest, okReply).plus(early)}},
			{name: fmt.Sprint(n, " in use"), steps: []step{out(full), in(getRequest), out(okReply)}, want: []seen{{Status: 200, Outcome: "ok", Out: len(full), Flags: noRequest}, ok(getRequest, okReply)},
				stats: func(s *exchange.Stats) { s.Started, s.Orphans = 1, 1 }},
			{name: fmt.Sprint(n, " tunnel"), steps: []step{in(upgrade), out(switching + strings.Repeat("f", 300)), end()}, want: []seen{ok(upgrade, switching).outcome("upgraded")}},
		})
	}
}

// Heads that are longer than the capture: the end of the message is guessed.
func TestHeadsBeyondTheCapture(t *testing.T) {
	request := "GET /" + strings.Repeat("t", 600) + " HTTP/1.1\r\nHost: h\r\n\r\n"
	cut := seen{Method: "GET", Target: request[4:512], Status: 200, Outcome: "ok", In: len(request), Out: len(okReply), Flags: 2}
	response := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1200) + "\r\nContent-Length: 2\r\n\r\nhi"
	shorter := "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 600) + "\r\nContent-Length: 2\r\n\r\nhi"
	reason := "HTTP/1.1 200 " + strings.Repeat("r", 1200) + "\r\nContent-Length: 2\r\n\r\nhi"
	runScripts(t, []script{
		{name: "target", steps: []step{in(request), out(okReply), in(get("/2")), out(okReply)},
			want: []seen{cut, ok(get("/2"), okReply)}},
		{name: "response head, next request", steps: []step{in(get("/1")), out(response), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/1"), response).with(uncertain), ok(get("/2"), okReply)}},
		{name: "response head, closed", steps: []step{in(get("/1")), out(response), end()},
			want: []seen{ok(get("/1"), response).with(uncertain)}},
		{name: "response head in two", steps: []step{in(get("/1")), out(halves(shorter, 300)...), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/1"), shorter), ok(get("/2"), okReply)}},
		{name: "reason phrase", steps: []step{in(get("/1")), out(reason), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/1"), reason).with(uncertain), ok(get("/2"), okReply)}},
	})
}
