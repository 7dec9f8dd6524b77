// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
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
	// fillsSoon: a ring that fills faster is full before a warning helps.
	fillsSoon = 40 * time.Millisecond
	// minHold is how long the agent takes its turn before it gives way again; it
	// doubles up to maxHold each time that giving way lasted less than steadyIdle.
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
	log   *slog.Logger
	nowNS func() uint64
	// needs is what it takes to come back.
	needs privilege.Set
	alarm *loader.Alarm
	ended chan struct{} // the guard is gone

	mu      sync.Mutex
	set     func(idle bool, but int) error
	guardID int    // its thread
	ring    int    // bytes
	lastNS  uint64 // the drain before
	idle    bool
	sinceNS uint64 // when it last changed
	hold    time.Duration
}

// newBackground returns nil where the process may not come back from giving
// way, or where somebody has chosen how it is scheduled.
func newBackground(kernel *loader.Loader, ringBytes int, nowNS func() uint64, log *slog.Logger) *background {
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
		log: log, nowNS: nowNS, needs: needs, alarm: alarm, ended: make(chan struct{}),
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
			b.log.Error("no longer giving way to other processes", "error", err)
			b.takeTurn(true)
		}
		if !full {
			return
		}
		b.takeTurn(false)
		time.Sleep(guardPause)
	}
}

// takeTurn ends giving way, if that is how it is; for ever if so.
func (b *background) takeTurn(forever bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle {
		b.turnBack(b.nowNS())
	}
	if forever {
		b.set = nil
	}
}

// close ends the guard and takes the turn.
func (b *background) close() error {
	if b == nil {
		return nil
	}
	b.takeTurn(true)
	if err := b.alarm.Stop(); err != nil {
		return err
	}
	<-b.ended
	return b.alarm.Close()
}

// drained says when a drain began, when it was due, and what it found.
func (b *background) drained(nowNS, dueNS uint64, bytes int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sinceNS == 0 {
		b.sinceNS = nowNS
	}
	late := time.Duration(nowNS - min(dueNS, nowNS))
	elapsed := nowNS - min(b.lastNS, nowNS)
	soon := float64(bytes)*float64(fillsSoon) > float64(b.ring)*float64(elapsed)
	b.lastNS = nowNS
	switch {
	case b.idle && (late > lateBackground || soon):
		b.turnBack(nowNS)
	case !b.idle && !soon && b.since(nowNS) > b.hold:
		b.turn(true, nowNS)
	}
}

func (b *background) since(nowNS uint64) time.Duration {
	return time.Duration(nowNS - min(b.sinceNS, nowNS))
}

func (b *background) turnBack(nowNS uint64) {
	if b.since(nowNS) < steadyIdle {
		b.hold = min(2*b.hold, maxHoldTurn)
	} else {
		b.hold = minHoldTurn
	}
	b.turn(false, nowNS)
}

// turn changes how the process is scheduled. What cannot be changed stays.
func (b *background) turn(idle bool, nowNS uint64) {
	b.sinceNS = nowNS
	if b.set == nil {
		return
	}
	if err := b.set(idle, b.guardID); err != nil {
		b.log.Warn("scheduling policy not changed", "idle", idle, "error", err)
		if idle { // some of its threads may give way, which is no use
			b.idle = true
			b.turn(false, nowNS)
			b.set = nil
		}
		return
	}
	b.idle = idle
	b.log.Debug("scheduling policy changed", "idle", idle)
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
func setIdle(idle bool, but int) error {
	policy := unix.SCHED_NORMAL
	if idle {
		policy = unix.SCHED_IDLE
	}
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
			if err := setPolicy(tid, policy); err != nil && err != unix.ESRCH { // it has just ended
				return fmt.Errorf("set policy of thread %d: %w", tid, err)
			}
			done[tid] = true
			more = true
		}
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
