// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// variant is one way to run the probe.
type variant struct {
	name, title string
	args        []string
	// server and client say which ends of the bench's requests it counts.
	server, client bool
	// full, half and switches say under which loads it runs.
	full, half, switches bool
}

func allVariants() []variant {
	return []variant{
		{name: "idle", title: "hooks and filters, nothing wanted", args: []string{"--role", "client", "--port", "1", "--detail", "off"}, full: true, half: true},
		{name: "off", title: "`--role server --detail off`", args: []string{"--role", "server", "--detail", "off"}, server: true, full: true},
		{name: "server", title: "`--role server`", args: []string{"--role", "server"}, server: true, full: true, half: true, switches: true},
		{name: "detail", title: "`--role server --detail full`", args: []string{"--role", "server", "--detail", "full"}, server: true, full: true, half: true, switches: true},
		{name: "both", title: "`--role both`", args: []string{"--role", "both"}, server: true, client: true, full: true, half: true},
		{name: "syscall", title: "`--role server --source syscall`", args: []string{"--role", "server", "--source", "syscall"}, server: true, full: true, half: true},
	}
}

const (
	attachTimeout = 30 * time.Second
	stopTimeout   = 30 * time.Second
	// warmUp is for what is done once: of the first two seconds it takes some 13 ms of
	// CPU, as much as 90,000 requests.
	warmUp        = time.Second
	flushInterval = "1s" // ten times the default, so that a short run pays for flushes too
)

// attachedRun is a sample taken while the probe ran, and what the probe took.
type attachedRun struct {
	sample
	cpu      time.Duration // of all threads, user and system, during the load
	rssBytes uint64        // highest so far at the end of the load
	totals
	// miscounted says how the probe's count differs from the truth, if it does.
	miscounted string
}

// cpuPerMillion returns CPU seconds per million requests.
func (r attachedRun) cpuPerMillion() float64 {
	return r.cpu.Seconds() / float64(r.requests) * 1e6
}

// bench is what all runs share.
type bench struct {
	probe string // path
	dir   string // for temporary files
}

// with attaches the probe, runs load and returns what both say. inside, if not
// nil, is called with the probe's pid before and after the load.
func (b *bench) with(v variant, load func() (sample, error), inside func(pid int) error) (r attachedRun, err error) {
	to, err := newSink()
	if err != nil {
		return r, err
	}
	proc, err := b.attach(v, to.target())
	if err != nil {
		_, e := to.finish()
		return r, errors.Join(err, e)
	}
	err = r.measure(proc.pid(), load, inside)
	if !proc.stop(stopTimeout) {
		err = errors.Join(err, errors.New("the probe did not stop on SIGTERM"))
	} else if code := proc.cmd.ProcessState.ExitCode(); code != 0 {
		err = errors.Join(err, fmt.Errorf("the probe ended with code %d: %s", code, proc.complaint()))
	}
	var e error
	r.totals, e = to.finish()
	r.miscounted = miscount(v, r)
	return r, errors.Join(err, e)
}

// attach starts the probe and waits until its hooks are in place.
func (b *bench) attach(v variant, target string) (*child, error) {
	ready := filepath.Join(b.dir, "ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove ready file: %w", err)
	}
	args := append([]string{"run", "--statsd", target, "--statsd-dialect", "dogstatsd",
		"--prefix", "probe", "--interval", flushInterval, "--ready-file", ready}, v.args...)
	proc, err := startChild(b.probe, args...)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(attachTimeout); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			time.Sleep(warmUp)
			return proc, nil
		}
		if proc.wait(0) || time.Now().After(deadline) {
			proc.stop(time.Second)
			return nil, fmt.Errorf("the probe did not attach: %s", proc.complaint())
		}
	}
}

func (r *attachedRun) measure(pid int, load func() (sample, error), inside func(pid int) error) error {
	if inside == nil {
		inside = func(int) error { return nil }
	}
	if err := inside(pid); err != nil {
		return err
	}
	before, err := cpuTime(pid)
	if err != nil {
		return err
	}
	if r.sample, err = load(); err != nil {
		return err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return err
	}
	r.cpu = after - before
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return fmt.Errorf("read the probe's memory: %w", err)
	}
	if r.rssBytes, err = peakRSS(status); err != nil {
		return err
	}
	return inside(pid)
}

// cpuTime is the CPU time of a process with all its threads. The clock of
// another process is clock_getcpuclockid(3): finer than /proc/PID/stat.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED, posix-timers_types.h
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// peakRSS reads VmHWM from /proc/PID/status, in bytes.
func peakRSS(status []byte) (uint64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte("VmHWM:"))
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(string(rest)), " ")
		kib, err := strconv.ParseUint(number, 10, 64)
		return kib << 10, err
	}
	return 0, errors.New("read the probe's memory: no VmHWM")
}

// miscount compares the probe's numbers with those of the load generator, which
// leaves up to open requests behind that the probe may have seen.
func miscount(v variant, r attachedRun) string {
	var wrong []string
	check := func(end string, wanted bool, got uint64) {
		low, high := uint64(0), uint64(0)
		if wanted {
			low, high = r.requests, r.requests+r.open
		}
		if got < low || got > high {
			wrong = append(wrong, fmt.Sprintf("%s: %d counted, %d to %d made", end, got, low, high))
		}
	}
	check("server", v.server, r.server)
	check("client", v.client, r.client)
	return strings.Join(wrong, "; ")
}
