/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Which connections are observed. Decided at most twice in the life of one:
 * at its first bytes, by task, and when its role is known, by role and port.
 */
#ifndef PROBE_FILTER_H
#define PROBE_FILTER_H

static __always_inline bool port_wanted(__u16 port)
{
	if (!cfg.ports_len)
		return true;
	for (int i = 0; i < PROBE_MAX_PORTS; i++)
		if (i < cfg.ports_len && cfg.ports[i] == port)
			return true;
	return false;
}

static __noinline bool task_wanted(__u32 tgid)
{
	if (tgid == cfg.self_tgid)
		return false;
	if (cfg.judge &&
	    task_verdict((struct task_struct *)bpf_get_current_task()) != PROBE_VERDICT_WANTED)
		return false;
	if (cfg.pids_len) {
		bool hit = false;

		for (int i = 0; i < PROBE_MAX_PIDS; i++)
			hit |= i < cfg.pids_len && cfg.pids[i] == tgid;
		if (!hit)
			return false;
	}
	if (cfg.comms_len) {
		__u64 comm[2] = {};
		bool hit = false;

		process_comm(comm);
		for (int i = 0; i < PROBE_MAX_COMMS; i++) {
			const volatile __u64 *want = (const volatile __u64 *)cfg.comms[i];

			hit |= i < cfg.comms_len && want[0] == comm[0] && want[1] == comm[1];
		}
		if (!hit)
			return false;
	}
	return true;
}

/* The role is known: is this connection wanted? Its server's port decides. */
static __noinline bool role_wanted(struct conn *c, struct sock *sk)
{
	if (!c || !sk)
		return false;
	if (c->role == PROBE_ROLE_SERVER)
		return cfg.want_server &&
		       (c->is_unix ? !cfg.ports_len
				   : port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)));
	return cfg.want_client &&
	       (c->is_unix
			? !cfg.ports_len
			: port_wanted(__builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport))));
}

/*
 * Not HTTP/1: given up, and counted unless it is none of those asked for. Who is the
 * server is not known: either port may be its.
 */
static __noinline int other_protocol(struct conn *c, struct sock *sk, enum probe_count why)
{
	if (!c || !sk)
		return 0;
	c->phase = PHASE_OVER;
	if (!cfg.ports_len ||
	    (!c->is_unix &&
	     (port_wanted(BPF_CORE_READ(sk, __sk_common.skc_num)) ||
	      port_wanted(__builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport))))))
		count(why);
	return 0;
}

/* A new connection, of a task whose verdict is known: its kind, its id, and whether its task is observed. */
static __always_inline void conn_init(struct conn *c, __u16 family, __u16 protocol)
{
	struct probe_counters *n = counters();

	c->is_unix = family == AF_UNIX;
	c->family = family != AF_UNIX && protocol == IPPROTO_TCP ? CONN_TCP : CONN_COUNTED;
	if (!task_wanted(bpf_get_current_pid_tgid() >> 32))
		c->phase = PHASE_OVER;
	if (n) {
		n->value[PROBE_COUNT_CONNS]++;
		c->id = (__u64)bpf_get_smp_processor_id() << 48 | ++n->next_conn;
	}
}

#endif
