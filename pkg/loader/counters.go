// SPDX-License-Identifier: Apache-2.0

package loader

import "fmt"

// Counter is a number that the kernel side has counted since Load.
type Counter struct {
	// Name is stable: it is part of the exported metric names.
	Name  string
	Value uint64
}

// counterNames follows enum probe_count. Names with "dropped" and "unseen" say
// that something was not seen, and why.
var counterNames = [bpfProbeCountPROBE_COUNT_MAX]string{
	bpfProbeCountPROBE_COUNT_STARTS:         "kernel.requests_seen",
	bpfProbeCountPROBE_COUNT_RECORDS:        "kernel.records",
	bpfProbeCountPROBE_DROP_RING_FULL:       "kernel.dropped.ring_full",
	bpfProbeCountPROBE_DROP_RING_FULL_START: "kernel.dropped.ring_full_requests",
	bpfProbeCountPROBE_DROP_NO_STATE:        "kernel.dropped.no_state",
	bpfProbeCountPROBE_DROP_NOT_HTTP:        "kernel.unseen.not_http",
	bpfProbeCountPROBE_DROP_TLS:             "kernel.unseen.tls",
	bpfProbeCountPROBE_DROP_HTTP2:           "kernel.unseen.http2",
	bpfProbeCountPROBE_DROP_IO_URING:        "kernel.unseen.io_uring",
	bpfProbeCountPROBE_DROP_COMPAT:          "kernel.unseen.compat_task",
	bpfProbeCountPROBE_DROP_NO_BUFFER:       "kernel.unseen.no_buffer",
	bpfProbeCountPROBE_DROP_UNREADABLE:      "kernel.unseen.unreadable",
	bpfProbeCountPROBE_DROP_IOVECS:          "kernel.unseen.iovecs",
	bpfProbeCountPROBE_DROP_NOT_ANSWER:      "kernel.dropped.not_http_answer",
	bpfProbeCountPROBE_DROP_LOST_TASK:       "kernel.unseen.kernel_thread",
	bpfProbeCountPROBE_COUNT_TUNNELS:        "kernel.tunnels",
	bpfProbeCountPROBE_COUNT_CONNS:          "kernel.connections",
	bpfProbeCountPROBE_DROP_NO_THREAD:       "kernel.dropped.no_thread",
	bpfProbeCountPROBE_DROP_NO_DELAYS:       "kernel.dropped.no_delays",
	bpfProbeCountPROBE_DROP_NOT_ASKED:       "kernel.dropped.not_asked",
	bpfProbeCountPROBE_COUNT_RACED:          "kernel.raced",
	bpfProbeCountPROBE_DROP_RACED_START:     "kernel.dropped.raced_requests",
}

// Counters appends every counter to dst, summed over CPUs, plus how often each
// program could not run because it interrupted itself.
func (l *Loader) Counters(dst []Counter) ([]Counter, error) {
	var perCPU []bpfProbeCounters
	if err := l.objects.Maps["http_counters"].Lookup(uint32(0), &perCPU); err != nil {
		return dst, fmt.Errorf("read kernel counters: %w", err)
	}
	for i, name := range counterNames {
		c := Counter{Name: name}
		for _, cpu := range perCPU {
			c.Value += cpu.Value[i]
		}
		dst = append(dst, c)
	}
	missed := Counter{Name: "kernel.dropped.recursion"}
	for _, p := range l.objects.Programs {
		if info, err := p.Stats(); err == nil {
			missed.Value += info.RecursionMisses
		}
	}
	return append(dst, missed), nil
}
