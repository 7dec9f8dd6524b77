// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Defaults of Thresholds. Those of CPU, memory and delay are what crawlers
// (Crawlee's Snapshotter) have proven in use for "add no more work"; two
// client errors a second let a single refused call pass.
const (
	DefaultMaxUsedCPURatio    = 0.95
	DefaultMaxUsedMemoryRatio = 0.9
	DefaultMaxSchedDelay      = 50 * time.Millisecond
	DefaultMaxClientErrors    = 2
)

// Thresholds say when a sample counts as overloaded: when its value is above.
// A field that is 0 has its default.
type Thresholds struct {
	// MaxUsedCPURatio of all CPUs together, above 0 to 1. Default 0.95.
	MaxUsedCPURatio float64
	// MaxUsedMemoryRatio of the host's memory, above 0 to 1. Default 0.9.
	MaxUsedMemoryRatio float64
	// MaxSchedDelay is the longest wait for a CPU, compared with the 99th
	// percentile of a sample, or with the mean of a source that knows no more.
	// It is what an event loop would call its delay. Default 50 ms.
	MaxSchedDelay time.Duration
	// MaxClientErrors is the number of answers with 429 or 5xx to outbound
	// calls in one sample, at least 1. Default 2.
	MaxClientErrors int
	// MaxMemorySize is the most memory in bytes that may be used on the host,
	// beside MaxUsedMemoryRatio. Default: no such limit.
	MaxMemorySize uint64
}

// Validate reports the first field that is out of range.
func (t Thresholds) Validate() error {
	switch {
	case !(t.MaxUsedCPURatio >= 0 && t.MaxUsedCPURatio <= 1):
		return fmt.Errorf("%s %v: want above 0 to 1", keyCPURatio, t.MaxUsedCPURatio)
	case !(t.MaxUsedMemoryRatio >= 0 && t.MaxUsedMemoryRatio <= 1):
		return fmt.Errorf("%s %v: want above 0 to 1", keyMemoryRatio, t.MaxUsedMemoryRatio)
	case t.MaxSchedDelay < 0:
		return fmt.Errorf("%s %v: want a positive duration", keySchedDelay, t.MaxSchedDelay)
	case t.MaxClientErrors < 0:
		return fmt.Errorf("%s %d: want 1 or more", keyClientErrors, t.MaxClientErrors)
	}
	return nil
}

func (t Thresholds) withDefaults() Thresholds {
	if t.MaxUsedCPURatio == 0 {
		t.MaxUsedCPURatio = DefaultMaxUsedCPURatio
	}
	if t.MaxUsedMemoryRatio == 0 {
		t.MaxUsedMemoryRatio = DefaultMaxUsedMemoryRatio
	}
	if t.MaxSchedDelay == 0 {
		t.MaxSchedDelay = DefaultMaxSchedDelay
	}
	if t.MaxClientErrors == 0 {
		t.MaxClientErrors = DefaultMaxClientErrors
	}
	return t
}

// Keys of FromConfig.
const (
	keyCPURatio     = "max_used_cpu_ratio"
	keyMemoryRatio  = "max_used_memory_ratio"
	keySchedDelay   = "max_event_loop_delay"
	keyClientErrors = "max_client_errors"
	keyMemorySize   = "max_memory_size"
)

// FromConfig returns a Snapshotter with opt, whose Thresholds are replaced by
// those of a configuration: max_used_cpu_ratio and max_used_memory_ratio
// ("0.95"), max_event_loop_delay ("50ms"), max_client_errors ("2") and
// max_memory_size in bytes ("8589934592"). A key that is missing leaves the
// field of opt as it is; one that is unknown is an error, as is a value that
// does not parse or is out of range.
func FromConfig(config map[string]string, opt SnapshotterOptions) (*Snapshotter, error) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if err := opt.Thresholds.set(key, config[key]); err != nil {
			return nil, fmt.Errorf("set up snapshotter: %w", err)
		}
	}
	return NewSnapshotter(opt)
}

func (t *Thresholds) set(key, value string) (err error) {
	switch key {
	case keyCPURatio:
		t.MaxUsedCPURatio, err = strconv.ParseFloat(value, 64)
	case keyMemoryRatio:
		t.MaxUsedMemoryRatio, err = strconv.ParseFloat(value, 64)
	case keySchedDelay:
		t.MaxSchedDelay, err = time.ParseDuration(value)
	case keyClientErrors:
		t.MaxClientErrors, err = strconv.Atoi(value)
	case keyMemorySize:
		t.MaxMemorySize, err = strconv.ParseUint(value, 10, 64)
	default:
		known := []string{keyCPURatio, keyMemoryRatio, keySchedDelay, keyClientErrors, keyMemorySize}
		return fmt.Errorf("unknown key %q; use one of: %s", key, strings.Join(known, ", "))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}
