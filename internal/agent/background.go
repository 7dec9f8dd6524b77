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
	"unsafe"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
	"probe/pkg/loader"
)

const (
	// lateBackground is how late a drain may come because others had the CPU:
	// nobody sees it in figures of seconds.
	lateBackground = 100 * time.Millisecond
	// fillsSoon: a ring that fills faster may be full before a warning helps.
	fillsSoon = 150 * time.Millisecond
	// minHoldTurn is how long the agent takes its turn before it gives way again; it
	// doubles up to maxHoldTurn each time that giving way lasted less than steadyIdle.
	minHoldTurn = time.Second
	maxHoldTurn = time.Minute
	steadyIdle  = time.Minute
	// guardPause is after an alarm, for the pipeline to get through.
	guardPause = 10 * time.Millisecond
)

// background lets every other process go before this one (SCHED_IDLE) while the
// host has CPU to spare. Then a wake-up of the observed server never waits for
// the agent, and the scheduler takes a CPU on which only the agent runs for an
// idle one, instead of putting the server behind its client (ADR 0008).
//
// Where nothing is left for the agent the ring fills; the kernel side wakes the
// guard, a thread that never gives way, and the process takes its turn again:
// nothing may be lost for courtesy.
type background struct {
	log *slog.Logger
	// needs is what it takes to come back.
	needs privilege.Set
	alarm *loader.Alarm
	ended chan struct{} // the guard is gone

	// set changes the policy of all threads but one.
	set func(idle bool, but int) error
	// guardID is the guard's thread. It shares with the pipeline no lock: who waits
	// for one waits until whoever holds it gets a CPU.
	guardID int
	alarmed atomic.Bool
	off     atomic.Bool // never again: no guard, or no permission

	// Of the pipeline.
	ring    int    // bytes
	lastNS  uint64 // the drain before
	idle    bool
	sinceNS uint64 // when it last changed
	hold    time.Duration
}

// newBackground returns nil where the process may not come back from giving
// way, or where somebody has chosen how it is scheduled.
func newBackground(kernel *loader.Loader, ringBytes int, log *slog.Logger) *background {
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
		set: setIdle, ring: ringBytes, hold: minHoldTurn,
	}
	started := make(chan struct{})
	go b.guard(started)
	<-started
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
	if err := b.set(false, b.guardID); err != nil {
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
	return errors.Join(b.set(false, b.guardID), b.alarm.Close())
}

// drained says when a drain began, when it was due, and what it found.
func (b *background) drained(nowNS, dueNS uint64, bytes int) {
	if b == nil {
		return
	}
	if b.sinceNS == 0 {
		b.sinceNS = nowNS
	}
	late := time.Duration(nowNS - min(dueNS, nowNS))
	elapsed := nowNS - min(b.lastNS, nowNS)
	soon := float64(bytes)*float64(fillsSoon) > float64(b.ring)*float64(elapsed)
	b.lastNS = nowNS
	switch {
	case b.idle && (late > lateBackground || soon || b.alarmed.Load() || b.off.Load()):
		b.takeTurn(nowNS)
	case !b.idle && !b.off.Load() && !soon && b.since(nowNS) > b.hold:
		b.giveWay(nowNS)
	}
}

func (b *background) since(nowNS uint64) time.Duration {
	return time.Duration(nowNS - min(b.sinceNS, nowNS))
}

func (b *background) takeTurn(nowNS uint64) {
	if err := b.set(false, b.guardID); err != nil {
		b.log.Error("this process cannot take its turn", "error", err)
	}
	if b.since(nowNS) < steadyIdle {
		b.hold = min(2*b.hold, maxHoldTurn)
	} else {
		b.hold = minHoldTurn
	}
	b.idle, b.sinceNS = false, nowNS
	b.log.Debug("takes its turn", "at least for", b.hold)
}

func (b *background) giveWay(nowNS uint64) {
	b.log.Debug("gives way to other processes")
	b.idle, b.sinceNS = true, nowNS
	b.alarmed.Store(false)
	if err := b.set(true, b.guardID); err != nil {
		b.log.Warn("cannot give way to other processes", "error", err)
		b.takeTurn(nowNS) // some of its threads may give way already
		b.off.Store(true)
	}
}

// mayGiveWay makes sure that the process can leave SCHED_IDLE again, for which
// sched(7) asks for a limit of the nice value that permits the present one, or
// for the privilege that it returns.
func mayGiveWay() (needs privilege.Set, err error) {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return 0, fmt.Errorf("read scheduling policy: %w", err)
	}
	if attr.Policy != unix.SCHED_NORMAL || attr.Nice != 0 {
		return 0, fmt.Errorf("policy %d and nice value %d were chosen by somebody", attr.Policy, attr.Nice)
	}
	const nice0 = 20 // getrlimit(2): the limit is 20 less the nice value
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NICE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of the nice value: %w", err)
	}
	if limit.Cur >= nice0 {
		return 0, nil
	}
	raised := unix.Rlimit{Cur: nice0, Max: max(limit.Max, nice0)}
	if unix.Setrlimit(unix.RLIMIT_NICE, &raised) == nil {
		return 0, nil
	}
	if has, err := privilege.Effective(); err != nil || !has.Has(privilege.SysNice) {
		return 0, fmt.Errorf("no way back: the limit of the nice value is %d, not 20, and %v is missing", limit.Cur, privilege.SysNice)
	}
	return privilege.Of(privilege.SysNice), nil
}

// setIdle sets the policy of every thread of the process but one. A thread that
// is made later has that of the one that made it, so it looks until all are done.
// The calling thread comes last: once it gives way it may not run for long.
func setIdle(idle bool, but int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	me := unix.Gettid()
	policy := unix.SCHED_NORMAL
	if idle {
		policy = unix.SCHED_IDLE
	}
	done := map[int]bool{but: true, me: true}
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
			if err := setPolicy(tid, policy); err != nil && err != unix.ESRCH { // it has just ended
				return fmt.Errorf("set policy of thread %d: %w", tid, err)
			}
			done[tid] = true
			more = true
		}
	}
	if me == but {
		return nil
	}
	if err := setPolicy(me, policy); err != nil {
		return fmt.Errorf("set policy of thread %d: %w", me, err)
	}
	return nil
}

// setPolicy is sched_setscheduler(2). The newer sched_setattr is refused in
// services with RestrictRealtime=.
func setPolicy(tid, policy int) error {
	priority := int32(0)
	_, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), uintptr(policy), uintptr(unsafe.Pointer(&priority)))
	if errno != 0 {
		return errno
	}
	return nil
}
