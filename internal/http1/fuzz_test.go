// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		wrkRequest, browserRequest, "", "\r\n\nGET / HTTP/1.1\n\n", "get key\r\n", "*1\r\n$4\r\nPING\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n", "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n",
		proxyV2Sign + "\x21\x11\x00\x04abcdGET / HTTP/1.1\r\n\r\n",
		"POST http://a/b HTTP/1.0\r\nContent-Length: 5, 5\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
		"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nUpgrade: x\r\n\r\n",
		"PUT /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"PATCH /a HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		v := ParseRequest(b, &r)
		RequestBody(&r)
		if v == VerdictInvalid {
			if d := cmp.Diff(Request{}, r); d != "" {
				t.Fatal(d)
			}
			return
		}
		if len(r.Method) > maxMethod || r.HeadLen > len(b) || r.Skipped > len(b) || r.Complete != (r.HeadLen > r.Skipped) {
			t.Fatalf("%+v", r)
		}
		if v == VerdictOK {
			checkPrefixes(t, string(b[:min(len(b), 2048)]), r)
		}
		if r.Complete {
			compareWithStandardRequest(t, b[r.Skipped:], &r)
		}
	})
}

// compareWithStandardRequest holds what net/http makes of the same bytes against
// r, if it accepts them.
func compareWithStandardRequest(t *testing.T, b []byte, r *Request) {
	std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return
	}
	if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || std.ProtoMinor != int(r.ProtoMinor) {
		t.Fatalf("first line: %q %q %d, net/http %q %q %d", r.Method, r.Target, r.ProtoMinor, std.Method, std.RequestURI, std.ProtoMinor)
	}
	if std.URL.Host == "" && r.Host != nil && std.Host != string(r.Host) {
		t.Fatalf("host %q, net/http %q", r.Host, std.Host)
	}
	if r.ProtoMinor == 0 || std.Method == "CONNECT" {
		return // net/http ignores transfer codings of HTTP/1.0; see RequestBody for CONNECT
	}
	kind, length := RequestBody(r)
	switch {
	case len(std.TransferEncoding) > 0:
		if kind != BodyChunked {
			t.Fatalf("%v, net/http chunked", kind)
		}
	case std.ContentLength > 0 || kind == BodyLength:
		if kind != BodyLength || length != std.ContentLength {
			t.Fatalf("%v %d, net/http length %d", kind, length, std.ContentLength)
		}
	case kind != BodyNone:
		t.Fatalf("%v, net/http no body", kind)
	}
}

func FuzzParseResponse(f *testing.F) {
	for _, s := range []string{
		nginxResponse, "", "HTTP/1.1 204\r\n\r\n", "HTTP/1.0 200 OK\n\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n", "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\t12\r\n\r\n", "+OK\r\n",
	} {
		f.Add([]byte(s), "GET")
	}
	f.Add([]byte(nginxResponse), "HEAD")
	f.Add([]byte(nginxResponse), "CONNECT")
	f.Fuzz(func(t *testing.T, b []byte, method string) {
		var r Response
		v := ParseResponse(b, &r)
		kind, length := ResponseBody([]byte(method), &r)
		if (kind == BodyLength) != (length >= 0 && kind != BodyNone) || kind == BodyNone && length != 0 {
			t.Fatalf("%v %d", kind, length)
		}
		if v == VerdictInvalid {
			if d := cmp.Diff(Response{}, r); d != "" {
				t.Fatal(d)
			}
			return
		}
		if r.HeadLen > len(b) || r.Status != 0 && (r.Status < 100 || r.Status > 999) {
			t.Fatalf("%+v", r)
		}
		if v == VerdictOK {
			checkResponsePrefixes(t, string(b[:min(len(b), 2048)]), r)
		}
		if r.Complete {
			compareWithStandardResponse(t, b, method, &r)
		}
	})
}

func compareWithStandardResponse(t *testing.T, b []byte, method string, r *Response) {
	std, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: method})
	if err != nil {
		return
	}
	if std.StatusCode != int(r.Status) || std.ProtoMinor != int(r.ProtoMinor) {
		t.Fatalf("status %d, net/http %d", r.Status, std.StatusCode)
	}
	kind, length := ResponseBody([]byte(method), r)
	if r.ProtoMinor == 0 || kind == BodyTunnel || kind == BodyNone {
		return // transfer codings of HTTP/1.0, and what net/http leaves to its transport
	}
	switch {
	case len(std.TransferEncoding) > 0:
		if kind != BodyChunked {
			t.Fatalf("%v, net/http chunked", kind)
		}
	case std.ContentLength >= 0:
		if kind != BodyLength || length != std.ContentLength {
			t.Fatalf("%v %d, net/http length %d", kind, length, std.ContentLength)
		}
	case kind != BodyUntilClose:
		t.Fatalf("%v, net/http until close", kind)
	}
}

func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nrest", "1;a=b\r\nx\r\n00\r\nA: b\r\n\r\n", "1\nx\n0\n\n", "5 \r\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff\r\n", "7fffffffffffffff\r\nx", "5\r\nhello!",
	} {
		f.Add([]byte(s), uint8(1), uint16(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8, chunk uint16) {
		var whole, split Chunked
		n1, done1, err1 := feedAll(&whole, string(b), len(b)+1)
		n2, done2, err2 := feedAll(&split, string(b), int(piece)+1)
		if n1 != n2 || done1 != done2 || err1 != err2 || whole != split {
			t.Fatalf("whole %d %v %v, split %d %v %v", n1, done1, err1, n2, done2, err2)
		}
		data, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
		if done1 && err == nil && int64(len(data)) != whole.Data() {
			t.Fatalf("data %d, net/http %d", whole.Data(), len(data))
		}
		if err == nil && err1 != nil && whole.state != chunkFailed {
			t.Fatalf("error %v in state %d", err1, whole.state)
		}
		checkEncoded(t, b, int(chunk)+1, int(piece)+1)
	})
}

// checkEncoded sends data through the standard library's chunked writer and
// expects the decoder to find exactly its end, in pieces and with skips.
func checkEncoded(t *testing.T, data []byte, chunk, piece int) {
	var out bytes.Buffer
	w := httputil.NewChunkedWriter(&out)
	for rest := data; len(rest) > 0; {
		n := min(chunk, len(rest))
		w.Write(rest[:n])
		rest = rest[n:]
	}
	w.Close()
	out.WriteString("\r\n")
	if !EndsChunked(out.Bytes()) || !EndsChunked(out.Bytes()[out.Len()-5:]) {
		t.Fatalf("end not seen in %q", out.Bytes())
	}
	size := out.Len()
	out.WriteString("0\r\n\r\n")
	var c Chunked
	n, done, err := feedAll(&c, out.String(), piece)
	if n != size || !done || err != nil || c.Data() != int64(len(data)) {
		t.Fatalf("consumed %d of %d, done %v, error %v, data %d of %d", n, size, done, err, c.Data(), len(data))
	}

	var skipping Chunked
	stream := out.Bytes()[:size]
	for len(stream) > 0 {
		if left := skipping.left; skipping.state == chunkData {
			if !skipping.Skip(left) {
				t.Fatal("skip inside data refused")
			}
			stream = stream[left:]
			continue
		}
		if _, _, err := skipping.Feed(stream[:1]); err != nil {
			t.Fatal(err)
		}
		stream = stream[1:]
	}
	if skipping != c {
		t.Fatalf("skipping %+v, reading %+v", skipping, c)
	}
}
