/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who had a CPU lately: a thread that had to wait for it asks, when it gets it.
 * Only with full detail. Cost: 8 ns per switch, 10 per stint of a wait.
 */
#ifndef PROBE_STINTS_H
#define PROBE_STINTS_H

#define STINTS 64 /* of a longer wait the beginning is not known */

struct stint {
	__u64 since; /* on the clock of the run queue */
	__u32 tgid;  /* 0: idle */
	__u32 pad;
	__u64 comm[PROBE_COMM_LEN / 8];
};

struct stints {
	struct stint of[STINTS];
	__u64 begun;
	__u64 start; /* of the wait that is looked at ... */
	__u64 end;   /* ... and how far it is told, going back */
};

/* Those of a CPU, the last one at begun - 1. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stints);
} sched_stints SEC(".maps");

static __always_inline struct stints *stints_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sched_stints, &zero);
}

/* The task gets the CPU now. */
static __always_inline void stint_begins(struct stints *s, struct task_struct *next)
{
	struct stint *new = &s->of[s->begun++ % STINTS];
	__u64 *comm = (__u64 *)next->group_leader->comm;

	new->since = next->se.cfs_rq->rq->clock;
	new->tgid = next->pid ? next->tgid : 0;
	new->comm[0] = comm[0];
	new->comm[1] = comm[1];
}

/*
 * For ns of its wait for a CPU the thread t saw this process have it. Keeps the
 * one that had more than half of all, if there is one (majority vote of Boyer and
 * Moore, weighted), and how long since it leads.
 */
static __always_inline void note_pusher(struct thread_time *t, struct stint *by, __u64 ns)
{
	if (t->pushed_tgid == by->tgid) {
		t->pushed_lead += ns;
		t->pushed_ns += ns;
	} else if (t->pushed_lead > ns) {
		t->pushed_lead -= ns;
	} else {
		t->pushed_lead = ns - t->pushed_lead;
		t->pushed_ns = ns;
		t->pushed_tgid = by->tgid;
		__builtin_memcpy(t->pushed_comm, by->comm, sizeof(t->pushed_comm));
	}
}

/*
 * The thread t gets the CPU, for which it has waited from start to end. What the
 * loop carries is in memory: of what it loads the verifier assumes nothing, so all
 * ways through the loop look alike to it.
 *
 * Global: the verifier checks it once (pointers to structs: kernel 5.12).
 */
__noinline int note_pushers(struct thread_time *t, struct stints *s, __u64 start, __u64 end)
{
	if (!t || !s)
		return 0;
	s->start = start;
	s->end = end;
	for (__u32 i = 1; i <= STINTS; i++) {
		struct stint *by = &s->of[(s->begun - i) % STINTS];

		forget();
		if (s->end <= s->start || !by->since || by->since > s->end)
			break;
		if (by->tgid)
			note_pusher(t, by, s->end - (by->since > s->start ? by->since : s->start));
		s->end = by->since;
	}
	t->pushed_cpu = bpf_get_smp_processor_id();
	return 0;
}

#endif
