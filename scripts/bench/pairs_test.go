// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuartiles(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   quartiles
	}{
		{"one", []float64{3}, quartiles{3, 3, 3}},
		{"two", []float64{4, 2}, quartiles{2.5, 3, 3.5}},
		{"odd", []float64{5, 1, 4, 2, 3}, quartiles{2, 3, 4}},
		{"even", []float64{4, 1, 3, 2}, quartiles{1.75, 2.5, 3.25}},
		{"outlier", []float64{1, 1, 1, 1, 1000}, quartiles{1, 1, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := append([]float64(nil), tt.values...)
			if got := quartilesOf(tt.values); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !cmp.Equal(before, tt.values) {
				t.Errorf("values changed to %v", tt.values)
			}
		})
	}
	if q := quartilesOf(nil); !math.IsNaN(q.lower) || !math.IsNaN(q.median) || !math.IsNaN(q.upper) {
		t.Errorf("of nothing: %v, want NaN", q)
	}
}

func TestPairCounts(t *testing.T) {
	rate := func(v, foreign float64) sample { return sample{perSecond: v, foreign: foreign} }
	with := func(s sample) attachedRun { return attachedRun{sample: s} }
	tests := []struct {
		name string
		pair pair
		want bool
	}{
		{"equal", pair{rate(100, 0), rate(100, 0), with(rate(50, 0))}, true},
		{"up to the limit", pair{rate(100, 0), rate(105.9, 0), with(rate(50, 0))}, true},
		{"faster", pair{rate(100, 0), rate(106.1, 0), with(rate(50, 0))}, false},
		{"slower", pair{rate(106.1, 0), rate(100, 0), with(rate(50, 0))}, false},
		{"no rate", pair{rate(0, 0), rate(0, 0), with(rate(50, 0))}, false},
		{"others before", pair{rate(100, 0.2), rate(100, 0), with(rate(50, 0))}, false},
		{"others meanwhile", pair{rate(100, 0), rate(100, 0), with(rate(50, 0.2))}, false},
		{"others after", pair{rate(100, 0), rate(100, 0.2), with(rate(50, 0))}, false},
		{"a few others", pair{rate(100, 0.01), rate(100, 0.02), with(rate(50, 0.03))}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.pair.counts(perSecond, 0.1); got != tt.want {
				t.Errorf("counts = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPairRatio(t *testing.T) {
	p := pair{
		before: sample{perSecond: 100, p50: 10, p99: 40}, after: sample{perSecond: 120, p50: 30, p99: 60},
		with: attachedRun{sample: sample{perSecond: 99, p50: 30, p99: 25, requests: 2e6}, cpu: time.Second},
	}
	got := []float64{p.ratio(perSecond), p.ratio(p50), p.ratio(p99), p.noise(perSecond), p.with.cpuPerMillion()}
	if want := []float64{0.9, 1.5, 0.5, 1.2, 0.5}; !cmp.Equal(want, got) {
		t.Errorf("got %v, want %v", got, want)
	}
}

const wrkOutput = `Running 2s test @ http://127.0.0.1:20000/x
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   109.77us   63.70us   2.10ms   93.10%
    Req/Sec   141.29k     8.03k  151.30k    71.43%
  Latency Distribution
     50%   97.00us
     75%  120.00us
     90%  150.00us
     99%    1.23ms
  295113 requests in 2.10s, 45.03MB read
Requests/sec: 140536.87
Transfer/sec:     21.44MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkOutput)
	want := sample{perSecond: 140536.87, p50: 97 * time.Microsecond, p99: 1230 * time.Microsecond, requests: 295113, open: connections}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestParseWrkRefuses(t *testing.T) {
	tests := []struct {
		name, out string
		format    bool // the output itself is at fault
	}{
		{"empty", "", true},
		{"no latencies", "1 requests in 2.00s, 1B read\nRequests/sec: 1\n", true},
		{"no requests", "50% 1us\n99% 1us\n0 requests in 2.00s, 0B read\nRequests/sec: 0.00\n", true},
		{"not a number", wrkOutput + "Requests/sec: many\n", true},
		{"socket errors", wrkOutput + "  Socket errors: connect 0, read 1, write 0, timeout 0\n", false},
		{"error status", wrkOutput + "  Non-2xx or 3xx responses: 4\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parseWrk(tt.out)
			if err == nil || errors.Is(err, errWrkOutput) != tt.format || s != (sample{}) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}
