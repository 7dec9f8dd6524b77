/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The few kernel structures that are read, with only the members needed. CO-RE
 * relocates them on the running kernel, so order and size do not matter here.
 * No vmlinux.h: what is read is what stands below.
 */
#ifndef PROBE_KERNEL_H
#define PROBE_KERNEL_H

#define AF_UNIX      1
#define AF_INET      2
#define AF_INET6     10
#define SOCK_STREAM  1
#define IPPROTO_TCP  6
#define MSG_OOB      1
#define MSG_PEEK     2
#define MSG_TRUNC    0x20
#define MSG_ERRQUEUE 0x2000
/* A receive with one of these does not take stream data into the buffer. */
#define MSG_NOT_TAKEN      (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB)
#define SK_USER_DATA_PSOCK 4 /* include/net/sock.h, since 6.0 */
#define S_IFMT             0170000
#define S_IFSOCK           0140000
#define S_IFREG            0100000
#define S_IFBLK            0060000
#define EAGAIN             11
#define EEXIST             17
#define PF_KTHREAD         0x00200000 /* include/linux/sched.h, since 2.6 */
#define TASK_RUNNING       0          /* include/linux/sched.h */
#define TASK_HALTED        12         /* ... __TASK_STOPPED, by a signal, or __TASK_TRACED */

/* include/net/tcp_states.h */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT    2
#define TCP_FIN_WAIT1   4
#define TCP_CLOSE       7
#define TCP_CLOSE_WAIT  8
#define TCP_LAST_ACK    9

#define SOCK_DONE     1 /* include/net/sock.h: bit of skc_flags, a FIN was received */
#define SHUTDOWN_MASK 3 /* include/net/sock.h: both directions shut */
#define SEND_SHUTDOWN 2 /* ... that of sending */

/* Padding of these partial structures says nothing: CO-RE finds the members. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpadded"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	__u8 in6_u[16];
};

struct sock_common {
	__u16 skc_family;
	__u16 skc_dport;
	__u16 skc_num;
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
};

struct inode {
	__u16 i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct rb_node {
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct sk_buff {
	struct sk_buff *next;
	char cb[48];
	unsigned int len;
	unsigned int data_len;
	unsigned int end; /* from head; 64-bit kernels */
	unsigned char *head;
	unsigned char *data;
};

struct sk_buff_head {
	struct sk_buff *next;
};

struct tcp_skb_cb {
	__u32 seq;
};

struct skb_frag {
	unsigned long netmem; /* struct page, mostly; since 6.9 */
	unsigned int len;
	unsigned int offset;
};

struct skb_shared_info {
	__u8 nr_frags;
	struct skb_frag frags[1]; /* MAX_SKB_FRAGS of them */
};

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

struct skb_shared_info___old {
	struct bio_vec frags[1];
};

struct page {
	unsigned long flags;
};

struct rtnl_link_stats64 {
	__u64 rx_packets; /* ... and only such: 23 and more */
};

struct sock;

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	void *sk_user_data; /* and flags in the low bits */
	__u16 sk_type;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	struct sk_buff_head sk_receive_queue;
	struct rb_root tcp_rtx_queue; /* by sequence number; since 4.15 */
};

struct inet_sock {
	__u16 inet_sport; /* network order; outlives skc_num */
};

struct inet_connection_sock {
	const void *icsk_ulp_ops;
	struct {
		__u32 lrcvtime; /* jiffies of the last segment with data */
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 rcv_wup; /* rcv_nxt when something was sent last */
	__u32 snd_nxt;
	__u32 snd_una;
	__u64 bytes_received;
	__u64 bytes_sent; /* since 4.19 */
	/* CLOCK_MONOTONIC, read at each segment and each look of a reader; since 4.20 */
	__u64 tcp_clock_cache;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r14;
	unsigned long di;
	unsigned long si;
	unsigned long dx;
	unsigned long r10;
	unsigned long orig_ax;
	unsigned long sp;
};

struct thread_info {
	__u32 status;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31];
};

struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 orig_x0;
	int syscallno;
};

struct thread_info {
	unsigned long flags;
};
#endif

struct io_uring_task;
struct seq_file;
struct bpf_local_storage;

struct rq {
	__u64 clock; /* ns since boot, of this CPU; as of the last update */
};

struct cfs_rq {
	struct rq *rq; /* CONFIG_FAIR_GROUP_SCHED */
	int throttle_count;
};

struct sched_entity {
	__u64 exec_start;
	__u64 sum_exec_runtime;
	struct cfs_rq *cfs_rq;
};

struct sched_info {
	unsigned long long run_delay;
	unsigned long long last_queued;
};

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	unsigned int __state; /* since 5.14 */
	int pid;
	int tgid;
	struct task_struct *group_leader;
	__u64 start_boottime; /* since 5.5 */
	__u32 self_exec_id;   /* 64 bits since 5.7, of which these are the lower half */
	unsigned in_iowait : 1;
	unsigned in_memstall : 1; /* CONFIG_PSI */
	bool throttled;           /* since 6.18, CONFIG_CFS_BANDWIDTH */
	struct sched_entity se;
	struct sched_info sched_info; /* CONFIG_SCHED_INFO */
	unsigned long nvcsw;
	unsigned long nivcsw;
	unsigned long min_flt;
	unsigned long maj_flt;
	char comm[16];
	struct files_struct *files;
	struct css_set *cgroups; /* CONFIG_CGROUPS */
	struct io_uring_task *io_uring;
	struct bpf_local_storage *bpf_storage; /* since 5.13 */
};

/* Before 5.14: the same member under another name. */
struct task_struct___old {
	long state;
};

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd __attribute__((aligned(8)));
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
};

#pragma clang attribute pop
#pragma clang diagnostic pop

/* User-space ABI of the calls, include/uapi/linux/uio.h and socket.h. */
struct user_iovec {
	__u64 base;
	__u64 len;
};

struct user_msghdr {
	__u64 name;
	__u32 namelen;
	__u32 pad0;
	__u64 iov;
	__u64 iovlen;
	__u64 control;
	__u64 controllen;
	__u32 flags;
	__u32 pad1;
};

struct user_mmsghdr {
	struct user_msghdr hdr;
	__u32 len;
	__u32 pad;
};

#endif
