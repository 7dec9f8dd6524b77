// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bound is the documented relative error of a bucket's middle.
const bound = 1.0 / 32

func TestEveryBucketIsWithinTheBound(t *testing.T) {
	t.Parallel()
	check := func(v uint64) {
		t.Helper()
		block, bucket := bucketOf(v)
		if block < 0 || block >= maxBlocks || bucket < 0 || bucket >= subBuckets {
			t.Fatalf("bucketOf(%d) = %d, %d: outside the table", v, block, bucket)
		}
		got := middle(block, bucket)
		if off := math.Abs(float64(got)-float64(v)) / float64(max(v, 1)); off > bound {
			t.Fatalf("%d ns is reported as %d ns: off by %.4f", v, got, off)
		}
	}
	for v := uint64(0); v < 1<<16; v++ {
		check(v)
	}
	// Both edges of every bucket from 1 ns to beyond an hour, and up to the
	// largest duration there is.
	for block := 1; block < maxBlocks; block++ {
		width := uint64(1) << (block - 1)
		for bucket := range uint64(subBuckets) {
			low := (subBuckets + bucket) * width
			check(low)
			check(low + width - 1)
		}
	}
	check(uint64(time.Hour))
	check(math.MaxInt64)
}

func TestQuantileAgainstSortedValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			// Spread over the powers of two, not over the values.
			top := rapid.IntRange(0, 42).Draw(t, "power")
			return time.Duration(rapid.Int64Range(0, min(1<<top, int64(time.Hour))).Draw(t, "value"))
		}), 1, 300).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h Histogram
		for _, v := range values {
			h.Record(v)
		}
		slices.Sort(values)
		rank := max(int(math.Ceil(q*float64(len(values)))), 1)
		want := values[rank-1]
		got := h.Quantile(q)
		if off := math.Abs(float64(got - want)); off > bound*float64(want) {
			t.Fatalf("quantile %v of %d values = %v, want %v", q, len(values), got, want)
		}
		if got < values[0] || got > values[len(values)-1] {
			t.Fatalf("quantile %v = %v is outside what was recorded", q, got)
		}
	})
}

func TestHistogramFigures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values []time.Duration
		want   HistogramSummary
	}{
		"empty":    {nil, HistogramSummary{}},
		"negative": {[]time.Duration{-5}, HistogramSummary{Count: 1}},
		"one value comes back exactly": {
			[]time.Duration{1234567},
			HistogramSummary{
				Count: 1, Min: 1234567, Max: 1234567, Sum: 1234567,
				P50: 1234567, P90: 1234567, P99: 1234567, P999: 1234567,
			},
		},
		"small values are exact": {
			[]time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 30},
			HistogramSummary{Count: 10, Min: 1, Max: 30, Sum: 75, P50: 5, P90: 9, P99: 30, P999: 30},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var h Histogram
			for _, v := range tt.values {
				h.Record(v)
			}
			if diff := cmp.Diff(tt.want, h.Summary()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQuantileOfOddFractions(t *testing.T) {
	t.Parallel()
	var h Histogram
	for v := range time.Duration(20) {
		h.Record(v + 1)
	}
	for q, want := range map[float64]time.Duration{-1: 1, 0: 1, 0.05: 1, 0.051: 2, 1: 20, 7: 20} {
		if got := h.Quantile(q); got != want {
			t.Errorf("quantile %v = %d, want %d", q, got, want)
		}
	}
	if got := h.Quantile(math.NaN()); got != 1 {
		t.Errorf("quantile NaN = %d, want 1", got)
	}
}

func TestMergeIsTheSameAsRecordingBoth(t *testing.T) {
	t.Parallel()
	duration := rapid.Map(rapid.Int64Range(0, int64(time.Hour)), func(v int64) time.Duration { return time.Duration(v) })
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOf(duration).Draw(t, "a")
		b := rapid.SliceOf(duration).Draw(t, "b")
		var ha, hb, both Histogram
		for _, v := range a {
			ha.Record(v)
			both.Record(v)
		}
		for _, v := range b {
			hb.Record(v)
			both.Record(v)
		}
		ha.Merge(&hb)
		if diff := cmp.Diff(both.Summary(), ha.Summary()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCountsBeyond32Bits(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.Record(100)
	block, bucket := bucketOf(100)
	// As after 2^32-1 times 100 ns.
	h.blocks[h.place[block]-1][bucket] = math.MaxUint32
	h.count = math.MaxUint32
	h.Record(100)
	h.Record(100)
	h.Record(5000)
	if got := h.Quantile(0.999); got != middleOf(100) {
		t.Errorf("p999 = %d, want the bucket of 100 ns: the count ran over", got)
	}
	var merged Histogram
	merged.Merge(&h)
	merged.Merge(&h)
	if got := merged.bucketCount(block, bucket, merged.blocks[merged.place[block]-1][bucket]); got != 2*(1<<32+1) {
		t.Errorf("merged bucket = %d, want %d", got, uint64(2*(1<<32+1)))
	}
	h.Reset()
	if diff := cmp.Diff(HistogramSummary{}, h.Summary()); diff != "" {
		t.Errorf("after Reset: %s", diff)
	}
	h.Record(100)
	h.Record(5000)
	if got := h.Quantile(0.99); got != middleOf(5000) {
		t.Errorf("after Reset, p99 of 100 and 5000 = %d", got)
	}
}

func middleOf(v uint64) time.Duration {
	block, bucket := bucketOf(v)
	return time.Duration(middle(block, bucket))
}

func BenchmarkHistogramRecord(b *testing.B) {
	b.ReportAllocs()
	var h Histogram
	for i := range b.N {
		h.Record(time.Duration(i&1023) * time.Microsecond)
	}
}

func BenchmarkHistogramSummary(b *testing.B) {
	b.ReportAllocs()
	var h Histogram
	for i := range 100_000 {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for b.Loop() {
		h.Summary()
	}
}

// What was counted elsewhere gives the same figures, but for the middles.
func TestAddBucket(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, uint64(time.Hour)), 1, 100).Draw(t, "values")
		times := rapid.SampledFrom([]uint64{1, 3, 1<<32 - 1, 1 << 33}).Draw(t, "times")
		var recorded, added Histogram
		var sum uint64
		for _, v := range values {
			block, bucket := bucketOf(v)
			recorded.Record(time.Duration(middle(block, bucket)))
			added.AddBucket(block*subBuckets+bucket, times)
			if v := middle(block, bucket); v > 0 && times > math.MaxInt64/v {
				sum = math.MaxInt64
			} else {
				sum = min(sum+times*v, math.MaxInt64)
			}
		}
		want, got := recorded.Summary(), added.Summary()
		want.Count, want.Sum = times*want.Count, time.Duration(sum)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
	var h Histogram
	for _, index := range []int{-1, -subBuckets, maxBlocks * subBuckets, math.MaxInt} {
		h.AddBucket(index, 1)
	}
	h.AddBucket(7, 0)
	if got := h.Summary(); got != (HistogramSummary{}) {
		t.Errorf("nothing that has a bucket was added: %+v", got)
	}
}
