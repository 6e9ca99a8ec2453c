/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types that the programs touch, by hand: CO-RE needs only the
 * names, the loader finds each offset in the running kernel's BTF. A wrong
 * name fails loudly at load; a wrong width is found by tools/check_core_types.
 * Members of anonymous unions stand flat here, libbpf looks through them.
 */
#ifndef TCPTRAIL_CORE_TYPES_H
#define TCPTRAIL_CORE_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

#include <stdbool.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1
#define EADDRINUSE 98
#define EADDRNOTAVAIL 99
#define ECONNABORTED 103
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define RCV_SHUTDOWN 1	      /* include/net/sock.h */
#define SEND_SHUTDOWN 2
#define TCPHDR_FIN 1 /* include/net/tcp.h */
#define SO_EE_ORIGIN_ICMP 2
#define SO_EE_ORIGIN_ICMP6 3
#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h, sk_userlocks */

enum { /* include/net/tcp_states.h */
       TCP_ESTABLISHED = 1,
       TCP_SYN_SENT,
       TCP_SYN_RECV,
       TCP_FIN_WAIT1,
       TCP_FIN_WAIT2,
       TCP_TIME_WAIT,
       TCP_CLOSE,
       TCP_CLOSE_WAIT,
       TCP_LAST_ACK,
       TCP_LISTEN,
       TCP_CLOSING,
       TCP_NEW_SYN_RECV,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/net/sock.h */
enum sock_flags {
	SOCK_DEAD,
	SOCK_DONE,
	SOCK_URGINLINE,
	SOCK_KEEPOPEN,
	SOCK_LINGER,
};

typedef struct {
	__s64 counter;
} atomic64_t;

struct ns_common {
	unsigned int inum;
};

/* include/net/inet_hashtables.h */
struct hlist_nulls_node {
	struct hlist_nulls_node *next;
};

struct hlist_nulls_head {
	struct hlist_nulls_node *first;
};

struct inet_ehash_bucket {
	struct hlist_nulls_head chain;
};

struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
};

struct inet_timewait_death_row {
	struct inet_hashinfo *hashinfo; /* since 6.1 */
};

struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

/* include/net/net_namespace.h */
typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct proto {
	union {
		struct inet_hashinfo *hashinfo; /* NULL for TCP since 6.1 */
	} h;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	unsigned int skc_hash;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags; /* of full sockets only: a union */
	struct hlist_nulls_node skc_nulls_node;
};

typedef struct {
	int owned;
} socket_lock_t;

typedef struct {
	__u32 val;
} kuid_t;

/* include/linux/kernfs.h, include/linux/cgroup-defs.h */
struct kernfs_node {
	__u64 id;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* 5.8 has a union with is_data instead */
};

struct sk_buff {
	char cb[48];
};

struct sk_buff_head {
	struct sk_buff *next;
	__u32 qlen;
};

struct rb_node {
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

/* include/net/tcp.h, in cb of what TCP queues */
struct tcp_skb_cb {
	__u16 tcp_flags; /* one byte in earlier kernels */
};

/* include/uapi/linux/errqueue.h, include/linux/errqueue.h: cb of what the error queue holds */
struct sock_extended_err {
	__u32 ee_errno;
	__u8 ee_origin;
};

struct sock_exterr_skb {
	struct sock_extended_err ee;
};

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	unsigned long sk_lingertime;
	struct socket *sk_socket;
	struct sock_cgroup_data sk_cgrp_data;
	kuid_t sk_uid;
	int sk_err;
	int sk_err_soft;
	struct sk_buff_head sk_error_queue;
	__u32 sk_ack_backlog;
	__u16 sk_protocol; /* a bitfield before 5.6 */
	__u16 sk_type;	   /* the same */
	__u8 sk_shutdown;
	__u8 sk_userlocks; /* a bitfield before 6.1 */
};

struct socket {
	struct sock *sk;
	struct file *file;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
	__u32 local_port_range; /* 6.8; before that a struct of the same name, or none */
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct inet_bind_bucket *icsk_bind_hash;
	__u32 icsk_rto; /* jiffies */
	__u8 icsk_probes_out;
	void *icsk_ulp_data; /* of a subflow: its mptcp_subflow_context */
};

struct minmax_sample {
	__u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

/* include/linux/tcp.h */
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_received;
	__u64 bytes_acked;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 segs_in;
	__u32 segs_out;
	__u32 total_retrans;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 write_seq;
	__u32 snd_wnd;
	int linger2;
	__u32 rcv_tstamp; /* jiffies of the last ACK */
	struct rb_root out_of_order_queue;
	struct sk_buff *ooo_last_skb; /* valid while the queue holds anything */
	__u32 srtt_us;		      /* << 3 */
	__u32 mss_cache;
	struct minmax rtt_min;
	__u8 repair : 1;
	bool is_mptcp; /* CONFIG_MPTCP */
};

/* net/mptcp/protocol.h */
struct mptcp_sock {
	struct sock *first;
};

struct mptcp_subflow_context {
	struct sock *conn; /* the MPTCP socket */
};

struct timer_list {
	unsigned long expires;
	__u32 flags;
};

/* include/net/inet_hashtables.h */
struct inet_bind_bucket {
	signed char fastreuse;
	signed char fastreuseport;
	kuid_t fastuid;
	struct in6_addr fast_v6_rcv_saddr; /* CONFIG_IPV6 */
	__be32 fast_rcv_saddr;
	unsigned short fast_sk_family;
	bool fast_ipv6_only;
};

/* include/net/inet_timewait_sock.h */
struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
	__be16 tw_sport;
	struct timer_list tw_timer;
	struct inet_bind_bucket *tw_tb;
	__u32 tw_entry_stamp; /* not in 6.12; milliseconds of the monotonic clock */
};

/* include/net/tcp.h: what a packet for a minisocket leads to */
enum tcp_tw_status {
	TCP_TW_SUCCESS,
	TCP_TW_RST,
	TCP_TW_ACK,
	TCP_TW_SYN,
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	int tw_ts_recent_stamp; /* seconds of the monotonic clock; 0 = no timestamps */
};

struct file {
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1 of them */
};

struct task_struct {
	unsigned int flags;
	void *stack;
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct files_struct *files;
	char comm[16];
};

/* arch/<arch>/include/asm/ptrace.h: what the arguments of a system call are found in */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
};
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
};
#else
struct pt_regs {
};
#endif

/* kernel/bpf/bpf_iter.c and its users */
struct bpf_iter__tcp {
	struct sock_common *sk_common;
};

struct bpf_iter__task_file {
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif
