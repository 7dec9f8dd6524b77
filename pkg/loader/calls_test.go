// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a way to move bytes: both directions of one family of system calls.
type call struct {
	name string
	// send and recv make one call with these buffers.
	send, recv func(fd int, buffers [][]byte) (int, error)
}

// calls take any number of buffers; those for one buffer are given one.
func calls() []call {
	return []call{
		{"read and write",
			func(fd int, b [][]byte) (int, error) { return unix.Write(fd, join(b)) },
			flat(unix.Read)},
		{"readv and writev", unix.Writev, unix.Readv},
		{"recvfrom and sendto",
			func(fd int, b [][]byte) (int, error) { return sendto(fd, join(b)) },
			flat(func(fd int, b []byte) (int, error) { n, _, err := unix.Recvfrom(fd, b, 0); return n, err })},
		{"recvmsg and sendmsg",
			func(fd int, b [][]byte) (int, error) { return unix.SendmsgBuffers(fd, b, nil, nil, 0) },
			func(fd int, b [][]byte) (int, error) {
				n, _, _, _, err := unix.RecvmsgBuffers(fd, b, nil, 0)
				return n, err
			}},
		{"recvmmsg and sendmmsg",
			func(fd int, b [][]byte) (int, error) { return multiple(unix.SYS_SENDMMSG, fd, b) },
			func(fd int, b [][]byte) (int, error) { return multiple(unix.SYS_RECVMMSG, fd, b) }},
		{"preadv2 and pwritev2",
			func(fd int, b [][]byte) (int, error) { return unix.Pwritev2(fd, b, -1, 0) },
			func(fd int, b [][]byte) (int, error) { return unix.Preadv2(fd, b, -1, 0) }},
	}
}

func join(buffers [][]byte) []byte {
	var all []byte
	for _, b := range buffers {
		all = append(all, b...)
	}
	return all
}

// flat makes one buffer of several for a call that takes one.
func flat(recv func(fd int, b []byte) (int, error)) func(int, [][]byte) (int, error) {
	return func(fd int, buffers [][]byte) (int, error) {
		return recv(fd, make([]byte, len(join(buffers))))
	}
}

func sendto(fd int, b []byte) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// multiple makes one sendmmsg or recvmmsg with a message per buffer and returns
// the sum of their bytes.
func multiple(nr uintptr, fd int, buffers [][]byte) (int, error) {
	messages := make([]mmsghdr, len(buffers))
	for i, b := range buffers {
		iov := &unix.Iovec{Base: unsafe.SliceData(b)}
		iov.SetLen(len(b))
		messages[i].header.Iov = iov
		messages[i].header.SetIovlen(1)
	}
	n, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
	runtime.KeepAlive(buffers)
	if errno != 0 {
		return -1, errno
	}
	sum := 0
	for _, m := range messages[:n] {
		sum += int(m.length)
	}
	return sum, nil
}

// sendBy makes one call that sends all pieces.
func (e *end) sendBy(c call, pieces ...string) {
	buffers := make([][]byte, len(pieces))
	want := 0
	for i, p := range pieces {
		buffers[i] = []byte(p)
		want += len(p)
	}
	n, err := c.send(e.fd, buffers)
	must(c.name, err)
	if n != want {
		fail("%s: %d of %d bytes", c.name, n, want)
	}
	e.sent += n
}

// recvBy makes one call that receives all that is under way into buffers of
// these sizes and one for the rest.
func (e *end) recvBy(c call, sizes ...int) {
	want := e.pending()
	e.ready(want)
	buffers := make([][]byte, 0, len(sizes)+1)
	rest := want
	for _, size := range sizes {
		size = min(size, rest)
		buffers = append(buffers, make([]byte, size))
		rest -= size
	}
	if rest > 0 {
		buffers = append(buffers, make([]byte, rest))
	}
	n, err := c.recv(e.fd, buffers)
	must(c.name, err)
	if n != want {
		fail("%s: %d of %d bytes", c.name, n, want)
	}
	e.got += n
}

// pending are the bytes that the peer has sent and this end has not read.
func (e *end) pending() int { return e.peer.sent - e.got }

// ready waits until n bytes can be read at once.
func (e *end) ready(n int) {
	for range 5000 {
		have, err := unix.IoctlGetInt(e.fd, unix.TIOCINQ)
		must("FIONREAD", err)
		if have >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
	fail("%d bytes did not arrive", n)
}

func (e *end) write(text string) { e.sendBy(calls()[0], text) }
func (e *end) read()             { e.recvBy(calls()[0]) }

// bytewise sends and the peer receives one byte per call.
func (e *end) bytewise(text string) {
	for i := range len(text) {
		e.write(text[i : i+1])
		e.peer.read()
	}
}

// exchange sends a request and an answer by plain calls.
func (e *end) exchange(request, response string) {
	e.write(request)
	e.peer.read()
	e.peer.write(response)
	e.read()
}

func repeated(n int) string { return strings.Repeat("x", n) }
