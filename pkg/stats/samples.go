// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math/bits"
	"time"

	"probe/pkg/events"
)

// notMeasured marks a timing that a sampled request does not have.
const notMeasured = time.Duration(-1)

// timings of one sampled request.
type timings struct {
	duration, ttfb, waitAccept, waitSocket time.Duration
	// parts of the time after the read, in nanoseconds; split is false where
	// they were not measured. A float32 keeps seven digits in half the room.
	parts [events.NumParts]float32
	split bool
}

// sampler keeps the timings of exactly one request out of every block of
// `every` consecutive ones; which one is random, so that a pattern in the
// traffic (every second request slow) cannot hide from it. It starts with
// every = 1. When the buffer is full, neighbouring blocks are joined: one of
// their two samples is kept by coin toss, which leaves each request of the
// joined block the same chance, and every doubles. The sampling rate is
// therefore exactly 1/every, a short decimal, and kept*every differs from the
// number of requests by less than every.
type sampler struct {
	kept []timings
	// every is a power of two.
	every uint32
	// at counts the requests of the current block, pick is the one to keep.
	at, pick uint32
}

func (s *sampler) reset() {
	s.kept = s.kept[:0]
	s.every, s.at, s.pick = 1, 0, 0
}

// offer sees every request of the series once.
func (s *sampler) offer(q *events.Request, limit int, rnd *random) {
	if s.at == s.pick {
		s.take(q, limit, rnd)
	}
	s.at++
	if s.at == s.every {
		s.at = 0
		s.pick = rnd.below(s.every)
	}
}

func (s *sampler) take(q *events.Request, limit int, rnd *random) {
	if len(s.kept) >= limit {
		if limit == 0 || s.every == 1<<31 || !s.halve(rnd) {
			return
		}
	}
	s.kept = append(s.kept, timingsOf(q))
}

// halve joins blocks pairwise. The current block becomes the first half of a
// joined one; it reports whether the current request is still the one to keep.
func (s *sampler) halve(rnd *random) bool {
	half := len(s.kept) / 2
	for i := range half {
		s.kept[i] = s.kept[2*i+int(rnd.below(2))]
	}
	s.kept = s.kept[:half]
	stay := rnd.below(2) == 0
	if !stay {
		s.pick = s.every + rnd.below(s.every)
	}
	s.every *= 2
	return stay
}

func timingsOf(q *events.Request) timings {
	t := timings{duration: notMeasured, ttfb: notMeasured, waitAccept: notMeasured, waitSocket: notMeasured}
	if durationKnown(q) {
		t.duration = q.Duration
	}
	if q.TTFB > 0 && q.Flags&events.FlagNoRequest == 0 {
		t.ttfb = q.TTFB
	}
	if q.Wait.Known {
		t.waitAccept, t.waitSocket = max(q.Wait.Accept, 0), max(q.Wait.Socket, 0)
	}
	if q.Times.Attribution != events.AttributionNone {
		t.split = true
		for i, d := range q.Times.Part {
			t.parts[i] = float32(d)
		}
	}
	return t
}

// durationKnown is false for a response whose request was not seen: it has no
// start.
func durationKnown(q *events.Request) bool {
	return q.Duration > 0 && q.Flags&events.FlagNoRequest == 0
}

// random is xorshift64* (Vigna, "An experimental exploration of Marsaglia's
// xorshift generators", 2016). Its state must not be 0.
type random uint64

// below returns a number in [0, n); n is a power of two up to 2^31.
func (r *random) below(n uint32) uint32 {
	x := uint64(*r)
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	*r = random(x)
	// The upper bits of the product are the good ones.
	return uint32((x * 0x2545F4914F6CDD1D) >> 33 >> (31 - bits.TrailingZeros32(n)))
}
