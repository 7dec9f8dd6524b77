// SPDX-License-Identifier: Apache-2.0

package agent

import "time"

// How long the pipeline sleeps between two drains of the ring (docs/adr/0002).
const (
	// liveDrain is while few records come: a trace is live, and of a process that
	// ends soon the program can still be looked up, not only its unit.
	liveDrain = 4 * time.Millisecond
	// quietDrains is after how many empty ones the pipeline does not look any more,
	// but waits for a record; at most for longestWait, because others ask it, too.
	quietDrains = 10
	longestWait = 250 * time.Millisecond
	// busyDrain is on a host without CPU to spare. Each wake-up of this program there
	// can make the scheduler put the observed server behind its own client for
	// milliseconds, so few are better; but a request may wait as long as a drain takes.
	// That signal may end it a little early.
	busyDrain = 10 * time.Millisecond
	// busyRate is from where on that is asked, in bytes a second that the ring takes
	// up: some 12,000 requests.
	busyRate = 4 << 20
	// littleIdle is the part of all CPUs' time that is idle on such a host at most.
	littleIdle = 0.04
	// shortBytes are what a drain takes at most on a host with much CPU to spare, down
	// to minDrain: some 130 requests, 40 µs. Whoever wants the CPU waits as long, and at
	// a fast server that is more than 1 in 100 requests.
	shortBytes = 40 << 10
	// muchIdle is the part that is idle there at least.
	muchIdle = 0.1
	// minDrain is when the ring fills fast; fillTarget is the part of it that one
	// interval may fill.
	minDrain   = time.Millisecond
	fillTarget = 0.25
)

// pace measures how fast the ring fills, and chooses when to look into it again.
type pace struct {
	ring   int           // bytes
	next   time.Duration // until the next drain
	waits  bool          // ... or until a record comes
	lastNS uint64        // the drain before
	quiet  int           // drains since one that found something
	spare  *spareCPU
}

// neverFills stands for a ring into which nothing comes, or as good as nothing.
const neverFills = time.Duration(1 << 62) // also as a float64

// drained says what a drain found. Returns how long the whole ring takes to fill
// if as much comes as since the drain before.
func (p *pace) drained(nowNS uint64, bytes int) (fills time.Duration) {
	// As numbers: before the first drain is the time since boot, and a product may
	// be too long for a Duration.
	elapsed := float64(nowNS - min(p.lastNS, nowNS))
	p.lastNS = nowNS
	p.quiet++
	if bytes == 0 {
		return neverFills
	}
	p.quiet = 0
	return time.Duration(min(elapsed*float64(p.ring)/float64(bytes), float64(neverFills)))
}

// choose sets next for a ring that fills so. Pressed: others want more CPU than there is.
// Busy: something is to be done without a record, too.
func (p *pace) choose(fills time.Duration, pressed, busy bool) {
	next, part := liveDrain, fillTarget
	p.waits = p.quiet > quietDrains && !busy
	many := fills.Seconds() < float64(p.ring)/busyRate
	switch {
	case p.waits:
		next = longestWait
	case pressed || many && p.spare.share(p.lastNS) < littleIdle:
		next = busyDrain
	case many && p.spare.share(p.lastNS) >= muchIdle:
		part = min(part, shortBytes/float64(p.ring))
	}
	p.next = max(min(next, time.Duration(float64(fills)*part)), minDrain)
}
