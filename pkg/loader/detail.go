// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Detail says how much is measured of where a request's time goes.
type Detail string

// Details. The zero value is DetailBasic.
const (
	// DetailOff measures only when requests arrive, begin and end.
	DetailOff Detail = "off"
	// DetailBasic adds the kernel's own counters of the serving thread, read at
	// both ends of a request, and histograms of run-queue delay. Kernel 5.13.
	DetailBasic Detail = "basic"
	// DetailFull adds what the serving threads wait for: hooks at every switch,
	// wake-up and timer of the host, which only those threads pass. Kernel 5.15.
	DetailFull Detail = "full"
)

// switchHook measures the host's run-queue delay at every detail but off.
const switchHook = "sched_switch"

// detailHooks of DetailFull and the tracepoint of each. A kernel without one of
// the tracepoints loses only what it tells.
var detailHooks = []struct{ program, tracepoint string }{
	{switchHook, "sched_switch"},
	{"sched_waking", "sched_waking"},
	{"sched_timer_on", "hrtimer_expire_entry"},
	{"sched_timer_off", "hrtimer_expire_exit"},
	{"mem_reclaim_on", "mm_vmscan_direct_reclaim_begin"},
	{"mem_reclaim_off", "mm_vmscan_direct_reclaim_end"},
	{"mem_group_on", "mm_vmscan_memcg_reclaim_begin"},
	{"mem_group_off", "mm_vmscan_memcg_reclaim_end"},
	{"mem_compact_on", "mm_compaction_begin"},
	{"mem_compact_off", "mm_compaction_end"},
}

var kernelDetail = map[Detail]uint8{
	DetailOff:   uint8(bpfProbeDetailPROBE_DETAIL_OFF),
	DetailBasic: uint8(bpfProbeDetailPROBE_DETAIL_BASIC),
	DetailFull:  uint8(bpfProbeDetailPROBE_DETAIL_FULL),
}

func (d Detail) validate() error {
	if _, ok := kernelDetail[d]; !ok {
		return fmt.Errorf("unknown detail %q: want off, basic or full", d)
	}
	return nil
}

// possibleDetail lowers the detail to what the kernel has. Which hooks that
// leaves is in programs; missing names what is not there.
func possibleDetail(want Detail, kernel *btf.Spec) (d Detail, programs, missing []string) {
	if want == DetailOff {
		return want, nil, nil
	}
	if !hasTaskStorage(kernel) {
		return DetailOff, nil, []string{"task storage in tracing programs (kernel 5.13): detail is off"}
	}
	if want == DetailFull && !hasHelper(kernel, "BPF_FUNC_task_pt_regs") {
		want = DetailBasic
		missing = append(missing, "helper bpf_task_pt_regs (kernel 5.15): detail is basic")
	}
	var kfunc *btf.Func
	if kernel.TypeByName("bpf_task_from_pid", &kfunc) != nil {
		missing = append(missing, "kfunc bpf_task_from_pid (kernel 6.2): a thread that hands its requests to others looks busy with them")
	}
	for _, h := range detailHooks {
		if !hasTracepoint(kernel, h.tracepoint) {
			missing = append(missing, "tracepoint "+h.tracepoint)
			continue
		}
		if want == DetailFull || h.program == switchHook {
			programs = append(programs, h.program)
		}
	}
	return want, programs, missing
}

// hasTaskStorage: the member came with its use in tracing programs; the map type
// alone is older.
func hasTaskStorage(kernel *btf.Spec) bool {
	var task *btf.Struct
	if kernel.TypeByName("task_struct", &task) != nil {
		return false
	}
	return slices.ContainsFunc(task.Members, func(m btf.Member) bool { return m.Name == "bpf_storage" })
}

// hasHelper looks for a number in enum bpf_func_id.
func hasHelper(kernel *btf.Spec, name string) bool {
	var ids *btf.Enum
	if kernel.TypeByName("bpf_func_id", &ids) != nil {
		return false
	}
	return slices.ContainsFunc(ids.Values, func(v btf.EnumValue) bool { return v.Name == name })
}

// Detail is the one in use; it may be less than was asked for. Missing names
// what the kernel lacks of it.
func (l *Loader) Detail() (d Detail, missing []string) { return l.detail, l.missing }

// HostDelays returns how long tasks that were ready to run waited for a CPU:
// the number of waits since Load in each bucket of stats.Histogram, over every
// switch to a task of the host. nil without detail. Safe for concurrent use.
func (l *Loader) HostDelays() ([]uint64, error) {
	if l.detail == DetailOff {
		return nil, nil
	}
	var perCPU []bpfProbeDelays
	if err := l.objects.Maps["sched_delays"].Lookup(uint32(0), &perCPU); err != nil {
		return nil, fmt.Errorf("read run-queue delays: %w", err)
	}
	sum := make([]uint64, bpfDelayBuckets)
	for _, cpu := range perCPU {
		for i, n := range cpu.Count {
			sum[i] += uint64(n)
		}
	}
	return sum, nil
}

// ProcessDelays calls fn with the same of each process that serves requests, for
// the threads of it that do. counts is valid only during the call; its 32 bits
// may run over. The kernel has room for MaxDelayProcesses; when half of it is in
// use, processes for which alive is false are forgotten.
func (l *Loader) ProcessDelays(alive func(pid uint32) bool, fn func(pid uint32, counts []uint32)) error {
	if l.detail == DetailOff {
		return nil
	}
	var pid uint32
	var one bpfProbeDelays
	var all []uint32
	tasks := l.objects.Maps["sched_tasks"]
	each := tasks.Iterate()
	for each.Next(&pid, &one) {
		fn(pid, one.Count[:])
		all = append(all, pid)
	}
	if err := each.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return fmt.Errorf("read run-queue delays: %w", err)
	}
	if len(all) <= MaxDelayProcesses/2 {
		return nil
	}
	for _, pid := range all {
		if alive(pid) {
			continue
		}
		if err := tasks.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forget process %d: %w", pid, err)
		}
	}
	return nil
}

// MaxDelayProcesses is PROBE_DELAY_TASKS of bpf/abi.h.
const MaxDelayProcesses = 1024

// bpfDelayBuckets is PROBE_DELAY_BUCKETS.
const bpfDelayBuckets = len(bpfProbeDelays{}.Count)
