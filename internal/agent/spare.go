// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	// spareEvery is between two looks. /proc/uptime counts hundredths of a second.
	spareEvery = time.Second
	// spareShare of all CPUs' time must have been idle.
	spareShare = 0.04
)

// spareCPU tells whether the host has CPU time to spare.
type spareCPU struct {
	read   func() (up, idle float64, err error)
	nextNS uint64
	up     float64 // seconds, at the last look
	idle   float64 // CPU-seconds
	spare  bool
}

// is looks at most once a second, and says no until it has looked twice.
func (s *spareCPU) is(nowNS uint64) bool {
	if nowNS < s.nextNS {
		return s.spare
	}
	s.nextNS = nowNS + uint64(spareEvery)
	up, idle, err := s.read()
	elapsed := (up - s.up) * float64(runtime.NumCPU())
	s.spare = err == nil && s.up > 0 && idle-s.idle >= spareShare*elapsed
	s.up, s.idle = up, idle
	return s.spare
}

// readUptime reads /proc/uptime: seconds since boot, and how many seconds all CPUs
// together were idle (proc(5)).
func readUptime() (up, idle float64, err error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, 0, fmt.Errorf("read idle time: %w", err)
	}
	if _, err := fmt.Sscan(string(text), &up, &idle); err != nil {
		return 0, 0, fmt.Errorf("read idle time: %q: %w", text, err)
	}
	return up, idle, nil
}
