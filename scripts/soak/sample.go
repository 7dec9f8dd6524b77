// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// sample is how probe is at one moment.
type sample struct {
	at         time.Duration // since the begin of the load
	rss        uint64        // VmRSS
	cpu        float64       // seconds so far
	host       hostCPU
	requests   uint64
	lost       map[string]uint64
	goroutines float64
	files      float64
	heap       float64 // bytes in use
	series     int
	open       uint64
	restarts   int
	problems   []string
}

func takeSample(a *agent, at time.Duration) (sample, error) {
	s := sample{at: at}
	m, err := a.metrics()
	if err != nil {
		return s, err
	}
	in, err := a.insight()
	if err != nil {
		return s, err
	}
	if s.rss, err = a.memory(); err != nil {
		return s, err
	}
	if s.host, err = readHostCPU(); err != nil {
		return s, err
	}
	s.cpu, s.goroutines, s.files = m["process_cpu_seconds_total"], m["go_goroutines"], m["process_open_fds"]
	s.heap = m["go_memstats_heap_inuse_bytes"]
	s.requests = in.Counters["exchange.finished"]
	s.lost, s.series, s.open, s.problems = lossesOf(in.Counters), in.Series, in.Open, in.Problems
	if !in.Answers {
		s.problems = append(s.problems, "the pipeline does not answer")
	}
	for _, p := range in.Parts {
		s.restarts += int(p.Restarts)
	}
	return s, nil
}

// String is a line for whoever waits.
func (s sample) String() string {
	return fmt.Sprintf("%v: %s, %d requests, lost %s, %.0f goroutines, %.0f files, %d series, %s heap",
		s.at.Round(time.Second), mib(s.rss), s.requests, lossText(s.lost), s.goroutines, s.files, s.series, mib(uint64(s.heap)))
}

// hostCPU is the time of all CPUs so far, in seconds.
type hostCPU struct{ busy, all float64 }

func readHostCPU() (hostCPU, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return hostCPU{}, fmt.Errorf("read the CPU time of the host: %w", err)
	}
	stat, err := fs.Stat()
	if err != nil {
		return hostCPU{}, fmt.Errorf("read the CPU time of the host: %w", err)
	}
	c := stat.CPUTotal // guests are part of user
	h := hostCPU{busy: c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal}
	h.all = h.busy + c.Idle + c.Iowait
	return h, nil
}

// busySince is the share of all CPUs in use since an earlier look.
func (h hostCPU) busySince(before hostCPU) float64 {
	if h.all == before.all {
		return 0
	}
	return (h.busy - before.busy) / (h.all - before.all)
}

// worst are the warnings, errors and crashes that an agent has logged. That the
// host is overloaded is none: it is true.
func (a *agent) worst() []string {
	var bad []string
	for _, l := range a.log() {
		if l.Msg == "the host is overloaded" {
			continue
		}
		if l.Level == "ERROR" || l.Level == "FATAL" || l.Level == "WARN" {
			bad = append(bad, strings.TrimSpace(l.Msg+" "+l.Error))
		}
	}
	return bad
}
