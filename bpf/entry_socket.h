/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Socket entry: tracepoints sock_send_length and sock_recv_length (6.3). They
 * fire for every call that reaches the socket, after the bytes have moved.
 */
#ifndef PROBE_ENTRY_SOCKET_H
#define PROBE_ENTRY_SOCKET_H

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

static __always_inline int socket_io(struct sock *sk, __u32 len, const __u8 dir, int flags)
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
	p->call.kind = CALL_OTHER; /* piece_look asks for it, if need be */
	piece_init(p, len, dir);
	tp = c->family == CONN_TCP ? tcp_of(sk) : NULL;
	p->discarded =
		dir == DIR_RECV && flags & MSG_TRUNC && sk->__sk_common.skc_family != AF_UNIX;
	p->now_ns = moved_at(sk, tp, dir);
	if (lane_enter(c, lane) && lane_wait(c, lane)) {
		leave_out(c, p);
		return 0;
	}
	if (call_left_out(c))
		conn_anew(c);
	if (!c->id)
		conn_init(c, sk->__sk_common.skc_family, sk->sk_protocol);
	if (c->phase != PHASE_OVER)
		on_piece(s, c, sk, tp, task, p, true);
	if (dir == DIR_RECV)
		c->peeked_ns = 0;
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
	/* Whose the connection is its first bytes tell: who accepts may pass it on. */
	if (c && !c->touch_ns)
		c->touch_ns = bpf_ktime_get_ns();
}

/*
 * Tracepoint sock_send_length(sk, ret, flags), kernel 6.3.
 *
 * Here and below: no tracepoint gives NULL for a socket, but some verifiers (Ubuntu's
 * 6.8) take it for possible, and follow what happens then.
 */
SEC("tp_btf/sock_send_length")
int BPF_PROG(http_sock_send, struct sock *sk, int ret, int flags)
{
	if (!sk || ret <= 0)
		return 0;
	task_asks();
	alone();
	socket_io(sk, ret, DIR_SEND, flags);
	not_alone();
	return 0;
}

/* Tracepoint sock_recv_length(sk, ret, flags), kernel 6.3. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(http_sock_recv, struct sock *sk, int ret, int flags)
{
	if (!sk)
		return 0;
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
	socket_io(sk, ret, DIR_RECV, flags);
	not_alone();
	return 0;
}

/*
 * Tracepoint tcp_rcv_space_adjust(sk), kernel 4.15: inside recvmsg, after the
 * copy. tcp_clock_cache is still the time of the last segment here; the kernel
 * looks at the clock next, and moves it on. Fires for every TCP read of the host:
 * 5 ns to fill a slot, 10 to see what a short read begins like, 25 to keep it.
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(http_arrival, struct sock *sk)
{
	struct arrival *a = arrival_slot();
	struct tcp_sock *tp;

	if (!sk || !a)
		return 0;
	tp = tcp_of(sk);
	if (!tp)
		return 0;
	alone();
	arrival_note(a, sk, tp);
	arrival_keep(a, sk, tp);
	not_alone();
	return 0;
}

#if defined(__TARGET_ARCH_x86)
/*
 * Tracepoint tcp_rcv_space_adjust(sk), kernel 4.15; attached for a moment when probe
 * starts. A task of probe reads what it has sent to itself.
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(http_pages, struct sock *sk)
{
	struct skb_shared_info *shared;
	struct fragment f = {};

	if (!sk || bpf_get_current_pid_tgid() >> 32 != cfg.self_tgid || !bpf_rdonly_cast ||
	    bpf_core_type_size(struct page) != STRUCT_PAGE_BYTES)
		return 0;
	shared = skb_shared(sk->sk_receive_queue.next);
	first_fragment(shared, &f);
	pages.page = f.page;
	pages.sock = (__u64)sk;
	bpf_probe_read_kernel(pages.bytes, sizeof(pages.bytes),
			      (void *)(f.page * PAGES_SCALE + pages.base + f.offset));
	return 0;
}
#endif

#endif
