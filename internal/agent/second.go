// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"probe/internal/single"
	"probe/pkg/export"
	"probe/pkg/loader"
)

// LockDir is where agents agree on who sends to a receiver, unless told otherwise.
const LockDir = single.Dir

const (
	// DefaultLockWait is how long an agent waits for the one before it, which
	// needs a few seconds to send what it has when it is told to end.
	DefaultLockWait = 15 * time.Second
	lockPoll        = 100 * time.Millisecond
)

// ErrSecond: another agent of this host sends to the same receiver, under the
// same names.
var ErrSecond = errors.New("another probe sends the same figures to the same receiver")

// takeTurn keeps two agents from counting the same requests at one receiver: it
// waits for the other to end, as in an update, and refuses if it does not.
func (a *Agent) takeTurn(ctx context.Context) error {
	key, err := a.opt.turnKey()
	if err != nil || key == "" {
		return err
	}
	// Who may not load does not wait either.
	if err := loader.CheckPrivileges(); err != nil {
		return err
	}
	lock, holder, err := single.Acquire(a.opt.LockDir, key)
	if errors.Is(err, single.ErrHeld) {
		a.log.Warn("another probe sends the same figures to the same receiver: waiting for it to end", "pid", holder.PID, "receiver", key, "wait", a.opt.lockWait())
		lock, err = a.awaitTurn(ctx, key)
	}
	switch {
	case errors.Is(err, single.ErrHeld):
		return heldBy(key, holder)
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	}
	a.warnUnlocked(err)
	a.turns[key] = lock
	return nil
}

// warnUnlocked: without a lock the agent runs all the same.
func (a *Agent) warnUnlocked(err error) {
	if err != nil {
		a.log.Warn("cannot tell whether another probe sends the same figures, which would count them twice: "+LockDir+" must be writable", "error", err)
	}
}

func heldBy(key string, holder single.Holder) error {
	return fmt.Errorf("%w: process %d, %s: stop one of them, or allow both with --allow-second (their counts add up at the receiver)", ErrSecond, holder.PID, key)
}

// moveTurn takes the turn at another receiver, if the settings name one. It does
// not wait. The turn at the old one ends with what is still to be sent there.
func (a *Agent) moveTurn(next Options) error {
	next.LockDir = a.opt.LockDir
	key, err := next.turnKey()
	if err != nil || key == "" {
		return err
	}
	if _, has := a.turns[key]; has {
		return nil
	}
	lock, holder, err := single.Acquire(a.opt.LockDir, key)
	if errors.Is(err, single.ErrHeld) {
		return heldBy(key, holder)
	}
	a.warnUnlocked(err)
	a.turns[key] = lock
	return nil
}

// endOldTurns lets others in at receivers that get nothing any more.
func (a *Agent) endOldTurns() {
	using := []Options{a.live}
	if a.replaceExport {
		using = append(using, a.exportBefore)
	}
	var keep []string
	for _, o := range using {
		o.LockDir = a.opt.LockDir
		if key, err := o.turnKey(); err == nil {
			keep = append(keep, key)
		}
	}
	a.endTurns(keep...)
}

// endTurns lets the next one in.
func (a *Agent) endTurns(but ...string) {
	for key, lock := range a.turns {
		if slices.Contains(but, key) {
			continue
		}
		delete(a.turns, key)
		if lock == nil {
			continue
		}
		if err := lock.Release(); err != nil {
			a.log.Warn("lock not released", "error", err)
		}
	}
}

func (a *Agent) awaitTurn(ctx context.Context, key string) (*single.Lock, error) {
	limit := time.NewTimer(a.opt.lockWait())
	defer limit.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			return nil, single.ErrHeld
		case <-poll.C:
		}
		lock, _, err := single.Acquire(a.opt.LockDir, key)
		if !errors.Is(err, single.ErrHeld) {
			return lock, err
		}
	}
}

func (o Options) lockWait() time.Duration { return cmp.Or(o.LockWait, DefaultLockWait) }

// Receiver is where the lines go, and the start of every name, as the options
// and the environment say.
func (o Options) Receiver() (export.Target, string, error) {
	if o.Dialect == "" {
		o.Dialect = string(export.Plain)
	}
	eo, err := o.exportOptions(nil)
	return eo.Target, cmp.Or(eo.Prefix, export.DefaultPrefix), err
}

// turnKey names the receiver and what is sent there; "" when nobody could count
// twice: what is printed is for whoever asked for it.
func (o Options) turnKey() (string, error) {
	if o.LockDir == "" || o.Trace {
		return "", nil
	}
	target, prefix, err := o.Receiver()
	if err != nil || target.Scheme == export.Stdout || target == (export.Target{}) {
		return "", err
	}
	return single.Key(target.String(), prefix), nil
}
