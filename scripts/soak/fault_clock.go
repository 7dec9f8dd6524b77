// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stepBy  = time.Hour
	stepFor = 2 * time.Second
)

// clockStep sets the clock of the host forward and back. Everything on the host
// sees it; CLOCK_REALTIME has no namespace.
func clockStep(t *stand, f *fault) error {
	f.done = fmt.Sprintf("under load, the clock of the host set forward by %v for %v, and back", stepBy, stepFor)
	a, err := t.agent("agent", agentOptions{state: t.state(), args: []string{"--queue-age", "10m"}})
	if err != nil {
		return err
	}
	defer a.Kill()
	var flushes uint64
	err = t.during(func() error {
		t.pause(2 * time.Second)
		before := t.receiver.sums().flushes
		if err := step(); err != nil {
			return err
		}
		flushes = t.receiver.sums().flushes - before
		t.pause(3 * time.Second)
		return nil
	})
	if err != nil {
		return err
	}
	in, err := a.insight()
	if err != nil {
		return err
	}
	f.that(flushes >= 2 && flushes <= 6, "intervals stay as long as they are", "%d flushes in %v", flushes, stepFor)
	f.that(len(in.Problems) == 0, "nothing is taken for stuck", "%s", first(in.Problems))
	longest := in.Summary.Max
	f.that(longest > 0 && longest < stepFor, "no duration is wrong", "longest request %v", longest)
	f.counter(in.Counters, "export.dropped.queue_age")
	f.says("longest request %v", longest)
	return t.finish(a, f)
}

// step sets the clock and restores it, however the time in between ends.
func step() (err error) {
	begin := time.Now()
	set := func(t time.Time) error {
		now := unix.NsecToTimespec(t.UnixNano())
		return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
	}
	if err := set(begin.Add(stepBy)); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	// time.Since is of the monotonic clock, which nobody sets.
	defer func() { err = errors.Join(err, set(begin.Add(time.Since(begin)))) }()
	time.Sleep(stepFor)
	return nil
}
