// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// alarmShare is the part of the ring that must be filled for an alarm.
const alarmShare = 4

// Alarm tells that the ring fills though its reader drains it in time: the reader
// does not get a CPU. Its user waits in a thread that does.
type Alarm struct {
	ring  *ring
	epoll int
	stop  int // an eventfd
}

// Alarm begins to listen. The caller closes it before the Loader.
func (l *Loader) Alarm() (*Alarm, error) {
	if l.ring == nil {
		return nil, errors.New("listen for a full ring buffer: closed")
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("listen for a full ring buffer: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for a full ring buffer: %w", err), unix.Close(epoll))
	}
	a := &Alarm{ring: l.ring, epoll: epoll, stop: stop}
	// By its level the ring is ready as long as a record is in it; the edge is
	// what the kernel side gives at a quarter.
	err = errors.Join(
		a.listen(l.objects.Maps["http_events"].FD(), unix.EPOLLIN|unix.EPOLLET),
		a.listen(stop, unix.EPOLLIN),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for a full ring buffer: %w", err), a.Close())
	}
	return a, nil
}

func (a *Alarm) listen(fd int, events uint32) error {
	return unix.EpollCtl(a.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// Wait blocks its thread until a quarter of the ring is filled; false after Stop.
func (a *Alarm) Wait() (bool, error) {
	for {
		var events [2]unix.EpollEvent
		n, err := unix.EpollWait(a.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			return false, fmt.Errorf("wait for a full ring buffer: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == a.stop {
				return false, nil
			}
		}
		if n > 0 && a.ring.filled() >= len(a.ring.data)/alarmShare {
			return true, nil
		}
	}
}

// Stop ends Wait, now and from now on.
func (a *Alarm) Stop() error {
	if _, err := unix.Write(a.stop, binary.NativeEndian.AppendUint64(nil, 1)); err != nil {
		return fmt.Errorf("end the wait for a full ring buffer: %w", err)
	}
	return nil
}

// Close frees it; no Wait may be under way.
func (a *Alarm) Close() error { return errors.Join(unix.Close(a.epoll), unix.Close(a.stop)) }
