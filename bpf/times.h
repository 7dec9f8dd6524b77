/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where the time of a request went: the difference between what its thread had
 * spent when it read the request and when it sent the last byte of the answer.
 *
 * Basic detail takes the kernel's own counters, full detail what the scheduler
 * hooks (sched.h) have booked. A thread that did not leave its CPU meanwhile,
 * the common case of a fast request, needs neither: all of it was CPU time.
 */
#ifndef PROBE_TIMES_H
#define PROBE_TIMES_H

/* Kernel 6.2; without it a request that another thread answers stays in hand. */
extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;

static __always_inline __u64 changes_of(struct task_struct *task, struct thread_time *t)
{
	return cfg.detail == PROBE_DETAIL_FULL ? t->changes : task->nvcsw + task->nivcsw;
}

/* The request of c is answered, or will not be. */
static __noinline int times_answered(struct conn *c)
{
	struct task_struct *task, *reader;
	struct thread_time *t = NULL;

	if (!c || !cfg.detail || !c->in_hand)
		return 0;
	c->in_hand = 0;
	task = bpf_get_current_task_btf();
	if (task->pid == (int)c->tid) {
		t = thread_of(task);
		if (t && t->in_hand)
			t->in_hand--;
		return 0;
	}
	if (!bpf_task_from_pid || !bpf_task_release)
		return 0;
	reader = bpf_task_from_pid(c->tid);
	if (!reader)
		return 0;
	t = thread_of(reader);
	if (t && hands_full(t))
		__sync_fetch_and_add(&t->passed, 1);
	bpf_task_release(reader);
	return 0;
}

/* Makes the thread known that this one woke (sched_waking must not allocate). */
static __noinline int times_follow(struct thread_time *t, __u64 now)
{
	struct thread_time *f;
	struct task_struct *task;

	if (!t || !t->follow || !bpf_task_from_pid || !bpf_task_release)
		return 0;
	task = bpf_task_from_pid(t->follow);
	t->follow = 0;
	if (!task)
		return 0;
	f = bpf_task_storage_get(&sched_threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!f) {
		count(PROBE_DROP_NO_THREAD);
	} else if (!f->since_ns) {
		/* Asleep, most likely; the next switch tells. */
		f->wait = WAIT_OTHER;
		f->go = t->go;
		f->run_delay = task->sched_info.run_delay;
		f->since_ns = now;
	}
	bpf_task_release(task);
	return 0;
}

/* The current thread has read the request that c keeps. */
static __always_inline void times_begin(struct conn *c, struct task_struct *task)
{
	__u64 now = c->read_ns;
	struct thread_time *t;
	struct stamp *b;

	if (!cfg.detail || c->role != PROBE_ROLE_SERVER)
		return;
	if (c->in_hand)
		times_answered(c);
	b = &c->begin;
	c->timed = TIMED_NOT;
	b->reads = 0;
	t = thread_get(task, now);
	if (!t)
		return;
	b->others = hands_full(t);
	t->in_hand++;
	t->shared = 0;
	c->in_hand = 1;
	b->reads = ++t->reads;
	b->changes = changes_of(task, t);
	b->major_faults = task->maj_flt;
	b->minor_faults = task->min_flt;
	if (cfg.detail == PROBE_DETAIL_FULL) {
		if (now < t->since_ns) /* lost its CPU in this very call */
			now = c->read_ns = bpf_ktime_get_ns();
		book_running(t, now);
		__builtin_memcpy(b->part, t->part, sizeof(b->part));
		__builtin_memcpy(t->read_part, t->part, sizeof(b->part));
		t->pushed_ns = 0;
		t->pushed_lead = 0;
		t->pushed_tgid = 0;
		turns_over(t);
		t->reclaim = 0; /* its end may have been missed */
		t->idle = 0;
		t->lead.tid = 0;
		b->goroutine = t->go ? goroutine((struct pt_regs *)bpf_task_pt_regs(task)) : 0;
		if (t->follow)
			times_follow(t, now);
	} else {
		b->cpu = bpf_get_smp_processor_id();
		b->sum_exec = task->se.sum_exec_runtime;
		b->exec_start = task->se.exec_start;
		b->run_delay = task->sched_info.run_delay;
	}
}

/*
 * Basic detail. The kernel brings sum_exec_runtime up to date at switches and
 * ticks and notes that moment in exec_start, so the difference of the two lags
 * cancels the offset of its clock. After a change of CPU it need not: then the
 * figure may be off by a tick.
 */
static __always_inline void spend_basic(struct conn *c, struct task_struct *task, __u64 now)
{
	__u64 wall = now > c->read_ns ? now - c->read_ns : 0;
	__u64 runq = task->sched_info.run_delay - c->begin.run_delay;
	__u64 cpu = task->se.sum_exec_runtime - c->begin.sum_exec;
	struct probe_times *s = &c->spent;

	if (c->begin.cpu == (__u16)bpf_get_smp_processor_id()) {
		__s64 exact = cpu + wall - (task->se.exec_start - c->begin.exec_start);

		cpu = exact > 0 ? exact : 0;
	}
	if (runq > wall)
		runq = wall;
	if (cpu > wall - runq)
		cpu = wall - runq;
	__builtin_memset(s->part_ns, 0, sizeof(s->part_ns));
	s->part_ns[PROBE_PART_CPU] = cpu;
	s->part_ns[PROBE_PART_RUNQ] = runq;
	s->part_ns[PROBE_PART_OTHER] = wall - runq - cpu;
}

/* Full detail, the thread that read the request answers it. */
static __always_inline void spend_full(struct conn *c, struct thread_time *t, __u64 now)
{
	struct probe_times *s = &c->spent;

	book_running(t, now);
	for (int i = 0; i < PROBE_PARTS; i++)
		s->part_ns[i] = t->part[i] - c->begin.part[i];
	s->pushed_ns = t->pushed_ns;
	s->pushed_tgid = t->pushed_tgid;
	s->pushed_cpu = t->pushed_cpu;
	__builtin_memcpy(s->pushed_comm, t->pushed_comm, sizeof(s->pushed_comm));
}

/* Full detail, a thread answers that the reader woke for this request; in Go it
 * must also be the goroutine that read it. */
static __always_inline bool spend_handoff(struct conn *c, struct thread_time *t,
					  struct task_struct *task, __u64 now)
{
	struct probe_times *s = &c->spent;
	__u64 g = c->begin.goroutine;

	if (cfg.detail != PROBE_DETAIL_FULL || t->lead.tid != c->tid ||
	    t->lead.reads != c->begin.reads || t->lead.woken_ns < c->read_ns)
		return false;
	if (g && g != goroutine((struct pt_regs *)bpf_task_pt_regs(task)))
		return false;
	book_running(t, now);
	for (int i = 0; i < PROBE_PARTS; i++)
		s->part_ns[i] = t->lead.spent[i] + t->part[i] - t->lead.base[i];
	return true;
}

/* The thread that read the request of c answers it. Did it never leave its CPU? */
static __always_inline bool stayed_oncpu(struct conn *c, struct task_struct *task,
					 struct thread_time *t)
{
	return changes_of(task, t) == c->begin.changes &&
	       (__u32)task->min_flt == c->begin.minor_faults &&
	       (__u32)task->maj_flt == c->begin.major_faults;
}

/* Had it other requests in hand meanwhile? */
static __always_inline bool looped(struct conn *c, struct thread_time *t)
{
	return c->begin.others || t->reads != c->begin.reads || t->idle || t->shared;
}

/* A piece of the response to the request of c has left at this time. */
static __noinline int times_spend(struct conn *c, __u64 now)
{
	struct task_struct *task;
	struct probe_times *s;
	struct thread_time *t;

	if (!c || !cfg.detail || c->role != PROBE_ROLE_SERVER || !c->begin.reads)
		return 0;
	task = bpf_get_current_task_btf(); /* 5.11, without which there is no detail */
	s = &c->spent;
	t = thread_get(task, now);
	if (!t) {
		c->timed = TIMED_NOT;
		return 0;
	}
	/* An answer that has begun is in no hand any more, and yet goes on. */
	if (task->pid == (int)c->tid && t->reads != c->begin.reads)
		t->shared = 1;
	if (task->pid != (int)c->tid) {
		__builtin_memset(s, 0, sizeof(*s));
		s->attribution = PROBE_ATTR_HANDOFF;
		if (!spend_handoff(c, t, task, now)) {
			s->attribution = PROBE_ATTR_PARTIAL;
			s->part_ns[PROBE_PART_UNKNOWN] = now > c->read_ns ? now - c->read_ns : 0;
			/* Who took another one from a queue first worked for that, too. */
			t->lead.tid = 0;
		}
	} else if (stayed_oncpu(c, task, t)) {
		c->timed = looped(c, t) ? TIMED_LOOP : TIMED_ONCPU;
		return 0;
	} else {
		s->attribution = looped(c, t) ? PROBE_ATTR_LOOP : PROBE_ATTR_THREAD;
		s->major_faults = (__u32)task->maj_flt - c->begin.major_faults;
		s->minor_faults = (__u32)task->min_flt - c->begin.minor_faults;
		if (cfg.detail == PROBE_DETAIL_FULL)
			spend_full(c, t, now);
		else
			spend_basic(c, task, now);
	}
	s->until_ns = now;
	c->timed = TIMED_SPENT;
	return 0;
}

/*
 * The first piece of the response leaves. The usual way without a call; otherwise
 * the time of the piece, which may be before a switch, becomes the present.
 */
static __always_inline void times_respond(struct conn *c, struct task_struct *task, struct piece *p)
{
	struct thread_time *t;

	c->timed = TIMED_NOT;
	if (!cfg.detail)
		return;
	if (c->in_hand && task->pid == (int)c->tid) {
		t = thread_of(task);
		if (t && stayed_oncpu(c, task, t)) {
			c->timed = looped(c, t) ? TIMED_LOOP : TIMED_ONCPU;
			c->in_hand = 0;
			if (t->in_hand)
				t->in_hand--;
			return;
		}
	}
	if (c->role != PROBE_ROLE_SERVER)
		return;
	p->now_ns = bpf_ktime_get_ns();
	times_spend(c, p->now_ns);
	times_answered(c);
}

#endif
