// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// timed is a sample that knows when it was taken.
type timed interface{ at() time.Duration }

// history is a ring of the last samples, at most cap(ring) of them.
type history[T timed] struct {
	ring []T
	next int // position of the oldest, once the ring is full
}

func newHistory[T timed](limit int) history[T] { return history[T]{ring: make([]T, 0, limit)} }

func (h *history[T]) add(sample T) {
	if len(h.ring) < cap(h.ring) {
		h.ring = append(h.ring, sample)
		return
	}
	h.ring[h.next] = sample
	h.next = (h.next + 1) % len(h.ring)
}

// nth is the n-th newest sample, from 0.
func (h *history[T]) nth(n int) *T {
	return &h.ring[(h.next+2*len(h.ring)-1-n)%len(h.ring)]
}

// after returns a copy of the samples later than t, oldest first.
func (h *history[T]) after(t time.Duration) []T {
	n := 0
	for n < len(h.ring) && (*h.nth(n)).at() > t {
		n++
	}
	out := make([]T, n)
	for i := range out {
		out[i] = *h.nth(n - 1 - i)
	}
	return out
}

// count counts the samples later than t, the newest always, and those of them
// that are overloaded.
func (h *history[T]) count(t time.Duration, overloaded func(*T) bool) (samples, over int) {
	for n := range h.ring {
		s := h.nth(n)
		if n > 0 && (*s).at() <= t {
			break
		}
		samples++
		if overloaded(s) {
			over++
		}
	}
	return samples, over
}
