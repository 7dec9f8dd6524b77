// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"probe/pkg/events"
)

func TestSamplingRateIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := 2 * rapid.IntRange(1, 40).Draw(t, "half limit")
		n := rapid.IntRange(0, 5000).Draw(t, "requests")
		rnd := random(rapid.Uint64Range(1, math.MaxUint64).Draw(t, "seed"))
		var s sampler
		s.reset()
		for i := range n {
			s.offer(&events.Request{Duration: time.Duration(i + 1)}, limit, &rnd)
		}
		every := int(s.every)
		if every&(every-1) != 0 || len(s.kept) > limit {
			t.Fatalf("every %d, kept %d of at most %d", every, len(s.kept), limit)
		}
		if n <= limit && (every != 1 || len(s.kept) != n) {
			t.Fatalf("%d requests fit, but every = %d and kept = %d", n, every, len(s.kept))
		}
		if n > 0 && every > 1 && len(s.kept) < limit/2 {
			t.Fatalf("kept %d of a possible %d: every = %d grew too far", len(s.kept), limit, every)
		}
		// One out of each complete block, at most one of the last.
		blocks := make(map[int]int)
		for _, kept := range s.kept {
			blocks[(int(kept.duration)-1)/every]++
		}
		for b := range n / every {
			if blocks[b] != 1 {
				t.Fatalf("block %d of %d requests has %d samples, want 1", b, every, blocks[b])
			}
		}
		if len(blocks) > n/every+1 || blocks[n/every] > 1 {
			t.Fatalf("too many samples in the last block: %v", blocks)
		}
	})
}

// TestEachRequestIsEquallyLikely sums rate-corrected samples of a pattern in
// which every second request is slow. A sample at fixed distances would see
// either all slow ones or none.
func TestEachRequestIsEquallyLikely(t *testing.T) {
	t.Parallel()
	rnd := random(1)
	const runs, n = 400, 1000
	var estimate, slow float64
	for range runs {
		var s sampler
		s.reset()
		for i := range n {
			s.offer(&events.Request{Duration: time.Duration(1 + i%2)}, 64, &rnd)
		}
		for _, kept := range s.kept {
			estimate += float64(s.every)
			if kept.duration == 2 {
				slow += float64(s.every)
			}
		}
	}
	if off := math.Abs(estimate/runs/n - 1); off > 0.002 {
		t.Errorf("the rate-corrected count is off by %.4f", off)
	}
	if off := math.Abs(slow/estimate - 0.5); off > 0.02 {
		t.Errorf("slow requests make up %.3f of the samples, want 0.5", slow/estimate)
	}
}

// TestEachPositionIsEquallyLikely covers the block in which the buffer is
// halved, where a mistake would favour its first half.
func TestEachPositionIsEquallyLikely(t *testing.T) {
	t.Parallel()
	rnd := random(1)
	const runs, n, limit, every = 8000, 256, 16, 16
	var picks [n]int
	for range runs {
		var s sampler
		s.reset()
		for i := range n {
			s.offer(&events.Request{Duration: time.Duration(i + 1)}, limit, &rnd)
		}
		for _, kept := range s.kept {
			picks[kept.duration-1]++
		}
	}
	const want = runs / every
	for i, got := range picks {
		// Six standard deviations.
		if math.Abs(float64(got-want)) > 6*math.Sqrt(want) {
			t.Errorf("request %d was kept %d times in %d runs, want about %d", i, got, runs, want)
		}
	}
}

func TestSamplesCanBeOff(t *testing.T) {
	t.Parallel()
	r := New(Options{SamplesPerSeries: -1})
	for range 100 {
		r.Record(get("/", 200, 5))
	}
	s := r.Flush().Series[0]
	if len(s.Samples.Duration) != 0 || s.Requests != 100 || s.Latency.Count != 100 {
		t.Errorf("series = %+v", s)
	}
}
