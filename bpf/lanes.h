/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * One program at a time on a connection. Two threads of a process use the same
 * socket at the same moment, as Go's net/http does on every keep-alive
 * connection, and a sweep or the end of the connection may come on top.
 *
 * Each kind of program has a byte of conn->busy. It adds one to its own, which is
 * atomic and a barrier, and then looks at the others: of two that come together
 * at least one sees the other. Cost: 5 ns, one locked instruction.
 *
 * Nobody waits without end: who is there may have been interrupted, or its CPU
 * taken away by a hypervisor. Who has waited long enough is left out and counted,
 * and the next one begins anew (conn_anew). On arm64, where an addition without a
 * result is no barrier (with one it needs kernel 5.12), two may be there at once;
 * then an exchange may be told wrongly.
 *
 * Two calls of the same direction are not kept apart: that way nobody can send
 * or read HTTP/1.
 */
#ifndef PROBE_LANES_H
#define PROBE_LANES_H

/* In pauses: 100 us, which covers most interrupts, and 6 us. */
#define LANE_WAITS       256
#define LANE_WAITS_SWEEP 16

/* Fewer in tests, where a CPU cannot be taken away. */
volatile const __u32 lane_waits = LANE_WAITS;

static __always_inline __u32 lane_others(struct conn *c, enum lane lane)
{
	return *(volatile __u32 *)&c->busy & ~(0xffU << 8 * lane);
}

/* Enters; true if somebody else is there, too. */
static __always_inline bool lane_enter(struct conn *c, enum lane lane)
{
	__sync_fetch_and_add(&c->busy, 1U << 8 * lane);
	return lane_others(c, lane);
}

/* Leaves; the bytes of the others stay as they are. */
static __always_inline void lane_leave(struct conn *c, enum lane lane)
{
	asm volatile("" ::: "memory");
	((volatile __u8 *)&c->busy)[lane] = 0;
}

static __always_inline bool lane_taken(struct conn *c, enum lane lane)
{
	return ((volatile __u8 *)&c->busy)[lane];
}

/* Takes about 0.4 us. One instruction each, and the verifier counts instructions. */
static __always_inline void lane_pause(void)
{
	for (int i = 0; i < 16; i++)
		bpf_ktime_get_ns();
}

/*
 * Entered, and somebody else is there: waits until he has left. Of two that meet
 * here one steps back: the reader, or the sweep. Not 0: he does not leave, and the
 * connection is not to be touched.
 */
static __noinline int lane_wait(struct conn *c, enum lane lane)
{
	if (!c)
		return 1;
	for (int i = 0; i < LANE_WAITS && i < lane_waits; i++) {
		if (lane != LANE_SEND)
			lane_leave(c, lane);
		lane_pause();
		if (!(lane == LANE_SEND ? lane_others(c, lane) : lane_enter(c, lane)))
			return 0;
	}
	lane_leave(c, lane);
	count(PROBE_COUNT_RACED);
	return 1;
}

/* An end waits for a sweep only, which it may have interrupted: not long. */
static __noinline int lane_wait_sweep(struct conn *c)
{
	if (!c)
		return 0;
	for (int i = 0; i < LANE_WAITS_SWEEP; i++) {
		if (!lane_taken(c, LANE_SWEEP))
			return 0;
		lane_pause();
	}
	count(PROBE_COUNT_RACED);
	return 0;
}

#endif
