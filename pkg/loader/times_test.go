// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
	"probe/pkg/events"
	"probe/pkg/loader"
)

// span is a time that the player knows to lie between two clock reads
// (CLOCK_MONOTONIC, ns), one before and one after the call.
type span struct{ From, To uint64 }

// moments of one exchange: request sent, request read, first and last byte of
// the answer sent, and both read.
type moments struct {
	Sent, Read, First, Last, FirstRead, LastRead span
}

func monotonic() uint64 {
	var ts unix.Timespec
	must("read clock", unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
	return uint64(ts.Nano())
}

func during(what func()) span {
	from := monotonic()
	what()
	return span{from, monotonic()}
}

// timed are two exchanges on one connection with a pause before each step, the
// first one also before the connection is accepted.
func timed(s *stage) {
	listener, address := s.listen(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	fd := s.connect(address)
	must("send", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	pause := func() { time.Sleep(15 * time.Millisecond) }
	var client, server *end
	for i := range 2 {
		var m moments
		request := get(s.target)
		if i == 0 {
			m.Sent = during(func() {
				_, err := unix.Write(fd, []byte(request))
				must("write", err)
			})
			pause()
			client, server = s.pair(fd, s.accept(listener), "ipv4", "ipv4")
			client.sent = len(request)
		} else {
			m.Sent = during(func() { client.write(request) })
		}
		pause()
		m.Read = during(server.read)
		pause()
		m.First = during(func() { server.write("HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n") })
		pause()
		m.FirstRead = during(client.read)
		pause()
		m.Last = during(func() { server.write(repeated(600)) })
		pause()
		m.LastRead = during(client.read)
		client.both("GET", 200)
		s.times = append(s.times, m)
	}
}

// The times of an exchange are those of the calls, and the arrival is that of
// the segment and not of the read: also on a connection in use.
func TestTimes(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Client: true, Comms: []string{player.comm}})
		player.begin(order{Scenario: "in no hurry"})
		truth := player.report()
		obs.pollFor(len(truth.Truth))
		next := map[events.Role]int{}
		for _, q := range obs.requests {
			i := next[q.Role]
			next[q.Role]++
			m := truth.Times[i]
			begin := q.StartNS
			if q.Role == events.RoleClient {
				expectIn(t, "client: start", begin, m.Sent)
				expectIn(t, "client: first byte", begin+uint64(q.TTFB), m.FirstRead)
				expectIn(t, "client: end", q.EndNS, m.LastRead)
				continue
			}
			if !q.Wait.Known || (q.Wait.Accept > 0) != (i == 0) {
				t.Errorf("exchange %d: wait %+v", i, q.Wait)
			}
			expectIn(t, "server: start", begin, m.Sent)
			expectIn(t, "server: read", begin+uint64(q.Wait.Accept+q.Wait.Socket), m.Read)
			expectIn(t, "server: first byte", begin+uint64(q.TTFB), m.First)
			expectIn(t, "server: end", q.EndNS, m.Last)
			expectIn(t, "server: duration", begin+uint64(q.Duration), m.Last)
		}
		if next[events.RoleServer] != 2 || next[events.RoleClient] != 2 {
			t.Errorf("exchanges by role: %v, want two each", next)
		}
	})
}

// interleaved is a request that is answered between two pieces of an earlier answer,
// and one behind both.
func interleaved(s *stage) {
	c1, s1 := s.tcp()
	c2, s2 := s.tcp()
	c1.write(get(s.target))
	s1.read()
	s1.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + repeated(10))
	for i := range 2 {
		c2.write(get(s.target))
		s2.read()
		if i == 0 {
			s1.write(repeated(10))
		}
		s2.write(answerOf(200, "whole"))
		c2.read()
		c2.both("GET", 200)
	}
	c1.read()
	c1.both("GET", 200)
}

// A thread that sends more of an earlier answer does not work for its last request alone.
func TestThreadIsShared(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Comms: []string{player.comm}})
		if d, _ := obs.kernel.Detail(); d == loader.DetailOff {
			t.Skip("this kernel has no task storage")
		}
		player.begin(order{Scenario: "while an answer goes on"})
		player.report()
		obs.pollFor(3)
		var got []events.Attribution
		for _, q := range obs.requests {
			got = append(got, q.Times.Attribution)
		}
		// The first one ends when its connection does, or with its last byte.
		want := []events.Attribution{events.AttributionLoop, events.AttributionLoop, events.AttributionThread}
		if !slices.Equal(got, want) {
			t.Errorf("attributions %v, want %v", got, want)
		}
	})
}

// lateReads are requests on a connection in use that wait in the socket: until
// long after their acknowledgement, in two segments that one read takes, and while
// the request before is served. Of times only Sent and Read are told.
func lateReads(s *stage) {
	client, server := s.tcp()
	must("send at once", unix.SetsockoptInt(client.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	sent := func(request string) moments { return moments{Sent: during(func() { client.write(request) })} }
	wait := func(d time.Duration) { time.Sleep(d * time.Millisecond) }
	reads := func(m moments) {
		m.Read = during(server.read)
		s.times = append(s.times, m)
	}
	answer := func() {
		server.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		client.read()
		client.both("GET", 200)
	}
	for range 100 { // from then on acknowledgements wait for an answer, and the tick is known
		reads(sent(get(s.target)))
		answer()
	}
	m := sent(get(s.target))
	wait(70)
	reads(m)
	answer()

	client.write("POST " + s.target + " HTTP/1.1\r\nContent-Length: 4\r\n\r\n")
	m = sent("body")
	wait(30)
	reads(m)
	answer()

	reads(sent(get(s.target)))
	m = sent(get(s.target))
	wait(30)
	answer()
	wait(30)
	reads(m)
	answer()
}

// The wait in the socket is told however long it was and whatever the connection
// did meanwhile: to the kernel's tick where its clock was moved on, and marked then.
func TestLateReads(t *testing.T) {
	tick := kernelTick(t)
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Comms: []string{player.comm}})
		player.begin(order{Scenario: "late reads"})
		truth := player.report()
		obs.pollFor(len(truth.Times))
		if len(obs.requests) != len(truth.Times) {
			t.Fatalf("%d requests, want %d", len(obs.requests), len(truth.Times))
		}
		for i, q := range obs.requests {
			m := truth.Times[i]
			expectIn(t, "read", q.StartNS+uint64(q.Wait.Accept+q.Wait.Socket), m.Read)
			if q.Flags&events.FlagTimeUncertain != 0 {
				m.Sent.From, m.Sent.To = m.Sent.From-tick, m.Sent.To+tick
			}
			expectIn(t, "start", q.StartNS, m.Sent)
			late := i == 100 || i == 103
			either := i == 101 // some kernels acknowledge it before it is read
			if marked := q.Flags&events.FlagTimeUncertain != 0; marked != late && !either {
				t.Errorf("exchange %d: marked %v", i, marked)
			}
		}
	})
}

// kernelTick is the length of a tick of the kernel, 1/CONFIG_HZ, in ns.
func kernelTick(t *testing.T) uint64 {
	t.Helper()
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		t.Fatal(err)
	}
	return uint64(resolution.Nano())
}

// slack is the resolution of the kernel's time of a segment.
const slack = uint64(time.Microsecond)

func expectIn(t *testing.T, what string, got uint64, want span) {
	t.Helper()
	if got+slack < want.From || got > want.To+slack {
		t.Errorf("%s: %v after the call began, which took %v", what,
			time.Duration(int64(got-want.From)), time.Duration(want.To-want.From))
	}
}

// A sweep runs in a task of the observer, and the end of a connection in any:
// the connection has the command name and the control group of the task that has
// the request.
func TestProcessOfUnanswered(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		group := testutil.Groups(t).Make("probe-test-" + strconv.Itoa(os.Getpid()))
		player := startChild(t)
		group.Enter(player.pid)
		obs := observe(t, loader.Options{Source: source, Server: true, Client: true, Comms: []string{player.comm}})
		player.play(order{Scenario: "ask on a connection and keep it"})
		obs.sweep(obs.clock.Now())
		player.play(order{Scenario: "close the kept connection"})
		obs.pollFor(2)
		if len(obs.requests) != 2 {
			t.Fatalf("%d exchanges, want 2", len(obs.requests))
		}
		for _, q := range obs.requests {
			if q.Conn.Comm != player.comm {
				t.Errorf("%s: command %q, want %q", q.Role, q.Conn.Comm, player.comm)
			}
			if q.Conn.Cgroup != group.ID {
				t.Errorf("%s: group %d, want %d", q.Role, q.Conn.Cgroup, group.ID)
			}
		}
	})
}

// A request that nobody answers is told by a sweep, once, and is one exchange
// when its answer comes at last.
func TestSweepTellsUnanswered(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Client: true, Comms: []string{player.comm}})
		player.play(order{Scenario: "keep a connection"})
		obs.await(2)
		started := obs.tracker.Stats().Started
		player.play(order{Scenario: "ask on the kept connection"})
		obs.poll() // asks for requests older than the machine
		if got := obs.tracker.Stats().Started - started; got != 0 {
			t.Fatalf("%d requests told before their time", got)
		}
		for range 3 {
			obs.sweep(obs.clock.Now())
			if got := obs.tracker.Stats(); got.Started-started != 2 || got.Open != 2 {
				t.Fatalf("%d requests told and %d open, want 2 and 2", got.Started-started, got.Open)
			}
		}
		want := sorted(player.play(order{Scenario: "answer on the kept connection"}))
		compareExchanges(t, want, obs.await(len(want)))
		checkBooks(t, obs)
	})
}
