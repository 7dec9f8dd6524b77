// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// pagesHook is attached while findPages runs. Objects of other architectures
// than amd64 do not have it.
const pagesHook = "http_pages"

const (
	gib        = 1 << 30 // where the kernel puts a mapping is a multiple of it
	pagesScale = 64      // PAGES_SCALE of bpf/skb.h
	maxTries   = 20000
	// loopbackWait is for one call, and there is but one that gives up.
	loopbackWait = time.Second
)

// With these nothing is wrong, it only costs more.
var (
	errNoCopies      = errors.New("only with the socket source on amd64")
	errPagesNotFound = errors.New("the kernel does not lay out its memory in a known way")
)

// findPages tells the kernel side how the address of a page's data follows from
// that of its struct page, so that it can read what a socket holds (bpf/skb.h).
// Nothing says where the kernel has put its mappings, but only multiples of 1 GiB
// come into question, fewer than the host has memory. Each is tried on random
// bytes that are on their way through a connection of our own.
func (l *Loader) findPages() error {
	program := l.objects.Programs[pagesHook]
	if program == nil {
		return errNoCopies
	}
	hook, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return explain(err)
	}
	defer hook.Close()
	pipe, err := openLoopback()
	if err != nil {
		return fmt.Errorf("connect to ourselves: %w", err)
	}
	defer pipe.close()

	shown := l.objects.Variables["pages"]
	first, _, err := tryPages(shown, pipe, 0)
	if err != nil {
		return err
	}
	if first.Sock == 0 {
		return errPagesNotFound // the kernel side does not know its structures
	}
	// As if both lay in the lowest GiB of their mappings.
	start := first.Sock&^(gib-1) - (first.Page&^(gib-1))*pagesScale
	for _, step := range pageSteps(memoryGiB()) {
		base := start - uint64(step)*gib
		_, right, err := tryPages(shown, pipe, base)
		if err != nil {
			return err
		}
		if !right {
			continue
		}
		if _, right, err = tryPages(shown, pipe, base); err != nil {
			return err
		} else if right {
			return l.objects.Variables["pages_at"].Set(base)
		}
	}
	return errPagesNotFound
}

// pageSteps are the multiples of 1 GiB to try on a host whose memory ends at
// that many GiB: up to so many that the socket lies higher in its mapping, and
// down to 64 for each GiB that the struct page does.
func pageSteps(end int64) []int64 {
	var steps []int64
	for step := int64(0); step <= end && len(steps) < maxTries; step++ {
		steps = append(steps, step)
	}
	for step := int64(1); step <= end/pagesScale*pagesScale && len(steps) < maxTries; step++ {
		steps = append(steps, -step)
	}
	return steps
}

// memoryGiB is where the memory of the host ends, at most: holes are smaller
// than what they interrupt.
func memoryGiB() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram*uint64(info.Unit)/gib)*2 + 16
}

// tryPages sends itself random bytes; right: the kernel side has read them with base.
func tryPages(shown *ebpf.Variable, pipe *loopback, base uint64) (seen bpfPagesTry, right bool, err error) {
	sent := make([]byte, len(seen.Bytes))
	rand.Read(sent)
	if err := shown.Set(bpfPagesTry{Base: base}); err != nil {
		return seen, false, fmt.Errorf("set an address to try: %w", err)
	}
	if err := pipe.pass(sent); err != nil {
		return seen, false, err
	}
	if err := shown.Get(&seen); err != nil {
		return seen, false, fmt.Errorf("read what was found: %w", err)
	}
	return seen, bytes.Equal(seen.Bytes[:], sent), nil
}

// loopback is a TCP connection of this process with itself.
type loopback struct{ from, to int }

func openLoopback() (_ *loopback, err error) {
	p := &loopback{from: -1, to: -1}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	listener, err := loopbackSocket()
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(listener, 1); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	address, err := unix.Getsockname(listener)
	if err != nil {
		return nil, fmt.Errorf("ask for the port: %w", err)
	}
	if p.from, err = loopbackSocket(); err != nil {
		return nil, err
	}
	if err := unix.Connect(p.from, address); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// Should somebody else be first, no byte comes and the read gives up.
	if p.to, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	return p, limitWait(p.to)
}

// loopbackSocket makes a socket whose calls do not wait for longer than loopbackWait:
// rules of a packet filter can lead even such a connection elsewhere.
func loopbackSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if err := limitWait(fd); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func limitWait(fd int) error {
	limit := unix.NsecToTimeval(int64(loopbackWait))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} { // the second also of connect
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return fmt.Errorf("limit the wait: %w", err)
		}
	}
	return nil
}

// pass sends b and reads it, in one call each.
func (p *loopback) pass(b []byte) error {
	if _, err := unix.Write(p.from, b); err != nil {
		return fmt.Errorf("write to ourselves: %w", err)
	}
	n, err := unix.Read(p.to, make([]byte, len(b)))
	if err != nil {
		return fmt.Errorf("read from ourselves: %w", err)
	}
	if n != len(b) {
		return fmt.Errorf("read from ourselves: %d of %d bytes", n, len(b))
	}
	return nil
}

func (p *loopback) close() {
	for _, fd := range []int{p.from, p.to} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
