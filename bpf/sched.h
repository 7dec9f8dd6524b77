/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Switches: run-queue delays of the host, and where the time of the threads
 * goes that serve requests. Every other task leaves each of the scheduler hooks
 * after one or two loads.
 */
#ifndef PROBE_SCHED_H
#define PROBE_SCHED_H

/* What the task waits for in a call on this descriptor. In a file it may be the
 * journal, or whoever writes to it: they wait for the disk in turn. */
static __noinline enum wait file_wait(struct task_struct *task, __u64 fd)
{
	struct file **table = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(task, files, fdt, max_fds))
		return WAIT_OTHER;
	bpf_probe_read_kernel(&file, sizeof(file), table + (__u32)fd);
	switch (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) {
	case S_IFSOCK:
		return WAIT_NET;
	case S_IFREG:
	case S_IFBLK:
		return WAIT_DISK;
	}
	return WAIT_OTHER;
}

/* The first 8 bytes of a name, the last of them the highest of the number. */
#define NAME(text) (*(const __u64 *)(text))

/*
 * Does it belong to a runtime that runs many tasks on few threads? They are known by
 * their names: tokio's threads begin so, and Erlang's process is beam.smp.
 */
static __always_inline bool runs_tasks(struct task_struct *task)
{
	__u64 own = *(__u64 *)task->comm, process = *(__u64 *)task->group_leader->comm;

	return own << 8 == NAME("tokio-r") << 8 || process == NAME("beam.smp");
}

/* What a thread waits for that gives up its CPU by itself. */
static __always_inline enum wait wait_of(struct task_struct *task, struct thread_time *t)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	bool iowait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	struct call call;
	__u64 nr;

	if (task_state(task) & TASK_HALTED) /* in whatever call that came */
		return WAIT_OTHER;
	if (t->reclaim || task_in_memstall(task))
		return WAIT_MEMORY;
	if (!in_system_call(regs)) /* a page fault */
		return iowait ? WAIT_MEMORY : WAIT_OTHER;
	nr = call_number(regs);
	if (iowait && nr != NR_io_uring_enter) /* which may wait for anything */
		return WAIT_DISK;
	switch (wait_class(nr)) {
	case WAIT_CLASS_NET:
		return WAIT_NET;
	case WAIT_CLASS_POLL:
		call_args(regs, &call);
		t->waits_on = call.fd << 3;
		return WAIT_POLL;
	case WAIT_CLASS_SLEEP:
		return WAIT_SLEEP;
	case WAIT_CLASS_DISK:
		return WAIT_DISK;
	case WAIT_CLASS_LOCK:
		return WAIT_LOCK;
	case WAIT_CLASS_FUTEX:
		call_args(regs, &call);
		t->waits_on = call.fd;
		t->tasks = runs_tasks(task);
		return WAIT_FUTEX;
	case WAIT_CLASS_FILE:
		call_args(regs, &call);
		return file_wait(task, call.fd);
	case WAIT_CLASS_OTHER:
		break;
	}
	return WAIT_OTHER;
}

static __always_inline void thread_leaves(struct task_struct *task, bool preempt)
{
	struct thread_time *t = thread_of(task);

	if (!t)
		return;
	book_running(t, bpf_ktime_get_ns());
	t->changes++;
	if (preempt || task_state(task) == TASK_RUNNING) {
		t->wait = task_throttled(task) ? WAIT_THROTTLED : WAIT_RUNQ;
	} else {
		t->wait = wait_of(task, t);
		if (t->wait != WAIT_FUTEX)
			t->locks.ns = 0;
		if (t->wait != WAIT_FUTEX && t->wait != WAIT_POLL)
			t->polls.ns = 0;
		if (t->go && (t->wait == WAIT_FUTEX || t->wait == WAIT_POLL))
			t->idle = 1;
	}
	t->run_delay = task->sched_info.run_delay;
	t->running = 0;
	t->woken = 0;
}

/* No timer is as short as a wait that was over when it began. */
#define EARLY_NS 50000

/* The part that a wait belongs to where no waker was seen. */
static __always_inline enum probe_part part_of(enum wait wait)
{
	switch (wait) {
	case WAIT_RUNQ:
		return PROBE_PART_RUNQ;
	case WAIT_THROTTLED:
		return PROBE_PART_THROTTLED;
	case WAIT_MEMORY:
		return PROBE_PART_MEMORY;
	case WAIT_LOCK:
		return PROBE_PART_LOCK;
	case WAIT_DISK:
		return PROBE_PART_DISK;
	case WAIT_NET:
		return PROBE_PART_NET;
	case WAIT_SLEEP:
		return PROBE_PART_SLEEP;
	case WAIT_OTHER:
		return PROBE_PART_OTHER;
	default:
		return PROBE_PART_UNKNOWN;
	}
}

static __always_inline void thread_arrives(struct task_struct *task, struct stints *stints,
					   __u64 delay)
{
	struct thread_time *t = thread_of(task);
	__u64 now, before, here = delay;

	if (!t)
		return;
	now = bpf_ktime_get_ns();
	delay += task->sched_info.run_delay - t->run_delay; /* in the queues of other CPUs */
	t->changes++;
	if (!t->running && t->wait == WAIT_FUTEX && !t->go && !t->tasks &&
	    now < t->since_ns + delay + EARLY_NS) {
		/* Another CPU has woken it while it went to sleep: no timer of its own. */
		turns_end(t);
		t->wait = WAIT_LOCK;
	}
	before = t->since_ns;
	if (t->running) { /* that it left was not seen */
		book(t, PROBE_PART_UNKNOWN, now);
		return;
	}
	if (t->wait != WAIT_THROTTLED && (t->wait != WAIT_RUNQ || t->woken)) {
		/* The kernel knows how long it was ready: from when it was in the run
		 * queue, which may be on another CPU that must wake up first. */
		if (now > before + delay)
			book(t, t->wait == WAIT_RUNQ ? t->woken : part_of(t->wait), now - delay);
		t->wait = WAIT_RUNQ;
		t->woken = 0;
		before = t->since_ns;
	}
	book(t, part_of(t->wait), now);
	if (t->wait == WAIT_RUNQ && now > before) {
		__u64 clock = task->se.cfs_rq->rq->clock;

		note_pushers(t, stints, clock - (now - before < here ? now - before : here), clock);
	}
	t->running = 1;
}

/*
 * Tracepoint sched_switch(preempt, prev, next, ...), kernel 5.5. In the middle
 * of the switch: the rq's clock is fresh, next's run_delay not yet counted.
 * Cost: 15 ns for a switch between two tasks that serve nothing, 23 with full detail.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	struct stints *stints;
	__u64 delay = 0;

	if (next->pid) {
		delay = run_delay(next);
		delay_count(next, delay);
	}
	if (cfg.detail < PROBE_DETAIL_FULL)
		return 0;
	if (prev->bpf_storage)
		thread_leaves(prev, preempt);
	stints = stints_here();
	if (!stints)
		return 0;
	if (next->bpf_storage)
		thread_arrives(next, stints, delay);
	stint_begins(stints, next);
	return 0;
}

#endif
