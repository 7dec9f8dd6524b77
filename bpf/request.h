/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Bytes in the direction of requests: heads are kept until they are answered.
 */
#ifndef PROBE_REQUEST_H
#define PROBE_REQUEST_H

/* Moves the n bytes in s->data to where the head of a request is kept. */
static __always_inline void keep_head(struct scratch *s, struct conn *c, __u64 n)
{
	bound(n);
	if (n <= PROBE_HEAD_MAX)
		bpf_probe_read_kernel(c->head, n, s->data);
}

/* A request begins with the n bytes in c->head. */
static __always_inline void start_request(struct conn *c, struct sock *sk, struct tcp_sock *tp,
					  struct task_struct *task, struct piece *p, __u64 n,
					  const bool trusted)
{
	c->phase = PHASE_REQUEST;
	belongs_here(c, task, trusted);
	c->req_off = p->off;
	c->read_ns = c->start_ns = p->now_ns;
	c->head_len = n;
	/* Older verifiers follow a path where n is below 3, and then at least 4. */
	forget();
	/* Behind what could not be read nothing can be put. */
	c->head_done = n < p->len || ends_head(c->head, p, c->head_len);
	c->after_clean = c->req_clean;
	c->req_clean = n == p->len && n < cfg.capture_bytes ? c->head_done : p->clean;
	c->first = 0;
	c->reported = 0;
	c->ahead = 0;
	c->rough = 0;
	count(PROBE_COUNT_STARTS);
	times_begin(c, task);
	if (p->dir == DIR_RECV && c->family == CONN_TCP && tp) {
		__u64 arrived = c->peeked_ns ? c->peeked_ns : arrival_of(sk, tp, trusted);

		if (arrived && arrived < p->now_ns) {
			c->start_ns = arrived;
			c->rough = arrived & 1;
		}
		c->first = read_first(sk, tp, p, trusted);
		if (!c->tx_off)
			c->tx_off = 1ULL << 32 | READ(trusted, tp, write_seq);
	}
}

/* The head came in pieces: puts the n bytes in s->data behind the kept ones. */
static __always_inline void append_head(struct scratch *s, struct conn *c, struct piece *p, __u64 n)
{
	bool cut = n < p->len; /* what follows would not be contiguous */
	__u64 have = c->head_len;

	bound(have);
	if (have >= PROBE_HEAD_MAX)
		return;
	/* Through the scratch: the verifier cannot bound have + n. */
	bpf_probe_read_kernel(s->gather, PROBE_HEAD_MAX, c->head);
	bound(n); /* spilled behind a check it has no limit on 6.8 */
	if (n > PROBE_HEAD_MAX)
		return;
	bpf_probe_read_kernel(s->gather + have, n, s->data);
	bpf_probe_read_kernel(c->head, PROBE_HEAD_MAX, s->gather);
	n += have;
	if (n > PROBE_HEAD_MAX)
		n = PROBE_HEAD_MAX;
	c->head_len = n;
	bound(n);
	c->head_done =
		cut || n >= cfg.capture_bytes ||
		(n >= 4 && n <= PROBE_HEAD_MAX && *(__u32 *)(s->gather + n - 4) == CRLF_CRLF);
}

/* The kept request goes out alone. */
static __always_inline void tell_request(struct scratch *s, struct conn *c, struct sock *sk,
					 struct piece *p)
{
	s->rec.now_ns = p->now_ns;
	s->rec.resp_len = 0;
	s->rec.resp_off = s->rec.resp_end = p->dir == DIR_RECV ? c->tx_off : c->rx_off;
	emit(s, c, sk, PROBE_HAS_START);
}

/* So does the kept request, and what is in s->data takes its place. */
static __always_inline void replace_request(struct scratch *s, struct conn *c, struct sock *sk,
					    struct tcp_sock *tp, struct task_struct *task,
					    struct piece *p, __u64 n, const bool trusted)
{
	bpf_probe_read_kernel(s->gather, PROBE_HEAD_MAX, s->data);
	tell_request(s, c, sk, p);
	bpf_probe_read_kernel(c->head, PROBE_HEAD_MAX, s->gather);
	start_request(c, sk, tp, task, p, n, trusted);
}

/* The response before is over: what was only counted of it is told with its times. */
static __always_inline void finish_times(struct scratch *s, struct conn *c, struct sock *sk,
					 struct piece *p)
{
	__u64 rx_off = c->rx_off;

	if (!c->dirty || c->timed == TIMED_NOT)
		return;
	s->rec.now_ns = p->now_ns;
	s->rec.resp_len = 0;
	s->rec.resp_off = s->rec.resp_end = c->tx_off;
	c->rx_off = p->off; /* what came since is of the next request */
	emit(s, c, sk, PROBE_HAS_PROGRESS);
	c->rx_off = rx_off;
}

/* Bytes in the direction of requests, on a connection whose role is known. */
static __always_inline void on_request_bytes(struct scratch *s, struct conn *c, struct sock *sk,
					     struct tcp_sock *tp, struct task_struct *task,
					     struct piece *p, __u64 n, const bool begins,
					     const bool trusted)
{
	if (c->phase == PHASE_RESPONSE) {
		if (c->torn ? !mends(c, p, begins) : !begins)
			return; /* the rest of a body whose answer came early, or of anything */
		if (spliced(c, sk, tp, trusted))
			splice_note(c, tp, trusted);
		finish_times(s, c, sk, p);
		start_request(c, sk, tp, task, p, n, trusted);
		if (p->off < c->late_end) {
			/* Its response was told already: this completes it. */
			s->rec.now_ns = p->now_ns;
			s->rec.resp_len = 0;
			s->rec.resp_off = s->rec.resp_end = c->rx_off;
			emit(s, c, sk, PROBE_HAS_START | PROBE_HAS_LATE);
			c->phase = PHASE_RESPONSE;
		}
		return;
	}
	if (p->dir == DIR_RECV && begins && c->head_done && !c->ahead &&
	    sending_now(c, tp, trusted)) {
		/* The answer to the kept request, which is whole, is on its way: this is the next. */
		replace_request(s, c, sk, tp, task, p, n, trusted);
		c->ahead = 1;
		return;
	}
	if (c->head_done && n && is_surely_request(*(__u64 *)s->data, *(__u64 *)(s->data + 8), n)) {
		replace_request(s, c, sk, tp, task, p, n, trusted); /* pipelined */
		return;
	}
	if (p->dir == DIR_RECV && c->head_done && c->req_clean && begins && n < SURE_LEN &&
	    !c->ahead && (c->head[0] | 0x20) != 'p') {
		/* A reader that takes the first byte of the next request early. Behind the
		 * head of POST, PUT or PATCH it is rather a short body. */
		replace_request(s, c, sk, tp, task, p, n, trusted);
		c->ahead = 1;
		return;
	}
	if (!c->head_done)
		append_head(s, c, p, n);
	c->req_clean = p->clean;
}

#endif
