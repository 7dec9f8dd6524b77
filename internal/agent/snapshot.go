// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"probe/internal/clock"
	"probe/internal/host"
	"probe/pkg/stats"
)

// SnapshotOptions of Snapshot.
type SnapshotOptions struct {
	// Interval between the two looks, MinSnapshotInterval to
	// MaxSnapshotInterval.
	Interval   time.Duration
	Thresholds Thresholds
	// JSON prints one object instead of a table.
	JSON   bool
	Stdout io.Writer
}

// MaxSnapshotInterval bounds how long a single snapshot may take.
const MaxSnapshotInterval = time.Hour

// Validate reports the first option that is out of range, wrapping ErrUsage.
func (o SnapshotOptions) Validate() error {
	if o.Interval < MinSnapshotInterval || o.Interval > MaxSnapshotInterval {
		return fmt.Errorf("%w: interval %v: want %v to %v", ErrUsage, o.Interval, MinSnapshotInterval, MaxSnapshotInterval)
	}
	if err := o.Thresholds.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// hostReport is what Snapshot prints; its JSON is stable.
type hostReport struct {
	Time time.Time `json:"time"`
	Host string    `json:"host"`
	stats.HostState
	// Overloaded and UnderPressure are the verdict: the first says whether a
	// threshold is exceeded, the second lists everything worth a look.
	Overloaded    bool           `json:"overloaded"`
	UnderPressure []host.Finding `json:"under_pressure"`
}

// Snapshot looks at the host twice, prints what it saw in between, and says
// what is under pressure and what could not be seen. It needs no BPF and no
// privileges.
func Snapshot(ctx context.Context, o SnapshotOptions) error {
	if err := o.Validate(); err != nil {
		return err
	}
	r, err := takeReport(ctx, o)
	if err != nil {
		return err
	}
	if o.JSON {
		text := json.NewEncoder(o.Stdout)
		text.SetEscapeHTML(false)
		err = text.Encode(r)
	} else {
		err = r.print(o.Stdout)
	}
	if err != nil {
		return fmt.Errorf("print snapshot: %w", err)
	}
	return nil
}

func takeReport(ctx context.Context, o SnapshotOptions) (*hostReport, error) {
	now, err := clock.New()
	if err != nil {
		return nil, err
	}
	mono := func() time.Duration { return time.Duration(now.Now()) }
	reader, err := host.New(host.OptionsFromEnv(os.Getenv))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	s, err := stats.NewSnapshotter(stats.SnapshotterOptions{Thresholds: o.Thresholds, Interval: o.Interval, Now: mono})
	if err != nil {
		return nil, err
	}
	for look := range 2 {
		if look > 0 {
			if err := sleep(ctx, o.Interval); err != nil {
				return nil, fmt.Errorf("stopped before the second look: %w", err)
			}
		}
		state, err := reader.ReadHost(mono())
		if err != nil {
			return nil, err
		}
		s.Push(state)
	}
	state, overload := s.Latest(), s.Overload()
	r := &hostReport{
		Time: now.Wall(uint64(state.Time)).UTC(), Host: hostname(), HostState: *state,
		Overloaded: len(overload) > 0, UnderPressure: host.UnderPressure(state, overload),
	}
	if r.UnderPressure == nil {
		r.UnderPressure = []host.Finding{}
	}
	return r, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
