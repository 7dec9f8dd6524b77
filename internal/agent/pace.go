// SPDX-License-Identifier: Apache-2.0

package agent

import "time"

// How long the pipeline sleeps between two drains of the ring (docs/adr/0002).
const (
	// liveDrain is while few records come: a trace is live, and a process that
	// ends soon can still be looked up.
	liveDrain = 4 * time.Millisecond
	// quietDrain is after quietDrains empty ones; it stays below the 10 ms after
	// which a signal of the Go scheduler would end the sleep (yieldEvery).
	quietDrain  = 8 * time.Millisecond
	quietDrains = 25
	// busyDrain is on a busy host. Each wake-up of this program there can make the
	// scheduler put the observed server behind its own client for milliseconds, so
	// few are better; but a request may wait as long as a drain takes. That signal
	// may end it a little early.
	busyDrain = 10 * time.Millisecond
	// busyRate is what the ring of a busy host takes up, in bytes a second: some
	// 12,000 requests.
	busyRate = 4 << 20
	// minDrain is when the ring fills fast; fillTarget is the part of it that one
	// interval may fill.
	minDrain   = time.Millisecond
	fillTarget = 0.25
)

// pace chooses when to look into the ring again.
type pace struct {
	ring   int           // bytes
	next   time.Duration // until the next drain
	lastNS uint64        // the drain before
	quiet  int           // drains since one that found something
}

// drained says what a drain found. Pressed: the host has no CPU to spare.
func (p *pace) drained(nowNS uint64, bytes int, pressed bool) {
	elapsed := float64(nowNS - min(p.lastNS, nowNS))
	p.lastNS = nowNS
	p.quiet++
	if bytes > 0 {
		p.quiet = 0
	}
	next := liveDrain
	switch {
	case pressed || float64(bytes)*float64(time.Second) > busyRate*elapsed:
		next = busyDrain
	case p.quiet > quietDrains:
		next = quietDrain
	}
	// What came in this time will come in the next.
	if bytes > 0 {
		// As numbers: before the first drain is the time since boot, and may be too
		// long for a Duration.
		next = time.Duration(min(float64(next), elapsed*fillTarget*float64(p.ring)/float64(bytes)))
	}
	p.next = max(next, minDrain)
}
