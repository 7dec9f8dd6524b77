/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Is a write one chunk and nothing else? Servers that stream write so. What its data
 * ends with may look like the end of the body, which it is not.
 */
#ifndef PROBE_CHUNK_H
#define PROBE_CHUNK_H

#define CHUNK_DIGITS 8

/*
 * A piece of len bytes, the first 16 in two words: a size in hex digits, a line end,
 * as many bytes as the size says, and a line end. Not the last chunk, which is empty.
 *
 * Global, with scalars only: the verifier checks it once (kernel 5.6).
 */
__noinline int is_whole_chunk(__u64 low, __u64 high, __u64 len)
{
	__u64 size = 0;

	for (int i = 0; i <= CHUNK_DIGITS; i++) {
		__u8 b = low, digit = b - '0', letter = (b | 0x20) - 'a';

		low = low >> 8 | high << 56;
		high >>= 8;
		if (b == '\r')
			return size && (__u8)low == '\n' && size + i + 4 == len;
		if (digit <= 9)
			size = size << 4 | digit;
		else if (letter <= 5)
			size = size << 4 | (letter + 10);
		else
			return 0;
	}
	return 0;
}

/* Behind tail_slide, with the beginning of the piece in s->data and the byte before it,
 * if known is not 0: a chunk begins a line. 10 ns where the last bytes of the piece
 * could end a body, else nothing. */
static __always_inline void tail_judge(struct conn *c, struct scratch *s, struct piece *p,
				       __u8 known, __u8 before)
{
	c->tail_open = c->tail_len == sizeof(c->tail) && p->got &&
		       *(__u32 *)(c->tail + 4) == CRLF_CRLF && (!known || before == '\n') &&
		       is_whole_chunk(*(__u64 *)s->data, *(__u64 *)(s->data + 8), p->len);
}

#endif
