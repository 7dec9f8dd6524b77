/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Differences between architectures and kernels, one function each.
 */
#ifndef PROBE_COMPAT_H
#define PROBE_COMPAT_H

/* In the socket entry pointers are trusted and loads cost nothing extra. */
#define READ(trusted, p, field) ((trusted) ? (p)->field : BPF_CORE_READ(p, field))

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
};

struct call {
	__u64 fd;
	__u64 arg1;
	__u64 arg2;
	__u64 arg3;
	__u8 kind; /* enum call_kind */
	__u8 send; /* only for the system-call entry: direction by number */
	__u8 pad[6];
};

#if defined(__TARGET_ARCH_x86)
/* arch/x86/entry/syscalls/syscall_64.tbl */
#define NR_read           0
#define NR_write          1
#define NR_readv          19
#define NR_writev         20
#define NR_sendfile       40
#define NR_accept         43
#define NR_sendto         44
#define NR_recvfrom       45
#define NR_sendmsg        46
#define NR_recvmsg        47
#define NR_splice         275
#define NR_accept4        288
#define NR_recvmmsg       299
#define NR_sendmmsg       307
#define NR_preadv2        327
#define NR_pwritev2       328
#define NR_io_uring_enter 426
#define TS_COMPAT         2 /* arch/x86/include/asm/thread_info.h */
#elif defined(__TARGET_ARCH_arm64)
/* include/uapi/asm-generic/unistd.h */
#define NR_read           63
#define NR_write          64
#define NR_readv          65
#define NR_writev         66
#define NR_sendfile       71
#define NR_splice         76
#define NR_accept         202
#define NR_sendto         206
#define NR_recvfrom       207
#define NR_sendmsg        211
#define NR_recvmsg        212
#define NR_accept4        242
#define NR_recvmmsg       243
#define NR_sendmmsg       269
#define NR_preadv2        286
#define NR_pwritev2       287
#define NR_io_uring_enter 426
#define TIF_32BIT         22 /* arch/arm64/include/asm/thread_info.h */
#endif

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
