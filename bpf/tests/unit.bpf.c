// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//go:build ignore

/*
 * The logic of the kernel side, run by itself. Kernel 5.14 (syscall programs).
 *
 * Each program takes a struct as its context, calls one function of the
 * production sources and puts the result into the same struct. Larger things
 * (a connection, bytes, a TCP socket) lie in the array maps below. User memory
 * is that of the process that runs the program.
 */

/* Their guards keep out what only hooks; entry_syscall.h has more than that. */
#define PROBE_ENTRY_SOCKET_H
#define PROBE_SWEEP_H
#define PROBE_SCHED_H
#define PROBE_WAKING_H
#define PROBE_MEMORY_H
#include "../http.bpf.c"

/* More than the largest offset of a member read of struct tcp_sock. */
#define UNIT_TCP_SIZE 8192

/* Limits of the sources that the tests must reach. */
enum unit_limit {
	UNIT_MAX_IOVECS = MAX_IOVECS,
	UNIT_MAX_MORE = MAX_MORE,
};

struct unit_bytes {
	__u8 data[2 * PROBE_HEAD_MAX];
};

struct unit_tcp {
	__u8 memory[UNIT_TCP_SIZE];
};

/* The connection that the programs work on. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn);
} unit_conns SEC(".maps");

/* What a program has copied. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unit_bytes);
} unit_bytes SEC(".maps");

/* Memory that plays struct tcp_sock, laid out as on the running kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unit_tcp);
} unit_tcps SEC(".maps");

/* A thread that waits (0) and the one that wakes it (1). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct thread_time);
} unit_threads SEC(".maps");

/* In: the first bytes of a piece, n of them valid. */
struct classify_ctx {
	__u64 low;
	__u64 high;
	__u32 n;
	__u8 request;
	__u8 method;
	__u8 response;
	__u8 tls;
	__u8 http2;
	__u8 proxy_v2;
	__u8 status_101;
	__u8 chunk;
	__u8 pad[4];
	__u64 len; /* of the whole piece, for chunk */
};

SEC("syscall")
int unit_classify(struct classify_ctx *ctx)
{
	struct scratch *s = scratch(0);
	__u32 n = ctx->n;

	if (!s)
		return 1;
	*(__u64 *)s->data = ctx->low;
	*(__u64 *)(s->data + 8) = ctx->high;
	ctx->request = looks_like_request(s->data, n);
	ctx->method = looks_like_method(*(__u64 *)s->data, *(__u64 *)(s->data + 8), n);
	ctx->response = looks_like_response(s->data, n);
	ctx->tls = looks_like_tls(s->data, n);
	ctx->http2 = looks_like_http2(s->data, n);
	ctx->proxy_v2 = looks_like_proxy_v2(s->data, n);
	ctx->status_101 = is_status_101(s->data, n);
	ctx->chunk = is_whole_chunk(ctx->low, ctx->high, ctx->len);
	return 0;
}

/* In: n captured bytes at user, of a piece of piece_len. */
struct ends_head_ctx {
	__u64 user;
	__u32 n;
	__u32 piece_len;
	__u32 ends;
	__u32 pad;
};

SEC("syscall")
int unit_ends_head(struct ends_head_ctx *ctx)
{
	struct scratch *s = scratch(0);
	struct piece p = {};
	__u64 n = ctx->n;

	bound(n);
	if (!s || n > PROBE_HEAD_MAX)
		return 1;
	if (bpf_probe_read_user(s->data, n, (void *)ctx->user))
		return 2;
	p.len = ctx->piece_len;
	ctx->ends = ends_head(s->data, &p, n);
	return 0;
}

/* In: an iovec array in user memory. Out: how many bytes are in unit_bytes. */
struct gather_ctx {
	__u64 base;
	__u64 iovecs;
	__u64 from;
	__u64 want;
	__u64 got;
};

SEC("syscall")
int unit_gather(struct gather_ctx *ctx)
{
	struct scratch *s = scratch(0);
	struct unit_bytes *out;
	__u32 zero = 0;

	out = bpf_map_lookup_elem(&unit_bytes, &zero);
	if (!s || !out)
		return 1;
	ctx->got = gather_iovecs(ctx->base, ctx->iovecs, ctx->from, ctx->want);
	bpf_probe_read_kernel(out->data, PROBE_HEAD_MAX, s->gather);
	return 0;
}

/* One call that moved len bytes on the connection in unit_conns. */
struct call_ctx {
	__u64 arg1;
	__u64 arg2;
	__u64 arg3;
	__u64 now_ns;
	__u64 want;
	__u64 got;
	__u32 len;
	__u8 kind; /* enum call_kind */
	__u8 dir;  /* enum direction */
	__u8 pad[2];
};

static __always_inline void unit_piece(struct call_ctx *ctx, struct piece *p)
{
	p->call.arg1 = ctx->arg1;
	p->call.arg2 = ctx->arg2;
	p->call.arg3 = ctx->arg3;
	p->call.kind = ctx->kind;
	p->now_ns = ctx->now_ns;
	p->len = ctx->len;
	p->dir = ctx->dir;
}

SEC("syscall")
int unit_piece_read(struct call_ctx *ctx)
{
	struct scratch *s = scratch(0);
	struct unit_bytes *out;
	struct piece p = {};
	struct conn *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&unit_conns, &zero);
	out = bpf_map_lookup_elem(&unit_bytes, &zero);
	if (!s || !c || !out)
		return 1;
	unit_piece(ctx, &p);
	if (!piece_locate(c, &p))
		return 0;
	ctx->got = p.iovecs ? read_iovecs(s, c, &p, ctx->want) : read_flat(&p, s->data, ctx->want);
	bpf_probe_read_kernel(out->data, PROBE_HEAD_MAX, s->data);
	return 0;
}

SEC("syscall")
int unit_tail_slide(struct call_ctx *ctx)
{
	struct scratch *s = scratch(0);
	struct piece p = {};
	struct conn *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&unit_conns, &zero);
	if (!s || !c)
		return 1;
	unit_piece(ctx, &p);
	tail_slide(c, s, &p);
	return 0;
}

/* The whole body of an entry, on a connection that is not TCP. */
SEC("syscall")
int unit_on_piece(struct call_ctx *ctx)
{
	struct scratch *s = scratch(0);
	struct piece *p;
	struct conn *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&unit_conns, &zero);
	if (!s || !c)
		return 1;
	p = &s->piece; /* where the entries have it, and the verifier forgets it */
	__builtin_memset(p, 0, sizeof(*p));
	unit_piece(ctx, p);
	if (c->phase == PHASE_OVER)
		return 0; /* as the entries do */
	/* The address is only read from, and reads of address 1 give zeros. */
	on_piece(s, c, (struct sock *)1, NULL, NULL, p, false);
	return 0;
}

/* In: a move of len bytes and the sequence numbers after it. */
struct advance_ctx {
	__u64 rx_off;
	__u64 tx_off;
	__u64 piece_off;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 len;
	__u8 dir;
	__u8 family; /* enum conn_family */
	__u8 done;   /* the end of the stream was read */
	__u8 pad[5];
};

SEC("syscall")
int unit_advance(struct advance_ctx *ctx)
{
	struct piece p = {};
	struct unit_tcp *tcp;
	struct conn *c;
	__u32 zero = 0;

	c = bpf_map_lookup_elem(&unit_conns, &zero);
	tcp = bpf_map_lookup_elem(&unit_tcps, &zero);
	if (!c || !tcp)
		return 1;
	*(__u32 *)(tcp->memory + bpf_core_field_offset(struct tcp_sock, copied_seq)) =
		ctx->copied_seq;
	*(__u32 *)(tcp->memory + bpf_core_field_offset(struct tcp_sock, write_seq)) =
		ctx->write_seq;
	*(__u32 *)(tcp->memory + bpf_core_field_offset(struct tcp_sock, rcv_nxt)) = ctx->rcv_nxt;
	*(__u64 *)(tcp->memory + bpf_core_field_offset(struct sock, __sk_common.skc_flags)) =
		ctx->done ? 1UL << SOCK_DONE : 0;
	c->family = ctx->family;
	c->rx_off = ctx->rx_off;
	c->tx_off = ctx->tx_off;
	p.len = ctx->len;
	p.dir = ctx->dir;
	/* A TCP socket begins with its struct sock. */
	advance(c, (struct sock *)tcp->memory, (struct tcp_sock *)tcp->memory, &p, false);
	ctx->rx_off = c->rx_off;
	ctx->tx_off = c->tx_off;
	ctx->piece_off = p.off;
	return 0;
}

/* In: a system call. Out: how the system-call entry understands it. */
struct number_ctx {
	__u64 nr;
	__u64 arg1;
	__u64 arg2;
	__u64 arg3;
	__u32 messages; /* result of sendmmsg, recvmmsg */
	__u32 bytes;
	__u32 flags; /* of a receive */
	__u8 kind;   /* enum call_kind */
	__u8 send;
	__u8 pad[2];
};

SEC("syscall")
int unit_number(struct number_ctx *ctx)
{
	struct call call = {};

	call.arg1 = ctx->arg1;
	call.arg2 = ctx->arg2;
	call.arg3 = ctx->arg3;
	call_classify(ctx->nr, &call);
	ctx->kind = call.kind;
	ctx->send = call.send;
	ctx->flags = call_flags(&call, ctx->nr);
	if (call.kind == CALL_MMSG)
		ctx->bytes = mmsg_bytes(&call, ctx->messages);
	return 0;
}

/* In: a run-queue delay. Out: where it is counted. */
struct delay_ctx {
	__u64 ns;
	__u64 bucket;
};

SEC("syscall")
int unit_delay(struct delay_ctx *ctx)
{
	ctx->bucket = delay_bucket(ctx->ns);
	return 0;
}

/* In: the time of a wake-up between the two threads, and which function. */
struct lead_ctx {
	__u64 now_ns;
	__u8 book; /* book_helper, else lead_from */
	__u8 leads;
	__u8 pad[6];
};

SEC("syscall")
int unit_lead(struct lead_ctx *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 zero = 0, one = 1;
	struct thread_time *sleeper = bpf_map_lookup_elem(&unit_threads, &zero);
	struct thread_time *waker = bpf_map_lookup_elem(&unit_threads, &one);

	if (!sleeper || !waker)
		return 1;
	if (ctx->book)
		book_helper(sleeper, waker, ctx->now_ns);
	else
		ctx->leads = lead_from(waker, task, &sleeper->lead);
	return 0;
}

/* Who had the CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stints);
} unit_stints SEC(".maps");

/* In: a wait of thread 0. */
struct wait_ctx {
	__u64 start;
	__u64 end;
};

SEC("syscall")
int unit_pushers(struct wait_ctx *ctx)
{
	__u32 zero = 0;
	struct thread_time *t = bpf_map_lookup_elem(&unit_threads, &zero);
	struct stints *s = bpf_map_lookup_elem(&unit_stints, &zero);

	if (!t || !s)
		return 1;
	note_pushers(t, s, ctx->start, ctx->end);
	return 0;
}

/* In: an skb of len bytes, data_len of them in fragments. Out: where n bytes are. */
struct skb_ctx {
	__u64 netmem; /* the first fragment */
	__u64 pages_at;
	__u64 at;   /* 0: nowhere; else from the linear data, if that is where */
	__u64 data; /* out: the linear data */
	__u32 frag_len;
	__u32 frag_offset;
	__u32 len;
	__u32 data_len;
	__u32 n;
	__u8 nr_frags;
	__u8 pad[3];
};

#define UNIT_SKB_HEAD 1024 /* in unit_tcp: behind struct sk_buff */
#define UNIT_SKB_END  512

SEC("syscall")
int unit_skb(struct skb_ctx *ctx)
{
	struct unit_tcp *tcp;
	__u8 *skb, *shared, *frag;
	__u32 zero = 0;

	tcp = bpf_map_lookup_elem(&unit_tcps, &zero);
	if (!tcp || !bpf_rdonly_cast || !bpf_core_field_exists(struct skb_frag, netmem))
		return 1;
	skb = tcp->memory;
	*(__u32 *)(skb + bpf_core_field_offset(struct sk_buff, len)) = ctx->len;
	*(__u32 *)(skb + bpf_core_field_offset(struct sk_buff, data_len)) = ctx->data_len;
	*(__u32 *)(skb + bpf_core_field_offset(struct sk_buff, end)) = UNIT_SKB_END;
	*(void **)(skb + bpf_core_field_offset(struct sk_buff, head)) = skb + UNIT_SKB_HEAD;
	*(void **)(skb + bpf_core_field_offset(struct sk_buff, data)) = skb + UNIT_SKB_HEAD + 64;
	ctx->data = *(__u64 *)(skb + bpf_core_field_offset(struct sk_buff, data));
	shared = skb + UNIT_SKB_HEAD + UNIT_SKB_END;
	*(shared + bpf_core_field_offset(struct skb_shared_info, nr_frags)) = ctx->nr_frags;
	frag = shared + bpf_core_field_offset(struct skb_shared_info, frags);
	*(__u64 *)(frag + bpf_core_field_offset(struct skb_frag, netmem)) = ctx->netmem;
	*(__u32 *)(frag + bpf_core_field_offset(struct skb_frag, len)) = ctx->frag_len;
	*(__u32 *)(frag + bpf_core_field_offset(struct skb_frag, offset)) = ctx->frag_offset;
	pages_at = ctx->pages_at;
	ctx->at = skb_bytes(bpf_rdonly_cast(skb, bpf_core_type_id_kernel(struct sk_buff)), ctx->n);
	return 0;
}

/* In: n bytes at the beginning of unit_tcp. Out: them, in unit_bytes. */
struct words_ctx {
	__u32 n;
	__u32 known; /* the verifier knows the memory (put_head) */
};

SEC("syscall")
int unit_words(struct words_ctx *ctx)
{
	struct unit_bytes *out;
	struct unit_tcp *tcp;
	__u32 zero = 0;

	tcp = bpf_map_lookup_elem(&unit_tcps, &zero);
	out = bpf_map_lookup_elem(&unit_bytes, &zero);
	if (!tcp || !out || !bpf_rdonly_cast)
		return 1;
	if (ctx->known)
		put_head(out->data, tcp->memory, ctx->n);
	else
		copy_words(out->data, (__u64)tcp->memory, ctx->n);
	return 0;
}

/* Puts the enums into BTF, for the generated Go names. */
const enum call_kind *unused_kind __attribute__((unused));
const enum conn_phase *unused_phase __attribute__((unused));
const enum conn_family *unused_family __attribute__((unused));
const enum direction *unused_direction __attribute__((unused));
const enum probe_role *unused_role __attribute__((unused));
const enum unit_limit *unused_limit __attribute__((unused));
