/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Bytes in the direction of responses: the first ones make the record.
 */
#ifndef PROBE_RESPONSE_H
#define PROBE_RESPONSE_H

/* A response begins with the n bytes in s->data. 0: they could not be read; it may be
 * an interim one, behind which another begins. */
static __always_inline void begin_response(struct scratch *s, struct conn *c, struct sock *sk,
					   struct tcp_sock *tp, struct task_struct *task,
					   struct piece *p, __u64 n, const bool trusted)
{
	bool tunnel = c->phase != PHASE_RESPONSE && is_status_101(s->data, n), ahead = c->ahead;
	__u32 has = PROBE_HAS_STATUS;

	c->late_end = 0;
	if (c->torn)
		c->torn = TORN_REQUESTS;
	/* What was spliced out of the socket counts too. */
	if (p->dir == DIR_SEND && c->family == CONN_TCP && tp && c->rx_off)
		c->rx_off += (__u32)(rx_seq(sk, tp, trusted) - (__u32)c->rx_off);
	if (c->phase == PHASE_REQUEST && !ahead) {
		has |= PROBE_HAS_START;
		if (*(__u32 *)c->head == WORD('C', 'O', 'N', 'N'))
			tunnel |= n >= 12 && s->data[9] == '2';
	} else if (p->dir == DIR_RECV && sending_now(c, tp, trusted)) {
		/* A client's reader was faster than its writer's return. */
		__u32 seq = READ(trusted, tp, write_seq);

		has |= PROBE_HAS_LATE;
		c->late_end = c->tx_off ? c->tx_off + (__u32)(seq - (__u32)c->tx_off)
					: (1ULL << 32 | seq);
	}
	if (ahead)
		c->timed = TIMED_NOT;
	else
		times_respond(c, task, p);
	tell(s, c, sk, p, n, has);
	c->phase = ahead ? PHASE_REQUEST : PHASE_RESPONSE;
	c->ahead = 0;
	c->answered = 1;
	c->pieces = n ? 0 : MAX_MORE; /* nothing can complete what was not read */
	c->resp_kept = p->head_only ? PROBE_HEAD_MAX : n;
	responded(c, p->now_ns);
	if (tunnel) {
		count(PROBE_COUNT_TUNNELS);
		c->phase = PHASE_OVER;
	}
}

/*
 * Does the head of a response end within the n bytes in scratch slot 0? Its end begins
 * at an even place, or its second byte is at one.
 *
 * Global, with scalars only: the verifier checks it once (kernel 5.6). Costs 0.1 µs.
 */
__noinline __u64 head_ends(__u64 n)
{
	struct scratch *s = scratch(SCRATCH_IO);

	if (!s)
		return 1;
	for (__u64 i = 16; i < PROBE_HEAD_MAX; i += 2) {
		__u32 w;

		if (i + sizeof(w) > n)
			return 0;
		w = *(__u32 *)(s->data + i);
		if (w == CRLF_CRLF)
			return 1;
		if ((w & 0xffffff) == WORD('\n', '\r', '\n', 0) && s->data[i - 1] == '\r')
			return 1;
	}
	return 0;
}

/* A long head, of which nobody has read the end yet, and perhaps its length: as if it
 * had come in two pieces. */
static __always_inline void split_long_head(struct conn *c, struct piece *p)
{
	p->rest = 0;
	if (p->response && p->got >= cfg.capture_bytes && p->got < p->len && !c->ahead &&
	    !head_ends(p->got)) {
		p->rest = p->len - p->got;
		p->len = p->got;
	}
}

/* The second piece. */
static __noinline int tell_rest(struct scratch *s, struct conn *c, struct sock *sk, struct piece *p)
{
	__u64 n, from;

	if (!s || !c || !p || !c->announced) /* not wanted */
		return 0;
	from = p->len;
	n = p->rest < cfg.capture_bytes ? p->rest : cfg.capture_bytes;
	if (p->iovecs)
		n = gather_iovecs(p->base, p->iovecs, from, n);
	bound(n);
	if (n > PROBE_HEAD_MAX)
		return 0;
	if (p->iovecs)
		bpf_probe_read_kernel(s->data, n, s->gather);
	else if (bpf_probe_read_user(s->data, n, (void *)(p->base + from)))
		n = 0;
	p->off += from;
	p->len = p->rest;
	tell(s, c, sk, p, n, PROBE_HAS_MORE);
	c->pieces++;
	c->resp_kept += n;
	return 0;
}

/* Bytes in the direction of responses, on a connection whose role is known. */
static __always_inline void on_response_bytes(struct scratch *s, struct conn *c, struct sock *sk,
					      struct tcp_sock *tp, struct task_struct *task,
					      struct piece *p, __u64 n, const bool begins,
					      const bool trusted)
{
	bool waits = c->phase == PHASE_REQUEST;

	if (begins || (waits && !n)) {
		if (!n && p->call.kind == CALL_FILE)
			count(PROBE_DROP_NO_BUFFER);
		begin_response(s, c, sk, tp, task, p, n, trusted);
		return;
	}
	if (waits && !c->answered) {
		/* Not HTTP. If userspace knows the request it must hear of the end. */
		give_up(c, PROBE_DROP_NOT_ANSWER);
		if (c->reported)
			tell(s, c, sk, p, 0, PROBE_HAS_CLOSE);
		c->announced = 0;
		return;
	}
	if (c->phase == PHASE_RESPONSE && cfg.detail) {
		p->now_ns = bpf_ktime_get_ns(); /* it may be of before a switch */
		times_spend(c, p->now_ns);
	}
	/* A later piece: small heads are completed, else it is only counted. */
	if (n && c->resp_kept < cfg.capture_bytes && c->pieces < MAX_MORE) {
		/* It may hold the beginning of the next response, too. */
		tell(s, c, sk, p, n,
		     c->phase == PHASE_REQUEST ? PROBE_HAS_MORE | PROBE_HAS_START : PROBE_HAS_MORE);
		c->pieces++;
		c->resp_kept += n;
		responded(c, p->now_ns);
		return;
	}
	responded(c, p->now_ns);
	c->dirty = 1;
	if (c->is_unix) {
		/* No close is seen on Unix sockets, so nothing may wait for it. */
		p->off += p->len;
		p->len = 0;
		tell(s, c, sk, p, 0, PROBE_HAS_PROGRESS);
	}
}

#endif
