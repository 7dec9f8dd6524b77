// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waiter sleeps until the kernel side writes a record, in a way that the Go
// scheduler knows of: nothing else of the program need run meanwhile.
type waiter struct {
	ring  *ring
	ready *os.File // the ring, as the runtime's poller watches it
	asks  func(bool) error
	timer *time.Timer
}

func newWaiter(r *ring, fd int, asks func(bool) error) (*waiter, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate the ring buffer's descriptor: %w", err)
	}
	if err := unix.SetNonblock(own, true); err != nil { // else the poller does not take it
		return nil, errors.Join(fmt.Errorf("watch the ring buffer: %w", err), unix.Close(own))
	}
	w := &waiter{ring: r, ready: os.NewFile(uintptr(own), "ring buffer"), asks: asks}
	if err := w.ready.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the ring buffer: %w", err), w.ready.Close())
	}
	w.timer = time.AfterFunc(time.Hour, w.end)
	w.timer.Stop()
	return w, nil
}

// end ends a wait. It can only fail after close, when there is none.
func (w *waiter) end() { _ = w.ready.SetReadDeadline(time.Unix(1, 0)) }

// wait returns when a record is in the ring, and after d at the latest.
func (w *waiter) wait(d time.Duration) error {
	raw, err := w.ready.SyscallConn()
	if err != nil {
		return err
	}
	if err := w.ready.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := w.asks(true); err != nil {
		return err
	}
	w.timer.Reset(d)
	err = raw.Read(func(uintptr) bool { return w.ring.filled() > 0 })
	w.timer.Stop()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, w.asks(false))
}

// close frees it; it may be called twice.
func (w *waiter) close() error {
	w.timer.Stop()
	if err := w.ready.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Wait blocks until a record is in the ring, for about d at most; it may end early.
// The kernel side wakes it up at the first record, which costs the process that
// record is of some microseconds: it is for times when few come. One that is being
// written when the wait begins may be found at its end only.
func (l *Loader) Wait(d time.Duration) error {
	if l.ring == nil {
		return errors.New("wait for the ring buffer: closed")
	}
	if err := l.waiter.wait(d); err != nil {
		return fmt.Errorf("wait for the ring buffer: %w", err)
	}
	return nil
}

// EndWait ends the Wait that is under way in another goroutine, if there is one. It
// may be called at any time, also after Close.
func (l *Loader) EndWait() {
	if l.waiter != nil {
		l.waiter.end()
	}
}

// askForWake tells the kernel side whether to wake the reader at the next record.
func (l *Loader) askForWake(wake bool) error {
	asks := uint32(0)
	if wake {
		asks = 1
	}
	return l.objects.Variables["reader_waits"].Set(asks)
}
