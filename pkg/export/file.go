// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// writer is the transport of stdout:. Each line ends in '\n'.
type writer struct {
	to       io.Writer
	counters *counters
}

func (w *writer) begin(context.Context) error { return nil }
func (w *writer) end() error                  { return nil }
func (w *writer) close(context.Context) error { return nil }

func (w *writer) send(_ context.Context, payload []byte, lines int) error {
	if _, err := w.to.Write(payload); err != nil {
		w.counters.errorsOther.Add(1)
		return fmt.Errorf("write lines: %w", err)
	}
	w.counters.sent(payload, lines)
	return nil
}

// file is the transport of file:///path. It appends, and opens the path again
// when another file is there, as log rotation leaves it. A named pipe without a
// reader is a receiver that is down.
type file struct {
	path     string
	counters *counters
	to       *os.File
	release  func() bool
	// torn: a pipe has the beginning of a line, which is to end before the next.
	torn bool
}

// newFile opens the file, so that a path that cannot be written is known at once.
func newFile(path string, c *counters) (*file, error) {
	f := &file{path: path, counters: c}
	if err := f.open(); err != nil && !errors.Is(err, syscall.ENXIO) { // a pipe without a reader
		return nil, fmt.Errorf("statsd target: %w", err)
	}
	return f, nil
}

func (f *file) open() (err error) {
	f.to, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	return err
}

func (f *file) begin(ctx context.Context) error {
	if f.to != nil && !f.current() {
		f.drop()
	}
	if f.to == nil {
		if err := f.open(); err != nil {
			f.counters.errorsOther.Add(1)
			return fmt.Errorf("%w: %w", errDown, err)
		}
	}
	to := f.to
	// For a pipe that nobody empties; a regular file knows no deadline.
	f.release = context.AfterFunc(ctx, func() { _ = to.SetWriteDeadline(time.Unix(1, 0)) })
	return nil
}

// current reports whether the open file is still the one at the path.
func (f *file) current() bool {
	open, err := f.to.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.path)
	return err == nil && os.SameFile(open, there)
}

func (f *file) send(_ context.Context, payload []byte, lines int) error {
	if f.torn {
		payload = append([]byte{'\n'}, payload...)
	}
	n, err := f.to.Write(payload)
	if err == nil {
		f.torn = false
		f.counters.sent(payload, lines)
		return nil
	}
	f.counters.errorsOther.Add(1)
	return errors.Join(fmt.Errorf("write lines: %w", err), f.untear(payload[:n]))
}

// untear takes back the beginning of a payload that did not fit. A pipe takes
// nothing back.
func (f *file) untear(written []byte) error {
	n := len(written)
	info, err := f.to.Stat()
	if err != nil || n == 0 {
		return err
	}
	if !info.Mode().IsRegular() {
		f.torn = written[n-1] != '\n'
		return nil
	}
	return f.to.Truncate(info.Size() - int64(n))
}

func (f *file) end() error {
	if f.release != nil && !f.release() {
		f.drop() // its deadline is over
	}
	f.release = nil
	return nil
}

func (f *file) drop() {
	// Whatever Close says, the lines were written or counted.
	_ = f.to.Close()
	f.to = nil
}

func (f *file) close(context.Context) error {
	if f.to != nil {
		f.drop()
	}
	return nil
}
