// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// HistogramState is a Histogram as plain data: only the buckets in use.
type HistogramState struct {
	Count uint64        `json:"count"`
	Sum   time.Duration `json:"sum_ns"`
	Min   time.Duration `json:"min_ns"`
	Max   time.Duration `json:"max_ns"`
	// Buckets are in ascending order.
	Buckets []BucketState `json:"buckets,omitempty"`
}

// BucketState is one bucket: bucket Index%16 of the power of two Index/16, in
// the words of Histogram's comment.
type BucketState struct {
	Index uint16 `json:"i"`
	Count uint64 `json:"n"`
}

// State returns the Histogram as plain data.
func (h *Histogram) State() HistogramState {
	s := HistogramState{Count: h.count, Sum: h.Sum(), Min: h.Min(), Max: h.Max()}
	for block := range h.place {
		if h.place[block] == 0 {
			continue
		}
		for bucket, low := range &h.blocks[h.place[block]-1] {
			if n := h.bucketCount(block, bucket, low); n > 0 {
				s.Buckets = append(s.Buckets, BucketState{uint16(block*subBuckets + bucket), n})
			}
		}
	}
	return s
}

// restore fills an empty Histogram. On error it is not usable.
func (h *Histogram) restore(s HistogramState) error {
	if s.Min < 0 || s.Min > s.Max || s.Sum < 0 {
		return errors.New("histogram: durations out of order")
	}
	var counted uint64
	for i, b := range s.Buckets {
		if int(b.Index) >= maxBlocks*subBuckets || (i > 0 && b.Index <= s.Buckets[i-1].Index) {
			return fmt.Errorf("histogram: bucket %d is out of range or order", b.Index)
		}
		if b.Count == 0 || b.Count > math.MaxUint64-counted {
			return fmt.Errorf("histogram: bucket %d holds %d", b.Index, b.Count)
		}
		counted += b.Count
		h.setBucket(int(b.Index)/subBuckets, int(b.Index)%subBuckets, b.Count)
	}
	if counted != s.Count {
		return fmt.Errorf("histogram: %d durations in buckets, %d in all", counted, s.Count)
	}
	h.count, h.sum = s.Count, uint64(s.Sum)
	h.lowest, h.highest = uint64(s.Min), uint64(s.Max)
	return nil
}

func (h *Histogram) setBucket(block, bucket int, n uint64) {
	p := h.place[block]
	if p == 0 {
		p = h.addBlock(block)
	}
	h.blocks[p-1][bucket] = uint32(n)
	if over := n >> 32; over != 0 {
		h.carry(block, bucket, over)
	}
}
