/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Scheduler hooks: run-queue delays of the host, and where the time of the
 * threads goes that serve requests. Every other task leaves each of these
 * programs after one or two loads.
 */
#ifndef PROBE_SCHED_H
#define PROBE_SCHED_H

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

/* Is this descriptor of the task a socket? */
static __noinline bool is_socket(struct task_struct *task, __u64 fd)
{
	struct file **table = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = NULL;

	if (fd >= BPF_CORE_READ(task, files, fdt, max_fds))
		return false;
	bpf_probe_read_kernel(&file, sizeof(file), table + (__u32)fd);
	return (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFSOCK;
}

/* What a thread waits for that gives up its CPU by itself. */
static __always_inline enum wait wait_of(struct task_struct *task, struct thread_time *t)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	bool iowait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	struct call call;

	if (t->reclaim || task_in_memstall(task))
		return WAIT_MEMORY;
	if (!in_system_call(regs)) /* a page fault */
		return iowait ? WAIT_MEMORY : WAIT_OTHER;
	if (iowait)
		return WAIT_DISK;
	switch (wait_class(call_number(regs))) {
	case WAIT_CLASS_NET:
		return WAIT_NET;
	case WAIT_CLASS_POLL:
		return WAIT_POLL;
	case WAIT_CLASS_SLEEP:
		return WAIT_SLEEP;
	case WAIT_CLASS_DISK:
		return WAIT_DISK;
	case WAIT_CLASS_LOCK:
		return WAIT_LOCK;
	case WAIT_CLASS_FUTEX:
		call_args(regs, &call);
		/* The same wait again: what a timer ended was a turn of waiting for a lock. */
		if (t->futex == call.fd && t->part[PROBE_PART_SLEEP] >= t->futex_ns) {
			t->part[PROBE_PART_SLEEP] -= t->futex_ns;
			t->part[PROBE_PART_LOCK] += t->futex_ns;
		}
		t->futex = call.fd;
		t->futex_ns = 0;
		return WAIT_FUTEX;
	case WAIT_CLASS_FILE:
		call_args(regs, &call);
		return is_socket(task, call.fd) ? WAIT_NET : WAIT_OTHER;
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
	if (t->running)
		book_running(t, bpf_ktime_get_ns());
	t->changes++;
	if (preempt || task_state(task) == TASK_RUNNING) {
		t->wait = task_throttled(task) ? WAIT_THROTTLED : WAIT_RUNQ;
	} else {
		t->wait = wait_of(task, t);
		if (t->wait != WAIT_FUTEX)
			t->futex = 0;
	}
	t->running = 0;
}

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

/*
 * Who held the CPU until now, for whom the thread had to wait this long. Keeps
 * the process that took more than half of all waits, if there is one (majority
 * vote of Boyer and Moore, weighted), and what it took since it leads.
 */
static __always_inline void note_pusher(struct thread_time *t, struct task_struct *prev,
					__u64 waited)
{
	__u32 tgid = prev->tgid;

	if (!prev->pid)
		return;
	if (t->pushed_tgid != tgid) {
		if (t->pushed_lead > waited) {
			t->pushed_lead -= waited;
			return;
		}
		t->pushed_lead = waited - t->pushed_lead;
		t->pushed_ns = waited;
		t->pushed_tgid = tgid;
		__builtin_memcpy(t->pushed_comm, prev->comm, sizeof(t->pushed_comm));
	} else {
		t->pushed_lead += waited;
		t->pushed_ns += waited;
	}
	t->pushed_cpu = bpf_get_smp_processor_id();
}

static __always_inline void thread_arrives(struct task_struct *task, struct task_struct *prev,
					   __u64 delay)
{
	struct thread_time *t = thread_of(task);
	__u64 now, before;

	if (!t)
		return;
	now = bpf_ktime_get_ns();
	before = t->since_ns;
	if (t->wait != WAIT_RUNQ && t->wait != WAIT_THROTTLED) {
		/* Its waker was not seen: the kernel knows how long it was ready. */
		if (now > before + delay)
			book(t, part_of(t->wait), now - delay);
		t->wait = WAIT_RUNQ;
		before = t->since_ns;
	}
	book(t, part_of(t->wait), now);
	if (t->wait == WAIT_RUNQ && now > before)
		note_pusher(t, prev, now - before);
	t->running = 1;
	t->changes++;
}

/*
 * Tracepoint sched_switch(preempt, prev, next, ...), kernel 5.5. In the middle
 * of the switch: the rq's clock is fresh, next's run_delay not yet counted.
 * Cost: 15 ns for a switch between two tasks that serve nothing.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	__u64 delay = 0;

	if (next->pid) {
		delay = run_delay(next);
		delay_count(next, delay);
	}
	if (cfg.detail < PROBE_DETAIL_FULL)
		return 0;
	if (prev->bpf_storage)
		thread_leaves(prev, preempt);
	if (next->bpf_storage)
		thread_arrives(next, prev, delay);
	return 0;
}

/* The account that a running thread works on: its own request, or its lead's. */
static __always_inline bool lead_from(struct thread_time *from, struct task_struct *task,
				      struct lead *to)
{
	if (from->in_hand) {
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
 * it was woken, before the wait: that much is taken off its first parts.
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
	}
	t->since_ns = now;
	return 0;
}

/* True where the call wakes other threads of the process on purpose. */
static __always_inline bool wakes_on_purpose(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 nr;

	if (!in_system_call(regs))
		return false;
	nr = call_number(regs);
	return wait_class(nr) == WAIT_CLASS_FUTEX || nr == NR_write || nr == NR_writev;
}

/* A thread that waits is woken by the current task. */
static __always_inline void thread_woken(struct thread_time *t, struct task_struct *task,
					 struct task_struct *waker, __u64 now)
{
	bool decided = t->wait != WAIT_FUTEX && t->wait != WAIT_POLL;
	__u32 zero = 0, *timer = bpf_map_lookup_elem(&sched_timer, &zero);
	struct thread_time *w;

	if (decided) {
		book(t, part_of(t->wait), now);
	} else if (timer && *timer) {
		if (t->wait == WAIT_FUTEX && now > t->since_ns)
			t->futex_ns = now - t->since_ns;
		book(t, PROBE_PART_SLEEP, now);
		return;
	}
	if (waker->tgid != task->tgid || !wakes_on_purpose(waker)) {
		book(t, t->wait == WAIT_POLL ? PROBE_PART_NET : PROBE_PART_LOCK, now);
		return;
	}
	w = waker->bpf_storage ? thread_of(waker) : NULL;
	if (w && w->running) {
		book_running(w, now);
		if (w->lead.tid == (__u32)task->pid && w->lead.reads == t->reads && !w->in_hand)
			book_helper(t, w, now);
	}
	book(t, t->wait == WAIT_POLL ? PROBE_PART_UNKNOWN : PROBE_PART_LOCK, now);
	if (w && w->running && !t->in_hand && lead_from(w, waker, &t->lead)) {
		__builtin_memcpy(t->lead.base, t->part, sizeof(t->part));
		t->lead.woken_ns = now;
	}
}

/* Tracepoint sched_waking(task), kernel 5.5, in the context of the waker. */
SEC("tp_btf/sched_waking")
int BPF_PROG(sched_waking, struct task_struct *task)
{
	struct task_struct *waker = bpf_get_current_task_btf();
	struct thread_time *t;

	if (!task->bpf_storage) {
		/* The helper of a request, not known yet? */
		if (waker->bpf_storage && waker->tgid == task->tgid) {
			t = thread_of(waker);
			if (t && t->in_hand)
				t->follow = task->pid;
		}
		return 0;
	}
	t = thread_of(task);
	if (!t || t->running || t->wait == WAIT_RUNQ || t->wait == WAIT_THROTTLED)
		return 0;
	thread_woken(t, task, waker, bpf_ktime_get_ns());
	t->wait = WAIT_RUNQ;
	t->changes++;
	return 0;
}

static __always_inline void timer_runs(__u32 yes)
{
	__u32 zero = 0, *timer = bpf_map_lookup_elem(&sched_timer, &zero);

	if (timer)
		*timer = yes;
}

/* Tracepoints hrtimer_expire_entry and _exit, kernel 5.5: a timer's function
 * runs between them. A few thousand a second on a busy host. */
SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(sched_timer_on)
{
	timer_runs(1);
	return 0;
}

SEC("tp_btf/hrtimer_expire_exit")
int BPF_PROG(sched_timer_off)
{
	timer_runs(0);
	return 0;
}

#endif
