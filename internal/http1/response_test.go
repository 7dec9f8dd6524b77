// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const nginxResponse = "HTTP/1.1 200 OK\r\n" +
	"Server: nginx/1.22.1\r\n" +
	"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n" +
	"Content-Type: text/plain\r\n" +
	"Content-Length: 14\r\n" +
	"Connection: keep-alive\r\n\r\n"

func TestParseResponse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Response
	}{
		{"nginx", nginxResponse, Response{Framing: Framing{ContentLength: 14, HeadLen: 148, Complete: true},
			Status: 200, ProtoMinor: 1}},
		{"no reason", "HTTP/1.1 204 \r\n\r\n", Response{Framing: noBody(17), Status: 204, ProtoMinor: 1}},
		{"no reason, no space", "HTTP/1.0 999\n\n", Response{Framing: noBody(14), Status: 999}},
		{"reason in other bytes", "HTTP/1.1 100 \tWeiter é\r\n\r\n", Response{Framing: noBody(27), Status: 100, ProtoMinor: 1}},
		{"fields cut", "HTTP/1.1 500 Oh\r\nContent-Length: 3\r\nServ",
			Response{Framing: Framing{ContentLength: 3}, Status: 500, ProtoMinor: 1}},
		{"chunked", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc",
			Response{Framing: Framing{ContentLength: -1, HeadLen: 66, Complete: true, Chunked: true}, Status: 200, ProtoMinor: 1}},
		{"ambiguous", "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\n",
			Response{Framing: Framing{ContentLength: -1, HeadLen: 41, Complete: true, AmbiguousLength: true}, Status: 200, ProtoMinor: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Response{ProtoMinor: 9, Status: 1}
			if v := ParseResponse([]byte(tt.in), &got); v != VerdictOK {
				t.Fatalf("verdict %v", v)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error("(-want +got)\n" + d)
			}
			checkResponsePrefixes(t, tt.in, got)
		})
	}
}

func checkResponsePrefixes(t *testing.T, in string, want Response) {
	t.Helper()
	for i := 0; i <= len(in); i++ {
		var r Response
		v := ParseResponse([]byte(in[:i]), &r)
		switch {
		case v == VerdictInvalid:
			t.Fatalf("prefix %q is invalid", in[:i])
		case want.Complete && i >= want.HeadLen:
			if d := cmp.Diff(want, r); d != "" {
				t.Fatalf("prefix %q:\n%s", in[:i], d)
			}
		case r.Complete, r.Status != 0 && r.Status != want.Status, v == VerdictOK && r.Status == 0:
			t.Fatalf("prefix %q: %+v", in[:i], r)
		}
	}
}

func TestParseResponseVerdicts(t *testing.T) {
	tests := []struct {
		in     string
		want   Verdict
		status uint16
	}{
		{"", VerdictPartial, 0},
		{"HTT", VerdictPartial, 0},
		{"HTTP/1.", VerdictPartial, 0},
		{"HTTP/1.1", VerdictPartial, 0},
		{"HTTP/1.1 20", VerdictPartial, 0},
		{"HTTP/1.1 200", VerdictPartial, 0},
		{"HTTP/1.1 200 ", VerdictPartial, 200},
		{"HTTP/1.1 200\r", VerdictPartial, 200},
		{"HTTP/1.1 200 Ok", VerdictPartial, 200},
		{"HTTP/1.1 2000", VerdictInvalid, 0},
		{"HTTP/1.1 200OK\r\n", VerdictInvalid, 0},
		{"HTTP/1.1 099 X\r\n", VerdictInvalid, 0},
		{"HTTP/1.1  200\r\n", VerdictInvalid, 0},
		{"HTTP/1.1 2x0 X\r\n", VerdictInvalid, 0},
		{"HTTP/1.1 200 a\x00b\r\n", VerdictInvalid, 0},
		{"HTTP/1.1 200 a\rb\r\n", VerdictInvalid, 0},
		{"HTTP/1.1\r\n", VerdictInvalid, 0},
		{"HTTP/2 200\r\n", VerdictInvalid, 0},
		{"HTTP/2.0 200\r\n", VerdictInvalid, 0},
		{"http/1.1 200 OK\r\n", VerdictInvalid, 0},
		{"\r\nHTTP/1.1 200 OK\r\n", VerdictInvalid, 0},
		{"GET / HTTP/1.1\r\n", VerdictInvalid, 0},
		{"+OK\r\n", VerdictInvalid, 0},
	}
	for _, tt := range tests {
		var r Response
		if v := ParseResponse([]byte(tt.in), &r); v != tt.want || r.Status != tt.status {
			t.Errorf("%q: %v %d, want %v %d", tt.in, v, r.Status, tt.want, tt.status)
		}
		if tt.want == VerdictInvalid {
			if d := cmp.Diff(Response{}, r); d != "" {
				t.Errorf("%q: not reset\n%s", tt.in, d)
			}
		}
	}
}

func TestResponseBody(t *testing.T) {
	tests := []struct {
		name, method, in string
		kind             BodyKind
		length           int64
	}{
		{"length", "GET", "200\r\nContent-Length: 9\r\n\r\n", BodyLength, 9},
		{"request not seen", "", "200\r\nContent-Length: 9\r\n\r\n", BodyLength, 9},
		{"HEAD", "HEAD", "200\r\nContent-Length: 9\r\n\r\n", BodyNone, 0},
		{"HEAD, cut", "HEAD", "200\r\nContent-", BodyNone, 0},
		{"methods are case-sensitive", "head", "200\r\nContent-Length: 9\r\n\r\n", BodyLength, 9},
		{"100", "POST", "100\r\n\r\n", BodyNone, 0},
		{"103 with length", "GET", "103\r\nContent-Length: 9\r\n\r\n", BodyNone, 0},
		{"101", "GET", "101\r\nUpgrade: websocket\r\n\r\n", BodyTunnel, -1},
		{"204", "GET", "204\r\nTransfer-Encoding: chunked\r\n\r\n", BodyNone, 0},
		{"205 has what its fields say", "GET", "205\r\nContent-Length: 0\r\n\r\n", BodyLength, 0},
		{"304", "GET", "304\r\nContent-Length: 9\r\n\r\n", BodyNone, 0},
		{"CONNECT accepted", "CONNECT", "200\r\nContent-Length: 9\r\n\r\n", BodyTunnel, -1},
		{"CONNECT refused", "CONNECT", "407\r\nContent-Length: 9\r\n\r\n", BodyLength, 9},
		{"chunked", "GET", "200\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n", BodyChunked, -1},
		{"chunked, cut", "GET", "200\r\nTransfer-Encoding: chunked\r\nServ", BodyChunked, -1},
		{"length, cut", "GET", "200\r\nContent-Length: 9\r\nServ", BodyLength, 9},
		{"cut", "GET", "200\r\nServ", BodyUnknown, -1},
		{"until close", "GET", "200\r\n\r\n", BodyUntilClose, -1},
		{"other coding", "GET", "200\r\nTransfer-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", BodyUntilClose, -1},
		{"ambiguous", "GET", "200\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n", BodyUnknown, -1},
		{"no status yet", "HEAD", "20", BodyUnknown, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r Response
			ParseResponse([]byte("HTTP/1.1 "+tt.in), &r)
			kind, length := ResponseBody([]byte(tt.method), &r)
			if kind != tt.kind || length != tt.length {
				t.Errorf("%v %d, want %v %d", kind, length, tt.kind, tt.length)
			}
		})
	}
}

func TestNames(t *testing.T) {
	var got []string
	for v := VerdictInvalid; v <= VerdictOK; v++ {
		got = append(got, v.String())
	}
	for k := BodyUnknown; k <= BodyTunnel+1; k++ {
		got = append(got, k.String())
	}
	want := []string{"invalid", "partial", "ok", "unknown", "none", "length", "chunked", "until_close", "tunnel", "invalid"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
