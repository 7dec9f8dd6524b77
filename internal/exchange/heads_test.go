// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"bytes"
	"testing"

	"probe/internal/http1"
)

// Heads are remembered, but none that holds credentials.
func TestRememberedHeadsHoldNoCredentials(t *testing.T) {
	const get, ok = "GET / HTTP/1.1\r\nAccept: */*\r\n", "HTTP/1.1 200 OK\r\nServer: a\r\n"
	for _, tt := range []struct {
		head       string
		remembered bool
	}{
		{get + "\r\n", true},
		{get + "Authority: x\r\nCookies: x\r\n\r\n", true},
		{get + "Authorization: Basic s3cr3t\r\n\r\n", false},
		{get + "authorization:s3cr3t\r\n\r\n", false},
		{get + "Proxy-Authorization: s3cr3t\r\n\r\n", false},
		{get + "COOKIE: s3cr3t\r\nX: y\r\n\r\n", false},
		{ok + "\r\n", true},
		{ok + "Set-Cookie: s3cr3t\r\n\r\n", false},
		{ok + "set-cookie: s3cr3t\r\nContent-Length: 0\r\n\r\n", false},
	} {
		h := newHeadCache()
		for range 2 {
			var request http1.Request
			var response http1.Response
			h.request([]byte(tt.head), &request)
			h.response([]byte(tt.head), &response)
			if !request.Complete && !response.Complete {
				t.Fatalf("%q is no head", tt.head)
			}
		}
		remembered := false
		for i := range headSlots {
			remembered = remembered || bytes.Equal(h.requests[i].raw, []byte(tt.head)) || bytes.Equal(h.responses[i].raw, []byte(tt.head))
		}
		if remembered != tt.remembered {
			t.Errorf("%q: remembered %v, want %v", tt.head, remembered, tt.remembered)
		}
	}
}
