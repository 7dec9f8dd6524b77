/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Time that a thread spends making room in memory: reclaim for the host or for
 * its group, and compaction. What it waits for meanwhile counts as well. Waits
 * for swap-in and major faults are seen by the scheduler hook (sched.h).
 *
 * Tracepoints vmscan:mm_vmscan_*_begin and _end, compaction:mm_compaction_*,
 * kernel 5.5. They fire when memory is short: no cost otherwise.
 */
#ifndef PROBE_MEMORY_H
#define PROBE_MEMORY_H

static __always_inline int reclaim(bool begins)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_time *t;

	if (!task->bpf_storage)
		return 0;
	t = thread_of(task);
	if (!t || !t->running)
		return 0;
	book_running(t, bpf_ktime_get_ns());
	t->changes++;
	t->reclaim = begins;
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(mem_reclaim_on)
{
	return reclaim(true);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(mem_reclaim_off)
{
	return reclaim(false);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(mem_group_on)
{
	return reclaim(true);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(mem_group_off)
{
	return reclaim(false);
}

SEC("tp_btf/mm_compaction_begin")
int BPF_PROG(mem_compact_on)
{
	return reclaim(true);
}

SEC("tp_btf/mm_compaction_end")
int BPF_PROG(mem_compact_off)
{
	return reclaim(false);
}

#endif
