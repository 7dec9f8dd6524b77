// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

const mib = 1 << 20

// courtesy is a background whose policy is only noted down.
type courtesy struct {
	*background
	now  time.Duration
	sets []bool
	fail error
}

func newCourtesy() *courtesy {
	c := &courtesy{}
	c.background = &background{log: slog.New(slog.DiscardHandler), ring: 4 * mib, hold: minHoldTurn}
	c.background.set = func(idle bool, _ int) error {
		c.sets = append(c.sets, idle)
		return c.fail
	}
	return c
}

// drain each 4 ms for so long.
func (c *courtesy) drain(length, late time.Duration, bytes int) {
	for end := c.now + length; c.now < end; {
		due := c.now + 4*time.Millisecond
		c.now = due + late
		c.drained(uint64(c.now), uint64(due), bytes)
	}
}

func TestBackground(t *testing.T) {
	const onTime, quiet, crowd = 0, mib / 12, mib / 8 // of 4 MiB in 4 ms: full in 192 or 128 ms
	tests := []struct {
		name string
		play func(c *courtesy)
		want []bool
	}{
		{"not at once", func(c *courtesy) { c.drain(minHoldTurn, onTime, quiet) }, nil},
		{"with CPU to spare", func(c *courtesy) { c.drain(time.Minute, onTime, quiet) }, []bool{true}},
		{"a little late", func(c *courtesy) { c.drain(time.Minute, lateBackground, quiet) }, []bool{true}},
		{"much too late", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.drain(time.Millisecond, 2*lateBackground, quiet)
		}, []bool{true, false}},
		{"fills soon", func(c *courtesy) { c.drain(time.Minute, onTime, crowd) }, nil},
		{"begins to fill soon", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.drain(time.Minute, onTime, crowd)
		}, []bool{true, false}},
		{"as much, but in a longer time", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.drain(time.Second, lateBackground/2, crowd)
		}, []bool{true}},
		{"alarm", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.raise()
			c.drain(minHoldTurn, onTime, quiet)
		}, []bool{true, false, false}},
		{"alarm while it takes its turn", func(c *courtesy) {
			c.raise()
			c.drain(2*minHoldTurn, onTime, quiet)
		}, []bool{false, true}},
		{"again after twice the time", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.raise()
			c.drain(2*minHoldTurn, onTime, quiet)
			c.sets = nil
			c.drain(minHoldTurn, onTime, quiet)
		}, []bool{true}},
		{"no guard any more", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.off.Store(true)
			c.drain(time.Hour, onTime, quiet)
		}, []bool{true, false}},
		{"refused, once and for all", func(c *courtesy) {
			c.fail = errors.New("refused")
			c.drain(time.Hour, onTime, quiet)
		}, []bool{true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourtesy()
			tt.play(c)
			if !slices.Equal(c.sets, tt.want) {
				t.Errorf("gave way %v, want %v", c.sets, tt.want)
			}
		})
	}
}

// However often it has to come back, it tries again once a minute.
func TestBackgroundHolds(t *testing.T) {
	c := newCourtesy()
	for range 20 {
		for !c.idle {
			c.drain(time.Second, 0, 0)
		}
		c.raise()
		c.drain(time.Millisecond, 0, 0)
	}
	if c.hold != maxHoldTurn {
		t.Errorf("holds its turn for %v, want %v", c.hold, maxHoldTurn)
	}
	c.drain(2*maxHoldTurn+steadyIdle, 0, 0)
	c.raise()
	c.drain(time.Millisecond, 0, 0)
	if c.hold != minHoldTurn {
		t.Errorf("holds its turn for %v after a long time of giving way, want %v", c.hold, minHoldTurn)
	}
}

// Every thread of this process gives way but one, and takes its turn again.
func TestSetIdle(t *testing.T) {
	testutil.RequireRoot(t, "come back from SCHED_IDLE")
	if _, err := mayGiveWay(); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	me := unix.Gettid()
	if err := setIdle(true, me); err != nil {
		t.Fatal(err)
	}
	policies(t, me, unix.SCHED_IDLE)
	if err := setIdle(false, 0); err != nil {
		t.Fatal(err)
	}
	policies(t, me, unix.SCHED_NORMAL)
}

func policies(t *testing.T, me int, want uint32) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(threads) < 2 {
		t.Fatalf("%d threads: %v", len(threads), err)
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		expected := want
		if tid == me {
			expected = unix.SCHED_NORMAL
		}
		if attr.Policy != expected {
			t.Errorf("thread %d (this one is %d) has policy %d, want %d", tid, me, attr.Policy, expected)
		}
	}
}
