// SPDX-License-Identifier: Apache-2.0

// Package clock is the only place of the program that reads a clock.
//
// The kernel stamps every event in nanoseconds of CLOCK_MONOTONIC. All times
// stay on that clock until the edge of the program, where Wall turns them into
// wall time. Every other package is handed its times.
package clock

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resyncSamples is how many readings one Resync takes. The two clocks cannot be
// read at the same instant; of several attempts the one least disturbed by the
// scheduler is kept.
const resyncSamples = 9

// Clock reads CLOCK_MONOTONIC and converts its readings to wall time. All
// methods may be called from several goroutines.
type Clock struct {
	offsetNS   atomic.Int64 // wall = monotonic + offset
	readMonoNS func() uint64
	readWallNS func() uint64
}

// New returns a Clock whose offset to wall time was just measured. The error is
// that of clock_gettime(2), which a seccomp filter can refuse.
func New() (*Clock, error) {
	for _, id := range []int32{unix.CLOCK_MONOTONIC, unix.CLOCK_REALTIME} {
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			return nil, fmt.Errorf("read clock %d: %w", id, err)
		}
	}
	return newClock(
		func() uint64 { return read(unix.CLOCK_MONOTONIC) },
		func() uint64 { return read(unix.CLOCK_REALTIME) },
	), nil
}

func newClock(monoNS, wallNS func() uint64) *Clock {
	c := &Clock{readMonoNS: monoNS, readWallNS: wallNS}
	c.Resync()
	return c
}

// read returns a clock in nanoseconds. New has checked that the call works, and
// with a valid id and pointer nothing else can fail. A raw system call: of any other
// the Go runtime tells its monitor thread, which wakes up for it.
func read(id int32) uint64 {
	var ts unix.Timespec
	_, _, _ = unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0)
	return uint64(ts.Nano())
}

// Now returns CLOCK_MONOTONIC in nanoseconds, the clock of bpf_ktime_get_ns. It
// is a system call: read it once per batch, not once per event.
func (c *Clock) Now() uint64 { return c.readMonoNS() }

// Wall converts a reading of CLOCK_MONOTONIC in nanoseconds to wall time, with
// the offset of the last Resync.
func (c *Clock) Wall(monoNS uint64) time.Time {
	return time.Unix(0, int64(monoNS)+c.offsetNS.Load())
}

// Resync measures the offset between the two clocks again and returns by how
// much it changed. Call it from time to time: NTP slews and steps wall time,
// and CLOCK_MONOTONIC stands still while the machine is suspended.
func (c *Clock) Resync() time.Duration {
	best := uint64(math.MaxUint64)
	var offsetNS int64
	for range resyncSamples {
		before := c.readMonoNS()
		wall := c.readWallNS()
		after := c.readMonoNS()
		if spread := after - before; spread < best {
			best = spread
			offsetNS = int64(wall) - int64(before+spread/2)
		}
	}
	return time.Duration(offsetNS - c.offsetNS.Swap(offsetNS))
}
