// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const browserRequest = "GET /api/v1/users/12345/orders?page=2&sort=desc HTTP/1.1\r\n" +
	"Host: shop.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Cookie: session=3f2a9c81d4e5f60718293a4b5c6d7e8f; theme=dark\r\n" +
	"Connection: keep-alive\r\n\r\n"

func BenchmarkParseRequest(b *testing.B) {
	for _, bench := range []struct{ name, in string }{
		{"wrk", wrkRequest},
		{"browser", browserRequest},
		{"cut", browserRequest[:256]},
		{"not_http", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := []byte(bench.in)
			var r Request
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				ParseRequest(in, &r)
			}
		})
	}
}

func BenchmarkParseResponse(b *testing.B) {
	in := []byte(nginxResponse)
	var r Response
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		ParseResponse(in, &r)
	}
}

func BenchmarkChunked(b *testing.B) {
	for _, size := range []int{16, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			chunk := fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("x", size))
			in := bytes.Repeat([]byte(chunk), 16)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			var c Chunked
			for b.Loop() {
				if _, _, err := c.Feed(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestNoAllocations(t *testing.T) {
	req, resp := []byte(browserRequest), []byte(nginxResponse)
	body := []byte("5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n")
	var r Request
	var p Response
	allocs := testing.AllocsPerRun(100, func() {
		ParseRequest(req, &r)
		ParseResponse(resp, &p)
		RequestBody(&r)
		ResponseBody(r.Method, &p)
		var c Chunked
		c.Feed(body)
		EndsChunked(body)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
