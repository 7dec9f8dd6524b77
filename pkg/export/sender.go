// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Status is the state of an Exporter or a Client for those who watch it.
type Status struct {
	// Connected: the last attempt to reach the target succeeded, or there was
	// none yet for a target without connections.
	Connected bool
	// QueueBytes and QueueLines wait for the target, or for it to confirm
	// them. 0 for targets without a queue.
	QueueBytes, QueueLines int
	// Reconnects are the connections lost so far.
	Reconnects uint64
	// LastSuccess is the time, by Options.Now, at which the target last took
	// or confirmed lines; 0 when it never did.
	LastSuccess time.Duration
	// Err is what went wrong last, "" when all is well again.
	Err string
}

// sender packs lines into payloads and sends them. What Exporter and Client
// have in common; not safe for concurrent use but for status.
type sender struct {
	opt       Options
	counters  *counters
	packer    *Packer
	transport transport
	// paced: packets go in bursts.
	paced bool
	now   delivery
	// wait sleeps; tests replace it.
	wait func(context.Context, time.Duration)

	mu    sync.Mutex
	state Status
}

// delivery is the state between begin and end.
type delivery struct {
	ctx context.Context
	// down is true when nothing more can be sent.
	down bool
	// firstErr is the first failure, dropped the lines lost.
	firstErr error
	dropped  uint64
	// burst is the number of packets since the last pause, sent all of them.
	burst, sent int
}

func newSender(opt Options, c *counters) (*sender, error) {
	t, err := newTransport(opt, c)
	if err != nil {
		return nil, err
	}
	s := &sender{opt: opt, counters: c, transport: t, wait: wait}
	s.state.Connected = !opt.Target.Stream()
	framing := Stream
	if opt.Target.Scheme == UDP || opt.Target.Scheme == Unixgram {
		framing = Datagram
	}
	s.paced = opt.Target.Scheme == UDP && opt.BurstPackets > 0
	s.packer = NewPacker(opt.payloadLimit(), framing, s.deliver)
	return s, nil
}

func (s *sender) begin(ctx context.Context) {
	s.now = delivery{ctx: ctx}
	if err := s.transport.begin(ctx); err != nil {
		s.now.down, s.now.firstErr = true, err
	}
}

// end sends what is packed and returns what went wrong since begin.
func (s *sender) end() error {
	s.packer.Flush()
	tooLong := s.packer.TooLong() - s.counters.linesTooLong.Load()
	s.counters.linesTooLong.Add(tooLong)
	err := s.transport.end()
	d := s.now
	s.now = delivery{}
	switch {
	case tooLong > 0 && d.firstErr == nil && err == nil:
		err = fmt.Errorf("%d lines dropped: longer than a payload of %d bytes, leave out tags or shorten them", tooLong, s.opt.payloadLimit())
	case d.dropped > 0:
		err = fmt.Errorf("%d lines dropped: %w", d.dropped, d.firstErr)
	case d.firstErr != nil: // there was nothing to send
		err = d.firstErr
	}
	s.note(d, err)
	if err != nil {
		return fmt.Errorf("export to %s: %w", strings.TrimSuffix(s.opt.Target.String(), ":"), err)
	}
	return nil
}

// note keeps the state of a target without a queue.
func (s *sender) note(d delivery, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Connected, s.state.Err = !d.down, ""
	if err != nil {
		s.state.Err = err.Error()
	}
	if d.sent > 0 && s.opt.Now != nil {
		s.state.LastSuccess = s.opt.Now()
	}
}

func (s *sender) status() Status {
	if stream, ok := s.transport.(*stream); ok {
		return stream.status()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	st.Reconnects = s.counters.reconnects.Load()
	return st
}

// deliver sends or drops one payload of the Packer.
func (s *sender) deliver(payload []byte, lines int) {
	d := &s.now
	if !d.down {
		s.pace()
	}
	if d.down {
		s.drop(lines)
		return
	}
	if err := s.transport.send(d.ctx, payload, lines); err != nil {
		d.down = errors.Is(err, errDown)
		if d.firstErr == nil {
			d.firstErr = err
		}
		s.drop(lines)
		return
	}
	d.burst++
	d.sent++
}

func (s *sender) drop(lines int) {
	s.now.dropped += uint64(lines)
	s.counters.linesDropped.Add(uint64(lines))
}

// pace waits after each burst, or ends the delivery when its time is over. A
// queue takes lines for as long as they are given.
func (s *sender) pace() {
	d := &s.now
	if s.paced && d.burst >= s.opt.BurstPackets {
		d.burst = 0
		s.wait(d.ctx, s.opt.BurstPause)
	}
	if s.opt.Target.Stream() {
		return
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
