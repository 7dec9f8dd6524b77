// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// dialTimeout bounds one attempt to connect to one address.
	dialTimeout = 5 * time.Second
	// ackedFirst and ackedLast are the first and the longest wait before the
	// kernel is asked again what arrived, while something is on its way and
	// nothing is left to write; closingFirst is the first one in Close.
	ackedFirst   = 100 * time.Millisecond
	ackedLast    = time.Second
	closingFirst = time.Millisecond
	// streamPause follows each streamBurst bytes, so that the peer reads
	// meanwhile and has little unread if it is killed.
	streamBurst = 64 << 10
	streamPause = time.Millisecond
	// steadyAfter is how long a connection must last for the next failure to
	// be a first one.
	steadyAfter = time.Second
	// safeClose bounds Close when a spool keeps the lines anyway.
	safeClose = time.Second
	// sayEvery is the time between two reports of the same trouble.
	sayEvery = time.Minute
)

// errFull: lines were dropped because the queue or the spool is full or they
// were too old.
var errFull = errors.New("queue is full")

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

	connected atomic.Bool
	// away: the last attempt to connect failed, or the connection was lost.
	away        atomic.Bool
	lastSuccess atomic.Int64 // time.Duration
	dropped     int          // in this Export
	trouble     error        // in this Export, about the spool
	said        said

	mu      sync.Mutex
	lastErr error
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
	var kind, err error
	switch {
	case s.trouble != nil:
		kind, err = ErrSpool, s.trouble
	case s.dropped > 0:
		kind, err = errFull, fmt.Errorf("%w: %d lines dropped, oldest first", errFull, s.dropped)
	case !s.connected.Load() && s.err() != nil:
		_, lines := s.queue.waiting()
		kind, err = errDown, fmt.Errorf("%w, %d lines wait: %w", errDown, lines, s.err())
	}
	now := s.opt.Now()
	if kind != nil && kind == s.said.kind && now-s.said.at < sayEvery {
		return nil
	}
	s.said = said{kind, now}
	return err
}

// run keeps a connection until ctx ends.
func (s *stream) run(ctx context.Context) {
	defer close(s.done)
	flushing := s.flushing
	for ctx.Err() == nil {
		since := s.opt.Now()
		l, err := s.connect(ctx)
		if err == nil {
			err = s.serve(ctx, l)
			if s.opt.Now()-since >= steadyAfter {
				s.backoff.Reset()
			}
			if ctx.Err() == nil {
				s.counters.reconnects.Add(1)
			}
		}
		s.setErr(err)
		s.away.Store(true)
		s.queue.wakeUp()
		select {
		case <-ctx.Done():
		case <-flushing:
			flushing = nil // once: the time for it is short
		case <-time.After(s.backoff.NextBackOff()):
		}
	}
}

// connect tries each address of the target once.
func (s *stream) connect(ctx context.Context) (*link, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	if s.opt.Target.Scheme != TCP {
		conn, err := dialer.DialContext(ctx, "unix", s.opt.Target.Path)
		if err != nil {
			s.counters.errorsConnect.Add(1)
			return nil, fmt.Errorf("connect: %w", err)
		}
		return newLink(conn, s.opt)
	}
	addresses, err := s.resolve(ctx)
	if err != nil {
		s.counters.errorsUnresolved.Add(1)
		return nil, fmt.Errorf("%w: %w", errUnresolved, err)
	}
	var all error
	for _, a := range addresses {
		conn, err := dialer.DialContext(ctx, "tcp", a.String())
		if err == nil {
			return newLink(conn, s.opt)
		}
		s.counters.errorsConnect.Add(1)
		all = errors.Join(all, fmt.Errorf("connect: %w", err))
	}
	return nil, all
}

func (s *stream) resolve(ctx context.Context) ([]netip.AddrPort, error) {
	t := s.opt.Target
	if ip, err := netip.ParseAddr(t.Host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, t.Port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opt.ResolveTimeout)
	defer cancel()
	found, err := s.opt.Resolver.LookupNetIP(ctx, "ip", t.Host)
	if err == nil && len(found) == 0 {
		err = errors.New("no addresses")
	}
	return ordered(found, t.Port), err
}

// serve writes the queue to a connection until one of them ends, and returns
// why the connection did.
func (s *stream) serve(ctx context.Context, l *link) error {
	s.connected.Store(true)
	s.away.Store(false)
	defer s.connected.Store(false)
	release := context.AfterFunc(ctx, l.interrupt)
	defer release()
	burst := 0
	for ctx.Err() == nil && !l.hasEnded() {
		chunk := s.queue.take(s.opt.Now())
		if chunk == nil {
			s.confirm(l)
			burst = 0
			s.idle(ctx, l)
			continue
		}
		n, err := l.write(chunk)
		s.queue.wrote(n)
		s.counters.packetsSent.Add(1)
		s.counters.bytesSent.Add(uint64(n))
		s.confirm(l)
		if err != nil {
			break
		}
		if burst += n; burst >= streamBurst {
			burst = 0
			time.Sleep(streamPause)
		}
	}
	end := l.finish()
	s.confirmed(end.confirmed)
	s.queue.rewind(end.reset, s.opt.Now())
	return end.err
}

// idle waits for lines, for the end of the connection, or until it is time to
// ask again what arrived; with nothing on its way it does not wake up.
func (s *stream) idle(ctx context.Context, l *link) {
	wait, flushing := ackedFirst, s.flushing
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if l.unconfirmed() == 0 {
			timer.Stop()
		}
		select {
		case <-s.wake:
			return
		case <-ctx.Done():
			return
		case <-l.ended:
			return
		case <-flushing:
			wait, flushing = closingFirst, nil
			timer.Reset(wait)
		case <-timer.C:
			s.confirm(l)
			wait = min(2*wait, ackedLast)
			timer.Reset(wait)
		}
	}
}

// confirm asks the kernel what arrived and tells the queue.
func (s *stream) confirm(l *link) {
	n := l.newlyConfirmed()
	s.queue.keepForReplay(l.unreadEstimate())
	s.confirmed(n)
}

func (s *stream) confirmed(n uint64) {
	if n > 0 {
		now := s.opt.Now()
		s.lastSuccess.Store(int64(now))
		s.queue.confirm(n, now)
		s.setErr(nil)
	}
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
