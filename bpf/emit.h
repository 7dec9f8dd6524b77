/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Building one record and handing it to the ring. Does not wake the reader, which
 * drains on a timer that follows the fill level (docs/adr/0002), unless it asks for
 * that because little comes, or the ring fills all the same: then the reader has no
 * CPU (docs/adr/0008).
 */
#ifndef PROBE_EMIT_H
#define PROBE_EMIT_H

static __always_inline void fill_conn(struct probe_conn *to, struct conn *c, struct sock *sk)
{
	struct sock_common *skc = &sk->__sk_common;
	struct socket *socket = BPF_CORE_READ(sk, sk_socket);

	__builtin_memset(to, 0, sizeof(*to));
	to->family = BPF_CORE_READ(skc, skc_family);
	if (socket)
		to->inode = BPF_CORE_READ(socket, file, f_inode, i_ino);
	if (to->family == AF_INET) {
		__u32 local = BPF_CORE_READ(skc, skc_rcv_saddr),
		      remote = BPF_CORE_READ(skc, skc_daddr);

		__builtin_memcpy(to->local_addr, &local, 4);
		__builtin_memcpy(to->remote_addr, &remote, 4);
	} else if (to->family == AF_INET6) {
		BPF_CORE_READ_INTO(&to->local_addr, skc, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&to->remote_addr, skc, skc_v6_daddr);
	}
	if (to->family != AF_UNIX) {
		to->local_port =
			__builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
		to->remote_port = __builtin_bswap16(BPF_CORE_READ(skc, skc_dport));
	}
	__builtin_memcpy(to->comm, c->comm, sizeof(to->comm));
	to->cgroup = c->cgroup;
}

/* The name of the process at hand, not of its thread, to 16 bytes. */
static __always_inline void process_comm(void *comm)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	__builtin_memset(comm, 0, PROBE_COMM_LEN);
	bpf_core_read_str(comm, PROBE_COMM_LEN, &leader->comm);
}

/* The task at hand has read or sent the request, or at least its answer. */
static __always_inline void belongs_here(struct conn *c, struct task_struct *task,
					 const bool trusted)
{
	__u32 before = c->tgid;

	if (trusted) {
		c->tgid = task->tgid;
		c->tid = task->pid;
	} else {
		__u64 id = bpf_get_current_pid_tgid();

		c->tgid = id >> 32;
		c->tid = (__u32)id;
	}
	if (c->tgid != before)
		c->announced = 0; /* it was passed on, or is shared: the name is another one */
	if (c->announced)
		return;
	process_comm(c->comm);
	/* By then the process may be gone. Kernels without groups have no such call. */
	if (bpf_core_field_exists(task->cgroups))
		c->cgroup = bpf_get_current_cgroup_id();
}

/* Copies n bytes, a multiple of 8, as words: the compiler, to which nothing says
 * that they are aligned, would copy bytes. */
static __always_inline void put_words(void *to, const void *from, const __u32 n)
{
#pragma unroll
	for (__u32 i = 0; i < n; i += sizeof(__u64))
		*(volatile __u64 *)(to + i) = *(volatile __u64 *)(from + i);
}

#define STEP 64

/* Copies n bytes, at most PROBE_HEAD_MAX, and up to 63 behind them: a helper, which
 * copies no more than that, costs as much as some hundred bytes do. */
static __always_inline void put_head(void *to, const void *from, __u64 n)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < PROBE_HEAD_MAX; i += STEP) {
		put_words(to + i, from + i, STEP);
		if (n <= i + STEP)
			break;
	}
}

/* How often the fill level is looked at, which costs a call: records of a CPU. */
#define ALARM_EVERY 64

/* Set by userspace before it waits for the next record. */
__u32 reader_waits;

static __always_inline __u64 ring_flags(struct probe_counters *n)
{
	if (reader_waits) {
		reader_waits = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (n->value[PROBE_COUNT_RECORDS] % ALARM_EVERY ||
	    bpf_ringbuf_query(&http_events, BPF_RB_AVAIL_DATA) < cfg.ring_alarm)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

/*
 * Sends s->rec. The caller has set now_ns, resp_off and resp_end, and put
 * resp_len bytes of the response into s->data; the request head goes behind.
 */
static __noinline int emit(struct scratch *s, struct conn *c, struct sock *sk, __u32 has)
{
	struct probe_counters *n = counters();
	struct probe_record *r;
	__u64 size;

	if (!s || !c || !sk || !n)
		return 0;
	r = &s->rec;
	if (c->first && (has & PROBE_HAS_START))
		has |= PROBE_HAS_FIRST;
	if (c->after_clean && (has & PROBE_HAS_START))
		has |= PROBE_HAS_CLEAN;
	/* The verifier would go both ways of a branch. */
	has |= c->anew * PROBE_HAS_ANEW | c->rough * PROBE_HAS_ROUGH;
	r->role = c->role;
	r->seq = c->seq++;
	r->tgid = c->tgid;
	r->tid = c->tid;
	r->conn_id = c->id;
	r->start_ns = c->start_ns;
	r->read_ns = c->read_ns;
	r->touch_ns = c->touch_ns;
	r->req_off = c->req_off;
	r->req_end = c->role == PROBE_ROLE_SERVER ? c->rx_off : c->tx_off;
	r->prev_ns = c->resp_last_ns;
	r->prev_rough = c->resp_rough;
	__builtin_memcpy(r->tail, c->tail, 8);
	r->tail_len = c->tail_len;
	r->tail_open = c->tail_open;
	size = r->resp_len;
	bound(size);
	if (size > PROBE_HEAD_MAX)
		return 0;
	r->req_len = 0;
	if (has & PROBE_HAS_START) {
		__u64 head_len = c->head_len;

		bound(head_len);
		if (head_len > PROBE_HEAD_MAX)
			return 0;
		r->req_len = head_len;
		put_head(s->data + size, c->head, head_len);
		/* The verifier need not know which way that went. */
		forget();
		size = r->resp_len + r->req_len;
		bound(size);
		if (size > 2 * PROBE_HEAD_MAX)
			return 0;
	}
	if (!c->announced) {
		has |= PROBE_HAS_CONN;
		fill_conn((struct probe_conn *)(s->data + size), c, sk);
		size += sizeof(struct probe_conn);
	}
	if (c->timed == TIMED_ONCPU) {
		has |= PROBE_HAS_ONCPU;
	} else if (c->timed == TIMED_LOOP) {
		has |= PROBE_HAS_ONCPU | PROBE_HAS_LOOP;
	} else if (c->timed == TIMED_SPENT) {
		has |= PROBE_HAS_TIMES;
		bound(size);
		if (size > 2 * PROBE_HEAD_MAX + sizeof(struct probe_conn))
			return 0;
		put_words(s->data + size, &c->spent, sizeof(c->spent));
		size += sizeof(c->spent);
	}
	r->has = has;
	size += sizeof(*r);
	bound(size);
	if (size > sizeof(s->rec) + sizeof(s->data))
		return 0;
	n->value[PROBE_COUNT_RECORDS]++;
	if (bpf_ringbuf_output(&http_events, s, size, ring_flags(n))) {
		n->value[PROBE_DROP_RING_FULL]++;
		/* A sweep's start-only record is told again with the response. */
		if ((has & PROBE_HAS_START) && !(has & PROBE_HAS_PROGRESS) && !c->reported)
			n->value[PROBE_DROP_RING_FULL_START]++;
	} else {
		c->announced = 1;
		c->anew = 0;
		if (has & PROBE_HAS_START)
			c->reported = 1;
	}
	c->dirty = 0;
	return 0;
}

static __always_inline void give_up(struct conn *c, enum probe_count why)
{
	count(why);
	c->phase = PHASE_OVER;
}

/* Sends what c knows now; resp_len bytes of the response are in s->data. */
static __always_inline void tell(struct scratch *s, struct conn *c, struct sock *sk,
				 struct piece *p, __u64 resp_len, __u32 has)
{
	s->rec.now_ns = p->now_ns;
	s->rec.resp_len = resp_len;
	s->rec.resp_off = p->off;
	s->rec.resp_end = p->off + p->len;
	emit(s, c, sk, has);
}

#endif
