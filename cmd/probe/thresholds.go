// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// registerThresholds adds the flags that say when the host is overloaded.
func registerThresholds(f *pflag.FlagSet, t *agent.Thresholds) {
	d := agent.DefaultThresholds()
	f.Float64Var(&t.MaxUsedCPURatio, "max-used-cpu-ratio", d.MaxUsedCPURatio, "the host is overloaded above this share of CPU time, above 0 to 1")
	f.Float64Var(&t.MaxUsedMemoryRatio, "max-used-memory-ratio", d.MaxUsedMemoryRatio, "the host is overloaded above this share of memory, above 0 to 1")
	f.DurationVar(&t.MaxSchedDelay, "max-event-loop-delay", d.MaxSchedDelay, "the host is overloaded when threads wait longer than this for a CPU (99th percentile, or the mean where the kernel tells sums only)")
	f.IntVar(&t.MaxClientErrors, "max-client-errors", d.MaxClientErrors, "the host is overloaded when more outbound calls than this are answered with 429 or 5xx between two looks")
	f.Uint64Var(&t.MaxMemorySize, "max-memory-size", 0, "the host is overloaded when more bytes of memory than this are used (default: no such limit)")
}
