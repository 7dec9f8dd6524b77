/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * State of the threads that serve requests: where their time goes. A thread
 * has it from its first request to its end; other tasks never do, and that is
 * how the scheduler hooks leave them alone.
 */
#ifndef PROBE_THREADS_H
#define PROBE_THREADS_H

/* What a thread that is off its CPU waits for. */
enum wait {
	WAIT_RUNQ = 0,
	WAIT_THROTTLED,
	WAIT_MEMORY,
	WAIT_LOCK,
	WAIT_DISK,
	WAIT_NET,
	WAIT_SLEEP,
	WAIT_OTHER,
	WAIT_FUTEX, /* the waker decides: a timer, or another thread */
	WAIT_POLL,  /* the waker decides: a timer, the network, or another thread */
};

/* For whom a thread works that was woken by the reader of a request. */
struct lead {
	__u64 spent[PROBE_PARTS]; /* on the request, by others, before the wake-up */
	__u64 base[PROBE_PARTS];  /* own part[] at the wake-up */
	__u64 woken_ns;
	__u32 tid;   /* the reader; 0: none */
	__u32 reads; /* ... and which of its requests */
};

/*
 * Waits for one thing that a timer ended: Python asks for its interpreter's lock every
 * 5 ms, Java for a monitor after 1, 8, 64 and 512, and an event loop polls again when a
 * timer of its own has run. What ends the last one decides.
 */
struct turns {
	__u64 on; /* as waits_on */
	__u64 ns; /* of all, booked as sleep so far */
};

/* Only its own CPU and its waker write; they do so in turns. */
struct thread_time {
	__u64 part[PROBE_PARTS]; /* ns since first seen, up to since_ns */
	__u64 since_ns;
	__u64 changes;                /* of where the time goes */
	__u64 run_delay;              /* the kernel's, when it left its CPU */
	__u64 read_part[PROBE_PARTS]; /* part[] when it read its last request */
	struct lead lead;
	__u64 waits_on;     /* in FUTEX its address, in POLL descriptor or array, times 8 */
	struct turns locks; /* of FUTEX */
	struct turns polls; /* of POLL; waits for a lock in between do not end them */
	__u64 pushed_ns;    /* since the last read: wait for a CPU ... */
	__u64 pushed_lead;  /* (by how much it leads the others) */
	__u32 pushed_tgid;  /* ... behind this process */
	__u32 pushed_cpu;
	__u8 pushed_comm[PROBE_COMM_LEN];
	__u32 reads;   /* requests read */
	__u32 in_hand; /* ... and not yet answered by itself; only the thread writes */
	__u32 passed;  /* ... of these, answered by other threads */
	__u32 follow;  /* a thread it woke that has no state yet, or 0 */
	__u8 wait;     /* enum wait, while not running */
	__u8 running;
	__u8 reclaim; /* in reclaim or compaction; they do not nest */
	__u8 go;      /* goroutines run on it; FUTEX and POLL are its scheduler's */
	__u8 idle;    /* ... which has waited since the last read */
	__u8 woken;   /* enum probe_part of the wait that a wake-up ended, or 0 */
	__u8 shared;  /* since the last read: it sent more of an earlier answer */
	__u8 tasks;   /* waits in FUTEX as a runtime that has no task to run */
};

/* Thread → where its time goes; freed with it. Kernel 5.13. About 500 bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_time);
} sched_threads SEC(".maps");

/* Run-queue delays of every task of the host. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_delays);
} sched_delays SEC(".maps");

/* Process → run-queue delays of its threads that serve requests. Userspace
 * deletes the entries of processes that ended; full: counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROBE_DELAY_TASKS);
	__type(key, __u32);
	__type(value, struct probe_delays);
} sched_tasks SEC(".maps");

/* Zeros, to create an entry of the map above. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_delays);
} sched_zero SEC(".maps");

/* Is this CPU running the function of an expired timer? */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sched_timer SEC(".maps");

static __always_inline struct thread_time *thread_of(struct task_struct *task)
{
	return bpf_task_storage_get(&sched_threads, task, 0, 0);
}

/* Has it requests that nobody has answered yet? */
static __always_inline bool hands_full(struct thread_time *t)
{
	return (__s32)(t->in_hand - t->passed) > 0;
}

/* Room for the delays of this process. */
static __noinline int delays_create(__u32 tgid)
{
	__u32 zero = 0;
	struct probe_delays *zeros = bpf_map_lookup_elem(&sched_zero, &zero);
	long err;

	if (!zeros || bpf_map_lookup_elem(&sched_tasks, &tgid))
		return 0;
	err = bpf_map_update_elem(&sched_tasks, &tgid, zeros, BPF_NOEXIST);
	if (err && err != -EEXIST) /* another thread of it came first */
		count(PROBE_DROP_NO_DELAYS);
	return 0;
}

/*
 * Does the task, in a system call, run Go? What the register of the g points to
 * begins with the bounds of its stack, and the task is on it.
 */
static __noinline bool runs_go(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 g = goroutine(regs), stack[2] = {};

	if (!g || g & 7 || bpf_probe_read_user(stack, sizeof(stack), (void *)g))
		return false;
	return stack[0] <= regs->sp && regs->sp < stack[1] && stack[1] - stack[0] <= 1 << 30;
}

/* State of a thread that is running, made at its first use. */
static __always_inline struct thread_time *thread_get(struct task_struct *task, __u64 now)
{
	struct thread_time *t = thread_of(task);

	if (t)
		return t;
	t = bpf_task_storage_get(&sched_threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(PROBE_DROP_NO_THREAD);
		return NULL;
	}
	t->since_ns = now;
	t->running = 1;
	t->go = runs_go(task);
	delays_create(task->tgid);
	return t;
}

/* The time since the last change was spent on this part. */
static __always_inline void book(struct thread_time *t, __u64 part, __u64 now)
{
	bound(part);
	if (part >= PROBE_PARTS || now <= t->since_ns)
		return;
	t->part[part] += now - t->since_ns;
	t->since_ns = now;
}

/*
 * The same for a thread that is running. If its switch to the CPU was not seen
 * (one in some thousand under load), nobody knows what it did since.
 */
static __always_inline void book_running(struct thread_time *t, __u64 now)
{
	if (!t->running)
		book(t, PROBE_PART_UNKNOWN, now);
	else
		book(t, t->reclaim ? PROBE_PART_MEMORY : PROBE_PART_CPU, now);
	t->running = 1;
}

#endif
