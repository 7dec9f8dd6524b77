// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * HTTP/1 exchanges on stream sockets, both ends, any process.
 *
 * Two entries, one body (on_piece):
 *   socket   tp_btf/sock_send_length, tp_btf/sock_recv_length. Kernel 6.3.
 *            State in the socket's storage. Cost: about 4 % of a server that
 *            does 140,000 requests/s for hooks and filters, 12 % with records.
 *   syscall  tp_btf/sys_exit with a walk from the descriptor to the socket.
 *            Kernel 5.9. State in a hash. Cost: about 16 %, because every
 *            system call of every task takes the kernel's slow path.
 * Both: tp_btf/tcp_rcv_space_adjust for the arrival of a request,
 * tp_btf/inet_sock_set_state for the end of a connection, and a sweep
 * (BPF iterator) over the connections for what is still open.
 *
 * State: one struct conn per connection. A request's head is kept there until
 * its response begins; then one record carries both. Later writes of the same
 * response only move counters.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "abi.h"
#include "compat.h"
#include "maps.h"
#include "lanes.h"
#include "threads.h"
#include "turns.h"
#include "times.h"
#include "delays.h"
#include "lead.h"
#include "classify.h"
#include "length.h"
#include "call.h"
#include "user_buf.h"
#include "chunk.h"
#include "emit.h"
#include "judge.h"
#include "filter.h"
#include "stream.h"
#include "skb.h"
#include "anew.h"
#include "request.h"
#include "response.h"

/* Nothing known of this connection yet: a head decides what it is. */
static __always_inline void on_unknown(struct scratch *s, struct conn *c, struct sock *sk,
				       struct tcp_sock *tp, struct task_struct *task,
				       struct piece *p, __u64 n, bool request, bool response,
				       const bool trusted)
{
	bool receives = p->dir == DIR_RECV;
	int sure;

	if (!n)
		return;
	if (looks_like_http2(s->data, n)) {
		other_protocol(c, sk, PROBE_DROP_HTTP2);
		return;
	}
	if (looks_like_tls(s->data, n) ||
	    (c->family == CONN_TCP && tp && READ(trusted, tp, inet_conn.icsk_ulp_ops))) {
		other_protocol(c, sk, PROBE_DROP_TLS);
		return;
	}
	/* One of a connection in use must surely be one: a text has methods everywhere, and
	 * of one whose first letters were moved before only the rest is there. */
	sure = is_common_method(*(__u32 *)s->data) &&
	       is_surely_request(*(__u64 *)s->data, *(__u64 *)(s->data + 8), n);
	request = request & !c->torn & (begins_connection(c, sk, tp, p, trusted) | !!sure);
	if (!request && !response)
		return;
	c->role = receives == request ? PROBE_ROLE_SERVER : PROBE_ROLE_CLIENT;
	if (!role_wanted(c, sk)) {
		c->phase = PHASE_OVER;
	} else if (request) {
		keep_head(s, c, n);
		start_request(c, sk, tp, task, p, n, trusted);
	} else {
		belongs_here(c, task, trusted);
		begin_response(s, c, sk, tp, task, p, n, trusted);
	}
}

/* What kind of piece this is; false where it does not help to know. */
static __always_inline bool piece_sort(struct conn *c, struct sock *sk, struct piece *p)
{
	p->got = 0;
	p->request = p->response = 0;
	p->unknown = c->phase == PHASE_UNKNOWN;
	p->to_server = (p->dir == DIR_RECV) == (c->role == PROBE_ROLE_SERVER);
	/* A new request goes where it is kept; everything else to the scratch. */
	p->in_place = p->to_server && c->phase == PHASE_RESPONSE;
	if (!p->unknown)
		return true;
	if (c->last_dir == p->dir && c->tries > 4)
		return false; /* the middle of something long: wait for the turn */
	c->last_dir = p->dir;
	if (c->tries++ > 12) {
		other_protocol(c, sk, PROBE_DROP_NOT_HTTP);
		return false;
	}
	return true;
}

static __always_inline void piece_read(struct scratch *s, struct conn *c, struct piece *p,
				       __u64 want)
{
	if (p->iovecs)
		p->got = read_iovecs(s, c, p, want);
	else
		p->got = read_flat(p, p->in_place ? c->head : s->data, want);
}

/* What the bytes look like that were read. */
static __always_inline void piece_begins(struct scratch *s, struct conn *c, struct piece *p)
{
	forget();
	if (p->unknown || p->to_server)
		p->request = looks_like_request(p->in_place ? c->head : s->data, p->got);
	if (p->unknown || !p->to_server)
		p->response = looks_like_response(s->data, p->got) &&
			      (p->got >= 7 || c->phase == PHASE_REQUEST);
	forget();
}

/* The first bytes of the piece, and what they look like. */
static __always_inline void piece_look(struct scratch *s, struct conn *c, struct sock *sk,
				       struct tcp_sock *tp, struct task_struct *task,
				       struct piece *p, const bool trusted)
{
	bool long_answer = !p->unknown && !p->to_server && c->phase == PHASE_RESPONSE &&
			   c->resp_kept >= cfg.capture_bytes;

	if (trusted && piece_from_skb(s, c, sk, tp, task, p)) {
		piece_begins(s, c, p);
		if (p->request || p->response)
			return;
		p->got = 0;
	}
	if (trusted)
		socket_call(task, sk, &p->call, p->dir == DIR_SEND);
	if (p->discarded)
		p->call.kind = CALL_FILE;
	if (p->unknown && c->tries == 1 && p->call.kind == CALL_FILE)
		count(PROBE_DROP_NO_BUFFER); /* perhaps a proxy that splices everything */
	if (!has_bytes(p) || !piece_locate(c, p))
		return;
	forget();
	piece_read(s, c, p, long_answer ? PEEK_LEN : cfg.capture_bytes);
	forget();
	if (!p->got)
		return;
	if (p->iovecs && p->in_place)
		keep_head(s, c, p->got);
	piece_begins(s, c, p);
	if (p->response && long_answer)
		piece_read(s, c, p, cfg.capture_bytes);
}

/* The body of every entry: p->len bytes moved through sk in p->dir. */
static __always_inline void on_piece(struct scratch *s, struct conn *c, struct sock *sk,
				     struct tcp_sock *tp, struct task_struct *task, struct piece *p,
				     const bool trusted)
{
	advance(c, sk, tp, p, trusted);
	if (!piece_sort(c, sk, p))
		return;
	forget();
	piece_look(s, c, sk, tp, task, p, trusted);
	forget();
	if (!p->unknown && !p->to_server) {
		if (p->response)
			c->tail_len = 0;
		if (!p->head_only && (!p->response || p->got < p->len)) {
			__u8 known = c->tail_len, before = c->tail[sizeof(c->tail) - 1];

			tail_slide(c, s, p);
			tail_judge(c, s, p, known, before);
		}
	}
	if (p->to_server && (p->got < p->len || p->got >= cfg.capture_bytes ||
			     c->phase == PHASE_REQUEST || c->torn))
		p->clean = ends_clean(p);
	forget();
	split_long_head(c, p);
	forget();
	if (p->unknown)
		on_unknown(s, c, sk, tp, task, p, p->got, p->request, p->response, trusted);
	else if (p->to_server)
		on_request_bytes(s, c, sk, tp, task, p, p->got, p->request, trusted);
	else
		on_response_bytes(s, c, sk, tp, task, p, p->got, p->response, trusted);
	if (p->rest)
		tell_rest(s, c, sk, p);
	if (c->is_unix && c->phase == PHASE_REQUEST && !c->reported)
		tell_request(s, c, sk, p);
}

#include "ends.h"
#include "entry_socket.h"
#include "entry_syscall.h"
#include "sweep.h"
#include "stints.h"
#include "sched.h"
#include "waking.h"
#include "memory.h"

/* Puts the enums into BTF, for the generated Go names. */
const enum probe_count *unused_count __attribute__((unused));
const enum probe_has *unused_has __attribute__((unused));
const struct probe_record *unused_record __attribute__((unused));
const struct probe_conn *unused_conn __attribute__((unused));
const struct probe_times *unused_times __attribute__((unused));
const enum probe_detail *unused_detail __attribute__((unused));
const enum probe_part *unused_part __attribute__((unused));
const enum probe_attribution *unused_attribution __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
