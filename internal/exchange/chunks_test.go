// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"strings"
	"testing"

	"probe/internal/exchange"
	"probe/pkg/events"
)

func chunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// Complete chunked answers whose end is not the usual one, and such that are cut,
// both longer than the capture.
func TestChunkedAtTheClose(t *testing.T) {
	two := chunkedHead + chunk(large) + chunk(large)
	trailer, extension := two+"0\r\nX: 1\r\n\r\n", two+"0;last=yes\r\n\r\n"
	in := in(getRequest)
	told := func(text, outcome string) []seen { return []seen{ok(getRequest, text).outcome(outcome)} }
	blind := two + chunk(large) // the last write is not seen
	unsure := []seen{ok(getRequest, blind).with(events.FlagBytesUncertain)}
	runScripts(t, []script{
		{name: "trailer", steps: []step{in, out(trailer), end()}, want: told(trailer, "ok")},
		{name: "trailer, swept before", steps: []step{in, out(trailer), sweep(), end()}, want: told(trailer, "ok")},
		{name: "trailer in a write of its own", steps: []step{in, out(two, trailer[len(two):]), end()}, want: told(trailer, "ok")},
		{name: "trailer, then reset", steps: []step{in, out(trailer), reset()}, want: told(trailer, "aborted")},
		{name: "extension", steps: []step{in, out(extension), end()}, want: told(extension, "ok")},
		{name: "end not seen", steps: []step{in, out(two), sendfile(len(blind) - len(two)), end()}, want: unsure},
		{name: "end not seen, swept before", steps: []step{in, out(two), sendfile(len(blind) - len(two)), sweep(), end()}, want: unsure},
		{name: "end not seen, then reset", steps: []step{in, out(two), sendfile(len(blind) - len(two)), reset()}, want: told(blind, "aborted")},
		{name: "cut between chunks", steps: []step{in, out(two), end()}, want: told(two, "aborted")},
		{name: "cut in a chunk", steps: []step{in, out(two[:len(two)-9]), end()}, want: told(two[:len(two)-9], "aborted")},
		{name: "cut in an unseen part of a chunk", steps: []step{in, out(two[:900]), sendfile(99), end()},
			want: told(two[:999], "aborted")},
	})
}

// Where the place in a chunked body is known by its last bytes, nothing is guessed.
func TestChunkedKeepsItsPlace(t *testing.T) {
	rows := strings.Repeat("1000\r\n", 300)
	first, last := chunkedHead+chunk(rows+"0\r\n"), chunk(rows)+"0\r\n\r\n"
	whole := ok(getRequest, first+last)
	next := []step{in(get("/2")), out(okReply), end()}
	rest := strings.TrimSuffix(first, "\r\n0\r\n\r\n")
	small := chunkedHead + chunk(rows) + "5\r\nhe" // ends behind the size of another chunk
	cut := small + "llo\r\n"
	tricky := []string{"10\r\nis this bad fo ", "d\r\n0\r\nX-Sum: 1\r\n\r\n"}
	two, zero := chunkedHead+chunk(large)+chunk(large), chunk(rows+"0\r\n")
	runScripts(t, []script{
		{name: "data ends like a body", steps: append([]step{in(getRequest), out(first), sweep(), out(last)}, next...),
			want: []seen{whole, ok(get("/2"), okReply)}},
		{name: "... in a later write", steps: append([]step{in(getRequest), out(rest, first[len(rest):]), sweep(), out(last)}, next...),
			want: []seen{whole, ok(get("/2"), okReply)}},
		{name: "lost, and the end captured with its trailer", steps: []step{in(getRequest), out(chunkedHead), sendfile(99), out("0\r\nX: 1\r\n\r\n")},
			want: []seen{ok(getRequest, chunkedHead+strings.Repeat("?", 99)+"0\r\nX: 1\r\n\r\n")}},
		{name: "cut behind such data", steps: []step{in(getRequest), out(first), sweep(), end()},
			want: []seen{ok(getRequest, first).outcome("aborted")}},
		{name: "a later write of one chunk ends like a body", steps: append([]step{in(getRequest), out(two, zero), sweep(), out(zero), sweep(), out(last)}, next...),
			want: []seen{ok(getRequest, two+zero+zero+last), ok(get("/2"), okReply)}},
		{name: "... and the last", steps: []step{in(getRequest), out(two, zero), end()},
			want: []seen{ok(getRequest, two+zero).outcome("aborted")}},
		{name: "... or like a trailer", steps: []step{in(getRequest), out(two, chunk(rows)), end()},
			want: []seen{ok(getRequest, two+chunk(rows)).outcome("aborted")}},
		{name: "an end that looks like a chunk, but for what is before it", steps: []step{in(getRequest), out(append([]string{two}, tricky...)...), end()},
			want: []seen{ok(getRequest, two+strings.Join(tricky, ""))}},
		{name: "cut in a chunk, behind a byte that an answer begins with", steps: []step{in(getRequest), out(two, "5\r\nI am ", "H"), end()},
			want: []seen{ok(getRequest, two+"5\r\nI am H").outcome("aborted")}},
		{name: "cut behind a small chunk", steps: []step{in(getRequest), out(small), sweep(), out("llo\r\n"), end()},
			want: []seen{ok(getRequest, cut).outcome("aborted")}},
		{name: "... ended", steps: []step{in(getRequest), out(small), sweep(), out("llo\r\n"), sweep(), out("0\r\n\r\n"), sweep()},
			want: []seen{ok(getRequest, cut+"0\r\n\r\n")}},
	})
}

// A write that begins like a response, where the place in a chunked body is lost.
func TestHeadsInsideChunksPlaceLost(t *testing.T) {
	two := chunkedHead + chunk(large) + chunk(large)
	answer, prose := reply(500, "abc"), "HTTP/1.1 is a protocol"
	whole := func(text string) string { return two + chunk(text) + "0\r\n\r\n" }
	play := func(text string) []step {
		size := fmt.Sprintf("%x\r\n", len(text))
		return []step{in(getRequest), out(two+size, text, "\r\n0\r\n\r\n"), in(get("/2")), out(okReply), end()}
	}
	inside := func(s *exchange.Stats) { s.InsideAnswer = 1 }
	runScripts(t, []script{
		{name: "an answer", steps: play(answer), want: []seen{ok(getRequest, whole(answer)), ok(get("/2"), okReply)}, stats: inside},
		{name: "no answer", steps: play(prose), want: []seen{ok(getRequest, whole(prose)), ok(get("/2"), okReply)}, stats: inside},
		{name: "another request waits, and its answer is among the last bytes", steps: []step{in(getRequest, get("/2")), out(two + "0\r\n\r\n" + answer), end()},
			want:  []seen{ok(getRequest, two+"0\r\n\r\n"+answer).outcome("aborted").with(uncertain)},
			stats: func(s *exchange.Stats) { s.Started, s.Unseen = 2, 1 }},
		{name: "another request waits", steps: []step{in(getRequest, get("/2")), out(two, answer), end()},
			want: []seen{ok(getRequest, two), ok(get("/2"), answer)}},
	})
}
