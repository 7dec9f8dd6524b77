// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
	"probe/pkg/loader"
)

const (
	// lateBackground is how late a drain may come because others had the CPU:
	// nobody sees it in figures of seconds.
	lateBackground = 100 * time.Millisecond
	// fillsSoon: a ring that fills faster may be full before a warning helps.
	fillsSoon = 60 * time.Millisecond
	// minHoldTurn is how long the agent takes its turn before it gives way again; it
	// doubles up to maxHoldTurn each time that giving way lasted less than steadyPolite.
	minHoldTurn  = time.Second
	maxHoldTurn  = time.Minute
	steadyPolite = time.Minute
	// guardPause is after an alarm, for the pipeline to get through.
	guardPause = 10 * time.Millisecond

	// nicePolite: a tenth of the CPU time of a process that wants all of it.
	nicePolite = 10
	niceOthers = 0
)

// background lets other processes go before this one, by a nice value: a thread
// that wakes up then waits until the one that runs sleeps or has had its slice, and
// takes less from the observed server where the CPUs are busy (ADR 0008).
//
// Where too little is left for the agent the ring fills; the kernel side wakes the
// guard, a thread that never gives way, and the process takes its turn as others
// do: nothing may be lost for courtesy.
type background struct {
	log *slog.Logger
	// needs is what it takes to come back.
	needs privilege.Set
	alarm *loader.Alarm
	ended chan struct{} // the guard is gone

	// setNice sets the nice value of all threads but one.
	setNice func(nice, but int) error
	// guardID is the guard's thread. It shares with the pipeline no lock: who waits
	// for one waits until whoever holds it gets a CPU.
	guardID int
	alarmed atomic.Bool
	off     atomic.Bool // never again: no guard, or no permission

	// Of the pipeline.
	polite  bool
	sinceNS uint64 // when it last changed
	hold    time.Duration
}

// newBackground returns nil where the process may not come back from giving
// way, or where somebody has chosen how it is scheduled.
func newBackground(kernel *loader.Loader, log *slog.Logger) *background {
	needs, err := mayGiveWay()
	if err != nil {
		log.Debug("not giving way to other processes", "reason", err)
		return nil
	}
	alarm, err := kernel.Alarm()
	if err != nil {
		log.Warn("not giving way to other processes", "error", err)
		return nil
	}
	b := &background{
		log: log, needs: needs, alarm: alarm, ended: make(chan struct{}),
		setNice: setNice, hold: minHoldTurn,
	}
	started := make(chan struct{})
	go b.guard(started)
	<-started
	b.giveWay(0)
	if b.off.Load() { // nothing was changed, so there is nothing to come back from
		_ = b.close()
		return nil
	}
	return b
}

// guard waits for the ring to fill, in a thread of its own.
func (b *background) guard(started chan<- struct{}) {
	defer close(b.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.guardID = unix.Gettid()
	close(started)
	for {
		full, err := b.alarm.Wait()
		if err != nil {
			b.off.Store(true)
			b.raise()
			b.log.Error("the ring is not guarded any more", "error", err)
		}
		if !full {
			return
		}
		b.raise()
		time.Sleep(guardPause)
	}
}

// raise ends giving way, if that is how it is. The pipeline notes it later.
func (b *background) raise() {
	b.alarmed.Store(true)
	if err := b.setNice(niceOthers, b.guardID); err != nil {
		b.log.Error("this process cannot take its turn", "error", err)
	}
}

// close ends the guard and takes the turn, after the pipeline has ended.
func (b *background) close() error {
	if b == nil {
		return nil
	}
	if err := b.alarm.Stop(); err != nil {
		return err
	}
	<-b.ended
	return errors.Join(b.setNice(niceOthers, b.guardID), b.alarm.Close())
}

// drained says when a drain began, when it was due, and how long the ring takes to
// fill (pace).
func (b *background) drained(nowNS, dueNS uint64, fills time.Duration) {
	if b == nil {
		return
	}
	if b.sinceNS == 0 {
		b.sinceNS = nowNS
	}
	late := time.Duration(nowNS - min(dueNS, nowNS))
	soon := fills < fillsSoon
	switch {
	case b.polite && (late > lateBackground || soon || b.alarmed.Load() || b.off.Load()):
		b.takeTurn(nowNS)
	case !b.polite && !b.off.Load() && !soon && b.since(nowNS) > b.hold:
		b.giveWay(nowNS)
	}
}

// pressed reports whether giving way had to end: others want more CPU than there is.
func (b *background) pressed() bool { return b != nil && !b.polite }

func (b *background) since(nowNS uint64) time.Duration {
	return time.Duration(nowNS - min(b.sinceNS, nowNS))
}

func (b *background) takeTurn(nowNS uint64) {
	if err := b.setNice(niceOthers, b.guardID); err != nil && !b.off.Load() {
		b.log.Error("this process cannot take its turn", "error", err)
	}
	if b.since(nowNS) < steadyPolite {
		b.hold = min(2*b.hold, maxHoldTurn)
	} else {
		b.hold = minHoldTurn
	}
	b.polite, b.sinceNS = false, nowNS
	b.log.Debug("takes its turn", "at least for", b.hold)
}

func (b *background) giveWay(nowNS uint64) {
	b.log.Debug("gives way to other processes")
	b.polite, b.sinceNS = true, nowNS
	b.alarmed.Store(false)
	if err := b.setNice(nicePolite, b.guardID); err != nil {
		b.log.Warn("not giving way to other processes: a seccomp filter may not allow setpriority", "error", err)
		b.off.Store(true)
		b.takeTurn(nowNS) // some of its threads may give way already
	}
}

// mayGiveWay makes sure that the process can come back from a higher nice value,
// for which sched(7) asks for a limit that permits the present one, or for the
// privilege that it returns.
func mayGiveWay() (needs privilege.Set, err error) {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return 0, fmt.Errorf("read scheduling policy: %w", err)
	}
	if attr.Policy != unix.SCHED_NORMAL || attr.Nice != niceOthers {
		return 0, fmt.Errorf("policy %d and nice value %d were chosen by somebody", attr.Policy, attr.Nice)
	}
	const enough = 20 - niceOthers // getrlimit(2): the limit is 20 less the nice value
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NICE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of the nice value: %w", err)
	}
	if limit.Cur >= enough {
		return 0, nil
	}
	raised := unix.Rlimit{Cur: enough, Max: max(limit.Max, enough)}
	if unix.Setrlimit(unix.RLIMIT_NICE, &raised) == nil {
		return 0, nil
	}
	if has, err := privilege.Effective(); err != nil || !has.Has(privilege.SysNice) {
		return 0, fmt.Errorf("no way back: the limit of the nice value is %d, not %d, and %v is missing", limit.Cur, enough, privilege.SysNice)
	}
	return privilege.Of(privilege.SysNice), nil
}

// setNice sets the nice value of every thread of the process but one. A thread that
// is made later has that of the one that made it, so it looks until all are done.
func setNice(nice, but int) error {
	done := map[int]bool{but: true}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list own threads: %w", err)
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || done[tid] {
				continue
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && !errors.Is(err, unix.ESRCH) { // it has just ended
				return fmt.Errorf("set nice value of thread %d: %w", tid, err)
			}
			done[tid] = true
			more = true
		}
	}
	return nil
}
