// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"strings"
	"testing"
)

// What follows the head of a response is not read where the head says that it
// is the body, all of it and nothing else.
func TestBodyIsNotRead(t *testing.T) {
	const body = "payload"
	head := func(status, lines string) string { return "HTTP/1.1 " + status + "\r\nServer: x\r\n" + lines + "\r\n" }
	long := strings.Repeat("x", 100)
	tests := []struct {
		name   string
		pieces []string
		whole  bool // is read whole
	}{
		{"length", []string{head("200 OK", "Content-Length: 7\r\n"), body}, false},
		{"the last line", []string{head("200 OK", "A: "+long+"\r\nContent-Length: 7\r\n"), body}, false},
		{"another line behind it", []string{head("200 OK", "Content-Length: 7\r\nA: "+long+"\r\n"), body}, false},
		{"lower case", []string{head("404 No", "content-length: 7\r\n"), body}, false},
		{"long body", []string{head("200 OK", "Content-Length: 1000\r\n"), strings.Repeat("y", 1000)}, false},
		{"leading zeros", []string{head("200 OK", "Content-Length: 007\r\n"), body}, false},
		{"no length", []string{head("200 OK", ""), body}, true},
		{"chunked", []string{head("200 OK", "Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"}, true},
		{"less than follows", []string{head("200 OK", "Content-Length: 6\r\n"), body}, true},
		{"more than follows", []string{head("200 OK", "Content-Length: 70\r\n"), body}, true},
		{"another header", []string{head("200 OK", "X-Content-Length: 7\r\n"), body}, true},
		{"no space", []string{head("200 OK", "Content-Length:7\r\n"), body}, true},
		{"no number", []string{head("200 OK", "Content-Length: \r\n"), body}, true},
		{"something behind the number", []string{head("200 OK", "Content-Length: 7 \r\n"), body}, true},
		{"too many digits", []string{head("200 OK", "Content-Length: 00000000007\r\n"), body}, true},
		{"a value", []string{head("200 OK", "A: Content-Length: 7\r\n"), body}, true},
		{"never has a body", []string{head("304 Not Modified", "Content-Length: 7\r\n"), body}, true},
		{"head without an end", []string{strings.TrimSuffix(head("200 OK", "Content-Length: 7\r\n"), "\r\n"), body}, true},
		{"three pieces", []string{head("200 OK", "Content-Length: 7\r\n"), body[:3], body[3:]}, true},
		{"one piece", []string{head("200 OK", "Content-Length: 7\r\n") + body}, true},
	}
	u := newUnit(t, unitProgUnitPieceRead, 512)
	m := newMemory(t)
	read := func(pieces []string, moved int) int {
		m.reset()
		buffers := make([][]byte, len(pieces))
		for i, p := range pieces {
			buffers[i] = []byte(p)
		}
		ctx := unitCallCtx{Kind: uint8(unitCallKindCALL_IOV), Len: uint32(moved), Want: 512}
		setIovecs(m, &ctx, buffers)
		run(t, u, &ctx)
		return int(ctx.Got)
	}
	check := func(t *testing.T, what string, pieces []string, whole bool) {
		t.Helper()
		all := len(strings.Join(pieces, ""))
		want := len(pieces[0])
		if whole {
			want = min(all, 512)
		}
		if got := read(pieces, all); got != want {
			t.Errorf("%s: %d bytes read of %d in %d pieces, want %d", what, got, all, len(pieces), want)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u.setConn(t, unitConn{Answered: 1})
			check(t, "first look", tt.pieces, true)
			check(t, "second look", tt.pieces, tt.whole)
			if all := len(strings.Join(tt.pieces, "")); read(tt.pieces, all-1) != min(all-1, 512) {
				t.Error("a write that was cut short was not read whole")
			}
			u.setConn(t, unitConn{})
			check(t, "first answer of the connection", tt.pieces, true)
			ask := unitConn{Answered: 1}
			copy(ask.Head[:], "HEAD / HTTP/1.1")
			u.setConn(t, ask)
			check(t, "answer to HEAD", tt.pieces, true)
		})
	}
	t.Run("moves", func(t *testing.T) {
		u.setConn(t, unitConn{Answered: 1})
		moved := func(by int) []string {
			return []string{head("200 OK", "A: "+strings.Repeat("x", by)+"\r\nContent-Length: 7\r\n"), body}
		}
		for by := range 6 { // four looks, then it stays where it was
			check(t, fmt.Sprintf("moved by %d", by), moved(by), true)
			check(t, fmt.Sprintf("moved by %d, again", by), moved(by), by >= 4)
		}
		check(t, "back", moved(3), false)
		check(t, "shorter, behind it what was left", []string{head("200 OK", ""), body}, true)
		check(t, "back", moved(3), false)
	})
	t.Run("is not forgotten", func(t *testing.T) {
		u.setConn(t, unitConn{Answered: 1})
		answer := []string{head("200 OK", "Content-Length: 7\r\n"), body}
		check(t, "found", answer, true)
		check(t, "known", answer, false)
		for range 5 {
			check(t, "another kind of answer", []string{head("200 OK", "Transfer-Encoding: chunked\r\n"), "0\r\n\r\n"}, true)
		}
		check(t, "back", answer, false)
	})
}
