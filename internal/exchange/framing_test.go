// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// halves cuts text at n.
func halves(text string, n int) []string { return []string{text[:n], text[n:]} }

var large = strings.Repeat("0123456789abcde\n", 256) // 4096 bytes

func TestLengths(t *testing.T) {
	big := reply(200, large)
	runScripts(t, []script{
		{name: "one write", steps: []step{in(getRequest), out(okReply)},
			want: []seen{ok(getRequest, okReply)}},
		{name: "head, then body", steps: []step{in(getRequest), out(halves(okReply, len(okReply)-5)...)},
			want: []seen{ok(getRequest, okReply)}},
		{name: "head in two", steps: []step{in(getRequest), out(halves(okReply, 30)...)},
			want: []seen{ok(getRequest, okReply)}},
		{name: "status line in two", steps: []step{in(getRequest), out(halves(okReply, 3)...)},
			want: []seen{ok(getRequest, okReply)}},
		{name: "empty body", steps: []step{in(getRequest), out(reply(200, ""))},
			want: []seen{ok(getRequest, reply(200, ""))}},
		{name: "body larger than the capture, counted until the close",
			steps: []step{in(getRequest), out(halves(big, 1000)...), end()}, want: []seen{ok(getRequest, big)}},
		{name: "... until a sweep", steps: []step{in(getRequest), out(halves(big, 1000)...), sweep()},
			want: []seen{ok(getRequest, big)}},
		{name: "... until the next request",
			steps: []step{in(getRequest), out(halves(big, 1000)...), in(getRequest), out(okReply)},
			want:  []seen{ok(getRequest, big), ok(getRequest, okReply)}},
		{name: "body by sendfile", steps: []step{in(getRequest), out(strings.TrimSuffix(big, large)), sendfile(len(large)), sweep()},
			want: []seen{ok(getRequest, big)}},
		{name: "server error", steps: []step{in(getRequest), out(reply(503, "busy"))},
			want: []seen{ok(getRequest, reply(503, "busy"))}},
		{name: "client error", steps: []step{in(getRequest), out(reply(404, "?"))},
			want: []seen{ok(getRequest, reply(404, "?"))}},
		{name: "keep-alive", steps: []step{in(get("/1")), out(okReply), in(get("/2")), out(okReply), end()},
			want: []seen{ok(get("/1"), okReply), ok(get("/2"), okReply)}},
		{name: "request body in the read of its head", steps: []step{in(post("/p", "body")), out(okReply)},
			want: []seen{ok(post("/p", "body"), okReply)}},
		{name: "request body in further reads", steps: []step{in(post("/p", "")[:20], post("/p", "")[20:]), out(okReply)},
			want: []seen{ok(post("/p", ""), okReply)}},
		{name: "request body larger than the capture", steps: []step{in(halves(post("/p", large), 700)...), out(okReply)},
			want: []seen{ok(post("/p", large), okReply)}},
		{name: "small capture", capture: 64, steps: []step{in(getRequest), out(okReply), in(get("/2")), out(okReply)},
			want: []seen{ok(getRequest, okReply), ok(get("/2"), okReply)}},
	})
}

func TestChunked(t *testing.T) {
	long := chunkedHead + "1000\r\n" + large + "\r\n1000\r\n" + large + "\r\n0\r\n\r\n"
	trailers := strings.TrimSuffix(chunkedReply, "\r\n") + "Expires: never\r\nX-Sum: 0\r\n\r\n"
	lone := "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	upload := lone + "5\r\nhello\r\n0\r\n\r\n"
	runScripts(t, []script{
		{name: "one write", steps: []step{in(getRequest), out(chunkedReply)},
			want: []seen{ok(getRequest, chunkedReply)}},
		{name: "write by write", steps: []step{in(getRequest),
			out(chunkedHead, "5\r\nhello\r\n", "6;x=y\r\n world\r\n", "0\r\n\r\n")},
			want: []seen{ok(getRequest, chunkedReply)}},
		{name: "trailers", steps: []step{in(getRequest), out(trailers)},
			want: []seen{ok(getRequest, trailers)}},
		{name: "trailers later", steps: []step{in(getRequest), out(halves(trailers, len(trailers)-20)...)},
			want: []seen{ok(getRequest, trailers)}},
		{name: "larger than the capture, one write", steps: []step{in(getRequest), out(long)},
			want: []seen{ok(getRequest, long)}},
		{name: "larger than the capture, end in its own write",
			steps: []step{in(getRequest), out(long[:len(long)-5], "0\r\n\r\n"), sweep()}, want: []seen{ok(getRequest, long)}},
		{name: "larger than the capture, end in two writes",
			steps: []step{in(getRequest), out(long[:len(long)-3], "\n\r\n"), sweep()}, want: []seen{ok(getRequest, long)}},
		{name: "all but the last bytes fill the capture", capture: len(chunkedReply) - 3,
			steps: []step{in(getRequest), out(halves(chunkedReply, len(chunkedReply)-3)...), end()}, want: []seen{ok(getRequest, chunkedReply)}},
		{name: "... found at the next request", steps: []step{in(get("/1")), out(halves(long, 3000)...), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/1"), long), ok(get("/2"), okReply)}},
		{name: "... found at the close", steps: []step{in(get("/1")), out(halves(long, 3000)...), end()},
			want: []seen{ok(get("/1"), long)}},
		{name: "request", steps: []step{in(upload), out(okReply)}, want: []seen{ok(upload, okReply)}},
		{name: "request, piece by piece", steps: []step{in(lone, "5\r\n", "hello", "\r\n0\r\n\r\n"), out(okReply), in(get("/2")), out(okReply)},
			want: []seen{ok(upload, okReply), ok(get("/2"), okReply)}},
	})
}

// Any split in two or three writes gives the same exchange.
func TestChunkedSplitEverywhere(t *testing.T) {
	want := []seen{ok(getRequest, chunkedReply), ok(get("/2"), okReply)}
	for i := 1; i < len(chunkedReply); i++ {
		for j := i; j < len(chunkedReply); j++ {
			parts := []string{chunkedReply[:i], chunkedReply[i:j], chunkedReply[j:]}
			if i == j {
				parts = []string{chunkedReply[:i], chunkedReply[i:]}
			}
			got := run(t, events.MaxHead, in(getRequest), out(parts...), in(get("/2")), out(okReply), end())
			if d := cmp.Diff(want, got.seen); d != "" {
				t.Fatalf("split at %d and %d (-want +got):\n%s", i, j, d)
			}
		}
	}
}

func TestEndedByClose(t *testing.T) {
	runScripts(t, []script{
		{name: "one write", steps: []step{in(getRequest), out(closeHead + large), end()},
			want: []seen{ok(getRequest, closeHead+large)}},
		{name: "many writes", steps: []step{in(getRequest), out(closeHead, large, large), end()},
			want: []seen{ok(getRequest, closeHead+large+large)}},
		{name: "open without a close", steps: []step{in(getRequest), out(closeHead, large), sweep()},
			stats: func(s *exchange.Stats) { s.Started, s.Open = 1, 1 }},
		{name: "HTTP/1.0", steps: []step{in("GET / HTTP/1.0\r\n\r\n"), out("HTTP/1.0 200 OK\r\n\r\nhi"), end()},
			want: []seen{ok("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhi")}},
	})
}

func TestNoBody(t *testing.T) {
	head := "HEAD /h HTTP/1.1\r\n\r\n"
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
	none := "HTTP/1.1 204 No Content\r\n\r\n"
	same := "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n"
	runScripts(t, []script{
		{name: "HEAD", steps: []step{in(head), out(answer), in(getRequest), out(okReply)},
			want: []seen{ok(head, answer), ok(getRequest, okReply)}},
		{name: "HEAD, chunked", steps: []step{in(head), out(chunkedHead)}, want: []seen{ok(head, chunkedHead)}},
		{name: "204", steps: []step{in(getRequest), out(none)}, want: []seen{ok(getRequest, none)}},
		{name: "304", steps: []step{in(getRequest), out(same)}, want: []seen{ok(getRequest, same)}},
	})
}

func TestInterim(t *testing.T) {
	const go100, early = "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	longHints := "HTTP/1.1 103 Early Hints\r\nLink: </" + strings.Repeat("a", 1200) + ".css>\r\n\r\n"
	request := "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"
	head := strings.TrimSuffix(request, "body")
	word := func(s *exchange.Stats) { s.InsideBody = 1 } // "body" may begin a method
	runScripts(t, []script{
		{name: "100, then 200", steps: []step{in(head), out(go100), in("body"), out(okReply)},
			want: []seen{ok(request, okReply).plus(go100)}, stats: word},
		{name: "100 and 200 in one write", steps: []step{in(request), out(go100 + okReply)},
			want: []seen{ok(request, okReply).plus(go100)}},
		{name: "100 in two writes", steps: []step{in(head), out(halves(go100, 9)...), in("body"), out(okReply)},
			want: []seen{ok(request, okReply).plus(go100)}, stats: word},
		{name: "100 and half of 200", steps: []step{in(request), out(halves(go100+okReply, len(go100)+20)...)},
			want: []seen{ok(request, okReply).plus(go100)}},
		{name: "100 and one byte of 200", steps: []step{in(request), out(halves(go100+okReply, len(go100)+1)...)},
			want: []seen{ok(request, okReply).plus(go100)}},
		{name: "103 twice", steps: []step{in(getRequest), out(early, early, okReply)},
			want: []seen{ok(getRequest, okReply).plus(early + early)}},
		{name: "103 longer than the capture", steps: []step{in(get("/1")), out(longHints, okReply), in(get("/2")), out(okReply)},
			want: []seen{ok(get("/1"), okReply).plus(longHints).with(uncertain), ok(get("/2"), okReply)}},
		{name: "103 longer than the capture, with its 200", steps: []step{in(get("/1")), out(longHints + okReply),
			in(get("/2")), out(reply(404, "")), in(get("/3")), out(okReply), end()},
			want:  []seen{ok(get("/2"), reply(404, "")).with(uncertain), ok(get("/3"), okReply)},
			stats: func(s *exchange.Stats) { s.Started, s.Unseen = 3, 1 }},
		{name: "103 that fills the capture, with its 200", capture: len(early), steps: []step{in(get("/1")), out(early + okReply),
			in(get("/2")), out(reply(404, "")), in(get("/3")), out(okReply), end()},
			want:  []seen{ok(get("/2"), reply(404, "")).with(uncertain), ok(get("/3"), okReply)},
			stats: func(s *exchange.Stats) { s.Started, s.Unseen = 3, 1 }},
		{name: "only 100, then closed", steps: []step{in(head), out(go100), end()},
			want: []seen{{Method: "POST", Target: "/p", Outcome: "aborted", In: len(head), Out: len(go100)}}},
	})
}

// plus adds the bytes of interim responses.
func (s seen) plus(interim string) seen {
	s.Out += len(interim)
	return s
}

func TestLeavesHTTP(t *testing.T) {
	upgrade := "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
	switching := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	h2c := strings.Replace(switching, "websocket", "h2c", 1)
	connect := "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"
	established := "HTTP/1.1 200 Connection established\r\n\r\n"
	refused := reply(403, "no")
	const go100 = "HTTP/1.1 100 Continue\r\n\r\n"
	inside := func(s *exchange.Stats) { s.InsideBody, s.InsideAnswer = 1, 1 }
	runScripts(t, []script{
		{name: "101", steps: []step{in(upgrade), out(switching), in("GET /\r\n"), out("\x81\x05hello"), end()},
			want: []seen{ok(upgrade, switching).outcome("upgraded")}},
		{name: "101 with the first frame", steps: []step{in(upgrade), out(switching + "\x81\x05hello"), end()},
			want: []seen{ok(upgrade, switching).outcome("upgraded")}},
		{name: "101 to HTTP/2", steps: []step{in(upgrade), out(h2c), in("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), out("\x00\x00\x04\x01"), end()},
			want: []seen{ok(upgrade, h2c).outcome("upgraded")}, stats: func(s *exchange.Stats) { s.HTTP2 = 1 }},
		{name: "101 refused", steps: []step{in(upgrade), out(okReply), in(getRequest), out(okReply)},
			want: []seen{ok(upgrade, okReply), ok(getRequest, okReply)}},
		{name: "CONNECT", steps: []step{in(connect), out(established), in("\x16\x03\x01"), out("\x16\x03\x03"), end()},
			want: []seen{ok(connect, established).outcome("upgraded")}},
		{name: "101 behind a 100", steps: []step{in(upgrade), out(go100 + switching), in(getRequest), out(okReply), end()},
			want: []seen{ok(upgrade, switching).plus(go100).outcome("upgraded")}, stats: inside},
		{name: "CONNECT, its answer in pieces", steps: []step{in(connect), out(halves(established, 9)...), in(getRequest), out(okReply), end()},
			want: []seen{ok(connect, established).outcome("upgraded")}, stats: inside},
		{name: "CONNECT, read on before the answer has returned", steps: []step{in(connect), sending(established), in(getRequest), out(established, okReply, okReply), end()},
			want: []seen{ok(connect, established).outcome("upgraded")}, stats: func(s *exchange.Stats) { s.InsideBody, s.InsideAnswer = 1, 2 }},
		{name: "CONNECT refused", steps: []step{in(connect), out(refused), in(getRequest), out(okReply)},
			want: []seen{ok(connect, refused), ok(getRequest, okReply)}},
	})
}

// Some clients read the head of a response that opens a tunnel byte by byte, which is
// more pieces than the kernel tells.
func TestLeavesHTTPBehindLongHead(t *testing.T) {
	upgrade := "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
	switching := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	connect := "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"
	established := "HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
	refused := "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
	inside := func(s *exchange.Stats) { s.InsideBody = 1 }
	upgraded := func(request, response string) seen {
		return ok(request, response).outcome("upgraded").with(events.FlagBytesUncertain)
	}
	told := established[:1+simMaxMore] // all that is known of its end
	long := switching[:len(switching)-2] + strings.Repeat("X: y\r\n", 200) + "\r\n"
	runScripts(t, []script{
		{name: "CONNECT, then HTTP", steps: []step{in(connect), out(bytewise(established)...), in(getRequest), out(okReply), end()},
			want: []seen{upgraded(connect, established)}, stats: func(s *exchange.Stats) { s.InsideBody, s.InsideAnswer = 1, 1 }},
		{name: "CONNECT, then a request without an answer", steps: []step{in(connect), out(bytewise(established)...), in(getRequest), end()},
			want: []seen{upgraded(connect, told)}, stats: inside},
		{name: "CONNECT, then something else", steps: []step{in(connect), out(bytewise(established)...), in("\x16\x03\x01"), out(strings.Repeat("\x16\x03\x03", 999)), sweep(), end()},
			want: []seen{upgraded(connect, told)}},
		{name: "CONNECT, then the server speaks HTTP", steps: []step{in(connect), out(bytewise(established)...), out(okReply), end()},
			want: []seen{upgraded(connect, established)}, stats: func(s *exchange.Stats) { s.InsideAnswer = 1 }},
		{name: "CONNECT, closed", steps: []step{in(connect), out(bytewise(established)...), end()},
			want: []seen{upgraded(connect, told)}},
		{name: "CONNECT, closed inside the head", steps: []step{in(connect), out(bytewise(established[:30])...), end()},
			want: []seen{ok(connect, established[:30]).outcome("aborted")}},
		{name: "CONNECT refused", steps: []step{in(connect), out(bytewise(refused)...), in(connect), out(established), end()},
			want: []seen{ok(connect, refused).with(uncertain), ok(connect, established).outcome("upgraded")}},
		{name: "101", steps: []step{in(upgrade), out(bytewise(switching)...), in("\x81\x05hello"), out("\x81\x05hello"), sweep(), end()},
			want: []seen{upgraded(upgrade, switching[:1+simMaxMore])}},
		{name: "101 in one piece of which not all is captured", steps: []step{in(upgrade), out(long), in(getRequest), out(okReply), end()},
			want: []seen{upgraded(upgrade, long[:2*events.MaxHead])}},
	})
}
