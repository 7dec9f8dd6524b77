/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A call was left out, because another one did not leave the connection (lanes.h):
 * nobody knows what it moved, nor what the other one has made of what was there. So
 * the connection begins anew: with the first request after the next response that
 * surely begins where it seems to.
 */
#ifndef PROBE_ANEW_H
#define PROBE_ANEW_H

/* Leaves out the piece p, while another one is on the connection. */
static __always_inline void leave_out(struct conn *c, struct piece *p)
{
	c->left_out[p->dir & 1]++;
	if (c->family == CONN_TCP)
		return; /* its offsets are the kernel's */
	if (p->dir == DIR_RECV)
		c->rx_off += p->len;
	else
		c->tx_off += p->len;
}

/* Was a call left out since conn_anew? */
static __always_inline bool call_left_out(struct conn *c)
{
	return *(volatile __u32 *)c->left_out != *(__u32 *)c->noticed;
}

/* The first to be alone on the connection after that. Another call may be left out
 * at this moment: then the next one comes here again. */
static __noinline int conn_anew(struct conn *c)
{
	if (!c)
		return 0;
	*(__u32 *)c->noticed = *(volatile __u32 *)c->left_out;
	c->torn = TORN_ALL;
	c->req_clean = 0;
	if (c->phase != PHASE_REQUEST && c->phase != PHASE_RESPONSE)
		return 0;
	if (c->phase == PHASE_REQUEST && !c->reported)
		count(PROBE_DROP_RACED_START);
	c->phase = PHASE_RESPONSE;
	c->anew = 1;
	c->ahead = 0;
	c->dirty = 0;
	c->timed = TIMED_NOT;
	c->begin.reads = 0;
	c->late_end = 0;
	c->tail_len = 0;
	/* Nothing more of the response at hand. */
	c->pieces = MAX_MORE;
	return 0;
}

/*
 * A piece in the direction of requests, in c->head: does a request begin with it? It
 * may be the rest of one whose first bytes are in a piece that was not looked at. Not
 * so behind the end of a head, or if it begins like most of them.
 */
static __always_inline bool mends(struct conn *c, struct piece *p, const bool begins)
{
	if (c->torn == TORN_REQUESTS && begins &&
	    (c->req_clean || (p->got >= 4 && is_common_method(*(__u32 *)c->head)))) {
		c->torn = TORN_NOT;
		return true;
	}
	c->torn = TORN_ALL; /* its response is another one that nobody waits for */
	/* Older verifiers follow a path where that is below 4, and then at least 4. */
	forget();
	c->req_clean = p->got == p->len && p->got < cfg.capture_bytes
			       ? ends_head(c->head, p, p->got)
			       : p->clean;
	return false;
}

#endif
