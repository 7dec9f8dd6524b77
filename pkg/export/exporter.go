// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"probe/pkg/stats"
)

// ErrClosed is returned by Export after Close.
var ErrClosed = errors.New("exporter is closed")

// Exporter sends Snapshots. It owns its socket and starts no goroutine.
type Exporter struct {
	opt      Options
	counters counters

	// mu lets one Export run at a time; it guards what follows.
	mu        sync.Mutex
	encoder   *Encoder
	packer    *Packer
	transport transport
	paced     bool
	closed    bool
	together  []byte
	now       delivery
	// wait sleeps; tests replace it.
	wait func(context.Context, time.Duration)
}

// delivery is the state of one Export.
type delivery struct {
	ctx context.Context
	// down is true when nothing more can be sent.
	down bool
	// firstErr is the first failure, dropped the lines lost.
	firstErr error
	dropped  uint64
	// burst is the number of packets since the last pause.
	burst int
}

// New checks the options and returns an Exporter. It sends nothing and looks up
// nothing: a receiver that is not there yet is no error.
func New(opt Options) (*Exporter, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("set up exporter: %w", err)
	}
	opt = opt.withDefaults()
	encoder, err := NewEncoder(EncoderOptions{
		Prefix: opt.Prefix, Host: opt.Host, Dialect: opt.Dialect, MaxCached: opt.MaxCached,
	})
	if err != nil {
		return nil, fmt.Errorf("set up exporter: %w", err)
	}
	x := &Exporter{opt: opt, encoder: encoder, wait: wait}
	if opt.Target.Scheme == UDP {
		x.transport, x.paced = newUDP(opt, &x.counters), opt.BurstPackets > 0
		x.packer = NewPacker(opt.MaxPayload, Datagram, x.deliver)
		return x, nil
	}
	x.transport = &writer{to: opt.Stdout, counters: &x.counters}
	x.packer = NewPacker(streamPayload, Stream, x.deliver)
	return x, nil
}

// Export sends everything in s, counters and gauges first, because a receiver
// that falls behind loses the end. It takes at most Options.Timeout and retries
// nothing: lines that cannot be sent are dropped and counted, and the error
// says why and how many. The Exporter remains usable.
func (x *Exporter) Export(ctx context.Context, s *stats.Snapshot) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, x.opt.Timeout)
	defer cancel()
	x.now = delivery{ctx: ctx}
	if err := x.transport.begin(ctx); err != nil {
		x.now.down, x.now.firstErr = true, err
	}
	x.encode(s)
	x.transport.end()
	dropped, err := x.now.dropped, x.now.firstErr
	x.now = delivery{}
	if err != nil {
		return fmt.Errorf("export to %s: %d lines dropped: %w", x.opt.Target, dropped, err)
	}
	return nil
}

func (x *Exporter) encode(s *stats.Snapshot) {
	p, e := x.packer, x.encoder
	tooLong := p.TooLong()
	for i := range s.Self {
		p.Commit(e.AppendSelf(p.Buffer(), &s.Self[i]))
	}
	for i := range s.InFlight {
		x.together = e.AppendInFlight(x.together[:0], &s.InFlight[i])
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
	x.counters.linesTooLong.Add(p.TooLong() - tooLong)
}

// deliver sends or drops one payload of the Packer.
func (x *Exporter) deliver(payload []byte, lines int) {
	d := &x.now
	if !d.down {
		x.pace()
	}
	if d.down {
		x.drop(lines)
		return
	}
	if err := x.transport.send(d.ctx, payload, lines); err != nil {
		d.down = errors.Is(err, errDown)
		if d.firstErr == nil {
			d.firstErr = err
		}
		x.drop(lines)
		return
	}
	d.burst++
	x.counters.packetsSent.Add(1)
	x.counters.bytesSent.Add(uint64(len(payload)))
	x.counters.linesSent.Add(uint64(lines))
}

func (x *Exporter) drop(lines int) {
	x.now.dropped += uint64(lines)
	x.counters.linesDropped.Add(uint64(lines))
}

// pace waits after each burst, or ends the delivery when its time is over.
func (x *Exporter) pace() {
	d := &x.now
	if x.paced && d.burst >= x.opt.BurstPackets {
		d.burst = 0
		x.wait(d.ctx, x.opt.BurstPause)
	}
	if err := d.ctx.Err(); err != nil {
		d.down = true
		if d.firstErr == nil {
			d.firstErr = fmt.Errorf("out of time: %w", err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Counters returns the books; it does not wait for a running Export. To export
// them, hand them to the Recorder before each Flush:
// x.Counters().Report(recorder.SetSelf).
func (x *Exporter) Counters() Counters { return x.counters.load() }

// Close waits for a running Export and closes the socket. There is nothing to
// flush: each Export sends all it was given. A second Close does nothing.
func (x *Exporter) Close(context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	if err := x.transport.close(); err != nil {
		return fmt.Errorf("close exporter: %w", err)
	}
	return nil
}
