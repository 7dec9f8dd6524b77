// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"probe/pkg/stats"
)

// ErrClosed is returned by everything that sends after Close.
var ErrClosed = errors.New("exporter is closed")

// Exporter sends Snapshots. For targets with a queue it has one goroutine, from
// the first Export to Close; for all others none.
type Exporter struct {
	counters counters

	// mu lets one Export run at a time; it guards what follows.
	mu sync.Mutex
	*sender
	encoder  *Encoder
	closed   bool
	together []byte
}

// New checks the options and returns an Exporter. It sends nothing and looks up
// nothing: a receiver that is not there yet is no error. A file that cannot be
// opened is one, and a spool directory that cannot be used, which wraps ErrSpool.
func New(opt Options) (*Exporter, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("set up exporter: %w", err)
	}
	opt = opt.withDefaults()
	encoder, err := NewEncoder(opt.encoder())
	if err != nil {
		return nil, fmt.Errorf("set up exporter: %w", err)
	}
	x := &Exporter{encoder: encoder}
	if x.sender, err = newSender(opt, &x.counters); err != nil {
		return nil, fmt.Errorf("set up exporter: %w", err)
	}
	return x, nil
}

// Export sends everything in s, counters and gauges first, because a receiver
// that falls behind loses the end. It takes at most Options.Timeout.
//
// To targets without a queue it retries nothing: lines that cannot be sent are
// dropped and counted, and the error says why and how many. For targets with a
// queue it returns when all lines are in it; the error says that the target is
// down or does not read, that old lines were dropped to make room, or what is
// wrong with the spool: at once when that is new, and then about once a minute.
// The Exporter remains usable.
func (x *Exporter) Export(ctx context.Context, s *stats.Snapshot) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, x.opt.Timeout)
	defer cancel()
	x.begin(ctx)
	x.encode(s)
	return x.end()
}

func (x *Exporter) encode(s *stats.Snapshot) {
	p, e := x.packer, x.encoder
	for i := range s.Self {
		p.Commit(e.AppendSelf(p.Buffer(), &s.Self[i]))
	}
	gauges := e.MergeInFlight(s.InFlight)
	for i := range gauges {
		x.together = e.AppendInFlight(x.together[:0], &gauges[i])
		p.AddTogether(x.together)
	}
	if s.Host != nil {
		p.Commit(e.AppendHost(p.Buffer(), s.Host))
	}
	p.Commit(e.AppendDelays(p.Buffer(), s.Delays))
	for i := range s.Series {
		p.Commit(e.AppendCounts(p.Buffer(), &s.Series[i]))
	}
	for i := range s.Series {
		p.Commit(e.AppendTimings(p.Buffer(), &s.Series[i]))
	}
	p.Flush()
	e.EndInterval()
}

// Counters returns the books; it does not wait for a running Export. To export
// them, hand them to the Recorder before each Flush:
// x.Counters().Report(recorder.SetSelf).
func (x *Exporter) Counters() Counters { return x.counters.load() }

// Status returns the state of the target and the queue; it does not wait for a
// running Export.
func (x *Exporter) Status() Status { return x.status() }

// Close waits for a running Export, delivers what is queued until ctx ends, and
// closes everything. Lines that are left stay in the spool; without one they
// are dropped and counted, and the error says so. A second Close does nothing.
func (x *Exporter) Close(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	if err := x.transport.close(ctx); err != nil {
		return fmt.Errorf("close exporter: %w", err)
	}
	return nil
}
