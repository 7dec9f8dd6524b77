/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Is a write one response and nothing else? Where its head says that as many bytes
 * follow as the write has, they are the body, and need not be read: userspace has
 * no use for them. A read of user memory costs 70 ns and more, this about 20.
 */
#ifndef PROBE_LENGTH_H
#define PROBE_LENGTH_H

#define LENGTH_DIGITS 10
#define LENGTH_LOOKS  4 /* for a header that has moved, per connection */

#define CASE_BITS 0x2020202020202020ULL
#define CONTEN    0x6e65746e6f63ULL     /* "conten" */
#define T_LENGTH  0x6874676e656c2d74ULL /* "t-length" */

/* Does a line "Content-Length: " begin at h, in any case? */
static __always_inline bool is_length_line(const __u8 *h)
{
	__u64 low = *(__u64 *)h, high = *(__u64 *)(h + 8);

	return (__u16)low == 0x0a0d && ((low | CASE_BITS) >> 16) == CONTEN &&
	       (high | CASE_BITS) == T_LENGTH && *(__u16 *)(h + 16) == (':' | ' ' << 8);
}

#define LENGTH_LINE 18 /* bytes up to its value */

/* Does the value at h say so? */
static __always_inline bool is_length(const __u8 *h, __u64 length)
{
	__u64 value = 0;

	for (int i = 0; i < LENGTH_DIGITS; i++) {
		__u8 digit = h[i] - '0';

		if (digit > 9)
			return i && h[i] == '\r' && value == length;
		value = value * 10 + digit;
	}
	return false;
}

/* Does the head h of n bytes say at this place that length bytes follow? */
static __always_inline bool tells_length(const __u8 *h, __u64 n, __u64 at, __u64 length)
{
	/* Behind the head is what an earlier one has left. */
	if (!at || at > PROBE_HEAD_MAX || at + LENGTH_LINE >= n)
		return false;
	return is_length_line(h + at) && is_length(h + at + LENGTH_LINE, length);
}

/*
 * Where that line is in the head of n bytes in scratch slot 0, or 0.
 *
 * Global, with scalars only: the verifier checks it once (kernel 5.6).
 */
__noinline __u64 find_length_line(__u64 n)
{
	struct scratch *s = scratch(SCRATCH_IO);

	if (!s)
		return 0;
	for (__u64 i = 12; i < PROBE_HEAD_MAX; i++) {
		if (i >= n)
			return 0;
		if (is_length_line(s->data + i))
			return i;
	}
	return 0;
}

#endif
