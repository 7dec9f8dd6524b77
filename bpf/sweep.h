/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The end of connections, and the sweep for what is still open on them.
 */
#ifndef PROBE_SWEEP_H
#define PROBE_SWEEP_H

/* Is this change of state the end of what the process will say or hear? */
static __always_inline bool ends_exchange(struct conn *c, struct sock *sk, int state)
{
	if (state == TCP_CLOSE)
		return true;
	if (state != TCP_FIN_WAIT1 && state != TCP_LAST_ACK)
		return false;
	/* A client may shut its sending side and wait for the answer. */
	return c->role == PROBE_ROLE_SERVER ||
	       (BPF_CORE_READ(sk, sk_shutdown) & SHUTDOWN_MASK) == SHUTDOWN_MASK;
}

/* To closed without a farewell of ours. */
static __always_inline bool was_reset(int oldstate, int newstate)
{
	return newstate == TCP_CLOSE && (oldstate == TCP_ESTABLISHED || oldstate == TCP_CLOSE_WAIT);
}

static __always_inline void conn_closed(struct conn *c, struct sock *sk, struct tcp_sock *tp,
					bool reset, const bool trusted)
{
	struct scratch *s = scratch(2);
	__u32 has = PROBE_HAS_CLOSE;

	if (reset)
		has |= PROBE_HAS_RESET;
	if (!s || (!c->announced && c->phase != PHASE_REQUEST))
		return;
	if (c->family == CONN_TCP && tp) {
		/* What no call has told yet: a splice, or a write cut short by a reset. */
		if (c->rx_off)
			c->rx_off += (__u32)(rx_seq(sk, tp, trusted) - (__u32)c->rx_off);
		if (c->tx_off && sending_now(c, tp, trusted)) {
			c->tx_off += (__u32)(READ(trusted, tp, write_seq) - (__u32)c->tx_off);
			if (c->role == PROBE_ROLE_SERVER)
				c->resp_last_ns = bpf_ktime_get_ns();
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

/* Tracepoint inet_sock_set_state(sk, old, new), kernel 4.16; socket entry. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(http_sock_state, struct sock *sk, int oldstate, int newstate)
{
	struct conn *c;

	if (newstate != TCP_CLOSE && newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK)
		return 0;
	c = bpf_sk_storage_get(&http_conns, sk, 0, 0);
	if (c && ends_exchange(c, sk, newstate))
		conn_closed(c, sk, bpf_skc_to_tcp_sock(sk), was_reset(oldstate, newstate), true);
	return 0;
}

/* The same for the system-call entry. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(http_table_state, struct sock *sk, int oldstate, int newstate)
{
	__u64 key = (__u64)sk;
	struct conn *c;

	if (newstate != TCP_CLOSE && newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK)
		return 0;
	c = bpf_map_lookup_elem(&http_conn_table, &key);
	if (!c)
		return 0;
	if (ends_exchange(c, sk, newstate))
		conn_closed(c, sk,
			    c->family == CONN_TCP ? (struct tcp_sock *)bpf_skc_to_tcp_sock(sk)
						  : NULL,
			    was_reset(oldstate, newstate), false);
	if (newstate == TCP_CLOSE)
		bpf_map_delete_elem(&http_conn_table, &key);
	return 0;
}

/* Tells what moved since the last record, and requests that wait too long. */
static __always_inline void sweep_conn(struct conn *c, struct sock *sk)
{
	struct scratch *s = scratch(1);
	__u32 has = PROBE_HAS_PROGRESS;

	if (!s || c->phase == PHASE_UNKNOWN || c->phase == PHASE_OVER)
		return;
	if (c->phase == PHASE_REQUEST && !c->reported && c->read_ns < sweep.older_ns)
		has |= PROBE_HAS_START;
	if (has == PROBE_HAS_PROGRESS && !c->dirty && !(c->is_unix && sweep.unix_alive))
		return;
	s->rec.resp_len = 0;
	s->rec.now_ns = bpf_ktime_get_ns();
	s->rec.resp_off = s->rec.resp_end = c->role == PROBE_ROLE_SERVER ? c->tx_off : c->rx_off;
	emit(s, c, sk, has);
}

/* Iterator over socket storage, kernel 5.9. 0.7 ms per 5,000 sockets. */
SEC("iter/bpf_sk_storage_map")
int http_sock_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct conn *c = ctx->value;
	struct sock *sk = ctx->sk;

	if (c && sk)
		sweep_conn(c, sk);
	return 0;
}

/* Iterator over hash elements, kernel 5.9. */
SEC("iter/bpf_map_elem")
int http_table_sweep(struct bpf_iter__bpf_map_elem *ctx)
{
	struct conn *c = ctx->value;
	__u64 *key = ctx->key;

	if (c && key)
		sweep_conn(c, (struct sock *)*key);
	return 0;
}

#endif
