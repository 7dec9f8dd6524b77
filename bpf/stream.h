/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Where a connection stands: offsets of both directions, which are the kernel's
 * own sequence numbers for TCP, and the arrival of what is being read.
 */
#ifndef PROBE_STREAM_H
#define PROBE_STREAM_H

/* As bpf_skc_to_tcp_sock, which is a call, where the kernel has a cast instead. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	__u16 family;

	if (!bpf_rdonly_cast)
		return (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	family = sk->__sk_common.skc_family;
	if (sk->sk_protocol != IPPROTO_TCP || (family != AF_INET && family != AF_INET6))
		return NULL;
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
}

static __always_inline struct arrival *arrival_slot(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&http_arrivals, &zero);
}

/* When jiffy 0 began on the clock of TCP: the earliest that arrivals have shown, soon
 * within a fraction of a tick. */
__u64 jiffies_began = ~0ULL;

/* One that has no clock of its own yet would show anything. */
static __noinline int jiffies_learn(__u64 began)
{
	__u64 latest = bpf_ktime_get_ns() - bpf_jiffies64() * cfg.tick_ns;

	if (latest - began <= 2 * cfg.tick_ns)
		jiffies_began = began;
	return 0;
}

/* In which data arrived last. */
static __always_inline __u64 arrival_jiffy(struct tcp_sock *tp, const bool trusted)
{
	__u64 jiffies = bpf_jiffies64();

	return jiffies - ((__u32)jiffies - READ(trusted, tp, inet_conn.icsk_ack.lrcvtime));
}

/*
 * When the last data arrived: the clock, if nothing has moved it since. What is no
 * data does so, too: a send of ours, or an acknowledgement after 40 ms, behind which
 * nothing is left to acknowledge. Then it may be later than the jiffy in which data
 * came last, whose middle is the best there is: within 2 ms where CONFIG_HZ is 250.
 */
static __always_inline __u64 arrived_at(struct tcp_sock *tp)
{
	__u64 clock = tp->tcp_clock_cache & ~1ULL, tick = cfg.tick_ns, jiffies, end;

	if (!tick)
		return clock;
	jiffies = arrival_jiffy(tp, true);
	if (clock - jiffies * tick < jiffies_began)
		jiffies_learn(clock - jiffies * tick);
	if (tp->rcv_wup != tp->rcv_nxt)
		return clock;
	end = jiffies_began + (jiffies + 1) * tick;
	/* A tick may come late. */
	return clock <= end + tick / 4 ? clock : (end - tick / 2) | 1;
}

/* Inside a read: remembers when its data arrived. */
static __always_inline void arrival_note(struct arrival *a, struct sock *sk, struct tcp_sock *tp)
{
	__u32 rcv_nxt = tp->rcv_nxt;

	a->clock = tp->tcp_clock_cache;
	a->seq = tp->copied_seq;
	if (a->sock == (__u64)sk && a->rcv_nxt == rcv_nxt)
		return; /* more of the same, whose reader has moved the clock */
	a->sock = (__u64)sk;
	a->rcv_nxt = rcv_nxt;
	a->ns = arrived_at(tp);
}

/* After the read: what was remembered in it, or NULL if the task changed CPU meanwhile. */
static __always_inline struct arrival *arrival_here(struct sock *sk, struct tcp_sock *tp,
						    const bool trusted)
{
	struct arrival *a = arrival_slot();

	if (!a || !tp || a->sock != (__u64)sk)
		return NULL;
	/* A FIN read along has moved the number by one. */
	return READ(trusted, tp, copied_seq) - a->seq <= 1 ? a : NULL;
}

/* When its data arrived, or 0; odd: known to a tick. */
static __always_inline __u64 arrival_of(struct sock *sk, struct tcp_sock *tp, const bool trusted)
{
	struct arrival *a = arrival_here(sk, tp, trusted);

	return a ? a->ns : 0;
}

/*
 * When the bytes moved. TCP has just looked at the clock, which costs a fence and
 * as much as a read of user memory: a reader after tcp_rcv_space_adjust, so what
 * it left is newer than what the hook there has kept; a writer when it sent, and
 * nothing that this call has written is unsent. Else the clock itself.
 */
static __always_inline __u64 moved_at(struct sock *sk, struct tcp_sock *tp, const __u8 dir)
{
	__u64 looked;

	if (!tp)
		return bpf_ktime_get_ns();
	looked = tp->tcp_clock_cache;
	if (dir == DIR_SEND) {
		if (tp->snd_nxt == tp->write_seq)
			return looked;
	} else {
		struct arrival *a = arrival_here(sk, tp, true);

		if (a && looked > a->clock)
			return looked;
	}
	return bpf_ktime_get_ns();
}

/* Next byte to read, without the FIN, which takes a number once it was read. */
static __always_inline __u32 rx_seq(struct sock *sk, struct tcp_sock *tp, const bool trusted)
{
	__u32 seq = READ(trusted, tp, copied_seq);

	if ((READ(trusted, sk, __sk_common.skc_flags) & (1UL << SOCK_DONE)) &&
	    seq == READ(trusted, tp, rcv_nxt))
		seq--;
	return seq;
}

/* Noinline, as it needs room on the stack (piece_locate). */
static __noinline bool shut_for_sending(struct tcp_sock *tp)
{
	return tp && BPF_CORE_READ((struct sock *)tp, sk_shutdown) & SEND_SHUTDOWN;
}

/*
 * Bytes went out whose call has not returned yet: on another CPU the peer, and
 * a second thread of this process, can be faster than that return.
 */
static __always_inline bool sending_now(struct conn *c, struct tcp_sock *tp, const bool trusted)
{
	__u32 ahead;

	if (c->family != CONN_TCP || !tp)
		return false;
	ahead = READ(trusted, tp, write_seq) - (__u32)c->tx_off;
	/* A FIN has a number of its own. */
	return ahead > 1 || (ahead == 1 && !shut_for_sending(tp));
}

/* Response bytes moved, all but the first ones. */
static __always_inline void responded(struct conn *c, __u64 ns)
{
	c->resp_last_ns = ns;
	c->resp_rough = 0;
}

/* Did a client read more of the response than any call has told? It has spliced it out
 * of the socket. */
static __always_inline bool spliced(struct conn *c, struct sock *sk, struct tcp_sock *tp,
				    const bool trusted)
{
	return c->family == CONN_TCP && tp && c->role == PROBE_ROLE_CLIENT &&
	       c->phase == PHASE_RESPONSE && c->rx_off &&
	       rx_seq(sk, tp, trusted) != (__u32)c->rx_off;
}

/* When it did so last: known to the tick in which that arrived. */
static __always_inline void splice_note(struct conn *c, struct tcp_sock *tp, const bool trusted)
{
	__u64 now = bpf_ktime_get_ns(), tick = cfg.tick_ns, at;

	at = jiffies_began + arrival_jiffy(tp, trusted) * tick + tick / 2;
	if (!tick || jiffies_began == ~0ULL || at > now)
		at = now;
	if (at > c->resp_last_ns)
		c->resp_last_ns = at;
	c->resp_rough = 1;
}

/* Is what was read all that the connection has received, but for what is unread? */
static __always_inline bool read_first(struct sock *sk, struct tcp_sock *tp, struct piece *p,
				       const bool trusted)
{
	__u32 unread = READ(trusted, tp, rcv_nxt) - READ(trusted, tp, copied_seq);

	/* A FIN counts as received, and was read along with the last data (rx_seq). */
	if (!unread && READ(trusted, sk, __sk_common.skc_flags) & (1UL << SOCK_DONE))
		unread = 1;
	return READ(trusted, tp, bytes_received) == (__u64)unread + p->len;
}

/* Is the piece the first of its connection, or is that not known? */
static __always_inline bool begins_connection(struct conn *c, struct sock *sk, struct tcp_sock *tp,
					      struct piece *p, const bool trusted)
{
	if (c->family != CONN_TCP || !tp)
		return true;
	if (p->dir == DIR_SEND)
		return !READ(trusted, tp, bytes_received);
	/* Not so what a client hears first, which it has asked for. */
	return !READ(trusted, tp, bytes_sent) && read_first(sk, tp, p, trusted);
}

/* Bytes moved that no call has shown, if unseen is not 0: the last ones are not known.
 * Without a branch, of which the verifier would go both ways. */
static __always_inline void tail_keep(struct conn *c, __u32 unseen)
{
	c->tail_len &= ((unseen | -unseen) >> 31) - 1;
}

/*
 * A program on a map of sockets (service meshes, older CNI plugins) has handed the
 * bytes to the other socket, past TCP, which then knows neither how many nor when.
 */
static __always_inline bool past_tcp(struct sock *sk, const bool trusted)
{
	return (__u64)READ(trusted, sk, sk_user_data) & SK_USER_DATA_PSOCK;
}

/* Moves the stream offset of the piece's direction over it. */
static __always_inline void advance(struct conn *c, struct sock *sk, struct tcp_sock *tp,
				    struct piece *p, const bool trusted)
{
	__u64 *off = p->dir == DIR_RECV ? &c->rx_off : &c->tx_off;
	__u32 moved;

	if (c->family == CONN_TCP && tp) {
		/* The low half of the offset is the kernel's sequence number. */
		__u32 seq =
			p->dir == DIR_RECV ? rx_seq(sk, tp, trusted) : READ(trusted, tp, write_seq);

		if (!*off)
			*off = (1ULL << 32 | seq) - p->len;
		moved = seq - (__u32)*off;
		if (!moved && past_tcp(sk, trusted)) {
			c->family = CONN_COUNTED;
			p->now_ns = bpf_ktime_get_ns();
			moved = p->len;
		}
		*off += moved;
		tail_keep(c, moved ^ p->len);
	} else {
		*off += p->len;
	}
	p->off = *off - p->len;
}

#endif
