/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Waits that come in turns: what a timer ends is a sleep, unless the thread then
 * waits for the same thing again, and something else ends that.
 */
#ifndef PROBE_TURNS_H
#define PROBE_TURNS_H

static __always_inline struct turns *turns_of(struct thread_time *t)
{
	return t->wait == WAIT_FUTEX ? &t->locks : &t->polls;
}

/* Does the thread wait for the same again? A condition variable has two words, which
 * take turns. */
static __always_inline bool another_turn(struct thread_time *t, struct turns *turns)
{
	return turns->ns && t->waits_on >> 3 == turns->on >> 3;
}

/* A timer ends a wait in FUTEX or POLL. */
static __always_inline void turn_ends(struct thread_time *t, __u64 now)
{
	struct turns *turns = turns_of(t);

	if (!another_turn(t, turns))
		turns->ns = 0;
	turns->on = t->waits_on;
	if (now > t->since_ns)
		turns->ns += now - t->since_ns;
}

/* Something else does. Its turns were no sleep either: they belong to this wait. */
static __always_inline bool turns_end(struct thread_time *t)
{
	struct turns *turns = turns_of(t);

	if (!another_turn(t, turns))
		return false;
	t->part[PROBE_PART_SLEEP] -= turns->ns;
	t->since_ns -= turns->ns;
	turns->ns = 0;
	return true;
}

/* From here on the thread waits for something else than before. */
static __always_inline void turns_over(struct thread_time *t)
{
	t->locks.ns = t->polls.ns = 0;
}

/* The current task has asked somebody for something, by a message. */
static __always_inline void task_asks(void)
{
	struct task_struct *task;
	struct thread_time *t;

	if (cfg.detail < PROBE_DETAIL_FULL)
		return;
	task = bpf_get_current_task_btf();
	t = task->bpf_storage ? thread_of(task) : NULL;
	if (t)
		turns_over(t);
}

#endif
