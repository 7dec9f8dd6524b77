// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// spareEvery is between two looks. /proc/uptime counts hundredths of a second: 2.5 %
// of that on one CPU.
const spareEvery = 400 * time.Millisecond

// spareCPU tells how much CPU time the host has to spare.
type spareCPU struct {
	read   func() (up, idle float64, err error)
	nextNS uint64
	up     float64 // seconds, at the last look
	idle   float64 // CPU-seconds
	part   float64
}

// share is the part of all CPUs' time that was idle at the last look. It says 0 until
// it has looked twice.
func (s *spareCPU) share(nowNS uint64) float64 {
	if nowNS < s.nextNS {
		return s.part
	}
	s.nextNS = nowNS + uint64(spareEvery)
	up, idle, err := s.read()
	s.part = 0
	if elapsed := (up - s.up) * float64(runtime.NumCPU()); err == nil && s.up > 0 && elapsed > 0 {
		s.part = (idle - s.idle) / elapsed
	}
	s.up, s.idle = up, idle
	return s.part
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
