// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestWireReader(t *testing.T) {
	const next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	tests := []struct {
		name, method, wire string
		want               response // wire is filled in
		last               bool     // nothing can follow
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", response{status: 200, body: 3}, false},
		{"no phrase", "GET", "HTTP/1.1 404\r\ncontent-length:0\r\n\r\n", response{status: 404}, false},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", response{status: 200}, false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", response{status: 204}, false},
		{"304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", response{status: 304}, false},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", response{status: 200, body: 13}, false},
		{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", response{status: 200, body: 1}, false},
		{"interim", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", response{status: 200, body: 1, interim: []int{100, 103}}, false},
		{"connection close", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", response{status: 200, body: 1, close: true}, false},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", response{status: 200, body: 3, close: true}, true},
		{"1.0 closes", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", response{status: 200, body: 1, close: true}, false},
		{"1.0 kept", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na", response{status: 200, body: 1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			input := tt.wire
			if !tt.last {
				input += next
			}
			w := newWireReader(iotest.OneByteReader(strings.NewReader(input)))
			got, err := w.next(tt.method, nil)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.wire = int64(len(tt.wire))
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(response{})); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if tt.last {
				return
			}
			if got, err = w.next("GET", nil); err != nil || got.wire != int64(len(next)) {
				t.Errorf("the next response: %+v, %v", got, err)
			}
			if err := w.atEnd(); err != nil {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestWireReaderCutShort(t *testing.T) {
	for _, whole := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		for n := range len(whole) {
			got, err := newWireReader(strings.NewReader(whole[:n])).next("GET", nil)
			if !errors.Is(err, io.ErrUnexpectedEOF) || got.wire != int64(n) {
				t.Errorf("%q: %d bytes counted, error %v", whole[:n], got.wire, err)
			}
		}
	}
}

func TestWireReaderTrailingBytes(t *testing.T) {
	w := newWireReader(strings.NewReader("HTTP/1.1 204 No Content\r\n\r\nx"))
	if _, err := w.next("GET", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.atEnd(); !errors.Is(err, errTrailingBytes) {
		t.Errorf("a byte too many gives %v", err)
	}
}

func TestParseLogLine(t *testing.T) {
	tests := []struct {
		in   string
		want logLine
		ok   bool
	}{
		{"conf|200|120|6|58|GET /a|b?c=x-1 HTTP/1.1", logLine{"GET", "/a|b?c=x-1", 200, 120, 6, 58}, true},
		{`app: conf|404|-||-|"HEAD /x HTTP/1.1"`, logLine{"HEAD", "/x", 404, -1, -1, -1}, true},
		{"conf|501|1|1|1|  HTTP/1.1", logLine{}, false},
		{"conf|abc|1|1|1|GET / HTTP/1.1", logLine{}, false},
		{"started", logLine{}, false},
	}
	for _, tt := range tests {
		got, ok := parseLogLine(tt.in)
		if ok != tt.ok {
			t.Errorf("%q: ok = %v", tt.in, ok)
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(logLine{})); ok && diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
	uv, ok := parseUvicornLog(`INFO:     127.0.0.1:1 - "GET /x?c=a-1 HTTP/1.1" 200 OK`)
	if diff := cmp.Diff(logLine{"GET", "/x?c=a-1", 200, -1, -1, -1}, uv, cmp.AllowUnexported(logLine{})); !ok || diff != "" {
		t.Errorf("uvicorn: %v %s", ok, diff)
	}
	cd, ok := parseCaddyLog(`{"request":{"method":"GET","uri":"/x"},"status":200,"size":6}`)
	if diff := cmp.Diff(logLine{"GET", "/x", 200, -1, 6, -1}, cd, cmp.AllowUnexported(logLine{})); !ok || diff != "" {
		t.Errorf("caddy: %v %s", ok, diff)
	}
}
