// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// steady sends requests at a constant rate over keep-alive connections, each at
// its time whether or not earlier ones were answered (an open loop). A latency
// counts from the time a request was due, so that a server which stalls pays
// for all the requests it held up.
//
// One thread does everything with plain system calls: the Go network poller
// would take more time per request than the server does.
type steady struct {
	epoll     int
	request   []byte
	answerLen int
	conns     []steadyConn
	idle      []int // connections without a request, as a stack
	buf       [4096]byte
	latencies []time.Duration
}

type steadyConn struct {
	fd   int
	due  time.Duration // of the request under way
	left int           // bytes of the answer still to come
}

// steadyGrace is how long after the last request answers may come.
const steadyGrace = 2 * time.Second

func newSteady(address string) (*steady, error) {
	to, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", address, err)
	}
	s := &steady{request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", benchPath, address)}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	for i := range connections {
		fd, err := connect(to)
		if err == nil {
			s.conns = append(s.conns, steadyConn{fd: fd})
			s.idle = append(s.idle, i)
			event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
			err = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event)
		}
		if err != nil {
			s.close()
			return nil, fmt.Errorf("connect to %s: %w", address, err)
		}
	}
	return s, nil
}

func connect(to *net.TCPAddr) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (s *steady) close() {
	for _, c := range s.conns {
		unix.Close(c.fd)
	}
	unix.Close(s.epoll)
}

// steadyLoad sends perSecond requests a second and waits for every answer.
func steadyLoad(address string, perSecond float64, length time.Duration) (sample, error) {
	s, err := newSteady(address)
	if err != nil {
		return sample{}, err
	}
	defer s.close()
	// The connections belong to this thread, and so does its timer slack.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return sample{}, fmt.Errorf("set timer slack: %w", err)
	}
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0)
	if err := s.learn(); err != nil {
		return sample{}, err
	}
	n := int(perSecond * length.Seconds())
	s.latencies = make([]time.Duration, 0, n)
	runtime.GC() // now, not while measuring
	sent, took, err := s.run(n, length)
	if err != nil {
		return sample{}, err
	}
	part := typicalPart(s.latencies, int(perSecond*partLength.Seconds()))
	slices.Sort(s.latencies)
	return sample{
		perSecond: float64(sent) / took.Seconds(), p50: at(s.latencies, 0.50), p99: at(s.latencies, 0.99), part99: part,
		requests: uint64(sent + 1), // and the one of learn
	}, nil
}

// partLength: a stall of the machine, or an unlucky choice of its scheduler, shows in
// one part or a few, and in the 99th percentile of a whole run.
const partLength = 50 * time.Millisecond

// typicalPart is the median of the 99th percentiles of parts of n latencies, which it
// sorts; 0 if there are fewer.
func typicalPart(latencies []time.Duration, n int) time.Duration {
	var parts []time.Duration
	for part := range slices.Chunk(latencies, max(n, 1)) {
		if len(part) == n {
			slices.Sort(part)
			parts = append(parts, at(part, 0.99))
		}
	}
	if len(parts) == 0 {
		return 0
	}
	slices.Sort(parts)
	return at(parts, 0.5)
}

// at is the quantile q of sorted values.
func at(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// learn asks once to find the length of an answer, which is the same for all.
func (s *steady) learn() error {
	fd := s.conns[0].fd
	if _, err := unix.Write(fd, s.request); err != nil {
		return fmt.Errorf("send first request: %w", err)
	}
	n, err := unix.Read(fd, s.buf[:])
	if err != nil {
		return fmt.Errorf("read first answer: %w", err)
	}
	if !bytes.HasPrefix(s.buf[:n], []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("first answer is %q", s.buf[:n])
	}
	s.answerLen = n
	return nil
}

// run sends n requests spread over length and returns when those sent are
// answered. What could not be sent within length counts as if it were answered
// then: an overload shows in the latencies and ends nevertheless.
func (s *steady) run(n int, length time.Duration) (sent int, took time.Duration, err error) {
	begin := time.Now()
	dueOf := func(i int) time.Duration { return time.Duration(float64(length) * float64(i) / float64(n)) }
	for sent < n || len(s.idle) < len(s.conns) {
		now := time.Since(begin)
		for sent < n && now < length && len(s.idle) > 0 && dueOf(sent) <= now {
			if err := s.send(dueOf(sent)); err != nil {
				return 0, 0, err
			}
			sent++
		}
		if now >= length && len(s.idle) == len(s.conns) {
			break
		}
		if now > length+steadyGrace {
			return 0, 0, fmt.Errorf("%d requests without an answer", len(s.conns)-len(s.idle))
		}
		wait := 10 * time.Millisecond
		if sent < n && len(s.idle) > 0 {
			wait = min(wait, max(0, dueOf(sent)-time.Since(begin)))
		}
		if err := s.receive(begin, wait); err != nil {
			return 0, 0, err
		}
	}
	took = time.Since(begin)
	for i := sent; i < n; i++ {
		s.latencies = append(s.latencies, took-dueOf(i))
	}
	return sent, took, nil
}

func (s *steady) send(due time.Duration) error {
	c := &s.conns[s.idle[len(s.idle)-1]]
	s.idle = s.idle[:len(s.idle)-1]
	c.due, c.left = due, s.answerLen
	n, err := rawIO(unix.SYS_WRITE, c.fd, s.request)
	if err != nil || n != len(s.request) {
		return fmt.Errorf("send request: %d bytes: %w", n, err)
	}
	return nil
}

// receive waits for answers, at most as long as wait.
func (s *steady) receive(begin time.Time, wait time.Duration) error {
	var events [connections]unix.EpollEvent
	n, err := epollWait(s.epoll, events[:], wait)
	if err != nil {
		return fmt.Errorf("wait for answers: %w", err)
	}
	for _, e := range events[:n] {
		c := &s.conns[e.Fd]
		got, err := rawIO(unix.SYS_READ, c.fd, s.buf[:])
		if err != nil || got == 0 || got > c.left {
			return fmt.Errorf("read answer: %d bytes: %w", got, err)
		}
		if c.left -= got; c.left == 0 {
			s.latencies = append(s.latencies, time.Since(begin)-c.due)
			s.idle = append(s.idle, int(e.Fd))
		}
	}
	return nil
}

// rawIO reads or writes without telling the Go scheduler, which would take the
// processor from this thread and give it back for each call.
func rawIO(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollWait waits with a resolution of nanoseconds (epoll_pwait2, kernel 5.11).
func epollWait(epoll int, events []unix.EpollEvent, wait time.Duration) (int, error) {
	t := unix.NsecToTimespec(int64(wait))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), uintptr(unsafe.Pointer(&t)), 0, 0)
	if errno == unix.EINTR { // the Go runtime's own signals
		return 0, nil
	}
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
