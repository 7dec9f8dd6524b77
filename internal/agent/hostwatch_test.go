// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"probe/internal/clock"
	"probe/pkg/stats"
)

func watch(t *testing.T, o Options) *hostWatch {
	t.Helper()
	c, err := clock.New()
	if err != nil {
		t.Fatal(err)
	}
	unknown := func() (stats.ClientErrorTotals, bool) { return stats.ClientErrorTotals{}, false }
	h, err := newHostWatch(o, func() time.Duration { return time.Duration(c.Now()) }, unknown, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// An overloaded host is logged once, when it becomes so, with the reason.
func TestHostWatchLogsOverload(t *testing.T) {
	var log bytes.Buffer
	h := watch(t, Options{
		SnapshotInterval: MinSnapshotInterval, Thresholds: Thresholds{MaxMemorySize: 1},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if h.latest() != nil {
		t.Error("a state before the first look")
	}
	h.start(context.Background())
	for seen := 0; seen < 3; {
		time.Sleep(MinSnapshotInterval)
		var s stats.Snapshot
		if h.flush(&s); s.Host != nil {
			seen++
		}
	}
	h.snapshots.Close() // end, without the last flush
	defer h.close()
	if n := strings.Count(log.String(), "the host is overloaded"); n != 1 || !strings.Contains(log.String(), "bytes used, above 1") {
		t.Errorf("overload logged %d times:\n%s", n, &log)
	}
	if n := strings.Count(log.String(), "source=client_errors"); n != 1 {
		t.Errorf("missing source logged %d times:\n%s", n, &log)
	}
	state := h.latest()
	if state == nil || state.Memory == nil || state.Interval < MinSnapshotInterval/2 {
		t.Errorf("latest state %+v", state)
	}
	h.told = "cpu " // as if it had been
	h.log.Info("from here")
	h.snapshots.Push(&stats.HostState{Time: 1 << 62})
	h.flush(&stats.Snapshot{})
	if _, after, _ := strings.Cut(log.String(), "from here"); !strings.Contains(after, "the host is overloaded") {
		t.Errorf("a change of resources is not logged:\n%s", after)
	}
}

// Without an interval there is no watch, and everything about it does nothing.
func TestHostWatchOff(t *testing.T) {
	h := watch(t, Options{})
	if h != nil {
		t.Fatal("a watch without an interval")
	}
	h.start(context.Background())
	h.end()
	h.close()
	h.report(func(string, uint64) { t.Error("counters") })
	var s stats.Snapshot
	if h.flush(&s); s.Host != nil || h.latest() != nil {
		t.Error("a state from nobody")
	}
}

func TestValidateHost(t *testing.T) {
	for _, o := range []Options{
		{SnapshotInterval: -1}, {SnapshotInterval: MinSnapshotInterval - 1}, {Thresholds: Thresholds{MaxUsedCPURatio: 2}},
	} {
		o.Role, o.Interval = "server", DefaultInterval
		if err := o.Validate(); !errors.Is(err, ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
