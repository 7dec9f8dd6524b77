// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// moveScenarios: bytes that move otherwise than by plain calls over IPv4.
func moveScenarios() []scenario {
	return []scenario{
		{"IPv6", func(s *stage) {
			client, _ := s.tcp6()
			client.exchange(get(s.target), answerOf(200, "six"))
			client.both("GET", 200)
		}},
		{"v4-mapped", func(s *stage) {
			client, _ := s.mapped()
			client.exchange(get(s.target), answerOf(200, "mapped"))
			client.both("GET", 200)
		}},
		{"Unix socket", func(s *stage) {
			client, server := s.unix()
			client.exchange(get(s.target), answerOf(200, "local"))
			client.both("GET", 200)
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
			server.write(repeated(2000))
			client.read()
			client.both("GET", 200)
		}},
		{"peeked", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.peek()
			server.read()
			server.write(answerOf(200, "seen twice"))
			client.peek()
			client.read()
			client.both("GET", 200)
		}},
		{"sendfile", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
			server.sendfile(repeated(10000))
			client.read()
			client.both("GET", 200)
			client.exchange(get(s.target), answerOf(204, ""))
			client.both("GET", 204)
		}},
		{"splice into the socket", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
			server.spliceIn(5000)
			client.read()
			client.both("GET", 200)
			client.exchange(get(s.target), answerOf(204, ""))
			client.both("GET", 204)
		}},
		{"end of a chunked answer spliced out of the socket", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			server.write("5\r\nworld\r\n")
			client.read()
			server.write(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 5000, repeated(5000)))
			client.spliceOut()
			server.close()
			client.expectEnd()
			client.both("GET", 200)
		}},
		{"splice out of the socket", func(s *stage) {
			client, server := s.tcp()
			client.write("POST " + s.target + " HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
			server.read()
			client.write(repeated(5000))
			server.spliceOut()
			server.write("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
			client.read()
			server.write(repeated(3000))
			client.spliceOut()
			client.both("POST", 200)
			client.exchange(get(s.target), answerOf(204, ""))
			client.both("GET", 204)
		}},
		{"partial writes", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
			server.writeAllNonblocking(3000000)
			client.both("GET", 200)
			client.exchange(get(s.target), answerOf(204, ""))
			client.both("GET", 204)
		}},
		{"half closed before it is read", func(s *stage) {
			client, server := s.tcp()
			client.write("PROPFIND " + s.target + " HTTP/1.1\r\n\r\n")
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			server.read()
			server.write(answerOf(200, "half"))
			client.read()
			client.both("PROPFIND", 200)
		}},
		{"read before anything is there", func(s *stage) {
			client, server := s.tcp()
			server.readsNothing()
			client.exchange(get(s.target), answerOf(200, "later"))
			client.both("GET", 200)
		}},
	}
}

// readsNothing tries to, before anything is there.
func (e *end) readsNothing() {
	must("nonblocking", unix.SetNonblock(e.fd, true))
	if _, err := unix.Read(e.fd, make([]byte, 10)); !errors.Is(err, unix.EAGAIN) {
		fail("read: %v", err)
	}
	must("blocking", unix.SetNonblock(e.fd, false))
}

// peek looks at what is there, in every way.
func (e *end) peek() {
	n := e.pending()
	e.ready(n)
	b := make([]byte, n)
	if got, _, err := unix.Recvfrom(e.fd, b, unix.MSG_PEEK); got != n {
		fail("peek: %d of %d bytes: %v", got, n, err)
	}
	if got, _, _, _, err := unix.RecvmsgBuffers(e.fd, [][]byte{b}, nil, unix.MSG_PEEK); got != n {
		fail("peek: %d of %d bytes: %v", got, n, err)
	}
	if got, _, err := unix.Recvfrom(e.fd, b[:1], unix.MSG_PEEK); got != 1 {
		fail("peek at one byte: %v", err)
	}
}

func (e *end) sendfile(text string) {
	f, err := os.CreateTemp("", "probe-test")
	must("temporary file", err)
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.WriteString(text)
	must("fill file", err)
	var offset int64
	for left := len(text); left > 0; {
		sent, err := unix.Sendfile(e.fd, int(f.Fd()), &offset, left)
		must("sendfile", err)
		left -= sent
		e.sent += sent
	}
}

func newPipe() (r, w int) {
	var p [2]int
	must("pipe", unix.Pipe2(p[:], unix.O_CLOEXEC))
	return p[0], p[1]
}

// spliceIn sends n bytes, at most what a pipe holds.
func (e *end) spliceIn(n int) {
	r, w := newPipe()
	defer unix.Close(r)
	defer unix.Close(w)
	_, err := unix.Write(w, []byte(repeated(n)))
	must("fill pipe", err)
	for left := n; left > 0; {
		moved, err := unix.Splice(r, nil, e.fd, nil, left, 0)
		must("splice", err)
		left -= int(moved)
		e.sent += int(moved)
	}
}

// spliceOut receives what is under way.
func (e *end) spliceOut() {
	r, w := newPipe()
	defer unix.Close(r)
	defer unix.Close(w)
	for left := e.pending(); left > 0; {
		moved, err := unix.Splice(e.fd, nil, w, nil, left, 0)
		must("splice", err)
		left -= int(moved)
		e.got += int(moved)
	}
}

// writeAllNonblocking sends n bytes in as many partial writes as it takes; the
// peer reads whenever there is no room.
func (e *end) writeAllNonblocking(n int) {
	must("set buffer", unix.SetsockoptInt(e.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 30000))
	must("nonblocking", unix.SetNonblock(e.fd, true))
	data := []byte(repeated(n))
	full, partial := 0, 0
	for len(data) > 0 {
		sent, err := unix.Write(e.fd, data)
		switch {
		case errors.Is(err, unix.EAGAIN):
			full++
			if e.peer.pending() > 0 {
				e.peer.drainSome()
			}
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLOUT}}, 10)
			must("poll", err)
		case err != nil:
			fail("write: %v", err)
		default:
			if sent < len(data) {
				partial++
			}
			data = data[sent:]
			e.sent += sent
		}
	}
	for e.peer.pending() > 0 {
		e.peer.drainSome()
	}
	if full == 0 || partial == 0 {
		fail("%d writes without room and %d partial ones: nothing tried", full, partial)
	}
}

// drainSome reads once, as much as there is.
func (e *end) drainSome() {
	got, err := unix.Read(e.fd, make([]byte, 1<<20))
	must("read", err)
	e.got += got
}

// processScenarios: who makes the calls.
func processScenarios() []scenario {
	return []scenario{
		{"accepted in one thread, served in another", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			tid := make(chan any)
			go func() { // a thread of its own, which ends with the goroutine
				runtime.LockOSThread()
				defer recoverFailure(func(text string) { tid <- text })
				server.read()
				server.write(answerOf(200, "other thread"))
				tid <- unix.Gettid()
			}()
			switch told := (<-tid).(type) {
			case string:
				fail("%s", told)
			case int:
				client.read()
				client.tells("GET", 200, "ok")
				server.tells("GET", 200, "ok").TID = told
			}
		}},
		{"served by another process", func(s *stage) {
			client, server := s.tcp()
			server.readsNothing()
			client.write(get(s.target))
			server.ready(server.pending())
			s.worker.pass(server, workerServe)
			server.got, server.sent = client.sent, len(workerAnswer())
			client.read()
			client.tells("GET", 200, "ok")
			server.tells("GET", 200, "ok").PID = s.worker.cmd.Process.Pid
		}},
		{"killed while it serves", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.ready(server.pending())
			pid := s.worker.cmd.Process.Pid
			s.worker.pass(server, workerDie)
			server.got = client.sent
			client.expectEnd()
			client.tells("GET", 0, "unanswered")
			server.tells("GET", 0, "unanswered").PID = pid
		}},
		{"older than the probe", func(s *stage) {
			client, server := s.old[0], s.old[1]
			client.toldSent, client.toldGot = client.sent, client.got
			server.toldSent, server.toldGot = server.sent, server.got
			target := s.target
			s.target = "" // a response whose request nobody saw
			server.write(answerOf(200, "old"))
			client.read()
			client.both("", 200)
			s.target = target
			client.exchange(get(s.target), answerOf(404, "new"))
			client.both("GET", 404)
		}},
	}
}
