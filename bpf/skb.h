/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading what a call moved out of the kernel's own copy, which TCP still holds:
 * of what was read until the read returns, of what was sent until the peer
 * acknowledges it. That takes loads only. A read of user memory is a call, which
 * asks whether it may, opens and closes the way to user memory, and needs the
 * saved registers first; together 100 ns and more (docs/adr/0009).
 *
 * Only for the usual case: a whole short message in one piece, on a connection
 * that is known to be HTTP. Everything else is read from user memory (user_buf.h).
 * amd64 only, which keeps the order of loads. Kernel 6.2 (bpf_rdonly_cast).
 */
#ifndef PROBE_SKB_H
#define PROBE_SKB_H

/*
 * What the page with the struct page at p holds is at p * PAGES_SCALE + pages_at:
 * both the memory map and the mapping of all memory are linear. 0: not known, or
 * not to be used. Found out by userspace, which sets it.
 */
__u64 pages_at;

#define PAGE_BYTES        4096
#define STRUCT_PAGE_BYTES 64 /* of kernels that are not built for debugging */
#define PAGES_SCALE       (PAGE_BYTES / STRUCT_PAGE_BYTES)

#define NET_IOV 1 /* include/net/netmem.h: set where a fragment is no page */

/* One try of userspace: where the data that it sent to itself would be. */
struct pages_try pages;

static __always_inline struct skb_shared_info *skb_shared(struct sk_buff *skb)
{
	return bpf_rdonly_cast((void *)((__u64)skb->head + skb->end),
			       bpf_core_type_id_kernel(struct skb_shared_info));
}

static __always_inline struct tcp_skb_cb *skb_cb(struct sk_buff *skb)
{
	return bpf_rdonly_cast(skb->cb, bpf_core_type_id_kernel(struct tcp_skb_cb));
}

/* The first fragment. Before 6.9 (commit 21d2e6737c97) it is a bio_vec. */
struct fragment {
	__u64 page;
	__u32 len;
	__u32 offset;
};

static __always_inline void first_fragment(struct skb_shared_info *shared, struct fragment *f)
{
	if (bpf_core_field_exists(struct skb_frag, netmem)) {
		f->page = shared->frags[0].netmem;
		f->len = shared->frags[0].len;
		f->offset = shared->frags[0].offset;
	} else {
		struct skb_shared_info___old *old = (struct skb_shared_info___old *)shared;
		__u64 page = 0; /* of its own: one word of stack, not the whole fragment */

		/* A pointer there, with which the verifier lets nobody compute. */
		bpf_probe_read_kernel(&page, sizeof(page), &old->frags[0].bv_page);
		f->page = page;
		f->len = old->frags[0].bv_len;
		f->offset = old->frags[0].bv_offset;
	}
}

/* Where the first n bytes of the data are, or 0. */
static __always_inline __u64 skb_bytes(struct sk_buff *skb, __u32 n)
{
	__u32 linear = skb->len - skb->data_len;
	struct skb_shared_info *shared;
	struct fragment f = {};

	if (linear >= n)
		return (__u64)skb->data;
	if (linear)
		return 0;
	shared = skb_shared(skb);
	first_fragment(shared, &f);
	if (!shared->nr_frags || f.len < n || f.page & NET_IOV)
		return 0;
	return f.page * PAGES_SCALE + pages_at + f.offset;
}

/* STEP bytes anywhere in the kernel: this type has only numbers of 8 bytes. */
static __always_inline struct rtnl_link_stats64 *words_at(__u64 at)
{
	return bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct rtnl_link_stats64));
}

/* As put_head, from anywhere in the kernel. */
static __always_inline void copy_words(void *to, __u64 from, __u32 n)
{
	for (__u32 i = 0; i < PROBE_HEAD_MAX; i += STEP) {
		const __u64 *w = (const __u64 *)words_at(from + i);

#pragma unroll
		for (int j = 0; j < STEP / (int)sizeof(*w); j++)
			((volatile __u64 *)(to + i))[j] = w[j];
		if (n <= i + STEP)
			break;
	}
}

#if defined(__TARGET_ARCH_x86)

/* Does a read that begins so help to know, as most do? Others go the long way. */
static __always_inline bool is_usual(__u32 w)
{
	return (cfg.want_client && w == WORD('H', 'T', 'T', 'P')) ||
	       (cfg.want_server && is_common_method(w));
}

/* Asking whether the connection is observed costs more than the copy; but processes
 * that are not wanted are left alone (docs/privacy.md). */
static __always_inline bool may_keep(struct sock *sk)
{
	struct conn *c;

	if (!cfg.judge && !cfg.pids_len && !cfg.comms_len)
		return true;
	c = bpf_sk_storage_get(&http_conns, sk, 0, 0);
	return c && (c->phase == PHASE_REQUEST || c->phase == PHASE_RESPONSE);
}

/* Inside a read, after the copy to the user and before the skb goes: keeps it. */
static __always_inline void arrival_keep(struct arrival *a, struct sock *sk, struct tcp_sock *tp)
{
	struct sk_buff *skb = sk->sk_receive_queue.next;
	__u32 first, n;
	__u64 from;

	a->len = 0;
	if (!pages_at || !bpf_rdonly_cast || (void *)skb == (void *)&sk->sk_receive_queue)
		return;
	first = skb_cb(skb)->seq;
	n = tp->copied_seq - first;
	if (!n || n > PROBE_HEAD_MAX)
		return;
	from = skb_bytes(skb, n);
	if (!from || !is_usual(*(const __u64 *)words_at(from)) || !may_keep(sk))
		return;
	copy_words(a->data, from, n);
	a->first = first;
	a->len = n;
}

/* After the read: what it has read, all of it. */
static __always_inline bool copy_of_read(struct sock *sk, struct piece *p, void *to)
{
	struct arrival *a = arrival_slot();

	if (!a || a->sock != (__u64)sk || a->len != p->len || a->first != (__u32)p->off)
		return false;
	put_head(to, a->data, p->len);
	return true;
}

/*
 * After a write: what it has sent. The lock of the socket is free again, so the skb
 * may go at any time, by an acknowledgement. That moves snd_una first: if it has
 * not moved when the copy is made, the skb was there all the time. With an older
 * one before it in the tree its data could move there, so there must be none.
 */
static __always_inline bool copy_of_write(struct sock *sk, struct tcp_sock *tp, struct piece *p,
					  void *to)
{
	struct rb_node *root;
	struct sk_buff *skb;
	__u64 from;

	if (!pages_at || !bpf_rdonly_cast)
		return false;
	root = sk->tcp_rtx_queue.rb_node;
	skb = bpf_rdonly_cast(root, bpf_core_type_id_kernel(struct sk_buff));
	if (!root || root->rb_left || skb_cb(skb)->seq != (__u32)p->off)
		return false;
	from = skb_bytes(skb, p->len);
	if (!from)
		return false;
	copy_words(to, from, p->len);
	forget();
	return *(volatile __u32 *)&tp->snd_una == (__u32)p->off;
}

/* Of many messages that one call moves each must be counted (mmsg_entry). */
static __always_inline bool call_moves_many(struct task_struct *task, struct piece *p)
{
	__u64 nr = call_number(regs_of(task, &p->call));

	return nr == NR_sendmmsg || nr == NR_recvmmsg;
}

/*
 * A short piece that should be the beginning of a request or a response: gets all
 * of it, to where piece_look wants it. False: not there.
 */
static __always_inline bool piece_from_skb(struct scratch *s, struct conn *c, struct sock *sk,
					   struct tcp_sock *tp, struct task_struct *task,
					   struct piece *p)
{
	void *to = p->in_place ? c->head : s->data;

	if (p->unknown || !tp || c->family != CONN_TCP || p->len >= cfg.capture_bytes)
		return false;
	if (!p->in_place && (p->to_server || c->phase != PHASE_REQUEST))
		return false;
	if (p->dir == DIR_RECV ? !copy_of_read(sk, p, to) : !copy_of_write(sk, tp, p, to))
		return false;
	if (call_moves_many(task, p))
		return false;
	p->got = p->len;
	return true;
}

#else

static __always_inline void arrival_keep(struct arrival *a, struct sock *sk, struct tcp_sock *tp)
{
}

static __always_inline bool piece_from_skb(struct scratch *s, struct conn *c, struct sock *sk,
					   struct tcp_sock *tp, struct task_struct *task,
					   struct piece *p)
{
	return false;
}

#endif

#endif
