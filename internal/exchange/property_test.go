// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// message is one message with what its reader must find out.
type message struct {
	head, rest string
}

func (m message) text() string { return m.head + m.rest }

// dialog draws whole conversations. Heads fit the capture limit, and pipelined
// messages begin where the kernel looks for them; everything else is free.
type dialog struct {
	*rapid.T
	capture int
	client  bool
	whole   int // per cent of messages that are moved by one call
	leftOut int // per cent of calls that the hooks do not look at
	beyond  int // per cent of request heads whose framing lies beyond the capture
	steps   []step
	want    []seen
	openEnd map[int]bool // chunked requests: of a later piece the kernel keeps nothing
	over    bool
	free    bool // spelling: line ends, case and white space of fields, several of them
}

func (d *dialog) number(name string, from, to int) int {
	return rapid.IntRange(from, to).Draw(d.T, name)
}

func (d *dialog) one(name string, of ...string) string {
	return rapid.SampledFrom(of).Draw(d.T, name)
}

func (d *dialog) chance(name string, percent int) bool { return d.number(name, 1, 100) <= percent }

// body is n bytes that are no chunk sizes and no message, or only messages.
func (d *dialog) body(n int, lures bool) string {
	unit := d.one("body", "abc def\n", "x", "Hello world ", "------Boundary\r\n")
	if lures {
		unit = d.one("lure", unit, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "0\r\n\r\n")
	}
	return strings.Repeat(unit, n/len(unit)+1)[:n]
}

var noHex = strings.NewReplacer("a", "o", "b", "o", "c", "o", "d", "o", "e", "o", "f", "o")

func (d *dialog) size() int {
	return d.number("size", 0, rapid.SampledFrom([]int{8, 100, 1000, 5000}).Draw(d.T, "scale"))
}

// chunks have data without hex digits: the last write of a body that begins with some
// can look like one whole chunk.
func (d *dialog) chunks(trailer bool) string {
	var b strings.Builder
	for range d.number("chunks", 0, 4) {
		data := noHex.Replace(d.body(1+d.size(), false))
		fmt.Fprintf(&b, "%x%s\r\n%s\r\n", len(data), d.one("extension", "", ";a=b"), data)
	}
	b.WriteString("0\r\n")
	if trailer {
		b.WriteString("X-Sum: 1\r\n")
	}
	return b.String() + "\r\n"
}

func (d *dialog) request(withBody bool) message {
	method := d.one("method", "GET", "HEAD", "DELETE", "OPTIONS")
	kind := "none"
	if withBody && d.chance("has body", 30) {
		method, kind = d.one("method", "POST", "PUT", "patch"), d.one("kind", "length", "chunked")
	}
	target := "/" + strings.Repeat(d.one("path", "a", "b/", "%20"), d.number("repeat", 0, 5))
	m := message{head: method + " " + target + " HTTP/1.1\r\n"}
	if d.beyond > 0 && d.chance("beyond", d.beyond) {
		m.head += "Cookie: " + strings.Repeat("c", d.capture) + "\r\n"
	}
	switch kind {
	case "length":
		m.rest = d.body(d.size(), true)
		m.head += fmt.Sprintf("Content-Length: %d\r\n", len(m.rest))
	case "chunked":
		m.rest = d.chunks(d.free && d.chance("trailer", 20))
		m.head += "transfer-encoding: chunked\r\n"
	}
	m.head = d.spell(d.pad(m.head, 0), 0)
	return m
}

// spell writes the head in another way that means the same, within the capture limit.
func (d *dialog) spell(head string, before int) string {
	if !d.free {
		return head
	}
	other := head
	switch d.number("spelling", 0, 7) {
	case 0:
		other = strings.ReplaceAll(head, "\r\n", "\n")
	case 1:
		other = strings.ReplaceAll(head, ": ", ":\t")
	case 2:
		other = strings.ReplaceAll(head, ": ", ":\r\n ")
	case 3:
		line, fields, _ := strings.Cut(head, "\r\n")
		other = line + "\r\n" + strings.ToUpper(fields)
	case 4:
		if _, length, ok := strings.Cut(head, "Content-Length:"); ok {
			length, _, _ = strings.Cut(length, "\r\n")
			other = strings.Replace(head, "\r\nContent-Length:", "\r\nContent-Length:"+length+"\r\nContent-Length:", 1)
		}
	case 5:
		other = strings.Replace(strings.Replace(head, "ncoding: chunked", "ncoding: gzip, chunked\r\nContent-Length: 3", 1), " /", " http://h/", 1)
	}
	if before+len(other) > d.capture {
		return head
	}
	return other
}

// pad adds a field and the end of the head, within the capture limit.
func (d *dialog) pad(head string, before int) string {
	if room := d.capture - before - len(head) - len("X: \r\n\r\n"); room > 0 && d.chance("pad", 40) {
		head += "X: " + strings.Repeat("p", d.number("room", 0, room)) + "\r\n"
	}
	return head + "\r\n"
}

// response answers m; last is the last one of the connection.
func (d *dialog) response(m message, last bool) message {
	var interim string
	if d.chance("interim", 15) {
		interim = d.one("which", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n")
		interim = interim[:min(len(interim), max(0, d.capture-64))]
		if !strings.HasSuffix(interim, "\r\n\r\n") {
			interim = ""
		}
	}
	status := d.number("status", 0, 7)
	head := fmt.Sprintf("HTTP/1.%d %d X\r\n", d.number("minor", 0, 1), []int{200, 201, 301, 404, 500, 503, 204, 304}[status])
	empty := strings.HasPrefix(m.head, "HEAD ") || status >= 6
	kinds := []string{"length", "chunked"}
	if last && !empty {
		kinds = append(kinds, "until close")
	}
	var rest string
	switch d.one("framing", kinds...) {
	case "length":
		rest = d.body(d.size(), true)
		head += fmt.Sprintf("Content-Length: %d\r\n", len(rest))
	case "chunked":
		rest = d.chunks(d.chance("trailer", 20))
		head += "Transfer-Encoding: chunked\r\n"
	default:
		rest, d.over = d.body(d.size(), true), true
	}
	if empty {
		rest = ""
	}
	return message{interim + d.spell(d.pad(head, len(interim)), len(interim)), rest}
}

// split cuts text into calls: the first has at least min bytes, and there are
// few enough calls in the head for the kernel to follow them all. In a body of whole
// requests a few bytes of the next one look like a reader that takes them early.
func (d *dialog) split(text string, least int) []string {
	lured := 1
	if strings.Contains(text, "\r\n\r\nGET / HTTP/1.1\r\n\r\nG") {
		lured = simSure
	}
	if len(text) <= least || d.whole > 0 && d.chance("whole", d.whole) {
		return []string{text}
	}
	var parts []string
	for range d.number("pieces", 0, 20) {
		n := d.number("piece", 1, max(1, d.number("longest", 1, len(text))))
		if n = max(n, lured); len(parts) == 0 {
			n = max(n, least)
		}
		if n+lured > len(text) {
			break
		}
		parts, text = append(parts, text[:n]), text[n:]
	}
	return append(parts, text)
}

// send and answer move pieces, with sweeps in between.
func (d *dialog) move(toServer bool, parts []string) {
	for _, part := range parts {
		dir, move := recv, in
		if toServer == d.client {
			dir, move = send, out
		}
		if d.leftOut > 0 && d.chance("left out", d.leftOut) {
			d.steps = append(d.steps, leftOut(dir, part))
		} else {
			d.steps = append(d.steps, move(part))
		}
		switch d.number("sweep", 0, 9) {
		case 0:
			d.steps = append(d.steps, sweep())
		case 1:
			d.steps = append(d.steps, sweepOld())
		}
	}
}

func (d *dialog) expect(m, r message, outcome string) {
	s := ok(m.head, "")
	s.In = len(m.text())
	s.Out, s.Outcome = len(r.text()), outcome
	final := r.head
	for strings.HasPrefix(final, "HTTP/1.1 10") {
		final = final[strings.Index(final, "\r\n\r\n")+4:]
	}
	if final != "" {
		fmt.Sscan(final[len("HTTP/1.1 "):], &s.Status)
	}
	if outcome == "ok" && s.Status >= 500 {
		s.Outcome = "error"
	}
	d.openEnd[len(d.want)] = strings.Contains(m.head, "chunked")
	d.want = append(d.want, s)
}

// forgive takes the request bytes as right where they are said to be uncertain
// and their end could not be seen.
func (d *dialog) forgive(got []seen) []seen {
	for i := range min(len(got), len(d.want)) {
		if d.openEnd[i] && got[i].Flags == events.FlagBytesUncertain {
			got[i].Flags, got[i].In = 0, d.want[i].In
		}
	}
	return got
}

// sequential is one request and its answer.
func (d *dialog) sequential(last bool) {
	m := d.request(true)
	r := d.response(m, last)
	d.move(true, d.split(m.text(), 1))
	switch {
	case last && d.chance("unanswered", 20):
		d.over = true
		d.expect(m, message{}, "unanswered")
		return
	case last && !d.over && len(r.rest) > 0 && d.chance("aborted", 30):
		d.over = true
		r.rest = r.rest[:d.number("cut", 0, len(r.rest)-1)]
		d.move(false, d.split(r.text(), 1))
		d.expect(m, r, "aborted")
		return
	}
	d.move(false, d.split(r.text(), 1))
	d.expect(m, r, "ok")
}

// pipelined sends some requests before the first answer.
func (d *dialog) pipelined() {
	var requests, answers []message
	var sent, answered string
	for range d.number("requests", 2, 4) {
		m := d.request(false)
		r := d.response(m, false)
		requests, answers = append(requests, m), append(answers, r)
		sent, answered = sent+m.text(), answered+r.text()
	}
	if len(sent) <= d.capture && d.chance("one read", 50) {
		d.move(true, []string{sent})
	} else {
		for _, m := range requests {
			d.move(true, d.split(m.text(), 10))
		}
	}
	if len(answered) <= d.capture && d.chance("one stream", 50) {
		d.move(false, d.split(answered, 7))
	} else {
		for _, r := range answers {
			d.move(false, d.split(r.text(), 7))
		}
	}
	for i := range requests {
		d.expect(requests[i], answers[i], "ok")
	}
}

// talk draws a whole connection.
func talk(rt *rapid.T) *dialog { return (&dialog{T: rt}).talk() }

// talkWhole is talk with so many per cent of messages moved by one call.
func talkWhole(rt *rapid.T, whole int) *dialog { return (&dialog{T: rt, whole: whole}).talk() }

func (d *dialog) talk() *dialog {
	d.openEnd = map[int]bool{}
	d.capture = d.number("capture", 64, 512)
	d.client = d.chance("client", 30)
	bursts := d.number("bursts", 1, 6)
	for i := 1; i <= bursts && !d.over; i++ {
		if d.chance("pipelined", 25) {
			d.pipelined()
		} else {
			d.sequential(i == bursts)
		}
	}
	d.steps = append(d.steps, end())
	return d
}

func (d *dialog) records() [][]byte { return d.play().records }

func (d *dialog) play() *simConn {
	s := newSim(d.capture)
	s.kernel.rx = rapid.Uint64Range(1<<32, 1<<63).Draw(d.T, "base")
	return &s.play(d.steps...).kernel
}

// Whatever way valid messages are cut into calls, the exchanges come out.
func TestAnySplit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := talk(rt)
		w, kernel := watch(rt, exchange.Options{}), d.play()
		w.batch(kernel.records...)
		w.checkKernel(kernel)
		if diff := cmp.Diff(d.want, d.forgive(w.seen)); diff != "" {
			rt.Fatalf("requests (-want +got):\n%s", diff)
		}
		if got := w.Stats(); got.Open != 0 || got.LostRecords != 0 {
			rt.Fatalf("%+v", got)
		}
	})
}

// However messages are spelled, nothing wrong is told as certain. Line ends without a
// CR hide where a head ends, so there is more that is not.
func TestAnySpelling(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := (&dialog{T: rt, free: true}).talk()
		w, kernel := watch(rt, exchange.Options{}), d.play()
		w.batch(kernel.records...)
		w.checkKernel(kernel)
		d.checkCertain(w.seen)
	})
}

// Neighbours that change places, and the end of batches between others, change
// nothing.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := talk(rt)
		raw := d.records()
		want := watch(rt, exchange.Options{})
		want.batch(raw...)
		w := watch(rt, exchange.Options{})
		for len(raw) > 0 {
			n := d.number("batch", 1, len(raw))
			batch := slices.Clone(raw[:n])
			for i := 0; i+1 < n; i += 2 {
				if d.chance("swap", 30) {
					batch[i], batch[i+1] = batch[i+1], batch[i]
				}
			}
			w.batch(batch...)
			raw = raw[n:]
		}
		if diff := cmp.Diff(want.seen, w.seen); diff != "" {
			rt.Fatalf("requests (-want +got):\n%s", diff)
		}
	})
}

// Whatever is lost, the books balance, and nothing wrong is told as certain.
func TestAnyLoss(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := talk(rt)
		var kept [][]byte
		lost := uint64(0)
		for _, raw := range d.records() {
			if d.chance("lost", 20) {
				lost++
				continue
			}
			kept = append(kept, raw)
		}
		w := watch(rt, exchange.Options{})
		w.batch(kept...)
		d.checkCertain(w.seen)
		if got := w.Stats(); got.LostRecords > lost {
			rt.Fatalf("%d lost, counted %d", lost, got.LostRecords)
		}
	})
}

// Whatever calls are left out, the books balance, and nothing wrong is told as certain.
func TestAnyCallLeftOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := (&dialog{T: rt, leftOut: 10}).talk()
		w, kernel := watch(rt, exchange.Options{}), d.play()
		w.batch(kernel.records...)
		w.checkKernel(kernel)
		d.checkCertain(w.seen)
	})
}

// However much of the heads is captured, nothing wrong is told as certain.
func TestAnyHeads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := (&dialog{T: rt, beyond: 50}).talk()
		w, kernel := watch(rt, exchange.Options{}), d.play()
		w.batch(kernel.records...)
		w.checkKernel(kernel)
		d.checkCertain(w.seen)
	})
}

// checkCertain: what is told without a flag is true, and told once.
func (d *dialog) checkCertain(got []seen) {
	left := slices.Clone(d.want)
	for i, s := range got {
		if j := slices.Index(left, s); j >= 0 {
			left = slices.Delete(left, j, j+1)
		} else if s.Flags == 0 {
			d.Fatalf("request %d is wrong and not flagged: %+v\ntruth: %+v\ngot: %+v", i, s, d.want, got)
		}
	}
}
