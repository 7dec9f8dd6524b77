// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"probe/pkg/loader"
)

// Two threads use a socket for the first time at the same moment, one to send
// and one to receive: one of them makes the room for its state, the other one
// must not take it for missing.
func TestFirstUseByTwoThreads(t *testing.T) {
	requireSource(t, loader.SourceSocket)
	obs := observe(t, loader.Options{Source: loader.SourceSocket, Server: true, Client: true})
	const sockets = 20_000
	var fd, turn, ready, done atomic.Int64 // the last three: number of the socket
	var reader sync.WaitGroup
	reader.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for n := range int64(sockets) {
			waitFor(&turn, n+1)
			ready.Store(n + 1)
			if got, err := unix.Read(int(fd.Load()), make([]byte, 1)); got != 1 || err != nil {
				t.Errorf("socket %d: %d bytes, %v", n, got, err)
			}
			done.Store(n + 1)
		}
	})
	for n := range int64(sockets) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Write(pair[1], []byte("x"))
		}
		fd.Store(int64(pair[0]))
		turn.Store(n + 1)
		waitFor(&ready, n+1)
		if err == nil {
			_, err = unix.Write(pair[0], []byte("x"))
		}
		if err != nil {
			t.Errorf("socket %d: %v", n, err)
		}
		waitFor(&done, n+1)
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
	reader.Wait()
	if lost := obs.counter("kernel.dropped.no_state"); lost > 0 {
		t.Errorf("%d calls on %d sockets found no room", lost, sockets)
	}
}

// waitFor spins, so that both threads go on at the same moment; it yields where
// they have but one CPU.
func waitFor(at *atomic.Int64, n int64) {
	for spins := 0; at.Load() != n; spins++ {
		if spins > 100_000 {
			runtime.Gosched()
		}
	}
}
