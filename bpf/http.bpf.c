// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * HTTP/1 exchanges on stream sockets, both ends, any process.
 *
 * Two entries, one body (on_piece):
 *   socket   tp_btf/sock_send_length, tp_btf/sock_recv_length. Kernel 6.3.
 *            State in the socket's storage. Cost: about 2 % of a server that
 *            does 130,000 requests/s for the hooks alone, 6 % with records.
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
#include "threads.h"
#include "times.h"
#include "delays.h"
#include "lead.h"
#include "user_buf.h"
#include "classify.h"
#include "emit.h"
#include "filter.h"
#include "stream.h"
#include "request.h"
#include "response.h"

/* Nothing known of this connection yet: a head decides what it is. */
static __always_inline void on_unknown(struct scratch *s, struct conn *c, struct sock *sk,
				       struct tcp_sock *tp, struct piece *p, __u64 n, bool request,
				       bool response, const bool trusted)
{
	bool receives = p->dir == DIR_RECV;

	if (!n)
		return;
	if (looks_like_http2(s->data, n)) {
		give_up(c, PROBE_DROP_HTTP2);
		return;
	}
	if (looks_like_tls(s->data, n) ||
	    (c->family == CONN_TCP && tp && READ(trusted, tp, inet_conn.icsk_ulp_ops))) {
		give_up(c, PROBE_DROP_TLS);
		return;
	}
	response = response && n >= 7;
	if (!request && !response)
		return;
	c->role = receives == request ? PROBE_ROLE_SERVER : PROBE_ROLE_CLIENT;
	if (!role_wanted(c, sk)) {
		c->phase = PHASE_OVER;
	} else if (request) {
		keep_head(s, c, n);
		start_request(c, sk, tp, p, n, trusted);
	} else {
		c->tgid = bpf_get_current_pid_tgid() >> 32;
		c->tid = (__u32)bpf_get_current_pid_tgid();
		begin_response(s, c, sk, tp, p, n, trusted);
	}
}

/* The body of every entry: p->len bytes moved through sk in p->dir. */
static __always_inline void on_piece(struct scratch *s, struct conn *c, struct sock *sk,
				     struct tcp_sock *tp, struct piece *p, const bool trusted)
{
	bool unknown = c->phase == PHASE_UNKNOWN;
	bool to_server = (p->dir == DIR_RECV) == (c->role == PROBE_ROLE_SERVER);
	/* A new request goes where it is kept; everything else to the scratch. */
	bool in_place = to_server && c->phase == PHASE_RESPONSE;
	bool request = false, response = false;
	__u64 n = 0, want = cfg.capture_bytes;

	advance(c, sk, tp, p, trusted);
	if (unknown) {
		if (c->last_dir == p->dir && c->tries > 4)
			return; /* the middle of something long: wait for the turn */
		c->last_dir = p->dir;
		if (c->tries++ > 12) {
			give_up(c, PROBE_DROP_NOT_HTTP);
			return;
		}
	} else if (!to_server && c->phase == PHASE_RESPONSE && c->resp_kept >= cfg.capture_bytes) {
		want = PEEK_LEN;
	}
	if (has_bytes(p) && piece_locate(c, p)) {
		if (p->iovecs) {
			n = read_iovecs(s, p, want);
			if (in_place)
				keep_head(s, c, n);
		} else {
			n = read_flat(p, in_place ? c->head : s->data, want);
		}
	}
	if (n && (unknown || to_server))
		request = looks_like_request(in_place ? c->head : s->data, n);
	if (n && (unknown || !to_server))
		response = looks_like_response(s->data, n);
	if (response && want == PEEK_LEN)
		n = p->iovecs ? read_iovecs(s, p, cfg.capture_bytes)
			      : read_flat(p, s->data, cfg.capture_bytes);
	if (!unknown && !to_server) {
		if (response)
			c->tail_len = 0;
		if (!response || n < p->len)
			tail_slide(c, s, p);
	}
	if (to_server && (n < p->len || n >= cfg.capture_bytes || c->phase == PHASE_REQUEST))
		p->clean = ends_clean(p);
	if (unknown)
		on_unknown(s, c, sk, tp, p, n, request, response, trusted);
	else if (to_server)
		on_request_bytes(s, c, sk, tp, p, n, request, trusted);
	else
		on_response_bytes(s, c, sk, tp, p, n, response, trusted);
	if (p->dir == DIR_RECV)
		c->peeked_ns = 0;
}

#include "ends.h"
#include "entry_socket.h"
#include "entry_syscall.h"
#include "sweep.h"
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
