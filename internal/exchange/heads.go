// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"bytes"
	"hash/maphash"

	"probe/internal/http1"
	"probe/pkg/events"
)

// headSlots is the number of heads of each kind that are remembered.
const headSlots = 256

// headCache remembers what whole heads say. Clients repeat themselves to the
// byte, and so do servers within a second: comparing is three times as fast as
// parsing, which is most of the work per request. One slot per hash value. A
// head with credentials is parsed each time: it would stay in memory.
type headCache struct {
	seed      maphash.Seed
	requests  [headSlots]knownRequest
	responses [headSlots]knownResponse
	ids       uint64 // given to requests so far
	id        uint64 // of the request that was read last, or 0

	// Heads that are not remembered.
	req  http1.Request
	resp http1.Response
}

type knownRequest struct {
	raw      []byte
	head     http1.Request // its slices point into raw
	hostFrom int
	id       uint64 // events.Request.HeadID
	size     uint64 // requestSize
}

type knownResponse struct {
	raw  []byte
	head http1.Response
}

func newHeadCache() *headCache { return &headCache{seed: maphash.MakeSeed()} }

// hashed is how much of a head chooses its slot: enough to tell targets and,
// in most responses, lengths apart.
const hashed = 128

func (h *headCache) slot(b []byte) uint64 {
	return maphash.Bytes(h.seed, b[:min(len(b), hashed)]) % headSlots
}

// begins: raw is a head, and b begins with it.
func begins(b, raw []byte) bool {
	return len(raw) > 0 && len(b) >= len(raw) && bytes.Equal(b[:len(raw)], raw)
}

// pointInto makes the slices of r point into b, which begins with the same head.
func pointInto(b []byte, r *http1.Request, hostFrom int) {
	m := r.Skipped + len(r.Method)
	r.Method = b[r.Skipped:m]
	r.Target = b[m+1 : m+1+len(r.Target)]
	r.Host = b[hostFrom : hostFrom+len(r.Host)]
}

// request is http1.ParseRequest.
func (h *headCache) request(b []byte, r *http1.Request) http1.Verdict {
	k := &h.requests[h.slot(b)]
	if !begins(b, k.raw) {
		return h.newRequest(k, b, r)
	}
	h.id = k.id
	*r = k.head
	pointInto(b, r, k.hostFrom)
	return http1.VerdictOK
}

// newRequest parses b and remembers it in k, if it may.
func (h *headCache) newRequest(k *knownRequest, b []byte, r *http1.Request) http1.Verdict {
	h.id = 0
	v := http1.ParseRequest(b, r)
	if v != http1.VerdictOK || !r.Complete || r.Credentials || r.HeadLen > events.MaxHead {
		return v
	}
	k.raw = append(k.raw[:0], b[:r.HeadLen]...)
	k.head = *r
	k.hostFrom = hostFrom(k.raw, r)
	pointInto(k.raw, &k.head, k.hostFrom)
	h.ids++
	k.id, k.size = h.ids, requestSize(r)
	h.id = k.id
	return v
}

// hostFrom is where the host stands in a head: any bytes that are equal will do.
// Mostly it is the first header, seldom a part of the target.
func hostFrom(raw []byte, r *http1.Request) int {
	headers := r.Skipped + len(r.Method) + 1 + len(r.Target)
	if i := bytes.Index(raw[headers:], r.Host); i >= 0 {
		return headers + i
	}
	return max(bytes.Index(raw, r.Host), 0)
}

// requestSize is the length of the whole request; 0: its end is not certain.
func requestSize(r *http1.Request) uint64 {
	kind, length := http1.RequestBody(r)
	if !r.Complete || kind != http1.BodyNone && kind != http1.BodyLength {
		return 0
	}
	return uint64(r.HeadLen) + uint64(length)
}

// wholeRequest returns the head with which b begins, as http1.ParseRequest reads it,
// its id and its requestSize; nil unless all of it is there. It is valid until the
// next head is read. What c had last is tried first, without choosing a slot.
func (h *headCache) wholeRequest(c *conn, b []byte) (r *http1.Request, id, size uint64) {
	k := c.lastReq
	if k == nil || !begins(b, k.raw) {
		k = &h.requests[h.slot(b)]
		if !begins(b, k.raw) {
			if h.newRequest(k, b, &h.req) != http1.VerdictOK || !h.req.Complete {
				return nil, 0, 0
			}
			if h.id == 0 {
				return &h.req, 0, requestSize(&h.req)
			}
		}
		c.lastReq = k
	}
	return &k.head, k.id, k.size
}

// response is http1.ParseResponse.
func (h *headCache) response(b []byte, r *http1.Response) http1.Verdict {
	k := &h.responses[h.slot(b)]
	if !begins(b, k.raw) {
		v, _ := h.newResponse(k, b, r)
		return v
	}
	*r = k.head
	return http1.VerdictOK
}

// newResponse parses b and remembers it in k, if it may.
func (h *headCache) newResponse(k *knownResponse, b []byte, r *http1.Response) (v http1.Verdict, remembered bool) {
	v = http1.ParseResponse(b, r)
	if v != http1.VerdictOK || !r.Complete || r.Credentials || r.HeadLen > events.MaxHead {
		return v, false
	}
	k.raw, k.head = append(k.raw[:0], b[:r.HeadLen]...), *r
	return v, true
}

// wholeResponse is wholeRequest for responses.
func (h *headCache) wholeResponse(c *conn, b []byte) *http1.Response {
	k := c.lastResp
	if k == nil || !begins(b, k.raw) {
		k = &h.responses[h.slot(b)]
		if !begins(b, k.raw) {
			v, remembered := h.newResponse(k, b, &h.resp)
			switch {
			case v != http1.VerdictOK || !h.resp.Complete:
				return nil
			case !remembered:
				return &h.resp
			}
		}
		c.lastResp = k
	}
	return &k.head
}
