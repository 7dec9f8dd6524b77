// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// conversation plays the calls on one connection: each step is what one call
// moved, "<" received and ">" sent. The records come back one line each.
type conversation struct {
	t      *testing.T
	u      *unit
	m      *memory
	reader *ringbuf.Reader
	now    uint64
}

func newConversation(t *testing.T, capture uint32) *conversation {
	t.Helper()
	u := newUnit(t, unitProgUnitOnPiece, capture)
	reader, err := ringbuf.NewReader(u.objects.Maps["http_events"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	})
	return &conversation{t: t, u: u, m: newMemory(t), reader: reader}
}

// play starts a connection and returns the records of all steps.
func (v *conversation) play(steps []string) []string {
	v.t.Helper()
	v.u.setConn(v.t, unitConn{Id: 7, Family: uint8(unitConnFamilyCONN_COUNTED)})
	for _, step := range steps {
		v.m.reset()
		v.now++
		data := []byte(step[1:])
		ctx := unitCallCtx{Kind: uint8(unitCallKindCALL_BUF), Arg1: v.m.put(data), Len: uint32(len(data)), NowNs: v.now}
		if step[0] == '>' {
			ctx.Dir = uint8(unitDirectionDIR_SEND)
		}
		run(v.t, v.u, &ctx)
	}
	return v.records()
}

func (v *conversation) records() []string {
	v.t.Helper()
	var lines []string
	v.reader.SetDeadline(time.Unix(1, 0))
	for {
		raw, err := v.reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return lines
		}
		if err != nil {
			v.t.Fatal(err)
		}
		var r events.Record
		if err := events.Decode(raw.RawSample, &r); err != nil {
			v.t.Fatalf("decode: %v", err)
		}
		lines = append(lines, describe(&r))
	}
}

// describe names the parts, then the heads with their offsets:
//
//	server start+status 0"GET..." 0"HTTP..."-38
func describe(r *events.Record) string {
	var parts []string
	for _, p := range []struct {
		has  events.Has
		name string
	}{
		{events.HasStart, "start"}, {events.HasStatus, "status"}, {events.HasMore, "more"},
		{events.HasProgress, "progress"}, {events.HasClose, "close"},
	} {
		if r.Has&p.has != 0 {
			parts = append(parts, p.name)
		}
	}
	line := r.Role.String() + " " + strings.Join(parts, "+")
	if r.Has&events.HasStart != 0 {
		line += fmt.Sprintf(" %d%q", r.ReqOff, r.ReqHead)
	}
	if r.TailOpen {
		line += " open"
	}
	return line + fmt.Sprintf(" %d%q-%d", r.RespOff, r.RespData, r.RespEnd)
}

// Heads of known lengths: get 18 bytes, ok 38 with its two bytes of body.
const (
	get     = "GET / HTTP/1.1\r\n\r\n"
	ok      = "HTTP/1.1 200 OK\r\nContent-Length:2\r\n\r\nok"
	garbage = "\x01\x02\x03\x04"
)

func TestConversations(t *testing.T) {
	v := newConversation(t, 64)
	head := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunked := func(last string) []string {
		return []string{"<" + get, ">" + head + strings.Repeat("y", 70), ">" + last}
	}
	post := "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"
	told := `server start+status 0"` + quoted(get) + `" 0"` + quoted(head+strings.Repeat("y", 64-len(head))) + `"-117`
	tests := []struct {
		name  string
		steps []string
		want  []string
	}{
		{"server", []string{"<" + get, ">" + ok}, []string{`server start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`}},
		{"client", []string{">" + get, "<" + ok}, []string{`client start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`}},
		{"nothing before the answer", []string{"<" + get}, nil},
		{"keep-alive", []string{"<" + get, ">" + ok, "<" + get, ">" + ok}, []string{
			`server start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`,
			`server start+status 18"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"request in pieces", []string{"<G", "<ET / HT", "<TP/1.1\r\n\r", "<\n", ">" + ok}, []string{
			`server start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`,
		}},
		{"head byte by byte after an answer", append(append([]string{"<" + get, ">" + ok}, bytewise('<', "HEAD /h HTTP/1.1\r\n\r\n")...), ">"+ok), []string{
			`server start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`,
			`server start+status 18"HEAD /h HTTP/1.1\r\n\r\n" 39"` + quoted(ok) + `"-78`,
		}},
		{"answer in pieces", []string{"<" + get, ">HTTP/1.1 200 OK\r\n", ">Content-Length:2\r\n\r\n", ">ok"}, []string{
			`server start+status 0"` + quoted(get) + `" 0"HTTP/1.1 200 OK\r\n"-17`,
			`server more 17"Content-Length:2\r\n\r\n"-37`,
			`server more 37"ok"-39`,
		}},
		{"pieces of a long answer are only counted", []string{"<" + get, ">HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 60), ">" + strings.Repeat("y", 1000), ">z"}, []string{
			`server start+status 0"` + quoted(get) + `" 0"HTTP/1.1 200 OK\r\n\r\n` + strings.Repeat("x", 45) + `"-79`,
		}},
		{"a body that begins like an answer is told", []string{"<" + get, ">HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 60), ">" + ok}, []string{
			`server start+status 0"` + quoted(get) + `" 0"HTTP/1.1 200 OK\r\n\r\n` + strings.Repeat("x", 45) + `"-79`,
			`server status 79"` + quoted(ok) + `"-118`,
		}},
		{"a chunk that ends like a body", append(chunked("\r\n"), ">a\r\n1\r\n0\r\n\r\n\r\n\r\n", "<"+get, "<"+get), []string{
			told, `server start 18"` + quoted(get) + `" open 134""-134`,
		}},
		{"... which it does not begin", append(chunked("x"), ">a\r\n1\r\n0\r\n\r\n\r\n\r\n", "<"+get, "<"+get), []string{
			told, `server start 18"` + quoted(get) + `" 133""-133`,
		}},
		{"... nor behind a byte that an answer begins with", append(chunked("H"), ">a\r\n1\r\n0\r\n\r\n\r\n\r\n", "<"+get, "<"+get), []string{
			told, `server start 18"` + quoted(get) + `" 133""-133`,
		}},
		{"interim answer", []string{"<POST / HTTP/1.1\r\n\r\n", ">HTTP/1.1 100 Continue\r\n\r\n", "<{\"a\":1}", ">" + ok}, []string{
			`server start+status 0"POST / HTTP/1.1\r\n\r\n" 0"HTTP/1.1 100 Continue\r\n\r\n"-25`,
			`server status 25"` + quoted(ok) + `"-64`,
		}},
		{"a body that begins like a request is told", []string{"<POST / HTTP/1.1\r\n\r\n", ">HTTP/1.1 100 Continue\r\n\r\n", "<some words", ">" + ok}, []string{
			`server start+status 0"POST / HTTP/1.1\r\n\r\n" 0"HTTP/1.1 100 Continue\r\n\r\n"-25`,
			`server start+status 19"some words" 25"` + quoted(ok) + `"-64`,
		}},
		{"a short body is not the next request", []string{"<" + post, "<hello", ">" + ok, "<" + get, ">" + ok}, []string{
			`server start+status 0"` + quoted(post) + `" 0"` + quoted(ok) + `"-39`,
			`server start+status 43"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"a blank line behind a body", []string{"<" + post + "hello", ">" + ok, "<\r\n", "<" + get, ">" + ok}, []string{
			`server start+status 0"` + quoted(post) + `hello" 0"` + quoted(ok) + `"-39`,
			`server start+status 45"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"the first byte of the next request, before the answer", []string{"<" + get, "<G", ">" + ok, "<" + get[1:], ">" + ok}, []string{
			`server start 0"` + quoted(get) + `" 0""-0`,
			`server status 0"` + quoted(ok) + `"-39`,
			`server start+status 18"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"a client that sends a word", []string{">" + get, ">word", "<" + ok, ">" + get, "<" + ok}, []string{
			`client start+status 0"` + quoted(get) + `" 0"` + quoted(ok) + `"-39`,
			`client start+status 22"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"pipelined one by one", []string{"<" + get, "<GET /2 HTTP/1.1\r\n\r\n", ">" + ok, ">" + ok}, []string{
			`server start 0"` + quoted(get) + `" 0""-0`,
			`server start+status 18"GET /2 HTTP/1.1\r\n\r\n" 0"` + quoted(ok) + `"-39`,
			`server status 39"` + quoted(ok) + `"-78`,
		}},
		{"body after its answer is not a request", []string{"<POST / HTTP/1.1\r\n\r\n", ">" + ok, "<{\"a\":1}", "<" + get, ">" + ok}, []string{
			`server start+status 0"POST / HTTP/1.1\r\n\r\n" 0"` + quoted(ok) + `"-39`,
			`server start+status 26"` + quoted(get) + `" 39"` + quoted(ok) + `"-78`,
		}},
		{"head longer than what is kept", []string{"<GET /" + strings.Repeat("a", 100) + " HTTP/1.1\r\n\r\n", ">" + ok}, []string{
			`server start+status 0"GET /` + strings.Repeat("a", 59) + `" 0"` + quoted(ok) + `"-39`,
		}},
		{"answer without its request", []string{">" + ok}, []string{`server status 0"` + quoted(ok) + `"-39`}},
		{"answer read without its request", []string{"<" + ok}, []string{`client status 0"` + quoted(ok) + `"-39`}},
		{"the middle of something, then a request", []string{"<" + garbage, ">" + garbage, "<" + get, ">" + ok}, []string{
			`server start+status 4"` + quoted(get) + `" 4"` + quoted(ok) + `"-43`,
		}},
		{"upgrade ends HTTP", []string{"<" + get, ">HTTP/1.1 101 Switching\r\n\r\n", "<" + get, ">" + ok}, []string{
			`server start+status 0"` + quoted(get) + `" 0"HTTP/1.1 101 Switching\r\n\r\n"-26`,
		}},
		{"CONNECT ends HTTP", []string{"<CONNECT a:443 HTTP/1.1\r\n\r\n", ">HTTP/1.1 200 OK\r\n\r\n", "<" + get, ">" + ok}, []string{
			`server start+status 0"CONNECT a:443 HTTP/1.1\r\n\r\n" 0"HTTP/1.1 200 OK\r\n\r\n"-19`,
		}},
		{"refused CONNECT does not", []string{"<CONNECT a:443 HTTP/1.1\r\n\r\n", ">HTTP/1.1 407 No\r\n\r\n", "<" + get, ">" + ok}, []string{
			`server start+status 0"CONNECT a:443 HTTP/1.1\r\n\r\n" 0"HTTP/1.1 407 No\r\n\r\n"-19`,
			`server start+status 26"` + quoted(get) + `" 19"` + quoted(ok) + `"-58`,
		}},
		{"not HTTP after all", []string{"<GET foo\r\n", ">$-1\r\n", "<" + get, ">" + ok}, nil},
		{"PROXY v2 before the request", []string{"<\r\n\r\n\x00\r\nQUIT\n!\x00\x00\x00" + get, ">" + ok}, []string{
			`server start+status 0"\r\n\r\n\x00\r\nQUIT\n!\x00\x00\x00` + quoted(get) + `" 0"` + quoted(ok) + `"-39`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, v.play(tt.steps)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// quoted is s as %q prints it, without the quotes.
func quoted(s string) string {
	q := fmt.Sprintf("%q", s)
	return q[1 : len(q)-1]
}

func bytewise(dir byte, s string) []string {
	steps := make([]string, len(s))
	for i := range s {
		steps[i] = string([]byte{dir, s[i]})
	}
	return steps
}

// Connections that are given up say why, and cost nothing afterwards.
func TestConversationsGivenUp(t *testing.T) {
	v := newConversation(t, 64)
	long := []string{}
	for range 7 {
		long = append(long, "<"+garbage, ">"+garbage)
	}
	tests := []struct {
		name  string
		steps []string
		want  unitProbeCount
	}{
		{"TLS", []string{"<\x16\x03\x01\x02\x00\x01\x00"}, unitProbeCountPROBE_DROP_TLS},
		{"HTTP/2", []string{"<PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, unitProbeCountPROBE_DROP_HTTP2},
		{"never HTTP", long, unitProbeCountPROBE_DROP_NOT_HTTP},
		{"not answered by HTTP", []string{"<GET foo\r\n", ">$-1\r\n"}, unitProbeCountPROBE_DROP_NOT_ANSWER},
		{"tunnel", []string{"<" + get, ">HTTP/1.1 101 Switching\r\n\r\n"}, unitProbeCountPROBE_COUNT_TUNNELS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := v.u.counter(t, tt.want)
			v.play(tt.steps)
			if got := v.u.counter(t, tt.want) - before; got != 1 {
				t.Errorf("counted %d times, want once", got)
			}
			if c := v.u.conn(t); unitConnPhase(c.Phase) != unitConnPhasePHASE_OVER {
				t.Errorf("phase %d, want the connection over", c.Phase)
			}
		})
	}
}

// The books of the kernel side: every request that was kept went out, was
// found to be none, or is still kept.
func TestConversationsBooks(t *testing.T) {
	v := newConversation(t, 512)
	starts := v.u.counter(t, unitProbeCountPROBE_COUNT_STARTS)
	records := v.u.counter(t, unitProbeCountPROBE_COUNT_RECORDS)
	lines := len(v.play([]string{"<" + get, ">" + ok, "<" + get, "<" + get, ">" + ok, ">" + ok, "<" + get}))
	if got := v.u.counter(t, unitProbeCountPROBE_COUNT_STARTS) - starts; got != 4 {
		t.Errorf("%d requests counted, want 4", got)
	}
	if got := v.u.counter(t, unitProbeCountPROBE_COUNT_RECORDS) - records; got != uint64(lines) || got != 4 {
		t.Errorf("%d records counted and %d read, want 4", got, lines)
	}
	if c := v.u.conn(t); unitConnPhase(c.Phase) != unitConnPhasePHASE_REQUEST {
		t.Errorf("phase %d, want a request kept", c.Phase)
	}
}
