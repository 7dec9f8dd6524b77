// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// One thread sends the answer to a request while another takes the first byte
// of the next one, as Go's net/http does: within two microseconds, in either
// order. Each must find the connection as the other one left it.
func TestAnswerWhileNextRequestIsRead(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Comms: []string{player.comm}})
		// A CPU may be away for so long that the other one goes on; not every time.
		for range 5 {
			before := obs.counter("kernel.raced")
			want, got := playRounds(t, obs, player, 20_000)
			raced := obs.counter("kernel.raced") - before
			if raced == 0 {
				compareByTarget(t, want, got)
				return
			}
			t.Logf("%d calls did not wait for the other one any longer", raced)
		}
		t.Error("this happened each of five times")
	})
}

// The same where none waits for the other one: who finds another one on the connection
// is left out. What is told as certain is right nevertheless, and what is missing is
// counted.
func TestCallsLeftOut(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Impatient(loader.Options{Source: source, Server: true, Comms: []string{player.comm}}))
		want := play(t, obs, player, 20_000)
		obs.poll()
		truth := map[string]exchange{}
		for _, x := range want {
			truth[x.Target] = x
		}
		told := map[string]bool{}
		for i, x := range obs.seen {
			x.TID = anyThread
			switch {
			case obs.requests[i].Flags != 0:
			case told[x.Target] || truth[x.Target] != x:
				t.Fatalf("told as certain (-want +got):\n%s", cmp.Diff(truth[x.Target], x))
			default:
				told[x.Target] = true
			}
		}
		stats := obs.tracker.Stats()
		raced, kept := obs.counter("kernel.raced"), obs.counter("kernel.dropped.raced_requests")
		missing := uint64(len(want) - len(told))
		t.Logf("%d calls left out; %d of %d exchanges missing; %d requests kept, %d open, %d responses without a request", raced, missing, len(want), kept, stats.Raced, stats.Orphans)
		if raced == 0 {
			t.Error("no call was left out")
		}
		// Of an exchange with both its calls left out they are all that is counted.
		if missing > kept+stats.Raced+stats.Orphans+raced/2 {
			t.Errorf("%d exchanges missing, not counted: %+v", missing, stats)
		}
		if seen := obs.counter("kernel.requests_seen"); seen != stats.Started+stats.InsideBody+kept {
			t.Errorf("%d requests of the kernel side, %d dropped there, but %+v", seen, kept, stats)
		}
	})
}

func playRounds(t *testing.T, obs *observer, player *child, rounds int) (want, got []exchange) {
	t.Helper()
	want = play(t, obs, player, rounds)
	got = obs.await(len(want))
	if lost := obs.counter("kernel.dropped.ring_full"); lost > 0 {
		t.Fatalf("%d records dropped: the test drains too slowly", lost)
	}
	return want, got
}

func play(t *testing.T, obs *observer, player *child, rounds int) (want []exchange) {
	t.Helper()
	player.begin(order{Scenario: "answer while the next request is read", Repeat: rounds})
	done := make(chan []exchange)
	go func() { done <- player.result() }()
	for want == nil {
		select {
		case want = <-done:
		case <-time.After(time.Millisecond):
			obs.drain()
		}
	}
	return want
}

// compareByTarget tells the first three that differ, and how many do.
func compareByTarget(t *testing.T, want, got []exchange) {
	t.Helper()
	told := map[string]exchange{}
	for _, x := range got {
		x.TID = anyThread
		told[x.Target] = x
	}
	wrong := 0
	for _, x := range want {
		if told[x.Target] == x {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("exchanges (-want +got):\n%s", cmp.Diff(x, told[x.Target]))
		}
	}
	if wrong > 0 || len(got) != len(want) {
		t.Errorf("%d exchanges instead of %d, %d missing or wrong", len(got), len(want), wrong)
	}
}

// answerWhileReading plays both threads of the server; the one that answers is
// the client, too.
func answerWhileReading(s *stage) {
	client, server := s.tcp()
	var turn, ready, took atomic.Int64 // number of the round
	var reader sync.WaitGroup
	reader.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for n := range int64(s.repeat) {
			waitFor(&turn, n+1)
			ready.Store(n + 1)
			pause(n % 61)
			if got, err := unix.Read(server.fd, make([]byte, 1)); got != 1 || err != nil {
				panic(fmt.Sprintf("round %d: %d bytes, %v", n, got, err))
			}
			took.Store(n + 1)
		}
	})
	request := func(n int) string { return get(fmt.Sprintf("/round/%d", n)) }
	client.write(request(0))
	server.read()
	for n := range s.repeat {
		answer := answerOf(400+n%7, repeated(n%100))
		client.write(request(n + 1))
		turn.Store(int64(n + 1))
		waitFor(&ready, int64(n+1))
		pause(int64(n % 59))
		server.write(answer)
		waitFor(&took, int64(n+1))
		server.got++ // by the other thread
		server.read()
		client.read()
		s.truth = append(s.truth, exchange{
			Role: "server", Method: "GET", Target: fmt.Sprintf("/round/%d", n), Status: 400 + n%7, Outcome: "ok",
			Request: len(request(n)), Response: len(answer), Family: "ipv4", PID: os.Getpid(), TID: anyThread,
		})
	}
	reader.Wait()
	s.truth = append(s.truth, exchange{
		Role: "server", Method: "GET", Target: fmt.Sprintf("/round/%d", s.repeat), Outcome: "unanswered",
		Request: len(request(s.repeat)), Family: "ipv4", PID: os.Getpid(), TID: anyThread,
	})
}

// pause spins for about n times 30 ns.
func pause(n int64) {
	var ts unix.Timespec
	for range n {
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
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
