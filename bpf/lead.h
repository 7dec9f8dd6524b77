/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Work that moves between threads: for whose request a thread works that was
 * woken, and what a thread waited for that had woken it.
 */
#ifndef PROBE_LEAD_H
#define PROBE_LEAD_H

/* The account that a running thread works on: its own request, or its lead's. */
static __always_inline bool lead_from(struct thread_time *from, struct task_struct *task,
				      struct lead *to)
{
	if (hands_full(from)) {
		to->tid = task->pid;
		to->reads = from->reads;
		for (int i = 0; i < PROBE_PARTS; i++)
			to->spent[i] = from->part[i] - from->read_part[i];
		return true;
	}
	if (!from->lead.tid)
		return false;
	to->tid = from->lead.tid;
	to->reads = from->lead.reads;
	for (int i = 0; i < PROBE_PARTS; i++)
		to->spent[i] = from->lead.spent[i] + from->part[i] - from->lead.base[i];
	return true;
}

/*
 * A thread waited for one that it had woken for its request, and that now wakes
 * it: the wait was what the other one did meanwhile. Its first part began when
 * it was woken, before the wait: that much is taken off its first parts. What it
 * does from here on is for the next wait.
 */
static __noinline int book_helper(struct thread_time *t, struct thread_time *helper, __u64 now)
{
	__u64 waited, excess = 0;

	if (!t || !helper || now <= t->since_ns)
		return 0;
	waited = now - t->since_ns;
	if (now - helper->lead.woken_ns < waited) {
		t->part[PROBE_PART_LOCK] += waited - (now - helper->lead.woken_ns);
	} else {
		excess = now - helper->lead.woken_ns - waited;
	}
	for (int i = 0; i < PROBE_PARTS; i++) {
		/* The run queue comes first, then the CPU. */
		int part = i == 0 ? PROBE_PART_RUNQ : i == 1 ? PROBE_PART_CPU : i;
		__u64 spent = helper->part[part] - helper->lead.base[part];
		__u64 cut = excess < spent ? excess : spent;

		excess -= cut;
		t->part[part] += spent - cut;
		helper->lead.base[part] = helper->part[part];
	}
	turns_over(helper);
	for (int i = 0; i < PROBE_PARTS; i++)
		helper->lead.spent[i] = t->part[i] - t->read_part[i];
	helper->lead.woken_ns = now;
	t->since_ns = now;
	return 0;
}

#endif
