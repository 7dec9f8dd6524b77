// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// uring is a small io_uring, after io_uring_setup(2): one request at a time.
type uring struct {
	fd                     int
	ring, entries          []byte
	sqTail, sqArray, sqLen uint32
}

// Numbers of include/uapi/linux/io_uring.h (kernel 5.6).
const (
	uringOpSend, uringOpRecv = 26, 27
	uringOffRing             = 0
	uringOffEntries          = 0x10000000
	uringGetEvents           = 1
	uringEntryLen            = 64
)

// uringParams is struct io_uring_params.
type uringParams struct {
	sqEntries, cqEntries, flags, sqCPU, sqIdle, features, wq uint32
	_                                                        [3]uint32
	sq                                                       struct{ head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32 }
	sqUser                                                   uint64
	cq                                                       struct{ head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32 }
	cqUser                                                   uint64
}

func newUring() *uring {
	var p uringParams
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		fail("io_uring_setup: %v", errno)
	}
	u := &uring{fd: int(fd), sqTail: p.sq.tail, sqArray: p.sq.array, sqLen: p.sqEntries}
	var err error
	size := max(int(p.sq.array+4*p.sqEntries), int(p.cq.cqes+16*p.cqEntries))
	u.ring, err = unix.Mmap(u.fd, uringOffRing, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	must("map ring", err)
	u.entries, err = unix.Mmap(u.fd, uringOffEntries, int(p.sqEntries)*uringEntryLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	must("map entries", err)
	return u
}

func (u *uring) close() {
	must("unmap", unix.Munmap(u.ring))
	must("unmap", unix.Munmap(u.entries))
	must("close", unix.Close(u.fd))
}

// move sends or receives b and waits until that is done.
func (u *uring) move(op byte, fd int, b []byte) {
	tail := (*uint32)(unsafe.Pointer(&u.ring[u.sqTail]))
	at := atomic.LoadUint32(tail) % u.sqLen
	entry := u.entries[at*uringEntryLen : (at+1)*uringEntryLen]
	clear(entry)
	entry[0] = op
	binary.NativeEndian.PutUint32(entry[4:], uint32(fd))
	binary.NativeEndian.PutUint64(entry[16:], uint64(uintptr(unsafe.Pointer(&b[0]))))
	binary.NativeEndian.PutUint32(entry[24:], uint32(len(b)))
	binary.NativeEndian.PutUint32(u.ring[u.sqArray+4*at:], at)
	atomic.AddUint32(tail, 1)
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), 1, 1, uringGetEvents, 0, 0)
	if errno != 0 {
		fail("io_uring_enter: %v", errno)
	}
}

// exchangeByUring: a request and its answer, each sent and received by io_uring.
func exchangeByUring(client, server *end, request, answer string) {
	u := newUring()
	defer u.close()
	for _, step := range []struct {
		from, to *end
		text     string
	}{{client, server, request}, {server, client, answer}} {
		u.move(uringOpSend, step.from.fd, []byte(step.text))
		step.from.sent += len(step.text)
		step.to.ready(len(step.text))
		u.move(uringOpRecv, step.to.fd, make([]byte, len(step.text)))
		step.to.got += len(step.text)
	}
}
