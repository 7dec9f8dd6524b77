// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// mapIterators reports whether the kernel lets an iterator go over the state of
// the source's connections. Some kernels refuse just these iterators, to root too.
func mapIterators(source Source) bool {
	over := "bpf_sk_storage_map"
	if source == SourceSyscall {
		over = "bpf_map_elem"
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: over, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		// Another error is told by the load of the real one.
		return !errors.Is(err, unix.EPERM)
	}
	return program.Close() == nil
}

// SweepsFiles reports whether sweeps go over the open files of every process of
// this PID namespace, because the kernel refuses iterators over maps.
func (l *Loader) SweepsFiles() bool { return l.byFiles }

// sweepProgram is run, not attached.
func (l *Loader) sweepProgram() string {
	switch {
	case l.source == SourceSocket && !l.byFiles:
		return "http_sock_sweep"
	case l.source == SourceSocket:
		return "http_sock_files_sweep"
	case !l.byFiles:
		return "http_tab_sweep"
	}
	return "http_tab_files_sweep"
}

// programs of the source: the hooks and the sweep.
func (l *Loader) programs() []string {
	return append(slices.Clone(hooksOf[l.source]), l.sweepProgram())
}

func (l *Loader) attachSweep() error {
	name := l.sweepProgram()
	over := link.IterOptions{Program: l.objects.Programs[name]}
	switch {
	case l.byFiles:
	case l.source == SourceSyscall:
		over.Map = l.objects.Maps["http_conn_table"]
	default:
		over.Map = l.objects.Maps["http_conns"]
	}
	sweeper, err := link.AttachIter(over)
	if err != nil {
		return fmt.Errorf("attach %s: %w", name, explain(err))
	}
	l.sweeper = sweeper
	return nil
}

// Sweep makes the kernel report, through the ring, requests that were read
// before olderNS (CLOCK_MONOTONIC) and have no response yet, responses that
// grew since their last record and, if asked, every Unix socket that is alive.
// Cost: 0.7 ms per 5,000 connections; where SweepsFiles, 1.5 ms per 5,000 open
// files of the host and 3.5 ms per 5,000 sockets.
func (l *Loader) Sweep(olderNS uint64, unixAlive bool) error {
	arg := bpfProbeSweep{OlderNs: olderNS}
	if unixAlive {
		arg.UnixAlive = 1
	}
	if err := l.objects.Variables["sweep"].Set(arg); err != nil {
		return fmt.Errorf("sweep connections: %w", explain(err))
	}
	run, err := l.sweeper.Open()
	if err != nil {
		return fmt.Errorf("sweep connections: %w", explain(err))
	}
	_, err = io.Copy(io.Discard, run)
	if err = errors.Join(err, run.Close()); err != nil {
		return fmt.Errorf("sweep connections: %w", explain(err))
	}
	return nil
}
