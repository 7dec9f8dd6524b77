/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Does a piece begin like an HTTP/1 message? Userspace decides what it really
 * is; here a wrong yes costs one record and a wrong no costs a request, so the
 * answer leans to yes.
 */
#ifndef PROBE_CLASSIFY_H
#define PROBE_CLASSIFY_H

#define PEEK_LEN 16
#define SURE_LEN 8 /* shorter pieces do not tell a request from a body */

#define CRLF_CRLF 0x0a0d0a0d

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

static __always_inline bool is_token_char(__u8 b)
{
	return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '-' || b == '_';
}

/*
 * Any method, in any case: letters, one space, then a target. Blank lines alone, as
 * some clients send behind a body, begin nothing. The first 16 bytes come as two
 * words so that the verifier checks this once (5.6).
 */
__noinline int looks_like_method(__u64 low, __u64 high, __u64 n)
{
	bool word = false;

	for (int i = 0; i < PEEK_LEN; i++) {
		__u8 b = low;

		if (i >= n)
			return word; /* too short to say no */
		low = low >> 8 | high << 56;
		high >>= 8;
		if (is_token_char(b)) {
			word = true;
			continue;
		}
		if (!word && (b == '\r' || b == '\n') && i < 4)
			continue; /* blank lines before a request are allowed */
		if (b != ' ' || !word)
			return 0;
		b = low;
		if (i + 1 >= n || i + 1 >= PEEK_LEN)
			return 1;
		return b == '/' || b == '*' || is_token_char(b) || (b >= '0' && b <= '9') ||
		       b == '[';
	}
	return 1; /* a very long method */
}

/* PROXY protocol v2: 12 fixed bytes (CRLF CRLF NUL CRLF QUIT LF) before the request. */
static __always_inline bool looks_like_proxy_v2(const __u8 *h, __u64 n)
{
	return n >= 12 && *(__u32 *)h == WORD('\r', '\n', '\r', '\n') &&
	       *(__u32 *)(h + 4) == WORD(0, '\r', '\n', 'Q') &&
	       *(__u32 *)(h + 8) == WORD('U', 'I', 'T', '\n');
}

/* h has PEEK_LEN readable bytes, n of them are of the piece. */
static __always_inline bool looks_like_request(const __u8 *h, __u64 n)
{
	__u32 w = *(__u32 *)h;

	if (n >= 8 && (w == WORD('G', 'E', 'T', ' ') || w == WORD('P', 'O', 'S', 'T') ||
		       w == WORD('H', 'E', 'A', 'D')))
		return true;
	if (!n || (n >= 4 && w == WORD('H', 'T', 'T', 'P')))
		return false;
	return looks_like_method(*(__u64 *)h, *(__u64 *)(h + 8), n) || looks_like_proxy_v2(h, n);
}

/* The first four bytes of the methods that almost all requests have. */
static __always_inline bool is_common_method(__u32 w)
{
	return w == WORD('G', 'E', 'T', ' ') || w == WORD('P', 'O', 'S', 'T') ||
	       w == WORD('H', 'E', 'A', 'D') || w == WORD('P', 'U', 'T', ' ') ||
	       w == WORD('D', 'E', 'L', 'E') || w == WORD('P', 'A', 'T', 'C') ||
	       w == WORD('O', 'P', 'T', 'I');
}

/*
 * Stricter, for a piece behind a request that still waits: it may be a body.
 * Capital letters, a space, and the beginning of a target.
 */
__noinline int is_surely_request(__u64 low, __u64 high, __u64 n)
{
	for (int i = 0; i < PEEK_LEN - 1; i++) {
		__u8 b = low;

		if (i + 1 >= n)
			return 0;
		low = low >> 8 | high << 56;
		high >>= 8;
		if (b >= 'A' && b <= 'Z')
			continue;
		return i >= 3 && b == ' ' &&
		       ((__u8)low == '/' || (__u8)low == '*' || (__u8)low == 'h');
	}
	return 0;
}

/* "HTTP/1." or as much of it as there is. */
static __always_inline bool looks_like_response(const __u8 *h, __u64 n)
{
	__u64 v = *(__u64 *)h & 0x00ffffffffffffffULL;
	__u64 want = 0x002e312f50545448ULL; /* "HTTP/1." */

	if (n >= 7)
		return v == want;
	if (!n)
		return false;
	want &= (1ULL << (8 * n)) - 1;
	v &= (1ULL << (8 * n)) - 1;
	return v == want;
}

static __always_inline bool looks_like_tls(const __u8 *h, __u64 n)
{
	return n >= 3 && h[0] >= 0x14 && h[0] <= 0x17 && h[1] == 3 && h[2] <= 4;
}

static __always_inline bool looks_like_http2(const __u8 *h, __u64 n)
{
	return n >= 8 && *(__u32 *)h == WORD('P', 'R', 'I', ' ') &&
	       *(__u32 *)(h + 4) == WORD('*', ' ', 'H', 'T');
}

/* The n bytes are the whole piece and end like a head: nothing to append. */
static __always_inline bool ends_head(const __u8 *h, struct piece *p, __u64 n)
{
	if (n >= cfg.capture_bytes)
		return true;
	if (n != p->len)
		return false;
	/* One limit at a time: of both at once older verifiers see only n - 4. */
	bound(n);
	if (n > PROBE_HEAD_MAX)
		return false;
	bound(n);
	return n >= 4 && *(__u32 *)(h + n - 4) == CRLF_CRLF;
}

/* Status code "101" of a response head. */
static __always_inline bool is_status_101(const __u8 *h, __u64 n)
{
	return n >= 12 && h[9] == '1' && h[10] == '0' && h[11] == '1';
}

#endif
