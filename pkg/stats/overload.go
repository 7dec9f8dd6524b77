// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"time"
)

// Resource is what can be overloaded.
type Resource string

// Resources.
const (
	ResourceCPU          Resource = "cpu"
	ResourceMemory       Resource = "memory"
	ResourceSchedDelay   Resource = "sched_delay"
	ResourceClientErrors Resource = "client_errors"
)

// Resources in the order of Overload.
func Resources() []Resource {
	return []Resource{ResourceCPU, ResourceMemory, ResourceSchedDelay, ResourceClientErrors}
}

// Verdict of one sample.
type Verdict struct {
	Overloaded bool `json:"overloaded"`
	// Reason names the value and the threshold; empty unless Overloaded.
	Reason string `json:"reason,omitempty"`
}

// CPUSample is the use of all CPUs together.
type CPUSample struct {
	Time      time.Duration
	UsedRatio float64
	Verdict
}

// MemorySample is the use of the host's memory.
type MemorySample struct {
	Time      time.Duration
	UsedRatio float64
	// Used and Total are in bytes.
	Used, Total uint64
	Verdict
}

// SchedDelaySample is the wait for a CPU.
type SchedDelaySample struct {
	Time time.Duration
	SchedDelay
	Verdict
}

// ClientErrorSample counts the answers to outbound calls since the sample
// before.
type ClientErrorSample struct {
	Time                      time.Duration
	RateLimited, ServerErrors uint64
	Verdict
}

func (s CPUSample) at() time.Duration         { return s.Time }
func (s MemorySample) at() time.Duration      { return s.Time }
func (s SchedDelaySample) at() time.Duration  { return s.Time }
func (s ClientErrorSample) at() time.Duration { return s.Time }

func (t *Thresholds) cpu(at time.Duration, c *HostCPU) CPUSample {
	s := CPUSample{Time: at, UsedRatio: c.Used}
	if c.Used > t.MaxUsedCPURatio {
		s.Verdict = Verdict{true, fmt.Sprintf("used ratio %.3f is above %.3g", c.Used, t.MaxUsedCPURatio)}
	}
	return s
}

func (t *Thresholds) memory(at time.Duration, m *HostMemory) MemorySample {
	s := MemorySample{Time: at, UsedRatio: m.UsedRatio, Used: m.Used, Total: m.Total}
	switch {
	case m.UsedRatio > t.MaxUsedMemoryRatio:
		s.Verdict = Verdict{true, fmt.Sprintf("used ratio %.3f is above %.3g", m.UsedRatio, t.MaxUsedMemoryRatio)}
	case t.MaxMemorySize > 0 && m.Used > t.MaxMemorySize:
		s.Verdict = Verdict{true, fmt.Sprintf("%d bytes used, above %d", m.Used, t.MaxMemorySize)}
	}
	return s
}

func (t *Thresholds) schedDelay(at time.Duration, d *SchedDelay) SchedDelaySample {
	s := SchedDelaySample{Time: at, SchedDelay: *d}
	name, value := "mean", d.Mean
	if d.Quantiles {
		name, value = "p99", d.P99
	}
	if value > t.MaxSchedDelay {
		s.Verdict = Verdict{true, fmt.Sprintf("%s %v is above %v", name, value, t.MaxSchedDelay)}
	}
	return s
}

func (t *Thresholds) clientErrors(at time.Duration, c *ClientErrors) ClientErrorSample {
	s := ClientErrorSample{Time: at, RateLimited: c.RateLimited, ServerErrors: c.ServerErrors}
	if n := c.RateLimited + c.ServerErrors; n > uint64(t.MaxClientErrors) {
		s.Verdict = Verdict{true, fmt.Sprintf("%d answers with 429 or 5xx, above %d", n, t.MaxClientErrors)}
	}
	return s
}

// Overload is a resource of the host that is overloaded, and why.
type Overload struct {
	Resource Resource `json:"resource"`
	Reason   string   `json:"reason"`
}

// Window, in which samples are judged together, and the shares of overloaded
// samples in it at which a resource becomes overloaded and is so no more.
const (
	DefaultOverloadWindow = 10 * time.Second
	TripShare             = 0.4
	ClearShare            = 0.1
)

// judge keeps the state of one resource between samples.
type judge struct {
	tripped bool
	reason  string // of the last overloaded sample
}

// look takes the samples of the window, the newest included.
func (j *judge) look(samples, overloaded int, newest Verdict) {
	if newest.Overloaded {
		j.reason = newest.Reason
	}
	share := float64(overloaded) / float64(samples)
	switch {
	case share >= TripShare:
		j.tripped = true
	case share <= ClearShare:
		j.tripped = false
	}
}
