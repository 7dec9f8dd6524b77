// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

// courtesy is a background whose nice values are only noted down.
type courtesy struct {
	*background
	now  time.Duration
	sets []int
	fail error
}

func newCourtesy() *courtesy {
	c := &courtesy{}
	c.background = &background{log: slog.New(slog.DiscardHandler), hold: minHoldTurn}
	c.setNice = func(nice, _ int) error {
		c.sets = append(c.sets, nice)
		return c.fail
	}
	c.giveWay(0)
	return c
}

// drain each 4 ms for so long.
func (c *courtesy) drain(length, late, fills time.Duration) {
	for end := c.now + length; c.now < end; {
		due := c.now + 4*time.Millisecond
		c.now = due + late
		c.drained(uint64(c.now), uint64(due), fills)
	}
}

func TestBackground(t *testing.T) {
	const onTime, quiet, crowd = 0, fillsSoon, fillsSoon - 1
	tests := []struct {
		name string
		play func(c *courtesy)
		want []int
	}{
		{"from the beginning", func(c *courtesy) { c.drain(time.Minute, onTime, quiet) }, []int{nicePolite}},
		{"a little late", func(c *courtesy) { c.drain(time.Minute, lateBackground, quiet) }, []int{nicePolite}},
		{"much too late", func(c *courtesy) {
			c.drain(time.Millisecond, 2*lateBackground, quiet)
			c.drain(2*minHoldTurn, onTime, quiet)
		}, []int{nicePolite, niceOthers}},
		{"much too late, but long ago", func(c *courtesy) {
			c.drain(time.Millisecond, 2*lateBackground, quiet)
			c.drain(3*minHoldTurn, onTime, quiet)
		}, []int{nicePolite, niceOthers, nicePolite}},
		{"fills soon", func(c *courtesy) { c.drain(time.Minute, onTime, crowd) }, []int{nicePolite, niceOthers}},
		{"alarm", func(c *courtesy) {
			c.drain(2*minHoldTurn, onTime, quiet)
			c.raise()
			c.drain(minHoldTurn, onTime, quiet)
		}, []int{nicePolite, niceOthers, niceOthers}},
		{"alarm while it takes its turn", func(c *courtesy) {
			c.drain(time.Millisecond, 2*lateBackground, quiet)
			c.raise()
			c.drain(3*minHoldTurn, onTime, quiet)
		}, []int{nicePolite, niceOthers, niceOthers, nicePolite}},
		{"no guard any more", func(c *courtesy) {
			c.off.Store(true)
			c.drain(time.Hour, onTime, quiet)
		}, []int{nicePolite, niceOthers}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourtesy()
			tt.play(c)
			if !slices.Equal(c.sets, tt.want) {
				t.Errorf("nice values %v, want %v", c.sets, tt.want)
			}
		})
	}
}

// Refused once, it never tries again.
func TestBackgroundRefused(t *testing.T) {
	c := newCourtesy()
	c.drain(time.Millisecond, 2*lateBackground, neverFills)
	var text bytes.Buffer
	c.log = slog.New(slog.NewTextHandler(&text, nil))
	c.fail, c.sets = errors.New("refused"), nil
	c.drain(time.Hour, 0, neverFills)
	if want := []int{nicePolite, niceOthers}; !slices.Equal(c.sets, want) || c.polite {
		t.Errorf("nice values %v, want %v; polite: %v", c.sets, want, c.polite)
	}
	if strings.Count(text.String(), "\n") != 1 || !strings.Contains(text.String(), "level=WARN") {
		t.Errorf("log, want one warning:\n%s", text.String())
	}
}

// However often it has to come back, it tries again once a minute.
func TestBackgroundHolds(t *testing.T) {
	c := newCourtesy()
	for range 20 {
		for !c.polite {
			c.drain(time.Second, 0, neverFills)
		}
		c.raise()
		c.drain(time.Millisecond, 0, neverFills)
	}
	if c.hold != maxHoldTurn {
		t.Errorf("holds its turn for %v, want %v", c.hold, maxHoldTurn)
	}
	c.drain(2*maxHoldTurn+steadyPolite, 0, neverFills)
	c.raise()
	c.drain(time.Millisecond, 0, neverFills)
	if c.hold != minHoldTurn {
		t.Errorf("holds its turn for %v after a long time of giving way, want %v", c.hold, minHoldTurn)
	}
}

// Every thread of this process gives way but one, and takes its turn again.
func TestSetNice(t *testing.T) {
	testutil.RequireRoot(t, "come back from a higher nice value")
	testutil.NormalNice(t)
	if _, err := mayGiveWay(); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	me := unix.Gettid()
	if err := setNice(nicePolite, me); err != nil {
		t.Fatal(err)
	}
	niceValues(t, me, nicePolite)
	if err := setNice(niceOthers, 0); err != nil {
		t.Fatal(err)
	}
	niceValues(t, me, niceOthers)
}

func niceValues(t *testing.T, me int, want int32) {
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
		if errors.Is(err, unix.ESRCH) { // it has just ended
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		expected := want
		if tid == me {
			expected = niceOthers
		}
		if attr.Nice != expected {
			t.Errorf("thread %d (this one is %d) has nice value %d, want %d", tid, me, attr.Nice, expected)
		}
	}
}
