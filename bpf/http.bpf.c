// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * HTTP/1 exchanges on stream sockets, both ends, any process.
 *
 * Two entries, one body (on_piece):
 *   socket   tp_btf/sock_send_length, tp_btf/sock_recv_length. Kernel 6.3.
 *            State in the socket's storage. Cost: about 2 % of a server that
 *            does 130,000 requests/s for the hooks alone, 6 % with records.
 *   syscall  tp_btf/sys_exit with a walk from the descriptor to the socket.
 *            Kernel 5.15. State in a hash. Cost: about 16 %, because every
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
#include "user_buf.h"
#include "classify.h"
#include "emit.h"

static __always_inline bool port_wanted(__u16 port)
{
	if (!cfg.ports_len)
		return true;
	for (int i = 0; i < PROBE_MAX_PORTS; i++)
		if (i < cfg.ports_len && cfg.ports[i] == port)
			return true;
	return false;
}

static __always_inline bool task_wanted(__u32 tgid)
{
	if (tgid == cfg.self_tgid)
		return false;
	if (cfg.pids_len) {
		bool hit = false;

		for (int i = 0; i < PROBE_MAX_PIDS; i++)
			hit |= i < cfg.pids_len && cfg.pids[i] == tgid;
		if (!hit)
			return false;
	}
	if (cfg.comms_len) {
		__u64 comm[2] = {};
		bool hit = false;

		bpf_get_current_comm(comm, sizeof(comm));
		for (int i = 0; i < PROBE_MAX_COMMS; i++) {
			const volatile __u64 *want = (const volatile __u64 *)cfg.comms[i];

			hit |= i < cfg.comms_len && want[0] == comm[0] && want[1] == comm[1];
		}
		if (!hit)
			return false;
	}
	return true;
}

/* The role is known: is this connection wanted? Its server's port decides. */
static __noinline bool role_wanted(struct conn *c, struct sock *sk)
{
	if (!c || !sk)
		return false;
	if (c->role == PROBE_ROLE_SERVER)
		return cfg.want_server &&
		       (c->is_unix ? !cfg.ports_len
				   : port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)));
	return cfg.want_client &&
	       (c->is_unix
			? !cfg.ports_len
			: port_wanted(__builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport))));
}

static __always_inline void conn_init(struct conn *c, __u16 family, __u16 protocol)
{
	struct probe_counters *n = counters();

	c->is_unix = family == AF_UNIX;
	c->family = family != AF_UNIX && protocol == IPPROTO_TCP ? CONN_TCP : CONN_COUNTED;
	if (!task_wanted(bpf_get_current_pid_tgid() >> 32))
		c->phase = PHASE_OVER;
	if (n) {
		n->value[PROBE_COUNT_CONNS]++;
		c->id = (__u64)bpf_get_smp_processor_id() << 48 | ++n->next_conn;
	}
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

/* Moves the n bytes in s->data to where the head of a request is kept. */
static __always_inline void keep_head(struct scratch *s, struct conn *c, __u64 n)
{
	bound(n);
	if (n <= PROBE_HEAD_MAX)
		bpf_probe_read_kernel(c->head, n, s->data);
}

static __always_inline struct arrival *arrival_slot(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&http_arrivals, &zero);
}

/* Inside a read: remembers when its data arrived. */
static __always_inline void arrival_note(struct sock *sk, struct tcp_sock *tp, const bool trusted)
{
	struct arrival *a = arrival_slot();

	if (!a)
		return;
	a->sock = (__u64)sk;
	a->ns = READ(trusted, tp, tcp_mstamp) * 1000;
	a->seq = READ(trusted, tp, copied_seq);
}

/* After the read: when its data arrived, or 0 if the task changed CPU meanwhile. */
static __always_inline __u64 arrival_of(struct sock *sk, struct tcp_sock *tp, const bool trusted)
{
	struct arrival *a = arrival_slot();

	if (!a || !tp || a->sock != (__u64)sk)
		return 0;
	/* A FIN read along has moved the number by one. */
	return READ(trusted, tp, copied_seq) - a->seq <= 1 ? a->ns : 0;
}

/* A request begins with the n bytes in c->head. */
static __always_inline void start_request(struct conn *c, struct sock *sk, struct tcp_sock *tp,
					  struct piece *p, __u64 n, const bool trusted)
{
	__u64 id = bpf_get_current_pid_tgid();

	c->phase = PHASE_REQUEST;
	c->tgid = id >> 32;
	c->tid = (__u32)id;
	c->req_off = p->off;
	c->read_ns = c->start_ns = p->now_ns;
	c->head_len = n;
	c->head_done = ends_head(c->head, p, n);
	c->after_clean = c->req_clean;
	c->req_clean = n == p->len && n < cfg.capture_bytes ? c->head_done : p->clean;
	c->first = 0;
	c->reported = 0;
	c->ahead = 0;
	count(PROBE_COUNT_STARTS);
	if (p->dir == DIR_RECV && c->family == CONN_TCP && tp) {
		__u32 unread = READ(trusted, tp, rcv_nxt) - READ(trusted, tp, copied_seq);

		__u64 arrived = c->peeked_ns ? c->peeked_ns : arrival_of(sk, tp, trusted);

		if (arrived && arrived < p->now_ns)
			c->start_ns = arrived;
		c->first = READ(trusted, tp, bytes_received) == (__u64)unread + p->len;
		if (!c->tx_off)
			c->tx_off = 1ULL << 32 | READ(trusted, tp, write_seq);
	}
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

/*
 * Bytes went out whose call has not returned yet: on another CPU the peer, and
 * a second thread of this process, can be faster than that return.
 */
static __always_inline bool sending_now(struct conn *c, struct tcp_sock *tp, const bool trusted)
{
	return c->family == CONN_TCP && tp && (__u32)c->tx_off != READ(trusted, tp, write_seq);
}

/* The head came in pieces: puts the n bytes in s->data behind the kept ones. */
static __always_inline void append_head(struct scratch *s, struct conn *c, struct piece *p, __u64 n)
{
	bool cut = n < p->len; /* what follows would not be contiguous */
	__u64 have = c->head_len;

	bound(have);
	if (have >= PROBE_HEAD_MAX)
		return;
	bound(n);
	if (n > PROBE_HEAD_MAX)
		return;
	/* Through the scratch: the verifier cannot bound have + n. */
	bpf_probe_read_kernel(s->gather, PROBE_HEAD_MAX, c->head);
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

/* The kept request goes out alone; what is in s->data takes its place. */
static __always_inline void replace_request(struct scratch *s, struct conn *c, struct sock *sk,
					    struct tcp_sock *tp, struct piece *p, __u64 n,
					    const bool trusted)
{
	bpf_probe_read_kernel(s->gather, PROBE_HEAD_MAX, s->data);
	s->rec.now_ns = p->now_ns;
	s->rec.resp_len = 0;
	s->rec.resp_off = s->rec.resp_end = p->dir == DIR_RECV ? c->tx_off : c->rx_off;
	emit(s, c, sk, PROBE_HAS_START);
	bpf_probe_read_kernel(c->head, PROBE_HEAD_MAX, s->gather);
	start_request(c, sk, tp, p, n, trusted);
}

/* Bytes in the direction of requests, on a connection whose role is known. */
static __always_inline void on_request_bytes(struct scratch *s, struct conn *c, struct sock *sk,
					     struct tcp_sock *tp, struct piece *p, __u64 n,
					     const bool begins, const bool trusted)
{
	if (c->phase == PHASE_RESPONSE) {
		if (!begins)
			return; /* the rest of a body whose answer came early */
		start_request(c, sk, tp, p, n, trusted);
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
	if (p->dir == DIR_RECV && begins && !c->ahead && sending_now(c, tp, trusted)) {
		/* The answer to the kept request is on its way: this is the next. */
		replace_request(s, c, sk, tp, p, n, trusted);
		c->ahead = 1;
		return;
	}
	if (c->head_done && n && is_surely_request(*(__u64 *)s->data, *(__u64 *)(s->data + 8), n)) {
		replace_request(s, c, sk, tp, p, n, trusted); /* pipelined */
		return;
	}
	if (c->head_done && c->req_clean && begins && n < SURE_LEN && !c->ahead) {
		/* A reader that takes the first byte of the next request early. */
		replace_request(s, c, sk, tp, p, n, trusted);
		c->ahead = 1;
		return;
	}
	if (!c->head_done)
		append_head(s, c, p, n);
	c->req_clean = p->clean;
}

/* A response begins with the n bytes in s->data. */
static __always_inline void begin_response(struct scratch *s, struct conn *c, struct sock *sk,
					   struct tcp_sock *tp, struct piece *p, __u64 n,
					   const bool trusted)
{
	bool tunnel = is_status_101(s->data, n), ahead = c->ahead;
	__u32 has = PROBE_HAS_STATUS;

	c->late_end = 0;
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
	tell(s, c, sk, p, n, has);
	c->phase = ahead ? PHASE_REQUEST : PHASE_RESPONSE;
	c->ahead = 0;
	c->answered = 1;
	c->pieces = 0;
	c->resp_kept = n;
	c->resp_last_ns = p->now_ns;
	if (tunnel) {
		count(PROBE_COUNT_TUNNELS);
		c->phase = PHASE_OVER;
	}
}

/* Bytes in the direction of responses, on a connection whose role is known. */
static __always_inline void on_response_bytes(struct scratch *s, struct conn *c, struct sock *sk,
					      struct tcp_sock *tp, struct piece *p, __u64 n,
					      const bool begins, const bool trusted)
{
	if (begins && (n >= 7 || c->phase == PHASE_REQUEST)) {
		begin_response(s, c, sk, tp, p, n, trusted);
		return;
	}
	if (c->phase == PHASE_REQUEST && p->call.kind == CALL_FILE)
		count(PROBE_DROP_NO_BUFFER); /* perhaps the head of the answer */
	if (c->phase == PHASE_REQUEST && !c->answered && n) {
		/* Not HTTP. If userspace knows the request it must hear of the end. */
		give_up(c, PROBE_DROP_NOT_ANSWER);
		if (c->reported)
			tell(s, c, sk, p, 0, PROBE_HAS_CLOSE);
		c->announced = 0;
		return;
	}
	/* A later piece: small heads are completed, else it is only counted. */
	if (n && c->resp_kept < cfg.capture_bytes && c->pieces < MAX_MORE) {
		/* It may hold the beginning of the next response, too. */
		tell(s, c, sk, p, n,
		     c->phase == PHASE_REQUEST ? PROBE_HAS_MORE | PROBE_HAS_START : PROBE_HAS_MORE);
		c->pieces++;
		c->resp_kept += n;
		c->resp_last_ns = p->now_ns;
		return;
	}
	c->resp_last_ns = p->now_ns;
	c->dirty = 1;
	if (c->is_unix) {
		/* No close is seen on Unix sockets, so nothing may wait for it. */
		p->off += p->len;
		p->len = 0;
		tell(s, c, sk, p, 0, PROBE_HAS_PROGRESS);
	}
}

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

/* Moves the stream offset of the piece's direction over it. */
static __always_inline void advance(struct conn *c, struct sock *sk, struct tcp_sock *tp,
				    struct piece *p, const bool trusted)
{
	__u64 *off = p->dir == DIR_RECV ? &c->rx_off : &c->tx_off;

	if (c->family == CONN_TCP && tp) {
		/* The low half of the offset is the kernel's sequence number. */
		__u32 seq =
			p->dir == DIR_RECV ? rx_seq(sk, tp, trusted) : READ(trusted, tp, write_seq);

		if (!*off)
			*off = (1ULL << 32 | seq) - p->len;
		*off += (__u32)(seq - (__u32)*off);
	} else {
		*off += p->len;
	}
	p->off = *off - p->len;
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

/* Puts the enums into BTF, for the generated Go names. */
const enum probe_count *unused_count __attribute__((unused));
const enum probe_has *unused_has __attribute__((unused));
const struct probe_record *unused_record __attribute__((unused));
const struct probe_conn *unused_conn __attribute__((unused));

char LICENSE[] SEC("license") = "Dual BSD/GPL";
