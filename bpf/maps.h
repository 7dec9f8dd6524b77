/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * State of one connection, and every map of the HTTP programs.
 */
#ifndef PROBE_MAPS_H
#define PROBE_MAPS_H

enum conn_phase {
	PHASE_UNKNOWN = 0, /* neither request nor response seen yet */
	PHASE_REQUEST,     /* a request is kept, its answer has not begun */
	PHASE_RESPONSE,    /* the last thing that began is a response */
	PHASE_OVER,        /* not for us, not HTTP, or no longer HTTP */
};

/* The end was seen during a call on the connection: it will tell. */
enum closing {
	CLOSING_NOT = 0,
	CLOSING_END,
	CLOSING_RESET,
};

/* Whose byte of conn->busy it is (lanes.h). */
enum lane {
	LANE_RECV = 0, /* these two as enum direction */
	LANE_SEND,
	LANE_SWEEP,
	LANE_END, /* change of state, destruction */
};

enum conn_family {
	CONN_TCP = 0, /* offsets are the kernel's sequence numbers */
	CONN_COUNTED, /* MPTCP, Unix, maps of sockets: offsets are sums of what the calls moved */
};

/* A call was left out: where requests begin is not known (anew.h). */
enum torn {
	TORN_NOT = 0,
	TORN_ALL,
	TORN_REQUESTS, /* a response has begun since */
};

/* What is known of where the time of a request went. */
enum timed {
	TIMED_NOT = 0,
	TIMED_ONCPU, /* the thread never left its CPU */
	TIMED_LOOP,  /* ... and had other requests in hand */
	TIMED_SPENT, /* conn.spent is valid */
};

/* A thread's counters at one moment. */
struct stamp {
	__u64 part[PROBE_PARTS]; /* full detail */
	__u64 goroutine;         /* full detail: which read it, 0: not Go */
	__u64 sum_exec;          /* the kernel's own, basic detail */
	__u64 exec_start;
	__u64 run_delay;
	__u64 changes; /* of where its time goes */
	__u32 major_faults;
	__u32 minor_faults;
	__u32 reads; /* requests it has read, this one included */
	__u16 cpu;
	__u8 others; /* it had other requests in hand */
	__u8 pad;
};

/*
 * Lives in the socket's storage (socket entry) or in a hash by socket address
 * (system-call entry). Changed by one program at a time (lanes.h).
 */
struct conn {
	__u64 id;
	__u64 inode; /* system-call entry: guards against a reused address */
	__u64 rx_off;
	__u64 tx_off;
	__u64 start_ns;
	__u64 read_ns;
	__u64 touch_ns;
	__u64 req_off;
	__u64 resp_last_ns;
	__u64 peeked_ns;  /* arrival of data that was looked at and not yet taken */
	__u64 late_end;   /* end of a request answered before its call returned */
	__u64 mmsg_array; /* *mmsg calls: where we are inside the array */
	__u32 mmsg_next;
	__u32 mmsg_len;
	__u32 seq;
	__u32 tgid;
	__u32 tid;
	__u32 busy;        /* a byte for each enum lane */
	__u16 left_out[2]; /* calls, by enum direction; only they count */
	__u16 noticed[2];  /* ... the same as far as conn_anew knows */
	__u16 head_len;
	__u16 resp_kept; /* bytes of the current response already handed over */
	__u16 length_at; /* where the responses' heads have their length, or 0 */
	__u8 phase;      /* enum conn_phase */
	__u8 role;       /* enum probe_role */
	__u8 family;     /* enum conn_family */
	__u8 is_unix;
	__u8 announced; /* struct probe_conn got through */
	__u8 tries;     /* pieces looked at while unknown */
	__u8 last_dir;
	__u8 pieces;    /* PROBE_HAS_MORE records of the current response */
	__u8 head_done; /* nothing to append to head any more */
	__u8 first;     /* the kept request began the connection */
	__u8 dirty;     /* response bytes since the last record */
	__u8 answered;  /* some response was seen on this connection */
	__u8 reported;  /* the kept request went out in a start-only record */
	__u8 tail_len;
	__u8 ahead;        /* the kept request was read before its forerunner's answer was told */
	__u8 req_clean;    /* the last request bytes ended in CRLF CRLF */
	__u8 after_clean;  /* ... and did so before the kept request */
	__u8 closing;      /* enum closing */
	__u8 in_hand;      /* counted in its thread's number of requests in hand */
	__u8 timed;        /* enum timed */
	__u8 length_looks; /* how often that was looked for */
	__u8 torn;         /* enum torn */
	__u8 anew;         /* ... which is still to be told */
	__u8 rough;        /* start_ns is known to a tick only */
	__u8 drains;       /* closed, but for what is unread */
	__u8 tail_open;    /* tail ends a chunk, not the body */
	__u8 resp_rough;   /* resp_last_ns is known to a tick only */
	__u8 pad[7];
	__u8 tail[8];
	__u8 comm[PROBE_COMM_LEN]; /* of the process, when the first request told began */
	__u64 cgroup;              /* ... of its thread, as in struct probe_conn */
	struct stamp begin;        /* of the thread, when it read the request */
	struct probe_times spent;  /* from then to the last byte of the response */
	__u8 head[PROBE_HEAD_MAX];
};

/* Socket → state; freed with the socket. About 1 KB per connection. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} http_conns SEC(".maps");

/*
 * Socket address → state, for kernels without the socket tracepoints. Entries
 * leave at the close of a TCP socket; the oldest unused one leaves when full.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384); /* set by the loader; 1 where unused */
	__type(key, __u64);
	__type(value, struct conn);
} http_conn_table SEC(".maps");

/* Records to userspace. Size set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} http_events SEC(".maps");

/* Counters, summed over CPUs by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct probe_counters);
} http_counters SEC(".maps");

/* One move of bytes through a socket. */
struct piece {
	__u64 now_ns;
	__u64 off;      /* stream offset of its first byte */
	__u64 base;     /* flat: the buffer; else the iovec array */
	__u32 iovecs;   /* 0: flat */
	__u32 len;      /* bytes moved */
	__u8 dir;       /* enum direction */
	__u8 located;   /* base and iovecs are valid */
	__u8 clean;     /* request bytes that end in CRLF CRLF */
	__u8 head_only; /* what follows is the body: not read */
	/* How on_piece sees it; here for the verifier to forget. */
	__u8 unknown;   /* nothing is known of the connection yet */
	__u8 to_server; /* else to the client */
	__u8 in_place;  /* read to where a request is kept, not to the scratch */
	__u8 request;   /* begins like one */
	__u8 response;
	__u8 discarded; /* read by TCP with MSG_TRUNC: taken, but nowhere to be found */
	__u8 pad[2];
	__u32 rest; /* bytes behind len, which are told alone (response.h) */
	__u64 got;  /* bytes read */
	struct call call;
};

enum direction {
	DIR_RECV = 0,
	DIR_SEND = 1,
};

/*
 * Room to build one record, to gather bytes from iovecs, and for the piece at
 * hand. The piece is here and not on the stack so that the verifier forgets
 * its values: it then visits a tenth of the states.
 */
struct scratch {
	struct probe_record rec;
	__u8 data[2 * PROBE_HEAD_MAX + sizeof(struct probe_conn) + sizeof(struct probe_times)];
	__u8 gather[2 * PROBE_HEAD_MAX];
	struct piece piece;
};

/* One slot for each kind of program: they may interrupt one another. */
enum scratch_slot {
	SCRATCH_IO = 0,
	SCRATCH_SWEEP,
	SCRATCH_STATE,
	SCRATCH_DESTROY,
	SCRATCH_SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} http_scratch SEC(".maps");

/* When the data of the read in progress arrived, and the data. */
struct arrival {
	__u64 sock;
	__u64 ns;      /* a number is odd if it is known to a tick only */
	__u64 clock;   /* tcp_clock_cache before the read moves it */
	__u32 rcv_nxt; /* what had arrived */
	__u32 seq;     /* copied_seq after that read */
	__u32 first;   /* sequence number of ... */
	__u32 len;     /* ... these bytes (skb.h) */
	__u8 data[PROBE_HEAD_MAX];
};

/* One slot: the read that fills it is told next, by the same task. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct arrival);
} http_arrivals SEC(".maps");

/* A zeroed conn, too large for the stack (system-call entry only). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct conn);
} http_empty SEC(".maps");

volatile const struct probe_config cfg;

/* Written by userspace before each sweep. */
struct probe_sweep sweep;

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/*
 * Since 7.0 (commit a46023d5616e) a task may lose its CPU in the middle of a
 * program to one that runs the same or another program: it would find the scratch
 * in use, and the kernel does not run a program twice on a CPU. Between these two
 * nobody else runs here. What is left is a moment before the first instruction.
 */
static __always_inline void alone(void)
{
	if (cfg.preemptible && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_disable();
}

static __always_inline void not_alone(void)
{
	if (cfg.preemptible && bpf_preempt_disable && bpf_preempt_enable)
		bpf_preempt_enable();
}

static __always_inline struct scratch *scratch(__u32 slot)
{
	return bpf_map_lookup_elem(&http_scratch, &slot);
}

static __always_inline struct probe_counters *counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&http_counters, &zero);
}

static __always_inline void count(enum probe_count what)
{
	struct probe_counters *n = counters();

	if (n)
		n->value[what]++;
}

#endif
