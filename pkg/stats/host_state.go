// SPDX-License-Identifier: Apache-2.0

package stats

import "time"

// HostState is one look at the host. What the kernel does not tell is a nil
// section, and Missing says which and why: no field is 0 for want of a source.
//
// Times named Total only ever grow; ratios are computed from them, over the
// time since the look before (Interval), by Snapshotter.Push. A section that
// needs two looks is nil after the first one.
type HostState struct {
	// Time of the look, on the clock of SnapshotterOptions.Now.
	Time time.Duration `json:"-"`
	// Interval is the time since the look before.
	Interval time.Duration `json:"interval_ns"`

	CPU      *HostCPU    `json:"cpu,omitempty"`
	Memory   *HostMemory `json:"memory,omitempty"`
	PSI      PSI         `json:"psi"`
	RunQueue *RunQueue   `json:"run_queue,omitempty"`
	// SchedDelay is how long runnable threads waited for a CPU.
	SchedDelay *SchedDelay `json:"sched_delay,omitempty"`
	// ClientErrors are those of outbound calls.
	ClientErrors *ClientErrors `json:"client_errors,omitempty"`
	Listen       *Listen       `json:"listen,omitempty"`
	// Services are the control groups that hold processes, ordered by name.
	Services []Service `json:"services,omitempty"`
	// ServicesRefused is the number of those beyond the reader's limit.
	ServicesRefused int `json:"services_refused,omitempty"`

	// Missing are the sources that could not be read.
	Missing []MissingSource `json:"not_available,omitempty"`
}

// MissingSource is a source of HostState that was not available.
type MissingSource struct {
	// Source in the words of the JSON: "psi.memory", "sched_delay".
	Source string `json:"source"`
	// Reason says what was tried and what came of it.
	Reason string `json:"reason"`
}

// CPUTimes are CPU times since boot, of one CPU or the sum of several.
type CPUTimes struct {
	// Total is everything, Used everything but idle and iowait. Steal, the time
	// the hypervisor gave to others, is part of Used: nobody here could have it.
	Total, Used, Iowait, Steal time.Duration
}

// CPURatios are shares of the CPU time of an interval, 0 to 1.
type CPURatios struct {
	Used   float64 `json:"used_ratio"`
	Iowait float64 `json:"iowait_ratio"`
	Steal  float64 `json:"steal_ratio"`
}

// HostCPU is the use of all CPUs together and of each.
type HostCPU struct {
	CPURatios
	Times CPUTimes `json:"-"`
	// Cores are ordered by number; a CPU that is offline is not here.
	Cores []CoreCPU `json:"cores"`
}

// CoreCPU is one CPU.
type CoreCPU struct {
	Number int `json:"cpu"`
	CPURatios
	Times CPUTimes `json:"-"`
}

// HostMemory is in bytes.
type HostMemory struct {
	Total uint64 `json:"total_bytes"`
	// Available is what programs can have without swapping, the kernel's
	// estimate; Used is the rest of Total.
	Available uint64  `json:"available_bytes"`
	Used      uint64  `json:"used_bytes"`
	UsedRatio float64 `json:"used_ratio"`
	SwapTotal uint64  `json:"swap_total_bytes"`
	SwapUsed  uint64  `json:"swap_used_bytes"`
}

// PSI is pressure stall information (kernel 4.20) by resource.
type PSI struct {
	CPU    *Pressure `json:"cpu,omitempty"`
	Memory *Pressure `json:"memory,omitempty"`
	IO     *Pressure `json:"io,omitempty"`
}

// Pressure of one resource: Some of the tasks were stalled, or all of them
// (Full) at once. Full is nil where the kernel does not tell it.
type Pressure struct {
	Some *Stall `json:"some,omitempty"`
	Full *Stall `json:"full,omitempty"`
}

// Stall is a share of time. The averages over 10, 60 and 300 seconds are the
// kernel's and in percent, like the files of the kernel.
type Stall struct {
	// Ratio is the share of the interval, 0 to 1.
	Ratio  float64       `json:"ratio"`
	Avg10  float64       `json:"avg10"`
	Avg60  float64       `json:"avg60"`
	Avg300 float64       `json:"avg300"`
	Total  time.Duration `json:"-"`
}

// RunQueue counts threads at the moment of the look.
type RunQueue struct {
	// Runnable threads run or wait for a CPU, the one that looks included.
	// Blocked ones wait for a disk.
	Runnable uint64 `json:"runnable"`
	Blocked  uint64 `json:"blocked"`
	// Load averages over 1, 5 and 15 minutes; 0 and HasLoad false where unknown.
	Load1   float64 `json:"load1"`
	Load5   float64 `json:"load5"`
	Load15  float64 `json:"load15"`
	HasLoad bool    `json:"has_load"`
}

// SchedDelay is how long runnable threads waited for a CPU in an interval, one
// wait for each time a thread got one.
type SchedDelay struct {
	// Count of waits and their Mean.
	Count uint64        `json:"count"`
	Mean  time.Duration `json:"mean_ns"`
	// Quantiles is false where the source knows sums only; then P50 to Max are 0.
	Quantiles bool          `json:"quantiles"`
	P50       time.Duration `json:"p50_ns"`
	P90       time.Duration `json:"p90_ns"`
	P99       time.Duration `json:"p99_ns"`
	Max       time.Duration `json:"max_ns"`
	// TotalDelay and TotalCount since boot are for a source without quantiles:
	// Count and Mean are made from them.
	TotalDelay time.Duration `json:"-"`
	TotalCount uint64        `json:"-"`
}

// DelayOf makes the figures of an interval out of its histogram.
func DelayOf(h *Histogram) SchedDelay {
	s := h.Summary()
	d := SchedDelay{Count: s.Count, Quantiles: true, P50: s.P50, P90: s.P90, P99: s.P99, Max: s.Max}
	if s.Count > 0 {
		d.Mean = s.Sum / time.Duration(s.Count)
	}
	return d
}

// ClientErrors are answers to outbound calls that say that the other side has
// too much to do. They are Totals since the start, and counts of the interval.
type ClientErrors struct {
	// RateLimited are answers with 429, ServerErrors with 500 to 599.
	RateLimited  uint64            `json:"rate_limited"`
	ServerErrors uint64            `json:"server_errors"`
	Total        ClientErrorTotals `json:"-"`
}

// ClientErrorTotals only ever grow.
type ClientErrorTotals struct{ RateLimited, ServerErrors uint64 }

// Listen are the listening TCP sockets of one network namespace.
type Listen struct {
	// Sockets are ordered by port and address.
	Sockets []ListenSocket `json:"sockets"`
	// Refused is the number of sockets beyond the limit, those with the emptiest
	// queues.
	Refused int `json:"refused"`
	// Counters of the namespace are nil where the kernel does not tell them.
	Counters *ListenCounters `json:"counters,omitempty"`
}

// ListenSocket is one listening socket and its accept queue.
type ListenSocket struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
	// Length is the number of connections not accepted yet, Limit what listen(2)
	// asked for, at most net.core.somaxconn; the kernel takes one more.
	Length uint32 `json:"length"`
	Limit  uint32 `json:"limit"`
	// Inode names the socket, as in /proc/PID/fd.
	Inode uint32 `json:"inode"`
}

// ListenCounters count connections that were lost because a queue was full.
type ListenCounters struct {
	// Overflows found the accept queue full, Drops were lost for any reason,
	// overflows included. RequestDrops found the queue of half-open connections
	// full.
	Overflows    uint64       `json:"overflows"`
	Drops        uint64       `json:"drops"`
	RequestDrops uint64       `json:"request_drops"`
	Total        ListenTotals `json:"-"`
}

// ListenTotals only ever grow.
type ListenTotals struct{ Overflows, Drops, RequestDrops uint64 }

// Service is a control group with processes: a systemd unit, a container, or
// another group.
type Service struct {
	// Name of the unit without ".service", else the path of the group.
	Name string `json:"name"`
	// Cgroup is the path below the root of the hierarchy.
	Cgroup string `json:"cgroup"`
	// CPU and Memory are nil where no controller knows the group.
	CPU    *ServiceCPU    `json:"cpu,omitempty"`
	Memory *ServiceMemory `json:"memory,omitempty"`
	// PSI needs the group in a hierarchy of version 2.
	PSI PSI `json:"psi"`
}

// ServiceCPU is the CPU use of one service.
type ServiceCPU struct {
	// Used CPUs: 1.5 is one and a half of them, all the time.
	Used float64 `json:"used_cpus"`
	// Throttled is the share of the interval for which its CPUs were taken away
	// by a quota, summed over the CPUs: it may exceed 1. Nil: no quota is known.
	Throttled      *float64       `json:"throttled_ratio,omitempty"`
	TotalUsed      time.Duration  `json:"-"`
	TotalThrottled *time.Duration `json:"-"`
}

// ServiceMemory is in bytes, page cache included.
type ServiceMemory struct {
	Used uint64 `json:"used_bytes"`
	// Limit is 0 where there is none.
	Limit uint64 `json:"limit_bytes"`
}
