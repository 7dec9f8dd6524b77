/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Differences between architectures and kernels, one function each.
 */
#ifndef PROBE_COMPAT_H
#define PROBE_COMPAT_H

/* Keeps the compiler from moving a bound check past the helper it protects. */
#define bound(n) asm volatile("" : "+r"(n))

/*
 * Makes the compiler load again what it has stored to a map: the verifier knows
 * nothing of a loaded value, so paths that differ only in such values end here.
 */
#define forget() asm volatile("" ::: "memory")

/* In the socket entry pointers are trusted and loads cost nothing extra. */
#define READ(trusted, p, field) ((trusted) ? (p)->field : BPF_CORE_READ(p, field))

/* Kernel 6.2. */
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/* How the bytes of a call lie in user memory. */
enum call_kind {
	CALL_OTHER = 0, /* not a call that moves socket data from user memory */
	CALL_BUF,       /* (fd, buffer, ...) */
	CALL_IOV,       /* (fd, iovec, count, ...) */
	CALL_MSG,       /* (fd, msghdr, ...) */
	CALL_MMSG,      /* (fd, mmsghdr array, count, ...) */
	CALL_FILE,      /* sendfile, splice: the bytes never were in user memory */
	CALL_URING,     /* io_uring_enter: the buffer is in the ring */
	CALL_ACCEPT,
	CALL_COMPAT, /* a 32-bit task: other structures */
	CALL_UNSEEN, /* counted under its reason */
};

struct call {
	__u64 fd;
	__u64 arg1;
	__u64 arg2;
	__u64 arg3;
	__u8 kind; /* enum call_kind */
	__u8 send; /* direction, by number */
	__u8 pad[6];
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/entry/syscalls/syscall_64.tbl */
#define NR_read            0
#define NR_write           1
#define NR_pread64         17
#define NR_pwrite64        18
#define NR_readv           19
#define NR_writev          20
#define NR_sendfile        40
#define NR_accept          43
#define NR_sendto          44
#define NR_recvfrom        45
#define NR_sendmsg         46
#define NR_recvmsg         47
#define NR_splice          275
#define NR_accept4         288
#define NR_recvmmsg        299
#define NR_sendmmsg        307
#define NR_preadv          295
#define NR_pwritev         296
#define NR_preadv2         327
#define NR_pwritev2        328
#define NR_io_uring_enter  426
#define NR_poll            7
#define NR_select          23
#define NR_msync           26
#define NR_nanosleep       35
#define NR_connect         42
#define NR_semop           65
#define NR_fcntl           72
#define NR_flock           73
#define NR_fsync           74
#define NR_fdatasync       75
#define NR_sync            162
#define NR_futex           202
#define NR_semtimedop      220
#define NR_clock_nanosleep 230
#define NR_epoll_wait      232
#define NR_pselect6        270
#define NR_ppoll           271
#define NR_sync_range      277
#define NR_epoll_pwait     281
#define NR_syncfs          306
#define TS_COMPAT          2 /* arch/x86/include/asm/thread_info.h */
#elif defined(__TARGET_ARCH_arm64)
/* include/uapi/asm-generic/unistd.h */
#define NR_read            63
#define NR_write           64
#define NR_readv           65
#define NR_writev          66
#define NR_pread64         67
#define NR_pwrite64        68
#define NR_preadv          69
#define NR_pwritev         70
#define NR_sendfile        71
#define NR_splice          76
#define NR_accept          202
#define NR_sendto          206
#define NR_recvfrom        207
#define NR_sendmsg         211
#define NR_recvmsg         212
#define NR_accept4         242
#define NR_recvmmsg        243
#define NR_sendmmsg        269
#define NR_preadv2         286
#define NR_pwritev2        287
#define NR_io_uring_enter  426
#define NR_epoll_pwait     22
#define NR_fcntl           25
#define NR_flock           32
#define NR_pselect6        72
#define NR_ppoll           73
#define NR_sync            81
#define NR_fsync           82
#define NR_fdatasync       83
#define NR_sync_range      84
#define NR_futex           98
#define NR_nanosleep       101
#define NR_clock_nanosleep 115
#define NR_semtimedop      192
#define NR_semop           193
#define NR_connect         203
#define NR_msync           227
#define NR_syncfs          267
#define TIF_32BIT          22 /* arch/arm64/include/asm/thread_info.h */
#endif

/* Newer calls have one number everywhere. */
#define NR_epoll_pwait2 441
#define NR_futex_waitv  449
#define NR_futex_wait   455

/*
 * The saved registers still hold number and arguments while the call runs and
 * at its exit; the first argument of arm64 is overwritten by the result, the
 * kernel keeps a copy in orig_x0.
 */
static __always_inline __u64 call_number(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return (__u64)(__s64)regs->syscallno;
#endif
}

static __always_inline void call_args(struct pt_regs *regs, struct call *call)
{
#if defined(__TARGET_ARCH_x86)
	call->fd = regs->di;
	call->arg1 = regs->si;
	call->arg2 = regs->dx;
	call->arg3 = regs->r10;
#else
	call->fd = regs->orig_x0;
	call->arg1 = regs->regs[1];
	call->arg2 = regs->regs[2];
	call->arg3 = regs->regs[3];
#endif
}

static __always_inline void call_classify(__u64 nr, struct call *call)
{
	call->send = 0;
	switch (nr) {
	case NR_write:
	case NR_sendto:
		call->send = 1;
		call->kind = CALL_BUF;
		return;
	case NR_read:
	case NR_recvfrom:
		call->kind = CALL_BUF;
		return;
	case NR_writev:
	case NR_pwritev2:
		call->send = 1;
		call->kind = CALL_IOV;
		return;
	case NR_readv:
	case NR_preadv2:
		call->kind = CALL_IOV;
		return;
	case NR_sendmsg:
		call->send = 1;
		call->kind = CALL_MSG;
		return;
	case NR_recvmsg:
		call->kind = CALL_MSG;
		return;
	case NR_sendmmsg:
		call->send = 1;
		call->kind = CALL_MMSG;
		return;
	case NR_recvmmsg:
		call->kind = CALL_MMSG;
		return;
	case NR_sendfile:
	case NR_splice:
		call->send = 1;
		call->kind = CALL_FILE;
		return;
	case NR_accept:
	case NR_accept4:
		call->kind = CALL_ACCEPT;
		return;
	case NR_io_uring_enter:
		call->kind = CALL_URING;
		return;
	default:
		call->kind = CALL_OTHER;
	}
}

/* Where Go keeps its g, the goroutine that runs (its ABIInternal, since 1.17). */
static __always_inline __u64 goroutine(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->r14;
#else
	return regs->regs[28];
#endif
}

/* False in a page fault and in an interrupt: they leave no number. */
static __always_inline bool in_system_call(struct pt_regs *regs)
{
	return (__s64)call_number(regs) >= 0;
}

/* What a call waits for, if it waits. */
enum wait_class {
	WAIT_CLASS_OTHER = 0,
	WAIT_CLASS_NET,
	WAIT_CLASS_POLL,
	WAIT_CLASS_SLEEP,
	WAIT_CLASS_DISK,
	WAIT_CLASS_LOCK,
	WAIT_CLASS_FUTEX,
	WAIT_CLASS_FILE, /* as its first argument: a socket, a pipe, a disk */
};

static __always_inline enum wait_class wait_class(__u64 nr)
{
	switch (nr) {
	case NR_connect:
	case NR_accept:
	case NR_accept4:
	case NR_recvfrom:
	case NR_recvmsg:
	case NR_recvmmsg:
	case NR_sendto:
	case NR_sendmsg:
	case NR_sendmmsg:
		return WAIT_CLASS_NET;
#if defined(__TARGET_ARCH_x86)
	case NR_poll:
	case NR_select:
	case NR_epoll_wait:
#endif
	case NR_ppoll:
	case NR_pselect6:
	case NR_epoll_pwait:
	case NR_epoll_pwait2:
		return WAIT_CLASS_POLL;
	case NR_nanosleep:
	case NR_clock_nanosleep:
		return WAIT_CLASS_SLEEP;
	case NR_fsync:
	case NR_fdatasync:
	case NR_msync:
	case NR_sync:
	case NR_syncfs:
	case NR_sync_range:
		return WAIT_CLASS_DISK;
	case NR_flock:
	case NR_fcntl:
	case NR_semop:
	case NR_semtimedop:
		return WAIT_CLASS_LOCK;
	case NR_futex:
	case NR_futex_waitv:
	case NR_futex_wait:
		return WAIT_CLASS_FUTEX;
	case NR_read:
	case NR_readv:
	case NR_pread64:
	case NR_preadv:
	case NR_preadv2:
	case NR_write:
	case NR_writev:
	case NR_pwrite64:
	case NR_pwritev:
	case NR_pwritev2:
	case NR_sendfile:
	case NR_splice:
		return WAIT_CLASS_FILE;
	}
	return WAIT_CLASS_OTHER;
}

/* Before 5.14 (commit 2f064a59a11f, "sched: Change task_struct::state"). */
static __always_inline __u64 task_state(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return ((struct task_struct___old *)task)->state;
}

/*
 * Stopped because the CPU quota of its group is used up. Since 6.18 (commit
 * 2cd571245b43, throttling per task) the task says so; before, its run queue
 * does, and a task that is woken while the group is stopped is not told apart.
 */
static __always_inline bool task_throttled(struct task_struct *task)
{
	if (bpf_core_field_exists(task->throttled))
		return task->throttled;
	if (bpf_core_field_exists(((struct cfs_rq *)0)->throttle_count))
		return task->se.cfs_rq->throttle_count;
	return false;
}

/* In reclaim, swap-in or the like; kernels without PSI do not say. */
static __always_inline bool task_in_memstall(struct task_struct *task)
{
	return bpf_core_field_exists(task->in_memstall) &&
	       BPF_CORE_READ_BITFIELD(task, in_memstall);
}

/* True for a 32-bit task on a 64-bit kernel: other numbers, other structs. */
static __always_inline bool task_is_compat(struct task_struct *task, const bool trusted)
{
#if defined(__TARGET_ARCH_x86)
	return READ(trusted, task, thread_info.status) & TS_COMPAT;
#else
	return READ(trusted, task, thread_info.flags) & (1UL << TIF_32BIT);
#endif
}

#endif
