// SPDX-License-Identifier: Apache-2.0

// Package agent builds the pipeline of the program and runs it:
//
//	loader → events → exchange → (workload, route) → stats → export
//
// or, for a trace, → accesslog. It is the only place that knows every part.
package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"probe/pkg/loader"
)

// Options are what a user can choose, in the words of the command line.
type Options struct {
	// Source is auto, socket or syscall; Role is server, client or both.
	Source, Role string
	// Detail is off, basic or full; empty means basic.
	Detail string
	// Filters; empty means everything.
	Ports []uint16
	PIDs  []uint32
	Comms []string
	// Names says how processes are called, and filters by names.
	Names NameOptions
	// CaptureBytes of each head and RingBytes of buffer; 0 means the defaults.
	CaptureBytes, RingBytes int
	// Duration after which to stop by itself; 0: run until told.
	Duration time.Duration
	// ReadyFile is created once everything is attached and removed at the end.
	ReadyFile string
	// Routes are templates that come before the heuristics.
	Routes []string

	// Statsd is the target and Dialect its dialect; Prefix the start of every
	// name. Interval is between two flushes, LogInterval between log lines.
	Statsd, Dialect, Prefix string
	Interval, LogInterval   time.Duration
	// Export is everything else about the lines and their way.
	Export ExportOptions

	// SnapshotInterval is between two looks at the host, 0 for none; Thresholds
	// say when it is overloaded.
	SnapshotInterval time.Duration
	Thresholds       Thresholds

	// Trace prints requests instead of sending statsd lines; JSON and Query
	// choose the form.
	Trace, JSON, Query bool
	// Slow prints only requests that took at least this long, with the reason.
	Slow time.Duration

	// ShutdownTimeout bounds the time between being told to stop and the end.
	ShutdownTimeout time.Duration
	// Listen is the address of the HTTP endpoint, "" for none. It must be on
	// the loopback interface unless ListenPublic. Pprof adds /debug/pprof.
	Listen              string
	ListenPublic, Pprof bool
	// StateDir keeps the totals across restarts; "": nothing is kept.
	StateDir string
	// Reload reads the settings again, for SIGHUP; nil: SIGHUP is not served.
	Reload func() (Reloaded, error)
	// Version of the program, to be shown.
	Version string
	// DropPrivileges gives up, once everything is attached, the capabilities
	// that are no longer needed.
	DropPrivileges bool
	// LockDir is where agents of this host agree on who sends to a receiver
	// (usually LockDir); "": not at all. LockWait is how long to wait for
	// another one to end; 0 means DefaultLockWait.
	LockDir  string
	LockWait time.Duration

	// Stdout gets lines of output; Log gets everything else.
	Stdout io.Writer
	Log    *slog.Logger
}

// Defaults of Options.
const (
	DefaultRingBytes   = loader.DefaultRingBytes
	DefaultInterval    = 10 * time.Second
	DefaultLogInterval = time.Minute
	MinInterval        = 100 * time.Millisecond
	// DefaultShutdownTimeout is below what Kubernetes (30 s) and systemd (90 s)
	// wait before they kill.
	DefaultShutdownTimeout = 10 * time.Second
)

// ErrUsage marks an option that is out of range; the program exits with 2.
var ErrUsage = errors.New("bad usage")

// Validate reports the first option that is out of range, wrapping ErrUsage.
func (o Options) Validate() error {
	lo, err := o.loaderOptions()
	if err == nil {
		err = lo.Validate()
	}
	if err == nil && !o.Trace {
		err = o.validateExport()
	}
	if err == nil && o.Interval < MinInterval && !o.Trace {
		err = fmt.Errorf("interval %v: at least %v", o.Interval, MinInterval)
	}
	if err == nil {
		err = o.validateHost()
	}
	if err == nil {
		err = o.Names.validate()
	}
	if err == nil {
		err = o.validateDurations()
	}
	if err == nil {
		err = o.validateListen()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

func (o Options) validateDurations() error {
	switch {
	case o.Duration < 0:
		return fmt.Errorf("duration %v: must not be negative", o.Duration)
	case o.LogInterval < 0:
		return fmt.Errorf("log interval %v: must not be negative", o.LogInterval)
	case o.Slow < 0:
		return fmt.Errorf("slow %v: must not be negative", o.Slow)
	case o.ShutdownTimeout <= 0:
		return fmt.Errorf("shutdown timeout %v: must be positive", o.ShutdownTimeout)
	}
	return nil
}

func (o Options) loaderOptions() (loader.Options, error) {
	lo := loader.Options{
		Source: loader.Source(o.Source), Detail: loader.Detail(o.Detail), Ports: o.Ports, PIDs: o.PIDs, Comms: o.Comms,
		CaptureBytes: o.CaptureBytes, RingBytes: o.RingBytes,
		JudgeProcesses: !o.Names.filter().Empty(),
	}
	switch o.Role {
	case "server":
		lo.Server = true
	case "client":
		lo.Client = true
	case "both":
		lo.Server, lo.Client = true, true
	default:
		return lo, fmt.Errorf("unknown role %q: want server, client or both", o.Role)
	}
	return lo, nil
}
