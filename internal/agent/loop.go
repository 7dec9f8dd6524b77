// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"time"

	"probe/internal/clock"
	"probe/pkg/events"
	"probe/pkg/stats"
)

const (
	// forgetEvery is between two looks for processes and services that are idle.
	forgetEvery = time.Minute
	// resyncEvery is between two looks at wall time, which can be set at any moment.
	// One takes 27 readings of clocks, 5 µs.
	resyncEvery = time.Second
)

// loop is the pipeline: drain, sweep, flush, until ctx ends.
func (a *Agent) loop(ctx context.Context) error {
	now := a.clock.Now()
	a.nextFlush = now + uint64(a.live.Interval)
	a.nextLog = now + uint64(a.live.LogInterval)
	a.nextForget = now + uint64(forgetEvery)
	a.nextResync = now + uint64(resyncEvery)
	a.stats.Start()
	a.mailbox.onQuestion(a.kernel.EndWait)
	defer context.AfterFunc(ctx, a.kernel.EndWait)()
	sleeper, err := clock.NewSleeper()
	if err != nil {
		return err
	}
	defer sleeper.Close()
	defer a.parts.pipeline.end()
	for ctx.Err() == nil {
		dueNS, err := a.rest(sleeper)
		if err != nil {
			return err
		}
		a.parts.enter(stageReader)
		bytes, err := a.take()
		if err != nil {
			return err
		}
		fills := a.pace.drained(a.batchNS, bytes)
		a.background.drained(a.batchNS, dueNS, fills)
		a.pace.choose(fills, a.background.pressed(), len(a.names.held) > 0 || a.tracker.Waits())
		a.parts.pipeline.begin(a.batchNS) // the beat that the watchdog wants
		a.parts.enter(stageSweep)
		if err := a.sweep(); err != nil {
			return err
		}
		if a.trace != nil {
			a.parts.enter(stageOutput)
			if a.trace.Flush() != nil {
				return nil // finish meets the same error, and tells it
			}
		}
		if err := a.periodic(); err != nil {
			return err
		}
		a.parts.enter(stageControl)
		a.mailbox.answerAll()
	}
	return nil
}

// rest is between two drains. Returns when it should have ended.
func (a *Agent) rest(sleeper *clock.Sleeper) (dueNS uint64, err error) {
	now := a.clock.Now()
	if !a.pace.waits {
		return now + uint64(a.pace.next), sleeper.Sleep(a.pace.next)
	}
	if !a.mailbox.empty() {
		return now, nil
	}
	dueNS = min(now+uint64(a.pace.next), a.sweeps.next)
	if a.export != nil {
		dueNS = min(dueNS, a.nextFlush)
	}
	return dueNS, a.kernel.Wait(time.Duration(dueNS - min(now, dueNS)))
}

// take reads the ring to its end.
func (a *Agent) take() (bytes int, err error) {
	a.batchNS = a.clock.Now()
	_, bytes, err = a.kernel.Drain(a.feed)
	if err != nil {
		return 0, err
	}
	a.endBatch()
	a.releaseHeld(false)
	return bytes, nil
}

// batchTime is from one end of a batch to the next at least. For some batches the
// tracker waits for records that are late, because a CPU was taken away: drains of
// 1 ms must not make that short.
const batchTime = 3 * time.Millisecond

func (a *Agent) endBatch() {
	if a.batchNS >= a.nextBatch {
		a.nextBatch = a.batchNS + uint64(batchTime)
		a.tracker.EndBatch()
	}
}

func (a *Agent) feed(raw []byte) {
	if err := events.Decode(raw, &a.record); err != nil {
		a.decodeErr++
		return
	}
	a.tracker.Feed(&a.record)
}

// sweepTimer decides when to look at open connections.
type sweepTimer struct {
	next uint64        // ns
	cost time.Duration // of the last sweep
}

const (
	sweepBusy = 100 * time.Millisecond // while an exchange is open
	sweepIdle = time.Second            // otherwise: finds requests that wait
	// sweepOlder: a request without an answer for this long is told alone.
	sweepOlder = time.Second
	// sweepShare bounds the part of one CPU spent sweeping.
	sweepShare = 100
)

// sweep runs the kernel's sweep when it is due.
func (a *Agent) sweep() error {
	pending, unix := a.tracker.Pending()
	now := a.batchNS
	wait := sweepIdle
	if pending > 0 {
		wait = sweepBusy
	}
	wait = max(wait, a.sweeps.cost*sweepShare)
	if a.sweeps.next == 0 || a.sweeps.next > now+uint64(wait) {
		a.sweeps.next = now + uint64(wait)
	}
	if now < a.sweeps.next {
		return nil
	}
	a.sweeps.next = now + uint64(wait)
	return a.sweepNow(now-min(now, uint64(sweepOlder)), unix)
}

// sweepNow sweeps and takes the records at once, so that a Unix socket that was
// not named is known to be gone.
func (a *Agent) sweepNow(olderNS uint64, unix bool) error {
	begin := a.clock.Now()
	if unix {
		a.tracker.BeginSweep(begin)
	}
	if err := a.kernel.Sweep(olderNS, unix); err != nil {
		return err
	}
	a.sweeps.cost = time.Duration(a.clock.Now() - begin)
	// What came since the last drain, a moment ago, says nothing of the pace.
	if _, err := a.take(); err != nil {
		return err
	}
	if unix {
		a.tracker.EndSweep()
	}
	a.tracker.Tick(begin)
	return nil
}

// periodic does what is due: it measures wall time again, forgets who has not been
// asked for, flushes the interval and writes the log line.
func (a *Agent) periodic() error {
	if due(&a.nextResync, a.batchNS, resyncEvery) {
		a.clock.Resync()
	}
	if due(&a.nextForget, a.batchNS, forgetEvery) {
		a.names.Forget(a.batchNS)
		a.routes.Forget(a.batchNS)
	}
	if a.replacing && !a.deliver.busy() {
		a.takeReplacement() // soon: another agent may wait for the old one's turn
	}
	if a.export != nil && due(&a.nextFlush, a.batchNS, a.live.Interval) {
		a.parts.enter(stageFlush)
		if err := a.flush(); err != nil {
			return err
		}
	}
	if a.live.LogInterval > 0 && due(&a.nextLog, a.batchNS, a.live.LogInterval) {
		a.collect()
		a.logSummary("interval")
	}
	return nil
}

// due reports whether *nextNS has come and moves it to the next multiple of the
// interval, so that the n-th time is at start + n × interval.
func due(nextNS *uint64, nowNS uint64, interval time.Duration) bool {
	if nowNS < *nextNS {
		return false
	}
	for *nextNS <= nowNS {
		*nextNS += uint64(interval)
	}
	return true
}

// flush hands the interval to the delivery; if that is still busy with the one
// before, the figures stay in the recorder for the next time.
func (a *Agent) flush() error {
	defer a.keepTotals()
	merged := a.deliver.busy()
	a.merges.note(a.log, merged, a.batchNS)
	if merged {
		return nil
	}
	if err := a.sweepNow(a.batchNS, false); err != nil {
		return fmt.Errorf("count requests in flight: %w", err)
	}
	a.takeReplacement()
	a.collect()
	snapshot := a.flushStats()
	a.memory.add(snapshot)
	j := job{export: a.export, snapshot: snapshot}
	if a.replaceExport {
		a.replaceExport, a.replacing = false, true
		j.replace = a.replacer(a.export, a.exportBefore, a.live)
	}
	a.deliver.start(j)
	return nil
}

// flushStats ends the interval of everything that has one.
func (a *Agent) flushStats() *stats.Snapshot {
	snapshot := a.stats.Flush()
	a.host.flush(snapshot)
	delays, err := a.delays.services()
	if err != nil {
		a.log.Warn("run-queue delays of services not read", "error", err)
	}
	snapshot.Delays = delays
	return snapshot
}

// keepTotals hands a copy of the totals to the keeper, even when the interval
// could not be delivered yet.
func (a *Agent) keepTotals() {
	if a.memory != nil {
		a.memory.put(a.stats.State())
	}
}

// serviceLoad counts the requests in flight of one service.
type serviceLoad struct {
	service string
	role    events.Role
}

// collect brings every counter of every part into the recorder.
func (a *Agent) collect() {
	load := map[serviceLoad]int{}
	a.tracker.InFlight(func(c *events.Conn, role events.Role, pid uint32, open int) {
		if name, known := a.nameOf(c, role, pid); known {
			load[serviceLoad{name.Service, role}] += open
		}
	})
	for s, n := range load {
		a.stats.SetInFlight(s.service, s.role, n)
	}
	for _, c := range a.selfCounters() {
		a.stats.SetSelf(c.Name, c.Value)
	}
}
