/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reading what a call moved, out of the memory of the calling task.
 *
 * The socket tracepoints do not carry the buffer; the saved registers of the
 * task do. Cost: 30-50 ns for a flat buffer, 20 ns more per iovec.
 */
#ifndef PROBE_USER_BUF_H
#define PROBE_USER_BUF_H

#define MAX_IOVECS 64
#define MAX_MORE   32 /* records that complete the head of one response */

static __always_inline void piece_init(struct piece *p, __u32 len, __u8 dir)
{
	p->len = len;
	p->dir = dir;
	p->located = 0;
	p->clean = 0;
	p->iovecs = 0;
	p->head_only = 0;
	p->discarded = 0;
}

/*
 * sendmmsg and recvmmsg fire once per message with the registers of the whole
 * call. The position is remembered in the connection and believed only when
 * the kernel has written the length of the message before into the array.
 */
static __always_inline __u64 mmsg_entry(struct conn *c, struct piece *p)
{
	struct user_mmsghdr prev;
	__u32 i = 0;

	if (c->mmsg_next && c->mmsg_array == p->call.arg1) {
		__u64 at = p->call.arg1 + (__u64)(c->mmsg_next - 1) * sizeof(prev);

		if (!bpf_probe_read_user(&prev, sizeof(prev), (void *)at) &&
		    prev.len == c->mmsg_len)
			i = c->mmsg_next;
	}
	c->mmsg_array = p->call.arg1;
	c->mmsg_len = p->len;
	c->mmsg_next = i + 1 < (__u32)p->call.arg2 ? i + 1 : 0;
	return p->call.arg1 + (__u64)i * sizeof(prev);
}

/* False where user memory cannot hold them, which is no reason to complain (again). */
static __always_inline bool has_bytes(struct piece *p)
{
	return p->call.kind != CALL_FILE && p->call.kind != CALL_COMPAT &&
	       p->call.kind != CALL_UNSEEN;
}

static __always_inline bool unseen(struct piece *p, enum probe_count why)
{
	p->call.kind = CALL_UNSEEN;
	count(why);
	return false;
}

/*
 * Finds where the bytes lie; false (and counted) where user memory has none.
 *
 * Noinline, as others that need room on the stack: of that of the program itself the
 * verifier keeps a copy per state, 10 MB for a few words more (verified_test.go).
 */
static __noinline bool piece_locate(struct conn *c, struct piece *p)
{
	struct user_msghdr msg;
	__u64 at;

	if (p->located)
		return true;
	p->base = p->call.arg1;
	p->iovecs = 0;
	switch (p->call.kind) {
	case CALL_BUF:
		break;
	case CALL_IOV:
		p->iovecs = (__u32)p->call.arg2;
		break;
	case CALL_MSG:
	case CALL_MMSG:
		at = p->call.kind == CALL_MSG ? p->call.arg1 : mmsg_entry(c, p);
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)at))
			return unseen(p, PROBE_DROP_UNREADABLE);
		p->base = msg.iov;
		p->iovecs = (__u32)msg.iovlen;
		break;
	case CALL_URING:
		return unseen(p, PROBE_DROP_IO_URING);
	default:
		return unseen(p, PROBE_DROP_NO_BUFFER);
	}
	p->located = 1;
	return true;
}

/*
 * Copies want bytes (at most PROBE_HEAD_MAX) from position from of an iovec
 * array into the gather part of scratch slot 0, across at most MAX_IOVECS
 * iovecs. Returns how many it got.
 *
 * Global, with scalars only: the verifier checks it once instead of once per
 * path that leads here (kernel 5.6; pointers to structs would need 5.12).
 */
__noinline __u64 gather_iovecs(__u64 base, __u64 iovecs, __u64 from, __u64 want)
{
	struct user_iovec v = {};
	__u64 pos = 0, got = 0;
	struct scratch *s = scratch(SCRATCH_IO);

	if (!s)
		return 0;
	for (int i = 0; i < MAX_IOVECS; i++) {
		__u64 skip, n;

		if (i >= iovecs || got >= want)
			break;
		if (bpf_probe_read_user(&v, sizeof(v), (void *)(base + i * sizeof(v))))
			break;
		if (pos + v.len > from) {
			skip = pos < from ? from - pos : 0;
			n = v.len - skip;
			if (n > want - got)
				n = want - got;
			bound(n);
			if (n > PROBE_HEAD_MAX)
				break;
			bound(got);
			if (got > PROBE_HEAD_MAX)
				break;
			if (bpf_probe_read_user(s->gather + got, n, (void *)(v.base + skip)))
				break;
			got += n;
		}
		pos += v.len;
	}
	return got;
}

/* Flat buffer: copies want bytes to dst, which has room for PROBE_HEAD_MAX. */
static __always_inline __u64 read_flat(struct piece *p, void *dst, __u64 want)
{
	__u64 n = p->len < want ? p->len : want;

	bound(n);
	if (n > PROBE_HEAD_MAX)
		n = PROBE_HEAD_MAX;
	if (bpf_probe_read_user(dst, n, (void *)p->base)) {
		count(PROBE_DROP_UNREADABLE);
		return 0;
	}
	return n;
}

/*
 * The bytes read so far are all of the first of two iovecs. Are they the head of a
 * response whose body is the second? Where the head tells its length is learned
 * from the answers before, but for the first: most connections have no second.
 */
static __always_inline bool body_follows(struct scratch *s, struct conn *c, struct piece *p,
					 struct user_iovec *v)
{
	__u64 got = p->got, at;

	if (p->unknown || p->to_server || !c->answered || p->iovecs != 2 || got != v[0].len ||
	    got + v[1].len != p->len)
		return false;
	/* One limit at a time: of both at once older verifiers see but one. */
	bound(got);
	if (got > PROBE_HEAD_MAX)
		return false;
	bound(got);
	if (got < 16 || *(__u32 *)(s->data + got - 4) != CRLF_CRLF)
		return false;
	/* A length of what does not follow; what does is another response. */
	if (*(__u32 *)c->head == WORD('H', 'E', 'A', 'D') || s->data[9] == '3')
		return false;
	if (tells_length(s->data, got, c->length_at, v[1].len))
		return true;
	if (c->length_looks < LENGTH_LOOKS) {
		c->length_looks++;
		at = find_length_line(got);
		if (at)
			c->length_at = at;
	}
	return false;
}

/*
 * Iovecs: copies the first want bytes of the piece to s->data. The usual two
 * (head and body) take three reads, or two; more of them go the long way.
 */
static __noinline __u64 read_iovecs(struct scratch *s, struct conn *c, struct piece *p, __u64 want)
{
	__u64 n = p->len < want ? p->len : want, got, more;
	struct user_iovec v[2] = {};
	__u64 size = p->iovecs > 1 ? sizeof(v) : sizeof(v[0]);

	if (n > PROBE_HEAD_MAX)
		n = PROBE_HEAD_MAX;
	if (bpf_probe_read_user(v, size, (void *)p->base))
		goto unreadable;
	got = v[0].len < n ? v[0].len : n;
	p->got = got; /* a register that is spilled loses its limits before 5.13 */
	bound(got);
	if (got > PROBE_HEAD_MAX)
		return 0;
	if (bpf_probe_read_user(s->data, got, (void *)v[0].base))
		goto unreadable;
	forget();
	if (p->got == n)
		return n;
	p->head_only = body_follows(s, c, p, v);
	forget();
	got = p->got;
	if (p->head_only || got > n)
		return got;
	more = n - got;
	bound(got);
	if (got > PROBE_HEAD_MAX)
		return 0;
	if (v[1].len >= more) {
		bound(more);
		if (more > PROBE_HEAD_MAX)
			return got;
		if (bpf_probe_read_user(s->data + got, more, (void *)v[1].base))
			goto unreadable;
		return n;
	}
	got = gather_iovecs(p->base, p->iovecs, 0, n);
	if (got < n)
		count(PROBE_DROP_IOVECS);
	bound(got);
	if (got > PROBE_HEAD_MAX)
		return 0;
	bpf_probe_read_kernel(s->data, got, s->gather);
	return got;
unreadable:
	count(PROBE_DROP_UNREADABLE);
	return 0;
}

/* Do the last bytes of the piece end a head or a chunked body? */
static __always_inline bool ends_clean(struct piece *p)
{
	__u32 end = 0;

	if (!p->located || p->iovecs || p->len < sizeof(end))
		return false;
	bpf_probe_read_user(&end, sizeof(end), (void *)(p->base + p->len - sizeof(end)));
	return end == CRLF_CRLF;
}

/*
 * Slides the last 8 bytes of the response stream into c->tail: an end of a
 * chunked body is recognised there. One read of user memory per later write.
 */
static __noinline int tail_slide(struct conn *c, struct scratch *s, struct piece *p)
{
	__u8 win[16] = {};
	__u64 n = p->len < 8 ? p->len : 8;
	__u64 got;

	if (!has_bytes(p) || !piece_locate(c, p)) {
		c->tail_len = 0;
		return 0;
	}
	if (p->iovecs) {
		got = gather_iovecs(p->base, p->iovecs, p->len - n, n);
		if (got != n) {
			c->tail_len = 0;
			return 0;
		}
		__builtin_memcpy(win + 8, s->gather, 8);
	} else {
		bound(n);
		if (n > 8)
			return 0;
		if (bpf_probe_read_user(win + 8, n, (void *)(p->base + p->len - n))) {
			c->tail_len = 0;
			return 0;
		}
	}
	if (n == 8) {
		__builtin_memcpy(c->tail, win + 8, 8);
		c->tail_len = 8;
		return 0;
	}
	/* Fewer than 8 new bytes: keep the end of the old ones before them. */
	__builtin_memcpy(win, c->tail, 8);
	n &= 7;
	bpf_probe_read_kernel(c->tail, 8, win + n);
	c->tail_len = c->tail_len + n > 8 ? 8 : c->tail_len + n;
	return 0;
}

#endif
