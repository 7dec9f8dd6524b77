// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
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
)

// run keeps a connection until ctx ends.
func (s *stream) run(ctx context.Context) {
	defer close(s.done)
	flushing := s.flushing
	for ctx.Err() == nil {
		since := s.opt.Now()
		l, err := s.connect(ctx)
		if err == nil {
			err = s.serve(ctx, l)
			if errors.Is(err, syscall.ETIMEDOUT) {
				s.setStalled(err)
			}
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
	found, err := s.opt.lookUp(ctx)
	return ordered(found, t.Port), err
}

// serve writes the queue to a connection until one of them ends, and returns
// why the connection did.
func (s *stream) serve(ctx context.Context, l *link) error {
	s.connectedAt.Store(int64(s.opt.Now()))
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
