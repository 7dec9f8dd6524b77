// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// Need says what happens without a Feature.
type Need int

// Needs.
const (
	// Required: nothing works without it.
	Required Need = iota
	// ForSocketSource: without it the system-call source is used, which costs more.
	ForSocketSource
	// ForSyscallSource: needed only where the socket source cannot be used.
	ForSyscallSource
	// Optional: something is not measured without it.
	Optional
)

// Feature is one thing of the kernel that the programs use.
type Feature struct {
	// Name is stable: ring_buffer, task_storage, iterators, or hook. and the
	// name of a tracepoint.
	Name    string
	Need    Need
	Present bool
	// Since is the kernel release that brought it; Without says what is lost.
	Since, Without string
}

// hookTexts: of each tracepoint, since when the kernel has it and what is lost
// without it.
var hookTexts = map[string]struct{ since, without string }{
	"sock_send_length":               {"6.3", "the system-call source is used, which costs the observed servers more"},
	"sock_recv_length":               {"6.3", "the system-call source is used, which costs the observed servers more"},
	"sys_exit":                       {"5.5", "no system-call source"},
	"tcp_rcv_space_adjust":           {"4.15", "nothing can be observed"},
	"inet_sock_set_state":            {"4.16", "nothing can be observed"},
	"tcp_destroy_sock":               {"4.16", "nothing can be observed"},
	switchHook:                       {"5.5", "no run-queue delay of host and services, and no wait for a CPU with --detail full"},
	"sched_waking":                   {"5.5", "waits for locks and for other threads are not told apart"},
	"hrtimer_expire_entry":           {"5.5", "sleeps are not told apart from other waits"},
	"hrtimer_expire_exit":            {"5.5", "sleeps are not told apart from other waits"},
	"mm_vmscan_direct_reclaim_begin": {"5.5", "waits for memory of the host are not seen"},
	"mm_vmscan_direct_reclaim_end":   {"5.5", "waits for memory of the host are not seen"},
	"mm_vmscan_memcg_reclaim_begin":  {"5.5", "waits at the memory limit of a control group are not seen"},
	"mm_vmscan_memcg_reclaim_end":    {"5.5", "waits at the memory limit of a control group are not seen"},
	"mm_compaction_begin":            {"5.5", "waits for large pages are not seen"},
	"mm_compaction_end":              {"5.5", "waits for large pages are not seen"},
	"sched_process_fork":             {"5.5", "no filters by container, namespace and executable"},
	"sched_process_exec":             {"5.5", "no filters by container, namespace and executable"},
}

// Features says of everything the programs use whether this kernel has it. It
// needs no privileges, only the kernel's type information; ErrNotSupported
// without that. Nothing is loaded: Load is the proof.
func Features() ([]Feature, error) {
	kernel, err := kernelTypes()
	if err != nil {
		return nil, err
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, fmt.Errorf("read embedded programs: %w", err)
	}
	all := []Feature{
		{Name: "ring_buffer", Need: Required, Present: hasMap(kernel, ebpf.RingBuf, "BPF_MAP_TYPE_RINGBUF"), Since: "5.8", Without: "nothing can be observed"},
		{Name: "iterators", Need: Required, Present: hasIterators(kernel), Since: "5.9", Without: "nothing can be observed"},
		{Name: "task_storage", Need: Optional, Present: hasTaskStorage(kernel), Since: "5.13", Without: "not measured where the time of requests goes (--detail off)"},
	}
	for _, program := range hookPrograms() {
		tracepoint := spec.Programs[program.name].AttachTo
		name := "hook." + tracepoint
		if slices.ContainsFunc(all, func(f Feature) bool { return f.Name == name }) {
			continue
		}
		text := hookTexts[tracepoint]
		all = append(all, Feature{
			Name: name, Need: program.need, Present: hasTracepoint(kernel, tracepoint), Since: text.since, Without: text.without,
		})
	}
	return all, nil
}

type hookProgram struct {
	name string
	need Need
}

// hookPrograms are those of both sources and of every detail, without the sweeps.
func hookPrograms() []hookProgram {
	var all []hookProgram
	for _, source := range []Source{SourceSocket, SourceSyscall} {
		for _, name := range hooksOf[source] {
			need := Required
			switch name {
			case "http_sock_send", "http_sock_recv":
				need = ForSocketSource
			case "http_sys_exit":
				need = ForSyscallSource
			}
			all = append(all, hookProgram{name, need})
		}
	}
	for _, h := range detailHooks {
		all = append(all, hookProgram{h.program, Optional})
	}
	for _, name := range judgeHooks(Options{JudgeProcesses: true}) {
		all = append(all, hookProgram{name, Optional})
	}
	return all
}

func hasTracepoint(kernel *btf.Spec, name string) bool {
	var t *btf.Typedef
	return kernel.TypeByName("btf_trace_"+name, &t) == nil
}

func hasIterators(kernel *btf.Spec) bool {
	var s *btf.Struct
	return kernel.TypeByName("bpf_iter__bpf_map_elem", &s) == nil
}

// hasMap asks the kernel, and without the privilege to, its type information.
func hasMap(kernel *btf.Spec, t ebpf.MapType, name string) bool {
	err := features.HaveMapType(t)
	if err == nil || errors.Is(err, ebpf.ErrNotSupported) {
		return err == nil
	}
	var types *btf.Enum
	if kernel.TypeByName("bpf_map_type", &types) != nil {
		return false
	}
	return slices.ContainsFunc(types.Values, func(v btf.EnumValue) bool { return v.Name == name })
}
