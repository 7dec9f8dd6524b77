/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Wake-ups: who or what ends a wait decides what it was for, and whether the
 * thread that wakes up works for the request of the one that woke it.
 */
#ifndef PROBE_WAKING_H
#define PROBE_WAKING_H

/* Does the function of a timer run on this CPU? */
static __always_inline bool in_timer(void)
{
	__u32 zero = 0, *timer = bpf_map_lookup_elem(&sched_timer, &zero);

	return timer && *timer;
}

/* True where the current task wakes a thread of its process on purpose. */
static __always_inline bool on_purpose(struct task_struct *task, struct task_struct *waker)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(waker);
	__u64 nr;

	if (waker->tgid != task->tgid || !in_system_call(regs))
		return false;
	nr = call_number(regs);
	return wait_class(nr) == WAIT_CLASS_FUTEX || nr == NR_write || nr == NR_writev ||
	       nr == NR_sendto; /* asyncio, which sends a byte to itself */
}

/* The part of a wait in FUTEX that somebody ended. What a task waited for of which a
 * runtime's thread then learns, that does not tell. */
static __always_inline enum probe_part part_of_futex(struct thread_time *t)
{
	return t->go || t->tasks ? PROBE_PART_UNKNOWN : PROBE_PART_LOCK;
}

/*
 * The part of a wait in FUTEX or POLL that a timer ended, or nobody of the
 * process on purpose. Go waits so when no goroutine can run; only the network
 * tells what for.
 */
static __always_inline enum probe_part part_alone(struct thread_time *t, bool timer, __u64 now)
{
	if (t->go && (timer || t->wait == WAIT_FUTEX))
		return PROBE_PART_UNKNOWN;
	if (!timer)
		return t->wait == WAIT_POLL ? PROBE_PART_NET : part_of_futex(t);
	turn_ends(t, now);
	return PROBE_PART_SLEEP;
}

/* The part of one that another thread of the process ended, or the last of it. */
static __always_inline enum probe_part
part_together(struct thread_time *t, struct task_struct *task, struct thread_time *w, __u64 now)
{
	if (w && !t->go && !t->tasks && w->lead.tid == (__u32)task->pid &&
	    w->lead.reads == t->reads && !hands_full(w))
		book_helper(t, w, now);
	return t->wait == WAIT_FUTEX ? part_of_futex(t) : PROBE_PART_UNKNOWN;
}

/* The thread was woken by another one of its process: for whom does it work? */
static __always_inline void thread_led(struct thread_time *t, struct thread_time *w,
				       struct task_struct *waker, __u64 now)
{
	/* Not again: the waker asks it for something. */
	if (t->lead.tid != (__u32)waker->pid || t->lead.reads != w->reads)
		w->polls.ns = 0;
	if (!lead_from(w, waker, &t->lead))
		return;
	__builtin_memcpy(t->lead.base, t->part, sizeof(t->part));
	turns_over(t);
	t->lead.woken_ns = now;
	t->go = w->go;
}

/* A thread that waits is woken by the current task. */
static __always_inline void thread_woken(struct thread_time *t, struct task_struct *task,
					 struct task_struct *waker, __u64 now)
{
	bool timer = in_timer(), together = !timer && on_purpose(task, waker);
	struct thread_time *w = NULL;

	if (together && waker->bpf_storage) {
		w = thread_of(waker);
		if (w && w->running)
			book_running(w, now);
		else
			w = NULL;
	}
	if (t->wait != WAIT_FUTEX && t->wait != WAIT_POLL) {
		t->woken = part_of(t->wait);
	} else {
		/* Who asks in turns waits for a lock, and not for what a helper does. */
		if (!timer && turns_end(t) && t->wait == WAIT_FUTEX)
			together = false;
		t->woken = together ? part_together(t, task, w, now) : part_alone(t, timer, now);
	}
	book(t, t->woken, now);
	if (w && !hands_full(t))
		thread_led(t, w, waker, now);
	t->wait = WAIT_RUNQ;
	t->changes++;
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
			if (t && hands_full(t)) {
				t->follow = task->pid;
				t->polls.ns = 0;
			}
		}
		return 0;
	}
	t = thread_of(task);
	if (t && !t->running && t->wait != WAIT_RUNQ && t->wait != WAIT_THROTTLED)
		thread_woken(t, task, waker, bpf_ktime_get_ns());
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
