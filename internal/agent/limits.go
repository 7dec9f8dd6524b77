// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"probe/internal/host"
)

const (
	// loadingTakes is the memory of a moment while the kernel verifies the programs,
	// most of it the kernel's own, which recent ones put on the bill of probe.
	loadingTakes = 64 << 20
	// enoughFiles are for the programs, the receiver, files of the host and 64
	// connections of the endpoint.
	enoughFiles = 256
)

// limits of this process; no limit is the largest number.
func limits() (memory, files uint64) {
	memory, files = host.OwnMemoryLimit(), math.MaxUint64
	if memory == 0 {
		memory = math.MaxUint64
	}
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		files = r.Cur
	}
	return memory, files
}

// lowLimits says which limits may end the program: one without a word, the other
// long after the start.
func lowLimits(memory, files uint64) (lines []string) {
	if memory < loadingTakes {
		lines = append(lines, fmt.Sprintf("the memory limit of this control group, %d MiB, may be too low to load the programs: if probe is killed now, raise it to %d MiB (memory.max, MemoryMax=, resources.limits.memory)", memory>>20, loadingTakes>>20))
	}
	if files < enoughFiles {
		lines = append(lines, fmt.Sprintf("the limit of open files, %d, is low: probe ends where it can open no more; raise it to %d (ulimit -n, LimitNOFILE=)", files, enoughFiles))
	}
	return lines
}
