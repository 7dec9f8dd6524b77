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
}

type knownRequest struct {
	raw      []byte
	head     http1.Request
	hostFrom int
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

// request is http1.ParseRequest; the slices of r point into b all the same.
func (h *headCache) request(b []byte, r *http1.Request) http1.Verdict {
	k := &h.requests[h.slot(b)]
	if begins(b, k.raw) {
		*r = k.head
		m := r.Skipped + len(r.Method)
		r.Method = b[r.Skipped:m]
		r.Target = b[m+1 : m+1+len(r.Target)]
		r.Host = b[k.hostFrom : k.hostFrom+len(r.Host)]
		return http1.VerdictOK
	}
	v := http1.ParseRequest(b, r)
	if v == http1.VerdictOK && r.Complete && !r.Credentials && r.HeadLen <= events.MaxHead {
		k.raw = append(k.raw[:0], b[:r.HeadLen]...)
		k.head = *r
		// The first bytes that are equal will do: they are equal.
		k.hostFrom = max(bytes.Index(b, r.Host), 0)
	}
	return v
}

// response is http1.ParseResponse.
func (h *headCache) response(b []byte, r *http1.Response) http1.Verdict {
	k := &h.responses[h.slot(b)]
	if begins(b, k.raw) {
		*r = k.head
		return http1.VerdictOK
	}
	v := http1.ParseResponse(b, r)
	if v == http1.VerdictOK && r.Complete && !r.Credentials && r.HeadLen <= events.MaxHead {
		k.raw = append(k.raw[:0], b[:r.HeadLen]...)
		k.head = *r
	}
	return v
}
