// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// ProgramStats is what the kernel says about one loaded program.
type ProgramStats struct {
	Name string
	// Attached is false for a program that was loaded and is not needed.
	Attached bool
	// Runs and RunTime are the kernel's own accounting since Load. Both are 0
	// unless RunTimeMeasured.
	Runs    uint64
	RunTime time.Duration
}

// bpfStatsSetting is 1 while the kernel measures the run time of BPF programs,
// which costs each run 40 to 50 ns.
const bpfStatsSetting = "/proc/sys/kernel/bpf_stats_enabled"

// RunTimeMeasured reports whether the kernel measures the run time of programs
// (sysctl kernel.bpf_stats_enabled). Probe never changes that setting.
func RunTimeMeasured() bool {
	value, err := os.ReadFile(bpfStatsSetting)
	return err == nil && string(bytes.TrimSpace(value)) == "1"
}

// Programs returns every program of the detail and of the source in use, in the
// order of their attachment, but for those that ask which processes are wanted. The
// error is the kernel's.
func (l *Loader) Programs() ([]ProgramStats, error) {
	attached, err := l.attachedPrograms()
	if err != nil {
		return nil, err
	}
	var all []ProgramStats
	for _, name := range append(l.extra[:len(l.extra):len(l.extra)], l.programs()...) {
		program := l.objects.Programs[name]
		if program == nil {
			continue
		}
		one := ProgramStats{Name: name}
		info, err := program.Info()
		if err != nil {
			return nil, fmt.Errorf("ask about program %s: %w", name, err)
		}
		if id, known := info.ID(); known {
			one.Attached = attached[id]
		}
		if stats, err := program.Stats(); err == nil {
			one.Runs, one.RunTime = stats.RunCount, stats.Runtime
		}
		all = append(all, one)
	}
	return all, nil
}

func (l *Loader) attachedPrograms() (map[ebpf.ProgramID]bool, error) {
	links := append([]link.Link(nil), l.hooks...)
	if l.sweeper != nil {
		links = append(links, l.sweeper)
	}
	attached := map[ebpf.ProgramID]bool{}
	for _, one := range links {
		info, err := one.Info()
		if err != nil {
			return nil, fmt.Errorf("ask about an attached program: %w", err)
		}
		attached[info.Program] = true
	}
	return attached, nil
}
