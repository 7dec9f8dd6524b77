/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket entry: tracepoints sock_send_length and sock_recv_length (6.3). They
 * fire for every call that reaches the socket, after the bytes have moved.
 */
#ifndef PROBE_ENTRY_SOCKET_H
#define PROBE_ENTRY_SOCKET_H

/* io_uring completes from the exit of unrelated calls: check the descriptor. */
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
					struct call *call)
{
	struct pt_regs *regs = regs_of(task, call);

	call_args(regs, call);
	call_classify(call_number(regs), call);
	if (task->io_uring && call->kind != CALL_FILE && !call_is_for(task, call->fd, sk))
		call->kind = CALL_URING;
}

/* Room for the state of a socket, at its first use; NULL: not observed. */
static __always_inline struct conn *socket_conn(struct sock *sk, struct task_struct *task)
{
	__u16 family = sk->__sk_common.skc_family;
	struct conn *c;

	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return NULL;
	if (task->flags & PF_KTHREAD || task_unjudged())
		return NULL;
	c = bpf_sk_storage_get(&http_conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c) /* perhaps another CPU has made it at the same time */
		c = bpf_sk_storage_get(&http_conns, sk, 0, 0);
	if (!c)
		count(PROBE_DROP_NO_STATE);
	return c;
}

static __always_inline int socket_io(struct sock *sk, __u32 len, const __u8 dir)
{
	const enum lane lane = dir == DIR_SEND ? LANE_SEND : LANE_RECV;
	struct task_struct *task;
	struct tcp_sock *tp;
	struct scratch *s;
	struct piece *p;
	struct conn *c;

	if (sk->sk_type != SOCK_STREAM)
		return 0;
	c = bpf_sk_storage_get(&http_conns, sk, 0, 0);
	if (c && c->phase == PHASE_OVER)
		return 0;
	task = bpf_get_current_task_btf();
	if (!c) {
		c = socket_conn(sk, task);
		if (!c)
			return 0;
	}
	if (task->flags & PF_KTHREAD) {
		count(PROBE_DROP_LOST_TASK);
		return 0;
	}
	s = scratch(SCRATCH_IO);
	if (!s)
		return 0;
	p = &s->piece;
	socket_call(task, sk, &p->call);
	if (task_is_compat(task, true)) {
		count(PROBE_DROP_COMPAT);
		p->call.kind = CALL_COMPAT;
	}
	piece_init(p, len, dir);
	tp = tcp_of(sk);
	p->now_ns = moved_at(sk, tp, dir);
	if (lane_enter(c, lane))
		lane_wait(c, lane);
	if (!c->id)
		conn_init(c, sk->__sk_common.skc_family, sk->sk_protocol);
	if (c->phase != PHASE_OVER)
		on_piece(s, c, sk, tp, task, p, true);
	conn_leave(s, c, sk, tp, lane, true);
	return 0;
}

/* A read that found nothing, on a connection that never received anything:
 * the process has accepted it and is ready. Ends the wait for accept. */
static __always_inline void socket_touched(struct sock *sk)
{
	struct tcp_sock *tp = tcp_of(sk);
	struct conn *c;

	if (!tp || tp->bytes_received || task_unjudged())
		return;
	c = bpf_sk_storage_get(&http_conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c || c->id)
		return;
	if (!lane_enter(c, LANE_RECV) && !c->id) {
		conn_init(c, sk->__sk_common.skc_family, sk->sk_protocol);
		c->touch_ns = bpf_ktime_get_ns();
	}
	lane_leave(c, LANE_RECV);
}

/* Tracepoint sock_send_length(sk, ret, flags), kernel 6.3. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(http_sock_send, struct sock *sk, int ret, int flags)
{
	if (ret <= 0)
		return 0;
	alone();
	socket_io(sk, ret, DIR_SEND);
	not_alone();
	return 0;
}

/* Tracepoint sock_recv_length(sk, ret, flags), kernel 6.3. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(http_sock_recv, struct sock *sk, int ret, int flags)
{
	if (ret <= 0) {
		if (ret != -EAGAIN)
			return 0;
		alone();
		socket_touched(sk);
		not_alone();
		return 0;
	}
	if (flags & MSG_NOT_TAKEN) {
		struct conn *c = bpf_sk_storage_get(&http_conns, sk, 0, 0);

		/* What is read next arrived by now. */
		if (c && (flags & MSG_PEEK) && !c->peeked_ns)
			c->peeked_ns = arrival_of(sk, tcp_of(sk), true);
		return 0;
	}
	alone();
	socket_io(sk, ret, DIR_RECV);
	not_alone();
	return 0;
}

/*
 * Tracepoint tcp_rcv_space_adjust(sk), kernel 4.15: inside recvmsg, after the
 * copy. tcp_clock_cache is still the time of the last segment here; the kernel
 * looks at the clock next, and moves it on. Fires for every TCP read of the host,
 * so it only fills a slot (5 ns).
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(http_arrival, struct sock *sk)
{
	struct tcp_sock *tp = tcp_of(sk);

	if (tp)
		arrival_note(sk, tp, true);
	return 0;
}

#endif
