// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestNextTick(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		n       int64
		now     time.Duration
		wait    time.Duration
		skipped int64
	}{
		{"on time", 1, 100, 10, 0},
		{"late by less than an interval", 2, 117, 3, 0},
		{"exactly due", 2, 120, 0, 0},
		{"late by more", 2, 121, 9, 1},
		{"late by two", 2, 145, 5, 3},
	} {
		wait, skipped := nextTick(100, 10, tt.n, tt.now)
		if wait != tt.wait || skipped != tt.skipped {
			t.Errorf("%s: wait %d skipped %d, want %d %d", tt.name, wait, skipped, tt.wait, tt.skipped)
		}
	}
}

// slowReader takes its time for every look.
type slowReader struct {
	mu    sync.Mutex
	looks []time.Duration
	fail  bool
}

func (r *slowReader) ReadHost(now time.Duration) (*HostState, error) {
	time.Sleep(5 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looks = append(r.looks, now)
	if r.fail {
		return nil, errors.New("no host")
	}
	return &HostState{Time: now}, nil
}

// The n-th look is at start + n × interval, however long a look takes.
func TestSnapshotterDrift(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	reader := &slowReader{}
	const interval = 20 * time.Millisecond
	s, err := NewSnapshotter(SnapshotterOptions{
		Reader: reader, Interval: interval, Now: func() time.Duration { return time.Since(begin) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Active() {
		t.Error("active before Start")
	}
	s.Start(context.Background())
	s.Start(context.Background()) // does nothing
	if !s.Active() {
		t.Error("not active after Start")
	}
	time.Sleep(40 * interval)
	s.Close()
	s.Close()
	if s.Active() {
		t.Error("active after Close")
	}
	if len(reader.looks) < 2 {
		t.Fatalf("%d looks", len(reader.looks))
	}
	var skipped, samples uint64
	s.Report(func(name string, v uint64) {
		switch name {
		case "host.samples":
			samples = v
		case "host.samples_skipped":
			skipped = v
		}
	})
	// Each look belongs to a tick: with those left out, there is one for every
	// interval that passed, and none comes before its tick.
	for i, at := range reader.looks {
		tick := reader.looks[0] + time.Duration(i)*interval
		if at < tick {
			t.Errorf("look %d at %v, before its tick at %v", i, at, tick)
		}
	}
	// Without the correction the 5 ms of each look would add up to ten ticks;
	// a busy machine may be late for the last one.
	last := reader.looks[len(reader.looks)-1] - reader.looks[0]
	told := len(reader.looks) - 1 + int(skipped)
	if ticks := int(last / interval); ticks < told || ticks > told+4 {
		t.Errorf("%d looks and %d left out within %v", len(reader.looks), skipped, last)
	}
	if samples != uint64(len(reader.looks)-1) {
		t.Errorf("%d samples from %d looks", samples, len(reader.looks))
	}
	s.Start(context.Background())
	if !s.Active() {
		t.Error("not active after a second Start")
	}
	s.Close()
}

func TestSnapshotterFailedLook(t *testing.T) {
	t.Parallel()
	s := newSnapshotter(t, &hostSim{}, func(o *SnapshotterOptions) { o.Reader = &slowReader{fail: true} })
	ctx, cancel := context.WithCancel(context.Background())
	s.Start(ctx)
	cancel()
	s.Close()
	failed := uint64(0)
	s.Report(func(name string, v uint64) {
		if name == "host.read_failed" {
			failed = v
		}
	})
	if failed == 0 || s.Latest() != nil {
		t.Errorf("%d failed looks, latest %v", failed, s.Latest())
	}
}
