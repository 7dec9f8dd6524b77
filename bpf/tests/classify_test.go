// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// verdict is what the kernel side says about the first bytes of a piece.
type verdict struct {
	Request, Response, TLS, HTTP2, ProxyV2 bool
}

// leftovers are bytes that a piece before may have left behind a short one.
// They must not change a verdict.
var leftovers = []string{
	strings.Repeat("\x00", 16),
	strings.Repeat("\xff", 16),
	strings.Repeat("A", 16),
	strings.Repeat(" ", 16),
	"HTTP/1.1 200 OK\r",
	"GET / HTTP/1.1\r\n",
	"PRI * HTTP/2.0\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00",
	"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c",
}

func (u *unit) classify(t *testing.T, text, leftover string) (verdict, unitClassifyCtx) {
	t.Helper()
	first := []byte(leftover)
	copy(first, text)
	ctx := unitClassifyCtx{
		Low: binary.LittleEndian.Uint64(first), High: binary.LittleEndian.Uint64(first[8:]), N: uint32(len(text)),
	}
	run(t, u, &ctx)
	return verdict{
		Request: ctx.Request != 0, Response: ctx.Response != 0,
		TLS: ctx.Tls != 0, HTTP2: ctx.Http2 != 0, ProxyV2: ctx.ProxyV2 != 0,
	}, ctx
}

func TestClassify(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	request, response, neither := verdict{Request: true}, verdict{Response: true}, verdict{}
	tests := map[string]verdict{
		"":                     neither,
		"get / HTTP/1.1\r\n":   request,
		"Get /x HTTP/1.0\r\n":  request,
		"POST /a HTTP/1.1":     request,
		"HEAD / HTTP/1.1\r\n":  request,
		"PUT /a HTTP/1.1\r\n":  request,
		"DELETE /a/b/c HTTP/":  request,
		"PATCH /":              request,
		"OPTIONS * HTTP/1.1":   request,
		"M-SEARCH * HTTP/1.1":  request,
		"PROPFIND /dav":        request,
		"CONNECT a.b:443 HTT":  request,
		"CONNECT [::1]:443 H":  request,
		"CONNECT 10.0.0.1:80":  request,
		"GET http://a/b HTTP":  request,
		"X /":                  request,
		"foo_bar /":            request,
		"ALONGMETHODNAMEXYZ ":  request,
		"\r\nGET / HTTP/1.1":   request,
		"\nGET / HTTP/1.1":     request,
		"\r\n\r\nGET / HTTP/":  request,
		"\r":                   neither, // blank lines alone
		"GET ":                 request,
		"GET foo\r\n":          request, // an inline Redis command; its answer tells
		"PROXY TCP4 1.2.3.4 ":  request,
		"HTTPX / HTTP/1.1\r\n": neither, // the price of telling answers apart by four bytes

		"HTTP/1.1 200 OK\r\n": response,
		"HTTP/1.0 404 Not F":  response,
		"HTTP/1.":             response,
		"HTTP/2 200 OK\r\n":   neither,
		"HTTP/11 200 OK\r\n":  neither,
		"http/1.1 200 OK\r\n": neither,

		"\x16\x03\x01\x02\x00\x01":     {TLS: true},
		"\x17\x03\x03\x00\x20":         {TLS: true},
		"\x14\x03\x04":                 {TLS: true},
		"\x15\x03\x00":                 {TLS: true},
		"\x16\x03\x05\x00\x00":         neither,
		"\x13\x03\x01\x00\x00":         neither,
		"\x18\x03\x01\x00\x00":         neither,
		"\x16\x02\x01\x00\x00":         neither,
		"\x16\x03":                     neither,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n": {Request: true, HTTP2: true},
		"PRI * HT":                     {Request: true, HTTP2: true},
		"PRI * H":                      {Request: true},
		"\r\n\r\n\x00\r\nQUIT\n":       {Request: true, ProxyV2: true},
		"\r\n\r\n\x00\r\nQUIT\n!\x11":  {Request: true, ProxyV2: true},

		" GET / HTTP/1.1":             neither,
		"PUT  / HTTP/1.1":             neither,
		"GET\t/ HTTP/1.1":             neither,
		"GET\r\n":                     neither,
		"GET\x00\x00\x00\x00\x00\x00": neither,
		"\r\n\r\n\r\nGET /":           neither,
		"GE\x00 / HTTP/1.1":           neither,
		"G\xc3\x89T / HTTP":           neither,
		"*1\r\n$4\r\nPING\r\n":        neither,
		"$-1\r\n":                     neither,
		"+OK\r\n":                     neither,
		"SSH-2.0-OpenSSH_9.2":         neither,
		"220 mail.example.com":        neither,
		"{\"a\": 1}":                  neither,
		"\x00\x00\x00\x10user":        neither,
		"\x03\x00\x00\x13\x0e":        neither,
		"<html><body>":                neither,
	}
	for text, want := range tests {
		for _, leftover := range leftovers {
			got, _ := u.classify(t, text[:min(len(text), 16)], leftover)
			if got != want {
				t.Errorf("%q over %q: %+v, want %+v", text, leftover, got, want)
			}
		}
	}
}

// Every beginning of a message is accepted, however short the piece is. Blank lines
// alone begin none: some clients send one behind a body.
func TestClassifyPrefixes(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	for _, line := range []string{
		"GET / HTTP/1.1\r\n", "HEAD /x HTTP/1.1", "POST /a/b/c HTTP", "\r\n\r\nPUT / HTTP", "options * HTTP/1",
	} {
		for n := 1; n <= len(line); n++ {
			for _, leftover := range leftovers {
				want := strings.Trim(line[:n], "\r\n") != ""
				if got, _ := u.classify(t, line[:n], leftover); got.Request != want || got.HTTP2 || got.TLS {
					t.Errorf("%q over %q: %+v, want a request: %v", line[:n], leftover, got, want)
				}
			}
		}
	}
	line := "HTTP/1.1 200 OK\r"
	for n := 1; n <= len(line); n++ {
		for _, leftover := range leftovers {
			if got, _ := u.classify(t, line[:n], leftover); !got.Response {
				t.Errorf("%q over %q: %+v, want a response", line[:n], leftover, got)
			}
		}
	}
}

// One byte says no to a request exactly where no method can begin; a second one where the first letter is not followed by a method.
func TestClassifyBytes(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	isToken := func(b byte) bool {
		return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '-' || b == '_'
	}
	for b := range 256 {
		first := byte(b)
		want := isToken(first)
		if got, _ := u.classify(t, string([]byte{first}), leftovers[0]); got.Request != want {
			t.Errorf("%q: request %v, want %v", first, got.Request, want)
		}
		want = isToken(first) || first == ' '
		if got, _ := u.classify(t, string([]byte{'X', first}), leftovers[0]); got.Request != want {
			t.Errorf("%q: request %v, want %v", []byte{'X', first}, got.Request, want)
		}
	}
}

// looks_like_method is called on its own by nobody but looks_like_request, and
// must agree with it on everything that is not a response or a preface.
func TestClassifyMethodAgrees(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	for _, text := range []string{"GET / HTTP/1.1\r\n", "PATCH /", "a", "*1\r\n", "\x00", "POST\x00"} {
		got, ctx := u.classify(t, text, leftovers[0])
		if (ctx.Method != 0) != got.Request {
			t.Errorf("%q: method %v, request %v", text, ctx.Method != 0, got.Request)
		}
	}
}

func TestStatus101(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	for text, want := range map[string]bool{
		"HTTP/1.1 101 Swi": true, "HTTP/1.1 101": true, "HTTP/1.1 10": false,
		"HTTP/1.1 100 Con": false, "HTTP/1.1 200 OK\r": false, "HTTP/1.1 201 Cre": false, "HTTP/1.0 401 Una": false,
	} {
		for _, leftover := range []string{leftovers[0], "HTTP/1.1 101 Swi"} {
			if _, ctx := u.classify(t, text, leftover); (ctx.Status101 != 0) != want {
				t.Errorf("%q over %q: %v, want %v", text, leftover, ctx.Status101 != 0, want)
			}
		}
	}
}

func TestEndsHead(t *testing.T) {
	const capture = 128
	u := newUnit(t, unitProgUnitEndsHead, capture)
	m := newMemory(t)
	head := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	long := "GET /" + strings.Repeat("a", capture) + " HTTP/1.1\r\n\r\n"
	tests := []struct {
		captured string
		pieceLen int
		want     bool
	}{
		{head, len(head), true},
		{head, len(head) + 10, false}, // a body follows, so the piece goes on
		{head[:len(head)-1], len(head) - 1, false},
		{head[:len(head)-2], len(head) - 2, false},
		{"\r\n\r\n", 4, true},
		{"\n\r\n", 3, false},
		{"", 0, false},
		{long[:capture-1], len(long), false},
		{long[:capture], len(long), true}, // as much as is kept
		{long[:capture+1], len(long), true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d of %d", len(tt.captured), tt.pieceLen), func(t *testing.T) {
			m.reset()
			ctx := unitEndsHeadCtx{User: m.put([]byte(tt.captured)), N: uint32(len(tt.captured)), PieceLen: uint32(tt.pieceLen)}
			run(t, u, &ctx)
			if got := ctx.Ends != 0; got != tt.want {
				t.Errorf("ends_head(%q) of a piece of %d = %v, want %v", tt.captured, tt.pieceLen, got, tt.want)
			}
		})
	}
}
