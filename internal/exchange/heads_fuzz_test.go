// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probe/internal/http1"
)

// Whatever was seen before, a remembered head says what parsing it says.
func FuzzHeads(f *testing.F) {
	const get, ok = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	f.Add([]byte(get), []byte(get+get))
	f.Add([]byte(get+"body"), []byte(get))
	f.Add([]byte("\r\n"+get), []byte("\r\n"+get))
	f.Add([]byte(get), []byte(get[:len(get)-2]))
	f.Add([]byte(get[:len(get)-2]+"X: y\r\n\r\n"), []byte(get))
	f.Add([]byte(ok), []byte(ok[:len(ok)-5]+"other"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n"+ok), []byte("HTTP/1.1 100 Continue\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.0\n\nx"), []byte("POST / HTTP/1.0\n\n"))
	f.Fuzz(func(t *testing.T, before, b []byte) {
		h := newHeadCache()
		lent := bytes.Clone(before)
		var request, wantRequest http1.Request
		var response, wantResponse http1.Response
		h.request(lent, &request)
		h.response(lent, &response)
		clear(lent) // the ring is reused
		for range 2 {
			got, want := h.request(b, &request), http1.ParseRequest(b, &wantRequest)
			if got != want {
				t.Fatalf("request: %v, want %v", got, want)
			}
			if d := cmp.Diff(wantRequest, request, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("request (-want +got):\n%s", d)
			}
			if got, want := h.response(b, &response), http1.ParseResponse(b, &wantResponse); got != want {
				t.Fatalf("response: %v, want %v", got, want)
			}
			if d := cmp.Diff(wantResponse, response); d != "" {
				t.Fatalf("response (-want +got):\n%s", d)
			}
		}
	})
}
