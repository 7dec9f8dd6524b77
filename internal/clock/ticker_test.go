// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testTicker returns a Ticker on a fake clock; sleeping moves the clock by the
// requested time plus the next entry of lateNS.
func testTicker(t *testing.T, interval time.Duration, lateNS ...int64) (*Ticker, *fakeClocks) {
	t.Helper()
	f := &fakeClocks{monoNS: 1_000}
	ticker, err := newClock(f.mono, f.wall).NewTicker(interval)
	if err != nil {
		t.Fatal(err)
	}
	ticker.sleep = func(ctx context.Context, d time.Duration) error {
		f.monoNS += uint64(d)
		if len(lateNS) > 0 {
			f.monoNS = uint64(int64(f.monoNS) + lateNS[0])
			lateNS = lateNS[1:]
		}
		return ctx.Err()
	}
	return ticker, f
}

func TestTickerDoesNotDrift(t *testing.T) {
	ticker, f := testTicker(t, 100, 30, 5, 99)
	var got []Tick
	for range 4 {
		tick, err := ticker.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tick)
		f.monoNS++ // the consumer's own work
	}
	want := []Tick{
		{N: 1, DueNS: 1_100, AtNS: 1_130},
		{N: 2, DueNS: 1_200, AtNS: 1_205},
		{N: 3, DueNS: 1_300, AtNS: 1_399},
		{N: 4, DueNS: 1_400, AtNS: 1_400},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ticks (-want +got):\n%s", diff)
	}
}

func TestTickerCountsMissed(t *testing.T) {
	ticker, f := testTicker(t, 100)
	f.monoNS += 350 // busy from the start until after the third tick
	want := []Tick{
		{N: 3, DueNS: 1_300, AtNS: 1_350, Missed: 2},
		{N: 4, DueNS: 1_400, AtNS: 1_400},
	}
	for _, w := range want {
		got, err := ticker.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Errorf("tick (-want +got):\n%s", diff)
		}
	}
}

func TestTickerNeverEarly(t *testing.T) {
	ticker, _ := testTicker(t, 100, -40, -1)
	tick, err := ticker.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tick.AtNS < tick.DueNS {
		t.Errorf("tick at %d, due %d", tick.AtNS, tick.DueNS)
	}
}

func TestTickerStopsWithContext(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ticker, err := c.NewTicker(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := ticker.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait() error = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestTickerRejectsInterval(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, interval := range []time.Duration{0, -time.Second} {
		if _, err := c.NewTicker(interval); err == nil {
			t.Errorf("NewTicker(%v) gave no error", interval)
		}
	}
}

func TestTickerLive(t *testing.T) {
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	startNS := c.Now()
	ticker, err := c.NewTicker(5 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var last Tick
	for last.N < 10 {
		if last, err = ticker.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if min := startNS + last.N*uint64(5*time.Millisecond); last.AtNS < min {
		t.Errorf("tick %d at %d, want not before %d", last.N, last.AtNS, min)
	}
}
