// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	none := math.NaN()
	tests := []struct {
		name              string
		value, goal, must float64
		atLeast           bool
		want              string
	}{
		{"above the goal", 0.95, 0.94, 0.88, true, "met"},
		{"between", 0.90, 0.94, 0.88, true, "must met, goal not met"},
		{"below", 0.87, 0.94, 0.88, true, "**not met**"},
		{"small enough", 0.5, 0.5, 1.2, false, "met"},
		{"rather large", 0.6, 0.5, 1.2, false, "must met, goal not met"},
		{"too large", 1.3, 0.5, 1.2, false, "**not met**"},
		{"no goal, met", 0.8, none, 0.8, true, "met"},
		{"no goal, not met", 1, none, 0, false, "**not met**"},
		{"unknown", none, 0.94, 0.88, true, "not measured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := goal{value: tt.value, goal: tt.goal, must: tt.must, atLeast: tt.atLeast}
			if got := g.verdict(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A figure that a run without the probe also reaches, or misses, says nothing.
func TestVerdictInNoise(t *testing.T) {
	tests := []struct {
		name    string
		value   float64
		atLeast bool
		noise   quartiles
		want    string
	}{
		{"quiet, met", 1.04, false, quartiles{0.98, 1, 1.02}, "met"},
		{"quiet, not met", 1.06, false, quartiles{0.98, 1, 1.02}, "**not met**"},
		{"noisy, seems met", 0.95, false, quartiles{0.6, 1, 1.7}, "not decided: without it 0.60 to 1.70"},
		{"noisy, seems not met", 1.5, false, quartiles{0.6, 1, 1.7}, "not decided: without it 0.60 to 1.70"},
		{"worse than the noise", 1.8, false, quartiles{0.6, 1, 1.7}, "**not met**"},
		{"rate, quiet", 0.96, true, quartiles{0.99, 1, 1.01}, "met"},
		{"rate, noisy", 0.94, true, quartiles{0.9, 1, 1.1}, "not decided: without it 0.90 to 1.10"},
		{"rate, worse than the noise", 0.89, true, quartiles{0.9, 1, 1.1}, "**not met**"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			must := 1.05
			if tt.atLeast {
				must = 0.95
			}
			g := goal{value: tt.value, goal: math.NaN(), must: must, atLeast: tt.atLeast, noise: tt.noise}
			if got := g.verdict(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// serverResult has pairs of the given ratios, and one discarded pair that lost
// an event.
func serverResult(ratios ...float64) *result {
	bare := sample{perSecond: 1000, p50: 100 * time.Microsecond, p99: time.Millisecond, requests: 1000}
	all := allVariants()
	r := &result{variant: all[slices.IndexFunc(all, func(v variant) bool { return v.name == "server" })]}
	for _, v := range ratios {
		with := bare
		with.perSecond *= v
		r.counted = append(r.counted, pair{before: bare, after: bare, with: attachedRun{
			sample: with, cpu: time.Millisecond, rssBytes: 20e6, totals: totals{server: 1000},
		}})
	}
	lossy := pair{before: bare, after: bare, with: attachedRun{sample: bare, totals: totals{self: map[string]uint64{"records.lost": 3}}}}
	r.discarded = append(r.discarded, lossy)
	return r
}

func TestReport(t *testing.T) {
	r := &report{seconds: 2, pairs: 3, full: []*result{serverResult(0.9, 0.95, 0.91)}, bareRate: 1000}
	text := r.markdown()
	for _, want := range []string{
		"| `--role server`: requests/s, ratio to bare | 0.910 | ≥ 0.94 | ≥ 0.88 | must met, goal not met |",
		"| `--role server`: CPU seconds of the probe per million requests | 1.00 | ≤ 0.5 | ≤ 1.2 | must met, goal not met |",
		"| `--role server`: events lost | 3 |  | 0 | **not met** |",
		"| `--role server` | 0.910 (0.905–0.930) | 1.000 (1.000–1.000) | 1.000 (1.000–1.000) | 1.00 | 20.0 | 3 | 3 (1) |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// A slow run is no failure; a loss is one, even in a discarded pair.
func TestReportFailure(t *testing.T) {
	slow := serverResult(0.1)
	slow.discarded = nil
	if err := (&report{full: []*result{slow}}).failure(); err != nil {
		t.Errorf("slow run: %v", err)
	}
	if err := (&report{half: []*result{serverResult(1)}}).failure(); err == nil {
		t.Error("no error for a lost event")
	}
	slow.counted[0].with.miscounted = "server: 1 counted"
	if err := (&report{full: []*result{slow}}).failure(); err == nil {
		t.Error("no error for a wrong count")
	}
}
