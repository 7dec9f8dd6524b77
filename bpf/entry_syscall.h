/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * System-call entry: tracepoint sys_exit and the walk from the descriptor to
 * the socket, for kernels without the socket tracepoints. Kernel 5.9.
 * It sees accept itself, and not what io_uring does.
 */
#ifndef PROBE_ENTRY_SYSCALL_H
#define PROBE_ENTRY_SYSCALL_H

/* The stream socket behind a descriptor of the current task, or NULL. */
static __always_inline struct sock *socket_of(struct task_struct *task, __u32 fd, __u64 *inode)
{
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **table = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;
	struct socket *socket;
	struct inode *ino;

	if (fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	if (bpf_probe_read_kernel(&file, sizeof(file), table + fd) || !file)
		return NULL;
	ino = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(ino, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	if (BPF_CORE_READ(socket, type) != SOCK_STREAM)
		return NULL;
	*inode = BPF_CORE_READ(ino, i_ino);
	return BPF_CORE_READ(socket, sk);
}

/* Room for the state of a socket, made when missing; a reused address starts anew. */
static __noinline struct conn *table_conn(struct sock *sk, __u64 inode)
{
	__u64 key = (__u64)sk;
	__u32 zero = 0;
	struct conn *c = bpf_map_lookup_elem(&http_conn_table, &key), *empty;

	if (c && c->inode == inode)
		return c;
	if (task_unjudged())
		return NULL;
	empty = bpf_map_lookup_elem(&http_empty, &zero);
	/* Where none was there, another CPU may have made it at the same time. */
	if (!empty ||
	    (bpf_map_update_elem(&http_conn_table, &key, empty, c ? BPF_ANY : BPF_NOEXIST) && c)) {
		count(PROBE_DROP_NO_STATE);
		return NULL;
	}
	c = bpf_map_lookup_elem(&http_conn_table, &key);
	if (c)
		c->inode = inode;
	else
		count(PROBE_DROP_NO_STATE);
	return c;
}

#define MAX_MESSAGES 64

/* recvmmsg and sendmmsg return a number of messages: adds up their bytes. */
static __noinline __u32 mmsg_bytes(struct call *call, __u32 messages)
{
	struct user_mmsghdr m;
	__u32 sum = 0;

	for (int i = 0; i < MAX_MESSAGES; i++) {
		if (i >= messages)
			break;
		if (bpf_probe_read_user(&m, sizeof(m), (void *)(call->arg1 + i * sizeof(m))))
			break;
		sum += m.len;
	}
	if (messages > MAX_MESSAGES)
		count(PROBE_DROP_IOVECS);
	call->kind = CALL_MSG; /* the first message may hold the head */
	return sum;
}

static __always_inline __u32 call_flags(struct call *call, __u64 nr)
{
	if (nr == NR_recvfrom || nr == NR_recvmmsg)
		return call->arg3;
	return nr == NR_recvmsg ? call->arg2 : 0;
}

static __always_inline void table_call(struct scratch *s, struct conn *c, struct sock *sk,
				       struct piece *p, long ret)
{
	/* 5.11, without which there is no detail. */
	struct task_struct *task = cfg.detail ? bpf_get_current_task_btf() : NULL;
	struct tcp_sock *tp;

	if (lane_enter(c, p->dir & 1) && lane_wait(c, p->dir & 1)) {
		if (p->call.kind == CALL_ACCEPT)
			return;
		p->len = p->call.kind == CALL_MMSG ? mmsg_bytes(&p->call, ret) : (__u32)ret;
		leave_out(c, p);
		return;
	}
	forget();
	if (p->call.kind == CALL_ACCEPT) {
		/* Whose the connection is its first bytes tell: it may be passed on. */
		c->touch_ns = p->now_ns;
		lane_leave(c, p->dir & 1);
		return;
	}
	if (call_left_out(c))
		conn_anew(c);
	forget();
	if (!c->id)
		conn_init(c, BPF_CORE_READ(sk, __sk_common.skc_family),
			  BPF_CORE_READ(sk, sk_protocol));
	tp = c->family == CONN_TCP ? (struct tcp_sock *)sk : NULL;
	if (c->phase != PHASE_OVER) {
		p->len = p->call.kind == CALL_MMSG ? mmsg_bytes(&p->call, ret) : (__u32)ret;
		if (p->len)
			on_piece(s, c, sk, tp, task, p, false);
	}
	forget();
	conn_leave(s, c, sk, tp, p->dir & 1, false);
}

static __always_inline int call_returns(struct pt_regs *regs, long ret)
{
	__u64 nr = call_number(regs), inode = 0;
	struct task_struct *task;
	struct scratch *s;
	struct piece *p;
	__u8 dir;
	struct conn *c;
	struct sock *sk;
	__u32 flags;
	__u16 family;

	s = scratch(SCRATCH_IO);
	if (!s)
		return 0;
	p = &s->piece;
	call_classify(nr, &p->call);
	if (p->call.kind == CALL_OTHER || p->call.kind == CALL_URING || ret < 0 ||
	    (!ret && p->call.kind != CALL_ACCEPT))
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	call_args(regs, &p->call);
	if (task_is_compat(task, false))
		return 0;
	dir = p->call.send ? DIR_SEND : DIR_RECV;
	if (p->call.kind == CALL_ACCEPT)
		p->call.fd = ret;
	if (nr == NR_splice)
		p->call.fd = p->call.arg2;
	sk = socket_of(task, p->call.fd, &inode);
	if (!sk && nr == NR_splice) {
		call_args(regs, &p->call);
		dir = DIR_RECV;
		sk = socket_of(task, p->call.fd, &inode);
	}
	flags = call_flags(&p->call, nr);
	if (!sk || flags & MSG_NOT_TAKEN)
		return 0;
	if (dir == DIR_SEND)
		task_asks();
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return 0;
	c = table_conn(sk, inode);
	if (!c || c->phase == PHASE_OVER)
		return 0;
	piece_init(p, 0, dir);
	p->discarded = flags & MSG_TRUNC && family != AF_UNIX && p->call.kind != CALL_MMSG;
	p->now_ns = bpf_ktime_get_ns();
	table_call(s, c, sk, p, ret);
	return 0;
}

/* Tracepoint sys_exit(regs, ret). */
SEC("tp_btf/sys_exit")
int BPF_PROG(http_sys_exit, struct pt_regs *regs, long ret)
{
	alone();
	call_returns(regs, ret);
	not_alone();
	return 0;
}

/* Tracepoint tcp_rcv_space_adjust(sk), as http_arrival: 5 ns for every TCP read. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(http_tab_arrive, struct sock *sk)
{
	struct arrival *a = arrival_slot();
	struct tcp_sock *tp;

	if (!sk || !a)
		return 0;
	tp = tcp_of(sk);
	if (tp)
		arrival_note(a, sk, tp);
	return 0;
}

#endif
