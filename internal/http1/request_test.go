// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const wrkRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"

func bs(s string) []byte { return []byte(s) }

// framing of a complete head of n bytes without a body.
func noBody(n int) Framing { return Framing{ContentLength: -1, HeadLen: n, Complete: true} }

func TestParseRequest(t *testing.T) {
	open := Framing{ContentLength: -1}
	proxy := "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
	proxy2 := proxyV2Sign + "\x21\x11\x00\x0c" + "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x01\xbb"
	tests := []struct {
		name, in string
		want     Request
	}{
		{"wrk", wrkRequest,
			Request{Framing: noBody(40), Method: bs("GET"), Target: bs("/"), Host: bs("127.0.0.1:8080"), ProtoMinor: 1}},
		{"http 1.0 without fields", "GET /a?b=c#d HTTP/1.0\r\n\r\n",
			Request{Framing: noBody(25), Method: bs("GET"), Target: bs("/a?b=c#d")}},
		{"bare LF", "GET /x HTTP/1.1\nHost: a\n\n",
			Request{Framing: noBody(25), Method: bs("GET"), Target: bs("/x"), Host: bs("a"), ProtoMinor: 1}},
		{"pipelined second request is not read", "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
			Request{Framing: noBody(19), Method: bs("GET"), Target: bs("/1"), ProtoMinor: 1}},
		{"fields cut", "GET / HTTP/1.1\r\nHost: a.example\r\nContent-Len",
			Request{Framing: open, Method: bs("GET"), Target: bs("/"), Host: bs("a.example"), ProtoMinor: 1}},
		{"a cut field does not count", "POST / HTTP/1.1\r\nContent-Length: 12",
			Request{Framing: open, Method: bs("POST"), Target: bs("/"), ProtoMinor: 1}},
		{"absolute form", "GET http://a.example:80/p HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(38), Method: bs("GET"), Target: bs("http://a.example:80/p"), ProtoMinor: 1}},
		{"authority form", "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(38), Method: bs("CONNECT"), Target: bs("[2001:db8::1]:443"), ProtoMinor: 1}},
		{"CONNECT of net/rpc", "CONNECT /_goRPC_ HTTP/1.0\n\n",
			Request{Framing: noBody(27), Method: bs("CONNECT"), Target: bs("/_goRPC_")}},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(22), Method: bs("OPTIONS"), Target: bs("*"), ProtoMinor: 1}},
		{"unknown and lower-case methods", "m-search_1 /é HTTP/1.9\r\n\r\n",
			Request{Framing: noBody(27), Method: bs("m-search_1"), Target: bs("/é"), ProtoMinor: 9}},
		{"leading empty lines", "\r\n\n" + "GET / HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(21), Method: bs("GET"), Target: bs("/"), ProtoMinor: 1, Skipped: 3}},
		{"PROXY line", proxy + "PUT / HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(45 + 18), Method: bs("PUT"), Target: bs("/"), ProtoMinor: 1, Skipped: 45}},
		{"PROXY UNKNOWN", "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(15 + 18), Method: bs("GET"), Target: bs("/"), ProtoMinor: 1, Skipped: 15}},
		{"PROXY version 2", proxy2 + "GET / HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(28 + 18), Method: bs("GET"), Target: bs("/"), ProtoMinor: 1, Skipped: 28}},
		{"a method called PROXY", "PROXY /x HTTP/1.1\r\n\r\n",
			Request{Framing: noBody(21), Method: bs("PROXY"), Target: bs("/x"), ProtoMinor: 1}},
		{"names in any case, expect", "POST / HTTP/1.1\r\ncONTENT-lENGTH:\t42 \r\nEXPECT: 100-Continue\r\nupgrade: h2c\r\n\r\n",
			Request{Framing: Framing{ContentLength: 42, HeadLen: 76, Complete: true}, Method: bs("POST"), Target: bs("/"),
				ProtoMinor: 1, ExpectContinue: true}},
		{"empty values", "POST / HTTP/1.1\r\nHost:\r\nUpgrade: \r\nExpect:\r\n\r\n",
			Request{Framing: noBody(46), Method: bs("POST"), Target: bs("/"), ProtoMinor: 1}},
		{"first Host wins, invisible bytes refuse it", "GET / HTTP/1.1\r\nHost: a b\r\nHost: c\r\nHost: d\r\n\r\n",
			Request{Framing: noBody(47), Method: bs("GET"), Target: bs("/"), Host: bs("c"), ProtoMinor: 1}},
		{"malformed fields are passed over", "GET / HTTP/1.1\r\nnonsense\r\n\x00\x01\r\nContent-Length : 5\r\ncontent\rlength: 5\r\nHost: a\r\n\r\n",
			Request{Framing: noBody(80), Method: bs("GET"), Target: bs("/"), Host: bs("a"), ProtoMinor: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Request{Method: bs("stale"), Skipped: 7}
			if v := ParseRequest([]byte(tt.in), &got); v != VerdictOK {
				t.Fatalf("verdict %v", v)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error("(-want +got)\n" + d)
			}
			checkPrefixes(t, tt.in, got)
		})
	}
}

// checkPrefixes cuts a head that parses at every byte: no prefix is invalid, the
// certain parts never change, and bytes after the head change nothing.
func checkPrefixes(t *testing.T, in string, want Request) {
	t.Helper()
	for i := 0; i <= len(in); i++ {
		var r Request
		v := ParseRequest([]byte(in[:i]), &r)
		if v == VerdictInvalid {
			t.Fatalf("prefix %q is invalid", in[:i])
		}
		if want.Complete && i >= want.HeadLen {
			if d := cmp.Diff(want, r); d != "" {
				t.Fatalf("prefix %q:\n%s", in[:i], d)
			}
			continue
		}
		if r.Complete || r.HeadLen != 0 {
			t.Fatalf("prefix %q is complete", in[:i])
		}
		if r.Method != nil && string(r.Method) != string(want.Method) {
			t.Fatalf("prefix %q: method %q", in[:i], r.Method)
		}
		if r.TargetCut && (v != VerdictPartial || !strings.HasPrefix(string(want.Target), string(r.Target))) {
			t.Fatalf("prefix %q: target %q", in[:i], r.Target)
		}
		if v == VerdictOK && string(r.Target) != string(want.Target) {
			t.Fatalf("prefix %q: target %q", in[:i], r.Target)
		}
	}
}

func TestParseRequestPartial(t *testing.T) {
	tests := []struct {
		in   string
		want Request
	}{
		{"", Request{}},
		{"\r", Request{}},
		{"\r\n\r\n", Request{}}, // maybe PROXY version 2
		{"\n\r\n", Request{Skipped: 3}},
		{"G", Request{TargetCut: true}},
		{strings.Repeat("x", maxMethod), Request{TargetCut: true}},
		{"GET ", Request{Method: bs("GET"), Target: bs(""), TargetCut: true}},
		{"GET /long/pa", Request{Method: bs("GET"), Target: bs("/long/pa"), TargetCut: true}},
		{"GET http:/", Request{Method: bs("GET"), Target: bs("http:/"), TargetCut: true}},
		{"CONNECT host", Request{Method: bs("CONNECT"), Target: bs("host"), TargetCut: true}},
		{"GET / ", Request{Method: bs("GET"), Target: bs("/")}},
		{"GET / HTTP/1", Request{Method: bs("GET"), Target: bs("/")}},
		{"GET / HTTP/1.1\r", Request{Method: bs("GET"), Target: bs("/"), ProtoMinor: 1}},
		{"PROXY TCP6 ::1 ::1 1 2\r", Request{}},
		{"PROXY T", Request{}},
		{"PROXY UNKNOWN\r\n", Request{Skipped: 15}},
		{proxyV2Sign + "\x20", Request{}},
		{proxyV2Sign + "\x21\x11\x00\x0c123", Request{}},
	}
	for _, tt := range tests {
		var got Request
		if v := ParseRequest([]byte(tt.in), &got); v != VerdictPartial {
			t.Errorf("%q: verdict %v", tt.in, v)
		}
		tt.want.ContentLength = -1
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%q (-want +got)\n%s", tt.in, d)
		}
	}
}

func TestParseRequestInvalid(t *testing.T) {
	for _, in := range []string{
		"GET foo bar", "get key\r\n", "get key1 key2\r\n", "GET foo\r\n", "set k 0 0 5\r\nhello\r\n",
		"*1\r\n$4\r\nPING\r\n", "PING\r\n", "GET /\r\n", "GET / HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1 \r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/1.x\r\n", "GET / http/1.1\r\n", "GET / HTTP/1.1\rX",
		"GET  / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET /a\x01 HTTP/1.1\r\n", "GET /a\x7f HTTP/1.1\r\n",
		"GET *x HTTP/1.1\r\n", "GET host:443 HTTP/1.1\r\n", "GET http:// HTTP/1.1\r\n", "GET 1http://a HTTP/1.1\r\n", "GET http:a HTTP/1.1\r\n",
		"GET abcdefghijklmnopqrst://a HTTP/1.1\r\n",
		"CONNECT host HTTP/1.1\r\n", "CONNECT :443 HTTP/1.1\r\n", "CONNECT a:b HTTP/1.1\r\n", "CONNECT a:123456 HTTP/1.1\r\n", "CONNECT u@a:1 HTTP/1.1\r\n",
		"OPTIONS rtsp://a/b RTSP/1.0\r\n", "INVITE sip:bob@a.example SIP/2.0\r\n", "HTTP/1.1 200 OK\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n", "\x16\x03\x01\x02\x00\x01", "\x00", "{\"a\":1}\n", "EHLO mail\r\n",
		strings.Repeat("x", maxMethod+1), strings.Repeat("\r\n", maxLeadingLines+1) + "GET / HTTP/1.1\r\n", "\rGET",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nGET / HTTP/1.1\r\n", "PROXY TCP4 " + strings.Repeat("1", 97), "PROXY TCP4 \x00",
		proxyV2Sign + "\x11",
	} {
		got := Request{Host: bs("stale")}
		if v := ParseRequest([]byte(in), &got); v != VerdictInvalid {
			t.Errorf("%q: verdict %v", in, v)
		}
		if d := cmp.Diff(Request{}, got); d != "" {
			t.Errorf("%q: not reset\n%s", in, d)
		}
	}
}

func TestRequestBody(t *testing.T) {
	tests := []struct {
		name, fields string
		kind         BodyKind
		length       int64
	}{
		{"none", "", BodyNone, 0},
		{"length", "Content-Length: 5\r\n", BodyLength, 5},
		{"length zero", "Content-Length: 0\r\n", BodyLength, 0},
		{"leading zeros", "Content-Length: 0000000000000000000000000000042\r\n", BodyLength, 42},
		{"largest", "Content-Length: 9223372036854775807\r\n", BodyLength, 1<<63 - 1},
		{"too large", "Content-Length: 9223372036854775808\r\n", BodyUnknown, -1},
		{"equal list", "Content-Length: 5, 5 ,5\r\n", BodyLength, 5},
		{"equal fields", "Content-Length: 5\r\nContent-Length: 5\r\n", BodyLength, 5},
		{"different list", "Content-Length: 5, 6\r\n", BodyUnknown, -1},
		{"different fields", "Content-Length: 5\r\nContent-Length: 6\r\nContent-Length: 5\r\n", BodyUnknown, -1},
		{"negative", "Content-Length: -5\r\n", BodyUnknown, -1},
		{"signed", "Content-Length: +5\r\n", BodyUnknown, -1},
		{"empty", "Content-Length:\r\n", BodyUnknown, -1},
		{"hexadecimal", "Content-Length: 0x5\r\n", BodyUnknown, -1},
		{"folded", "Content-Length:\r\n 5\r\n", BodyLength, 5},
		{"folded list", "Content-Length: 5,\r\n\t5\r\n", BodyLength, 5},
		{"folded digits", "Content-Length: 5\r\n 5\r\n", BodyUnknown, -1},
		{"a fold is not a field", "X: y\r\n Content-Length: 5\r\n", BodyNone, 0},
		{"chunked", "Transfer-Encoding: chunked\r\n", BodyChunked, -1},
		{"chunked wins", "Content-Length: 5\r\nTransfer-Encoding: Chunked\r\n", BodyChunked, -1},
		{"chunked wins, other order", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n", BodyChunked, -1},
		{"gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n", BodyChunked, -1},
		{"two fields", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", BodyChunked, -1},
		{"parameter", "Transfer-Encoding: chunked ; q=1\r\n", BodyChunked, -1},
		{"not the last", "Transfer-Encoding: chunked, gzip\r\n", BodyUnknown, -1},
		{"other coding", "Transfer-Encoding: gzip\r\nContent-Length: 3\r\n", BodyUnknown, -1},
		{"identity", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n", BodyLength, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := "POST / HTTP/1.1\r\nHost: a\r\n" + tt.fields + "\r\n"
			var r Request
			if v := ParseRequest([]byte(in), &r); v != VerdictOK || r.HeadLen != len(in) {
				t.Fatalf("verdict %v, head %d", v, r.HeadLen)
			}
			kind, length := RequestBody(&r)
			if kind != tt.kind || length != tt.length {
				t.Errorf("%v %d, want %v %d", kind, length, tt.kind, tt.length)
			}
			if tt.kind == BodyLength && r.ContentLength != tt.length || tt.kind != BodyLength && r.ContentLength != -1 {
				t.Errorf("ContentLength %d", r.ContentLength)
			}
			if wantAmbiguous := tt.kind == BodyUnknown && !r.OtherCoding; r.AmbiguousLength != wantAmbiguous {
				t.Errorf("AmbiguousLength %v", r.AmbiguousLength)
			}
		})
	}
	var cut, connect Request
	ParseRequest([]byte("POST / HTTP/1.1\r\nHost: a\r\n"), &cut)
	if kind, _ := RequestBody(&cut); kind != BodyUnknown {
		t.Errorf("cut head: %v", kind)
	}
	ParseRequest([]byte("CONNECT a:1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), &connect)
	if kind, _ := RequestBody(&connect); kind != BodyNone {
		t.Errorf("CONNECT: %v", kind)
	}
}

func TestTokenBytes(t *testing.T) {
	const others = "!#$%&'*+-.^_`|~0123456789"
	for c := range 256 {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		want := letter || c < 0x80 && strings.ContainsRune(others, rune(c))
		if got := isTokenByte(byte(c)); got != want {
			t.Errorf("%q: %v", rune(c), got)
		}
	}
}
