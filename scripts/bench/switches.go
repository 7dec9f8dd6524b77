// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// switchLoad lets two threads on one CPU pass a byte to and fro through pipes
// and nothing else: each round is two context switches and two wake-ups, and no
// request. It is what the hooks of the scheduler cost programs that have
// nothing to do with HTTP.
func switchLoad(length time.Duration) (sample, error) {
	var there, back [2]int
	if err := errors.Join(unix.Pipe2(there[:], unix.O_CLOEXEC), unix.Pipe2(back[:], unix.O_CLOEXEC)); err != nil {
		return sample{}, fmt.Errorf("make pipes: %w", err)
	}
	// Two threads sleep in system calls that the Go scheduler does not notice: it
	// would wait for both to stop for a collection, and they for each other.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var echo sync.WaitGroup
	var rounds uint64
	var took time.Duration
	echo.Go(func() { onFirstCPU(func() { passOn(there[0], back[1]) }) })
	echo.Go(func() {
		onFirstCPU(func() { rounds, took = rounder(there[1], back[0], length) })
		unix.Close(there[1]) // ends the other thread
	})
	echo.Wait()
	for _, fd := range []int{there[0], back[0], back[1]} {
		unix.Close(fd)
	}
	if rounds == 0 {
		return sample{}, errors.New("pass a byte between two threads: no round was finished")
	}
	each := took / time.Duration(rounds)
	return sample{perSecond: float64(rounds) / took.Seconds(), p50: each, p99: each}, nil
}

// onFirstCPU runs f on the first CPU that this program may use. The thread gets
// its CPUs back afterwards: it must live on, the kernel ends the children that a
// thread has started with it.
func onFirstCPU(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var allowed, one unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil {
		f() // the load is only a lighter one
		return
	}
	for cpu := 0; one.Count() == 0 && cpu < len(allowed)*64; cpu++ {
		if allowed.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	_ = unix.SchedSetaffinity(0, &one)
	defer func() { _ = unix.SchedSetaffinity(0, &allowed) }()
	f()
}

// rounder sends a byte and waits for it until length has passed.
func rounder(to, from int, length time.Duration) (rounds uint64, took time.Duration) {
	b := []byte{1}
	begin := time.Now()
	for took < length {
		for range 64 {
			if n, err := rawIO(unix.SYS_WRITE, to, b); err != nil || n != 1 {
				return rounds, took
			}
			if n, err := rawIO(unix.SYS_READ, from, b); err != nil || n != 1 {
				return rounds, took
			}
			rounds++
		}
		took = time.Since(begin)
	}
	return rounds, took
}

// passOn sends back every byte until there is none any more.
func passOn(from, to int) {
	var b [1]byte
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(from), uintptr(unsafe.Pointer(&b[0])), 1)
		if errno != 0 || n != 1 {
			return
		}
		if n, err := rawIO(unix.SYS_WRITE, to, b[:]); err != nil || n != 1 {
			return
		}
	}
}
