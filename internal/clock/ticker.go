// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"context"
	"fmt"
	"time"
)

// Tick says which tick fired and how punctual it was. Times are nanoseconds of
// CLOCK_MONOTONIC.
type Tick struct {
	// N counts from 1. It jumps where ticks were missed.
	N uint64
	// DueNS is start + N*interval; intervals are measured between these.
	DueNS uint64
	// AtNS is when the tick was delivered, never before DueNS.
	AtNS uint64
	// Missed is how many earlier ticks passed unnoticed since the last one,
	// because the consumer was busy or the machine was suspended.
	Missed uint64
}

// Ticker paces a loop: the n-th tick is at start + n*interval, so lateness of
// one tick never moves the next. It starts no goroutine and belongs to one
// goroutine at a time.
type Ticker struct {
	clock      *Clock
	startNS    uint64
	intervalNS uint64
	lastN      uint64
	sleep      func(context.Context, time.Duration) error
}

// NewTicker returns a Ticker that starts now. The interval must be positive.
func (c *Clock) NewTicker(interval time.Duration) (*Ticker, error) {
	if interval <= 0 {
		return nil, fmt.Errorf("start ticker: interval %v is not positive", interval)
	}
	return &Ticker{
		clock:      c,
		startNS:    c.Now(),
		intervalNS: uint64(interval),
		sleep:      sleep,
	}, nil
}

// Wait blocks until the next tick is due and returns it. A tick that is already
// past and not yet delivered comes at once; of several such only the latest, the
// others are counted in Missed. The only error is that of ctx.
func (t *Ticker) Wait(ctx context.Context) (Tick, error) {
	nowNS := t.clock.Now()
	n := max(t.elapsed(nowNS), t.lastN+1)
	dueNS := t.startNS + n*t.intervalNS
	// The timer may be a little early by our clock, hence the loop.
	for nowNS < dueNS {
		if err := t.sleep(ctx, time.Duration(dueNS-nowNS)); err != nil {
			return Tick{}, err
		}
		nowNS = t.clock.Now()
	}
	if err := ctx.Err(); err != nil {
		return Tick{}, err
	}
	tick := Tick{N: n, DueNS: dueNS, AtNS: nowNS, Missed: n - t.lastN - 1}
	t.lastN = n
	return tick, nil
}

// elapsed is the number of whole intervals since the start.
func (t *Ticker) elapsed(nowNS uint64) uint64 { return (nowNS - t.startNS) / t.intervalNS }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
