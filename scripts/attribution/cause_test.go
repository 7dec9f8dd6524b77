// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const ms = time.Millisecond

func TestExpect(t *testing.T) {
	tests := []struct {
		name  string
		own   own
		cause string
		crowd bool
		got   split
		want  expected
	}{
		{"a wait", own{Added: 50 * ms, CPU: 2 * ms, RunQ: 3 * ms}, lock, false, nil, expected{45 * ms, 6 * ms}},
		{"CPU", own{Added: 50 * ms, CPU: 40 * ms, RunQ: 3 * ms}, cpu, false, nil, expected{40 * ms, 11 * ms}},
		{"reclaim", own{Added: 50 * ms, CPU: 40 * ms, Reclaim: 30 * ms}, memory, false, nil, expected{30 * ms, 21 * ms}},
		{"run queue in reclaim", own{Added: 50 * ms, CPU: 10 * ms, RunQ: 5 * ms, Reclaim: 30 * ms}, memory, false,
			split{memory: 27 * ms}, expected{27 * ms, 24 * ms}},
		{"more than run queue in reclaim", own{Added: 50 * ms, CPU: 10 * ms, RunQ: 5 * ms, Reclaim: 30 * ms}, memory, false,
			split{memory: 20 * ms}, expected{25 * ms, 26 * ms}},
		{"other threads queue", own{Added: 50 * ms, CPU: 2 * ms, RunQ: 30 * ms, Shared: true}, network, false,
			split{runq: ms}, expected{47 * ms, 4 * ms}},
		{"threads overlap", own{Added: 50 * ms, CPU: 20 * ms, Overlap: 4 * ms, Shared: true}, disk, false,
			split{cpu: 10 * ms}, expected{34 * ms, 17 * ms}},
		{"threads overlap a little", own{Added: 50 * ms, CPU: 20 * ms, Overlap: 4 * ms, Shared: true}, disk, false,
			split{cpu: 18 * ms}, expected{32 * ms, 19 * ms}},
		{"others run", own{Added: 50 * ms, CPU: 90 * ms, RunQ: 30 * ms, Shared: true}, network, true,
			split{runq: ms, cpu: 4 * ms}, expected{45 * ms, 6 * ms}},
		{"others spin", own{Added: 50 * ms, CPU: 90 * ms, RunQ: 30 * ms, Shared: true}, cpu, true,
			split{runq: 10 * ms, cpu: 40 * ms}, expected{40 * ms, 11 * ms}},
		{"more CPU than time", own{Added: 50 * ms, CPU: 60 * ms}, sleep, false, nil, expected{0, 51 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.own.expect(tt.cause, tt.crowd, tt.got, split{}, 51*ms)
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(expected{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	want := expected{main: 40 * ms, side: 10 * ms}
	tests := []struct {
		name  string
		got   split
		cause string
		want  shares
	}{
		{"all right", split{lock: 40 * ms, cpu: 6 * ms, runq: 4 * ms}, lock, shares{right: 1}},
		{"wrong cause", split{sleep: 40 * ms, cpu: 10 * ms}, lock, shares{wrong: 0.8}},
		{"unattributed is not wrong", split{unattributed: 50 * ms}, lock, shares{unknown: 1}},
		{"too much of it", split{lock: 50 * ms}, lock, shares{right: 1, wrong: 0.2}},
		{"CPU time instead", split{lock: 20 * ms, cpu: 30 * ms}, lock, shares{right: 0.5, wrong: 0.4}},
		{"interpreter's lock", split{cpu: 40 * ms, lock: 10 * ms}, cpu, shares{right: 1}},
		{"usual wait", split{lock: 40 * ms, other: ms, cpu: 9 * ms}, lock, shares{right: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(tt.got, split{other: ms}, tt.cause, want)
			if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(shares{}), cmpopts.EquateApprox(0, 1e-9)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A cell fails on a wrong cause even where its own cannot be known.
func TestCellOK(t *testing.T) {
	of := func(s shares) []sample { return []sample{{shares: s}, {shares: s}, {shares: s}} }
	tests := []struct {
		name string
		cell cell
		want bool
	}{
		{"right", cell{clients: 1, played: 3, samples: of(shares{right: 0.95, wrong: 0.02})}, true},
		{"not enough", cell{clients: 1, played: 3, samples: of(shares{right: 0.85})}, false},
		{"cannot be known", cell{clients: 1, played: 3, limit: "why", samples: of(shares{unknown: 1})}, true},
		{"cannot be known, but wrong", cell{clients: 1, played: 3, limit: "why", samples: of(shares{wrong: 0.1})}, false},
		{"did not do the work", cell{clients: 1, played: 30, samples: of(shares{right: 1})}, false},
		{"several are reported only", cell{clients: 4, played: 3, samples: of(shares{wrong: 1})}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.cell.ok(); got != tt.want {
				t.Errorf("ok is %v, want %v", got, tt.want)
			}
		})
	}
}

// The limits name cells that exist.
func TestLimitsExist(t *testing.T) {
	cells := map[string]bool{}
	for _, r := range runtimes() {
		for _, w := range works() {
			cells[r.name+" "+w.path] = true
		}
	}
	for name, why := range limits() {
		if !cells[name] || strings.TrimSpace(why) == "" {
			t.Errorf("limit %q (%q) is no cell, or has no reason", name, why)
		}
	}
}

func TestQuantile(t *testing.T) {
	values := []float64{3, 1, 2, 4, 5}
	got := []float64{quantile(values, 0), median(values), quantile(values, 0.9), quantile(values, 1), median([]float64{})}
	if d := cmp.Diff([]float64{1, 3, 5, 5, 0}, got); d != "" {
		t.Error(d)
	}
}
