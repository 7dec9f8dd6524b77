// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"slices"
	"time"
)

// split is where the time of a request went.
type split map[string]time.Duration

// The parts as `probe trace --json` names them, shortened.
const (
	cpu          = "cpu"
	runq         = "runq"
	throttled    = "throttled"
	memory       = "memory"
	lock         = "lock"
	disk         = "disk"
	network      = "net"
	sleep        = "sleep"
	other        = "other"
	unattributed = "unattributed"
)

// causes are all parts but unattributed.
func causes() []string {
	return []string{cpu, runq, throttled, memory, lock, disk, network, sleep, other}
}

// own is what a server measured of a request, from the begin of its work to
// the end of it.
type own struct {
	Added  time.Duration `json:"added_ns"`
	CPU    time.Duration `json:"cpu_ns"`
	RunQ   time.Duration `json:"runq_ns"`
	Shared bool          `json:"shared"` // CPU and RunQ are those of the whole process
	// Overlap is how much of CPU may have been at the same time as other of it.
	Overlap time.Duration `json:"overlap_ns"`
	// Reclaim is what the kernel's delay accounting says, asked from outside.
	Reclaim time.Duration `json:"-"`
}

// expected is how the time of a request must be split: main belongs to the
// cause under test, side to what no work can do without.
type expected struct{ main, side time.Duration }

// expect says what a kind of work must give, where the probe saw got, in a
// whole of that length; base is what a request without work gets.
// crowd: other requests ran at the same time; where the process can measure only
// itself as a whole, CPU and run queue are then taken from the probe.
func (o own) expect(cause string, crowd bool, got, base split, whole time.Duration) expected {
	used, queued := o.CPU, o.RunQ
	switch {
	case o.Shared && crowd:
		used, queued = got[cpu], got[runq]
	case o.Shared: // other threads may have run and waited meanwhile
		used = min(max(used-o.Overlap, got[cpu]), used)
		queued = min(queued, got[runq])
	}
	main := max(0, o.Added-used-queued)
	switch cause {
	case cpu:
		main = min(used, o.Added)
		if o.Shared && crowd {
			main = max(0, o.Added-queued)
		}
	case memory:
		// The kernel counts the run queue in reclaim as both; the probe does not.
		most := min(o.Reclaim, o.Added)
		main = min(max(most-queued, got[memory]), most)
	}
	main += base[cause]
	return expected{main: main, side: whole - main}
}

// sideCauses are the parts where the side may be: who wants the CPU may wait
// for an interpreter's lock, who writes to files may wait for the disk.
func sideCauses(cause string) []string {
	switch cause {
	case cpu:
		return []string{runq, lock}
	case memory:
		return []string{cpu, runq, disk}
	}
	return []string{cpu, runq}
}

// shares are fractions of what was expected.
type shares struct{ right, wrong, unknown float64 }

// judge compares what a request got with what was expected. The waits of a
// request without work, base, are not wrong.
func judge(got, base split, cause string, want expected) shares {
	side, wrong := time.Duration(0), max(0, got[cause]-want.main)
	for _, c := range causes() {
		switch {
		case c == cause:
		case slices.Contains(sideCauses(cause), c):
			side += got[c]
		default:
			wrong += max(0, got[c]-base[c])
		}
	}
	wrong += max(0, side-want.side)
	main, whole := float64(max(want.main, 1)), float64(max(want.main+want.side, 1))
	return shares{
		right:   float64(min(got[cause], want.main)) / main,
		wrong:   float64(wrong) / whole,
		unknown: float64(got[unattributed]) / whole,
	}
}

func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile returns the value below which a fraction q of the values is.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// medianSplit is the usual split of a request.
func medianSplit(all []split) split {
	m := split{}
	for _, c := range append(causes(), unattributed) {
		var values []time.Duration
		for _, s := range all {
			values = append(values, s[c])
		}
		m[c] = median(values)
	}
	return m
}
