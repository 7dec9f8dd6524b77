// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"fmt"
	"io"
)

// transport sends payloads. It counts its errors; the Exporter counts lines.
type transport interface {
	// begin gets ready for the payloads of one Export, within ctx. After an
	// error send must not be called until the next begin.
	begin(ctx context.Context) error
	// send sends one payload of so many lines, or returns why it is lost; ctx is
	// that of begin. An
	// error that wraps errDown means that the next ones would be lost as well.
	send(ctx context.Context, payload []byte, lines int) error
	// end follows each begin, successful or not.
	end()
	close() error
}

// writer is the transport of stdout:. Each line ends in '\n'.
type writer struct {
	to       io.Writer
	counters *counters
}

func (w *writer) begin(context.Context) error { return nil }
func (w *writer) end()                        {}
func (w *writer) close() error                { return nil }

func (w *writer) send(_ context.Context, payload []byte, _ int) error {
	if _, err := w.to.Write(payload); err != nil {
		w.counters.errorsOther.Add(1)
		return fmt.Errorf("write lines: %w", err)
	}
	return nil
}
