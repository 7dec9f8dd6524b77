// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeClocks is a pair of clocks that move only when told; each reading of the
// monotonic clock advances both by the next step.
type fakeClocks struct {
	monoNS, wallNS uint64
	stepsNS        []uint64
}

func (f *fakeClocks) mono() uint64 {
	if len(f.stepsNS) > 0 {
		f.monoNS += f.stepsNS[0]
		f.wallNS += f.stepsNS[0]
		f.stepsNS = f.stepsNS[1:]
	}
	return f.monoNS
}

func (f *fakeClocks) wall() uint64 { return f.wallNS }

func TestNowIsKernelMonotonic(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var before, after unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
		t.Fatal(err)
	}
	got := c.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &after); err != nil {
		t.Fatal(err)
	}
	if got < uint64(before.Nano()) || got > uint64(after.Nano()) {
		t.Errorf("Now() = %d, want between %d and %d", got, before.Nano(), after.Nano())
	}
}

func TestWallAgreesWithWallTime(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if diff := time.Since(c.Wall(c.Now())).Abs(); diff > 50*time.Millisecond {
		t.Errorf("Wall(Now()) is %v away from wall time", diff)
	}
}

func TestWall(t *testing.T) {
	f := &fakeClocks{monoNS: 1_000, wallNS: 1_700_000_000_000_001_000}
	c := newClock(f.mono, f.wall)
	want := time.Unix(1_700_000_000, 500)
	if got := c.Wall(500); !got.Equal(want) {
		t.Errorf("Wall(500) = %v, want %v", got, want)
	}
}

// The sample in the middle is read undisturbed; all others have the process
// descheduled for a millisecond between the readings.
func TestResyncTakesTightestSample(t *testing.T) {
	const offset = 5_000_000
	var steps []uint64
	for i := range resyncSamples {
		if i == resyncSamples/2 {
			steps = append(steps, 10, 20)
			continue
		}
		steps = append(steps, 10, 1_000_000)
	}
	f := &fakeClocks{wallNS: offset, stepsNS: steps}
	c := newClock(f.mono, f.wall)
	// The wall clock was read with the first reading, 10 ns before the middle.
	if got, want := c.offsetNS.Load(), int64(offset-10); got != want {
		t.Errorf("offset = %d, want %d", got, want)
	}
}

func TestResyncReportsStep(t *testing.T) {
	f := &fakeClocks{monoNS: 7, wallNS: 1_000}
	c := newClock(f.mono, f.wall)
	f.wallNS += uint64(3 * time.Second)
	if got := c.Resync(); got != 3*time.Second {
		t.Errorf("Resync() = %v, want 3s", got)
	}
	if got := c.Resync(); got != 0 {
		t.Errorf("second Resync() = %v, want 0", got)
	}
}

func TestNoAllocation(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var sink time.Time
	if n := testing.AllocsPerRun(100, func() { sink = c.Wall(c.Now()) }); n != 0 {
		t.Errorf("Wall(Now()) allocates %v times", n)
	}
	_ = sink
}

func BenchmarkNow(b *testing.B) {
	c, err := New()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}

func BenchmarkWall(b *testing.B) {
	c, err := New()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Wall(1_000_000)
	}
}
