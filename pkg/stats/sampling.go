// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"sync"
	"time"
)

// sampling is the goroutine of a Snapshotter.
type sampling struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

func (r *sampling) active() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running()
}

// running is called with mu held; a loop whose context ended runs no more.
func (r *sampling) running() bool {
	if r.cancel == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

func (r *sampling) start(ctx context.Context, loop func(context.Context)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running() {
		return
	}
	if r.cancel != nil {
		r.cancel()
	}
	ctx, r.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	r.done = done
	go func() {
		defer close(done)
		loop(ctx)
	}()
}

func (r *sampling) stop() {
	r.mu.Lock()
	cancel, done := r.cancel, r.done
	r.cancel = nil
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
}

// loop looks at once and then at start + n × Interval: a look that takes long
// or begins late does not move the ones after it.
func (s *Snapshotter) loop(ctx context.Context) {
	if s.opt.Reader == nil {
		<-ctx.Done()
		return
	}
	start := s.opt.Now()
	s.look()
	timer := time.NewTimer(s.opt.Interval)
	defer timer.Stop()
	for n := int64(1); ; {
		next, skipped := nextTick(start, s.opt.Interval, n, s.opt.Now())
		s.books.skipped.Add(uint64(skipped))
		n += skipped + 1
		timer.Reset(next)
		select {
		case <-timer.C:
			s.look()
		case <-ctx.Done():
			return
		}
	}
}

// nextTick returns how long to wait for the n-th tick, or, when that is in the
// past, for the next one that is not, and how many were left out.
func nextTick(start, interval time.Duration, n int64, now time.Duration) (wait time.Duration, skipped int64) {
	wait = start + time.Duration(n)*interval - now
	if wait < 0 {
		skipped = int64((-wait + interval - 1) / interval)
		wait += time.Duration(skipped) * interval
	}
	return wait, skipped
}

func (s *Snapshotter) look() {
	state, err := s.opt.Reader.ReadHost(s.opt.Now())
	if err != nil {
		s.books.failed.Add(1)
		return
	}
	s.Push(state)
}
