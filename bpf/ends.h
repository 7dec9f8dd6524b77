/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * How connections end.
 */
#ifndef PROBE_ENDS_H
#define PROBE_ENDS_H

/* States in which a connection may end, or its socket begins another one. */
static __always_inline bool may_end(int state)
{
	return state == TCP_CLOSE || state == TCP_FIN_WAIT1 || state == TCP_LAST_ACK ||
	       state == TCP_SYN_SENT;
}

/* Is it, in one of these, the end of what the process will say or hear? */
static __always_inline bool ends_exchange(struct conn *c, struct sock *sk, int state)
{
	if (state == TCP_CLOSE || state == TCP_SYN_SENT)
		return true;
	/* A client may shut its sending side and wait for the answer. */
	return c->role == PROBE_ROLE_SERVER ||
	       (BPF_CORE_READ(sk, sk_shutdown) & SHUTDOWN_MASK) == SHUTDOWN_MASK;
}

/* To closed without a farewell of ours. */
static __always_inline bool was_reset(int oldstate, int newstate)
{
	return newstate == TCP_CLOSE && (oldstate == TCP_ESTABLISHED || oldstate == TCP_CLOSE_WAIT);
}

static __always_inline void conn_closed(struct scratch *s, struct conn *c, struct sock *sk,
					struct tcp_sock *tp, bool reset, const bool trusted)
{
	__u32 has = PROBE_HAS_CLOSE;

	c->closing = CLOSING_NOT;
	if (call_left_out(c))
		conn_anew(c);
	times_answered(c);
	if (!s || (!c->announced && c->phase != PHASE_REQUEST))
		return;
	if (reset)
		has |= PROBE_HAS_RESET;
	if (c->family == CONN_TCP && tp) {
		/* What no call has told yet: a splice, or a write cut short by a reset. */
		if (spliced(c, sk, tp, trusted))
			splice_note(c, tp, trusted);
		if (c->rx_off) {
			__u32 moved = rx_seq(sk, tp, trusted) - (__u32)c->rx_off;

			c->rx_off += moved;
			tail_keep(c, moved);
		}
		if (c->tx_off && sending_now(c, tp, trusted)) {
			c->tx_off += (__u32)(READ(trusted, tp, write_seq) - (__u32)c->tx_off);
			if (c->role == PROBE_ROLE_SERVER) { /* the bytes of answers */
				c->tail_len = 0;
				responded(c, bpf_ktime_get_ns());
			}
		}
	}
	if (c->phase == PHASE_REQUEST)
		has |= PROBE_HAS_START;
	s->rec.resp_len = 0;
	s->rec.now_ns = bpf_ktime_get_ns();
	s->rec.resp_off = s->rec.resp_end = c->role == PROBE_ROLE_SERVER ? c->tx_off : c->rx_off;
	emit(s, c, sk, has);
	c->announced = 0;
	c->phase = PHASE_OVER;
}

/* Is there data that a process may still read, though the connection has ended? */
static __noinline bool unread(struct sock *sk, struct tcp_sock *tp)
{
	bool fin = READ(false, sk, __sk_common.skc_flags) & (1UL << SOCK_DONE);

	/* Who closes a socket throws away first what is in it. */
	return tp && (void *)READ(false, sk, sk_receive_queue.next) != &sk->sk_receive_queue &&
	       READ(false, tp, rcv_nxt) - READ(false, tp, copied_seq) > fin;
}

/* Has a client read more than any call has told? The call may still be under way, or
 * it was a splice, which is told when the socket goes. Noinline: see piece_locate. */
static __noinline bool reading_now(struct conn *c, struct sock *sk, struct tcp_sock *tp)
{
	if (!c || !sk || !tp || c->family != CONN_TCP || c->role != PROBE_ROLE_CLIENT ||
	    c->phase != PHASE_REQUEST)
		return false;
	if (c->rx_off)
		return rx_seq(sk, tp, false) != (__u32)c->rx_off;
	return READ(false, tp, bytes_received) >
	       READ(false, tp, rcv_nxt) - READ(false, tp, copied_seq);
}

/*
 * A peer that is gone answers what it is sent with a reset before that send returns. The
 * send is told afterwards; until then the end waits, if it is of a response, or of a
 * client's next request. So it does while there is something to read: the answer to a
 * client that has shut its side, or what came before a reset.
 */
static __always_inline bool end_waits(struct conn *c, struct sock *sk, struct tcp_sock *tp,
				      const bool trusted)
{
	if (c->drains && (unread(sk, tp) || reading_now(c, sk, tp)))
		return true;
	return c->role == (c->phase == PHASE_REQUEST ? PROBE_ROLE_SERVER : PROBE_ROLE_CLIENT) &&
	       c->tx_off && sending_now(c, tp, trusted);
}

/* A call is done with the connection: tells its end, if that came meanwhile. */
static __always_inline void conn_leave(struct scratch *s, struct conn *c, struct sock *sk,
				       struct tcp_sock *tp, enum lane lane, const bool trusted)
{
	if (c->closing && !end_waits(c, sk, tp, trusted))
		conn_closed(s, c, sk, tp, c->closing == CLOSING_RESET, trusted);
	lane_leave(c, lane);
}

/*
 * The connection ends. May interrupt a call on it, so it does not wait for one:
 * that call tells the end when it leaves. Between its last look and its leaving,
 * a few ns, the end is lost, and told when the socket goes (gone).
 */
static __always_inline void conn_end(struct scratch *s, struct conn *c, struct sock *sk,
				     struct tcp_sock *tp, bool reset, bool gone, const bool trusted)
{
	c->closing = reset ? CLOSING_RESET : CLOSING_END;
	if (lane_enter(c, LANE_END)) {
		if (!gone && (lane_taken(c, LANE_SEND) || lane_taken(c, LANE_RECV)))
			goto leave;
		lane_wait_sweep(c);
	}
	if (gone || !end_waits(c, sk, tp, trusted))
		conn_closed(s, c, sk, tp, reset, trusted);
leave:
	lane_leave(c, LANE_END);
}

/* The state changes to one of may_end. True: the socket begins another connection. */
static __always_inline bool conn_state(struct conn *c, struct sock *sk, struct tcp_sock *tp,
				       int oldstate, int newstate, const bool trusted)
{
	if (!ends_exchange(c, sk, newstate))
		return false;
	/* To TCP_LAST_ACK: a client shuts its side before it has read what came. */
	c->drains =
		newstate == TCP_CLOSE || (newstate == TCP_LAST_ACK && c->role != PROBE_ROLE_SERVER);
	conn_end(scratch(SCRATCH_STATE), c, sk, tp, was_reset(oldstate, newstate),
		 newstate == TCP_SYN_SENT, trusted);
	return newstate == TCP_SYN_SENT;
}

#endif
