// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits    = 4
	subBuckets = 1 << subBits
	// maxBlocks covers every positive time.Duration: values below 16 ns share
	// block 0, then one block per power of two from 2^4 to 2^62.
	maxBlocks = 63 - subBits + 1
)

// Histogram counts durations in log-linear buckets.
//
// Each power of two of nanoseconds is cut into 16 equal buckets. A value v >= 16
// with e = floor(log2 v) falls into bucket s = (v >> (e-4)) - 16 of that power,
// whose width is 2^(e-4) <= v/16; values below 32 ns have a bucket of their own.
// A quantile is reported as the middle of its bucket, so its relative error is
// at most 1/32 = 3.125 % over the whole range of time.Duration. Count, Sum, Min
// and Max are exact.
//
// Memory is 128 bytes plus 64 bytes per power of two in use (a service whose
// latencies span 100 µs to 100 ms uses 11 of them, 704 bytes). The zero value
// is ready to use. A Histogram is not safe for concurrent use.
type Histogram struct {
	// place maps a block number to its position in blocks plus 1; 0: unused.
	place  [maxBlocks]uint8
	blocks [][subBuckets]uint32
	// carries counts how often a bucket's 32 bits ran over, by block*16+bucket.
	carries         map[uint16]uint64
	count, sum      uint64
	lowest, highest uint64
}

// HistogramSummary is what a Snapshot keeps of a Histogram.
type HistogramSummary struct {
	// Count is the number of durations; all other fields are 0 when it is.
	Count uint64
	// Min, Max and Sum are exact; Sum stops at the largest Duration, 292 years.
	Min, Max, Sum time.Duration
	// Quantiles, each within 3.125 % of an observed duration.
	P50, P90, P99, P999 time.Duration
}

func bucketOf(v uint64) (block, bucket int) {
	if v < subBuckets {
		return 0, int(v)
	}
	e := bits.Len64(v) - 1
	return e - subBits + 1, int(v>>(e-subBits)) & (subBuckets - 1)
}

// middle is the value reported for a bucket.
func middle(block, bucket int) uint64 {
	if block == 0 {
		return uint64(bucket)
	}
	shift := block - 1
	return uint64(subBuckets+bucket)<<shift + (uint64(1)<<shift-1)/2
}

// Record adds one duration; a negative one counts as 0. It allocates only for
// the first value in a power of two.
func (h *Histogram) Record(d time.Duration) {
	v := uint64(max(d, 0))
	block, bucket := bucketOf(v)
	p := h.place[block]
	if p == 0 {
		p = h.addBlock(block)
	}
	c := &h.blocks[p-1][bucket]
	*c++
	if *c == 0 {
		h.carry(block, bucket, 1)
	}
	if h.count == 0 || v < h.lowest {
		h.lowest = v
	}
	h.highest = max(h.highest, v)
	h.count++
	h.sum = min(h.sum+v, math.MaxInt64)
}

// AddBucket adds n durations that were counted elsewhere in buckets of the same
// kind: index is the value itself below 16 ns, else, with e = floor(log2 v),
// (e-3)*16 + (v >> (e-4) & 15). Each counts as the middle of its bucket, so
// Sum, Min and Max are within 3.125 %.
func (h *Histogram) AddBucket(index int, n uint64) {
	block, bucket := index/subBuckets, index%subBuckets
	if n == 0 || index < 0 || block >= maxBlocks {
		return
	}
	p := h.place[block]
	if p == 0 {
		p = h.addBlock(block)
	}
	c := &h.blocks[p-1][bucket]
	sum := uint64(*c) + n
	*c = uint32(sum)
	if sum>>32 > 0 {
		h.carry(block, bucket, sum>>32)
	}
	v := middle(block, bucket)
	if h.count == 0 || v < h.lowest {
		h.lowest = v
	}
	h.highest = max(h.highest, v)
	h.count += n
	if over, product := bits.Mul64(n, v); over > 0 || product > math.MaxInt64 {
		h.sum = math.MaxInt64
	} else {
		h.sum = min(h.sum+product, math.MaxInt64)
	}
}

func (h *Histogram) addBlock(block int) uint8 {
	// Grow by two: appending would double, and there are thousands of these.
	if len(h.blocks) == cap(h.blocks) {
		grown := make([][subBuckets]uint32, len(h.blocks), len(h.blocks)+2)
		copy(grown, h.blocks)
		h.blocks = grown
	}
	h.blocks = append(h.blocks, [subBuckets]uint32{})
	h.place[block] = uint8(len(h.blocks))
	return h.place[block]
}

func (h *Histogram) carry(block, bucket int, n uint64) {
	if h.carries == nil {
		h.carries = make(map[uint16]uint64)
	}
	h.carries[uint16(block*subBuckets+bucket)] += n
}

func (h *Histogram) bucketCount(block, bucket int, low uint32) uint64 {
	if h.carries == nil {
		return uint64(low)
	}
	return h.carries[uint16(block*subBuckets+bucket)]<<32 + uint64(low)
}

// Count returns the number of durations recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Sum returns the exact sum of the durations, up to the largest Duration.
func (h *Histogram) Sum() time.Duration { return time.Duration(h.sum) }

// Min returns the smallest duration, 0 when there is none.
func (h *Histogram) Min() time.Duration { return time.Duration(h.lowest) }

// Max returns the largest duration, 0 when there is none.
func (h *Histogram) Max() time.Duration { return time.Duration(h.highest) }

// Quantile returns the duration below or at which the fraction q of all
// durations lies (nearest rank: the ceil(q*Count)-th smallest). q is clamped
// to 0..1; 0 gives Min and 1 gives Max. An empty Histogram gives 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	var out [1]time.Duration
	h.quantiles([]float64{q}, out[:])
	return out[0]
}

// Summary returns all figures of the Histogram in one pass.
func (h *Histogram) Summary() HistogramSummary {
	s := HistogramSummary{Count: h.count, Min: h.Min(), Max: h.Max(), Sum: h.Sum()}
	var out [4]time.Duration
	h.quantiles([]float64{0.5, 0.9, 0.99, 0.999}, out[:])
	s.P50, s.P90, s.P99, s.P999 = out[0], out[1], out[2], out[3]
	return s
}

// quantiles fills out for the ascending fractions qs.
func (h *Histogram) quantiles(qs []float64, out []time.Duration) {
	clear(out)
	if h.count == 0 {
		return
	}
	next, seen := 0, uint64(0)
	for block := range h.place {
		p := h.place[block]
		if p == 0 {
			continue
		}
		for bucket, low := range &h.blocks[p-1] {
			seen += h.bucketCount(block, bucket, low)
			for next < len(qs) && seen >= h.rank(qs[next]) {
				out[next] = h.report(qs[next], block, bucket)
				next++
			}
			if next == len(qs) {
				return
			}
		}
	}
}

func (h *Histogram) rank(q float64) uint64 {
	r := math.Ceil(q * float64(h.count))
	if !(r > 1) { // also catches NaN
		return 1
	}
	return min(uint64(r), h.count)
}

func (h *Histogram) report(q float64, block, bucket int) time.Duration {
	switch {
	case !(q > 0):
		return h.Min()
	case q >= 1:
		return h.Max()
	}
	// The middle of the first or last bucket may lie outside what was seen.
	return time.Duration(min(max(middle(block, bucket), h.lowest), h.highest))
}

// Merge adds everything recorded in o.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h.count == 0 || o.lowest < h.lowest {
		h.lowest = o.lowest
	}
	h.highest = max(h.highest, o.highest)
	h.count += o.count
	h.sum = min(h.sum+o.sum, math.MaxInt64)
	for block := range o.place {
		if o.place[block] == 0 {
			continue
		}
		p := h.place[block]
		if p == 0 {
			p = h.addBlock(block)
		}
		h.mergeBlock(block, &h.blocks[p-1], o)
	}
}

func (h *Histogram) mergeBlock(block int, into *[subBuckets]uint32, o *Histogram) {
	for bucket, low := range &o.blocks[o.place[block]-1] {
		total := uint64(into[bucket]) + o.bucketCount(block, bucket, low)
		into[bucket] = uint32(total)
		if over := total >> 32; over != 0 {
			h.carry(block, bucket, over)
		}
	}
}

// Reset forgets all durations and keeps the memory for the next ones.
func (h *Histogram) Reset() {
	clear(h.blocks)
	h.carries = nil
	h.count, h.sum, h.lowest, h.highest = 0, 0, 0, 0
}
