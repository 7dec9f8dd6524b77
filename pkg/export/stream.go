// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// safeClose bounds Close when a spool keeps the lines anyway.
	safeClose = time.Second
	// sayEvery is the time between two reports of the same trouble: a little less
	// than the minute after which who logs them takes silence for success.
	sayEvery = time.Minute - 5*time.Second
	// stalledAfter is how long a connected receiver may take nothing; less than
	// tcpUserTimeout, which begins anew.
	stalledAfter = 25 * time.Second
)

// errFull: lines were dropped because the queue or the spool is full or they
// were too old.
var errFull = errors.New("queue is full")

// errStalled: the receiver is connected and takes nothing.
var errStalled = errors.New("the receiver takes nothing")

// stream is the transport of targets that confirm what arrived. Export only
// fills the queue; one goroutine, started by the first Export, keeps a
// connection and empties it.
type stream struct {
	opt      Options
	counters *counters
	queue    *queue
	backoff  *backoff.ExponentialBackOff

	// wake tells run that there is work, flushing that Close wants it done.
	wake     chan struct{}
	flushing chan struct{}
	stop     context.CancelFunc
	done     chan struct{}
	start    sync.Once

	connected   atomic.Bool
	connectedAt atomic.Int64 // time.Duration
	// away: the last attempt to connect failed, or the connection was lost.
	away        atomic.Bool
	lastSuccess atomic.Int64 // time.Duration
	dropped     int          // in this Export
	trouble     error        // in this Export, about the spool
	said        said

	mu      sync.Mutex
	lastErr error
	// stalled: a connection has ended, since the last Export, because the peer
	// took nothing. That the next one is up again says little.
	stalled error
}

// said is the trouble that Export reported last, and when.
type said struct {
	kind error
	at   time.Duration
}

func newStream(opt Options, c *counters) (*stream, error) {
	q, err := newQueue(opt, c)
	if err != nil {
		return nil, err
	}
	s := &stream{
		opt: opt, counters: c, queue: q, backoff: opt.newBackoff(),
		wake: make(chan struct{}, 1), flushing: make(chan struct{}), done: make(chan struct{}),
	}
	return s, nil
}

func (s *stream) begin(context.Context) error {
	s.start.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		s.stop = stop
		go s.run(ctx)
	})
	s.dropped, s.trouble = 0, nil
	return nil
}

// send puts a payload into the queue. It waits for room rather than drop lines,
// unless the peer is known to be away.
func (s *stream) send(ctx context.Context, payload []byte, lines int) error {
	for s.queue.full(len(payload)) && !s.away.Load() && ctx.Err() == nil {
		room := s.queue.roomMade()
		if !s.queue.full(len(payload)) {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
	dropped, err := s.queue.push(payload, lines, s.opt.Now())
	s.dropped += dropped
	if err != nil {
		s.trouble = err
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// end reports trouble when it is new, and then once a minute.
func (s *stream) end() error {
	now := s.opt.Now()
	kind, err := s.peerTrouble(now)
	switch {
	case s.trouble != nil:
		kind, err = ErrSpool, s.trouble
	case s.dropped > 0 && err != nil:
		kind, err = errFull, fmt.Errorf("%w: %d lines dropped, oldest first: %w", errFull, s.dropped, err)
	case s.dropped > 0:
		kind, err = errFull, fmt.Errorf("%w: %d lines dropped, oldest first", errFull, s.dropped)
	}
	if kind != nil && kind == s.said.kind && now-s.said.at < sayEvery {
		return nil
	}
	s.said = said{kind, now}
	return err
}

// peerTrouble is what the receiver does or does not do; nil: all is well.
func (s *stream) peerTrouble(now time.Duration) (kind, err error) {
	stalled := s.takeStalled()
	_, lines := s.queue.waiting()
	switch {
	case stalled != nil:
		return errStalled, fmt.Errorf("%w, %d lines wait: %w", errStalled, lines, stalled)
	case !s.connected.Load():
		if down := s.err(); down != nil {
			return errDown, fmt.Errorf("%w, %d lines wait: %w", errDown, lines, down)
		}
		return nil, nil
	}
	waits := now - max(s.queue.waitsSince(now), time.Duration(s.connectedAt.Load()))
	if waits < stalledAfter {
		return nil, nil
	}
	return errStalled, fmt.Errorf("%w for %v now, %d lines wait: it is connected but does not read", errStalled, waits.Round(time.Second), lines)
}

func (s *stream) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastErr
}

func (s *stream) setErr(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr = err
}

func (s *stream) takeStalled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.stalled
	s.stalled = nil
	return err
}

func (s *stream) setStalled(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = err
}

func (s *stream) status() Status {
	st := Status{
		Connected: s.connected.Load(), Reconnects: s.counters.reconnects.Load(),
		LastSuccess: time.Duration(s.lastSuccess.Load()),
	}
	st.QueueBytes, st.QueueLines = s.queue.waiting()
	if err := s.err(); err != nil {
		st.Err = err.Error()
	}
	return st
}

// close delivers what waits until ctx ends. What is left stays in the spool,
// or is dropped and counted.
func (s *stream) close(ctx context.Context) error {
	s.start.Do(func() { close(s.done) }) // never started
	if s.stop != nil {
		close(s.flushing)
		wait, cancel := ctx, context.CancelFunc(func() {})
		if s.opt.SpoolDir != "" {
			wait, cancel = context.WithTimeout(ctx, safeClose)
		}
		s.waitEmpty(wait)
		cancel()
		s.stop()
		<-s.done
	}
	lines := s.queue.abandon()
	err := s.queue.close()
	if lines > 0 {
		err = errors.Join(err, fmt.Errorf("%d lines not delivered to %s", lines, s.opt.Target))
	}
	return err
}

func (s *stream) waitEmpty(ctx context.Context) {
	for ctx.Err() == nil {
		room := s.queue.roomMade()
		if _, lines := s.queue.waiting(); lines == 0 {
			return
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}
