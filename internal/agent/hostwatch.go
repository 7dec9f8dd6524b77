// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"probe/internal/host"
	"probe/pkg/stats"
)

// Time between two looks at the host.
const (
	DefaultSnapshotInterval = stats.DefaultSnapshotInterval
	MinSnapshotInterval     = 100 * time.Millisecond
)

// Thresholds say when the host is overloaded.
type Thresholds = stats.Thresholds

// DefaultThresholds are those in force where none is chosen.
func DefaultThresholds() Thresholds {
	return Thresholds{
		MaxUsedCPURatio: stats.DefaultMaxUsedCPURatio, MaxUsedMemoryRatio: stats.DefaultMaxUsedMemoryRatio,
		MaxSchedDelay: stats.DefaultMaxSchedDelay, MaxClientErrors: stats.DefaultMaxClientErrors,
	}
}

func (o Options) validateHost() error {
	if o.SnapshotInterval != 0 && o.SnapshotInterval < MinSnapshotInterval {
		return fmt.Errorf("snapshot interval %v: at least %v, or 0 for none", o.SnapshotInterval, MinSnapshotInterval)
	}
	return o.Thresholds.Validate()
}

// hostWatch samples the host in a goroutine of its own: the pipeline takes what
// is there and never waits for a file. A nil one does nothing.
type hostWatch struct {
	log       *slog.Logger
	reader    *host.Reader
	snapshots *stats.Snapshotter
	// told is what was logged last, toldMissing whether the missing sources were.
	told        string
	toldMissing bool
	// ended: there are no more looks but the one that the last flush makes.
	ended bool
}

// newHostWatch returns nil without an interval. errors are the totals of the
// answers to outbound calls, false while they are not observed; delay is the
// kernel side's histogram, false where that is not there.
func newHostWatch(o Options, now func() time.Duration, errors func() (stats.ClientErrorTotals, bool), delay func() (stats.SchedDelay, bool)) (*hostWatch, error) {
	if o.SnapshotInterval == 0 {
		return nil, nil
	}
	reader, err := host.New(host.OptionsFromEnv(os.Getenv))
	if err != nil {
		return nil, err
	}
	snapshots, err := stats.NewSnapshotter(stats.SnapshotterOptions{
		Thresholds: o.Thresholds, Reader: reader, Interval: o.SnapshotInterval, ClientErrors: errors, SchedDelay: delay, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return &hostWatch{log: o.Log, reader: reader, snapshots: snapshots}, nil
}

// clientErrors are known when requests of the role client are.
func (a *Agent) clientErrors() (stats.ClientErrorTotals, bool) {
	if a.opt.Role == "server" {
		return stats.ClientErrorTotals{}, false
	}
	return a.stats.Totals().ClientErrors, true
}

func (h *hostWatch) start(ctx context.Context) {
	if h != nil {
		h.snapshots.Start(ctx)
	}
}

// end stops the looks, and waits for one that is under way. The next flush is
// the last.
func (h *hostWatch) end() {
	if h != nil {
		h.snapshots.Close()
		h.ended = true
	}
}

// close closes files, after end.
func (h *hostWatch) close() {
	if h != nil {
		h.reader.Close()
	}
}

// latest is the newest state of the host, nil before there is one; it costs one
// atomic load. It must not be changed.
func (h *hostWatch) latest() *stats.HostState {
	if h == nil {
		return nil
	}
	return h.snapshots.Latest()
}

// memoryPressure is the kernel's figure for the last ten seconds, in per cent.
func (a *Agent) memoryPressure() (some float64, ok bool) {
	s := a.host.latest()
	if s == nil || s.PSI.Memory == nil || s.PSI.Memory.Some == nil {
		return 0, false
	}
	return s.PSI.Memory.Some.Avg10, true
}

// flush puts the host's interval into a snapshot, and logs when the host
// becomes overloaded or is so no more.
func (h *hostWatch) flush(s *stats.Snapshot) {
	if h == nil {
		return
	}
	if h.ended {
		s.Host = h.snapshots.Finish()
	} else {
		s.Host = h.snapshots.Flush()
	}
	if s.Host == nil {
		return
	}
	if !h.toldMissing {
		h.toldMissing = true
		for _, m := range s.Host.Missing {
			h.log.Debug("not available", "source", m.Source, "reason", m.Reason)
		}
	}
	if now := describe(s.Host.Overload); now != h.told {
		h.told = now
		if now == "" {
			h.log.Info("the host is no longer overloaded")
			return
		}
		attrs := make([]any, 0, len(s.Host.Overload))
		for _, o := range s.Host.Overload {
			attrs = append(attrs, slog.String(string(o.Resource), o.Reason))
		}
		h.log.Warn("the host is overloaded", attrs...)
	}
}

// describe names the overloaded resources; their reasons change all the time.
func describe(overload []stats.Overload) (names string) {
	for _, o := range overload {
		names += string(o.Resource) + " "
	}
	return names
}

// report hands over the counters of the samples.
func (h *hostWatch) report(report func(name string, value uint64)) {
	if h != nil {
		h.snapshots.Report(report)
		h.reader.Report(report)
	}
}
