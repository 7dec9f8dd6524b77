/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Run-queue delays: one count per switch to a task, in the histogram of the
 * host and, for threads that serve requests, in that of their process.
 */
#ifndef PROBE_DELAYS_H
#define PROBE_DELAYS_H

/* log-linear, as described at PROBE_DELAY_BUCKETS. */
static __always_inline __u64 delay_bucket(__u64 ns)
{
	__u64 v = ns, e = 0, i;

	if (ns < 16)
		return ns;
	if (v >> 32) {
		e += 32;
		v >>= 32;
	}
	if (v >> 16) {
		e += 16;
		v >>= 16;
	}
	if (v >> 8) {
		e += 8;
		v >>= 8;
	}
	if (v >> 4) {
		e += 4;
		v >>= 4;
	}
	if (v >> 2) {
		e += 2;
		v >>= 2;
	}
	e += v >> 1;
	i = (e - 3) * 16 + ((ns >> (e - 4)) & 15);
	return i < PROBE_DELAY_BUCKETS ? i : PROBE_DELAY_BUCKETS - 1;
}

/* How long the task has been runnable; the kernel adds the same to run_delay. */
static __always_inline __u64 run_delay(struct task_struct *task)
{
	__u64 queued = task->sched_info.last_queued;
	__u64 clock = task->se.cfs_rq->rq->clock;

	return queued && clock > queued ? clock - queued : 0;
}

static __always_inline void delay_count(struct task_struct *next, __u64 ns)
{
	struct probe_delays *d;
	__u32 zero = 0, tgid;
	__u64 i = delay_bucket(ns);

	bound(i);
	if (i >= PROBE_DELAY_BUCKETS)
		return;
	d = bpf_map_lookup_elem(&sched_delays, &zero);
	if (d)
		d->count[i]++;
	if (!next->bpf_storage)
		return;
	tgid = next->tgid;
	d = bpf_map_lookup_elem(&sched_tasks, &tgid);
	if (d)
		__sync_fetch_and_add(&d->count[i], 1);
}

#endif
