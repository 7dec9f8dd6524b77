// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"time"

	"probe/pkg/export"
	"probe/pkg/stats"
)

// exporter is what the agent needs of the one in pkg/export.
type exporter interface {
	// Export sends a snapshot, or keeps it to be sent; the error is for the log.
	Export(ctx context.Context, s *stats.Snapshot) error
	Counters() export.Counters
	// Close sends what is left until ctx ends.
	Close(ctx context.Context) error
}

// newExporter makes an exporter; it connects to nothing yet.
func (a *Agent) newExporter(o Options) (exporter, error) {
	eo, err := o.exportOptions(a.mono)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	x, err := export.New(eo)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// exportStatus is what is shown of the way to the statsd receiver.
type exportStatus struct {
	// Connected: what was sent last has arrived, as far as can be known.
	Connected bool `json:"connected"`
	// QueueBytes and QueueLines wait to be sent.
	QueueBytes int `json:"queue_bytes"`
	QueueLines int `json:"queue_lines"`
	// Reconnects since the start.
	Reconnects uint64 `json:"reconnects"`
	// LastSuccess is the time of the last delivery, CLOCK_MONOTONIC; 0: none.
	LastSuccess time.Duration `json:"last_success_ns"`
	// Err is the last failure, "" after a success.
	Err string `json:"error,omitempty"`

	// attempted is false as long as there was nothing to send.
	attempted bool
}

// working: connected, or nothing is lost for want of a connection yet.
func (s exportStatus) working() bool {
	return s.Connected || s.QueueLines > 0 || !s.attempted
}

// exportStatus is what the deliveries so far tell; an exporter without a
// connection and without a queue knows no more.
func (a *Agent) exportStatus() exportStatus {
	d := a.deliver
	d.mu.Lock()
	defer d.mu.Unlock()
	s := exportStatus{Connected: d.attempted && d.lastErr == nil, LastSuccess: d.lastSuccess, attempted: d.attempted}
	if d.lastErr != nil {
		s.Err = d.lastErr.Error()
	}
	return s
}
