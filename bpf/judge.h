/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Filters that only userspace can apply: by container, namespace, executable.
 * The kernel side asks about each process once, when it runs another program or
 * first moves bytes; until the answer is there its sockets are left alone, and
 * nothing of them is counted. Works on every version of control groups.
 *
 * Hooks: sched_process_exec, sched_process_fork; iter/task (5.8) for the
 * processes that were there before. Attached only with such a filter.
 */
#ifndef PROBE_JUDGE_H
#define PROBE_JUDGE_H

/* Process → enum probe_verdict. One that was forgotten is asked about again.
 * Size set by the loader; 1 where unused. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct probe_process);
	__type(value, enum probe_verdict);
} judge_known SEC(".maps");

/* Processes whose verdict is asked for; userspace takes them out. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1);
	__type(value, struct probe_process);
} judge_asked SEC(".maps");

static __always_inline void process_of(struct task_struct *task, struct probe_process *p)
{
	p->tgid = BPF_CORE_READ(task, tgid);
	p->execs = BPF_CORE_READ(task, group_leader, self_exec_id);
	p->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
}

/* noinline: two calls in one program, and the verifier looks once. */
static __noinline int task_verdict(struct task_struct *task)
{
	struct probe_process p = {};
	enum probe_verdict asked = PROBE_VERDICT_ASKED, *known;

	process_of(task, &p);
	known = bpf_map_lookup_elem(&judge_known, &p);
	if (known)
		return *known;
	if (bpf_map_update_elem(&judge_known, &p, &asked, BPF_NOEXIST))
		return PROBE_VERDICT_ASKED;
	if (bpf_map_push_elem(&judge_asked, &p, 0)) {
		bpf_map_delete_elem(&judge_known, &p);
		count(PROBE_DROP_NOT_ASKED);
	}
	return PROBE_VERDICT_ASKED;
}

/* Is the verdict about the current task still to come? */
static __always_inline bool task_unjudged(void)
{
	return cfg.judge &&
	       task_verdict((struct task_struct *)bpf_get_current_task()) == PROBE_VERDICT_ASKED;
}

/* Tracepoint sched_process_exec(task, old_pid, bprm): ask before it serves. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(judge_exec, struct task_struct *task)
{
	task_verdict(task);
	return 0;
}

/* Tracepoint sched_process_fork(parent, child): same program, same groups. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(judge_fork, struct task_struct *parent, struct task_struct *child)
{
	struct probe_process p = {};
	enum probe_verdict verdict, *known;

	if (child->pid != child->tgid)
		return 0;
	process_of(parent, &p);
	known = bpf_map_lookup_elem(&judge_known, &p);
	if (!known || *known == PROBE_VERDICT_ASKED)
		return 0;
	verdict = *known;
	process_of(child, &p);
	bpf_map_update_elem(&judge_known, &p, &verdict, BPF_ANY);
	return 0;
}

/* Every process there is, to be judged before anything is observed. */
SEC("iter/task")
int judge_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct probe_process p = {};

	if (!task || task->pid != task->tgid || task->flags & PF_KTHREAD)
		return 0;
	process_of(task, &p);
	bpf_seq_write(ctx->meta->seq, &p, sizeof(p));
	return 0;
}

#endif
