/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The contract between the kernel side and the loader: everything both sides
 * see is declared here and nowhere else. Fixed-width types, explicit padding
 * (built with -Wpadded -Werror). Enum values are never renumbered.
 *
 * All times are nanoseconds of CLOCK_MONOTONIC. All offsets are positions in
 * the byte stream of one direction of one connection, 64 bits wide and counted
 * from an arbitrary base: for TCP the kernel's own sequence numbers, so bytes
 * that no hook saw (a splice) still move them.
 */
#ifndef PROBE_ABI_H
#define PROBE_ABI_H

/* Largest head kept of a message; --capture-bytes may ask for less. */
#define PROBE_HEAD_MAX  512
#define PROBE_COMM_LEN  16
#define PROBE_MAX_PORTS 16
#define PROBE_MAX_PIDS  16
#define PROBE_MAX_COMMS 8

enum probe_role {
	PROBE_ROLE_UNKNOWN = 0,
	PROBE_ROLE_SERVER = 1,
	PROBE_ROLE_CLIENT = 2,
};

/* What a record carries; one record may carry several. */
enum probe_has {
	/* req_off, start_ns, read_ns, touch_ns and req_len bytes of head. */
	PROBE_HAS_START = 1,
	/* A response begins at resp_off; resp_len bytes of its head. */
	PROBE_HAS_STATUS = 2,
	/* A later piece of the response, while its head may be incomplete. */
	PROBE_HAS_MORE = 4,
	/* Offsets and times only. */
	PROBE_HAS_PROGRESS = 8,
	/* The connection ended. */
	PROBE_HAS_CLOSE = 16,
	/* A struct probe_conn follows the two heads. */
	PROBE_HAS_CONN = 32,
	/* The request arrived as the first bytes of its connection. */
	PROBE_HAS_FIRST = 64,
	/* The request of this response was sent, its record follows. */
	PROBE_HAS_LATE = 128,
	/* The connection was reset, not closed. */
	PROBE_HAS_RESET = 256,
	/* The bytes before this request ended like a head or a chunked body. */
	PROBE_HAS_CLEAN = 512,
	/* A struct probe_times is the last thing in the record. */
	PROBE_HAS_TIMES = 1024,
	/* The thread never left its CPU from read_ns to now_ns. */
	PROBE_HAS_ONCPU = 2048,
	/* ... and had other requests in hand meanwhile. */
	PROBE_HAS_LOOP = 4096,
	/* What was open on the connection before is not known any more. */
	PROBE_HAS_ANEW = 8192,
	/* start_ns is known to a tick of the kernel only */
	PROBE_HAS_ROUGH = 16384,
};

/* Where the time of a thread goes. */
enum probe_part {
	PROBE_PART_CPU = 0,
	PROBE_PART_RUNQ,      /* ready to run, another task has the CPU */
	PROBE_PART_THROTTLED, /* ready to run, its group's CPU quota is used up */
	PROBE_PART_MEMORY,    /* reclaim, compaction, swap-in, major faults */
	PROBE_PART_LOCK,      /* until another thread of the process wakes it */
	PROBE_PART_DISK,
	PROBE_PART_NET,
	PROBE_PART_SLEEP, /* until a timer of its own ends */
	PROBE_PART_OTHER,
	PROBE_PART_UNKNOWN,
	PROBE_PARTS,
};

/* Whose time the parts of a request are. */
enum probe_attribution {
	PROBE_ATTR_NONE = 0, /* not measured */
	PROBE_ATTR_THREAD,   /* one thread, this request only */
	PROBE_ATTR_HANDOFF,  /* reader and the thread it woke, added up */
	PROBE_ATTR_LOOP,     /* one thread with several requests in hand */
	PROBE_ATTR_PARTIAL,  /* answered by a thread whose link is not known */
};

/*
 * One record of the ring buffer, followed by resp_len bytes of the response,
 * req_len bytes of the request, struct probe_conn if PROBE_HAS_CONN, and struct
 * probe_times if PROBE_HAS_TIMES.
 */
struct probe_record {
	__u16 has;     /* enum probe_has */
	__u8 role;     /* enum probe_role */
	__u8 tail_len; /* valid bytes in tail, counted from its end */
	__u16 req_len;
	__u16 resp_len;
	__u32 seq;  /* per connection, +1 per record, lost ones included */
	__u32 tgid; /* task that read (server) or sent (client) the request */
	__u32 tid;
	__u8 tail_open;  /* 1: tail ends a chunk that was one write; the body goes on */
	__u8 prev_rough; /* 1: prev_ns is known to a tick of the kernel only */
	__u8 pad[2];
	__u64 conn_id;
	__u64 start_ns; /* arrival of the request when known, else read_ns */
	__u64 read_ns;  /* return of the call that moved its first bytes */
	__u64 touch_ns; /* first call on the connection before read_ns, or 0 */
	__u64 req_off;  /* first byte of the request */
	__u64 req_end;  /* bytes of the request direction seen so far */
	__u64 now_ns;   /* time of what this record tells */
	__u64 prev_ns;  /* last response byte before this record, or 0 */
	__u64 resp_off; /* first byte of this piece of the response */
	__u64 resp_end; /* bytes of the response direction seen so far */
	__u8 tail[8];   /* last bytes before resp_end */
};

/* From the read of a request to the last byte seen of its response. */
struct probe_times {
	__u64 part_ns[PROBE_PARTS]; /* enum probe_part; adds up to until_ns - read_ns */
	__u64 until_ns;
	__u32 major_faults;
	__u32 minor_faults;
	__u64 pushed_ns;   /* wait for a CPU behind one process, or 0 */
	__u32 pushed_tgid; /* ... that process */
	__u32 pushed_cpu;
	__u8 pushed_comm[PROBE_COMM_LEN];
	__u8 attribution; /* enum probe_attribution */
	__u8 pad[7];
};

/* The connection; sent with the first record that gets through. */
struct probe_conn {
	__u64 inode; /* socket inode, as in /proc/PID/fd; 0 if not attached */
	__u8 family; /* AF_UNIX 1, AF_INET 2, AF_INET6 10 */
	__u8 pad[3];
	__u16 local_port; /* host order; 0 for Unix sockets */
	__u16 remote_port;
	__u8 local_addr[16]; /* IPv4: first 4 bytes */
	__u8 remote_addr[16];
	__u8 comm[PROBE_COMM_LEN];
	__u64 cgroup; /* id of the control group of version 2; 0: not known */
};

/* Counters of the kernel side, per CPU. Refusals carry their reason. */
enum probe_count {
	PROBE_COUNT_STARTS = 0,     /* request heads kept */
	PROBE_COUNT_RECORDS,        /* records handed to the ring */
	PROBE_DROP_RING_FULL,       /* records refused by the ring */
	PROBE_DROP_RING_FULL_START, /* ... that carried a request */
	PROBE_DROP_NO_STATE,        /* sockets without room for state */
	PROBE_DROP_NOT_HTTP,        /* connections given up as not HTTP */
	PROBE_DROP_TLS,             /* connections that begin with a TLS record */
	PROBE_DROP_HTTP2,           /* connections with the HTTP/2 preface */
	PROBE_DROP_IO_URING,        /* pieces whose buffer io_uring holds */
	PROBE_DROP_COMPAT,          /* pieces of 32-bit tasks; socket entry only */
	PROBE_DROP_NO_BUFFER,       /* first pieces moved by splice or sendfile */
	PROBE_DROP_UNREADABLE,      /* user memory that could not be read */
	PROBE_DROP_IOVECS,          /* heads spread over more iovecs than followed */
	PROBE_DROP_NOT_ANSWER,      /* requests followed by bytes that are no HTTP */
	PROBE_DROP_LOST_TASK,       /* pieces moved by kernel threads */
	PROBE_COUNT_TUNNELS,        /* connections that left HTTP */
	PROBE_COUNT_CONNS,          /* connections with state */
	PROBE_DROP_NO_THREAD,       /* threads without room for state: no times */
	PROBE_DROP_NO_DELAYS,       /* processes without room for a delay histogram */
	PROBE_DROP_NOT_ASKED,       /* processes about which there was no room to ask */
	PROBE_COUNT_RACED,          /* calls left out, because another was on the connection */
	PROBE_DROP_RACED_START,     /* requests that were kept there then */
	PROBE_COUNT_MAX,
};

/* Per-CPU counters and the per-CPU part of connection ids. */
struct probe_counters {
	__u64 value[PROBE_COUNT_MAX];
	__u64 next_conn;
};

/* How much is measured of where a request's time goes. */
enum probe_detail {
	PROBE_DETAIL_OFF = 0,
	PROBE_DETAIL_BASIC, /* the kernel's own counters, at the ends of a request */
	PROBE_DETAIL_FULL,  /* and every switch of the threads that serve requests */
};

/*
 * Histogram of run-queue delays, cumulative. A delay of v ns, with
 * e = floor(log2 v), is in bucket v for v < 16, else in bucket
 * (e - 3) * 16 + ((v >> (e - 4)) & 15); the last one takes what is longer.
 */
#define PROBE_DELAY_BUCKETS 544 /* up to 2^37 ns, 137 s */
#define PROBE_DELAY_TASKS   1024

struct probe_delays {
	__u32 count[PROBE_DELAY_BUCKETS];
};

/* Set before load, constant afterwards. Zero counts mean "no filter". */
struct probe_config {
	__u32 self_tgid;     /* never observed */
	__u32 capture_bytes; /* 1..PROBE_HEAD_MAX */
	__u32 ring_alarm;    /* with so many bytes in the ring a waiting reader is woken */
	__u32 tick_ns;       /* of the kernel's clock, 1/CONFIG_HZ s; 0: not known */
	__u8 want_server;
	__u8 want_client;
	__u8 ports_len;
	__u8 pids_len;
	__u16 ports[PROBE_MAX_PORTS]; /* the server's port, host order */
	__u32 pids[PROBE_MAX_PIDS];
	__u8 comms_len;
	__u8 detail;      /* enum probe_detail */
	__u8 judge;       /* userspace says which processes are wanted */
	__u8 preemptible; /* tracepoints leave preemption on */
	__u8 pad[4];
	__u8 comms[PROBE_MAX_COMMS][PROBE_COMM_LEN];
};

/*
 * A process, as long as it runs one program: exec makes another one, and so
 * does a reused pid.
 */
struct probe_process {
	__u32 tgid;
	__u32 execs;
	__u64 start_ns; /* since boot */
};

/* What userspace says of a process. */
enum probe_verdict {
	PROBE_VERDICT_ASKED = 0, /* nothing yet: its sockets are left alone */
	PROBE_VERDICT_WANTED,
	PROBE_VERDICT_UNWANTED,
};

/*
 * Whether base is right (bpf/skb.h), tried on data that userspace sends to itself:
 * then bytes are how it begins.
 */
struct pages_try {
	__u64 base;
	__u64 page; /* struct page of the data */
	__u64 sock; /* struct sock, which is somewhere in memory too */
	__u8 bytes[32];
};

/* What one sweep over the connections should report. */
struct probe_sweep {
	__u64 older_ns;   /* unanswered requests that began before this time */
	__u32 unix_alive; /* also every Unix socket, answered or not */
	__u32 pad;
};

#endif
