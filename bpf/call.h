/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket entry: which system call moves the bytes, and with which arguments. The
 * socket tracepoints do not say; the saved registers of the task do.
 */
#ifndef PROBE_CALL_H
#define PROBE_CALL_H

/* io_uring completes from the exit of unrelated calls: check the descriptor, and the direction. */
static __noinline bool call_is_for(struct task_struct *task, __u64 fd, struct sock *sk)
{
	struct file **table = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file = NULL;
	struct socket *socket;

	bpf_probe_read_kernel(&file, sizeof(file), table + (__u32)fd);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk) == sk;
}

/* From the stack of a task to the registers it has saved: the same for all, 0 at first. */
__u64 regs_at;

/*
 * As bpf_task_pt_regs, which is a call. Pointers go through a map: what is loaded
 * from there the verifier takes for a number, which may be added and subtracted.
 */
static __always_inline struct pt_regs *regs_of(struct task_struct *task, struct call *call)
{
	volatile __u64 *number = &call->arg1;
	__u64 stack;

	if (!bpf_rdonly_cast)
		return (struct pt_regs *)bpf_task_pt_regs(task);
	*number = (__u64)task->stack;
	stack = *number;
	if (!regs_at) {
		*number = (__u64)bpf_task_pt_regs(task);
		regs_at = *number - stack;
	}
	return bpf_rdonly_cast((void *)(stack + regs_at), bpf_core_type_id_kernel(struct pt_regs));
}

static __always_inline void socket_call(struct task_struct *task, struct sock *sk,
					struct call *call, bool sends)
{
	struct pt_regs *regs = regs_of(task, call);

	call_args(regs, call);
	call_classify(call_number(regs), call);
	if (task_is_compat(task, true)) {
		count(PROBE_DROP_COMPAT);
		call->kind = CALL_COMPAT;
	} else if (task->io_uring && call->kind != CALL_FILE &&
		   (call->send != sends || !call_is_for(task, call->fd, sk))) {
		call->kind = CALL_URING;
	}
}

#endif
