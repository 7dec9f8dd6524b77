// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring reads the kernel's BPF ring buffer in place (kernel/bpf/ringbuf.c, 5.8).
//
// The library's reader copies each record under a lock and waits by epoll.
// This one hands out the mapped bytes and never waits: its user drains on a
// timer, and every 0.1 µs per request is a per cent of a fast server (ADR 0002).
type ring struct {
	consumer []byte // one page, ours to write: how far we have read
	producer []byte // one page: how far the kernel has written; then the data
	readPos  *uint64
	writePos *uint64
	data     []byte
	mask     uint64
	joined   []byte // a record that goes over the end of the data
}

// Layout of a record: a header of 8 bytes, then the payload, rounded up to 8.
const (
	ringHeader  = 8
	ringBusy    = 1 << 31 // reserved, not yet written
	ringDiscard = 1 << 30
	ringLength  = ringDiscard - 1
	// ringRelease is after how many bytes the space is given back to the
	// kernel: rarely enough to leave its cache line alone.
	ringRelease = 16 << 10
	// ringSpin bounds the wait for a record that another CPU is writing.
	ringSpin = 1000
)

func openRing(fd, size int) (*ring, error) {
	page := os.Getpagesize()
	consumer, err := unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring buffer: %w", err)
	}
	// The kernel would map the data a second time behind it, so that no record is
	// split at the end, and count its pages twice in our memory.
	producer, err := unix.Mmap(fd, int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map the ring buffer: %w", err), unix.Munmap(consumer))
	}
	return &ring{
		consumer: consumer,
		producer: producer,
		readPos:  (*uint64)(unsafe.Pointer(&consumer[0])),
		writePos: (*uint64)(unsafe.Pointer(&producer[0])),
		data:     producer[page:],
		mask:     uint64(size - 1),
	}, nil
}

// drain hands every complete record to fn, which must not keep it.
func (r *ring) drain(fn func([]byte)) (records, bytes int) {
	start := atomic.LoadUint64(r.readPos)
	pos, released := start, start
	end := atomic.LoadUint64(r.writePos)
	// Deferred, for an fn that panics: the next drain must not repeat what it had.
	defer func() { atomic.StoreUint64(r.readPos, pos) }()
	for pos < end {
		at := pos & r.mask
		length, ok := r.length(at)
		if !ok {
			break // still being written: the next drain takes it
		}
		n := uint64(length & ringLength)
		pos += (ringHeader + n + 7) &^ 7
		if length&ringDiscard == 0 {
			records++
			bytes += int(n)
			fn(r.payload(at+ringHeader, n))
		}
		if pos-released >= ringRelease {
			atomic.StoreUint64(r.readPos, pos)
			released = pos
		}
		if pos == end && pos-start <= r.mask { // not for ever: one ring at most
			end = atomic.LoadUint64(r.writePos)
		}
	}
	return records, bytes
}

// payload returns n bytes from an offset on, which is at most the end of the data.
func (r *ring) payload(at, n uint64) []byte {
	size := uint64(len(r.data))
	if at+n <= size {
		return r.data[at : at+n : at+n]
	}
	r.joined = append(r.joined[:0], r.data[at:]...)
	r.joined = append(r.joined, r.data[:at+n-size]...)
	return r.joined
}

// filled is how many bytes wait to be read.
func (r *ring) filled() int {
	return int(atomic.LoadUint64(r.writePos) - atomic.LoadUint64(r.readPos))
}

// length returns the header word at an offset once the record is complete.
func (r *ring) length(at uint64) (uint32, bool) {
	word := (*uint32)(unsafe.Pointer(&r.data[at]))
	for range ringSpin {
		if v := atomic.LoadUint32(word); v&ringBusy == 0 {
			return v, true
		}
	}
	return 0, false
}

func (r *ring) close() error {
	return errors.Join(unix.Munmap(r.consumer), unix.Munmap(r.producer))
}
