// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sleeper lets one goroutine sleep many times a second at the price of one
// wake-up each: on a timer of the kernel (timerfd_create(2)), as a file that the
// poller of the Go runtime watches. A timer of the runtime also wakes its monitor
// thread, which sleeps no longer than until the next of them; a sleep in a system
// call has the monitor look after it, or, if it is hidden from the runtime, keeps
// the others of the program, and a garbage collection, from running.
type Sleeper struct {
	file *os.File
	raw  syscall.RawConn
	step func(fd uintptr) bool // armOrRead, made once

	time  unix.ItimerSpec
	armed bool
	ticks [8]byte
	errno syscall.Errno // of the last step
}

// NewSleeper fails as timerfd_create(2) does: without a free file descriptor, or
// where a seccomp filter refuses it.
func NewSleeper() (*Sleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		return nil, fmt.Errorf("create timer: %w; allow timerfd_create and timerfd_settime in the seccomp filter", err)
	}
	if err != nil {
		return nil, fmt.Errorf("create timer: %w", err)
	}
	s := &Sleeper{file: os.NewFile(uintptr(fd), "timer")}
	s.step = s.armOrRead
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch timer: %w", err), s.file.Close())
	}
	return s, nil
}

// Sleep returns after d, and at once if that is not positive.
func (s *Sleeper) Sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	s.time.Value, s.armed = unix.NsecToTimespec(int64(d)), false
	err := s.raw.Read(s.step)
	if err == nil && s.errno != 0 {
		err = s.errno
	}
	if err != nil {
		return fmt.Errorf("sleep on timer: %w", err)
	}
	return nil
}

// armOrRead sets the timer, then reads it. It reports whether there is nothing to
// wait for. The calls are raw, because one that the runtime knows of wakes up its
// monitor thread.
func (s *Sleeper) armOrRead(fd uintptr) bool {
	if !s.armed {
		s.armed = true
		_, _, s.errno = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&s.time)), 0, 0, 0)
		return s.errno != 0
	}
	_, _, s.errno = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&s.ticks[0])), uintptr(len(s.ticks)))
	return s.errno != unix.EAGAIN
}

// Close frees it; no Sleep may be under way.
func (s *Sleeper) Close() error { return s.file.Close() }
