// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
)

// Source says where the programs hook the kernel.
type Source string

// Sources. SourceAuto takes the socket tracepoints where the kernel has them
// (6.3 and later) and the system-call tracepoint elsewhere.
const (
	SourceAuto    Source = "auto"
	SourceSocket  Source = "socket"
	SourceSyscall Source = "syscall"
)

// Limits and defaults. The upper limits are those of bpf/abi.h.
const (
	MaxCaptureBytes     = 512 // PROBE_HEAD_MAX
	MinCaptureBytes     = 64  // less does not hold a status line and a length
	DefaultCaptureBytes = 512
	DefaultRingBytes    = 8 << 20 // 100 ms of 240,000 requests/s at 340 bytes each
	MinRingBytes        = 4096
	DefaultTableEntries = 16384 // connections known to the system-call source
	MaxPorts            = 16
	MaxPIDs             = 16
	MaxComms            = 8
	maxCommLen          = 15 // the kernel's TASK_COMM_LEN less its terminator
)

// Options choose what the kernel side observes. The zero value observes the
// server role of every process from the best source.
type Options struct {
	// Source is where to hook; empty means SourceAuto.
	Source Source
	// Detail is how much to measure of where time goes; empty means DetailBasic.
	Detail Detail
	// Server and Client choose the roles; both false means Server.
	Server, Client bool
	// Ports keeps connections whose server listens on one of them; at most MaxPorts.
	Ports []uint16
	// PIDs keeps connections first used by one of these processes (thread
	// group ids of the initial pid namespace); at most MaxPIDs.
	PIDs []uint32
	// Comms keeps connections first used by a process of this exact name; at most
	// MaxComms of 1 to 15 bytes.
	Comms []string
	// JudgeProcesses keeps connections of processes for which Judge said so. The
	// kernel side asks for each (Asked); until it is told, it leaves the
	// process's connections alone and counts nothing of them.
	JudgeProcesses bool
	// CaptureBytes of each head are kept; 0 means DefaultCaptureBytes.
	CaptureBytes int
	// RingBytes is the size of the ring buffer, a power of two and a multiple
	// of the page size; 0 means DefaultRingBytes.
	RingBytes int
	// TableEntries bounds the connections of SourceSyscall; 0 means
	// DefaultTableEntries.
	TableEntries int
	// VerifierStats makes Programs tell what the verifier did with each program.
	VerifierStats bool

	// sweepFiles: as if the kernel refused iterators over maps; for tests.
	sweepFiles bool
	// userMemory: as if nothing could be read from what sockets hold; for tests.
	userMemory bool
	// impatient: a call does not wait for another one on its connection; for tests.
	impatient bool
}

func (o *Options) setDefaults() {
	if o.Detail == "" {
		o.Detail = DetailBasic
	}
	if o.Source == "" {
		o.Source = SourceAuto
	}
	if !o.Server && !o.Client {
		o.Server = true
	}
	if o.CaptureBytes == 0 {
		o.CaptureBytes = DefaultCaptureBytes
	}
	if o.RingBytes == 0 {
		o.RingBytes = DefaultRingBytes
	}
	if o.TableEntries == 0 {
		o.TableEntries = DefaultTableEntries
	}
}

// Validate reports the first value that is out of range.
func (o Options) Validate() error {
	o.setDefaults()
	switch o.Source {
	case SourceAuto, SourceSocket, SourceSyscall:
	default:
		return fmt.Errorf("unknown source %q: want auto, socket or syscall", o.Source)
	}
	if err := o.Detail.validate(); err != nil {
		return err
	}
	if o.CaptureBytes < MinCaptureBytes || o.CaptureBytes > MaxCaptureBytes {
		return fmt.Errorf("capture bytes %d: want %d to %d", o.CaptureBytes, MinCaptureBytes, MaxCaptureBytes)
	}
	if o.RingBytes < MinRingBytes || o.RingBytes&(o.RingBytes-1) != 0 || o.RingBytes > 1<<30 {
		return fmt.Errorf("ring size %d: want a power of two from %d to 1 GiB", o.RingBytes, MinRingBytes)
	}
	if o.TableEntries < 1 || o.TableEntries > 1<<20 {
		return fmt.Errorf("table entries %d: want 1 to %d", o.TableEntries, 1<<20)
	}
	if len(o.Ports) > MaxPorts {
		return fmt.Errorf("%d ports: at most %d", len(o.Ports), MaxPorts)
	}
	if len(o.PIDs) > MaxPIDs {
		return fmt.Errorf("%d pids: at most %d", len(o.PIDs), MaxPIDs)
	}
	return validateComms(o.Comms)
}

func validateComms(comms []string) error {
	if len(comms) > MaxComms {
		return fmt.Errorf("%d command names: at most %d", len(comms), MaxComms)
	}
	for _, c := range comms {
		if c == "" || len(c) > maxCommLen {
			return fmt.Errorf("command name %q: want 1 to %d bytes, as in /proc/PID/comm", c, maxCommLen)
		}
	}
	return nil
}

// ErrNotSupported: this kernel lacks something that is required.
var ErrNotSupported = errors.New("not supported by this kernel")

// ErrPermission: the process lacks a privilege that is required.
var ErrPermission = errors.New("missing privilege")
